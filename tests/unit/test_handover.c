/* When a batch goes to the applier. */
#include "pipeline/handover.h"
#include "unit.h"

#define LATE (HANDOVER_BEHIND + 1)
#define NOW (1000 * USEC_PER_SEC)

START_TEST(an_empty_batch_stays)
{
    struct handover handover = {0};
    ck_assert(!handover_is_due(&handover, NOW));
    ck_assert_int_eq(handover_deadline(&handover), 0);
    handover_grew(&handover, 1, LATE, NOW);
    handover_done(&handover);
    ck_assert(!handover_is_due(&handover, NOW + 60 * USEC_PER_SEC));
    ck_assert_int_eq(handover_deadline(&handover), 0);
}
END_TEST

START_TEST(caught_up_it_goes_at_once)
{
    struct handover handover = {0};
    handover_grew(&handover, 1, 2 * USEC_PER_MS, NOW);
    ck_assert(handover_is_due(&handover, NOW));
    ck_assert_int_eq(handover_deadline(&handover), 0); /* no timer */
}
END_TEST

START_TEST(behind_it_waits_for_silence)
{
    struct handover handover = {0};
    handover_grew(&handover, 1, LATE, NOW);
    handover_grew(&handover, 1, LATE, NOW + 100 * USEC_PER_MS);
    usec_t silent = NOW + 100 * USEC_PER_MS + HANDOVER_QUIET;
    ck_assert(!handover_is_due(&handover, silent - 1));
    ck_assert_int_eq(handover_deadline(&handover), silent);
    ck_assert(handover_is_due(&handover, silent));
}
END_TEST

START_TEST(behind_an_ample_one_goes_at_once)
{
    struct handover handover = {0};
    handover_grew(&handover, HANDOVER_AMPLE - 1, LATE, NOW);
    ck_assert(!handover_is_due(&handover, NOW));
    handover_grew(&handover, HANDOVER_AMPLE, LATE, NOW);
    ck_assert(handover_is_due(&handover, NOW));
    handover_done(&handover);
    handover_grew(&handover, 1, LATE, NOW);
    ck_assert(!handover_is_due(&handover, NOW));
}
END_TEST

START_TEST(behind_it_waits_no_longer_than_the_patience_though_more_trickles_in)
{
    struct handover handover = {0};
    usec_t now = NOW;
    int grew = 0;
    do {
        handover_grew(&handover, 1, LATE, now);
        now += HANDOVER_QUIET / 2;
        grew++;
    } while (!handover_is_due(&handover, now));
    ck_assert_int_eq(now, NOW + HANDOVER_PATIENCE);
    ck_assert_int_gt(grew, 10);
}
END_TEST

START_TEST(a_batch_after_the_other_waits_anew)
{
    struct handover handover = {0};
    handover_grew(&handover, 1, LATE, NOW);
    handover_done(&handover);
    handover_grew(&handover, 1, LATE, NOW + 10 * USEC_PER_SEC);
    ck_assert(!handover_is_due(&handover, NOW + 10 * USEC_PER_SEC + HANDOVER_QUIET - 1));
    ck_assert(handover_is_due(&handover, NOW + 10 * USEC_PER_SEC + HANDOVER_QUIET));
}
END_TEST

START_TEST(between_the_two_bounds_it_stays_as_it_was)
{
    struct handover handover = {0};
    usec_t between = (HANDOVER_BEHIND + HANDOVER_NEAR) / 2;
    handover_grew(&handover, 1, between, NOW);
    ck_assert(!handover.behind);
    handover_grew(&handover, 1, LATE, NOW);
    ck_assert(handover.behind);
    handover_grew(&handover, 1, between, NOW);
    ck_assert(handover.behind);
    handover_grew(&handover, 1, HANDOVER_NEAR - 1, NOW);
    ck_assert(!handover.behind);
    handover_grew(&handover, 1, between, NOW);
    ck_assert(!handover.behind);
}
END_TEST

/* A source whose commits lie in the future, for its clock was set back. */
START_TEST(a_lag_below_zero_is_none)
{
    struct handover handover = {0};
    handover_grew(&handover, 1, -3600 * USEC_PER_SEC, NOW);
    ck_assert(handover_is_due(&handover, NOW));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_empty_batch_stays,
        caught_up_it_goes_at_once,
        behind_it_waits_for_silence,
        behind_an_ample_one_goes_at_once,
        behind_it_waits_no_longer_than_the_patience_though_more_trickles_in,
        a_batch_after_the_other_waits_anew,
        between_the_two_bounds_it_stays_as_it_was,
        a_lag_below_zero_is_none,
    };
    return unit_run("handover", tests, UNIT_COUNT(tests));
}
