/* What is left of a backfill, and how fast it goes: shares and times that a person believes. */
#include "observe/forecast.h"
#include "observe/pace.h"
#include "picture.h"
#include "unit.h"

#define SECOND USEC_PER_SEC
#define START (1000 * SECOND)

/* Two tables to copy, of which none is begun. */
static struct status a_backfill(void)
{
    struct status status = picture_of_health();
    status.backfill_complete = false;
    for (int i = 0; i < 2; i++) {
        status.tables[i].copy = COPY_WAITING;
        status.tables[i].copied_rows = status.tables[i].copied_bytes = 0;
        status.tables[i].estimated_rows = 1000;
        status.tables[i].estimated_bytes = 100000;
    }
    return status;
}

static void copied(struct table_status *table, uint64_t rows, uint64_t bytes, double per_second)
{
    table->copy = COPY_RUNNING;
    table->copied_rows = rows;
    table->copied_bytes = bytes;
    table->copy_rows_per_second = per_second;
}

START_TEST(half_of_a_table_leaves_half_of_the_time)
{
    struct status status = a_backfill();
    status.tables[1].copy = COPY_NOT_NEEDED;
    copied(&status.tables[0], 500, 40000, 50);
    status.backfill_rows_per_second = 50;
    status.backfill_bytes_per_second = 4000;
    forecast_fill(&status);
    ck_assert_double_eq(status.tables[0].copy_share, 0.5);
    ck_assert_int_eq(status.tables[0].copy_eta, 10 * SECOND);
    ck_assert_double_eq(status.backfill_share, 0.5);
    ck_assert_int_eq(status.backfill_eta, 10 * SECOND);
    ck_assert_int_eq(status.backfill_estimated_rows, 1000);
    status_free(&status);
}
END_TEST

/* A row takes as long as 64 bytes do. */
START_TEST(wide_rows_take_time_by_their_bytes_and_narrow_ones_by_their_number)
{
    struct status status = a_backfill();
    copied(&status.tables[0], 500, 5000, 500); /* 500 rows of 10 bytes to come */
    status.tables[1].estimated_rows = 10;      /* and 10 of 100,000 */
    status.tables[1].estimated_bytes = 1000000;
    status.backfill_rows_per_second = 500;
    status.backfill_bytes_per_second = 5000;
    forecast_fill(&status);
    ck_assert_int_eq(status.tables[0].copy_eta, SECOND);
    ck_assert_int_eq(status.backfill_eta / SECOND, (1005000 + 64 * 510) / (5000 + 64 * 500));
    ck_assert_double_eq_tol(status.backfill_share, 37000.0 / (37000 + 1005000 + 64 * 510),
                            1e-9);
    status_free(&status);
}
END_TEST

START_TEST(no_limit_is_passed_by_a_forecast)
{
    struct status status = a_backfill();
    copied(&status.tables[0], 200, 200000,
           100); /* wide rows; 800 to come, and 1000 narrow ones */
    status.backfill_rows_per_second = 100;
    status.backfill_bytes_per_second = 100000;
    forecast_fill(&status);
    ck_assert_int_lt(status.backfill_eta, 18 * SECOND);
    status.limits.copy_rows_per_second = 100;
    forecast_fill(&status);
    ck_assert_int_eq(status.backfill_eta, 18 * SECOND);
    status.limits.copy_bytes_per_second = 10000;
    forecast_fill(&status);
    ck_assert_int_eq(status.backfill_eta, 90 * SECOND);
    status_free(&status);
}
END_TEST

START_TEST(an_estimate_that_was_too_low_is_raised_and_gives_no_time)
{
    struct status status = a_backfill();
    status.tables[1].copy = COPY_DONE;
    status.tables[1].copied_rows = 7;
    copied(&status.tables[0], 5000, 40000, 50);
    status.backfill_rows_per_second = 50;
    forecast_fill(&status);
    ck_assert_int_eq(status.tables[0].estimated_rows, 5000);
    ck_assert_double_eq(status.tables[0].copy_share, 0.99);
    ck_assert_int_eq(status.tables[0].copy_eta, -1);
    ck_assert_int_eq(status.backfill_eta, -1);
    ck_assert_double_eq(status.backfill_share, 0.99);
    ck_assert_int_eq(status.tables[1].estimated_rows, 7);
    ck_assert_int_eq(status.backfill_estimated_rows, 5007);
    status_free(&status);
}
END_TEST

