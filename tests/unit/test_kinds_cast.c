/* cast. */
#include "kinds_world.h"

START_TEST(an_integer_is_written_one_way_and_must_be_in_range)
{
    kind_gives("{ from: x, cast: int }", ROW(" +007\t"), "7");
    kind_gives("{ from: x, cast: smallint }", ROW("-32768"), "-32768");
    kind_gives("{ from: x, cast: bigint }", ROW("00000000000000000000000009223372036854775807"),
               "9223372036854775807");
    kind_gives("{ from: x, cast: bigint }", ROW("NULL"), "NULL");
    kind_gives("{ from: x, cast: bigint }", ROW("UNCHANGED"), "UNCHANGED");
    kind_fails("{ from: x, cast: smallint }", ROW("32768"),
               "target column public.t.y: the value of this row is no smallint");
    kind_fails("{ from: x, cast: int4 }", ROW(""),
               "target column public.t.y: the value of this row is no int4");
    kind_fails("{ from: x, cast: int4 }", ROW("1.0"),
               "target column public.t.y: the value of this row is no int4");
}
END_TEST

START_TEST(a_numeric_is_rounded_away_from_zero_to_its_scale)
{
    kind_gives("{ from: x, cast: 'numeric(5, 2)' }", ROW("1.005"), "1.01");
    kind_gives("{ from: x, cast: 'numeric(5, 2)' }", ROW("-0.004"), "0.00");
    kind_gives("{ from: x, cast: 'numeric(5, 2)' }", ROW("-0.005"), "-0.01");
    kind_gives("{ from: x, cast: 'numeric(5, 2)' }", ROW("999.994"), "999.99");
    kind_gives("{ from: x, cast: 'numeric(5, 2)' }", ROW("1e-20"), "0.00");
    kind_gives("{ from: x, cast: 'numeric(5)' }", ROW("99.5"), "100");
    kind_gives("{ from: x, cast: 'numeric(2,2)' }", ROW("0.994"), "0.99");
    kind_gives("{ from: x, cast: 'numeric(2,2)' }", ROW(" nan "), "NaN");
    kind_fails("{ from: x, cast: 'numeric(5,2)' }", ROW("999.995"),
               "target column public.t.y: the value of this row is no numeric(5,2)");
    kind_fails("{ from: x, cast: 'numeric(2,2)' }", ROW("0.995"),
               "target column public.t.y: the value of this row is no numeric(2,2)");
    kind_fails("{ from: x, cast: 'numeric(5,2)' }", ROW("inf"),
               "target column public.t.y: the value of this row is no numeric(5,2)");
}
END_TEST

START_TEST(a_numeric_without_precision_keeps_its_digits)
{
    kind_gives("{ from: x, cast: numeric }", ROW("0001.50"), "1.50");
    kind_gives("{ from: x, cast: numeric }", ROW(".5"), "0.5");
    kind_gives("{ from: x, cast: numeric }", ROW("5."), "5");
    kind_gives("{ from: x, cast: numeric }", ROW("1.50e1"), "15.0");
    kind_gives("{ from: x, cast: numeric }", ROW("1e3"), "1000");
    kind_gives("{ from: x, cast: numeric }", ROW("-12.5E-3"), "-0.0125");
    kind_gives("{ from: x, cast: numeric }", ROW("-0"), "0");
    kind_gives("{ from: x, cast: numeric }", ROW("-inf"), "-Infinity");
    kind_gives("{ from: x, cast: { to: numeric, on_error: null } }", ROW("."), "NULL");
    kind_gives("{ from: x, cast: { to: numeric, on_error: null } }", ROW("1e"), "NULL");
    kind_gives("{ from: x, cast: { to: numeric, on_error: null } }", ROW("1e 5"), "NULL");
    kind_gives("{ from: x, cast: { to: numeric, on_error: null } }", ROW("0x1F"), "NULL");
    kind_gives("{ from: x, cast: { to: numeric, on_error: null } }", ROW("1_000"), "NULL");
}
END_TEST

