#include "schema/expression.h"

#include "unit.h"

#include <string.h>

static const struct renaming renamings[] = {
    {"total", "amount"}, {"Odd \"one\"", "plain"}, {"zone", "area"},  {"state", NULL},
    {"id", "id"},        {"lower", "low"},         {"text", "words"},
};

static const char *renamed(const char *expression)
{
    static struct buf out;
    const char *missing = NULL;
    buf_clear(&out);
    if (!expression_rename(expression, renamings, UNIT_COUNT(renamings), &out, &missing))
        return missing;
    return buf_text(&out);
}

START_TEST(columns_are_renamed)
{
    ck_assert_str_eq(renamed("CHECK ((total >= (0)::numeric))"),
                     "CHECK ((\"amount\" >= (0)::numeric))");
    ck_assert_str_eq(renamed("(\"Odd \"\"one\"\"\" IS NOT NULL)"), "(\"plain\" IS NOT NULL)");
}
END_TEST

START_TEST(a_column_that_is_gone_is_named)
{
    ck_assert_str_eq(renamed("CHECK (((id > 0) OR (state = 'a'::public.state)))"), "state");
}
END_TEST

START_TEST(other_names_stay)
{
    ck_assert_str_eq(renamed("lower(other)"), "lower(other)");
    ck_assert_str_eq(renamed("public.total(1)"), "public.total(1)");
    ck_assert_str_eq(renamed("('x'::text COLLATE \"total\")"), "('x'::text COLLATE \"total\")");
    ck_assert_str_eq(renamed("'total'::public.total"), "'total'::public.total");
    ck_assert_str_eq(renamed("now()::timestamp(3) without time zone"),
                     "now()::timestamp(3) without time zone");
    ck_assert_str_eq(renamed("('a'::character varying)::text"),
                     "('a'::character varying)::text");
}
END_TEST

START_TEST(literals_stay)
{
    ck_assert_str_eq(renamed("('it''s total' = E'to\\'tal' || total)"),
                     "('it''s total' = E'to\\'tal' || \"amount\")");
    ck_assert_str_eq(renamed("(1e5 + total)"), "(1e5 + \"amount\")");
}
END_TEST

/* EXTRACT prints its field, and a call its arguments' names, as a column is printed. */
START_TEST(names_of_fields_and_arguments_stay)
{
    ck_assert_str_eq(renamed("EXTRACT(zone FROM total)"), "EXTRACT(zone FROM \"amount\")");
    ck_assert_str_eq(renamed("(EXTRACT(total FROM total) > zone)"),
                     "(EXTRACT(total FROM \"amount\") > \"area\")");
    ck_assert_str_eq(renamed("make_interval(total => total)"),
                     "make_interval(total => \"amount\")");
    ck_assert_str_eq(renamed("XMLELEMENT(NAME total, XMLATTRIBUTES(total AS total), zone)"),
                     "XMLELEMENT(NAME total, XMLATTRIBUTES(\"amount\" AS total), \"area\")");
}
END_TEST

START_TEST(exclusions_and_partition_keys)
{
    ck_assert_str_eq(
        renamed("EXCLUDE USING gist (zone WITH =, total WITH OPERATOR(public.&&))"),
        "EXCLUDE USING gist (\"area\" WITH =, \"amount\" WITH OPERATOR(public.&&))");
    ck_assert_str_eq(renamed("RANGE (total, lower(zone))"),
                     "RANGE (\"amount\", lower(\"area\"))");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        columns_are_renamed, a_column_that_is_gone_is_named,     other_names_stay,
        literals_stay,       names_of_fields_and_arguments_stay, exclusions_and_partition_keys};
    return unit_run("expression", tests, UNIT_COUNT(tests));
}
