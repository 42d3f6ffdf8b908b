/* The set-wise engine (setwise.h). */
#include "postgres/setwise.h"

#include "base/failpoint.h"
#include "base/mem.h"
#include "postgres/copy_in.h"
#include "postgres/stage.h"
#include "postgres/strategy.h"
#include "postgres/stretch.h"
#include "postgres/target_types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct operation_traits {
    enum statement_kind single;
    enum stage_operation stage;
    enum question question;
    bool blind; /* whether rows are found is of no matter */
} TRAITS[OPERATIONS] = {
    [DELETE_ROWS] = {STATEMENT_DELETE, STAGE_DELETE, Q_NET, false},
    [DELETE_NONE] = {STATEMENT_DELETE, STAGE_DELETE, Q_GHOST, false},
    [DELETE_ANY] = {STATEMENT_DELETE, STAGE_DELETE, Q_NET, true},
    [UPDATE_ROWS] = {STATEMENT_PATCH, STAGE_UPDATE, Q_NET, false},
    [UPSERT_ANY] = {STATEMENT_UPSERT, STAGE_UPSERT, Q_NET, true},
    [INSERT_ROWS] = {STATEMENT_UPSERT, STAGE_UPSERT, Q_NET, false},
};

/* A staged statement that waits for its answer. */
struct merge {
    uint32_t table;
    enum operation operation;
    uint32_t rows;
    bool counts; /* its answer is how many rows were there before */
};

struct table {
    enum table_way way;
    struct fold_table fold;
    struct pace set;          /* set-wise at all */
    struct pace copy;         /* COPY straight in */
    uint64_t seen;            /* the last batch with changes of it */
    bool set_open, copy_open; /* in that batch */
    bool set_used, copy_used;
};

struct setwise {
    const struct pg_sink_config *config;
    struct pipeline *pipeline;
    struct session *session;
    struct sender *sender;
    struct table *tables;
    struct stages stages;
    bool may_stage;
    bool *all;          /* true for every column */
    struct value *room; /* a row on its way into a stage */
    struct copy_in copy;
    struct buf sql;
    setwise_wait wait;
    void *context;

    struct stretch now;

    /* made ahead */
    struct stretch next;         /* the first of the batch to come, or what of it there is */
    const struct batch *next_of; /* NULL: none */
    uint32_t next_count;         /* the batch's changes that it has */

    /* of the batch */
    const struct batch *batch;
    uint64_t number;
    struct merge *merges;
    uint32_t merge_count;
    uint32_t merge_capacity;
    bool piped;
    bool expects; /* answers are on their way that may be surprises */
    bool used;
    uint32_t blamed; /* the table whose COPY failed; UINT32_MAX: none */
    uint64_t folded, merged, rows_copied, rows_staged, rows_single;
};

/* ---- carriers ---- */

static const struct catalog_table *catalog_of(const struct setwise *w,
                                              const struct group *group)
{
    return w->config->tables[group->relation->table].table;
}

static bool sets_nothing(const struct group *group)
{
    for (uint16_t i = 0; i < group->relation->column_count; i++)
        if (group->known[i] && !group->relation->columns[i].key)
            return false;
    return true;
}

static bool is_joined(const struct group *group)
{
    return TRAITS[group->operation].stage != STAGE_UPSERT;
}

static enum carrier carrier_of(const struct setwise *w, const struct group *group)
{
    const struct table *table = &w->tables[group->relation->table];
    bool keyless = group->relation->match != MATCH_KEY;
    if (!strategy_group(w->config->engine, group->count))
        return BY_ROW;
    if (group->operation == INSERT_ROWS && (table->copy_open || keyless))
        return BY_COPY;
    if (!w->may_stage || (is_joined(group) && !strategy_joins(catalog_of(w, group))) ||
        (group->operation == UPDATE_ROWS && (group->known == NULL || sets_nothing(group))))
        return BY_ROW;
    return BY_STAGE;
}

static void find_stage(struct setwise *w, struct group *group)
{
    group->stage = stages_find(&w->stages, TRAITS[group->operation].stage, group->operation,
                               group->relation, group->known);
    if (group->stage == NULL)
        group->carrier = BY_ROW;
}

