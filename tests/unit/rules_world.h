/* A world for tests of rules: two catalogs made by hand, a file's text, and what came of it.
 *
 *   struct world world;
 *   world_open(&world);
 *   struct catalog_table *users = world_table(&world.source, "public", "users",
 *       COLUMNS({"id", "int8", NOT_NULL}, {"name", "text", NULLABLE}));
 *   world_index(users, "users_pkey", PRIMARY, "id");
 *   ...
 *   ck_assert(world_bind(&world, "tables:\n  - source: users\n"));
 */
#ifndef UNIT_RULES_WORLD_H
#define UNIT_RULES_WORLD_H

#include "base/mem.h"
#include "base/yaml.h"
#include "transforms/rules.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { NULLABLE = 0, NOT_NULL = 1, DEFAULT = 2, GENERATED = 4, ALWAYS = 8 };
enum index_kind { PRIMARY, UNIQUE, DEFERRED, PARTIAL };

struct column_line {
    const char *name;
    const char *type; /* of world_types */
    int flags;
};

#define COLUMNS(...)                                                                           \
    (const struct column_line[]){__VA_ARGS__},                                                 \
        sizeof((const struct column_line[]){__VA_ARGS__}) / sizeof(struct column_line)

struct type_line {
    const char *name; /* what tests call it, and type_name */
    const char *base;
    uint32_t oid;
    uint32_t base_oid;
    char kind;
    bool array;
    int32_t modifier;
};

static const struct type_line world_types[] = {
    {"bool", "pg_catalog.bool", 16, 16, 'b', false, -1},
    {"bytea", "pg_catalog.bytea", 17, 17, 'b', false, -1},
    {"int8", "pg_catalog.int8", 20, 20, 'b', false, -1},
    {"int2", "pg_catalog.int2", 21, 21, 'b', false, -1},
    {"int4", "pg_catalog.int4", 23, 23, 'b', false, -1},
    {"text", "pg_catalog.text", 25, 25, 'b', false, -1},
    {"json", "pg_catalog.json", 114, 114, 'b', false, -1},
    {"xml", "pg_catalog.xml", 142, 142, 'b', false, -1},
    {"float4", "pg_catalog.float4", 700, 700, 'b', false, -1},
    {"float8", "pg_catalog.float8", 701, 701, 'b', false, -1},
    {"inet", "pg_catalog.inet", 869, 869, 'b', false, -1},
    {"cidr", "pg_catalog.cidr", 650, 650, 'b', false, -1},
    {"int4[]", "pg_catalog._int4", 1007, 1007, 'b', true, -1},
    {"text[]", "pg_catalog._text", 1009, 1009, 'b', true, -1},
    {"character(3)", "pg_catalog.bpchar", 1042, 1042, 'b', false, 7},
    {"varchar", "pg_catalog.varchar", 1043, 1043, 'b', false, -1},
    {"varchar(5)", "pg_catalog.varchar", 1043, 1043, 'b', false, 9},
    {"varchar(10)", "pg_catalog.varchar", 1043, 1043, 'b', false, 14},
    {"date", "pg_catalog.date", 1082, 1082, 'b', false, -1},
    {"time", "pg_catalog.time", 1083, 1083, 'b', false, -1},
    {"timestamp", "pg_catalog.timestamp", 1114, 1114, 'b', false, -1},
    {"timestamptz", "pg_catalog.timestamptz", 1184, 1184, 'b', false, -1},
    {"timestamptz(3)", "pg_catalog.timestamptz", 1184, 1184, 'b', false, 3},
    {"interval", "pg_catalog.interval", 1186, 1186, 'b', false, -1},
    {"numeric", "pg_catalog.numeric", 1700, 1700, 'b', false, -1},
    {"numeric(12,2)", "pg_catalog.numeric", 1700, 1700, 'b', false, ((12 << 16) | 2) + 4},
    {"numeric(12,4)", "pg_catalog.numeric", 1700, 1700, 'b', false, ((12 << 16) | 4) + 4},
    {"numeric(20,0)", "pg_catalog.numeric", 1700, 1700, 'b', false, (20 << 16) + 4},
    {"uuid", "pg_catalog.uuid", 2950, 2950, 'b', false, -1},
    {"jsonb", "pg_catalog.jsonb", 3802, 3802, 'b', false, -1},
    {"tsvector", "pg_catalog.tsvector", 3614, 3614, 'b', false, -1},
    {"int4range", "pg_catalog.int4range", 3904, 3904, 'r', false, -1},
    {"oid", "pg_catalog.oid", 26, 26, 'b', false, -1},
    {"public.mood", "public.mood", 16400, 16400, 'e', false, -1},
    {"public.other_mood", "public.other_mood", 16401, 16401, 'e', false, -1},
    {"public.citext", "public.citext", 16402, 16402, 'b', false, -1},
    {"public.hstore", "public.hstore", 16403, 16403, 'b', false, -1},
    {"public.email", "pg_catalog.text", 16404, 25, 'b', false, -1}, /* a domain */
    {"public.pair", "public.pair", 16405, 16405, 'c', false, -1},
};

