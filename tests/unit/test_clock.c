/* Clocks: conversions, and their ends. */
#include "base/clock.h"
#include "unit.h"

START_TEST(the_monotonic_clock_does_not_run_backwards)
{
    usec_t before = clock_monotonic();
    for (int i = 0; i < 1000; i++) {
        usec_t now = clock_monotonic();
        ck_assert_int_ge(now, before);
        before = now;
    }
}
END_TEST

START_TEST(the_wall_clock_counts_microseconds_since_1970)
{
    usec_t now = clock_wall();
    ck_assert_int_le(llabs(now / USEC_PER_SEC - (long long)time(NULL)), 1);
}
END_TEST

START_TEST(postgres_counts_from_the_year_2000)
{
    char text[32];
    ck_assert_str_eq(clock_format_wall(clock_from_postgres(0), text, sizeof(text)),
                     "2000-01-01T00:00:00.000Z");
    ck_assert_int_eq(clock_to_postgres(clock_from_postgres(817351646123456)), 817351646123456);
}
END_TEST

START_TEST(a_time_at_the_end_of_its_type_does_not_wrap)
{
    ck_assert(clock_from_postgres(INT64_MAX) == INT64_MAX); /* 'infinity' */
    ck_assert(clock_to_postgres(INT64_MIN) == INT64_MIN);
}
END_TEST

START_TEST(a_wall_time_is_printed_in_utc_with_milliseconds)
{
    static const struct {
        usec_t wall;
        const char *text;
    } rows[] = {
        {1795228046123999, "2026-11-21T02:27:26.123Z"},
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {1709164800000000, "2024-02-29T00:00:00.000Z"},
    };
    char text[32];
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        ck_assert_str_eq(clock_format_wall(rows[i].wall, text, sizeof(text)), rows[i].text);
}
END_TEST

START_TEST(a_deadline_is_a_timespec_that_the_kernel_takes)
{
    struct timespec at = clock_timespec(1500001);
    ck_assert_int_eq(at.tv_sec, 1);
    ck_assert_int_eq(at.tv_nsec, 500001000);
    at = clock_timespec(-5);
    ck_assert_int_eq(at.tv_sec, 0);
    ck_assert_int_eq(at.tv_nsec, 0);
    at = clock_timespec(INT64_MAX);
    ck_assert(at.tv_sec > 0 && at.tv_nsec >= 0 && at.tv_nsec < 1000000000);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_monotonic_clock_does_not_run_backwards,
        the_wall_clock_counts_microseconds_since_1970,
        postgres_counts_from_the_year_2000,
        a_time_at_the_end_of_its_type_does_not_wrap,
        a_wall_time_is_printed_in_utc_with_milliseconds,
        a_deadline_is_a_timespec_that_the_kernel_takes,
    };
    return unit_run("clock", tests, UNIT_COUNT(tests));
}