/* Which carrier they get tells what came of the batch before; but inserts mostly go straight. */
static void sort_ahead(struct setwise *w, struct stretch *stretch)
{
    for (uint32_t i = 0; i < stretch->groups.count; i++) {
        struct group *group = &stretch->groups.items[i];
        if (group->operation != INSERT_ROWS && carrier_of(w, group) == BY_STAGE)
            group_sort(group, &stretch->fold);
    }
}

static void make_groups(struct setwise *w)
{
    stretch_group(&w->now);
    for (uint32_t i = 0; i < w->now.groups.count; i++) {
        struct group *group = &w->now.groups.items[i];
        group->carrier = carrier_of(w, group);
        if (group->carrier == BY_STAGE)
            find_stage(w, group);
        if (group->carrier == BY_STAGE)
            group_sort(group, &w->now.fold);
    }
}

static void forget_stretch(struct setwise *w)
{
    stretch_clear(&w->now);
}

static void forget_next(struct setwise *w)
{
    stretch_clear(&w->next);
    w->next_of = NULL;
    w->next_count = 0;
}

/* ---- in and out of the pipeline ---- */

/* While the target has all it needs and is at work on rows there is time for something else. */
static bool leave_pipeline(struct setwise *w, struct err *err)
{
    bool works = w->expects;
    if (!w->piped)
        return true;
    w->piped = w->expects = false;
    if (!pipeline_sync(w->pipeline, err) || (works && !pipeline_push(w->pipeline, err)))
        return false;
    if (works)
        w->wait(w->context);
    return pipeline_finish(w->pipeline, err);
}

static bool enter_pipeline(struct setwise *w, struct err *err)
{
    if (w->piped)
        return true;
    w->piped = true;
    return pipeline_begin(w->pipeline, w->session, err);
}

/* What follows a failure is void, so it is not sent. */
static bool still_well(const struct setwise *w, struct err *err)
{
    if (w->pipeline->failed)
        *err = w->pipeline->err;
    return !w->pipeline->failed;
}

static bool send_sql(struct setwise *w, enum question question, uint32_t index, struct err *err)
{
    return still_well(w, err) && sender_sql(w->sender, buf_text(&w->sql),
                                            tag_of(question, index, TELLS_NOTHING), err);
}

/* ---- COPY ---- */

static bool is_binary(const struct setwise *w, const struct group *group)
{
    return w->tables[group->relation->table].fold.format == VALUE_BINARY;
}

static struct row row_of(struct setwise *w, const struct group *group, uint32_t item)
{
    const struct net *net = &w->now.fold.nets[group->items[item].net];
    const struct value *values =
        TRAITS[group->operation].stage == STAGE_DELETE ? net->key : net->row;
    struct row row = {.values = w->room};
    if (group->carrier == BY_STAGE) {
        row.count = stage_pick(group->stage, values, w->room);
        return row;
    }
    row.values = (struct value *)(uintptr_t)values; /* COPY only reads it */
    row.count = group->relation->column_count;
    return row;
}

static bool copy_rows(struct setwise *w, const struct group *group, struct err *err)
{
    if (!leave_pipeline(w, err))
        return false;
    w->blamed = group->relation->table;
    if (!copy_in_begin(&w->copy, buf_text(&w->sql), is_binary(w, group), err))
        return false;
    for (uint32_t i = 0; i < group->count; i++) {
        struct row row = row_of(w, group, i);
        if (!copy_in_row(&w->copy, &row, err))
            return false;
    }
    if (!copy_in_end(&w->copy, err))
        return false;
    w->blamed = UINT32_MAX;
    return true;
}

/* Bytes of one type may be a value of another: fails at the server where a column is not of the type
 * any more that it was bound as, and the batch goes in order. The table is locked until the commit.
 */
static bool guard_types(struct setwise *w, const struct group *group, struct err *err)
{
    if (!is_binary(w, group))
        return true;
    buf_clear(&w->sql);
    target_types_guard_sql(&w->sql, group->relation);
    return send_sql(w, Q_OTHER, UINT32_MAX, err);
}

