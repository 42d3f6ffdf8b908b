/* See accepted.h. What is kept of a table:
 *
 *     {"said": what the file says of it, as a digest,
 *      "columns": {attnum: {"name", "type", "place": [oid and attnum of the target's column] or null}},
 *      "targets": [{"oid", "name", "match", "key": [attnums]}]} */
#include "cli/accepted.h"

#include "base/buf.h"
#include "cli/choice.h"
#include "postgres/accepted_log.h"
#include "schema/compatibility.h"
#include "schema/ident.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- as it is ---- */

static json_t *said_of(const struct chain *chain, const struct bound_source *source)
{
    struct buf said = {0};
    for (uint32_t i = 0; i < source->table_count; i++)
        buf_append_format(&said, "%016llx",
                          (unsigned long long)chain->tables[source->first_table + i].said);
    json_t *text = json_string(buf_text(&said));
    buf_free(&said);
    return text;
}

/* The target column that the source's goes to as it is, or NULL; *table is whose. */
static const struct bound_column *carried_column(const struct chain *chain,
                                                 const struct bound_source *source,
                                                 const struct catalog_column *column,
                                                 const struct bound_table **table)
{
    for (uint32_t i = 0; i < source->table_count; i++) {
        *table = &chain->tables[source->first_table + i];
        for (uint16_t j = 0; j < (*table)->column_count; j++)
            if (bound_column_source(&(*table)->columns[j]) == column)
                return &(*table)->columns[j];
    }
    return NULL;
}

static json_t *place_of(const struct chain *chain, const struct bound_source *source,
                        const struct catalog_column *column)
{
    const struct bound_table *table = NULL;
    const struct bound_column *carried = carried_column(chain, source, column, &table);
    return carried == NULL ? json_null()
                           : json_pack("[I, i]", (json_int_t)table->target->oid,
                                       (int)carried->target->number);
}

static const char *number_text(int16_t number, char text[8])
{
    snprintf(text, 8, "%d", number);
    return text;
}

static json_t *columns_of(const struct chain *chain, const struct bound_source *source)
{
    json_t *columns = json_object();
    char number[8];
    for (uint16_t i = 0; i < source->table->column_count; i++) {
        const struct catalog_column *column = &source->table->columns[i];
        if (!column->generated)
            json_object_set_new(columns, number_text(column->number, number),
                                json_pack("{s:s, s:s, s:o}", "name", column->name, "type",
                                          column->type_name, "place",
                                          place_of(chain, source, column)));
    }
    return columns;
}

/* By their numbers: a key that was renamed is the same. */
static json_t *key_of(const struct bound_table *table)
{
    json_t *key = json_array();
    for (uint16_t i = 0; i < table->target->column_count; i++) {
        int column = relation_column(table->target_relation, table->target->columns[i].name);
        if (column >= 0 && table->target_relation->columns[column].key)
            json_array_append_new(key, json_integer(table->target->columns[i].number));
    }
    return key;
}

static json_t *target_of(const struct bound_table *table)
{
    char *name = ident_display(table->target->schema, table->target->name);
    json_t *target =
        json_pack("{s:I, s:s, s:i, s:o}", "oid", (json_int_t)table->target->oid, "name", name,
                  "match", (int)table->target_relation->match, "key", key_of(table));
    free(name);
    return target;
}

static json_t *targets_of(const struct chain *chain, const struct bound_source *source)
{
    json_t *targets = json_array();
    for (uint32_t i = 0; i < source->table_count; i++)
        json_array_append_new(targets, target_of(&chain->tables[source->first_table + i]));
    return targets;
}

static json_t *describe(const struct chain *chain, const struct bound_source *source)
{
    return json_pack("{s:o, s:o, s:o}", "said", said_of(chain, source), "columns",
                     columns_of(chain, source), "targets", targets_of(chain, source));
}

static const char *oid_text(const struct bound_source *source, char text[16])
{
    snprintf(text, 16, "%u", source->table->oid);
    return text;
}

