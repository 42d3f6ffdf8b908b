/* Binding rules to two catalogs: what is found, where, and what the chain is then. */
#include "rules_world.h"

/* public.users(id, name, state) with key id at both sides; the target in app, tenant first. */
struct users {
    struct world world;
    struct catalog_table *source;
    struct catalog_table *target;
};

static void make_users(struct users *users)
{
    world_open(&users->world);
    users->source = world_table(&users->world.source, "public", "users",
                                COLUMNS({"id", "int8", NOT_NULL}, {"name", "text", NULLABLE},
                                        {"state", "public.mood", NOT_NULL}));
    world_index(users->source, "users_pkey", PRIMARY, "id");
    users->target =
        world_table(&users->world.target, "app", "users",
                    COLUMNS({"tenant_id", "uuid", NOT_NULL}, {"id", "int8", NOT_NULL},
                            {"name", "text", NULLABLE}, {"status", "text", NOT_NULL}));
    world_index(users->target, "users_pkey", PRIMARY, "tenant_id,id");
}

#define TENANT "00000000-0000-0000-0000-000000000001"
#define GOOD                                                                                   \
    "tables:\n"                                                                                \
    "  - source: users\n"                                                                      \
    "    target: app.users\n"                                                                  \
    "    columns:\n"                                                                           \
    "      tenant_id: { value: \"" TENANT "\" }\n"                                             \
    "      status: { from: state, map: { a: active }, default: unknown }\n"                    \
    "    drop: [state]\n"

static void expect_breaking(struct users *users, const char *text, const char *id,
                            const char *object, const char *what)
{
    char message[1200];
    ck_assert_msg(!world_bind(&users->world, text), "bound:\n%s", text);
    world_expect(&users->world, SEVERITY_BREAKING, id, object, what);
    ck_assert_int_eq(users->world.err.class, ERR_CONFIG);
    for (size_t i = 0; i < users->world.findings.count; i++)
        if (users->world.findings.items[i].severity == SEVERITY_BREAKING) {
            snprintf(message, sizeof(message), "%s: %s", users->world.findings.items[i].object,
                     users->world.findings.items[i].what);
            ck_assert_str_eq(users->world.err.message, message);
            return;
        }
}

static void expect_chain(struct world *world, const char *text)
{
    if (world_bind(world, text))
        return;
    world_print_findings(world);
    ck_abort_msg("not bound: %s", world->err.message);
}

START_TEST(good_rules_bind_to_both_shapes)
{
    struct users users;
    make_users(&users);
    expect_chain(&users.world, GOOD);
    const struct bound_table *table = &users.world.chain->tables[0];
    ck_assert_uint_eq(users.world.findings.count, 0);
    ck_assert_uint_eq(users.world.chain->table_count, 1);
    ck_assert_uint_eq(table->column_count, 4);
    ck_assert_uint_eq(table->source_relation->column_count, 3);
    ck_assert_uint_eq(table->source_relation->oid, users.source->oid);
    ck_assert(table->source_relation->columns[0].key);
    ck_assert_str_eq(table->target_relation->schema, "app");
    ck_assert_uint_eq(table->target_relation->oid, users.target->oid);
    ck_assert_int_eq(table->target_relation->match, MATCH_KEY);
    ck_assert(table->target_relation->columns[0].key);
    ck_assert(table->target_relation->columns[1].key);
    ck_assert(!table->target_relation->columns[2].key);
    ck_assert(table->columns[1].passes && !table->columns[3].passes);
    ck_assert(!table->insert_only);
    world_close(&users.world);
}
END_TEST

START_TEST(a_constant_in_the_key_owns_the_rows)
{
    struct users users;
    make_users(&users);
    expect_chain(&users.world, GOOD);
    const struct bound_table *table = &users.world.chain->tables[0];
    ck_assert_uint_eq(table->owner_count, 1);
    ck_assert_uint_eq(table->owner_columns[0], 0);
    ck_assert_str_eq(table->owner_values[0], TENANT);
    world_close(&users.world);
}
END_TEST

START_TEST(dropped_columns_that_no_rule_reads_are_not_selected)
{
    struct users users;
    make_users(&users);
    expect_chain(&users.world, "tables:\n"
                               "  - source: users\n"
                               "    target: app.users\n"
                               "    columns:\n"
                               "      tenant_id: { value: \"" TENANT "\" }\n"
                               "      status: { value: x }\n"
                               "    drop: [state, name]\n");
    const struct bound_table *table = &users.world.chain->tables[0];
    ck_assert_uint_eq(table->source_relation->column_count, 1);
    ck_assert_uint_eq(table->column_count, 3); /* name stays at its default */
    world_close(&users.world);
}
END_TEST

START_TEST(names_that_are_not_there_are_told_with_the_nearest)
{
    struct users users;
    make_users(&users);
    expect_breaking(&users, "tables:\n  - source: usres\n", "source.table_missing",
                    "rules.yaml:2:13",
                    "source table public.usres does not exist; did you mean \"public.users\"?");
    expect_breaking(&users, "tables:\n  - source: users\n    target: app.user\n",
                    "target.table_missing", "rules.yaml:3:13",
                    "target table app.user does not exist (for source table public.users); did "
                    "you mean \"app.users\"?");
    ck_assert_ptr_nonnull(strstr(world_finding(&users.world, "target.table_missing")->fix,
                                 "slackwater schema --apply --phase before"));
    expect_breaking(&users, GOOD "    key: [tenant_id, ix]\n", "key.column", "rules.yaml:8:22",
                    "key: target table app.users has no column \"ix\"; did you mean \"id\"?");
    world_close(&users.world);
}
END_TEST

