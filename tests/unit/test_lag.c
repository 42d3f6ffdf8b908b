/* Lag and rates: from readings at given moments, without a clock. */
#include "observe/lag.h"
#include "unit.h"

#include <string.h>

#define SECOND USEC_PER_SEC
#define START (1000 * SECOND)

/* A lag with limits, what is read, and the picture. */
struct bench {
    struct lag lag;
    struct lag_reading reading;
    struct status status;
};

static void open_bench(struct bench *bench)
{
    *bench = (struct bench){
        .reading = {
            .source = 1000, .applied = 1000, .heartbeat_applied = START, .streaming = true}};
    bench->status.limits =
        (struct readiness_limits){.max_lag = 5 * SECOND, .max_lag_bytes = 500};
}

static const struct lag_status *fill(struct bench *bench, usec_t now)
{
    lag_fill(&bench->lag, &bench->reading, now, &bench->status);
    return &bench->status.lag;
}

/* Totals at a moment: source and applied position; rows are a tenth of what is applied. */
static void sample(struct bench *bench, usec_t at, lsn_t source, lsn_t applied)
{
    lag_sample(&bench->lag, &(struct lag_sample){.at = at,
                                                 .rows = applied / 10,
                                                 .transactions = applied / 100,
                                                 .bytes = applied,
                                                 .source = source,
                                                 .applied = applied});
    bench->reading.source = source;
    bench->reading.applied = applied;
}

START_TEST(lag_by_time_is_the_age_of_the_oldest_position_not_reached)
{
    struct bench bench;
    open_bench(&bench);
    lag_mark_position(&bench.lag, 2000, START);
    lag_mark_position(&bench.lag, 3000, START + SECOND);
    bench.reading.source = 3000;
    bench.reading.applied = 1999;
    ck_assert_int_eq(fill(&bench, START + 4 * SECOND)->time, 4 * SECOND);
    bench.reading.applied = 2000;
    ck_assert_int_eq(fill(&bench, START + 4 * SECOND)->time, 3 * SECOND);
    bench.reading.applied = 3000;
    bench.reading.transaction_delay = 70;
    ck_assert_int_eq(fill(&bench, START + 4 * SECOND)->time, 70);
    bench.reading.transaction_delay = 0; /* the source is idle */
    ck_assert_int_eq(fill(&bench, START + 400 * SECOND)->time, 0);
}
END_TEST

START_TEST(lag_by_bytes_is_the_distance)
{
    struct bench bench;
    open_bench(&bench);
    bench.reading.source = 5000;
    bench.reading.applied = 4000;
    ck_assert_int_eq(fill(&bench, START)->bytes, 1000);
    bench.reading.applied = 6000; /* the source was read before */
    ck_assert_int_eq(fill(&bench, START)->bytes, 0);
}
END_TEST

START_TEST(end_to_end_lag_is_the_age_of_the_heartbeat_under_way)
{
    struct bench bench;
    open_bench(&bench);
    bench.reading.heartbeat_applied = 0;
    lag_mark_heartbeat(&bench.lag, START);
    lag_mark_heartbeat(&bench.lag, START + SECOND);
    ck_assert(fill(&bench, START + SECOND)->end_to_end_known);
    ck_assert(!bench.status.lag.heartbeat_came);
    ck_assert_int_eq(bench.status.lag.end_to_end, SECOND);
    bench.reading.heartbeat_applied = START;
    ck_assert(fill(&bench, START + 3 * SECOND)->heartbeat_came);
    ck_assert_int_eq(bench.status.lag.end_to_end, 2 * SECOND);
    bench.reading.heartbeat_applied = START + SECOND;
    bench.reading.heartbeat_delay = 12345;
    ck_assert_int_eq(fill(&bench, START + 3 * SECOND)->end_to_end, 12345);
}
END_TEST

START_TEST(end_to_end_lag_is_unknown_until_a_heartbeat_is_sent)
{
    struct bench bench;
    open_bench(&bench);
    bench.reading.heartbeat_applied = 0;
    ck_assert(!fill(&bench, START)->end_to_end_known);
}
END_TEST

