/* Rules of a file, bound to two catalogs made by hand, said in SQL and evaluated on rows: what
 * holds templates, conditions, casts, maps and paths that somebody wrote. */
#include "unit_worlds.h"

#include "../unit/rules_world.h"

#define ALL_KINDS                                                                              \
    COLUMNS({"id", "int8", NOT_NULL}, {"tenant_id", "uuid", NULLABLE},                         \
            {"name", "text", NULLABLE}, {"state", "public.mood", NULLABLE},                    \
            {"small", "int2", NULLABLE}, {"amount", "numeric(12,2)", NULLABLE},                \
            {"real", "float8", NULLABLE}, {"flag", "bool", NULLABLE},                          \
            {"day", "date", NULLABLE}, {"at", "timestamptz", NULLABLE},                        \
            {"doc", "jsonb", NULLABLE}, {"raw", "json", NULLABLE},                             \
            {"bytes", "bytea", NULLABLE}, {"tags", "text[]", NULLABLE},                        \
            {"code", "varchar(5)", NULLABLE}, {"note", "text", NULLABLE})

static const char *const ROWS[][17] = {
    {"1", "00000000-0000-0000-0000-000000000001", "Ann Lee", "happy", "7", "12.50", "1e+30",
     "t", "2024-02-29", "2024-02-29 12:00:00.5+00", "{\"a\": [1, {\"b\": null}], \"c\": \"\"}",
     "{ \"a\" : \"\\u00e9\\n\" , \"a\": 2}", "\\x00ff", "{a,\"b c\",NULL}", "abc", "", NULL},
    {"-9223372036854775808", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL",
     "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", NULL},
    {"0", "ffffffff-ffff-ffff-ffff-ffffffffffff", "", "sad \xf0\x9f\x98\x80", "-32768", "NaN",
     "-Infinity", "f", "infinity", "4713-01-01 00:00:00+00 BC", "[]", "\"\\ud83d\\ude00\"",
     "\\x", "{}", "\xc3\xa4", "{name} \\1 ' \" \xe2\x82\xac", NULL},
};

static struct world world;
static struct catalog_table *source;
static const struct relation *relation;

static void open_world(void)
{
    world_open(&world);
    source = world_table(&world.source, "public", "users", ALL_KINDS);
    world_index(source, "users_pkey", PRIMARY, "id");
    world_index(world_table(&world.source, "public", "orders",
                            COLUMNS({"id", "int8", NOT_NULL}, {"user_id", "int8", NULLABLE},
                                    {"total", "numeric(12,2)", NULLABLE})),
                "orders_pkey", PRIMARY, "id");
    world_index(world_table(&world.target, "app", "users", ALL_KINDS), "users_pkey", PRIMARY,
                "id");
    world_index(world_table(&world.target, "public", "users", ALL_KINDS), "users_pkey", PRIMARY,
                "tenant_id,id");
    world_index(world_table(&world.target, "public", "orders",
                            COLUMNS({"id", "text", NOT_NULL}, {"user_id", "text", NULLABLE},
                                    {"total", "text", NULLABLE})),
                "orders_pkey", PRIMARY, "id");
    relation = world_relation(&world, source);
}

/* An insert, a change of the key and a delete of each row. */
static void send_rows(struct batch *in)
{
    for (size_t i = 0; i < UNIT_COUNT(ROWS); i++) {
        const char *const *row = ROWS[i], *const *next = ROWS[(i + 1) % UNIT_COUNT(ROWS)];
        world_change(&world, in, relation, CHANGE_INSERT, OLD_NONE, NULL, row);
        world_change(&world, in, relation, CHANGE_UPDATE, OLD_FULL, row, next);
        world_change(&world, in, relation, CHANGE_DELETE, OLD_FULL, next, NULL);
    }
}

static void bind_and_use(void)
{
    if (!rules_bind(world.rules, &world.source, &world.target, &world.findings, &world.chain,
                    &world.err)) {
        fuzz_must(world.err.message[0], "a refusal says what is wrong");
        return;
    }
    world.transform = chain_transform(world.chain);
    for (size_t i = 0; i < world.chain->table_count; i++) {
        struct buf sql = {0};
        bound_table_select(&world.chain->tables[i], &sql);
        buf_free(&sql);
    }
    struct batch *in = batch_create();
    send_rows(in);
    batch_destroy(in);
    batch_reset(world.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml_node *root = NULL;
    if (!world.out)
        open_world();
    err_clear(&world.err);
    if (yaml_load("rules.yaml", (const char *)data, size, &root, &world.err) &&
        rules_load(yaml_get(root, "tables"), &world.rules, &world.err))
        bind_and_use();
    yaml_free(root);
    world_unbind(&world);
    return 0;
}
