/* The rules said in SQL, and the way back. */
#include "rules_world.h"
#include "transforms/rule.h"

static void make(struct world *world, const char *text)
{
    world_open(world);
    world_index(
        world_table(&world->source, "public", "t \"x\"",
                    COLUMNS({"id", "int8", NOT_NULL}, {"b", "bool", NULLABLE},
                            {"state", "public.mood", NULLABLE},
                            {"code", "character(3)", NULLABLE}, {"n", "numeric", NULLABLE},
                            {"mood", "public.mood", NULLABLE})),
        "pk", PRIMARY, "id");
    world_index(
        world_table(&world->target, "app", "t",
                    COLUMNS({"id", "int8", NOT_NULL}, {"b", "text", NULLABLE},
                            {"state", "public.other_mood", NULLABLE},
                            {"code", "varchar(5)", NULLABLE}, {"n", "numeric(12,2)", NULLABLE},
                            {"mood", "public.mood", NULLABLE},
                            {"mail", "public.email", NULLABLE})),
        "pk", PRIMARY, "id");
    ck_assert_msg(world_bind(world, text), "%s", world->err.message);
}

#define HEAD "tables:\n  - source: '\"t \"\"x\"\"\"'\n    target: app.t\n"

START_TEST(carried_columns_are_cast_to_the_type_of_the_target)
{
    struct world world;
    struct buf sql = {0};
    make(&world, HEAD);
    bound_table_select(&world.chain->tables[0], &sql);
    ck_assert_str_eq(buf_text(&sql),
                     "SELECT CAST(\"id\" AS int8) AS \"id\", "
                     "CAST(CASE WHEN num_nulls(\"b\") = 0 THEN concat(\"b\") END AS text) AS "
                     "\"b\", \"state\"::text AS \"state\", "
                     "CAST(\"code\"::text AS varchar(5)) AS \"code\", "
                     "CAST(\"n\" AS numeric(12,2)) AS \"n\", \"mood\" AS \"mood\" "
                     "FROM ONLY \"public\".\"t \"\"x\"\"\"");
    buf_free(&sql);
    world_close(&world);
}
END_TEST

START_TEST(rules_are_expressions_over_the_source)
{
    struct world world;
    struct buf sql = {0};
    make(&world, HEAD "    columns:\n"
                      "      b: { template: \"it's {id}\\\\{code}\" }\n"
                      "      code: { value: null }\n"
                      "      mail: { from: state, map: { a: x, ~: none }, default: \"o'x\" }\n"
                      "      state: { value: a }\n"
                      "    drop: [n, mood]\n");
    world.source.tables[0].kind = 'p';
    bound_table_select(&world.chain->tables[0], &sql);
    ck_assert_str_eq(
        buf_text(&sql),
        "SELECT CAST(\"id\" AS int8) AS \"id\", "
        "CAST(('it''s '::text) || (\"id\"::text) || ( E'\\\\'::text) || (\"code\"::text) AS "
        "text) "
        "AS \"b\", 'a'::text AS \"state\", CAST(NULL::text AS varchar(5)) AS \"code\", "
        "CAST(CASE WHEN (\"state\"::text) IS NULL THEN 'none'::text ELSE CASE "
        "(\"state\"::text) COLLATE \"C\" WHEN 'a' THEN 'x'::text ELSE 'o''x'::text END END AS "
        "pg_catalog.\"text\") AS \"mail\" FROM \"public\".\"t \"\"x\"\"\"");
    buf_free(&sql);
    world_close(&world);
}
END_TEST

static struct inverse inverse_of(struct world *world, const char *column)
{
    const struct bound_table *table = &world->chain->tables[0];
    for (uint16_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].target->name, column) == 0)
            return rule_inverse(table->columns[i].rule);
    ck_abort_msg("no column %s", column);
    return (struct inverse){0};
}

START_TEST(each_rule_knows_its_way_back_or_why_there_is_none)
{
    struct world world;
    make(&world, HEAD "    columns:\n"
                      "      b: { template: '{id}' }\n"
                      "      code: { value: x }\n"
                      "      mail: { from: state, map: { a: \"q\\\"\\\\\", b: null, ~: z } }\n"
                      "      state: { from: mood, map: { a: x }, default: y }\n"
                      "    drop: [mood]\n");
    struct inverse carried = inverse_of(&world, "id"), value = inverse_of(&world, "code");
    struct inverse map = inverse_of(&world, "mail"), lossy = inverse_of(&world, "state");
    struct inverse template = inverse_of(&world, "b");
    ck_assert_str_eq(carried.source_column, "id");
    ck_assert(carried.one_to_one && !carried.reason);
    ck_assert_ptr_null(value.source_column);
    ck_assert_ptr_null(value.reason);
    ck_assert_str_eq(map.source_column, "state");
    ck_assert_str_eq(buf_text(&map.steps),
                     ", map: {\"q\\\"\\\\\": \"a\", null: \"b\", \"z\": null}");
    ck_assert_str_eq(lossy.reason, "a map with a default forgets what the value was");
    ck_assert(!lossy.one_to_one);
    ck_assert_ptr_nonnull(strstr(template.reason, "takes a text apart"));
    ck_assert(template.one_to_one);
    buf_free(&map.steps);
    world_close(&world);
}
END_TEST

START_TEST(a_map_with_one_result_for_two_values_has_no_way_back)
{
    struct world world;
    make(&world, HEAD "    columns:\n"
                      "      b: { from: mood, map: { a: x, b: x } }\n"
                      "      code: { from: mood, map: { a: null } }\n" /* NULL stays NULL too */
                      "    drop: [mood]\n");
    ck_assert_str_eq(inverse_of(&world, "b").reason,
                     "two entries of the map have the same result");
    ck_assert_str_eq(inverse_of(&world, "code").reason,
                     "two entries of the map have the same result");
    world_close(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        carried_columns_are_cast_to_the_type_of_the_target,
        rules_are_expressions_over_the_source,
        each_rule_knows_its_way_back_or_why_there_is_none,
        a_map_with_one_result_for_two_values_has_no_way_back,
    };
    return unit_run("select", tests, UNIT_COUNT(tests));
}
