/* Progress of a run and the pauses between attempts. */
#include "pipeline/backoff.h"
#include "pipeline/progress.h"
#include "unit.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

static const struct err TROUBLE = {.class = ERR_RETRY, .message = "connection lost"};

static void expect_rate(struct progress *progress, double rate)
{
    ck_assert_double_eq_tol(progress_error_rate(progress), rate, 1e-9);
}

START_TEST(a_new_progress_knows_nothing)
{
    struct progress progress;
    eventfd_t woken;
    progress_init(&progress, 0);
    ck_assert_ptr_nonnull(progress.tables);
    ck_assert_int_ne(eventfd_read(progress.idle_fd, &woken), 0);
    ck_assert_uint_eq(counter_get(&progress.applied), LSN_NONE);
    ck_assert_str_eq(progress.last_error, "");
    expect_rate(&progress, 0);
    progress_free(&progress);
}
END_TEST

START_TEST(every_table_has_its_counters)
{
    struct progress progress;
    progress_init(&progress, 3);
    ck_assert_uint_eq(progress.table_count, 3);
    counter_add(&progress.tables[2].received, 5);
    counter_add(&progress.tables[2].received, 2);
    counter_set(&progress.tables[1].copied_rows, 9);
    ck_assert_uint_eq(counter_get(&progress.tables[2].received), 7);
    ck_assert_uint_eq(counter_get(&progress.tables[1].copied_rows), 9);
    ck_assert_uint_eq(counter_get(&progress.tables[0].received), 0);
    progress_free(&progress);
}
END_TEST

START_TEST(what_is_applied_adds_up)
{
    struct progress progress;
    progress_init(&progress, 1);
    progress_applied(&progress, 100, 0, 0);
    progress_applied(&progress, 250, 0, 0);
    ck_assert_uint_eq(counter_get(&progress.applied), 250);
    ck_assert_uint_eq(counter_get(&progress.batches), 2);
    ck_assert_uint_eq(counter_get(&progress.durable), LSN_NONE);
    progress_free(&progress);
}
END_TEST

START_TEST(a_batch_without_commit_or_heartbeat_leaves_the_last_ones)
{
    struct progress progress;
    usec_t now = clock_monotonic(), wall = clock_wall();
    progress_init(&progress, 1);
    progress_applied(&progress, 100, wall - 5 * USEC_PER_SEC, now - 2 * USEC_PER_SEC);
    progress_applied(&progress, 200, 0, 0);
    ck_assert_int_eq(progress.last_commit_at, wall - 5 * USEC_PER_SEC);
    ck_assert_int_ge(progress.last_delay, 5 * USEC_PER_SEC);
    ck_assert_int_le(progress.last_delay, clock_wall() - progress.last_commit_at);
    ck_assert_int_eq(progress.heartbeat_emitted, now - 2 * USEC_PER_SEC);
    ck_assert_int_ge(progress.heartbeat_delay, 2 * USEC_PER_SEC);
    ck_assert_int_ge(progress.last_applied_at, now);
    progress_free(&progress);
}
END_TEST

START_TEST(a_heartbeat_dates_commits_whatever_the_wall_clocks_say)
{
    struct progress progress;
    usec_t hour = 3600 * USEC_PER_SEC;
    usec_t source = clock_wall() + hour; /* its clock is an hour ahead of ours */
    progress_init(&progress, 1);
    progress_heartbeat(&progress, clock_monotonic(), source);
    progress_applied(&progress, 10, source - 2 * USEC_PER_SEC, 0);
    ck_assert_int_ge(progress.last_delay, 2 * USEC_PER_SEC);
    ck_assert_int_lt(progress.last_delay, 60 * USEC_PER_SEC);
    progress_free(&progress);
}
END_TEST

START_TEST(a_failure_is_kept_with_its_time)
{
    struct progress progress;
    struct err longest = {.class = ERR_RETRY};
    usec_t before = clock_wall();
    progress_init(&progress, 1);
    progress_failed(&progress, &TROUBLE);
    ck_assert_str_eq(progress.last_error, "connection lost");
    ck_assert_int_ge(progress.last_error_at, before);
    memset(longest.message, 'x', sizeof(longest.message) - 1);
    progress_failed(&progress, &longest);
    ck_assert_uint_eq(strlen(progress.last_error), sizeof(progress.last_error) - 1);
    ck_assert_uint_eq(counter_get(&progress.errors), 2);
    progress_free(&progress);
}
END_TEST

START_TEST(the_error_rate_is_the_share_of_failed_attempts)
{
    struct progress progress;
    progress_init(&progress, 1);
    progress_failed(&progress, &TROUBLE);
    expect_rate(&progress, 1);
    for (int i = 0; i < 3; i++)
        progress_applied(&progress, 100, 0, 0);
    expect_rate(&progress, 0.25);
    progress_free(&progress);
}
END_TEST

/* Moves what was counted into the past: each second to the slot it has there. */
static void grow_old(struct progress *progress, int64_t seconds)
{
    __typeof__(progress->window) old;
    memcpy(old, progress->window, sizeof(old));
    memset(progress->window, 0, sizeof(progress->window));
    for (int i = 0; i < PROGRESS_WINDOW; i++) {
        int64_t second = old[i].second - seconds; /* may be before the boot */
        int64_t slot = (second % PROGRESS_WINDOW + PROGRESS_WINDOW) % PROGRESS_WINDOW;
        if (old[i].second == 0)
            continue;
        progress->window[slot] = old[i];
        progress->window[slot].second = second;
    }
}