static bool lock_for_copy(struct setwise *w, const struct group *group, struct err *err)
{
    if (!is_binary(w, group))
        return true;
    if (!enter_pipeline(w, err))
        return false;
    buf_clear(&w->sql);
    target_types_lock_sql(&w->sql, group->relation);
    return send_sql(w, Q_OTHER, UINT32_MAX, err) && guard_types(w, group, err);
}

static bool ready_stage(struct setwise *w, const struct group *group, struct err *err)
{
    struct stage *stage = group->stage;
    if (stage->made && !stage->used)
        return true;
    if (!enter_pipeline(w, err))
        return false;
    if (!stage->made) {
        buf_clear(&w->sql);
        stage_create_sql(&w->sql, stage, catalog_of(w, group));
        if (!send_sql(w, Q_STAGE, UINT32_MAX, err) || !guard_types(w, group, err))
            return false;
        stage->made = stage->fresh = true;
    }
    if (!stage->used)
        return true;
    buf_clear(&w->sql);
    stage_empty_sql(&w->sql, stage);
    return send_sql(w, Q_STAGE, UINT32_MAX, err);
}

static bool fill_stages(struct setwise *w, struct err *err)
{
    for (uint32_t i = 0; i < w->now.groups.count; i++)
        if (w->now.groups.items[i].carrier == BY_STAGE &&
            !ready_stage(w, &w->now.groups.items[i], err))
            return false;
    for (uint32_t i = 0; i < w->now.groups.count; i++) {
        const struct group *group = &w->now.groups.items[i];
        if (group->carrier != BY_STAGE)
            continue;
        group->stage->used = true;
        buf_clear(&w->sql);
        stage_copy_sql(&w->sql, group->stage, is_binary(w, group));
        if (!copy_rows(w, group, err) || !failpoint(SET_STAGED, err))
            return false;
        w->rows_staged += group->count;
    }
    return true;
}

static bool copy_straight(struct setwise *w, struct err *err)
{
    for (uint32_t i = 0; i < w->now.groups.count; i++) {
        const struct group *group = &w->now.groups.items[i];
        if (group->carrier != BY_COPY)
            continue;
        w->tables[group->relation->table].copy_used = true;
        if (!lock_for_copy(w, group, err))
            return false;
        buf_clear(&w->sql);
        stage_straight_sql(&w->sql, group->relation, is_binary(w, group));
        if (!copy_rows(w, group, err) || !failpoint(SET_COPIED, err))
            return false;
        w->rows_copied += group->count;
    }
    return true;
}

/* ---- statements ---- */

/* A stage has no statistics. Whatever the planner thinks of it, each of its rows is to be
 * looked up in the target's index; and a plan is not to be kept from when the target was small.
 */
static bool steer_planner(struct setwise *w, bool on, struct err *err)
{
    static const char *const OFF[] = {"enable_hashjoin", "enable_mergejoin", "enable_seqscan",
                                      "enable_bitmapscan", "enable_material"};
    buf_clear(&w->sql);
    buf_append_text(&w->sql, "SELECT set_config('enable_nestloop', ");
    buf_append_text(&w->sql, on ? "'on', true)" : "NULL, true)");
    for (size_t i = 0; i < sizeof OFF / sizeof OFF[0]; i++)
        buf_append_format(&w->sql, ", set_config('%s', %s, true)", OFF[i],
                          on ? "'off'" : "NULL");
    if (PQserverVersion(w->session->conn) >= 140000)
        buf_append_format(&w->sql, ", set_config('enable_memoize', %s, true)",
                          on ? "'off'" : "NULL");
    return send_sql(w, Q_OTHER, UINT32_MAX, err);
}

static bool send_merge(struct setwise *w, const struct group *group, struct err *err)
{
    if (w->merge_count == w->merge_capacity) {
        w->merge_capacity += 64;
        w->merges = mem_grow(w->merges, w->merge_capacity, sizeof *w->merges);
    }
    struct merge *merge = &w->merges[w->merge_count];
    *merge = (struct merge){
        .table = group->relation->table, .operation = group->operation, .rows = group->count};
    buf_clear(&w->sql);
    stage_merge_sql(&w->sql, group->stage, catalog_of(w, group), &merge->counts);
    return send_sql(w, Q_MERGE, w->merge_count++, err);
}