bool accepted_keep(struct migration *m, const bool *wanted, struct err *err)
{
    json_t *now = json_object();
    char oid[16];
    for (size_t i = 0; i < m->chain->source_count; i++)
        if (wanted == NULL || wanted[i])
            json_object_set_new(now, oid_text(&m->chain->sources[i], oid),
                                describe(m->chain, &m->chain->sources[i]));
    bool ok = accepted_log_keep(&m->target, m->config->migration, now, err);
    json_decref(now);
    return ok;
}

/* ---- what has changed ---- */

struct judgement {
    struct migration *m;
    const struct bound_source *source;
    const char *name;
    const json_t *before;
};

#define ACCEPT "let it go on as it is with `slackwater accept`"

/* fix: what mends it, before the word that lets it be. */
static void ask(const struct judgement *j, const char *fix, const char *sql, const char *what,
                ...) __attribute__((format(printf, 4, 5)));

static void ask(const struct judgement *j, const char *fix, const char *sql, const char *what,
                ...)
{
    struct buf remedy = {0};
    char text[512];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    buf_append_format(&remedy, "%s; or " ACCEPT, fix);
    findings_add(&j->m->findings, "source.shape_changed", SEVERITY_BREAKING, j->name, text,
                 "no start goes on before that", buf_text(&remedy), sql, NULL);
    buf_free(&remedy);
}

static void judge_new(const struct judgement *j, const struct catalog_column *column)
{
    if (!column->generated && j->m->config->on_new_column == NEW_COLUMN_STOP)
        ask(j, "give the column a rule, or drop it in the file", NULL,
            "source column %s.%s is new (apply.on_new_column: stop)", j->name, column->name);
}

/* NULL: there is none any more. */
static const char *name_of_number(const struct catalog_table *table, json_int_t number)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return table->columns[i].name;
    return NULL;
}

/* A name may be another column's by now, on either side: what is one column at the source goes on to
 * be one at the target. */
static void judge_place(const struct judgement *j, const struct catalog_column *column,
                        const json_t *before)
{
    const struct bound_table *table = NULL;
    const struct bound_column *now = carried_column(j->m->chain, j->source, column, &table);
    const json_t *place = json_object_get(before, "place");
    const char *name = json_string_value(json_object_get(before, "name"));
    json_int_t number = json_integer_value(json_array_get(place, 1));
    if (now == NULL || json_integer_value(json_array_get(place, 0)) != table->target->oid ||
        number == now->target->number)
        return;
    const char *there = name_of_number(table->target, number);
    if (there != NULL)
        ask(j,
            "rename the columns at the target as they were at the source, or give them rules under "
            "columns:",
            NULL,
            "source column %s.%s was called \"%s\": what was carried so far stands in target column "
            "\"%s\", and what comes would go to \"%s\"",
            j->name, column->name, name, there, now->target->name);
    else
        ask(j, "copy the table anew (run --redo)", NULL,
            "the target column that source column %s.%s went to was dropped, and what comes would go "
            "to another one, \"%s\": rows of before lack it",
            j->name, column->name, now->target->name);
}

static char *alter_type(const struct bound_table *table, const struct bound_column *column,
                        const char *type)
{
    struct buf sql = {0};
    buf_append_text(&sql, "ALTER TABLE ");
    ident_append_qualified(&sql, table->target->schema, table->target->name);
    buf_append_text(&sql, " ALTER COLUMN ");
    ident_append(&sql, column->target->name);
    buf_append_format(&sql, " TYPE %s", type);
    return buf_steal(&sql);
}

static void judge_type(const struct judgement *j, const struct catalog_column *column,
                       const json_t *before)
{
    const struct bound_table *table = NULL;
    const struct bound_column *carried = carried_column(j->m->chain, j->source, column, &table);
    const char *type = json_string_value(json_object_get(before, "type"));
    const char *reason = "";
    if (carried == NULL || strcmp(column->type_name, type) == 0 ||
        type_fit(column, carried->target, &reason) < FIT_PERHAPS)
        return;
    char *sql = alter_type(table, carried, column->type_name);
    ask(j, "alter the target column", sql,
        "source column %s.%s was %s and is %s, target column \"%s\" is %s: %s", j->name,
        column->name, type, column->type_name, carried->target->name,
        carried->target->type_name,
        reason[0] != '\0' ? reason : "a value that does not fit stops it");
    free(sql);
}

