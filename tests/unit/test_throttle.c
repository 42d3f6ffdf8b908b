/* The throttle and the brake: rates by a clock of the test's own, and causes that hold by
 * themselves. */
#include "backfill/brake.h"
#include "backfill/throttle.h"
#include "unit.h"

#include <string.h>

#define SECOND USEC_PER_SEC
#define START (1000 * SECOND)

/* A worker that reads rows of a size as fast as it may, from `now` on; when it ends. */
static usec_t read_rows(struct throttle *throttle, usec_t now, uint64_t rows, uint64_t bytes)
{
    struct throttle_account account = {0};
    for (uint64_t i = 0; i < rows; i++) {
        if (!throttle_count(throttle, &account, bytes))
            continue;
        usec_t until = throttle_take(throttle, &account, now);
        now = until > now ? until : now;
    }
    usec_t until = throttle_take(throttle, &account, now);
    return until > now ? until : now;
}

static void expect_seconds(usec_t took, double seconds)
{
    double found = (double)took / SECOND;
    ck_assert_msg(found > seconds - 0.12 && found < seconds + 0.02, "%f s, not %f", found,
                  seconds);
}

START_TEST(rows_go_at_their_rate_whatever_it_is)
{
    static const uint64_t RATES[] = {1, 7, 49, 1000, 33333, 1000000};
    for (size_t i = 0; i < UNIT_COUNT(RATES); i++) {
        struct throttle throttle;
        throttle_init(&throttle, RATES[i], 0);
        expect_seconds(read_rows(&throttle, START, 10 * RATES[i], 100) - START, 10.0);
        throttle_free(&throttle);
    }
}
END_TEST

START_TEST(bytes_go_at_their_rate_also_when_one_row_is_more_than_a_second)
{
    struct throttle throttle;
    throttle_init(&throttle, 0, 1000);
    expect_seconds(read_rows(&throttle, START, 3, 5000) - START, 15.0);
    expect_seconds(read_rows(&throttle, START + 15 * SECOND, 9000, 1) - START, 24.0);
    throttle_free(&throttle);
}
END_TEST

START_TEST(the_tighter_of_two_limits_counts)
{
    struct throttle throttle;
    throttle_init(&throttle, 100, 1000);
    expect_seconds(read_rows(&throttle, START, 1000, 1) - START, 10.0);
    expect_seconds(read_rows(&throttle, START + 10 * SECOND, 100, 100) - START, 20.0);
    throttle_free(&throttle);
}
END_TEST

START_TEST(idle_time_is_not_saved_up)
{
    struct throttle throttle;
    throttle_init(&throttle, 100, 0);
    (void)read_rows(&throttle, START, 100, 1);
    expect_seconds(read_rows(&throttle, START + 3600 * SECOND, 100, 1) - START, 3601.0);
    throttle_free(&throttle);
}
END_TEST

START_TEST(workers_go_on_in_the_order_in_which_they_took)
{
    struct throttle throttle;
    throttle_init(&throttle, 10, 0);
    usec_t last = START - SECOND;
    for (int round = 0; round < 5; round++) {
        for (int worker = 0; worker < 3; worker++) {
            struct throttle_account account = {.rows = 1};
            usec_t until = throttle_take(&throttle, &account, START);
            ck_assert_int_gt(until, last);
            ck_assert_uint_eq(account.rows, 0);
            last = until;
        }
    }
    expect_seconds(last - START, 1.5); /* of all of them together */
    throttle_free(&throttle);
}
END_TEST

START_TEST(without_limits_there_is_nothing_to_wait_for)
{
    struct throttle throttle;
    struct throttle_account account = {0};
    throttle_init(&throttle, 0, 0);
    ck_assert(!throttle_limits(&throttle));
    ck_assert(!throttle_count(&throttle, &account, UINT64_MAX / 2));
    ck_assert_int_le(throttle_take(&throttle, &account, START), START);
    ck_assert(!throttle_is_slowing(&throttle, START));
    ck_assert_uint_eq(throttle_rows_in(&throttle, SECOND), UINT64_MAX);
    throttle_free(&throttle);
}
END_TEST

START_TEST(it_says_that_it_slows_while_it_does_and_shortly_after)
{
    struct throttle throttle;
    throttle_init(&throttle, 10, 0);
    struct throttle_account account = {.rows = 1};
    (void)throttle_take(&throttle, &account, START); /* within what idle time gives */
    ck_assert(!throttle_is_slowing(&throttle, START));
    account.rows = 10;
    usec_t until = throttle_take(&throttle, &account, START);
    ck_assert(throttle_is_slowing(&throttle, START));
    ck_assert(throttle_is_slowing(&throttle, until + SECOND));
    ck_assert(!throttle_is_slowing(&throttle, until + 3 * SECOND));
    ck_assert_uint_eq(throttle_rows_in(&throttle, SECOND / 2), 5);
    throttle_free(&throttle);
}
END_TEST

START_TEST(the_brake_holds_while_one_cause_does)
{
    struct brake brake;
    struct brake_hold holds[BRAKE_CAUSES];
    brake_init(&brake);
    ck_assert(!brake_is_on(&brake));
    ck_assert(brake_set(&brake, BRAKE_PAUSED, true, "paused"));
    ck_assert(!brake_set(&brake, BRAKE_PAUSED, true, "paused still"));
    ck_assert(brake_set(&brake, BRAKE_REPLICA_LAG, true, "7 s"));
    ck_assert(brake_set(&brake, BRAKE_PAUSED, false, "over"));
    ck_assert(brake_is_on(&brake));
    brake_read(&brake, holds);
    ck_assert(!holds[BRAKE_PAUSED].holds && holds[BRAKE_REPLICA_LAG].holds);
    ck_assert_str_eq(holds[BRAKE_PAUSED].detail, "");
    ck_assert_str_eq(holds[BRAKE_REPLICA_LAG].detail, "7 s");
    ck_assert(brake_set(&brake, BRAKE_REPLICA_LAG, false, ""));
    ck_assert(!brake_is_on(&brake));
    brake_free(&brake);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rows_go_at_their_rate_whatever_it_is,
        bytes_go_at_their_rate_also_when_one_row_is_more_than_a_second,
        the_tighter_of_two_limits_counts,
        idle_time_is_not_saved_up,
        workers_go_on_in_the_order_in_which_they_took,
        without_limits_there_is_nothing_to_wait_for,
        it_says_that_it_slows_while_it_does_and_shortly_after,
        the_brake_holds_while_one_cause_does,
    };
    return unit_run("throttle", tests, UNIT_COUNT(tests));
}