static bool send_single(struct setwise *w, const struct group *group, uint32_t item,
                        struct err *err)
{
    const struct operation_traits *traits = &TRAITS[group->operation];
    const struct net *net = &w->now.fold.nets[group->items[item].net];
    uint16_t count = group->relation->column_count;
    enum statement_kind kind =
        group->relation->match == MATCH_KEY ? traits->single : STATEMENT_INSERT;
    const bool *known = group->operation == UPDATE_ROWS ? group->known : w->all;
    struct change change = {
        .relation = group->relation,
        .blind = traits->blind,
        .old = {.values = (struct value *)(uintptr_t)net->key, .count = count},
        .new = {.values = (struct value *)(uintptr_t)net->row, .count = count},
    };
    if (known == NULL)
        known = groups_mask(&w->now.groups, group->relation, net->row);
    return still_well(w, err) &&
           sender_row(w->sender, &change, kind, known, traits->question, net->change, err);
}

static bool send_group(struct setwise *w, const struct group *group, struct err *err)
{
    switch (group->carrier) {
    case BY_COPY:
        return true; /* behind the statements */
    case BY_STAGE:
        return send_merge(w, group, err);
    case BY_ROW:
        break;
    }
    for (uint32_t i = 0; i < group->count; i++)
        if (!send_single(w, group, i, err))
            return false;
    w->rows_single += group->count;
    return true;
}

static bool has_carrier(const struct setwise *w, enum carrier carrier)
{
    for (uint32_t i = 0; i < w->now.groups.count; i++)
        if (w->now.groups.items[i].carrier == carrier)
            return true;
    return false;
}

static bool send_statements(struct setwise *w, struct err *err)
{
    bool merges = has_carrier(w, BY_STAGE);
    if (!merges && !has_carrier(w, BY_ROW))
        return true;
    if (!enter_pipeline(w, err) || (merges && !steer_planner(w, true, err)))
        return false;
    w->expects = true;
    for (enum operation operation = 0; operation < OPERATIONS; operation++)
        for (uint32_t i = 0; i < w->now.groups.count; i++)
            if (w->now.groups.items[i].operation == operation &&
                !send_group(w, &w->now.groups.items[i], err))
                return false;
    return (!merges || steer_planner(w, false, err)) && failpoint(SET_SENT, err);
}

static bool send_later(struct setwise *w, struct err *err)
{
    if (w->now.later_count > 0 && !enter_pipeline(w, err))
        return false;
    for (uint32_t i = 0; i < w->now.later_count; i++)
        if (!still_well(w, err) ||
            !sender_change(w->sender, &w->batch->changes[w->now.later[i]], w->now.later[i],
                           err))
            return false;
    return true;
}

static bool send_stretch(struct setwise *w, struct err *err)
{
    w->used = w->used || w->now.fold.count > 0;
    w->merged += w->now.fold.merged;
    make_groups(w);
    bool ok = fill_stages(w, err) && send_statements(w, err) && copy_straight(w, err) &&
              send_later(w, err);
    forget_stretch(w);
    return ok;
}

/* ---- a batch ---- */

static struct table *table_of(struct setwise *w, const struct relation *relation)
{
    struct table *table = &w->tables[relation->table];
    if (table->seen == w->number)
        return table;
    table->seen = w->number;
    table->set_used = table->copy_used = false;
    table->set_open = pace_begin(&table->set);
    table->copy_open = pace_begin(&table->copy);
    return table;
}

static enum table_way way_of(struct setwise *w, const struct change *change)
{
    if (change->kind == CHANGE_TRUNCATE)
        return TABLE_ALONE;
    struct table *table = table_of(w, change->relation);
    return table->way == TABLE_SET && !table->set_open ? TABLE_ORDERED : table->way;
}