struct world {
    struct catalog source;
    struct catalog target;
    struct findings findings;
    struct rules *rules;
    const struct formula_reader *formulas; /* set between open and bind; NULL: none */
    struct chain *chain;
    struct transform *transform;
    struct batch *out;
    struct relation *relations[8]; /* versions that tests made */
    size_t relation_count;
    struct err err;
};

#define WORLD_TABLES 8

static inline void world_open(struct world *world)
{
    *world = (struct world){0};
    world->source.tables = mem_zero(WORLD_TABLES, sizeof(struct catalog_table));
    world->target.tables = mem_zero(WORLD_TABLES, sizeof(struct catalog_table));
    world->out = batch_create();
}

static inline void world_clear_catalog(struct catalog *catalog)
{
    struct catalog *copy = mem_zero(1, sizeof(*copy));
    *copy = *catalog;
    catalog_free(copy);
}

static inline void world_unbind(struct world *world)
{
    if (world->transform)
        world->transform->ops->destroy(world->transform);
    chain_free(world->chain);
    rules_free(world->rules);
    findings_free(&world->findings);
    world->transform = NULL;
    world->chain = NULL;
    world->rules = NULL;
    world->findings = (struct findings){0};
}

static inline void world_close(struct world *world)
{
    world_unbind(world);
    for (size_t i = 0; i < world->relation_count; i++)
        relation_free(world->relations[i]);
    batch_destroy(world->out);
    world_clear_catalog(&world->source);
    world_clear_catalog(&world->target);
}

static inline const struct type_line *world_type(const char *name)
{
    for (size_t i = 0; i < UNIT_COUNT(world_types); i++)
        if (strcmp(world_types[i].name, name) == 0)
            return &world_types[i];
    ck_abort_msg("the fixture has no type %s", name);
    return NULL;
}

static inline struct catalog_column world_column(const struct column_line *line, int number)
{
    const struct type_line *type = world_type(line->type);
    return (struct catalog_column){
        .name = mem_string(line->name),
        .number = (int16_t)number,
        .type_oid = type->oid,
        .type_name = mem_string(type->name),
        .base_type = mem_string(type->base),
        .base_type_oid = type->base_oid,
        .type_kind = type->kind,
        .array = type->array,
        .type_modifier = type->modifier,
        .not_null = line->flags & NOT_NULL,
        .has_default = line->flags & (DEFAULT | GENERATED | ALWAYS),
        .identity = line->flags & ALWAYS ? 'a' : 0,
        .generated = line->flags & GENERATED,
    };
}

