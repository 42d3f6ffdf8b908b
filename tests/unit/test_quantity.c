/* Quantities as a person reads them, and dashes for what no number is. */
#include "observe/quantity.h"
#include "unit.h"

#include <math.h>

START_TEST(counts_have_commas_and_are_short_from_ten_million_on)
{
    static const struct {
        double count;
        const char *text;
    } rows[] = {{0, "0"},
                {999, "999"},
                {1000, "1,000"},
                {9999999, "9,999,999"},
                {12345678, "12.3 M"},
                {4.2e10, "42.0 bn"},
                {3e13, "30.0 tn"}};
    char text[QUANTITY_TEXT];
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        ck_assert_str_eq(quantity_count(rows[i].count, text), rows[i].text);
}
END_TEST

START_TEST(seconds_and_bytes_have_their_units)
{
    char text[QUANTITY_TEXT];
    ck_assert_str_eq(quantity_seconds(0.012, text), "12 ms");
    ck_assert_str_eq(quantity_bytes(72, text), "72 B");
}
END_TEST

START_TEST(what_is_no_quantity_is_a_dash)
{
    static const double senseless[] = {NAN, -1, -INFINITY};
    char text[QUANTITY_TEXT];
    for (size_t i = 0; i < UNIT_COUNT(senseless); i++) {
        ck_assert_str_eq(quantity_seconds(senseless[i], text), QUANTITY_UNKNOWN);
        ck_assert_str_eq(quantity_bytes(senseless[i], text), QUANTITY_UNKNOWN);
        ck_assert_str_eq(quantity_count(senseless[i], text), QUANTITY_UNKNOWN);
    }
    ck_assert_str_eq(quantity_seconds(INFINITY, text), QUANTITY_UNKNOWN);
    ck_assert_str_eq(quantity_bytes(INFINITY, text), QUANTITY_UNKNOWN);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        counts_have_commas_and_are_short_from_ten_million_on,
        seconds_and_bytes_have_their_units,
        what_is_no_quantity_is_a_dash,
    };
    return unit_run("quantity", tests, UNIT_COUNT(tests));
}
