/* The breaker on a table's share of bad rows. */
#include "pipeline/breaker.h"
#include "unit.h"

#define NOW (1000 * USEC_PER_SEC)

static const struct breaker_limits LIMITS = {.max_bad_share = 0.05, .min_rows = 100};

/* Each row of the table: what comes to a breaker in a state, and the state after it. */
struct story {
    const char *name;
    enum breaker_state before;
    struct {
        uint64_t good, bad;
    } comes[4];
    enum breaker_state after;
};

static const struct story STORIES[] = {
    {"a few bad ones tell nothing", BREAKER_CLOSED, {{0, 19}}, BREAKER_CLOSED},
    {"the first twenty are all bad", BREAKER_CLOSED, {{0, 19}, {0, 1}}, BREAKER_OPEN},
    {"one good one among the first", BREAKER_CLOSED, {{1, 0}, {0, 90}}, BREAKER_CLOSED},
    {"many of a hundred", BREAKER_CLOSED, {{94, 0}, {0, 6}}, BREAKER_OPEN},
    {"as many as are allowed", BREAKER_CLOSED, {{95, 0}, {0, 5}}, BREAKER_CLOSED},
    {"one in a hundred, for long",
     BREAKER_CLOSED,
     {{990, 10}, {990, 10}, {990, 10}},
     BREAKER_CLOSED},
    {"a good table turns bad",
     BREAKER_CLOSED,
     {{100000, 0}, {0, 1000}, {0, 5000}},
     BREAKER_OPEN},
    {"open stays open", BREAKER_OPEN, {{100000, 0}}, BREAKER_OPEN},
    {"half-open bears a few", BREAKER_HALF_OPEN, {{0, 4}}, BREAKER_HALF_OPEN},
    {"half-open: a handful opens it", BREAKER_HALF_OPEN, {{200, 4}, {0, 1}}, BREAKER_OPEN},
    {"half-open: some hundred good ones close it",
     BREAKER_HALF_OPEN,
     {{299, 4}, {1, 0}},
     BREAKER_CLOSED},
    {"closed anew it begins anew", BREAKER_HALF_OPEN, {{300, 4}, {0, 10}}, BREAKER_CLOSED},
};

START_TEST(what_comes_makes_the_state)
{
    for (size_t i = 0; i < UNIT_COUNT(STORIES); i++) {
        const struct story *story = &STORIES[i];
        struct breaker breaker = {.state = story->before};
        enum breaker_state state = story->before;
        for (size_t j = 0; j < UNIT_COUNT(story->comes); j++)
            if (story->comes[j].good + story->comes[j].bad > 0)
                state = breaker_count(&breaker, &LIMITS, story->comes[j].good,
                                      story->comes[j].bad, NOW);
        ck_assert_msg(state == story->after, "%s: %s", story->name, breaker_state_name(state));
    }
}
END_TEST

START_TEST(what_is_old_counts_half)
{
    struct breaker breaker = {0};
    breaker_count(&breaker, &LIMITS, 96, 4, NOW);
    ck_assert_int_eq(breaker_count(&breaker, &LIMITS, 0, 2, NOW + BREAKER_MEMORY),
                     BREAKER_CLOSED); /* four of 52: too few to tell */
    ck_assert_int_eq(breaker_count(&breaker, &LIMITS, 48, 2, NOW + BREAKER_MEMORY),
                     BREAKER_OPEN); /* six of 102 */
}
END_TEST

START_TEST(a_share_of_one_never_opens_it)
{
    const struct breaker_limits all = {.max_bad_share = 1, .min_rows = 100};
    struct breaker breaker = {0};
    ck_assert_int_eq(breaker_count(&breaker, &all, 0, 100000, NOW), BREAKER_CLOSED);
    breaker_half_open(&breaker);
    ck_assert_int_eq(breaker_count(&breaker, &all, 0, 100, NOW), BREAKER_HALF_OPEN);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        what_comes_makes_the_state,
        what_is_old_counts_half,
        a_share_of_one_never_opens_it,
    };
    return unit_run("breaker", tests, UNIT_COUNT(tests));
}
