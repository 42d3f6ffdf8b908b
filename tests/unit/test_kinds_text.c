/* null_if, default and mask. */
#include "kinds_world.h"

START_TEST(null_if_makes_listed_values_null_and_leaves_the_others)
{
    kind_gives("{ from: x, null_if: '' }", ROW(""), "NULL");
    kind_gives("{ from: x, null_if: '' }", ROW(" "), " ");
    kind_gives("{ from: x, null_if: ['', n/a, '-'] }", ROW("n/a"), "NULL");
    kind_gives("{ from: x, null_if: ['', n/a, '-'] }", ROW("N/A"), "N/A");
    kind_gives("{ from: x, null_if: ['', n/a, '-'] }", ROW("NULL"), "NULL");
    kind_gives("{ from: x, null_if: a }", ROW("UNCHANGED"), "UNCHANGED");
}
END_TEST

START_TEST(null_if_finds_any_spelling_of_a_number_and_a_bool)
{
    kind_gives("{ from: n, null_if: 007 }", ROW("7"), "NULL");
    kind_gives("{ from: b, null_if: no }", ROW("f"), "NULL");
    kind_refused("{ from: n, null_if: none }", "rule.null_if", "rules.yaml:5:30",
                 "null_if: \"none\" is no value of source column \"n\" (int4)");
}
END_TEST

START_TEST(null_if_is_refused_for_a_column_that_must_not_be_null)
{
    struct kind_world kind;
    ck_assert(!kind_open_as(&kind, "text", NOT_NULL, "{ from: x, null_if: a }"));
    world_expect(&kind.world, SEVERITY_BREAKING, "rule.null", "rules.yaml:5:30",
                 "null_if: null, but target column public.t.y is NOT NULL");
    kind_close(&kind);
    ck_assert(kind_open_as(&kind, "text", NOT_NULL, "{ from: x, null_if: a, default: b }"));
    kind_row_gives(&kind, ROW("a"), "b");
    kind_close(&kind);
}
END_TEST

START_TEST(default_fills_null_and_is_the_last_step)
{
    kind_gives("{ from: x, default: d }", ROW("NULL"), "d");
    kind_gives("{ from: x, default: d }", ROW(""), "");
    kind_gives("{ default: d, null_if: a, from: x }", ROW("a"), "d");
    kind_gives("{ default: visible, mask: fixed, from: x }", ROW("NULL"), "visible");
}
END_TEST

START_TEST(default_beside_a_map_is_for_values_that_are_not_in_it)
{
    kind_gives("{ from: x, map: { a: b }, default: d }", ROW("q"), "d");
    kind_gives("{ from: x, map: { a: b }, default: d }", ROW("NULL"), "NULL");
}
END_TEST

START_TEST(default_must_be_a_value_of_the_target)
{
    struct kind_world kind;
    ck_assert(!kind_open_as(&kind, "int4", NULLABLE, "{ from: n, default: none }"));
    world_expect(&kind.world, SEVERITY_BREAKING, "rule.value", "rules.yaml:5:30",
                 "default: \"none\" is no int4, the type of target column public.t.y");
    kind_close(&kind);
}
END_TEST

START_TEST(a_step_before_the_last_need_not_fit_the_target)
{
    struct kind_world kind;
    ck_assert_msg(
        kind_open_as(&kind, "varchar(5)", NULLABLE,
                     "{ from: x, map: { a: longer than five }, mask: { fixed: ok } }"),
        "%s", kind.world.err.message);
    kind_row_gives(&kind, ROW("a"), "ok");
    kind_close(&kind);
}
END_TEST

START_TEST(a_masked_address_keeps_its_first_letter_and_its_domain)
{
    kind_gives("{ from: x, mask: email }", ROW("jo@example.org"), "j***@example.org");
    kind_gives("{ from: x, mask: email }", ROW("a@b@c"), "a***@c");
    kind_gives("{ from: x, mask: email }", ROW("@c"), "***@c");
    kind_gives("{ from: x, mask: email }", ROW("no address"), "***");
    kind_gives("{ from: x, mask: email }", ROW(""), "***");
    kind_gives("{ from: x, mask: email }", ROW("NULL"), "NULL");
    kind_gives("{ from: x, mask: email }", ROW("\xf0\x9f\x98\x80z@c"), "\xf0\x9f\x98\x80***@c");
}
END_TEST