START_TEST(column_names_that_are_not_there_are_told_with_the_nearest)
{
    struct users users;
    make_users(&users);
    const char *text = "tables:\n"
                       "  - source: users\n"
                       "    target: app.users\n"
                       "    columns:\n"
                       "      tenant_id: { value: \"" TENANT "\" }\n"
                       "      statu: { from: stat }\n"
                       "      status: { from: stat }\n"
                       "      name: { template: '{nam} {tenant}' }\n"
                       "    drop: [stat]\n";
    expect_breaking(&users, text, "target.column_missing", "rules.yaml:6:7",
                    "target table app.users has no column \"statu\"; did you mean \"status\"?");
    expect_breaking(
        &users, text, "rule.source_column", "rules.yaml:7:23",
        "source table public.users has no column \"stat\"; did you mean \"state\"?");
    expect_breaking(&users, text, "rule.drop", "rules.yaml:9:12",
                    "drop: source table public.users has no column \"stat\"; did you mean "
                    "\"state\"?");
    expect_breaking(
        &users, text, "rule.name", "rules.yaml:8:25",
        "\"nam\" is neither a column of source table public.users nor a column made "
        "by a rule of this table; did you mean \"name\"?");
    expect_breaking(&users, text, "target.column_missing", "public.users.state",
                    "source column public.users.state has no column at the target (app.users); "
                    "did you mean \"status\"?");
    world_close(&users.world);
}
END_TEST

START_TEST(a_required_target_column_without_a_rule_is_breaking)
{
    struct users users;
    make_users(&users);
    expect_breaking(&users, "tables:\n  - source: users\n    target: app.users\n",
                    "target.column_unfilled", "app.users.tenant_id",
                    "target column app.users.tenant_id is NOT NULL without a default, and no "
                    "rule fills it");
    users.target->columns[0].has_default = true;
    ck_assert(!world_bind(&users.world, "tables:\n  - source: users\n    target: app.users\n"
                                        "    drop: [state]\n"));
    ck_assert_str_eq(world_finding(&users.world, "target.column_unfilled")->object,
                     "app.users.status");
    world_close(&users.world);
}
END_TEST

START_TEST(a_constant_must_be_a_value_of_its_column)
{
    struct users users;
    make_users(&users);
    expect_breaking(
        &users,
        "tables:\n  - source: users\n    target: app.users\n    columns:\n"
        "      tenant_id: { value: seven }\n      status: { value: null }\n"
        "    drop: [state]\n",
        "rule.value", "rules.yaml:5:27",
        "value: \"seven\" is no uuid, the type of target column app.users.tenant_id");
    world_expect(&users.world, SEVERITY_BREAKING, "rule.null", "rules.yaml:6:24",
                 "value: null, but target column app.users.status is NOT NULL");
    world_close(&users.world);
}
END_TEST

START_TEST(results_of_a_map_must_be_values_of_its_column)
{
    struct users users;
    make_users(&users);
    expect_breaking(&users,
                    "tables:\n  - source: users\n    target: app.users\n    columns:\n"
                    "      tenant_id: { from: state, map: { a: x, ~: y }, default: z }\n"
                    "      status: { from: state }\n    drop: [state]\n",
                    "rule.value", "rules.yaml:5:43",
                    "map: \"x\" is no uuid, the type of target column app.users.tenant_id");
    world_expect(&users.world, SEVERITY_BREAKING, "rule.value", "rules.yaml:5:49",
                 "map: \"y\" is no uuid, the type of target column app.users.tenant_id");
    world_expect(&users.world, SEVERITY_BREAKING, "rule.value", "rules.yaml:5:63",
                 "default: \"z\" is no uuid, the type of target column app.users.tenant_id");
    world_close(&users.world);
}
END_TEST

START_TEST(a_text_longer_than_its_column_is_found_by_characters)
{
    struct world world;
    world_open(&world);
    world_index(world_table(&world.source, "public", "t", COLUMNS({"id", "int8", NOT_NULL})),
                "pk", PRIMARY, "id");
    world_index(
        world_table(&world.target, "public", "t",
                    COLUMNS({"id", "int8", NOT_NULL}, {"code", "varchar(5)", NULLABLE})),
        "pk", PRIMARY, "id");
    expect_chain(&world, "tables:\n  - source: t\n    columns: { code: { value: größe } }\n");
    ck_assert(!world_bind(&world,
                          "tables:\n  - source: t\n    columns: { code: { value: größer } "
                          "}\n"));
    world_expect(&world, SEVERITY_BREAKING, "rule.value", "rules.yaml:3:31",
                 "value: \"größer\" is longer than 5 characters, the limit of target column "
                 "public.t.code");
    world_close(&world);
}
END_TEST

START_TEST(keys_of_a_map_are_spelled_as_the_type_prints_them)
{
    struct world world;
    world_open(&world);
    world_index(world_table(&world.source, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"b", "bool", NULLABLE})),
                "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"b", "text", NULLABLE})),
                "pk", PRIMARY, "id");
    expect_chain(&world,
                 "tables:\n  - source: t\n    columns: { b: { map: { true: y, false: n } "
                 "} }\n");
    ck_assert(!world_bind(&world,
                          "tables:\n  - source: t\n    columns: { b: { map: { maybe: y } "
                          "} }\n"));
    world_expect(&world, SEVERITY_BREAKING, "rule.map_key", "rules.yaml:3:28",
                 "map: key \"maybe\" is no value of source column \"b\" (bool)");
    ck_assert(!world_bind(&world,
                          "tables:\n  - source: t\n    columns: { b: { map: { true: y, t: "
                          "x } } }\n"));
    ck_assert_str_eq(world_finding(&world, "rule.map_key")->what, "map: two entries for \"t\"");
    world_close(&world);
}
END_TEST

