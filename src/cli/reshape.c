/* See reshape.h. */
#include "cli/reshape.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/run_state.h"
#include "schema/compatibility.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MOST 2
#define PAUSE USEC_PER_SEC

void reshape_init(struct reshape *reshape, const struct invocation *invocation)
{
    *reshape = (struct reshape){.options = *invocation->options, .stop = invocation->stop};
    reshape->config = mem_zero(1, sizeof *reshape->config);
    *reshape->config = *invocation->config;
}

static void forget_before(struct reshape *reshape)
{
    if (reshape->begun)
        migration_close(&reshape->before);
    reshape->before = (struct migration){0};
}

void reshape_free(struct reshape *reshape)
{
    forget_before(reshape);
    free(reshape->config); /* what it points to is the invocation's, and the address */
    free(reshape->address);
}

/* ---- between rounds ---- */

/* What the first round has done or found out holds for the next ones too. */
static void carry_over(struct reshape *reshape, const struct run *run)
{
    if (run->handoff != NULL) /* else nothing, or a part of it, is emptied yet */
        reshape->options.redo.count = 0;
    if (run->until != LSN_NONE) {
        reshape->options.until_caught_up = false;
        reshape->options.until_lsn = run->until;
    }
    free(reshape->address);
    reshape->address = mem_string(http_address(run->http));
    reshape->config->http_listen = reshape->address;
}

/* The target, too, says in its own words that it is not as it was. */
static bool is_about_shape(const struct err *err)
{
    static const char *const STATES[] = {"42703", "42P01", "3F000", "42804"};
    if (err->class == ERR_SHAPE)
        return true;
    for (size_t i = 0; i < sizeof STATES / sizeof STATES[0]; i++)
        if (err->class == ERR_DATA && strcmp(err->sqlstate, STATES[i]) == 0)
            return true;
    return false;
}

static bool is_of_copy(const struct run *run)
{
    struct err ignored = {0};
    return run->copier != NULL && copier_has_failed(run->copier, &ignored);
}

static uint64_t chunks_copied(const struct run *run)
{
    uint64_t chunks = 0;
    for (size_t i = 0; i < run->migration.source_count; i++)
        chunks += counter_get(&run->progress.tables[i].chunks_copied);
    return chunks;
}

static bool may_try(struct standstill *still, uint64_t at)
{
    still->tries = still->begun && still->at == at ? still->tries + 1 : 0;
    still->begun = true;
    still->at = at;
    return still->tries < TRIES_MOST;
}

static bool may_go_on(struct reshape *reshape, const struct run *run)
{
    if (is_of_copy(run))
        return may_try(&reshape->copy, chunks_copied(run));
    if (!may_try(&reshape->stream, counter_get(&run->progress.applied)))
        return false;
    reshape->as_text |= reshape->stream.tries > 0;
    return true;
}

bool reshape_is_due(struct reshape *reshape, const struct run *run, const struct err *err)
{
    reshape->due = is_about_shape(err) && may_go_on(reshape, run);
    if (!reshape->due)
        return false;
    reshape->cause = *err;
    carry_over(reshape, run);
    log_event(LOG_WARN, "the schema has changed: binding the rules anew",
              log_text("change", err->message),
              log_lsn("applied", counter_get(&run->progress.applied)));
    return true;
}

void reshape_keep(struct reshape *reshape, struct migration *migration)
{
    forget_before(reshape);
    session_close(&migration->source);
    session_close(&migration->target);
    reshape->before = *migration;
    *migration = (struct migration){0}; /* moved */
    reshape->begun = true;
}

bool reshape_waits(struct reshape *reshape, const struct err *err)
{
    reshape->due = false;
    if (!reshape->begun || err->class != ERR_RETRY)
        return false;
    log_event(LOG_WARN, "the rules cannot be bound anew yet, trying again",
              log_text("error", err->message));
    reshape->due = !stop_wait(reshape->stop, clock_monotonic() + PAUSE);
    return true;
}

/* ---- what has changed ---- */

struct judgement {
    const struct reshape *reshape;
    const struct migration *now;
    const struct bound_source *source, *source_before;
    struct err *err;
};