static bool take_change(struct setwise *w, const struct change *change, uint32_t index,
                        struct err *err)
{
    enum table_way way = way_of(w, change);
    if (way == TABLE_ORDERED) {
        stretch_keep_for_later(&w->now, index);
        return true;
    }
    if (way == TABLE_SET) {
        struct table *table = &w->tables[change->relation->table];
        if (fold_take(&w->now.fold, &table->fold, change, index)) {
            table->set_used = true;
            w->folded++;
            return true;
        }
    }
    return send_stretch(w, err) && enter_pipeline(w, err) && still_well(w, err) &&
           sender_change(w->sender, change, index, err);
}

static void begin_batch(struct setwise *w, const struct batch *batch)
{
    forget_stretch(w);
    w->batch = batch;
    w->number++;
    w->merge_count = 0;
    w->piped = true;
    w->used = w->expects = false;
    w->blamed = UINT32_MAX;
    w->folded = w->merged = w->rows_copied = w->rows_staged = w->rows_single = 0;
}

/* A surprise is none to the server, which would go on to the COMMIT: it must be heard before
 * that is sent. */
static bool hear_answers(struct setwise *w, struct err *err)
{
    return !w->expects || leave_pipeline(w, err);
}

/* ---- ahead ---- */

/* As it will be when the batch begins, unless the one before fails, or comes to the table yet. */
static enum table_way way_to_come(const struct table *table)
{
    return table->way == TABLE_SET && table->set.pause > 0 ? TABLE_ORDERED : table->way;
}

static bool take_ahead(struct setwise *w, const struct change *change, uint32_t index)
{
    if (change->kind == CHANGE_TRUNCATE)
        return false;
    const struct table *table = &w->tables[change->relation->table];
    switch (way_to_come(table)) {
    case TABLE_ORDERED:
        stretch_keep_for_later(&w->next, index);
        return true;
    case TABLE_SET:
        return fold_take(&w->next.fold, &table->fold, change, index);
    case TABLE_ALONE:
        break;
    }
    return false;
}

void setwise_prepare(struct setwise *w, const struct batch *batch)
{
    forget_next(w);
    w->next_of = batch;
    if (batch == NULL)
        return;
    while (w->next_count < batch->change_count &&
           take_ahead(w, &batch->changes[w->next_count], w->next_count))
        w->next_count++;
    if (w->next_count < batch->change_count)
        return; /* what follows may belong to it */
    stretch_group(&w->next);
    sort_ahead(w, &w->next);
}

/* Each table's changes still go the way that they were sent on. A table that the batch before came to
 * only after that has a batch less to stay away. */
static bool next_still_fits(struct setwise *w, const struct batch *batch)
{
    uint32_t later = 0;
    for (uint32_t i = 0; i < w->next_count; i++) {
        bool kept = later < w->next.later_count && w->next.later[later] == i;
        later += kept;
        if (kept != (way_of(w, &batch->changes[i]) == TABLE_ORDERED))
            return false;
    }
    return true;
}

/* The changes that the first stretch has already. */
static uint32_t take_next(struct setwise *w, const struct batch *batch)
{
    if (w->next_of != batch)
        return 0;
    if (!next_still_fits(w, batch)) {
        forget_next(w);
        return 0;
    }
    struct stretch empty = w->now;
    uint32_t count = w->next_count;
    w->now = w->next;
    w->next = empty;
    forget_next(w);
    for (uint32_t i = 0; i < count; i++) {
        if (way_of(w, &batch->changes[i]) != TABLE_SET)
            continue;
        w->tables[batch->changes[i].relation->table].set_used = true;
        w->folded++;
    }
    return count;
}

bool setwise_send(struct setwise *w, const struct batch *batch, struct err *err)
{
    begin_batch(w, batch);
    for (uint32_t i = take_next(w, batch); i < batch->change_count; i++)
        if (!take_change(w, &batch->changes[i], i, err))
            return false;
    return send_stretch(w, err) && hear_answers(w, err) && enter_pipeline(w, err) &&
           still_well(w, err);
}

uint64_t setwise_executed(const struct setwise *w)
{
    return w->folded;
}

bool setwise_was_used(const struct setwise *w)
{
    return w->used;
}

/* ---- answers ---- */

static bool surprise(const struct setwise *w, uint32_t table, struct err *err)
{
    const struct relation *relation = w->config->tables[table].relation;
    return err_set(err, ERR_DATA, "rows of %s.%s are not as the stream says", relation->schema,
                   relation->name);
}