START_TEST(rules_that_read_each_other_are_found)
{
    struct world world;
    world_open(&world);
    world_index(world_table(&world.source, "public", "t", COLUMNS({"id", "int8", NOT_NULL})),
                "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"a", "text", NULLABLE},
                                    {"b", "text", NULLABLE})),
                "pk", PRIMARY, "id");
    ck_assert(!world_bind(&world,
                          "tables:\n  - source: t\n    columns:\n"
                          "      a: { template: '{b}' }\n      b: { template: '{a}' }\n"));
    world_expect(&world, SEVERITY_BREAKING, "rule.circle", "rules.yaml:5:22",
                 "the rules of public.t.b and \"a\" read each other");
    world_close(&world);
}
END_TEST

/* --- generated columns --- */

START_TEST(generated_columns_are_not_carried)
{
    struct world world;
    world_open(&world);
    struct catalog_table *source =
        world_table(&world.source, "public", "t",
                    COLUMNS({"id", "int8", NOT_NULL}, {"total", "int8", GENERATED},
                            {"b", "int8", NULLABLE}));
    struct catalog_table *target =
        world_table(&world.target, "public", "t",
                    COLUMNS({"id", "int8", NOT_NULL}, {"total", "int8", NULLABLE},
                            {"b", "int8", GENERATED}));
    world_index(source, "pk", PRIMARY, "id");
    world_index(target, "pk", PRIMARY, "id");
    expect_chain(&world, NULL);
    world_expect(&world, SEVERITY_POTENTIALLY_BREAKING, "source.column_generated",
                 "public.t.total",
                 "source column public.t.total is generated and not carried, and the target "
                 "column is a plain one");
    world_expect(&world, SEVERITY_POTENTIALLY_BREAKING, "target.column_generated", "public.t.b",
                 "target column public.t.b is generated: the source's values are not carried");
    ck_assert_uint_eq(world.chain->tables[0].column_count, 1);
    ck_assert_uint_eq(world.chain->tables[0].source_relation->column_count, 1);

    target->columns[1].generated = true;
    expect_chain(&world, NULL);
    world_expect(&world, SEVERITY_NON_BREAKING, "source.column_generated", "public.t.total",
                 "source column public.t.total is generated and not carried");

    ck_assert(
        !world_bind(&world, "tables:\n  - source: t\n    columns: { b: { from: total } }\n"));
    world_expect(&world, SEVERITY_BREAKING, "target.column_generated", "rules.yaml:3:16",
                 "target column public.t.b is generated and cannot be written");
    target->columns[2].generated = false;
    ck_assert(
        !world_bind(&world, "tables:\n  - source: t\n    columns: { b: { from: total } }\n"));
    world_expect(&world, SEVERITY_BREAKING, "rule.source_generated", "rules.yaml:3:27",
                 "source column public.t.total is generated: its values are not in the stream");
    world_close(&world);
}
END_TEST

/* --- types --- */

START_TEST(types_that_cannot_be_cast_are_breaking_and_others_are_told)
{
    struct world world;
    world_open(&world);
    world_index(world_table(&world.source, "public", "t",
                            COLUMNS({"id", "int4", NOT_NULL}, {"a", "bool", NULLABLE},
                                    {"b", "int8", NULLABLE}, {"c", "text", NULLABLE})),
                "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"a", "timestamptz", NULLABLE},
                                    {"b", "int4", NULLABLE}, {"c", "text", NOT_NULL})),
                "pk", PRIMARY, "id");
    ck_assert(!world_bind(&world, NULL));
    world_expect(
        &world, SEVERITY_BREAKING, "column.type_cannot_cast", "public.t.a",
        "type bool of source column public.t.a cannot be cast to timestamptz, the type "
        "of target column public.t.a");
    world_expect(
        &world, SEVERITY_POTENTIALLY_BREAKING, "column.type_narrowed", "public.t.b",
        "source column public.t.b is int8, target column public.t.b is int4: values may "
        "be out of range");
    world_expect(&world, SEVERITY_NON_BREAKING, "column.type_widened", "public.t.id",
                 "source column public.t.id is int4, target column public.t.id is int8: every "
                 "value fits");
    world_expect(&world, SEVERITY_POTENTIALLY_BREAKING, "column.null", "public.t.c",
                 "target column public.t.c is NOT NULL, source column public.t.c may be NULL");
    world_close(&world);
}
END_TEST

/* --- keys --- */

START_TEST(the_key_needs_a_unique_index_at_the_target)
{
    struct users users;
    make_users(&users);
    users.target->indexes[0].usable = false;
    expect_breaking(
        &users, GOOD "    key: [tenant_id, id]\n", "target.key_index", "rules.yaml:8:10",
        "target table app.users has no unique index on exactly (tenant_id, id) that "
        "is valid, not partial and not deferrable");
    const struct finding *finding = world_finding(&users.world, "target.key_index");
    ck_assert_str_eq(finding->sql, "CREATE UNIQUE INDEX CONCURRENTLY \"users_slackwater_key\" "
                                   "ON \"app\".\"users\" (\"tenant_id\", \"id\");");
    ck_assert_str_eq(finding->rollback_sql,
                     "DROP INDEX CONCURRENTLY \"app\".\"users_slackwater_key\";");
    users.target->indexes[0].primary = false;
    ck_assert(!world_bind(&users.world, GOOD));
    finding = world_finding(&users.world, "target.key_index");
    ck_assert_str_eq(finding->object, "app.users");
    ck_assert_str_eq(finding->sql,
                     "CREATE UNIQUE INDEX CONCURRENTLY \"users_pkey\" ON \"app\".\"users\" "
                     "(\"id\"); ALTER TABLE \"app\".\"users\" ADD CONSTRAINT \"users_pkey\" "
                     "PRIMARY KEY USING INDEX \"users_pkey\";");
    ck_assert_ptr_nonnull(strstr(users.world.err.remedy, finding->sql));
    users.target->kind = 'p';
    ck_assert(!world_bind(&users.world, GOOD));
    finding = world_finding(&users.world, "target.key_index");
    ck_assert_str_eq(finding->sql,
                     "ALTER TABLE \"app\".\"users\" ADD CONSTRAINT \"users_pkey\" "
                     "PRIMARY KEY (\"id\");");
    world_close(&users.world);
}
END_TEST

