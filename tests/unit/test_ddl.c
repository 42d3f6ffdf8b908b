#include "schema/ddl.h"

#include "rules_world.h"
#include "transforms/outline.h"

static struct world world;
static struct definitions definitions;
static struct outline *outline;
static struct ddl *ddl;
static struct buf script;

static void setup(void)
{
    world_open(&world);
    definitions = (struct definitions){0};
}

static void teardown(void)
{
    ddl_free(ddl);
    outline_free(outline);
    ddl = NULL;
    outline = NULL;
    buf_free(&script);
    world_close(&world);
}

/* The phase's script for the rules. */
static const char *planned(const char *rules, bool live, enum ddl_phase phase)
{
    ddl_free(ddl);
    outline_free(outline);
    outline = NULL;
    world_unbind(&world);
    ck_assert_msg(world_load(&world, rules), "%s", world.err.message);
    ck_assert_msg(rules_outline(world.rules, &world.source, &outline, &world.err), "%s",
                  world.err.message);
    ddl = ddl_plan(outline, &world.source, &definitions, live);
    buf_clear(&script);
    ddl_print(ddl, phase, &script);
    return buf_text(&script);
}

static void expect(const char *rules, bool live, enum ddl_phase phase, const char *words)
{
    const char *text = planned(rules, live, phase);
    ck_assert_msg(strstr(text, words) != NULL, "%s\n-- is not in --\n%s", words, text);
}

static void refuse(const char *rules, const char *words)
{
    world_unbind(&world);
    ck_assert_msg(world_load(&world, rules), "%s", world.err.message);
    ck_assert(!rules_outline(world.rules, &world.source, &outline, &world.err));
    ck_assert_int_eq(world.err.class, ERR_CONFIG);
    ck_assert_msg(strstr(world.err.message, words) != NULL, "%s", world.err.message);
}

/* users (id, email, state) and orders (id, user_id), which refers to it. */
static void make_shop(void)
{
    struct catalog_table *users =
        world_table(&world.source, "public", "users",
                    COLUMNS({"id", "int8", NOT_NULL}, {"email", "text", NULLABLE},
                            {"state", "text", NULLABLE}));
    struct catalog_table *orders =
        world_table(&world.source, "public", "orders",
                    COLUMNS({"id", "int4", NOT_NULL}, {"user_id", "int8", NULLABLE}));
    world_index(users, "users_pkey", PRIMARY, "id");
    world_index(users, "users_email_key", UNIQUE, "email");
    world_index(orders, "orders_pkey", PRIMARY, "id");
}

static struct definition_part email_part[] = {{.expression = "email", .suffix = ""}};
static struct definition_part state_part[] = {
    {.expression = "lower(state)", .suffix = " DESC"}};
static struct definition_index user_indexes[] = {
    {.name = "users_pkey",
     .method = "btree",
     .primary = true,
     .unique = true,
     .constraint = true},
    {.name = "users_email_key",
     .method = "btree",
     .unique = true,
     .constraint = true,
     .part_count = 1,
     .parts = email_part},
    {.name = "users_state",
     .method = "btree",
     .part_count = 1,
     .parts = state_part,
     .predicate = "(id > 5)"},
};
static struct definition_constraint user_checks[] = {
    {.name = "state_known",
     .kind = 'c',
     .definition = "CHECK ((state <> 'x'::text))",
     .validated = true},
};
static struct definition_reference order_references[] = {
    {.name = "orders_user_fkey",
     .parent = 1000,
     .column_count = 1,
     .columns = {2},
     .parent_columns = {1},
     .match = 's',
     .on_delete = 'n',
     .on_update = 'a',
     .validated = true},
};
static struct definition_table shop_tables[] = {
    {.oid = 1000,
     .comment = "who's who",
     .index_count = 3,
     .indexes = user_indexes,
     .constraint_count = 1,
     .constraints = user_checks},
    {.oid = 1001, .reference_count = 1, .references = order_references},
};