static bool single_answer(struct setwise *w, uint64_t tag, const PGresult *result,
                          uint32_t *table, uint64_t *existed, struct err *err)
{
    bool none = strcmp(PQcmdTuples((PGresult *)(uintptr_t)result), "0") == 0;
    *table = w->batch->changes[tag_index(tag)].relation->table;
    switch (tag_tells(tag)) {
    case TELLS_NOTHING:
    case TELLS_INSERTED:
        return true;
    case TELLS_EXISTED:
        *existed = PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't';
        return true;
    case TELLS_NO_ROW_EXISTED:
        *existed = none;
        return true;
    case TELLS_MISSING:
        break;
    }
    bool expects_none = tag_question(tag) == Q_GHOST;
    return none == expects_none || surprise(w, *table, err);
}

static bool merge_answer(struct setwise *w, const struct merge *merge, const PGresult *result,
                         uint64_t *existed, struct err *err)
{
    const char *affected =
        merge->counts ? PQgetvalue(result, 0, 0) : PQcmdTuples((PGresult *)(uintptr_t)result);
    uint64_t rows = strtoull(affected, NULL, 10);
    if (rows > merge->rows)
        return err_set(err, ERR_BUG, "a statement for %u staged row(s) affected %s",
                       (unsigned)merge->rows, affected);
    switch (merge->operation) {
    case DELETE_ROWS:
    case UPDATE_ROWS:
        return rows == merge->rows || surprise(w, merge->table, err);
    case DELETE_NONE:
        return rows == 0 || surprise(w, merge->table, err);
    case INSERT_ROWS: /* DO NOTHING: those that were there are not affected */
        *existed = merge->counts ? rows : merge->rows - rows;
        return true;
    case DELETE_ANY:
    case UPSERT_ANY:
    case OPERATIONS:
        break;
    }
    return true;
}

bool setwise_answer(struct setwise *w, uint64_t tag, const PGresult *result, uint32_t *table,
                    uint64_t *existed, struct err *err)
{
    if (tag_question(tag) != Q_MERGE)
        return single_answer(w, tag, result, table, existed, err);
    const struct merge *merge = &w->merges[tag_index(tag)];
    *table = merge->table;
    return merge_answer(w, merge, result, existed, err);
}

/* ---- the end of a batch ---- */

static void count_rows(const struct setwise *w)
{
    struct apply_counters *counters = w->config->apply;
    counter_add(&counters->rows_copied, w->rows_copied);
    counter_add(&counters->rows_staged, w->rows_staged);
    counter_add(&counters->rows_single, w->rows_single);
    counter_add(&counters->changes_folded, w->merged);
}

void setwise_passed(struct setwise *w)
{
    count_rows(w);
    for (uint32_t i = 0; i < w->config->table_count; i++) {
        struct table *table = &w->tables[i];
        if (table->seen != w->number)
            continue;
        if (table->set_used)
            pace_passed(&table->set);
        if (table->copy_used)
            pace_passed(&table->copy);
    }
}

void setwise_committed(struct setwise *w)
{
    stages_committed(&w->stages);
}

/* The table that a failed question was about; UINT32_MAX: none. */
static uint32_t table_at_fault(const struct setwise *w, const uint64_t *tag)
{
    if (w->blamed != UINT32_MAX || tag == NULL)
        return w->blamed;
    switch (tag_question(*tag)) {
    case Q_NET:
    case Q_GHOST:
        return w->batch->changes[tag_index(*tag)].relation->table;
    case Q_MERGE:
        return w->merges[tag_index(*tag)].table;
    case Q_OTHER:
    case Q_CHANGE:
    case Q_STAGE:
    case Q_PROGRESS:
    case Q_POSITIONS:
        break;
    }
    return UINT32_MAX;
}

/* Which table is at fault is not known. */
static void slow_all_down(struct setwise *w)
{
    for (uint32_t i = 0; i < w->config->table_count; i++)
        if (w->tables[i].seen == w->number && w->tables[i].set_used)
            pace_failed(&w->tables[i].set);
}