START_TEST(a_key_of_other_columns_than_the_identity_needs_identity_full)
{
    struct users users;
    make_users(&users);
    world_index(users.target, "by_name", UNIQUE, "name");
    world_index(users.source, "by_name", UNIQUE, "name");
    users.source->columns[1].not_null = true;
    expect_breaking(&users, GOOD "    key: [name]\n", "key.not_in_identity", "rules.yaml:8:10",
                    "key column app.users.name is made of source column \"name\", which is not "
                    "part of the replica identity of public.users");
    const struct finding *finding = world_finding(&users.world, "key.not_in_identity");
    ck_assert_str_eq(finding->sql, "ALTER TABLE \"public\".\"users\" REPLICA IDENTITY FULL;");
    ck_assert_str_eq(finding->rollback_sql,
                     "ALTER TABLE \"public\".\"users\" REPLICA IDENTITY DEFAULT;");
    users.source->replica_identity = 'f';
    expect_chain(&users.world, GOOD "    key: [name]\n");
    ck_assert_int_eq(users.world.chain->tables[0].target_relation->match, MATCH_KEY);
    ck_assert(users.world.chain->tables[0].target_relation->columns[2].key);
    ck_assert(!users.world.chain->tables[0].target_relation->columns[1].key);
    world_close(&users.world);
}
END_TEST

START_TEST(a_key_that_is_not_unique_at_the_source_is_refused)
{
    struct users users;
    make_users(&users);
    world_index(users.target, "by_tenant", UNIQUE, "tenant_id");
    expect_breaking(
        &users, GOOD "    key: [tenant_id]\n", "key.not_unique", "rules.yaml:8:10",
        "key (tenant_id) of target table app.users does not read a whole unique key "
        "of source table public.users");
    world_close(&users.world);
}
END_TEST

START_TEST(a_target_key_of_constants_only_is_not_taken_for_the_key)
{
    struct users users;
    make_users(&users);
    users.target->indexes[0].column_count = 1; /* (tenant_id) */
    world_index(users.target, "by_id", UNIQUE, "id");
    expect_chain(&users.world, GOOD);
    ck_assert(!users.world.chain->tables[0].target_relation->columns[0].key);
    ck_assert(users.world.chain->tables[0].target_relation->columns[1].key);
    world_close(&users.world);
}
END_TEST

/* A text key that a template makes of (a, b), whose types the test chooses. */
static void make_template_key(struct world *world, const char *a, const char *b)
{
    world_open(world);
    world_index(world_table(&world->source, "public", "t",
                            COLUMNS({"a", a, NOT_NULL}, {"b", b, NOT_NULL})),
                "pk", PRIMARY, "a,b");
    world_index(world_table(&world->target, "public", "t", COLUMNS({"pk", "text", NOT_NULL})),
                "pk", PRIMARY, "pk");
}

static bool may_collide(const char *a, const char *b, const char *template)
{
    struct world world;
    char text[256];
    make_template_key(&world, a, b);
    snprintf(text, sizeof(text),
             "tables:\n  - source: t\n    columns: { pk: { template: '%s' } }\n"
             "    drop: [a, b]\n",
             template);
    expect_chain(&world, text);
    bool found = world_finding(&world, "key.may_collide") != NULL;
    world_close(&world);
    return found;
}

START_TEST(a_template_key_that_can_collide_is_told)
{
    ck_assert(may_collide("int8", "int8", "{a}{b}"));
    ck_assert(!may_collide("int8", "int8", "{a}#{b}"));
    ck_assert(may_collide("int8", "int8", "{a}-{b}"));
    ck_assert(!may_collide("int8", "text", "A#{a}#B#{b}"));
    ck_assert(!may_collide("text", "int8", "A#{a}#B#{b}"));
    ck_assert(!may_collide("text", "int8", "A#{a}#B#{b}#END"));
    ck_assert(may_collide("text", "text", "{a}#{b}"));
    ck_assert(may_collide("uuid", "text", "{a}f{b}"));
    ck_assert(!may_collide("uuid", "text", "{a}/{b}"));
}
END_TEST

START_TEST(a_map_in_the_key_can_collide_unless_its_results_differ)
{
    struct users users;
    make_users(&users);
    users.source->indexes[0].columns[0] = 2; /* state is the key */
    users.target->indexes[0].columns[1] = 3; /* (tenant_id, status) */
    users.target->columns[1].not_null = false;
    expect_chain(&users.world, GOOD);
    world_expect(&users.world, SEVERITY_POTENTIALLY_BREAKING, "key.may_collide", "app.users",
                 "key (tenant_id, status): the rules may make the same key of different values "
                 "of source column \"state\"");
    expect_chain(&users.world,
                 "tables:\n  - source: users\n    target: app.users\n    columns:\n"
                 "      tenant_id: { value: \"" TENANT "\" }\n"
                 "      status: { from: state, map: { a: active, d: deleted } }\n"
                 "    drop: [state]\n");
    ck_assert_ptr_null(world_finding(&users.world, "key.may_collide"));
    world_close(&users.world);
}
END_TEST