static void define_shop(void)
{
    make_shop();
    definitions.table_count = 2;
    definitions.tables = shop_tables;
}

#define UNCHANGED "tables:\n  - source: users\n  - source: orders\n"
#define TENANTS                                                                                \
    "tables:\n"                                                                                \
    "  - { source: users, target: app.people, key: [tenant, id],\n"                            \
    "      columns: { tenant: { value: t1, type: uuid }, mail: { from: email } },\n"           \
    "      drop: [email] }\n"                                                                  \
    "  - { source: orders, target: app.orders, key: [tenant, id],\n"                           \
    "      columns: { tenant: { value: t1, type: uuid } } }\n"

START_TEST(a_table_unchanged)
{
    define_shop();
    expect(UNCHANGED, false, DDL_BEFORE,
           "CREATE TABLE \"public\".\"users\" (\n"
           "    \"id\" int8 NOT NULL,\n"
           "    \"email\" text,\n"
           "    \"state\" text,\n"
           "    CONSTRAINT \"users_pkey\" PRIMARY KEY (\"id\"),\n"
           "    CONSTRAINT \"state_known\" CHECK ((\"state\" <> 'x'::text))\n"
           ");\n"
           "COMMENT ON TABLE \"public\".\"users\" IS 'who''s who';\n");
    expect(UNCHANGED, false, DDL_AFTER,
           "ALTER TABLE \"public\".\"users\" ADD CONSTRAINT \"users_email_key\" UNIQUE "
           "(\"email\");\n"
           "CREATE INDEX \"users_state\" ON \"public\".\"users\" USING btree "
           "(lower(\"state\") DESC) WHERE (\"id\" > 5);\n"
           "ALTER TABLE \"public\".\"orders\" ADD CONSTRAINT \"orders_user_fkey\" FOREIGN KEY "
           "(\"user_id\") REFERENCES \"public\".\"users\" (\"id\") ON DELETE SET NULL;\n");
}
END_TEST

START_TEST(live_tables_are_not_locked)
{
    define_shop();
    expect(UNCHANGED, true, DDL_AFTER,
           "CREATE UNIQUE INDEX CONCURRENTLY \"users_email_key\" ON \"public\".\"users\" USING "
           "btree (\"email\");\n"
           "ALTER TABLE \"public\".\"users\" ADD CONSTRAINT \"users_email_key\" UNIQUE USING "
           "INDEX \"users_email_key\";\n");
    expect(UNCHANGED, true, DDL_AFTER,
           " ON DELETE SET NULL NOT VALID;\n"
           "ALTER TABLE \"public\".\"orders\" VALIDATE CONSTRAINT \"orders_user_fkey\";\n");
}
END_TEST

START_TEST(a_key_that_gains_a_column_takes_uniques_and_references_with_it)
{
    define_shop();
    expect(TENANTS, false, DDL_BEFORE,
           "CREATE SCHEMA IF NOT EXISTS \"app\";\n"
           "CREATE TABLE \"app\".\"people\" (\n"
           "    \"tenant\" uuid NOT NULL,\n"
           "    \"id\" int8 NOT NULL,\n"
           "    \"mail\" text,\n"
           "    \"state\" text,\n"
           "    CONSTRAINT \"users_pkey\" PRIMARY KEY (\"tenant\", \"id\"),\n");
    expect(TENANTS, false, DDL_AFTER, "UNIQUE (\"tenant\", \"mail\");\n");
    expect(TENANTS, false, DDL_AFTER,
           "FOREIGN KEY (\"tenant\", \"user_id\") REFERENCES \"app\".\"people\" (\"tenant\", "
           "\"id\") ON DELETE SET NULL (\"user_id\");\n");
}
END_TEST

