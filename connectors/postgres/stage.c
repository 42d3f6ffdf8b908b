/* Stages and their SQL (stage.h). */
#include "postgres/stage.h"

#include "base/mem.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- those that a session has ---- */

static bool has_column(enum stage_operation operation, const struct relation *relation,
                       const bool *known, uint16_t i)
{
    switch (operation) {
    case STAGE_DELETE:
        return relation->columns[i].key;
    case STAGE_UPDATE:
        return known[i];
    case STAGE_UPSERT:
        return true;
    }
    return false;
}

static bool is_it(const struct stage *stage, enum stage_operation operation, unsigned user,
                  const struct relation *relation, const bool *known)
{
    if (stage->operation != operation || stage->user != user || stage->relation != relation)
        return false;
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (stage->columns[i] != has_column(operation, relation, known, i))
            return false;
    return true;
}

struct stage *stages_find(struct stages *stages, enum stage_operation operation, unsigned user,
                          const struct relation *relation, const bool *known)
{
    for (size_t i = 0; i < stages->count; i++)
        if (is_it(stages->items[i], operation, user, relation, known))
            return stages->items[i];
    stages->refused = stages->count == STAGES_MOST;
    if (stages->refused)
        return NULL;
    if (stages->count == 0)
        stages->since = clock_monotonic();
    struct stage *stage = mem_zero(1, sizeof *stage);
    stage->operation = operation;
    stage->user = user;
    stage->relation = relation;
    stage->columns = mem_zero(relation->column_count + 1U, sizeof *stage->columns);
    for (uint16_t i = 0; i < relation->column_count; i++)
        stage->columns[i] = has_column(operation, relation, known, i);
    snprintf(stage->name, sizeof stage->name, "slackwater_set_%zu", stages->count);
    stages->items = mem_grow(stages->items, stages->count + 1, sizeof *stages->items);
    stages->items[stages->count++] = stage;
    return stage;
}

void stages_forget(struct stages *stages)
{
    for (size_t i = 0; i < stages->count; i++) {
        free(stages->items[i]->columns);
        free(stages->items[i]);
    }
    free(stages->items);
    *stages = (struct stages){0};
}

bool stages_are_old(const struct stages *stages, usec_t now)
{
    usec_t last = stages->refused ? STAGES_LAST_REFUSED : STAGES_LAST;
    return stages->count > 0 && now - stages->since >= last;
}

void stages_committed(struct stages *stages)
{
    for (size_t i = 0; i < stages->count; i++)
        stages->items[i]->fresh = stages->items[i]->used = false;
}

/* Behind a savepoint may stand rows of the batch before it, so `used` stays. A stage of the
 * batch before stays too, and is only taken for gone: it is made again IF NOT EXISTS. */
void stages_rolled_back(struct stages *stages, bool to_savepoint)
{
    for (size_t i = 0; i < stages->count; i++) {
        struct stage *stage = stages->items[i];
        if (stage->fresh)
            stage->made = false;
        if (!to_savepoint)
            stage->fresh = stage->used = false;
    }
}

uint16_t stage_pick(const struct stage *stage, const struct value *row, struct value *room)
{
    uint16_t count = 0;
    for (uint16_t i = 0; i < stage->relation->column_count; i++)
        if (stage->columns[i])
            room[count++] = row[i];
    return count;
}

/* ---- parts ---- */

static void target_name(struct buf *sql, const struct relation *relation)
{
    ident_append_qualified(sql, relation->schema, relation->name);
}

/* What inherits from the table is not meant. */
static void only_target(struct buf *sql, const struct relation *relation,
                        const struct catalog_table *table)
{
    buf_append_text(sql, table->kind == 'p' ? "" : "ONLY ");
    target_name(sql, relation);
}

static void column_list(struct buf *sql, const struct relation *relation, const bool *columns)
{
    const char *separator = "";
    for (uint16_t i = 0; i < relation->column_count; i++) {
        if (columns != NULL && !columns[i])
            continue;
        buf_append_text(sql, separator);
        ident_append(sql, relation->columns[i].name);
        separator = ", ";
    }
}

static bool is_settable(const struct stage *stage, uint16_t i)
{
    const struct column *column = &stage->relation->columns[i];
    return stage->columns[i] && !column->key && !column->identity_always;
}

/* SET "a" = s."a" and so on; nothing when there is nothing to set. */
static bool set_list(struct buf *sql, const struct stage *stage, const char *begin,
                     const char *from)
{
    const char *separator = begin;
    for (uint16_t i = 0; i < stage->relation->column_count; i++) {
        if (!is_settable(stage, i))
            continue;
        buf_append_text(sql, separator);
        ident_append(sql, stage->relation->columns[i].name);
        buf_append_format(sql, " = %s.", from);
        ident_append(sql, stage->relation->columns[i].name);
        separator = ", ";
    }
    return separator != begin;
}