START_TEST(what_stands_gives_no_time)
{
    struct status status = a_backfill();
    forecast_fill(&status);
    ck_assert_int_eq(status.backfill_eta, -1);
    ck_assert_double_eq(status.backfill_share, 0);
    status.backfill_rows_per_second = status.backfill_bytes_per_second = 1e4;
    forecast_fill(&status);
    ck_assert_int_gt(status.backfill_eta, 0);
    status.paused = true;
    forecast_fill(&status);
    ck_assert_int_eq(status.backfill_eta, -1);
    status_free(&status);
}
END_TEST

START_TEST(all_copied_is_no_time_and_complete_is_all)
{
    struct status status = picture_of_health();
    forecast_fill(&status);
    ck_assert_double_eq(status.backfill_share, 1);
    ck_assert_int_eq(status.backfill_eta, 0);
    status.backfill_complete = false; /* the stream has not passed the last snapshot */
    forecast_fill(&status);
    ck_assert_double_eq(status.backfill_share, 0.99);
    ck_assert_int_eq(status.backfill_eta, 0);
    status_free(&status);
}
END_TEST

START_TEST(a_table_without_statistics_is_judged_by_its_size)
{
    struct status status = a_backfill();
    struct table_status *table = &status.tables[0];
    ck_assert_int_eq(forecast_rows_by_size(table), -1);
    copied(table, 100, 7200, 50); /* 72 bytes, 100 as it is stored */
    ck_assert_int_eq(forecast_rows_by_size(table), 1000);
    table->estimated_bytes = -1;
    ck_assert_int_eq(forecast_rows_by_size(table), -1);
    status_free(&status);
}
END_TEST

/* ---- pace ---- */

static double rows_a_second(const struct pace *pace)
{
    double rows, bytes;
    pace_rates(pace, &rows, &bytes);
    ck_assert_double_eq(bytes, 10 * rows);
    return rows;
}

START_TEST(the_rate_is_that_of_the_last_fifteen_seconds)
{
    struct pace pace = {0};
    uint64_t rows = 0;
    ck_assert_double_eq(rows_a_second(&pace), 0);
    for (int i = 0; i < 100; i++) {
        pace_sample(&pace, START + i * SECOND, rows, 10 * rows);
        rows += i < 60 ? 1000 : 50;
    }
    ck_assert_double_eq(rows_a_second(&pace), 50);
}
END_TEST

START_TEST(standing_before_it_goes_is_not_counted_and_after_it_is)
{
    struct pace pace = {0};
    for (int i = 0; i < 10; i++)
        pace_sample(&pace, START + i * SECOND, 0, 0);
    pace_sample(&pace, START + 10 * SECOND, 300, 3000);
    ck_assert_double_eq(rows_a_second(&pace), 300);
    for (int i = 11; i < 13; i++)
        pace_sample(&pace, START + i * SECOND, 300, 3000);
    ck_assert_double_eq(rows_a_second(&pace), 100);
    for (int i = 13; i < 60; i++)
        pace_sample(&pace, START + i * SECOND, 300, 3000);
    ck_assert_double_eq(rows_a_second(&pace), 0);
}
END_TEST

START_TEST(a_copy_that_begins_anew_begins_a_new_rate)
{
    struct pace pace = {0};
    for (int i = 0; i < 40; i++)
        pace_sample(&pace, START + i * SECOND, 1000U * (unsigned)i, 10000U * (unsigned)i);
    pace_sample(&pace, START + 40 * SECOND, 0, 0);
    ck_assert_double_eq(rows_a_second(&pace), 0);
    pace_sample(&pace, START + 41 * SECOND, 20, 200);
    ck_assert_double_eq(rows_a_second(&pace), 20);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        half_of_a_table_leaves_half_of_the_time,
        wide_rows_take_time_by_their_bytes_and_narrow_ones_by_their_number,
        no_limit_is_passed_by_a_forecast,
        an_estimate_that_was_too_low_is_raised_and_gives_no_time,
        what_stands_gives_no_time,
        all_copied_is_no_time_and_complete_is_all,
        a_table_without_statistics_is_judged_by_its_size,
        the_rate_is_that_of_the_last_fifteen_seconds,
        standing_before_it_goes_is_not_counted_and_after_it_is,
        a_copy_that_begins_anew_begins_a_new_rate,
    };
    return unit_run("forecast", tests, UNIT_COUNT(tests));
}