START_TEST(what_is_older_than_the_window_does_not_count)
{
    struct progress progress;
    progress_init(&progress, 1);
    progress_failed(&progress, &TROUBLE);
    grow_old(&progress, PROGRESS_WINDOW / 2);
    progress_applied(&progress, 100, 0, 0);
    expect_rate(&progress, 0.5);
    grow_old(&progress, PROGRESS_WINDOW / 2);
    expect_rate(&progress, 0);
    progress_free(&progress);
}
END_TEST

START_TEST(a_second_of_an_earlier_round_is_counted_anew)
{
    struct progress progress;
    progress_init(&progress, 1);
    for (int i = 0; i < PROGRESS_WINDOW; i++) {
        progress.window[i].second = clock_monotonic() / USEC_PER_SEC - PROGRESS_WINDOW - i;
        progress.window[i].failed = 1000;
    }
    progress_applied(&progress, 100, 0, 0);
    expect_rate(&progress, 0);
    progress_failed(&progress, &TROUBLE);
    expect_rate(&progress, 0.5);
    progress_free(&progress);
}
END_TEST

#define EACH 5000

static void *succeed_and_fail(void *data)
{
    for (int i = 0; i < EACH; i++) {
        progress_applied(data, 100, clock_wall(), clock_monotonic());
        progress_failed(data, &TROUBLE);
        if (i % 100 == 0)
            (void)progress_error_rate(data);
    }
    return NULL;
}

START_TEST(threads_lose_nothing_of_each_other)
{
    struct progress progress;
    pthread_t threads[4];
    uint64_t good = 0, failed = 0;
    progress_init(&progress, 1);
    for (size_t i = 0; i < UNIT_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, succeed_and_fail, &progress);
    for (size_t i = 0; i < UNIT_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PROGRESS_WINDOW; i++) {
        good += progress.window[i].good;
        failed += progress.window[i].failed;
    }
    ck_assert_uint_eq(good, UNIT_COUNT(threads) * EACH);
    ck_assert_uint_eq(failed, UNIT_COUNT(threads) * EACH);
    ck_assert_uint_eq(counter_get(&progress.errors), UNIT_COUNT(threads) * EACH);
    ck_assert_uint_eq(counter_get(&progress.batches), UNIT_COUNT(threads) * EACH);
    progress_free(&progress);
}
END_TEST

/* ---- backoff ---- */

START_TEST(pauses_double_up_to_the_longest_and_begin_again_after_a_reset)
{
    struct stop stop;
    struct backoff backoff = backoff_between(100, 500);
    stop_init(&stop);
    static const usec_t NEXT[] = {200, 400, 500, 500};
    for (size_t i = 0; i < UNIT_COUNT(NEXT); i++) {
        ck_assert(!backoff_wait(&backoff, &stop));
        ck_assert_int_eq(backoff.next, NEXT[i]);
    }
    backoff_reset(&backoff);
    ck_assert_int_eq(backoff.next, 100);
    stop_free(&stop);
}
END_TEST

START_TEST(a_pause_lasts_three_quarters_at_least)
{
    struct stop stop;
    stop_init(&stop);
    for (int i = 0; i < 20; i++) {
        struct backoff backoff = backoff_between(4 * USEC_PER_MS, USEC_PER_SEC);
        usec_t before = clock_monotonic();
        ck_assert(!backoff_wait(&backoff, &stop));
        ck_assert_int_ge(clock_monotonic() - before, 3 * USEC_PER_MS);
    }
    stop_free(&stop);
}
END_TEST

/* One that is never shorter would bring all clients back at the same moment. */
START_TEST(a_pause_is_now_and_then_shorter_than_its_time)
{
    struct stop stop;
    usec_t slept = 0, until = clock_monotonic() + 30 * USEC_PER_SEC;
    stop_init(&stop);
    do {
        struct backoff backoff = backoff_between(20 * USEC_PER_MS, USEC_PER_SEC);
        usec_t before = clock_monotonic();
        ck_assert(!backoff_wait(&backoff, &stop));
        slept = clock_monotonic() - before;
        ck_assert_int_lt(before, until);
    } while (slept >= 20 * USEC_PER_MS);
    stop_free(&stop);
}
END_TEST

START_TEST(a_stop_ends_a_pause_at_once)
{
    struct stop stop;
    struct backoff backoff = backoff_between(3600 * USEC_PER_SEC, 7200 * USEC_PER_SEC);
    stop_init(&stop);
    stop_request(&stop);
    ck_assert(backoff_wait(&backoff, &stop)); /* or the test is ended by its time limit */
    stop_free(&stop);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_new_progress_knows_nothing,
        every_table_has_its_counters,
        what_is_applied_adds_up,
        a_batch_without_commit_or_heartbeat_leaves_the_last_ones,
        a_heartbeat_dates_commits_whatever_the_wall_clocks_say,
        a_failure_is_kept_with_its_time,
        the_error_rate_is_the_share_of_failed_attempts,
        what_is_older_than_the_window_does_not_count,
        a_second_of_an_earlier_round_is_counted_anew,
        threads_lose_nothing_of_each_other,
        pauses_double_up_to_the_longest_and_begin_again_after_a_reset,
        a_pause_lasts_three_quarters_at_least,
        a_pause_is_now_and_then_shorter_than_its_time,
        a_stop_ends_a_pause_at_once,
    };
    return unit_run("progress", tests, UNIT_COUNT(tests));
}
