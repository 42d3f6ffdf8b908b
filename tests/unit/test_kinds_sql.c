/* sql, with a server that is a few answers in the test. */
#include "kinds_world.h"

struct fake {
    const char *reads; /* "x n": the columns it says are read */
    struct formula_facts facts;
    bool lost;
    char asked[512]; /* the request, as text */
};

static bool is_read(const struct fake *fake, const char *name)
{
    const char *at = strstr(fake->reads, name);
    size_t size = strlen(name);
    return at && (at == fake->reads || at[-1] == ' ') && (at[size] == ' ' || !at[size]);
}

static bool fake_read(void *context, const struct formula_request *request, struct arena *arena,
                      struct formula_facts *facts, struct err *err)
{
    struct fake *fake = context;
    size_t count = request->column_count;
    if (fake->lost)
        return err_set(err, ERR_RETRY, "target: connection lost");
    snprintf(fake->asked, sizeof(fake->asked), "%s for %s.%s.%s", request->expression,
             request->schema, request->table, request->column);
    *facts = fake->facts;
    facts->reads = arena_alloc(arena, count + 1);
    facts->types = arena_alloc(arena, (count + 1) * sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        facts->reads[i] = is_read(fake, request->names[i]);
        facts->types[i] = request->types[i];
    }
    return true;
}

/* kind_open() with a server; the worlds of a test are opened again with it. */
static bool open_with(struct kind_world *kind, struct fake *fake, const char *entry)
{
    struct formula_reader reader = {.read = fake_read, .context = fake};
    char text[1024];
    kind_open(kind, "{ value: v }");
    kind->world.formulas = &reader;
    snprintf(text, sizeof(text),
             "tables:\n  - source: t\n    drop: [x, b, n, j, jb]\n    columns:\n      y: %s\n",
             entry);
    bool bound = world_bind(&kind->world, text);
    kind->world.formulas = NULL;
    return bound;
}

static void must_open(struct kind_world *kind, struct fake *fake, const char *entry)
{
    ck_assert_msg(open_with(kind, fake, entry), "%s", kind->world.err.message);
}

static const struct column *written_column(const struct kind_world *kind)
{
    return &kind->world.chain->tables[0].target_relation->columns[1];
}

/* --- the file --- */

START_TEST(it_stands_alone)
{
    kind_not_loaded(
        "{ sql: x, cast: integer }",
        "rules.yaml:4:20: sql: the value is made by the target, in the write, so that "
        "\"cast\" cannot work on it; say it in the expression");
    kind_not_loaded(
        "{ default: d, sql: x }",
        "rules.yaml:4:12: sql: the value is made by the target, in the write, so that "
        "\"default\" cannot work on it; say it in the expression");
    kind_not_loaded("{ sql: \" \" }", "rules.yaml:4:17: sql: expected an expression such as "
                                      "\"upper(last_name)\"");
}
END_TEST

START_TEST(a_type_may_stand_beside_it)
{
    struct kind_world kind;
    struct fake fake = {.reads = "x"};
    must_open(&kind, &fake, "{ sql: upper(x), type: text }");
    ck_assert_str_eq(fake.asked, "upper(x) for public.t.y");
    kind_close(&kind);
}
END_TEST

/* --- what is bound --- */

START_TEST(the_column_carries_the_formula_and_the_copy_is_text)
{
    struct kind_world kind;
    struct fake fake = {.reads = "x n"};
    must_open(&kind, &fake, "{ sql: \"x || n\" }");
    ck_assert_str_eq(
        written_column(&kind)->formula,
        "(SELECT (\nx || n\n) FROM (SELECT v[1]::text AS \"x\", v[2]::int4 AS \"n\" "
        "FROM (SELECT ");
    ck_assert(!written_column(&kind)->formula_varies);
    ck_assert(relation_has_formula(kind.world.chain->tables[0].target_relation));
    ck_assert(!kind.world.chain->tables[0].copy_binary);
    ck_assert_str_eq(kind.world.chain->tables[0].copy_text_reason,
                     "column y (text: sql: made by the target)");
    ck_assert_uint_eq(kind.world.chain->tables[0].source_relation->column_count, 3);
    kind_close(&kind);
}
END_TEST

static void gives(const char *reads, const char *const *row, const char *result)
{
    struct kind_world kind;
    struct fake fake = {.reads = reads};
    must_open(&kind, &fake, "{ sql: e }");
    kind_row_gives(&kind, row, result);
    kind_close(&kind);
}

