/* One column of a table to make. */
#include "schema/ddl_inside.h"

#include "schema/ident.h"

#include <string.h>

const char *column_type(const struct outline_column *column)
{
    if (column->type)
        return column->type;
    return column->source ? column->source->type_name : "text";
}

/* --- types that go on meaning the same --- */

enum family { FAMILY_NONE, FAMILY_INTEGER, FAMILY_NUMBER, FAMILY_TEXT, FAMILY_TIME };

/* By the first word of the type as people write it, or its name in pg_type. */
static const struct {
    const char *word;
    enum family family;
} families[] = {
    {"smallint", FAMILY_INTEGER}, {"integer", FAMILY_INTEGER}, {"int", FAMILY_INTEGER},
    {"bigint", FAMILY_INTEGER},   {"int2", FAMILY_INTEGER},    {"int4", FAMILY_INTEGER},
    {"int8", FAMILY_INTEGER},     {"numeric", FAMILY_NUMBER},  {"decimal", FAMILY_NUMBER},
    {"real", FAMILY_NUMBER},      {"double", FAMILY_NUMBER},   {"float4", FAMILY_NUMBER},
    {"float8", FAMILY_NUMBER},    {"text", FAMILY_TEXT},       {"varchar", FAMILY_TEXT},
    {"character", FAMILY_TEXT},   {"char", FAMILY_TEXT},       {"bpchar", FAMILY_TEXT},
    {"date", FAMILY_TIME},        {"timestamp", FAMILY_TIME},  {"timestamptz", FAMILY_TIME},
};

static enum family family_of(const char *type)
{
    size_t size;

    if (strncmp(type, "pg_catalog.", 11) == 0)
        type += 11;
    size = strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789_");
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (strlen(families[i].word) == size && strncmp(families[i].word, type, size) == 0 &&
            !strchr(type + size, '['))
            return families[i].family;
    return FAMILY_NONE;
}

static bool is_number(enum family family)
{
    return family == FAMILY_INTEGER || family == FAMILY_NUMBER;
}

bool column_keeps_family(const struct outline_column *column)
{
    enum family before, after;

    if (!column->type || strcmp(column->type, column->source->type_name) == 0)
        return true;
    before = family_of(column->source->base_type);
    after = family_of(column->type);
    return before != FAMILY_NONE &&
           (before == after || (is_number(before) && is_number(after)));
}

/* --- values that the server makes --- */

static const struct definition_column *definition_of(const struct ddl_table *table,
                                                     const struct outline_column *column)
{
    if (!table->definition || !column->source || column->borrowed)
        return NULL;
    return definitions_column(table->definition, column->source->number);
}

char column_identity(const struct outline_column *column)
{
    bool fits = column->source && !column->lacking &&
                (!column->type || family_of(column->type) == FAMILY_INTEGER);

    return fits ? column->source->identity : 0;
}

const struct definition_sequence *column_sequence(struct planner *planner,
                                                  const struct ddl_table *table,
                                                  const struct outline_column *column)
{
    const struct definition_column *definition = definition_of(table, column);

    if (!definition || !definition->sequence || table->root || column->lacking ||
        (column->type && !is_number(family_of(column->type))))
        return NULL;
    return definitions_sequence(planner->definitions, definition->sequence);
}

const char *sequence_schema(const struct planner *planner,
                            const struct definition_sequence *sequence)
{
    for (size_t i = 0; i < planner->table_count; i++) {
        const struct outline_table *table = &planner->tables[i].outline;

        if (table->source->oid == sequence->owner &&
            strcmp(table->source->schema, sequence->schema) == 0)
            return table->schema;
    }
    return sequence->schema;
}

static const struct ddl_table *owner_of(const struct planner *planner,
                                        const struct definition_sequence *sequence)
{
    for (size_t i = 0; i < planner->table_count; i++)
        if (planner->tables[i].outline.source->oid == sequence->owner)
            return &planner->tables[i];
    return NULL;
}

