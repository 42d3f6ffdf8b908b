/* Units: what is understood, what is refused, what is printed. */
#include "base/units.h"
#include "unit.h"

START_TEST(durations_name_their_unit)
{
    static const struct {
        const char *text;
        usec_t duration;
    } rows[] = {
        {"0", 0},
        {"250ms", 250000},
        {"5s", 5000000},
        {"2m", 120000000},
        {"2min", 120000000},
        {"1h", 3600000000},
        {"1d", 86400000000},
        {"7us", 7},
        {"1.5s", 1500000},
        {"0.1s", 100000},
        {"0.000001s", 1},
        {"10 s", 10000000},
        {"0ms", 0},
        {"106751991d", 106751991 * 86400000000},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        usec_t duration = -1;
        ck_assert_msg(units_parse_duration(rows[i].text, &duration), "%s", rows[i].text);
        ck_assert_msg(duration == rows[i].duration, "%s gave %lld", rows[i].text,
                      (long long)duration);
    }
}
END_TEST

START_TEST(another_word_for_a_unit_is_told)
{
    static const struct {
        const char *text, *duration, *size;
    } rows[] = {
        {"5sec", "5s", NULL},      {"5 seconds", "5s", NULL}, {"1.5 Hours", "1.5h", NULL},
        {"2 Minutes", "2m", NULL}, {"16Mb", NULL, "16MB"},    {"1 gigabyte", NULL, "1GB"},
        {"64KIB", NULL, "64KiB"},  {"7 bytes", NULL, "7B"},   {"5x", NULL, NULL},
        {"five s", NULL, NULL},    {"5", NULL, NULL},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char near[32] = "";
        bool told = units_nearest_duration(rows[i].text, near, sizeof(near));
        ck_assert_msg(told == (rows[i].duration != NULL), "%s gave %s", rows[i].text, near);
        if (told)
            ck_assert_str_eq(near, rows[i].duration);
        if (rows[i].duration)
            continue;
        told = units_nearest_size(rows[i].text, near, sizeof(near));
        ck_assert_msg(told == (rows[i].size != NULL), "%s gave %s", rows[i].text, near);
        if (told)
            ck_assert_str_eq(near, rows[i].size);
    }
}
END_TEST

START_TEST(a_duration_without_or_with_a_strange_unit_is_refused)
{
    static const char *const texts[] = {
        "5",
        "",
        "s",
        "5 ",
        "-5s",
        "+5s",
        "5x",
        "5ss",
        "5  s",
        " 5s",
        "5s ",
        "1,5s",
        "1.s",
        ".5s",
        "1.5.5s",
        "0.0000001s",
        "99999999999999999999s",
        "106751992d",
        "1e3s",
        "5S",
        "5kB",
        "00",
    };
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        usec_t duration = 42;
        ck_assert_msg(!units_parse_duration(texts[i], &duration), "%s", texts[i]);
        ck_assert_int_eq(duration, 42);
    }
}
END_TEST

START_TEST(sizes_are_powers_of_1024)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"0", 0},
        {"4096", 4096},
        {"64kB", 65536},
        {"16MB", 16777216},
        {"1GiB", 1 << 30},
        {"1GB", 1 << 30},
        {"2TB", 2ull << 40},
        {"1.5kB", 1536},
        {"10 MB", 10485760},
        {"7B", 7},
        {"1KiB", 1024},
        {"3MiB", 3145728},
        {"1TiB", 1ull << 40},
        {"18446744073709551615", UINT64_MAX},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        uint64_t bytes = 42;
        ck_assert_msg(units_parse_size(rows[i].text, &bytes), "%s", rows[i].text);
        ck_assert_msg(bytes == rows[i].bytes, "%s gave %llu", rows[i].text,
                      (unsigned long long)bytes);
    }
}
END_TEST

START_TEST(a_size_that_nobody_can_mean_is_refused)
{
    static const char *const texts[] = {
        "",           "kB",     "-1",
        "1 ",         "1XB",    "1Mb",
        "1M",         "1 kB ",  "18446744073709551616",
        "16777216TB", "1.5.kB", "0x10",
    };
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        uint64_t bytes = 42;
        ck_assert_msg(!units_parse_size(texts[i], &bytes), "%s", texts[i]);
        ck_assert_uint_eq(bytes, 42);
    }
}
END_TEST

START_TEST(durations_are_printed_for_people)
{
    static const struct {
        usec_t duration;
        const char *text;
    } rows[] = {
        {0, "0 s"},
        {850, "850 us"},
        {1250, "1.2 ms"},
        {230000, "230 ms"},
        {999999, "999 ms"},
        {1500000, "1.5 s"},
        {5000000, "5 s"},
        {59999999, "59.9 s"},
        {192000000, "3 m 12 s"},
        {120000000, "2 m"},
        {7500000000, "2 h 5 m"},
        {86400000000, "1 d"},
        {100 * 86400000000 + 3600000000, "100 d 1 h"},
        {-1500000, "-1.5 s"},
        {INT64_MAX, "106751991 d 4 h"},
        {INT64_MIN, "-106751991 d 4 h"},
    };
    char text[32];
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        ck_assert_str_eq(units_format_duration(rows[i].duration, text, sizeof(text)),
                         rows[i].text);
}
END_TEST

START_TEST(sizes_are_printed_for_people)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1 kB"},
        {12 * 1024 + 900, "12 kB"},
        {1536, "1.5 kB"},
        {1503238554, "1.4 GB"},
        {2047, "1.9 kB"},
        {5ull << 40, "5 TB"},
        {UINT64_MAX, "16777215 TB"},
    };
    char text[32];
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        ck_assert_str_eq(units_format_size(rows[i].bytes, text, sizeof(text)), rows[i].text);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        durations_name_their_unit,
        another_word_for_a_unit_is_told,
        a_duration_without_or_with_a_strange_unit_is_refused,
        sizes_are_powers_of_1024,
        a_size_that_nobody_can_mean_is_refused,
        durations_are_printed_for_people,
        sizes_are_printed_for_people,
    };
    return unit_run("units", tests, UNIT_COUNT(tests));
}