/* --- constants that a server reads --- */

/* Reads dates of the year 2024 without zeros; takes "1.0" and "1" for one numeric. */
static enum reading fake_spell(void *context, const struct type_text *type, const char *text,
                               struct arena *arena, const char **spelled, struct err *err)
{
    int month, day;
    (void)context, (void)type;
    if (strcmp(text, "away") == 0) {
        err_set(err, ERR_RETRY, "the connection is lost");
        return READING_FAILED;
    }
    if (sscanf(text, "2024-%d-%d", &month, &day) != 2)
        return READING_NONE;
    char *date = arena_alloc(arena, 16);
    snprintf(date, 16, "2024-%02d-%02d", month % 100, day % 100);
    *spelled = date;
    return READING_VALUE;
}

static enum reading fake_any(void *context, const struct type_text *type, const char *text,
                             struct arena *arena, const char **spelled, struct err *err)
{
    (void)context, (void)type, (void)err;
    *spelled = arena_copy(arena, text, strlen(text) + 1);
    return READING_VALUE;
}

static enum reading fake_equal(void *context, const struct type_text *type, const char *a,
                               const char *b, bool *equal, struct err *err)
{
    (void)context, (void)type, (void)err;
    *equal = strtod(a, NULL) == strtod(b, NULL);
    return READING_VALUE;
}

static const struct type_reader fake_types = {.spell = fake_spell, .equal = fake_equal};

static bool bind_asking(struct world *world, const char *text)
{
    world_unbind(world);
    ck_assert_msg(world_load(world, text), "%s", world->err.message);
    rules_ask_types(world->rules, &fake_types);
    return rules_bind(world->rules, &world->source, &world->target, &world->findings,
                      &world->chain, &world->err);
}

static void make_days(struct world *world)
{
    world_open(world);
    for (int i = 0; i < 2; i++) {
        struct catalog *catalog = i ? &world->target : &world->source;
        world_index(world_table(catalog, "public", "t",
                                COLUMNS({"id", "int8", NOT_NULL}, {"day", "date", NULLABLE},
                                        {"mood", "public.mood", NULLABLE})),
                    "t_pkey", PRIMARY, "id");
    }
}

#define DAYS(columns) "tables:\n  - source: t\n    columns: { " columns " }\n"

START_TEST(a_constant_that_the_server_does_not_read_is_refused)
{
    struct world world;
    make_days(&world);
    ck_assert(bind_asking(&world, DAYS("day: { value: 2024-1-2 }")));
    ck_assert(!bind_asking(&world, DAYS("day: { value: soon }")));
    ck_assert_ptr_nonnull(world_finding(&world, "rule.value"));
    ck_assert(!bind_asking(&world, DAYS("day: { map: { never: 2024-1-2 } }")));
    ck_assert_ptr_nonnull(world_finding(&world, "rule.map_key"));
    ck_assert(!bind_asking(&world, DAYS("day: { null_if: away }")));
    ck_assert_str_eq(world.err.message, "the connection is lost");
    ck_assert_int_eq(world.err.class, ERR_RETRY);
    ck_assert(!bind_asking(&world, "tables:\n  - source: t\n"
                                   "    where: { column: day, in: [2024-1-2, soon] }\n"));
    ck_assert_ptr_nonnull(world_finding(&world, "rule.condition_value"));
    world_close(&world);
}
END_TEST

START_TEST(a_label_that_an_enum_lacks_is_refused_with_the_nearest)
{
    struct world world;
    make_days(&world);
    struct catalog_enum mood = {.schema = mem_string("public"), .name = mem_string("mood")};
    mood.labels = mem_zero(1, sizeof(char *));
    mood.labels[mood.label_count++] = mem_string("cheerful");
    world.target.enums = mem_zero(1, sizeof(mood));
    world.target.enums[world.target.enum_count++] = mood;
    ck_assert(!world_bind(&world, DAYS("mood: { value: Cheerful }")));
    ck_assert_ptr_nonnull(
        strstr(world_finding(&world, "rule.value")->what, "did you mean \"cheerful\""));
    expect_chain(&world, DAYS("mood: { value: cheerful }"));
    world_close(&world);
}
END_TEST

START_TEST(discriminators_of_other_types_differ_where_the_server_says_so)
{
    static const char merge[] =
        "tables:\n"
        "  - { source: a, target: m, key: [o, id], columns: { o: { value: \"1\" } } }\n"
        "  - { source: b, target: m, key: [o, id], columns: { o: { value: \"%s\" } } }\n";
    struct world world;
    char text[sizeof(merge) + 8];
    world_open(&world);
    for (const char *name = "ab"; *name; name++)
        world_index(world_table(&world.source, "public", (char[]){*name, 0},
                                COLUMNS({"id", "int8", NOT_NULL})),
                    "pkey", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "m",
                            COLUMNS({"o", "numeric", NOT_NULL}, {"id", "int8", NOT_NULL})),
                "m_pkey", PRIMARY, "o,id");
    snprintf(text, sizeof(text), merge, "2");
    expect_chain(&world, text); /* nobody to ask: it is not known */
    ck_assert_ptr_nonnull(world_finding(&world, "merge.no_discriminator"));
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof(text), merge, i ? "1.0" : "2");
        world_unbind(&world);
        ck_assert(world_load(&world, text));
        rules_ask_types(world.rules,
                        &(struct type_reader){.spell = fake_any, .equal = fake_equal});
        ck_assert(rules_bind(world.rules, &world.source, &world.target, &world.findings,
                             &world.chain, &world.err));
        ck_assert_int_eq(world_finding(&world, "merge.no_discriminator") != NULL, i);
    }
    world_close(&world);
}
END_TEST