START_TEST(what_it_reads_travels_as_an_array_of_texts)
{
    gives("x", ROW("a"), "{\"a\"}");
    gives("x b", ROW("a"), "{\"a\",\"a\"}");
    gives("x", ROW("NULL"), "{NULL}");
    gives("x", ROW(""), "{\"\"}");
    gives("x", ROW("a\"b\\c{d},\n'e"), "{\"a\\\"b\\\\c{d},\n'e\"}");
    gives("", ROW("a"), "{}");
}
END_TEST

START_TEST(it_is_left_out_when_all_it_reads_is_unchanged)
{
    gives("x", ROW("UNCHANGED"), "UNCHANGED");
    gives("x j", ROW("UNCHANGED"), "UNCHANGED");
    gives("id x", ROW("UNCHANGED"), "UNCHANGED"); /* the identity cannot have changed */
}
END_TEST

START_TEST(partly_unchanged_it_needs_the_row_again)
{
    struct kind_world kind;
    struct fake fake = {.reads = "x n"};
    must_open(&kind, &fake, "{ sql: e }");
    ck_assert_int_eq(world_change(&kind.world, kind.in, kind.relation, CHANGE_UPDATE, OLD_NONE,
                                  NULL, VALUES("7", "UNCHANGED", "t", "1", "{}", "{}")),
                     TRANSFORM_REFUSED);
    ck_assert_str_eq(kind.world.err.message,
                     "target column public.t.y: the expression joins a value that was not sent "
                     "because it did not change (TOAST) with values that may have changed");
    kind_close(&kind);
}
END_TEST

/* --- refusals --- */

static void refused(struct fake *fake, const char *entry, const char *id, const char *what)
{
    struct kind_world kind;
    ck_assert_msg(!open_with(&kind, fake, entry), "bound: %s", entry);
    world_expect(&kind.world, SEVERITY_BREAKING, id, "rules.yaml:5:17", what);
    kind_close(&kind);
}

START_TEST(what_the_server_refuses_is_refused_at_its_place)
{
    struct fake fake = {.reads = "", .facts = {.refusal = "no such column"}};
    refused(&fake, "{ sql: e }", "rule.sql", "sql: no such column");
    fake.facts = (struct formula_facts){.misfit = "no such cast"};
    refused(&fake, "{ sql: e }", "rule.sql_type", "sql: no such cast");
}
END_TEST

START_TEST(a_text_of_the_environment_is_not_shown)
{
    struct fake fake = {.reads = "", .facts = {.refusal = "at or near pepper"}};
    setenv("SALT", "pepper", 1);
    refused(&fake, "{ sql: '${SALT}' }", "rule.sql",
            "sql: the server refuses it; its message may hold text of the environment, and is "
            "not shown");
}
END_TEST

START_TEST(without_a_server_it_cannot_be_bound)
{
    kind_refused("{ sql: e }", "rule.sql", "rules.yaml:5:17",
                 "sql: there is no server here that could read the expression");
}
END_TEST

START_TEST(a_server_that_does_not_answer_is_no_finding)
{
    struct kind_world kind;
    struct fake fake = {.reads = "", .lost = true};
    ck_assert(!open_with(&kind, &fake, "{ sql: e }"));
    ck_assert_int_eq(kind.world.err.class, ERR_RETRY);
    ck_assert_str_eq(kind.world.err.message, "rules.yaml:5:17: target: connection lost");
    ck_assert_ptr_null(world_finding(&kind.world, "rule.sql"));
    kind_close(&kind);
}
END_TEST

START_TEST(it_is_in_no_key)
{
    struct world world;
    struct fake fake = {.reads = "id"};
    struct formula_reader reader = {.read = fake_read, .context = &fake};
    world_open(&world);
    world.formulas = &reader;
    world_index(world_table(&world.source, "public", "t", COLUMNS({"id", "int8", NOT_NULL})),
                "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "t", COLUMNS({"id", "int8", NOT_NULL})),
                "pk", PRIMARY, "id");
    ck_assert(!world_bind(&world, "tables:\n  - source: t\n    key: [id]\n    columns:\n"
                                  "      id: { sql: id + 1 }\n"));
    world_expect(
        &world, SEVERITY_BREAKING, "key.sql", "rules.yaml:3:10",
        "key column public.t.id is made by the target, in the write (sql): its old value "
        "is not known when a row is to be found");
    world_close(&world);
}
END_TEST

START_TEST(no_rule_reads_what_the_target_makes)
{
    struct world world;
    struct fake fake = {.reads = "x"};
    struct formula_reader reader = {.read = fake_read, .context = &fake};
    world_open(&world);
    world.formulas = &reader;
    world_index(world_table(&world.source, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"x", "text", NULLABLE})),
                "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"y", "text", NULLABLE},
                                    {"z", "text", NULLABLE})),
                "pk", PRIMARY, "id");
    ck_assert(!world_bind(&world, "tables:\n  - source: t\n    drop: [x]\n    columns:\n"
                                  "      y: { sql: upper(x) }\n"
                                  "      z: { template: \"<{y}>\" }\n"));
    world_expect(&world, SEVERITY_BREAKING, "rule.sql", "rules.yaml:6:22",
                 "\"y\" is made by the target, in the write (sql): no rule can read it");
    world_close(&world);
}
END_TEST