static inline struct catalog_table *world_table(struct catalog *catalog, const char *schema,
                                                const char *name,
                                                const struct column_line *columns, size_t count)
{
    ck_assert_uint_lt(catalog->table_count, WORLD_TABLES);
    struct catalog_table *table = &catalog->tables[catalog->table_count];
    *table = (struct catalog_table){
        .oid = 1000 + (uint32_t)catalog->table_count++,
        .schema = mem_string(schema),
        .name = mem_string(name),
        .kind = 'r',
        .persistence = 'p',
        .replica_identity = 'd',
        .column_count = (uint16_t)count,
        .columns = mem_zero(count + 1, sizeof(struct catalog_column)),
        .indexes = mem_zero(4, sizeof(struct catalog_index)),
    };
    for (size_t i = 0; i < count; i++)
        table->columns[i] = world_column(&columns[i], (int)i + 1);
    return table;
}

/* columns: "id" or "tenant_id,id" */
static inline struct catalog_index *world_index(struct catalog_table *table, const char *name,
                                                enum index_kind kind, const char *columns)
{
    struct catalog_index *index = &table->indexes[table->index_count++];
    *index = (struct catalog_index){.name = mem_string(name),
                                    .primary = kind == PRIMARY || kind == DEFERRED,
                                    .unique = true,
                                    .immediate = kind != DEFERRED,
                                    .usable = kind != PARTIAL,
                                    .columns = mem_zero(8, sizeof(uint16_t))};
    char *list = mem_string(columns), *rest = list;
    for (char *column; (column = strsep(&rest, ","));) {
        int position = catalog_column_index(table, column);
        ck_assert_int_ge(position, 0);
        index->columns[index->column_count++] = (uint16_t)position;
    }
    free(list);
    return index;
}

static inline void world_drop_indexes(struct catalog_table *table)
{
    for (uint16_t i = 0; i < table->index_count; i++) {
        free(table->indexes[i].name);
        free(table->indexes[i].columns);
    }
    table->index_count = 0;
}

static inline bool world_load(struct world *world, const char *text)
{
    struct yaml_node *root = NULL;
    ck_assert_msg(yaml_load("rules.yaml", text, strlen(text), &root, &world->err), "%s",
                  world->err.message);
    bool loaded = rules_load(yaml_get(root, "tables"), &world->rules, &world->err);
    yaml_free(root);
    return loaded;
}

/* NULL text: zero configuration. True if there is a chain. */
static inline bool world_bind(struct world *world, const char *text)
{
    world_unbind(world);
    if (text)
        ck_assert_msg(world_load(world, text), "%s", world->err.message);
    else
        ck_assert(rules_load(NULL, &world->rules, &world->err));
    if (!rules_bind_asking(world->rules, &world->source, &world->target, world->formulas,
                           &world->findings, &world->chain, &world->err))
        return false;
    rules_free(world->rules); /* the chain must not need them */
    world->rules = NULL;
    world->transform = chain_transform(world->chain);
    return true;
}

static inline void world_print_findings(const struct world *world)
{
    for (size_t i = 0; i < world->findings.count; i++) {
        const struct finding *finding = &world->findings.items[i];
        fprintf(stderr, "  [%s] %s %s: %s\n", severity_name(finding->severity), finding->id,
                finding->object, finding->what);
    }
}

static inline const struct finding *world_finding(const struct world *world, const char *id)
{
    for (size_t i = 0; i < world->findings.count; i++)
        if (strcmp(world->findings.items[i].id, id) == 0)
            return &world->findings.items[i];
    return NULL;
}

/* The finding is there, with exactly this object and text. */
static inline void world_expect(const struct world *world, enum severity severity,
                                const char *id, const char *object, const char *what)
{
    for (size_t i = 0; i < world->findings.count; i++) {
        const struct finding *finding = &world->findings.items[i];
        if (strcmp(finding->id, id) == 0 && finding->severity == severity &&
            strcmp(finding->object, object) == 0 && strcmp(finding->what, what) == 0)
            return;
    }
    world_print_findings(world);
    ck_abort_msg("no finding [%s] %s %s: %s", severity_name(severity), id, object, what);
}