/* Of a table in which COPY met a key the inserts are staged for a while; else a failure keeps
 * the table in source order for a while, all tables if it is none's: a change in source order
 * may have failed because of what went before it in sets. */
void setwise_failed(struct setwise *w, const uint64_t *tag, const struct err *err,
                    bool to_savepoint)
{
    uint32_t index = table_at_fault(w, tag);
    stages_rolled_back(&w->stages, to_savepoint);
    forget_stretch(w);
    forget_next(w);
    if (tag != NULL && tag_question(*tag) == Q_STAGE && err->class != ERR_RETRY) {
        w->may_stage = false; /* an event trigger may be in the way of every one */
        return;
    }
    if (index == UINT32_MAX) {
        slow_all_down(w);
        return;
    }
    struct table *table = &w->tables[index];
    bool met_a_key =
        w->blamed != UINT32_MAX && table->copy_used && strcmp(err->sqlstate, "23505") == 0;
    if (!met_a_key) {
        pace_failed(&table->set);
        return;
    }
    if (table->copy.next == 0)
        table->copy.next = 4; /* where one key is, others are */
    pace_failed(&table->copy);
}

/* ---- life ---- */

static uint16_t widest(const struct pg_sink_config *config)
{
    uint16_t most = 1;
    for (size_t i = 0; i < config->table_count; i++)
        if (config->tables[i].relation->column_count > most)
            most = config->tables[i].relation->column_count;
    return most;
}

static const struct type_codec **codecs_of(const struct pg_target_table *target)
{
    const struct relation *relation = target->relation;
    const struct type_codec **codecs = mem_zero(relation->column_count + 1U, sizeof *codecs);
    for (uint16_t i = 0; i < relation->column_count; i++) {
        int column = catalog_column_index(target->table, relation->columns[i].name);
        if (column >= 0)
            codecs[i] = type_codec_for(&target->table->columns[column]);
    }
    return codecs;
}

static void know_table(struct setwise *w, uint32_t index)
{
    const struct pg_target_table *target = &w->config->tables[index];
    w->tables[index] = (struct table){
        .way = strategy_way(w->config, index),
        .fold = {.format = target->format,
                 .codecs = codecs_of(target),
                 .moves = statement_keeps_columns(target->relation, target->table)}};
}

struct setwise *setwise_create(const struct pg_sink_config *config, struct session *session,
                               struct pipeline *pipeline, struct sender *sender,
                               pipeline_silence silence, setwise_wait wait, void *context)
{
    struct setwise *w = mem_zero(1, sizeof *w);
    uint16_t most = widest(config);
    w->config = config;
    w->session = session;
    w->pipeline = pipeline;
    w->sender = sender;
    w->wait = wait;
    w->context = context;
    w->tables = mem_zero(config->table_count + 1, sizeof *w->tables);
    w->all = mem_zero(most, sizeof *w->all);
    memset(w->all, true, most * sizeof *w->all);
    stretch_init(&w->now, config->table_count, most);
    stretch_init(&w->next, config->table_count, most);
    w->room = mem_zero(most, sizeof *w->room);
    w->copy = (struct copy_in){.session = session, .silence = silence, .context = context};
    for (uint32_t i = 0; i < config->table_count; i++)
        know_table(w, i);
    return w;
}

void setwise_destroy(struct setwise *w)
{
    if (w == NULL)
        return;
    stages_forget(&w->stages);
    stretch_free(&w->now);
    stretch_free(&w->next);
    copy_in_free(&w->copy);
    buf_free(&w->sql);
    free(w->merges);
    for (size_t i = 0; i < w->config->table_count; i++)
        free((void *)w->tables[i].fold.codecs);
    free(w->tables);
    free(w->all);
    free(w->room);
    free(w);
}

void setwise_connected(struct setwise *w, bool stages)
{
    forget_stretch(w);
    forget_next(w);
    stages_forget(&w->stages);
    w->may_stage = stages;
}

bool setwise_gives_up_stages(struct setwise *w)
{
    bool old = stages_are_old(&w->stages, clock_monotonic());
    if (old)
        stages_forget(&w->stages);
    return old;
}