/* The change that the stream stands before, then why it does not go on, then what to do. */
static bool stop_here(const struct judgement *j, const char *why, const char *fix)
{
    err_set(j->err, ERR_SHAPE, "%.500s; %.500s", why, j->reshape->cause.message);
    return err_remedy(j->err, "%s", fix);
}

static const struct bound_source *source_of_oid(const struct chain *chain, uint32_t oid)
{
    for (size_t i = 0; i < chain->source_count; i++)
        if (chain->sources[i].table->oid == oid)
            return &chain->sources[i];
    return NULL;
}

static const struct catalog_column *column_of_number(const struct catalog_table *table,
                                                     int16_t number)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return &table->columns[i];
    return NULL;
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

static char *statement(const struct bound_table *table, const struct bound_column *column,
                       const char *what, const char *argument)
{
    struct buf sql = {0};
    buf_append_text(&sql, "ALTER TABLE ");
    ident_append_qualified(&sql, table->target->schema, table->target->name);
    buf_append_text(&sql, " ALTER COLUMN ");
    ident_append(&sql, column->target->name);
    buf_append_format(&sql, " %s %s", what, argument);
    return buf_steal(&sql);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool judge_new(const struct judgement *j, const struct catalog_column *column)
{
    char why[256];
    if (column->generated || j->now->config->on_new_column != NEW_COLUMN_STOP)
        return true;
    snprintf(why, sizeof why, "source column %s.%s.%s is new (apply.on_new_column: stop)",
             j->source->table->schema, j->source->table->name, column->name);
    return stop_here(j, why, "run again to carry it, or drop it in the file first");
}

/* A name may be another column's by now, on either side: what is one column at the source goes on to
 * be one at the target. */
static bool judge_place(const struct judgement *j, const struct catalog_column *column,
                        const struct catalog_column *before)
{
    const struct bound_table *table = NULL;
    const struct bound_table *table_before = NULL;
    const struct bound_column *now = carried_column(j->now->chain, j->source, column, &table);
    const struct bound_column *then = carried_column(j->reshape->before.chain, j->source_before,
                                                     before, &table_before);
    char why[400];
    if (now == NULL || then == NULL || table->target->oid != table_before->target->oid ||
        now->target->number == then->target->number)
        return true;
    snprintf(why, sizeof why,
             "source column %s.%s.%s was called \"%s\": what was carried so far stands in target "
             "column \"%s\", and what comes would go to \"%s\"",
             j->source->table->schema, j->source->table->name, column->name, before->name,
             then->target->name, now->target->name);
    return stop_here(j, why, "rename the columns at the target as they were at the source, or give "
                             "them rules under columns:, then run again");
}

/* What it was bound to before, the operator had accepted. */
static bool judge_type(const struct judgement *j, const struct catalog_column *column,
                       const struct catalog_column *before)
{
    const struct bound_table *table = NULL;
    const struct bound_column *carried =
        carried_column(j->now->chain, j->source, column, &table);
    const char *reason = "";
    char why[256];
    char fix[512];
    if (carried == NULL || same_text(column->type_name, before->type_name) ||
        type_fit(column, carried->target, &reason) < FIT_PERHAPS)
        return true;
    char *sql = statement(table, carried, "TYPE", column->type_name);
    snprintf(why, sizeof why, "source column %s.%s.%s was %s and is %s, target column \"%s\" is %s",
             j->source->table->schema, j->source->table->name, column->name, before->type_name,
             column->type_name, carried->target->name, carried->target->type_name);
    snprintf(fix, sizeof fix,
             "alter the target column, then run again: %.300s; or run again as it is: %s", sql,
             reason[0] ? reason : "a value that does not fit stops it");
    free(sql);
    return stop_here(j, why, fix);
}

static bool judge_columns(const struct judgement *j)
{
    const struct catalog_table *table = j->source->table;
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *column = &table->columns[i];
        const struct catalog_column *before =
            column_of_number(j->source_before->table, column->number);
        if (!(before == NULL ? judge_new(j, column)
                             : judge_place(j, column, before) && judge_type(j, column, before)))
            return false;
    }
    return true;
}