START_TEST(the_oldest_mark_survives_however_many_follow)
{
    struct bench bench;
    open_bench(&bench);
    bench.reading.applied = 0;
    for (int i = 1; i <= 3 * LAG_MARKS; i++)
        lag_mark_position(&bench.lag, (lsn_t)i, START + i);
    ck_assert_int_eq(fill(&bench, START + 10 * SECOND)->time, 10 * SECOND - 1);
    bench.reading.applied = LAG_MARKS - 1;
    ck_assert_int_eq(fill(&bench, START + 10 * SECOND)->time, 10 * SECOND - 3 * LAG_MARKS);
    bench.reading.applied = 3 * LAG_MARKS;
    ck_assert_int_eq(fill(&bench, START + 10 * SECOND)->time, 0);
}
END_TEST

START_TEST(lag_is_not_known_while_nothing_streams_or_the_source_is_unknown)
{
    struct bench bench;
    open_bench(&bench);
    ck_assert(fill(&bench, START)->known);
    bench.reading.streaming = false;
    ck_assert(!fill(&bench, START)->known);
    bench.reading.streaming = true;
    bench.reading.source = LSN_NONE;
    ck_assert(!fill(&bench, START)->known);
}
END_TEST

START_TEST(rates_are_taken_over_the_window)
{
    struct bench bench;
    open_bench(&bench);
    sample(&bench, START, 0, 0); /* too old when asked */
    sample(&bench, START + 5 * SECOND, 50000, 20000);
    sample(&bench, START + 15 * SECOND, 50000, 40000);
    fill(&bench, START + 15 * SECOND);
    ck_assert_double_eq_tol(bench.status.rows_per_second, 200, 1e-6);
    ck_assert_double_eq_tol(bench.status.transactions_per_second, 20, 1e-6);
    ck_assert_double_eq_tol(bench.status.bytes_per_second, 2000, 1e-6);
    ck_assert_int_eq(bench.status.lag.eta, 5 * SECOND); /* 10000 bytes at 2000 a second */
}
END_TEST

START_TEST(slow_progress_is_no_progress)
{
    struct bench bench;
    open_bench(&bench);
    sample(&bench, START, 10010, 10000);
    sample(&bench, START + SECOND, 10010, 10001); /* a byte a second */
    ck_assert_int_eq(fill(&bench, START + SECOND)->eta, 9 * SECOND);
    sample(&bench, START + 2 * SECOND, 10010, 10001); /* less than that */
    ck_assert_int_eq(fill(&bench, START + 2 * SECOND)->eta, -1);
}
END_TEST

START_TEST(a_ring_of_samples_forgets_the_first)
{
    struct bench bench;
    open_bench(&bench);
    for (int i = 0; i <= 2 * LAG_SAMPLES; i++)
        sample(&bench, START + i * SECOND / 10, 100000, (lsn_t)i * 100);
    fill(&bench, START + 2 * LAG_SAMPLES * SECOND / 10);
    ck_assert_double_eq_tol(bench.status.bytes_per_second, 1000, 1e-6);
}
END_TEST

START_TEST(no_rate_comes_from_fewer_than_two_samples)
{
    struct bench bench;
    open_bench(&bench);
    ck_assert_int_eq(fill(&bench, START)->eta, -1);
    sample(&bench, START, 2000, 1000);
    ck_assert_int_eq(fill(&bench, START)->eta, -1);
    ck_assert_double_eq(bench.status.rows_per_second, 0);
    fill(&bench, START + 60 * SECOND); /* nor from old ones */
    ck_assert_int_eq(bench.status.lag.eta, -1);
}
END_TEST

START_TEST(a_count_that_went_back_is_no_rate)
{
    struct bench bench;
    open_bench(&bench);
    sample(&bench, START, 5000, 4000);
    sample(&bench, START + SECOND, 5000, 3000); /* the stream began again */
    fill(&bench, START + SECOND);
    ck_assert_double_eq(bench.status.rows_per_second, 0);
    ck_assert_int_eq(bench.status.lag.eta, -1);
}
END_TEST