START_TEST(an_identity_that_is_not_carried_is_refused)
{
    struct users users;
    make_users(&users);
    users.target->columns[1].has_default = true;
    expect_breaking(&users,
                    "tables:\n  - source: users\n    target: app.users\n    columns:\n"
                    "      tenant_id: { value: \"" TENANT "\" }\n"
                    "      status: { from: state }\n    drop: [id, state]\n",
                    "key.identity_not_carried", "app.users",
                    "column \"id\" of source table public.users identifies its rows, and no "
                    "column of target table app.users holds it");
    world_close(&users.world);
}
END_TEST

START_TEST(a_key_column_must_have_a_rule_and_a_value)
{
    struct users users;
    make_users(&users);
    users.target->columns[0].not_null = false;
    expect_breaking(
        &users,
        "tables:\n  - source: users\n    target: app.users\n    key: [tenant_id, id]\n"
        "    columns: { status: { from: state } }\n    drop: [state]\n",
        "key.column", "rules.yaml:4:11",
        "key: no rule fills target column app.users.tenant_id");
    expect_breaking(
        &users,
        "tables:\n  - source: users\n    target: app.users\n    key: [tenant_id, id]\n"
        "    columns: { tenant_id: { value: ~ }, status: { from: state } }\n"
        "    drop: [state]\n",
        "key.null", "rules.yaml:5:36", "key column app.users.tenant_id is always NULL");
    world_close(&users.world);
}
END_TEST

START_TEST(the_name_of_a_proposed_index_fits_and_keeps_characters_whole)
{
    struct users users;
    make_users(&users);
    world_drop_indexes(users.target);
    free(users.target->name);
    users.target->name = mem_string("xääääääääääääääääääääääääääääää"); /* 61 bytes */
    ck_assert(!world_bind(&users.world, "tables:\n  - source: users\n"
                                        "    target: app.xääääääääääääääääääääääääääääää\n"
                                        "    columns:\n"
                                        "      tenant_id: { value: \"" TENANT "\" }\n"
                                        "      status: { from: state }\n"
                                        "    drop: [state]\n"));
    ck_assert_ptr_nonnull(
        strstr(world_finding(&users.world, "target.key_index")->sql,
               "ADD CONSTRAINT \"xääääääääääääääääääääääääääää_pkey\" PRIMARY"));
    world_close(&users.world);
}
END_TEST

START_TEST(a_table_of_the_name_in_another_schema_is_proposed)
{
    struct users users;
    make_users(&users);
    expect_breaking(&users, "tables:\n  - source: users\n", "target.table_missing",
                    "rules.yaml:2:13",
                    "target table public.users does not exist (for source table public.users); "
                    "did you mean \"app.users\"?");
    world_close(&users.world);
}
END_TEST

START_TEST(an_identity_index_that_is_gone_is_no_identity)
{
    struct users users;
    make_users(&users);
    users.source->replica_identity = 'i';
    expect_chain(&users.world, GOOD);
    ck_assert(users.world.chain->tables[0].insert_only);
    ck_assert_ptr_nonnull(strstr(world_finding(&users.world, "source.no_identity")->what,
                                 "has a replica identity index that is gone"));
    world_close(&users.world);
}
END_TEST

/* --- identities --- */

START_TEST(a_table_without_identity_carries_inserts_only)
{
    struct users users;
    make_users(&users);
    world_drop_indexes(users.source);
    users.source->updates_deletes = 12;
    expect_chain(&users.world, GOOD);
    const struct bound_table *table = &users.world.chain->tables[0];
    ck_assert(table->insert_only);
    ck_assert_int_eq(table->target_relation->match, MATCH_NONE);
    ck_assert_uint_eq(table->owner_count, 1);
    world_expect(&users.world, SEVERITY_POTENTIALLY_BREAKING, "source.no_identity",
                 "public.users",
                 "source table public.users has no primary key: only its inserts and truncates "
                 "are carried");
    ck_assert_str_eq(world_finding(&users.world, "source.no_identity")->impact,
                     "updates and deletes cannot be seen, and the table has had 12");
    ck_assert_str_eq(world_finding(&users.world, "source.no_identity")->sql,
                     "ALTER TABLE \"public\".\"users\" REPLICA IDENTITY FULL;");
    expect_breaking(&users, GOOD "    key: [tenant_id, id]\n", "key.no_source_key",
                    "rules.yaml:8:10",
                    "key: source table public.users sends no key of updated and deleted rows");
    world_close(&users.world);
}
END_TEST

START_TEST(identity_nothing_and_a_deferrable_key_are_no_identity)
{
    struct users users;
    make_users(&users);
    users.source->replica_identity = 'n';
    expect_chain(&users.world, GOOD);
    ck_assert(users.world.chain->tables[0].insert_only);
    ck_assert_str_eq(world_finding(&users.world, "source.no_identity")->rollback_sql,
                     "ALTER TABLE \"public\".\"users\" REPLICA IDENTITY NOTHING;");
    users.source->replica_identity = 'd';
    users.source->indexes[0].immediate = false;
    expect_chain(&users.world, GOOD);
    ck_assert(users.world.chain->tables[0].insert_only);
    ck_assert_ptr_nonnull(strstr(world_finding(&users.world, "source.no_identity")->what,
                                 "has only a deferrable primary key"));
    world_close(&users.world);
}
END_TEST

