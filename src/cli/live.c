/* The live comparison (live.h): pairs for schema/compare.h from the bound chain, or, where the
 * rules do not bind, from tables of the same name, so that one missing column does not hide all
 * else. */
#include "cli/live.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/plain.h"
#include "postgres/validate.h"
#include "schema/compare.h"
#include "schema/distinct.h"
#include "schema/ident.h"
#include "transforms/rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct live_pairs {
    struct arena arena;
    struct table_pair *pairs;
    size_t count;
};

/* ---- pairs of a bound chain ---- */

static int target_index(const struct catalog_table *table, const struct catalog_column *column)
{
    return (int)(column - table->columns);
}

/* Generated on both sides: the values are the same where the expressions are. */
static void pair_generated(const struct catalog_table *source,
                           const struct catalog_table *target, int *origins)
{
    for (uint16_t i = 0; i < target->column_count; i++) {
        int same = catalog_column_index(source, target->columns[i].name);
        if (target->columns[i].generated && same >= 0 && source->columns[same].generated)
            origins[i] = same;
    }
}

/* NULL where no text tells the constant from others of its type. */
static const char *constant_text(struct arena *arena, const struct catalog_column *target,
                                 const struct value *constant)
{
    struct value value;
    if (constant == NULL || !distinct_text(target, constant, arena, &value))
        return NULL;
    char *text = arena_alloc(arena, value.size + 1u);
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    return text;
}

/* The target's rows as the source could make them: "(SELECT ...)". */
static const char *rows_of(struct arena *arena, const struct bound_table *table)
{
    struct buf sql = {0};
    buf_append_char(&sql, '(');
    bound_table_select(table, &sql);
    buf_append_char(&sql, ')');
    const char *text = arena_copy(arena, buf_text(&sql), sql.size + 1);
    buf_free(&sql);
    return text;
}

static struct table_pair bound_pair(struct arena *arena, const struct bound_table *table)
{
    uint16_t count = table->target->column_count;
    int *origins = arena_alloc(arena, (count + 1u) * sizeof *origins);
    const char **constants = arena_alloc(arena, (count + 1u) * sizeof *constants);
    for (uint16_t i = 0; i < count; i++) {
        origins[i] = ORIGIN_NONE;
        constants[i] = NULL;
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct rule *rule = table->columns[i].rule;
        int at = target_index(table->target, table->columns[i].target);
        origins[at] = rule->plain ? target_index(table->source, rule->plain->column)
                      : table->columns[i].no_sql ? ORIGIN_UNSAID
                                                 : ORIGIN_RULE;
        constants[at] = constant_text(arena, table->columns[i].target, rule->constant);
    }
    pair_generated(table->source, table->target, origins);
    return (struct table_pair){.before = table->source,
                               .after = table->target,
                               .origins = origins,
                               .constants = constants,
                               .rows = rows_of(arena, table),
                               .filtered = table->where != NULL || table->route != NULL,
                               .without_key = table->target_relation->match == MATCH_ROW};
}

static void pair_bound(struct live_pairs *pairs, const struct chain *chain)
{
    pairs->pairs = arena_alloc(&pairs->arena, (chain->table_count + 1) * sizeof *pairs->pairs);
    for (size_t i = 0; i < chain->table_count; i++)
        pairs->pairs[pairs->count++] = bound_pair(&pairs->arena, &chain->tables[i]);
}

/* ---- pairs by name ---- */

static struct table_pair named_pair(struct arena *arena, const struct catalog_table *source,
                                    const struct catalog_table *target)
{
    int *origins = arena_alloc(arena, (target->column_count + 1u) * sizeof *origins);
    for (uint16_t i = 0; i < target->column_count; i++)
        origins[i] = catalog_column_index(source, target->columns[i].name);
    return (struct table_pair){.before = source, .after = target, .origins = origins};
}

/* Without rules in the file every table goes to the one of its name, bound or not. */
static void pair_named(struct live_pairs *pairs, const struct migration *m)
{
    pairs->pairs =
        arena_alloc(&pairs->arena, (m->source_catalog->table_count + 1) * sizeof *pairs->pairs);
    if (m->config->tables != NULL)
        return; /* which table goes where is what did not bind */
    for (size_t i = 0; i < m->source_catalog->table_count; i++) {
        const struct catalog_table *source = &m->source_catalog->tables[i];
        const struct catalog_table *target =
            catalog_find(m->target_catalog, source->schema, source->name);
        if (target != NULL && !source->is_partition)
            pairs->pairs[pairs->count++] = named_pair(&pairs->arena, source, target);
    }
}