/* One that no carried table owns keeps its schema, where its name is its own. */
const char *sequence_name(struct planner *planner, const struct definition_sequence *sequence)
{
    const char **name = &planner->sequence_names[sequence - planner->definitions->sequences];
    const struct ddl_table *owner = owner_of(planner, sequence);

    if (!*name)
        *name = owner ? planner_new_name(planner, owner, sequence_schema(planner, sequence),
                                         sequence->name)
                      : sequence->name;
    return *name;
}

static void append_nextval(struct planner *planner, const struct definition_sequence *sequence,
                           struct buf *sql)
{
    struct buf name = {0};

    ident_append_qualified(&name, sequence_schema(planner, sequence),
                           sequence_name(planner, sequence));
    buf_append_text(sql, " DEFAULT nextval(");
    literal_append(sql, buf_text(&name), name.size);
    buf_append_text(sql, "::regclass)");
    buf_free(&name);
}

static void append_identity(struct planner *planner, const struct ddl_table *table,
                            const struct outline_column *column, struct buf *sql)
{
    const struct definition_sequence *sequence = definitions_identity(
        planner->definitions, table->outline.source->oid, column->source->number);

    buf_append_format(sql, " GENERATED %s AS IDENTITY",
                      column->source->identity == 'a' ? "ALWAYS" : "BY DEFAULT");
    if (sequence && sequence->options[0])
        buf_append_format(sql, " (%s)", sequence->options + 1);
}

static void append_expression(struct planner *planner, const struct ddl_table *table,
                              const struct outline_column *column, const char *expression,
                              struct buf *sql)
{
    const char *missing;
    const char *renamed = planner_expression(planner, table, expression, &missing);

    if (!renamed)
        return; /* no default reads columns, and generated ones were looked at before */
    if (column->source->generated)
        buf_append_format(sql, " GENERATED ALWAYS AS (%s) STORED", renamed);
    else if (column_keeps_family(column))
        buf_append_format(sql, " DEFAULT %s", renamed);
    else
        planner_note(planner, DDL_BEFORE,
                     "left out: the default of %s.%s: it was said of type %s, not %s",
                     planner_source(planner, table), column->source->name,
                     column->source->type_name, column->type);
}

static void append_source(struct planner *planner, const struct ddl_table *table,
                          const struct outline_column *column, struct buf *sql)
{
    const struct definition_column *definition = definition_of(table, column);
    const struct definition_sequence *sequence = column_sequence(planner, table, column);

    if (column->lacking) /* rows without it are to have NULL, not what others would get */
        return;
    if (column_identity(column))
        append_identity(planner, table, column, sql);
    else if (sequence)
        append_nextval(planner, sequence, sql);
    else if (definition && definition->expression)
        append_expression(planner, table, column, definition->expression, sql);
}

static bool in_key(const struct ddl_table *table, const char *name)
{
    for (size_t i = 0; i < table->key_count; i++)
        if (strcmp(table->keys[i], name) == 0)
            return true;
    return false;
}

bool column_not_null(const struct ddl_table *table, const struct outline_column *column)
{
    return in_key(table, column->name) ||
           (!column->optional && ((column->constant && column->value) ||
                                  (column->source && column->source->not_null)));
}

/* A domain that is carried brings its NOT NULL. */
static bool type_says_not_null(const struct ddl_table *table,
                               const struct outline_column *column,
                               const struct definition_column *definition)
{
    return definition && definition->domain_decides && !column->type &&
           !in_key(table, column->name) && !(column->constant && column->value);
}

void column_append(struct planner *planner, const struct ddl_table *table,
                   const struct outline_column *column, struct buf *sql)
{
    const struct definition_column *definition = definition_of(table, column);

    ident_append(sql, column->name);
    buf_append_format(sql, " %s", column_type(column));
    if (definition && definition->collation && column_keeps_family(column))
        buf_append_format(sql, " COLLATE %s", definition->collation);
    append_source(planner, table, column, sql);
    if (column_not_null(table, column) && !type_says_not_null(table, column, definition))
        buf_append_text(sql, " NOT NULL");
}