START_TEST(identity_full_matches_by_key_where_there_is_one_else_by_row)
{
    struct users users;
    make_users(&users);
    users.source->replica_identity = 'f';
    expect_chain(&users.world, GOOD);
    ck_assert_int_eq(users.world.chain->tables[0].target_relation->match, MATCH_KEY);
    users.source->indexes[0].immediate = false;
    expect_chain(&users.world, GOOD);
    const struct bound_table *table = &users.world.chain->tables[0];
    ck_assert_int_eq(table->target_relation->match, MATCH_ROW);
    ck_assert(!table->insert_only);
    for (uint16_t i = 0; i < table->column_count; i++)
        ck_assert(!table->target_relation->columns[i].key);
    world_close(&users.world);
}
END_TEST

START_TEST(identity_by_index_uses_its_columns)
{
    struct users users;
    make_users(&users);
    users.source->columns[1].not_null = true;
    world_index(users.source, "by_name", UNIQUE, "name")->replica_identity = true;
    users.source->replica_identity = 'i';
    expect_breaking(
        &users, GOOD, "target.key_index", "app.users",
        "target table app.users has no unique index on exactly (name) that is valid, "
        "not partial and not deferrable");
    world_index(users.target, "by_name", UNIQUE, "name");
    expect_chain(&users.world, GOOD);
    ck_assert(users.world.chain->tables[0].target_relation->columns[2].key);
    ck_assert(users.world.chain->tables[0].source_relation->columns[1].key);
    world_close(&users.world);
}
END_TEST

START_TEST(an_always_identity_column_outside_the_key_is_told)
{
    struct users users;
    make_users(&users);
    users.source->columns[1].not_null = true;
    users.target->columns[2].identity = 'a';
    expect_chain(&users.world, GOOD);
    ck_assert_str_eq(world_finding(&users.world, "target.identity_always")->sql,
                     "ALTER TABLE \"app\".\"users\" ALTER COLUMN \"name\" SET GENERATED BY "
                     "DEFAULT;");
    ck_assert(users.world.chain->tables[0].target_relation->columns[2].identity_always);
    world_close(&users.world);
}
END_TEST

/* --- tables --- */

START_TEST(unlogged_tables_and_partitions_cannot_be_named)
{
    struct users users;
    make_users(&users);
    users.source->persistence = 'u';
    expect_breaking(&users, GOOD, "source.unlogged", "rules.yaml:2:13",
                    "source table public.users is unlogged: its changes are not in the WAL");
    users.source->persistence = 'p';
    users.source->is_partition = true;
    expect_breaking(&users, GOOD, "source.partition", "rules.yaml:2:13",
                    "source table public.users is a partition");
    world_close(&users.world);
}
END_TEST

START_TEST(without_a_tables_section_every_table_goes_to_its_namesake)
{
    struct world world;
    world_open(&world);
    ck_assert(!world_bind(&world, NULL));
    world_expect(&world, SEVERITY_BREAKING, "source.no_tables", "source",
                 "the source has no table to carry");
    for (int i = 0; i < 2; i++) {
        struct catalog *catalog = i ? &world.target : &world.source;
        struct catalog_table *table =
            world_table(catalog, "public", "a", COLUMNS({"id", "int8", NOT_NULL}));
        world_index(table, "pk", PRIMARY, "id");
        table->kind = 'p';
        world_table(catalog, "public", "history", COLUMNS({"id", "int8", NULLABLE}));
    }
    world_table(&world.source, "public", "a_1", COLUMNS({"id", "int8", NULLABLE}))
        ->is_partition = true;
    world_table(&world.source, "public", "u", COLUMNS({"id", "int8", NULLABLE}))->persistence =
        'u';
    expect_chain(&world, NULL);
    ck_assert_uint_eq(world.chain->table_count, 2);
    ck_assert(!world.chain->tables[0].insert_only);
    ck_assert(world.chain->tables[1].insert_only);
    ck_assert_uint_eq(world.chain->tables[1].target_relation->table, 1);
    world_expect(&world, SEVERITY_POTENTIALLY_BREAKING, "source.unlogged", "public.u",
                 "source table public.u is unlogged and left out: its changes are not in the "
                 "WAL");
    world_table(&world.source, "public", "new", COLUMNS({"id", "int8", NULLABLE}));
    ck_assert(!world_bind(&world, NULL));
    world_expect(&world, SEVERITY_BREAKING, "target.table_missing", "public.new",
                 "target table public.new does not exist (for source table public.new)");
    world_close(&world);
}
END_TEST

START_TEST(tables_without_columns_bind)
{
    struct world world;
    world_open(&world);
    world_table(&world.source, "public", "empty", NULL, 0);
    world_table(&world.target, "public", "empty", NULL, 0);
    expect_chain(&world, NULL);
    ck_assert_uint_eq(world.chain->tables[0].column_count, 0);
    world_close(&world);
}
END_TEST

/* --- formats --- */