START_TEST(a_bool_a_uuid_and_a_date)
{
    kind_gives("{ from: x, cast: bool }", ROW(" YES"), "t");
    kind_gives("{ from: x, cast: bool }", ROW("of"), "f");
    kind_gives("{ from: x, cast: { to: bool, on_error: null } }", ROW("o"), "NULL");
    kind_gives("{ from: x, cast: uuid }", ROW("{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"),
               "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    kind_gives("{ from: x, cast: date }", ROW("2000-02-29"), "2000-02-29");
    kind_gives("{ from: x, cast: { to: date, on_error: null } }", ROW("1900-02-29"), "NULL");
    kind_gives("{ from: x, cast: { to: date, on_error: null } }", ROW("2024-04-31"), "NULL");
    kind_gives("{ from: x, cast: { to: date, on_error: null } }", ROW("0000-01-01"), "NULL");
    kind_gives("{ from: x, cast: { to: date, on_error: null } }", ROW("2024-1-01"), "NULL");
}
END_TEST

START_TEST(what_is_no_value_becomes_the_default_and_null_does_not)
{
    const char *entry = "{ from: x, cast: { to: int, on_error: default, default: '-01' } }";
    kind_gives(entry, ROW("x"), "-1");
    kind_gives(entry, ROW("NULL"), "NULL");
    kind_gives("{ from: x, cast: { to: int, on_error: null }, default: 5 }", ROW("x"), "5");
    kind_refused("{ from: x, cast: { to: int, on_error: default, default: q } }", "rule.cast",
                 "rules.yaml:5:66", "default: \"q\" is no int");
}
END_TEST

START_TEST(faults_of_a_cast_are_told_with_their_place)
{
#define EXPECTED                                                                               \
    "expected smallint, integer, bigint, boolean, uuid, date, numeric or "                     \
    "\"numeric(precision, scale)\""
    kind_not_loaded("{ cast: timestamptz }",
                    "rules.yaml:4:18: cast: found \"timestamptz\", " EXPECTED);
    kind_not_loaded("{ cast: bolean }", "rules.yaml:4:18: cast: found \"bolean\", " EXPECTED
                                        "; did you mean \"boolean\"?");
    kind_not_loaded("{ cast: 'numeric(5,6)' }",
                    "rules.yaml:4:18: cast: found \"numeric(5,6)\", " EXPECTED
                    "; did you mean \"numeric\"?");
    kind_not_loaded("{ cast: 'int(5)' }", "rules.yaml:4:18: cast: found \"int(5)\", " EXPECTED);
    kind_not_loaded("{ cast: { on_error: fail } }",
                    "rules.yaml:4:18: cast: \"to\" is missing; expected a type");
    kind_not_loaded("{ cast: { to: int, on_error: nul } }",
                    "rules.yaml:4:39: on_error: found \"nul\", expected fail, null or default; "
                    "did you mean \"null\"?");
    kind_not_loaded("{ cast: { to: int, default: 1 } }",
                    "rules.yaml:4:38: cast: \"default\" is used with on_error: default only");
    kind_not_loaded("{ cast: { to: int, on_error: default } }",
                    "rules.yaml:4:18: cast: on_error: default, but no default; expected cast: "
                    "{ to: integer, on_error: default, default: 0 }");
}
END_TEST

START_TEST(a_cast_turns_back_where_the_source_writes_the_same_text)
{
    kind_turns_back("{ from: n, cast: bigint }", NULL, "n", "");
    kind_turns_back("{ from: b, cast: bool }", NULL, "b", "");
    kind_turns_back("{ from: x, cast: bigint }",
                    "several texts are the same value after a cast", NULL, NULL);
    kind_turns_back("{ from: n, cast: { to: bigint, on_error: null } }",
                    "a cast with on_error forgets what it replaced", NULL, NULL);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_integer_is_written_one_way_and_must_be_in_range,
        a_numeric_is_rounded_away_from_zero_to_its_scale,
        a_numeric_without_precision_keeps_its_digits,
        a_bool_a_uuid_and_a_date,
        what_is_no_value_becomes_the_default_and_null_does_not,
        faults_of_a_cast_are_told_with_their_place,
        a_cast_turns_back_where_the_source_writes_the_same_text,
    };
    return unit_run("kinds_cast", tests, UNIT_COUNT(tests));
}