static void judge_columns(const struct judgement *j)
{
    const struct catalog_table *table = j->source->table;
    const json_t *columns = json_object_get(j->before, "columns");
    char number[8];
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *column = &table->columns[i];
        const json_t *before = json_object_get(columns, number_text(column->number, number));
        if (before == NULL) {
            judge_new(j, column);
        } else {
            judge_place(j, column, before);
            judge_type(j, column, before);
        }
    }
}

static bool is_in(const struct catalog_index *index, uint16_t column)
{
    for (uint16_t i = 0; i < index->column_count; i++)
        if (index->columns[i] == column)
            return true;
    return false;
}

/* As key_of() has it. */
static json_t *numbers_of(const struct catalog_table *table, const struct catalog_index *index)
{
    json_t *numbers = json_array();
    for (uint16_t i = 0; i < table->column_count; i++)
        if (is_in(index, i))
            json_array_append_new(numbers, json_integer(table->columns[i].number));
    return numbers;
}

/* Its rows are found by what the target itself takes for their identity: the key was changed there
 * as well, so both fit each other. */
static bool is_own_identity(const struct catalog_table *target, const json_t *key)
{
    bool own = false;
    for (uint16_t i = 0; i < target->index_count && !own; i++) {
        json_t *numbers = numbers_of(target, &target->indexes[i]);
        own = (target->indexes[i].primary || target->indexes[i].replica_identity) &&
              json_equal(numbers, key);
        json_decref(numbers);
    }
    return own;
}

static bool is_found_as_before(const struct catalog_table *target, const json_t *before,
                               const json_t *now)
{
    const json_t *key = json_object_get(now, "key");
    return is_own_identity(target, key) ||
           (json_equal(json_object_get(before, "match"), json_object_get(now, "match")) &&
            json_equal(json_object_get(before, "key"), key));
}

static void judge_target(const struct judgement *j, const struct catalog_table *target,
                         const json_t *before, const json_t *now)
{
    if (!json_equal(json_object_get(before, "oid"), json_object_get(now, "oid")))
        ask(j,
            "name the target in the file (tables: source and target), rename the table at the target, "
            "or copy it anew (run --redo)",
            NULL,
            "the rows of source table %s went to %s and would go to %s, which is another table",
            j->name, json_string_value(json_object_get(before, "name")),
            json_string_value(json_object_get(now, "name")));
    else if (!is_found_as_before(target, before, now))
        ask(j,
            "give the table its identity back, or the target the same one; or say in the file what its "
            "key is at the target (key:)",
            NULL,
            "the rows of source table %s are identified otherwise than before (primary key or replica "
            "identity)",
            j->name);
}

static void judge_targets(const struct judgement *j)
{
    const json_t *before = json_object_get(j->before, "targets");
    json_t *now = targets_of(j->m->chain, j->source);
    if (json_array_size(before) != json_array_size(now))
        ask(j, "look at `slackwater check`", NULL,
            "the rows of source table %s go to other targets than before", j->name);
    else
        for (size_t i = 0; i < json_array_size(now); i++)
            judge_target(j, j->m->chain->tables[j->source->first_table + i].target,
                         json_array_get(before, i), json_array_get(now, i));
    json_decref(now);
}

static bool says_the_same(const struct judgement *j)
{
    json_t *said = said_of(j->m->chain, j->source);
    bool same = json_equal(said, json_object_get(j->before, "said"));
    json_decref(said);
    return same;
}

static void judge_source(struct migration *m, size_t index)
{
    const struct bound_source *source = &m->chain->sources[index];
    char *name = ident_display(source->table->schema, source->table->name);
    char oid[16];
    const struct judgement j = {.m = m,
                                .source = source,
                                .name = name,
                                .before = json_object_get(m->accepted, oid_text(source, oid))};
    bool renewed = m->renewed != NULL && choice_names(m, m->renewed, index);
    if (j.before != NULL && !renewed && says_the_same(&j)) {
        judge_columns(&j);
        judge_targets(&j);
    }
    free(name);
}

void accepted_check(struct migration *m)
{
    for (size_t i = 0; i < m->chain->source_count; i++)
        judge_source(m, i);
}