/* --- notes --- */

START_TEST(a_volatile_expression_is_told_and_finds_no_row)
{
    struct kind_world kind;
    struct fake fake = {.reads = "x", .facts = {.varies = true, .at_source = true}};
    must_open(&kind, &fake, "{ sql: random()::text || x }");
    ck_assert_ptr_nonnull(world_finding(&kind.world, "rule.sql_varies"));
    ck_assert(written_column(&kind)->formula_varies);
    ck_assert_str_eq(rule_no_sql(kind_rule(&kind)),
                     "a volatile expression gives another value each time");
    kind_close(&kind);
}
END_TEST

START_TEST(a_collation_that_stays_behind_is_told)
{
    struct world world;
    struct fake fake = {.reads = "x"};
    struct formula_reader reader = {.read = fake_read, .context = &fake};
    world_open(&world);
    world.formulas = &reader;
    struct catalog_table *source =
        world_table(&world.source, "public", "t",
                    COLUMNS({"id", "int8", NOT_NULL}, {"x", "text", NULLABLE}));
    source->columns[1].collation = mem_string("pg_catalog.C");
    world_index(source, "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"x", "text", NULLABLE})),
                "pk", PRIMARY, "id");
    ck_assert(world_bind(&world, "tables:\n  - source: t\n    columns:\n"
                                 "      x: { sql: upper(x) }\n"));
    world_expect(
        &world, SEVERITY_NON_BREAKING, "rule.sql_collation", "rules.yaml:4:17",
        "public.t.x: the expression sees \"x\" with the target database's collation, not "
        "with pg_catalog.C; write COLLATE where it matters");
    world_close(&world);
}
END_TEST

/* --- the other faces --- */

START_TEST(its_sql_is_itself_over_the_sources_columns)
{
    struct kind_world kind;
    struct fake fake = {.reads = "x", .facts = {.at_source = true}};
    struct buf sql = {0};
    must_open(&kind, &fake, "{ sql: upper(x) }");
    bound_table_select(&kind.world.chain->tables[0], &sql);
    ck_assert_str_eq(buf_text(&sql),
                     "SELECT CAST(\"id\" AS int8) AS \"id\", CAST((SELECT (\nupper(x)\n) FROM "
                     "(SELECT \"x\"::text AS \"x\") AS \"slackwater source row\") AS text) AS "
                     "\"y\" FROM ONLY \"public\".\"t\"");
    buf_free(&sql);
    kind_close(&kind);
}
END_TEST

START_TEST(where_the_source_cannot_evaluate_it_it_has_no_sql)
{
    struct kind_world kind;
    struct fake fake = {.reads = "x"};
    must_open(&kind, &fake, "{ sql: app.f(x) }");
    ck_assert_str_eq(rule_no_sql(kind_rule(&kind)),
                     "the source cannot evaluate the expression");
    kind_close(&kind);
}
END_TEST

START_TEST(there_is_no_way_back)
{
    struct kind_world kind;
    struct fake fake = {.reads = "x"};
    must_open(&kind, &fake, "{ sql: upper(x) }");
    struct inverse inverse = rule_inverse(kind_rule(&kind));
    ck_assert_str_eq(
        inverse.reason,
        "an SQL expression is not taken apart; the way back needs an expression of "
        "its own, over columns that hold what this one reads");
    ck_assert(!inverse.one_to_one);
    buf_free(&inverse.steps);
    kind_close(&kind);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        it_stands_alone,
        a_type_may_stand_beside_it,
        the_column_carries_the_formula_and_the_copy_is_text,
        what_it_reads_travels_as_an_array_of_texts,
        it_is_left_out_when_all_it_reads_is_unchanged,
        partly_unchanged_it_needs_the_row_again,
        what_the_server_refuses_is_refused_at_its_place,
        a_text_of_the_environment_is_not_shown,
        without_a_server_it_cannot_be_bound,
        a_server_that_does_not_answer_is_no_finding,
        it_is_in_no_key,
        no_rule_reads_what_the_target_makes,
        a_volatile_expression_is_told_and_finds_no_row,
        a_collation_that_stays_behind_is_told,
        its_sql_is_itself_over_the_sources_columns,
        where_the_source_cannot_evaluate_it_it_has_no_sql,
        there_is_no_way_back,
    };
    return unit_run("kinds_sql", tests, UNIT_COUNT(tests));
}