/* --- rows --- */

/* "NULL" is NULL, "UNCHANGED" and "ABSENT" are what they say, anything else is text. */
static inline struct value world_value(const char *text)
{
    if (strcmp(text, "NULL") == 0)
        return (struct value){.kind = VALUE_NULL};
    if (strcmp(text, "UNCHANGED") == 0)
        return (struct value){.kind = VALUE_UNCHANGED};
    if (strcmp(text, "ABSENT") == 0)
        return (struct value){.kind = VALUE_ABSENT};
    return (struct value){.data = text, .size = (uint32_t)strlen(text), .kind = VALUE_TEXT};
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A row in the batch `in`; NULL gives no row. */
static inline struct row world_row(struct batch *in, const char *const *texts)
{
    uint16_t count = 0;
    while (texts && texts[count])
        count++;
    if (!texts)
        return (struct row){0};
    struct row row = batch_row(in, count);
    for (uint16_t i = 0; i < count; i++)
        row.values[i] = world_value(texts[i]);
    return row;
}

/* "a|NULL|c" in a buffer that the next call overwrites; binary values as x'01'. */
static inline const char *world_show(const struct row *row)
{
    static char text[4096];
    static const char *const words[] = {
        [VALUE_ABSENT] = "ABSENT", [VALUE_NULL] = "NULL", [VALUE_UNCHANGED] = "UNCHANGED"};
    size_t at = 0;
    text[0] = '\0';
    for (uint16_t i = 0; row->values && i < row->count; i++) {
        const struct value *value = &row->values[i];
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", i ? "|" : "");
        if (value->kind == VALUE_TEXT)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%.*s", (int)value->size,
                                   value->data ? value->data : "");
        else if (value->kind != VALUE_BINARY)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", words[value->kind]);
        else {
            at += (size_t)snprintf(text + at, sizeof(text) - at, "x'");
            for (uint32_t j = 0; j < value->size; j++)
                at += (size_t)snprintf(text + at, sizeof(text) - at, "%02x",
                                       (unsigned char)value->data[j]);
            at += (size_t)snprintf(text + at, sizeof(text) - at, "'");
        }
    }
    return row->values ? text : "none";
}

/* The relation that the stream would send for a source table: all columns but generated ones,
 * keys flagged as the identity has it. */
static inline struct relation *world_relation(struct world *world,
                                              const struct catalog_table *table)
{
    struct column *columns = mem_zero(table->column_count + 1, sizeof(*columns));
    const struct catalog_index *identity = catalog_identity_index(table);
    uint16_t count = 0;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].generated)
            continue;
        columns[count] = (struct column){.name = table->columns[i].name,
                                         .type_oid = table->columns[i].type_oid,
                                         .type_modifier = table->columns[i].type_modifier,
                                         .key = table->replica_identity == 'f'};
        for (uint16_t j = 0; identity && j < identity->column_count; j++)
            columns[count].key |= identity->columns[j] == i;
        count++;
    }
    struct relation *relation = relation_create(table->schema, table->name, count, columns);
    relation->oid = table->oid;
    relation->replica_identity = table->replica_identity;
    free(columns);
    world->relations[world->relation_count++] = relation;
    return relation;
}

/* Runs one change through the transform. The written change, if any, is the last of world->out.
 */
static inline enum transform_result world_change(struct world *world, struct batch *in,
                                                 const struct relation *relation,
                                                 enum change_kind kind, enum old_image image,
                                                 const char *const *old, const char *const *new)
{
    struct change change = {.kind = kind,
                            .old_image = image,
                            .relation = relation,
                            .old = world_row(in, old),
                            .new = world_row(in, new)};
    err_clear(&world->err);
    return world->transform->ops->change(world->transform, &change, 5, world->out, &world->err);
}

static inline const struct change *world_written(const struct world *world)
{
    ck_assert_uint_gt(world->out->change_count, 0);
    return &world->out->changes[world->out->change_count - 1];
}

#endif
