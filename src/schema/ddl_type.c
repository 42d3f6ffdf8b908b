/* What tables need around them: schemas, extensions, types. */
#include "schema/ddl_inside.h"

#include "schema/ident.h"

#include <stdlib.h>
#include <string.h>

/* A set of OIDs, or of names, in the order in which they came. */
struct needed {
    struct planner *planner;
    size_t type_count;
    const struct definition_type **types; /* each after what it is made of */
    size_t extension_count;
    uint32_t *extensions;
    size_t schema_count;
    const char **schemas;
};

static void need_schema(struct needed *needed, const char *schema)
{
    for (size_t i = 0; i < needed->schema_count; i++)
        if (strcmp(needed->schemas[i], schema) == 0)
            return;
    needed->schemas[needed->schema_count++] = schema;
}

static void need_extension(struct needed *needed, uint32_t oid)
{
    const struct definition_extension *extension =
        definitions_extension(needed->planner->definitions, oid);

    if (!extension)
        return;
    for (size_t i = 0; i < needed->extension_count; i++)
        if (needed->extensions[i] == oid)
            return;
    needed->extensions[needed->extension_count++] = oid;
    if (strcmp(extension->schema, "pg_catalog") != 0)
        need_schema(needed, extension->schema);
}

static bool is_needed(const struct needed *needed, const struct definition_type *type)
{
    for (size_t i = 0; i < needed->type_count; i++)
        if (needed->types[i] == type)
            return true;
    return false;
}

static void need_type(struct needed *needed, uint32_t oid)
{
    const struct definition_type *type = definitions_type(needed->planner->definitions, oid);

    if (!type || is_needed(needed, type))
        return;
    for (size_t i = 0; i < type->need_count; i++)
        need_type(needed, type->needs[i]);
    need_extension(needed, type->extension);
    if (!type->body)
        return;
    need_schema(needed, type->schema);
    if (!is_needed(needed, type))
        needed->types[needed->type_count++] = type;
}

static void need_table(struct needed *needed, const struct ddl_table *table)
{
    need_schema(needed, table->outline.schema);
    for (size_t i = 0; table->definition && i < table->definition->extension_count; i++)
        need_extension(needed, table->definition->extensions[i]);
    for (size_t i = 0; i < table->outline.column_count; i++) {
        const struct outline_column *column = &table->outline.columns[i];
        const struct definition_sequence *sequence =
            column_sequence(needed->planner, table, column);

        if (column->source && !column->type)
            need_type(needed, column->source->type_oid);
        if (sequence)
            need_schema(needed, sequence_schema(needed->planner, sequence));
    }
}

static void plan_schemas(const struct needed *needed)
{
    for (size_t i = 0; i < needed->schema_count; i++) {
        struct buf sql = {0};

        if (strcmp(needed->schemas[i], "public") == 0)
            continue; /* every database has it, or its owner dropped it with a purpose */
        buf_append_text(&sql, "CREATE SCHEMA IF NOT EXISTS ");
        ident_append(&sql, needed->schemas[i]);
        planner_add(needed->planner, DDL_BEFORE, DDL_SCHEMA, NULL, needed->schemas[i])->sql =
            planner_take(needed->planner, &sql);
    }
}

static void plan_extensions(const struct needed *needed)
{
    for (size_t i = 0; i < needed->extension_count; i++) {
        const struct definition_extension *extension =
            definitions_extension(needed->planner->definitions, needed->extensions[i]);
        struct buf sql = {0};

        buf_append_text(&sql, "CREATE EXTENSION IF NOT EXISTS ");
        ident_append(&sql, extension->name);
        buf_append_text(&sql, " WITH SCHEMA ");
        ident_append(&sql, extension->schema);
        planner_add(needed->planner, DDL_BEFORE, DDL_EXTENSION, NULL, extension->name)->sql =
            planner_take(needed->planner, &sql);
    }
}

static void plan_type(struct planner *planner, const struct definition_type *type)
{
    struct buf sql = {0}, comment = {0};
    const char *word = type->kind == 'd' ? "DOMAIN" : "TYPE";
    struct ddl_statement *statement;

    buf_append_format(&sql, "CREATE %s ", word);
    ident_append_qualified(&sql, type->schema, type->name);
    buf_append_format(&sql, " %s", type->body);
    statement = planner_add(planner, DDL_BEFORE, DDL_TYPE, type->schema, type->name);
    statement->sql = planner_take(planner, &sql);
    statement->body = type->body;
    if (!type->comment)
        return;
    buf_append_format(&comment, "COMMENT ON %s ", word);
    ident_append_qualified(&comment, type->schema, type->name);
    buf_append_text(&comment, " IS ");
    literal_append(&comment, type->comment, strlen(type->comment));
    planner_add(planner, DDL_BEFORE, DDL_SETTING, type->schema, type->name)->sql =
        planner_take(planner, &comment);
}

void plan_surroundings(struct planner *planner)
{
    const struct definitions *definitions = planner->definitions;
    size_t most = 2 * planner->table_count + definitions->type_count +
                  definitions->extension_count + definitions->sequence_count + 1;
    struct needed needed = {
        .planner = planner,
        .types =
            arena_alloc(planner->arena, (definitions->type_count + 1) * sizeof(*needed.types)),
        .extensions = arena_alloc(planner->arena, (definitions->extension_count + 1) *
                                                      sizeof(*needed.extensions)),
        .schemas = arena_alloc(planner->arena, most * sizeof(*needed.schemas))};

    for (size_t i = 0; i < planner->table_count; i++)
        need_table(&needed, &planner->tables[i]);
    plan_schemas(&needed);
    plan_extensions(&needed);
    for (size_t i = 0; i < needed.type_count; i++)
        plan_type(planner, needed.types[i]);
}