START_TEST(the_time_to_go_is_known_only_while_it_gains)
{
    struct bench bench;
    open_bench(&bench);
    sample(&bench, START, 10000, 1000);
    sample(&bench, START + SECOND, 12000, 2000); /* the source is faster */
    ck_assert_int_eq(fill(&bench, START + SECOND)->eta, -1);
    sample(&bench, START + 2 * SECOND, 12000, 12000);
    ck_assert_int_eq(fill(&bench, START + 2 * SECOND)->eta, 0);
    bench.reading.streaming = false;
    ck_assert_int_eq(fill(&bench, START + 2 * SECOND)->eta, -1);
}
END_TEST

START_TEST(below_since_holds_while_every_lag_is_under_its_limit)
{
    struct bench bench;
    open_bench(&bench);
    ck_assert_int_eq(fill(&bench, START)->below_since, START);
    ck_assert_int_eq(fill(&bench, START + SECOND)->below_since, START);
    ck_assert_int_eq(fill(&bench, START + 9 * SECOND)->below_since, START);
}
END_TEST

static void too_many_bytes(struct bench *bench)
{
    bench->reading.source = bench->reading.applied + 501;
}

static void too_old_a_position(struct bench *bench)
{
    lag_mark_position(&bench->lag, bench->reading.applied + 1, START - 5 * SECOND);
}

static void too_old_a_heartbeat(struct bench *bench)
{
    lag_mark_heartbeat(&bench->lag, START + 1 - 6 * SECOND);
    bench->reading.heartbeat_applied = START - 6 * SECOND;
}

static void no_heartbeat(struct bench *bench)
{
    bench->reading.heartbeat_applied = 0;
}

static void the_first_heartbeat_under_way(struct bench *bench)
{
    bench->reading.heartbeat_applied = 0;
    lag_mark_heartbeat(&bench->lag, START + SECOND);
}

static void no_stream(struct bench *bench)
{
    bench->reading.streaming = false;
}

START_TEST(one_lag_over_its_limit_begins_the_hold_again)
{
    static void (*const TROUBLES[])(struct bench *) = {too_many_bytes,
                                                       too_old_a_position,
                                                       too_old_a_heartbeat,
                                                       no_heartbeat,
                                                       the_first_heartbeat_under_way,
                                                       no_stream};
    for (size_t i = 0; i < UNIT_COUNT(TROUBLES); i++) {
        struct bench bench, calm;
        open_bench(&bench);
        fill(&bench, START);
        calm = bench;
        TROUBLES[i](&bench);
        ck_assert_msg(fill(&bench, START + SECOND)->below_since == 0, "trouble %zu", i);
        bench.reading = calm.reading;
        bench.lag.positions.count = bench.lag.heartbeats.count = 0;
        ck_assert_int_eq(fill(&bench, START + 2 * SECOND)->below_since, START + 2 * SECOND);
    }
}
END_TEST

START_TEST(at_its_limit_a_lag_is_still_good)
{
    struct bench bench;
    open_bench(&bench);
    bench.reading.source = bench.reading.applied + 500;
    lag_mark_position(&bench.lag, bench.reading.source, START - 5 * SECOND);
    ck_assert_int_eq(fill(&bench, START)->below_since, START);
    ck_assert_int_eq(fill(&bench, START + 1)->below_since, 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        lag_by_time_is_the_age_of_the_oldest_position_not_reached,
        lag_by_bytes_is_the_distance,
        end_to_end_lag_is_the_age_of_the_heartbeat_under_way,
        end_to_end_lag_is_unknown_until_a_heartbeat_is_sent,
        the_oldest_mark_survives_however_many_follow,
        lag_is_not_known_while_nothing_streams_or_the_source_is_unknown,
        rates_are_taken_over_the_window,
        slow_progress_is_no_progress,
        a_ring_of_samples_forgets_the_first,
        no_rate_comes_from_fewer_than_two_samples,
        a_count_that_went_back_is_no_rate,
        the_time_to_go_is_known_only_while_it_gains,
        below_since_holds_while_every_lag_is_under_its_limit,
        one_lag_over_its_limit_begins_the_hold_again,
        at_its_limit_a_lag_is_still_good,
    };
    return unit_run("lag", tests, UNIT_COUNT(tests));
}