static void where_key(struct buf *sql, const struct relation *relation)
{
    const char *separator = " WHERE ";
    for (uint16_t i = 0; i < relation->column_count; i++) {
        if (!relation->columns[i].key)
            continue;
        buf_append_format(sql, "%st.", separator);
        ident_append(sql, relation->columns[i].name);
        buf_append_text(sql, " = s.");
        ident_append(sql, relation->columns[i].name);
        separator = " AND ";
    }
}

static void conflict_key(struct buf *sql, const struct relation *relation)
{
    const char *separator = " ON CONFLICT (";
    for (uint16_t i = 0; i < relation->column_count; i++) {
        if (!relation->columns[i].key)
            continue;
        buf_append_text(sql, separator);
        ident_append(sql, relation->columns[i].name);
        separator = ", ";
    }
    buf_append_text(sql, ")");
}

/* ---- statements ---- */

void stage_create_sql(struct buf *sql, const struct stage *stage,
                      const struct catalog_table *table)
{
    buf_append_format(sql,
                      "CREATE TEMPORARY TABLE IF NOT EXISTS pg_temp.%s"
                      " ON COMMIT DELETE ROWS AS SELECT ",
                      stage->name);
    column_list(sql, stage->relation, stage->columns);
    buf_append_text(sql, " FROM ");
    only_target(sql, stage->relation, table);
    buf_append_text(sql, " WITH NO DATA");
}

void stage_empty_sql(struct buf *sql, const struct stage *stage)
{
    buf_append_format(sql, "TRUNCATE pg_temp.%s", stage->name);
}

static void end_copy_sql(struct buf *sql, const struct relation *relation, const bool *columns,
                         bool binary)
{
    buf_append_text(sql, " (");
    column_list(sql, relation, columns);
    buf_append_format(sql, ") FROM STDIN (FORMAT %s)", binary ? "binary" : "text");
}

void stage_copy_sql(struct buf *sql, const struct stage *stage, bool binary)
{
    buf_append_format(sql, "COPY pg_temp.%s", stage->name);
    end_copy_sql(sql, stage->relation, stage->columns, binary);
}

void stage_straight_sql(struct buf *sql, const struct relation *relation, bool binary)
{
    buf_append_text(sql, "COPY ");
    target_name(sql, relation);
    end_copy_sql(sql, relation, NULL, binary);
}

/* RETURNING cannot read xmax through a partitioned table. */
static void upsert_sql(struct buf *sql, const struct stage *stage,
                       const struct catalog_table *table, bool *counts)
{
    struct buf set = {0};
    bool sets = set_list(&set, stage, " DO UPDATE SET ", "EXCLUDED");
    *counts = sets && table->kind != 'p';
    buf_append_text(sql, *counts ? "WITH written AS (INSERT INTO " : "INSERT INTO ");
    target_name(sql, stage->relation);
    buf_append_text(sql, " (");
    column_list(sql, stage->relation, stage->columns);
    buf_append_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    column_list(sql, stage->relation, stage->columns);
    buf_append_format(sql, " FROM pg_temp.%s", stage->name);
    conflict_key(sql, stage->relation);
    buf_append_text(sql, sets ? buf_text(&set) : " DO NOTHING");
    if (*counts)
        buf_append_text(sql, " RETURNING xmax <> 0 AS existed)"
                             " SELECT count(*) FILTER (WHERE existed) FROM written");
    buf_free(&set);
}

void stage_merge_sql(struct buf *sql, const struct stage *stage,
                     const struct catalog_table *table, bool *counts)
{
    *counts = false;
    switch (stage->operation) {
    case STAGE_DELETE:
        buf_append_text(sql, "DELETE FROM ");
        only_target(sql, stage->relation, table);
        buf_append_format(sql, " AS t USING pg_temp.%s AS s", stage->name);
        where_key(sql, stage->relation);
        break;
    case STAGE_UPDATE:
        buf_append_text(sql, "UPDATE ");
        only_target(sql, stage->relation, table);
        buf_append_text(sql, " AS t");
        (void)set_list(sql, stage, " SET ", "s");
        buf_append_format(sql, " FROM pg_temp.%s AS s", stage->name);
        where_key(sql, stage->relation);
        break;
    case STAGE_UPSERT:
        upsert_sql(sql, stage, table, counts);
        break;
    }
}