START_TEST(keep_last_counts_code_points_and_never_shows_a_whole_value)
{
    kind_gives("{ from: x, mask: { keep_last: 2 } }", ROW("a\xc3\xa9z\xf0\x9f\x98\x80"),
               "**z\xf0\x9f\x98\x80");
    kind_gives("{ from: x, mask: { keep_last: 2 } }", ROW("e\xcc\x81"), "**");
    kind_gives("{ from: x, mask: { keep_last: 9 } }", ROW("abc"), "***");
    kind_gives("{ from: x, mask: { keep_last: 0 } }", ROW("abc"), "***");
    kind_gives("{ from: x, mask: { keep_last: 2 } }", ROW(""), "");
}
END_TEST

START_TEST(a_fixed_mask_tells_only_whether_there_was_a_value)
{
    kind_gives("{ from: x, mask: fixed }", ROW("abc"), "***");
    kind_gives("{ from: x, mask: { fixed: gone } }", ROW(""), "gone");
    kind_gives("{ from: x, mask: { fixed: gone } }", ROW("NULL"), "NULL");
    kind_gives("{ from: x, mask: { fixed: gone } }", ROW("UNCHANGED"), "UNCHANGED");
}
END_TEST

START_TEST(a_step_over_a_constant_is_a_constant)
{
    struct kind_world kind;
    ck_assert(kind_open(&kind, "{ value: jo@x, mask: email }"));
    ck_assert_ptr_nonnull(kind_rule(&kind)->constant);
    kind_row_gives(&kind, ROW("a"), "j***@x");
    kind_close(&kind);
    ck_assert(!kind_open_as(&kind, "int4", NULLABLE, "{ value: jo@x, mask: email }"));
    world_expect(&kind.world, SEVERITY_BREAKING, "rule.value", "rules.yaml:5:31",
                 "mask: what it makes of the constant before it is no int4, the type of target "
                 "column public.t.y");
    kind_close(&kind);
    kind_refused("{ value: a, map: { b: c } }", "rule.value", "rules.yaml:5:27",
                 "map: over a constant: the map has no entry for the value of this row, and no "
                 "default");
}
END_TEST

START_TEST(they_are_said_in_sql)
{
    kind_says("{ from: x, null_if: [a, \"'\"] }",
              "(SELECT CASE WHEN v IN ('a'::text, ''''::text) THEN NULL ELSE v END FROM "
              "(SELECT (\"x\"::text) COLLATE \"C\" AS v) AS s)");
    kind_says("{ from: x, default: d }", "COALESCE(\"x\"::text, 'd'::text)");
    kind_says("{ from: x, mask: { keep_last: 3 } }",
              "(SELECT CASE WHEN length(v) > 3 THEN repeat('*', length(v) - 3) || right(v, 3) "
              "ELSE repeat('*', length(v)) END FROM (SELECT (\"x\"::text) COLLATE \"C\" AS v) "
              "AS s)");
    kind_says("{ value: a, mask: fixed }", "'***'::text");
}
END_TEST

START_TEST(none_of_them_has_a_way_back)
{
    kind_turns_back("{ from: x, null_if: a }", "a value that became NULL is forgotten", NULL,
                    NULL);
    kind_turns_back("{ from: x, default: a }",
                    "a default hides which values were NULL; carry the column as well, or "
                    "accept the default on the way back",
                    NULL, NULL);
    kind_turns_back("{ from: x, mask: fixed }", "a mask forgets the value", NULL, NULL);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        null_if_makes_listed_values_null_and_leaves_the_others,
        null_if_finds_any_spelling_of_a_number_and_a_bool,
        null_if_is_refused_for_a_column_that_must_not_be_null,
        default_fills_null_and_is_the_last_step,
        default_beside_a_map_is_for_values_that_are_not_in_it,
        default_must_be_a_value_of_the_target,
        a_step_before_the_last_need_not_fit_the_target,
        a_masked_address_keeps_its_first_letter_and_its_domain,
        keep_last_counts_code_points_and_never_shows_a_whole_value,
        a_fixed_mask_tells_only_whether_there_was_a_value,
        a_step_over_a_constant_is_a_constant,
        they_are_said_in_sql,
        none_of_them_has_a_way_back,
    };
    return unit_run("kinds_text", tests, UNIT_COUNT(tests));
}