START_TEST(a_reference_without_the_parents_tenant_is_left_out)
{
    define_shop();
    expect("tables:\n"
           "  - { source: users, key: [tenant, id], columns: { tenant: { value: t1 } } }\n"
           "  - { source: orders, key: [tenant, id], columns: { tenant: { value: t2 } } }\n",
           false, DDL_AFTER,
           "-- left out: foreign key orders_user_fkey of public.orders: the key of its parent "
           "gained tenant, and it has no such column\n");
    expect("tables: [{ source: orders }]\n", false, DDL_AFTER,
           "-- left out: foreign key orders_user_fkey of public.orders: no rule carries its "
           "parent\n");
}
END_TEST

START_TEST(what_reads_a_column_that_a_rule_makes_is_left_out)
{
    static const char rules[] =
        "tables: [{ source: users, columns: { state: { map: { a: b } } } }]\n";
    define_shop();
    expect(
        rules, false, DDL_BEFORE,
        "-- left out: check constraint state_known of public.users: it reads state, which is "
        "not carried as it is\n");
    expect(rules, false, DDL_AFTER,
           "-- left out: index users_state of public.users: state is not carried as it is\n");
    expect(rules, false, DDL_BEFORE, "\"state\" text,\n");
}
END_TEST

START_TEST(a_lost_key_is_told)
{
    define_shop();
    expect("tables: [{ source: users, drop: [id] }]\n", false, DDL_BEFORE,
           "-- left out: the primary key of public.users: column id is not carried; give the "
           "rule a key:\n");
}
END_TEST

START_TEST(a_sequence_follows_its_column)
{
    static struct definition_column columns[] = {
        {.number = 1, .expression = "nextval('public.s'::regclass)", .sequence = 77}};
    static struct definition_sequence sequences[] = {{.oid = 77,
                                                      .schema = "public",
                                                      .name = "s",
                                                      .type = "integer",
                                                      .options = " START WITH 5",
                                                      .owner = 1001,
                                                      .owner_column = 1}};
    struct definition_table tables[] = {{.oid = 1001, .column_count = 1, .columns = columns}};
    make_shop();
    definitions.table_count = 1;
    definitions.tables = tables;
    definitions.sequence_count = 1;
    definitions.sequences = sequences;
    expect("tables: [{ source: orders, target: app.o }]\n", false, DDL_BEFORE,
           "CREATE SEQUENCE \"app\".\"s\" AS integer START WITH 5;\n"
           "CREATE TABLE \"app\".\"o\" (\n"
           "    \"id\" int4 DEFAULT nextval('\"app\".\"s\"'::regclass) NOT NULL,\n");
    expect(
        "tables: [{ source: orders, target: app.o, columns: { nr: { from: id, type: bigint } },"
        " key: [nr], drop: [id] }]\n",
        false, DDL_BEFORE,
        "CREATE SEQUENCE \"app\".\"s\" START WITH 5;\n"
        "CREATE TABLE \"app\".\"o\" (\n"
        "    \"nr\" bigint DEFAULT nextval('\"app\".\"s\"'::regclass) NOT NULL,\n");
    expect("tables: [{ source: orders, target: app.o }]\n", false, DDL_BEFORE,
           "ALTER SEQUENCE \"app\".\"s\" OWNED BY \"app\".\"o\".\"id\";\n");
}
END_TEST

START_TEST(types_come_before_what_is_made_of_them)
{
    static uint32_t pair_needs[] = {16400};
    static struct definition_type types[] = {
        {.oid = 16405,
         .schema = "public",
         .name = "pair",
         .kind = 'c',
         .body = "AS (a public.mood)",
         .need_count = 1,
         .needs = pair_needs},
        {.oid = 16400,
         .schema = "public",
         .name = "mood",
         .kind = 'e',
         .body = "AS ENUM ('a')",
         .comment = "c"},
        {.oid = 16401,
         .schema = "public",
         .name = "other_mood",
         .kind = 'e',
         .body = "AS ENUM ('a')"},
    };
    world_table(&world.source, "public", "t", COLUMNS({"p", "public.pair", NULLABLE}));
    definitions.type_count = 3;
    definitions.types = types;
    ck_assert_str_eq(planned("tables: [{ source: t }]\n", false, DDL_BEFORE),
                     "CREATE TYPE \"public\".\"mood\" AS ENUM ('a');\n"
                     "COMMENT ON TYPE \"public\".\"mood\" IS 'c';\n"
                     "CREATE TYPE \"public\".\"pair\" AS (a public.mood);\n"
                     "CREATE TABLE \"public\".\"t\" (\n    \"p\" public.pair\n);\n");
}
END_TEST

