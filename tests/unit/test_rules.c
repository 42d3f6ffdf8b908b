/* Loading rules: what the file may say, and how a fault in it is told. */
#include "rules_world.h"

struct fault {
    const char *text;
    const char *message;
};

static const struct fault faults[] = {
    {"tables: none\n",
     "rules.yaml:1:9: tables: found \"none\", expected a list of entries such as - source: public.users; leave "
     "it out to carry every table unchanged"},
    {"tables: []\n",
     "rules.yaml:1:9: tables: found an empty list, expected a list of entries such as - source: public.users; leave "
     "it out to carry every table unchanged"},
    {"tables:\n  - target: a\n",
     "rules.yaml:2:5: tables entry: \"source\" is missing; expected source: schema.table"},
    {"tables:\n  - source: a\n    colums: {}\n",
     "rules.yaml:3:5: unknown key \"colums\" in tables entry; did you mean \"columns\"?"},
    {"tables:\n  - source: a\n    where: { column: x, not_inn: [y] }\n",
     "rules.yaml:3:25: unknown key \"not_inn\" in where; did you mean \"not_in\"?"},
    {"tables:\n  - source: a\n    where: { column: x }\n",
     "rules.yaml:3:12: where: no test of column \"x\"; expected one such as in: [a, b]"},
    {"tables:\n  - source: a\n    where: { column: x, greater: ~ }\n",
     "rules.yaml:3:34: greater: found null, expected a value to compare with"},
    {"tables:\n  - source: a\n    where: { all: [], column: x }\n",
     "rules.yaml:3:12: where: expected one of { column: name, in: [a, b] }, { all: [...] } and "
     "{ any: [...] }"},
    {"tables:\n  - source: a\n    target: b\n    route: { column: x, map: { a: b } }\n",
     "rules.yaml:4:12: \"target\" and \"route\" both say where rows go; keep one"},
    {"tables:\n  - source: a\n    route: { column: x }\n",
     "rules.yaml:3:12: route: expected { column: name, map: { value: schema.table, ... }, "
     "default: schema.table }"},
    {"tables:\n  - source: a\n    exclude: [b]\n",
     "rules.yaml:3:14: exclude: source names one table; exclude is for patterns"},
    {"tables:\n  - source: t_(*.a\n", "rules.yaml:2:13: source: a \"(\" without its \")\""},
    {"tables:\n  - source: t_(*).a\n    target: a.\\2\n",
     "rules.yaml:3:13: target: \\2, but the source's pattern has 1 group(s)"},
    {"tables:\n  - source: a.b.c\n", "rules.yaml:2:13: source: found \"a.b.c\", expected "
                                     "schema.table, with parts that hold dots "
                                     "or quotes in double quotes"},
    {"tables:\n  - source: 'a.'\n", "rules.yaml:2:13: source: found \"a.\", expected "
                                    "schema.table, with parts that hold dots or "
                                    "quotes in double quotes"},
    {"tables:\n  - source: '\"a'\n",
     "rules.yaml:2:13: source: found \"\"a\", expected schema.table, with parts that hold dots "
     "or quotes in double quotes"},
    {"tables:\n  - source: a\n    target: public.*\n",
     "rules.yaml:3:13: target: found \"public.*\", expected the name of one table; patterns "
     "stand in source: and exclude:, and names with *, ?, ( or ) in double quotes"},
    {"tables:\n  - source: a\n    key: id\n",
     "rules.yaml:3:10: key: found \"id\", expected a list of columns such as [id, name]"},
    {"tables:\n  - source: a\n    key: [id, id]\n",
     "rules.yaml:3:15: key: \"id\" is listed twice"},
    {"tables:\n  - source: a\n    drop: []\n",
     "rules.yaml:3:11: drop: found an empty list, expected a list of columns such as [id, name]"},
    {"tables:\n  - source: a\n    columns: [b]\n",
     "rules.yaml:3:14: columns: found a list, expected target columns with a rule each, such as full_name: { "
     "from: name }"},
    {"tables:\n  - source: a\n    columns: { b: c }\n",
     "rules.yaml:3:19: column \"b\": found \"c\", expected a rule such as { from: name }"},
    {"tables:\n  - source: a\n    columns: { b: {} }\n",
     "rules.yaml:3:19: column \"b\": found an empty mapping, expected a rule such as { from: name }"},
    {"tables:\n  - source: a\n    columns:\n      b: { form: c }\n",
     "rules.yaml:4:12: unknown key \"form\" in column \"b\"; did you mean \"from\"?"},
    {"tables:\n  - source: a\n    columns:\n      b: { from: c, sql: x }\n",
     "rules.yaml:4:26: columns: \"from\" and \"sql\" both say where the value comes from; keep "
     "one"},
    {"tables:\n  - source: a\n    columns:\n      b: { default: ~ }\n",
     "rules.yaml:4:21: default: NULL for NULL changes nothing; leave it out"},
    {"tables:\n  - source: a\n    columns:\n      b: { null_if: [] }\n",
     "rules.yaml:4:21: null_if: found an empty list, expected a value or a list such as [\"\", n/a]"},
    {"tables:\n  - source: a\n    columns:\n      b: { null_if: [x, ~] }\n",
     "rules.yaml:4:25: null_if: NULL is NULL already; name the values that are to become "
     "NULL"},
    {"tables:\n  - source: a\n    columns:\n      b: { mask: emial }\n",
     "rules.yaml:4:18: mask: found \"emial\", expected email, fixed, { keep_last: 4 } or "
     "{ fixed: \"***\" }; did you mean \"email\"?"},
    {"tables:\n  - source: a\n    columns:\n      b: { mask: { keep: 4 } }\n",
     "rules.yaml:4:20: unknown key \"keep\" in mask; known are fixed and keep_last"},
    {"tables:\n  - source: a\n    columns:\n      b: { mask: { keep_last: 4, fixed: x } }\n",
     "rules.yaml:4:18: mask: expected one of fixed and keep_last"},
    {"tables:\n  - source: a\n    columns:\n      b: { from: c, value: 1 }\n",
     "rules.yaml:4:28: columns: \"from\" and \"value\" both say where the value comes from; "
     "keep "
     "one"},
    {"tables:\n  - source: a\n    columns:\n      b: { value: [1] }\n",
     "rules.yaml:4:19: value: found a list, expected a text, a number, a bool or null"},
    {"tables:\n  - source: a\n    columns:\n      b: { map: {} }\n",
     "rules.yaml:4:17: map: found an empty mapping, expected entries such as { a: active, d: deleted }"},
    {"tables:\n  - source: a\n    columns:\n      b: { map: { x: [1] } }\n",
     "rules.yaml:4:22: map: found a list, expected a text, a number, a bool or null"},
    {"tables:\n  - source: a\n    columns:\n      b: { map: { ~: 1, null: 2 } }\n",
     "rules.yaml:4:25: map: a second entry for null"},
    {"tables:\n  - source: a\n    columns:\n      b: { map: { x: 1 }, default: {} }\n",
     "rules.yaml:4:36: default: found an empty mapping, expected a text, a number, a bool or null"},
    {"tables:\n  - source: a\n    columns:\n      b: { template: 'x}y' }\n",
     "rules.yaml:4:22: template: \"}\" without \"{\" before it; write }} for a brace"},
    {"tables:\n  - source: a\n    columns:\n      b: { template: 'x{y' }\n",
     "rules.yaml:4:22: template: no \"}\" ends the name that begins at \"{y\"; write {{ for a "
     "brace"},
    {"tables:\n  - source: a\n    columns:\n      b: { template: 'x{y{z}' }\n",
     "rules.yaml:4:22: template: no \"}\" ends the name that begins at \"{y{z}\"; write {{ for "
     "a "
     "brace"},
    {"tables:\n  - source: a\n    columns:\n      b: { template: 'x{\"y}' }\n",
     "rules.yaml:4:22: template: no \"}\" ends the name that begins at \"{\"y}\"; write {{ for "
     "a "
     "brace"},
    {"tables:\n  - source: a\n    columns:\n      b: { template: '{}' }\n",
     "rules.yaml:4:22: template: {} holds no column name"},
};