static void note_spool(struct migration *m)
{
    if (m->config->spool_dir == NULL)
        findings_add(
            &m->findings, "config.no_spool", SEVERITY_NON_BREAKING, "spool",
            "there is no spool: nothing is acknowledged to the source before the target "
            "has it",
            "while the target is slow or away the source keeps its WAL, and needs the "
            "disk for it",
            "give spool.dir, a folder on a disk that outlives the container", "", "");
}

bool live_compare(struct migration *migration, struct err *err)
{
    struct migration *m = migration;
    struct live_pairs pairs = {0};
    arena_init(&pairs.arena, 0);
    if (m->chain != NULL)
        pair_bound(&pairs, m->chain);
    else
        pair_named(&pairs, m);
    note_spool(m);
    compare_carried(m->source_catalog, m->target_catalog, pairs.pairs, pairs.count,
                    &m->findings);
    arena_free(&pairs.arena);
    return validate_findings(&m->source, &m->findings, err);
}

/* ---- how values travel ---- */

/* Frees the line, which names what others named. */
static void print_line(char *line)
{
    plain_print(stdout, line);
    putchar('\n');
    free(line);
}

/* What neither goes as it is nor is made by a rule, and why; and what decides for the stream. */
static void print_columns(const struct bound_table *table)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct bound_column *column = &table->columns[i];
        if (column->keeps_stream_text ||
            (column->travels != PASSAGE_BINARY && column->travels != PASSAGE_MADE))
            print_line(mem_format(
                "    %s %s: %s (%s)%s", column->target->name, column->target->type_name,
                passage_name(column->travels), column->why,
                column->keeps_stream_text ? "; the stream is text because of it" : ""));
    }
}

static void print_table(const struct bound_table *table)
{
    char *source = ident_display(table->source->schema, table->source->name);
    char *target = ident_display(table->target->schema, table->target->name);
    print_line(mem_format("  %s -> %s: copied as %s%s", source, target,
                          table->copy_binary ? "binary" : "text, because of ",
                          table->copy_binary ? "" : table->copy_text_reason));
    print_columns(table);
    free(source);
    free(target);
}

void live_print_formats(const struct migration *migration)
{
    const struct chain *chain = migration->chain;
    if (chain == NULL)
        return;
    print_line(mem_format("%zu table(s); the stream carries values as %s%s",
                          migration->source_count,
                          chain->stream_binary ? "binary" : "text, because of ",
                          chain->stream_binary ? "" : chain->stream_text_reason));
    for (size_t i = 0; i < chain->table_count; i++)
        print_table(&chain->tables[i]);
}

static json_t *columns_json(const struct bound_table *table)
{
    json_t *columns = json_array();
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct bound_column *column = &table->columns[i];
        json_array_append_new(
            columns,
            json_pack("{s:s, s:s, s:s, s:s, s:b}", "column", column->target->name, "type",
                      column->target->type_name, "travels", passage_name(column->travels),
                      "reason", column->why, "keeps_stream_text", column->keeps_stream_text));
    }
    return columns;
}

static json_t *format_json(bool binary, const char *reason)
{
    return json_pack("{s:s, s:s}", "format", binary ? "binary" : "text", "reason",
                     binary ? "" : reason);
}

json_t *live_formats_json(const struct migration *migration)
{
    const struct chain *chain = migration->chain;
    if (chain == NULL)
        return NULL;
    json_t *tables = json_array();
    for (size_t i = 0; i < chain->table_count; i++) {
        const struct bound_table *table = &chain->tables[i];
        char *source = ident_display(table->source->schema, table->source->name);
        char *target = ident_display(table->target->schema, table->target->name);
        json_t *entry = format_json(table->copy_binary, table->copy_text_reason);
        json_object_set_new(entry, "source", json_string(source));
        json_object_set_new(entry, "target", json_string(target));
        json_object_set_new(entry, "columns", columns_json(table));
        json_array_append_new(tables, entry);
        free(source);
        free(target);
    }
    return json_pack("{s:{s:o, s:o}}", "formats", "stream",
                     format_json(chain->stream_binary, chain->stream_text_reason), "tables",
                     tables);
}
