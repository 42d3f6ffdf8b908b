/* Queries that count values which do not fit. */
#include "rules_world.h"
#include "schema/validation.h"

static const struct {
    const char *source, *target;
    const char *condition; /* NULL: no query can tell */
} misfits[] = {
    {"int8", "int4", "(\"a\" < -2147483648 OR \"a\" > 2147483647)"},
    {"numeric", "int2", "(\"a\" < -32768 OR \"a\" > 32767 OR \"a\" <> trunc(\"a\"))"},
    {"float8", "int2",
     "(\"a\" < -32768 OR \"a\" > 32767 OR \"a\" <> trunc(\"a\") OR \"a\"::text ~ 'e')"},
    {"text", "int8",
     "CASE WHEN \"a\"::text ~ '^\\s*[-+]?[0-9]+\\s*$' THEN \"a\"::text::numeric NOT BETWEEN "
     "-9223372036854775808 AND 9223372036854775807 ELSE true END"},
    {"text", "varchar(5)", "char_length(\"a\"::text) > 5"},
    {"uuid", "varchar(10)", "char_length(\"a\"::text) > 10"},
    {"numeric(12,4)", "numeric(12,2)",
     "(\"a\"::numeric <> 'NaN' AND (\"a\"::numeric <> round(\"a\"::numeric, 2) OR "
     "abs(round(\"a\"::numeric, 2)) >= '1e10'::numeric))"},
    {"timestamptz", "timestamptz(3)", "\"a\" <> \"a\"::timestamptz(3)"},
    {"interval", "interval day", "\"a\" <> \"a\"::interval day"},
    {"numeric(12,4)[]", "numeric(12,2)[]", "\"a\" <> \"a\"::numeric(12,2)[]"},
    {"numeric(12,4)", "public.cents",
     "(\"a\"::numeric <> 'NaN' AND (\"a\"::numeric <> round(\"a\"::numeric, 2) OR "
     "abs(round(\"a\"::numeric, 2)) >= '1e10'::numeric))"},
    {"timestamp", "date", "\"a\" <> \"a\"::date"},
    {"text", "uuid",
     "\"a\"::text !~* '^(([0-9a-f]{4}-?){7}[0-9a-f]{4}|[{]([0-9a-f]{4}-?){7}[0-9a-f]{4}[}])$'"},
    {"timestamptz", "timestamp", NULL},
    {"bool", "int4", NULL},
    {"public.hstore", "jsonb", NULL},
};

START_TEST(a_misfit_is_what_its_line_says)
{
    for (size_t i = 0; i < UNIT_COUNT(misfits); i++) {
        const struct column_line source = {"a", misfits[i].source, NULLABLE};
        const struct column_line target = {"b", misfits[i].target, NULLABLE};
        struct catalog_column columns[] = {world_column(&source, 1), world_column(&target, 1)};
        struct buf condition = {0};
        bool known = validation_misfit(&columns[0], &columns[1], &condition);
        ck_assert_int_eq(known, misfits[i].condition != NULL);
        ck_assert_str_eq(buf_text(&condition), known ? misfits[i].condition : "");
        buf_free(&condition);
        for (size_t j = 0; j < 2; j++) {
            free(columns[j].name);
            free(columns[j].type_name);
            free(columns[j].base_type);
        }
    }
}
END_TEST

START_TEST(names_are_quoted_in_every_query)
{
    struct catalog_column columns[] = {
        {.name = (char *)"a\"; DROP TABLE x; --", .base_type = (char *)"pg_catalog.text"}};
    struct catalog_table table = {.column_count = 1, .columns = columns};
    uint16_t first[] = {0};
    char *parents[] = {(char *)"b\"b"};
    struct catalog_foreign_key key = {
        .column_count = 1, .columns = first, .parent_columns = parents};
    char *duplicates = validation_duplicates("\"t\"", &table, first, 1, false);
    char *orphans = validation_orphans("\"t\"", &table, &key, "\"p\"");
    ck_assert_ptr_nonnull(strstr(duplicates, "GROUP BY \"a\"\"; DROP TABLE x; --\" HAVING"));
    ck_assert_ptr_nonnull(
        strstr(orphans, "WHERE \"p\".\"b\"\"b\" = \"r\".\"a\"\"; DROP TABLE x; --\")"));
    free(duplicates);
    free(orphans);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_misfit_is_what_its_line_says, names_are_quoted_in_every_query};
    return unit_run("validation", tests, UNIT_COUNT(tests));
}