START_TEST(every_fault_of_the_file_is_told_with_its_place)
{
    for (size_t i = 0; i < UNIT_COUNT(faults); i++) {
        struct world world;
        world_open(&world);
        ck_assert_msg(!world_load(&world, faults[i].text), "accepted:\n%s", faults[i].text);
        ck_assert_int_eq(world.err.class, ERR_CONFIG);
        ck_assert_str_eq(world.err.message, faults[i].message);
        world_close(&world);
    }
}
END_TEST

START_TEST(text_of_the_environment_is_not_shown)
{
    struct world world;
    world_open(&world);
    setenv("SLACKWATER_TEST_SECRET", "hunter2}", 1);
    ck_assert(!world_load(&world, "tables:\n  - source: a\n    columns:\n"
                                  "      b: { template: 'x{${SLACKWATER_TEST_SECRET}{' }\n"));
    ck_assert_ptr_null(strstr(world.err.message, "hunter"));
    world_close(&world);
}
END_TEST

/* id, "Quoted.Name" at both sides, in a schema of odd name. */
static void make_quoted(struct world *world)
{
    struct catalog *catalogs[] = {&world->source, &world->target};
    world_open(world);
    for (size_t i = 0; i < 2; i++)
        world_index(world_table(catalogs[i], "My Schema", "T.x \"y\"",
                                COLUMNS({"id", "int8", NOT_NULL})),
                    "pk", PRIMARY, "id");
}

START_TEST(quoted_table_names_hold_dots_and_quotes)
{
    struct world world;
    make_quoted(&world);
    ck_assert_msg(
        world_bind(&world, "tables:\n  - source: '\"My Schema\".\"T.x \"\"y\"\"\"'\n"), "%s",
        world.err.message);
    ck_assert_str_eq(world.chain->tables[0].source->name, "T.x \"y\"");
    world_close(&world);
}
END_TEST

START_TEST(an_unquoted_name_keeps_its_case_and_blanks)
{
    struct world world;
    world_open(&world);
    world_index(world_table(&world.source, "public", "My Users", COLUMNS({"id", "int8", 1})),
                "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "My Users", COLUMNS({"id", "int8", 1})),
                "pk", PRIMARY, "id");
    ck_assert_msg(world_bind(&world, "tables:\n  - source: My Users\n"), "%s",
                  world.err.message);
    ck_assert_str_eq(world.chain->tables[0].source->schema, "public");
    world_close(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        every_fault_of_the_file_is_told_with_its_place,
        text_of_the_environment_is_not_shown,
        quoted_table_names_hold_dots_and_quotes,
        an_unquoted_name_keeps_its_case_and_blanks,
    };
    return unit_run("rules", tests, UNIT_COUNT(tests));
}