/* ---- where rows go, and how they are found ---- */

/* By its number: a key that was renamed is the same. */
static int16_t number_at_target(const struct bound_table *table, uint16_t place)
{
    int column = catalog_column_index(table->target, table->target_relation->columns[place].name);
    return column < 0 ? 0 : table->target->columns[column].number;
}

static bool is_key_of(const struct bound_table *table, int16_t number)
{
    for (uint16_t i = 0; i < table->target_relation->column_count; i++)
        if (table->target_relation->columns[i].key && number_at_target(table, i) == number)
            return true;
    return false;
}

static bool key_is_within(const struct bound_table *a, const struct bound_table *b)
{
    for (uint16_t i = 0; i < a->target_relation->column_count; i++)
        if (a->target_relation->columns[i].key && !is_key_of(b, number_at_target(a, i)))
            return false;
    return true;
}

static bool same_key(const struct bound_table *a, const struct bound_table *b)
{
    return a->target_relation->match == b->target_relation->match && key_is_within(a, b) &&
           key_is_within(b, a);
}

static bool judge_table(const struct judgement *j, const struct bound_table *now,
                        const struct bound_table *before)
{
    char why[256];
    if (now->target->oid != before->target->oid) {
        snprintf(why, sizeof why, "the rows of source table %s.%s went to %s.%s and would go to %s.%s",
                 now->source->schema, now->source->name, before->target->schema,
                 before->target->name, now->target->schema, now->target->name);
        return stop_here(j, why, "name the target in the file (tables: source and target), or "
                                 "rename the table at the target, then run again");
    }
    if (same_key(now, before))
        return true;
    snprintf(why, sizeof why,
             "the rows of source table %s.%s are identified otherwise than before (primary key or "
             "replica identity)",
             now->source->schema, now->source->name);
    return stop_here(j, why,
                     "give the table its identity back, or see that the target has a unique index "
                     "over what identifies it now (`slackwater check`), then run again");
}

static bool judge_tables(const struct judgement *j)
{
    uint32_t count = j->source->table_count;
    if (count != j->source_before->table_count)
        return stop_here(j, "the source table goes to other targets than before",
                         "look at `slackwater check`, then run again");
    for (uint32_t i = 0; i < count; i++)
        if (!judge_table(j, &j->now->chain->tables[j->source->first_table + i],
                         &j->reshape->before.chain
                              ->tables[j->source_before->first_table + i]))
            return false;
    return true;
}

static bool judge_source(const struct reshape *reshape, const struct migration *now,
                         const struct bound_source *source, struct err *err)
{
    struct judgement j = {.reshape = reshape, .now = now, .source = source, .err = err};
    j.source_before = source_of_oid(reshape->before.chain, source->table->oid);
    return j.source_before == NULL || (judge_columns(&j) && judge_tables(&j));
}

/* The findings that refuse the rules as they meet the new shape. */
static bool refuse_findings(const struct reshape *reshape, const struct migration *now,
                            struct err *err)
{
    for (size_t i = 0; i < now->findings.count; i++) {
        const struct finding *finding = &now->findings.items[i];
        if (finding->severity < SEVERITY_BREAKING)
            continue;
        err_set(err, ERR_SHAPE, "%.500s: %.500s", finding->what, reshape->cause.message);
        return finding->sql[0] ? err_remedy(err, "%s, then run again: %s", finding->fix, finding->sql)
                               : err_remedy(err, "%s; then run again", finding->fix);
    }
    return true;
}

bool reshape_accept(struct reshape *reshape, struct migration *migration, struct err *err)
{
    reshape->due = false;
    if (!reshape->begun)
        return true;
    if (!refuse_findings(reshape, migration, err))
        return false;
    for (size_t i = 0; i < migration->chain->source_count; i++)
        if (!judge_source(reshape, migration, &migration->chain->sources[i], err))
            return false;
    if (reshape->as_text)
        migration_take_text(migration, "changes of before have columns of other types");
    log_event(LOG_INFO, "the rules are bound anew",
              log_text("format", migration->chain->stream_binary ? "binary" : "text"));
    return true;
}