START_TEST(partitions_are_kept_unless_their_key_goes)
{
    static struct definition_table tables[] = {
        {.oid = 1000, .partition_key = "RANGE (at)"},
        {.oid = 1001, .parent = 1000, .bound = "FOR VALUES FROM (1) TO (2)"}};
    struct catalog_table *leaf;
    world_table(&world.source, "public", "t", COLUMNS({"at", "int4", NULLABLE}))->kind = 'p';
    leaf = world_table(&world.source, "public", "t1", COLUMNS({"at", "int4", NULLABLE}));
    leaf->is_partition = true;
    definitions.table_count = 2;
    definitions.tables = tables;
    expect(
        "tables: [{ source: t, target: app.u, columns: { on: { from: at } }, drop: [at] }]\n",
        false, DDL_BEFORE,
        "CREATE TABLE \"app\".\"u\" (\n    \"on\" int4\n) PARTITION BY RANGE (\"on\");\n"
        "CREATE TABLE \"app\".\"t1\" PARTITION OF \"app\".\"u\" FOR VALUES FROM (1) TO (2);\n");
    ck_assert_str_eq(
        planned("tables: [{ source: t, columns: { x: { value: 1 } }, drop: [at] }]\n", false,
                DDL_BEFORE),
        "-- left out: the partitions of public.t: their key reads at, which is not carried as "
        "it "
        "is\nCREATE TABLE \"public\".\"t\" (\n    \"x\" text NOT NULL\n);\n");
}
END_TEST

START_TEST(a_name_cannot_end_a_comment)
{
    world_table(&world.source, "public", "a\nDROP TABLE b", COLUMNS({"id", "int4", NULLABLE}));
    definitions.table_count = 1;
    definitions.tables = &(struct definition_table){.oid = 1000, .partition_key = "RANGE (id)"};
    ck_assert_ptr_null(strstr(
        planned("tables: [{ source: \"\\\"a\\nDROP TABLE b\\\"\", target: t, drop: [id] }]\n",
                false, DDL_BEFORE),
        "\nDROP"));
}
END_TEST

START_TEST(names_that_are_not_there_are_refused)
{
    make_shop();
    refuse("tables: [{ source: nobody }]\n", "rules.yaml:1:20: source table public.nobody");
    refuse("tables: [{ source: users, key: [nothing] }]\n", "\"nothing\"");
    refuse("tables: [{ source: users, columns: { a: { from: b } } }]\n", "\"b\"");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_table_unchanged,
        live_tables_are_not_locked,
        a_key_that_gains_a_column_takes_uniques_and_references_with_it,
        a_reference_without_the_parents_tenant_is_left_out,
        what_reads_a_column_that_a_rule_makes_is_left_out,
        a_lost_key_is_told,
        a_sequence_follows_its_column,
        types_come_before_what_is_made_of_them,
        partitions_are_kept_unless_their_key_goes,
        a_name_cannot_end_a_comment,
        names_that_are_not_there_are_refused,
    };
    Suite *suite = suite_create("ddl");
    TCase *stories = tcase_create("ddl");
    tcase_add_checked_fixture(stories, setup, teardown);
    for (size_t i = 0; i < UNIT_COUNT(tests); i++)
        tcase_add_test(stories, tests[i]);
    suite_add_tcase(suite, stories);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