START_TEST(the_stream_is_binary_unless_a_value_needs_its_text_and_has_none_here)
{
    struct world world;
    world_open(&world);
    struct catalog_table *source =
        world_table(&world.source, "public", "t",
                    COLUMNS({"id", "int8", NOT_NULL}, {"at", "timestamptz", NULLABLE},
                            {"x", "public.hstore", NULLABLE}));
    struct catalog_table *target =
        world_table(&world.target, "public", "t",
                    COLUMNS({"id", "int8", NOT_NULL}, {"at", "timestamptz", NULLABLE},
                            {"x", "text", NULLABLE}));
    world_index(source, "pk", PRIMARY, "id");
    world_index(target, "pk", PRIMARY, "id");
    expect_chain(&world, NULL);
    ck_assert(!world.chain->stream_binary);
    ck_assert_str_eq(world.chain->stream_text_reason,
                     "public.t.x (public.hstore: its binary form is not known)");
    ck_assert(!world.chain->tables[0].copy_binary);

    expect_chain(&world, "tables:\n  - source: t\n    drop: [x]\n");
    ck_assert(world.chain->stream_binary);
    ck_assert_ptr_null(world.chain->stream_text_reason);
    ck_assert(world.chain->tables[0].copy_binary);

    expect_chain(&world, "tables:\n  - source: t\n    drop: [x]\n"
                         "    columns: { x: { template: '{at}' } }\n");
    ck_assert(!world.chain->stream_binary);
    expect_chain(&world, "tables:\n  - source: t\n    drop: [x]\n"
                         "    columns: { x: { template: '{id}' } }\n");
    ck_assert(world.chain->stream_binary);
    ck_assert(world.chain->tables[0].copy_binary);
    world_close(&world);
}
END_TEST

START_TEST(the_copy_is_text_where_a_constant_has_no_binary_form_here)
{
    struct world world;
    world_open(&world);
    world_index(world_table(&world.source, "public", "t", COLUMNS({"id", "int8", NOT_NULL})),
                "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"n", "numeric", NULLABLE})),
                "pk", PRIMARY, "id");
    expect_chain(&world, "tables:\n  - source: t\n    columns: { n: { value: 1.5 } }\n");
    ck_assert(world.chain->stream_binary);
    ck_assert(!world.chain->tables[0].copy_binary);
    expect_chain(&world, "tables:\n  - source: t\n    columns: { n: { value: null } }\n");
    ck_assert(world.chain->tables[0].copy_binary);
    world_close(&world);
}
END_TEST

START_TEST(findings_say_what_goes_nowhere_and_what_a_name_means)
{
    struct users users;
    make_users(&users);
    expect_chain(&users.world, GOOD "  \n");
    expect_chain(&users.world,
                 "tables:\n  - source: users\n    target: app.users\n    columns:\n"
                 "      tenant_id: { value: \"" TENANT "\" }\n"
                 "      name: { value: x }\n"
                 "      status: { template: '{name} {state}' }\n"
                 "    drop: [state]\n");
    world_expect(&users.world, SEVERITY_NON_BREAKING, "rule.name_means_source",
                 "rules.yaml:7:27",
                 "\"name\" means the column of source table public.users, not what the rule of "
                 "target column \"name\" makes");
    world_expect(
        &users.world, SEVERITY_NON_BREAKING, "rule.partly_unchanged", "rules.yaml:7:27",
        "the rule of app.users.status joins \"name\" with other columns; values above 2 "
        "kB are not sent when they do not change");
    expect_chain(&users.world,
                 "tables:\n  - source: users\n    target: app.users\n    columns:\n"
                 "      tenant_id: { value: \"" TENANT "\" }\n"
                 "      name: { value: x }\n"
                 "      status: { from: state }\n"
                 "    drop: [state]\n");
    world_expect(&users.world, SEVERITY_NON_BREAKING, "rule.source_unread", "rules.yaml:6:7",
                 "source column public.users.name goes nowhere: the target column of its name "
                 "has a rule that does not read it");
    world_close(&users.world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        good_rules_bind_to_both_shapes,
        a_constant_in_the_key_owns_the_rows,
        dropped_columns_that_no_rule_reads_are_not_selected,
        names_that_are_not_there_are_told_with_the_nearest,
        column_names_that_are_not_there_are_told_with_the_nearest,
        a_required_target_column_without_a_rule_is_breaking,
        a_constant_must_be_a_value_of_its_column,
        results_of_a_map_must_be_values_of_its_column,
        a_text_longer_than_its_column_is_found_by_characters,
        keys_of_a_map_are_spelled_as_the_type_prints_them,
        rules_that_read_each_other_are_found,
        generated_columns_are_not_carried,
        types_that_cannot_be_cast_are_breaking_and_others_are_told,
        the_key_needs_a_unique_index_at_the_target,
        a_key_of_other_columns_than_the_identity_needs_identity_full,
        a_key_that_is_not_unique_at_the_source_is_refused,
        a_target_key_of_constants_only_is_not_taken_for_the_key,
        a_template_key_that_can_collide_is_told,
        a_map_in_the_key_can_collide_unless_its_results_differ,
        a_constant_that_the_server_does_not_read_is_refused,
        a_label_that_an_enum_lacks_is_refused_with_the_nearest,
        discriminators_of_other_types_differ_where_the_server_says_so,
        an_identity_that_is_not_carried_is_refused,
        a_key_column_must_have_a_rule_and_a_value,
        the_name_of_a_proposed_index_fits_and_keeps_characters_whole,
        a_table_of_the_name_in_another_schema_is_proposed,
        an_identity_index_that_is_gone_is_no_identity,
        a_table_without_identity_carries_inserts_only,
        identity_nothing_and_a_deferrable_key_are_no_identity,
        identity_full_matches_by_key_where_there_is_one_else_by_row,
        identity_by_index_uses_its_columns,
        an_always_identity_column_outside_the_key_is_told,
        unlogged_tables_and_partitions_cannot_be_named,
        without_a_tables_section_every_table_goes_to_its_namesake,
        tables_without_columns_bind,
        the_stream_is_binary_unless_a_value_needs_its_text_and_has_none_here,
        the_copy_is_text_where_a_constant_has_no_binary_form_here,
        findings_say_what_goes_nowhere_and_what_a_name_means,
    };
    return unit_run("bind", tests, UNIT_COUNT(tests));
}
