/* The PostgreSQL sink (sink.h). */
#include "postgres/sink.h"

#include "base/mem.h"
#include "postgres/control.h"
#include "postgres/formula.h"
#include "postgres/ghost.h"
#include "postgres/pipeline.h"
#include "postgres/session.h"
#include "postgres/statement.h"
#include "postgres/truncation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_MOST 1024
#define FLUSH_QUESTION_EVERY (40 * USEC_PER_MS)
#define STATEMENTS_MOST 2000 /* prepared at once; beyond, all are made anew */
#define LOCK_PATIENCE (5 * USEC_PER_SEC)
#define PATIENCE (20 * USEC_PER_SEC) /* for short questions */
#define LOCK_PAUSE (200 * USEC_PER_MS)

/* Tags of pipeline questions: what to do with the answer. The low half names the change. */
enum question { Q_OTHER, Q_CHANGE, Q_PROGRESS, Q_POSITIONS };

static uint64_t tag_of(enum question question, uint32_t change, enum statement_tells tells)
{
    return (uint64_t)question << 40 | (uint64_t)tells << 32 | change;
}

/* What every batch is framed by, prepared at connect: parsing and planning it again would cost a
 * small transaction more than its own change. */
enum frame {
    FRAME_BEGIN,
    FRAME_DEFER,
    FRAME_PROGRESS,
    FRAME_PROGRESS_ORIGIN,
    FRAME_COMMIT,
    FRAME_POSITIONS,
};

#define PROGRESS_SQL                                                                             \
    "UPDATE slackwater.progress SET lsn = $2::pg_lsn,"                                           \
    " commit_at = coalesce($3::timestamptz, commit_at), note = coalesce($4, note),"              \
    " applied_at = clock_timestamp() WHERE migration = $1"

static const struct {
    const char *name;
    const char *sql;
    enum question question;
} FRAMES[] = {
    [FRAME_BEGIN] = {"slackwater_begin", "BEGIN", Q_OTHER},
    [FRAME_DEFER] = {"slackwater_defer", "SET CONSTRAINTS ALL DEFERRED", Q_OTHER},
    [FRAME_PROGRESS] = {"slackwater_progress", PROGRESS_SQL, Q_PROGRESS},
    /* A batch that ends no transaction has no time, and is of no origin. */
    [FRAME_PROGRESS_ORIGIN] = {"slackwater_progress_origin",
                               PROGRESS_SQL
                               " RETURNING CASE WHEN $3::timestamptz IS NOT NULL THEN"
                               " pg_replication_origin_xact_setup($2::pg_lsn, $3::timestamptz)"
                               "::text END",
                               Q_PROGRESS},
    [FRAME_COMMIT] = {"slackwater_commit", "COMMIT", Q_OTHER},
    [FRAME_POSITIONS] = {"slackwater_positions",
                         "SELECT pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()",
                         Q_POSITIONS},
};

/* One shape of statement for one table. */
struct shape {
    enum statement_kind kind;
    bool *known;
    struct statement *statement;
    bool prepared; /* on this connection */
};

struct table_shapes {
    struct shape *items;
    size_t count;
};

/* Commits up to here may not be on the target's disk yet. */
struct pending {
    lsn_t source; /* end LSN applied */
    lsn_t target; /* not before its commit record's end: where the WAL was when we asked */
};

struct pg_sink {
    struct sink sink;
    struct pg_sink_config config;
    struct session session;
    struct pipeline pipeline;
    bool locked_before; /* this process has held the migration: a refusal is our own ghost */
    bool in_transaction;
    struct ghost ghost; /* the server process of this or the last connection */

    struct table_shapes *shapes; /* by table */
    uint32_t statement_serial;
    uint32_t prepared_count;

    struct pending pending[PENDING_MOST];
    size_t pending_count;
    lsn_t committed; /* source position, as the next two */
    lsn_t placed;    /* of the newest pending one; commits behind it wait for a question */
    lsn_t flushed;
    usec_t asked_at;

    const struct batch *batch; /* being applied */
    uint64_t executed;
    struct arena scratch; /* parameters of one change */
    bool *known;
    const char **values;
    int *lengths;
    int *formats;
};

static struct pg_sink *self(struct sink *sink)
{
    return (struct pg_sink *)(void *)sink;
}

/* ---- statements ---- */

static struct shape *find_shape(struct table_shapes *shapes, enum statement_kind kind,
                                const bool *known, uint16_t columns)
{
    for (size_t i = 0; i < shapes->count; i++)
        if (shapes->items[i].kind == kind &&
            memcmp(shapes->items[i].known, known, columns * sizeof *known) == 0)
            return &shapes->items[i];
    return NULL;
}

static struct shape *shape_for(struct pg_sink *s, const struct relation *relation,
                               enum statement_kind kind, const bool *known)
{
    struct table_shapes *shapes = &s->shapes[relation->table];
    uint16_t columns = relation->column_count;
    struct shape *shape = find_shape(shapes, kind, known, columns);
    if (shape != NULL)
        return shape;
    shapes->items = mem_grow(shapes->items, shapes->count + 1, sizeof *shapes->items);
    shape = &shapes->items[shapes->count++];
    *shape = (struct shape){.kind = kind};
    shape->known = mem_zero(columns + 1U, sizeof *known);
    memcpy(shape->known, known, columns * sizeof *known);
    shape->statement = statement_create(kind, relation,
                                        s->config.tables[relation->table].table, known);
    snprintf(shape->statement->name, sizeof shape->statement->name, "slackwater_%u",
             ++s->statement_serial);
    return shape;
}

static void forget_shapes(struct pg_sink *s)
{
    for (size_t i = 0; i < s->config.table_count; i++) {
        for (size_t j = 0; j < s->shapes[i].count; j++) {
            free(s->shapes[i].items[j].known);
            statement_free(s->shapes[i].items[j].statement);
        }
        free(s->shapes[i].items);
        s->shapes[i] = (struct table_shapes){0};
    }
    s->prepared_count = 0;
}

static bool prepare(struct pg_sink *s, struct shape *shape, uint32_t change, struct err *err)
{
    const struct statement *statement = shape->statement;
    if (shape->prepared)
        return true;
    int sent = PQsendPrepare(s->session.conn, statement->name, statement->sql,
                             statement->parameter_count, statement->types);
    shape->prepared = true;
    s->prepared_count++;
    return pipeline_sent(&s->pipeline, sent, tag_of(Q_OTHER, change, TELLS_NOTHING), err);
}

/* ---- one change ---- */

static void bind_value(struct pg_sink *s, uint16_t i, const struct value *value)
{
    switch (value->kind) {
    case VALUE_BINARY:
        s->values[i] = value->data;
        s->lengths[i] = (int)value->size;
        s->formats[i] = 1;
        break;
    case VALUE_TEXT: { /* libpq wants text parameters to end with a NUL */
        char *text = arena_alloc(&s->scratch, value->size + 1U);
        memcpy(text, value->data, value->size);
        text[value->size] = '\0';
        s->values[i] = text;
        s->formats[i] = 0;
        break;
    }
    case VALUE_NULL:
    case VALUE_ABSENT:
    case VALUE_UNCHANGED:
        s->values[i] = NULL;
        s->formats[i] = 0;
        break;
    }
}

/* The target's own cascade has taken it with its parent, whose delete comes before it. */
static bool goes_with_parent(const struct pg_sink *s, const struct change *change)
{
    const struct catalog_table *table = s->config.tables[change->relation->table].table;
    bool cascades = false;
    for (uint16_t i = 0; i < table->foreign_key_count; i++)
        cascades = cascades || table->foreign_keys[i].on_delete == 'c';
    return cascades && !s->config.use_replica_role && change->kind == CHANGE_DELETE;
}

static bool send_statement(struct pg_sink *s, const struct change *change, uint32_t index,
                           enum statement_kind kind, const bool *known, struct err *err)
{
    struct shape *shape = shape_for(s, change->relation, kind, known);
    const struct statement *statement = shape->statement;
    if (!prepare(s, shape, index, err))
        return false;
    arena_reset(&s->scratch);
    for (uint16_t i = 0; i < statement->parameter_count; i++) {
        const struct parameter *parameter = &statement->parameters[i];
        const struct row *row = parameter->old ? &change->old : &change->new;
        bind_value(s, i, &row->values[parameter->column]);
    }
    int sent = PQsendQueryPrepared(s->session.conn, statement->name,
                                   statement->parameter_count, s->values, s->lengths,
                                   s->formats, 0);
    bool blind = change->blind || goes_with_parent(s, change);
    enum statement_tells tells = blind ? TELLS_NOTHING : statement->tells;
    return pipeline_sent(&s->pipeline, sent, tag_of(Q_CHANGE, index, tells), err);
}

static bool known_columns(struct pg_sink *s, const struct change *change)
{
    bool all = true;
    for (uint16_t i = 0; i < change->relation->column_count; i++) {
        s->known[i] = change->new.values != NULL && value_is_known(&change->new.values[i]);
        all = all && s->known[i];
    }
    return all;
}

static bool key_changed(const struct change *change)
{
    if (change->old_image == OLD_NONE)
        return false;
    for (uint16_t i = 0; i < change->relation->column_count; i++)
        if (change->relation->columns[i].key &&
            !value_equal(&change->old.values[i], &change->new.values[i]))
            return true;
    return false;
}

static bool is_parent(const struct pg_sink *s, const struct catalog_table *table)
{
    for (size_t i = 0; i < s->config.catalog->table_count; i++) {
        const struct catalog_table *child = &s->config.catalog->tables[i];
        for (uint16_t k = 0; k < child->foreign_key_count; k++)
            if (child->foreign_keys[k].parent_oid == table->oid)
                return true;
    }
    return false;
}

/* Deleting the row would take others with it, or be refused. */
static bool must_stay(const struct pg_sink *s, const struct relation *relation)
{
    if (s->config.use_replica_role)
        return false;
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].key && relation->columns[i].identity_always)
            return false; /* no UPDATE may set it */
    return is_parent(s, s->config.tables[relation->table].table);
}

/* Delete the old key, write the new one. What is not known moves along with the old row, and so
 * does what somebody else keeps there. */
static bool send_key_change(struct pg_sink *s, const struct change *change, uint32_t index,
                            bool all_known, struct err *err)
{
    const struct relation *relation = change->relation;
    if (must_stay(s, relation))
        return send_statement(s, change, index, STATEMENT_REKEY, s->known, err);
    if (!all_known ||
        statement_keeps_columns(relation, s->config.tables[relation->table].table))
        return send_statement(s, change, index, STATEMENT_MOVE, s->known, err);
    return send_statement(s, change, index, STATEMENT_DELETE, s->known, err) &&
           send_statement(s, change, index, STATEMENT_UPSERT, s->known, err);
}

/* An UPDATE cannot set a GENERATED ALWAYS identity column: such a row is written anew. */
static bool sets_identity(const struct pg_sink *s, const struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].identity_always && !relation->columns[i].key && s->known[i])
            return true;
    return false;
}

static bool send_update(struct pg_sink *s, const struct change *change, uint32_t index,
                        struct err *err)
{
    bool all_known = known_columns(s, change);
    if (change->relation->match == MATCH_KEY && sets_identity(s, change->relation)) {
        struct change anew = *change;
        if (anew.old_image == OLD_NONE)
            anew.old = anew.new; /* the key is the same */
        return send_key_change(s, &anew, index, all_known, err);
    }
    if (change->relation->match == MATCH_ROW)
        return send_statement(s, change, index, STATEMENT_REPLACE_ROW, s->known, err);
    if (key_changed(change))
        return send_key_change(s, change, index, all_known, err);
    return send_statement(s, change, index, all_known ? STATEMENT_REPLACE : STATEMENT_PATCH,
                          s->known, err);
}

static bool send_insert(struct pg_sink *s, const struct change *change, uint32_t index,
                        struct err *err)
{
    (void)known_columns(s, change);
    bool by_key = change->relation->match == MATCH_KEY;
    return send_statement(s, change, index, by_key ? STATEMENT_UPSERT : STATEMENT_INSERT,
                          s->known, err);
}

static bool send_delete(struct pg_sink *s, const struct change *change, uint32_t index,
                        struct err *err)
{
    bool by_key = change->relation->match == MATCH_KEY;
    memset(s->known, 0, change->relation->column_count * sizeof *s->known);
    return send_statement(s, change, index,
                          by_key ? STATEMENT_DELETE : STATEMENT_DELETE_ROW, s->known, err);
}

/* ---- truncate ---- */

static bool send_sql(struct pg_sink *s, const char *sql, uint64_t tag, struct err *err)
{
    return pipeline_sent(&s->pipeline,
                         PQsendQueryParams(s->session.conn, sql, 0, NULL, NULL, NULL, NULL, 0),
                         tag, err);
}

static bool send_truncate(struct pg_sink *s, const struct change *change, uint32_t index,
                          struct err *err)
{
    const struct pg_target_table **tables = mem_zero(change->relation_count + 1U,
                                                     sizeof *tables);
    for (uint16_t i = 0; i < change->relation_count; i++)
        tables[i] = &s->config.tables[change->relations[i]->table];
    struct truncation *truncation =
        truncation_create(s->config.catalog, tables, change->relation_count,
                          change->truncate_restart_identity ? TRUNCATION_RESTARTS_IDENTITY
                                                            : TRUNCATION_KEEPS_IDENTITY);
    bool ok = true;
    for (size_t i = 0; ok && i < truncation->count; i++)
        ok = send_sql(s, truncation->statements[i], tag_of(Q_OTHER, index, TELLS_NOTHING), err);
    truncation_free(truncation);
    free(tables);
    s->executed += ok;
    return ok;
}

/* ---- answers ---- */

static void count_conflict(struct pg_sink *s, const struct change *change, bool inserted_kind)
{
    struct table_counters *counters =
        &s->config.counters[s->config.tables[change->relation->table].source];
    counter_t *counter = inserted_kind                     ? &counters->conflict_insert_exists
                         : change->kind == CHANGE_DELETE ? &counters->conflict_delete_missing
                                                         : &counters->conflict_update_missing;
    counter_add(counter, 1);
}

static void on_change_answer(struct pg_sink *s, const struct change *change,
                             enum statement_tells tells, const PGresult *result)
{
    bool none = strcmp(PQcmdTuples((PGresult *)(uintptr_t)result), "0") == 0;
    switch (tells) {
    case TELLS_NOTHING:
        break;
    case TELLS_EXISTED:
        if (PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't')
            count_conflict(s, change, true);
        break;
    case TELLS_NO_ROW_EXISTED:
        if (none)
            count_conflict(s, change, true);
        break;
    case TELLS_INSERTED:
        if (!none)
            count_conflict(s, change, false);
        break;
    case TELLS_MISSING:
        if (none)
            count_conflict(s, change, false);
        break;
    }
}

static bool on_progress_answer(const PGresult *result, struct err *err)
{
    if (strcmp(PQcmdTuples((PGresult *)(uintptr_t)result), "1") == 0)
        return true;
    err_set(err, ERR_CONFIG, "target: the migration's row in slackwater.progress is gone");
    return err_remedy(err, "somebody removed the control schema: run `slackwater cleanup`, "
                           "empty the target tables, and start again");
}

static bool read_lsn(const PGresult *result, int column, lsn_t *lsn)
{
    return PQntuples(result) == 1 && lsn_parse(PQgetvalue(result, 0, column), lsn);
}

/* Everything that committed before `target_flushed` is safe. */
static void note_flush(struct pg_sink *s, lsn_t target_flushed)
{
    size_t done = 0;
    while (done < s->pending_count && s->pending[done].target <= target_flushed)
        s->flushed = s->pending[done++].source;
    memmove(s->pending, s->pending + done, (s->pending_count - done) * sizeof *s->pending);
    s->pending_count -= done;
}

static void note_commit(struct pg_sink *s, lsn_t source, lsn_t target)
{
    /* Full: the newest entry takes the place of the last, which only makes it wait longer. */
    size_t at = s->pending_count < PENDING_MOST ? s->pending_count++ : PENDING_MOST - 1;
    s->pending[at] = (struct pending){.source = source, .target = target};
    s->placed = source;
}

/* `committed`: what was committed when the question was answered. */
static bool on_positions_answer(struct pg_sink *s, const PGresult *result, lsn_t committed,
                                struct err *err)
{
    lsn_t inserted;
    lsn_t flushed;
    if (!read_lsn(result, 0, &inserted) || !read_lsn(result, 1, &flushed))
        return err_set(err, ERR_BUG, "target: unexpected answer to the WAL position question");
    if (committed > s->placed)
        note_commit(s, committed, inserted);
    note_flush(s, flushed);
    return true;
}

static bool on_answer(void *context, uint64_t tag, const PGresult *result, struct err *err)
{
    struct pg_sink *s = context;
    switch ((enum question)(tag >> 40)) {
    case Q_OTHER:
        return true;
    case Q_CHANGE: {
        enum statement_tells tells = (enum statement_tells)(tag >> 32 & 0xff);
        const struct change *change = &s->batch->changes[(uint32_t)tag];
        on_change_answer(s, change, tells, result);
        return true;
    }
    case Q_PROGRESS:
        return on_progress_answer(result, err);
    case Q_POSITIONS:
        return on_positions_answer(s, result, s->batch->end_lsn, err);
    }
    return true;
}

/* Looks at our server process from outside: waiting for a lock it may be silent for long, but if
 * it waits for us as we wait for it, what we sent never arrived. */
static bool on_silence(void *context, struct err *err)
{
    struct pg_sink *s = context;
    struct session other = {0};
    bool working = false;
    if (!session_reopen(&other, "target", s->config.dsn, SESSION_SQL, s->config.stop, err))
        return err_wrap(err, "the target is silent");
    other.patience = PATIENCE;
    bool asked = ghost_is_working(&other, &s->ghost, &working, err);
    session_close(&other);
    if (!asked || working)
        return asked;
    return err_set(err, ERR_RETRY, "target: the connection is dead: it waits for us, and we "
                                   "wait for it");
}

/* ---- a batch ---- */

static bool send_change(struct pg_sink *s, const struct change *change, uint32_t index,
                        struct err *err)
{
    static bool (*const SEND[])(struct pg_sink *, const struct change *, uint32_t,
                                struct err *) = {
        [CHANGE_INSERT] = send_insert,
        [CHANGE_UPDATE] = send_update,
        [CHANGE_DELETE] = send_delete,
        [CHANGE_TRUNCATE] = send_truncate,
    };
    if (change->relation->match == MATCH_NONE &&
        (change->kind == CHANGE_UPDATE || change->kind == CHANGE_DELETE))
        return err_set(err, ERR_BUG, "an update or delete of %s.%s, which has no way to find rows",
                       change->relation->schema, change->relation->name);
    if (change->kind != CHANGE_TRUNCATE)
        s->executed++;
    return SEND[change->kind](s, change, index, err);
}

/* The newest ended transaction, or NULL. */
static const struct transaction *last_transaction(const struct batch *batch)
{
    for (uint32_t i = batch->transaction_count; i > 0; i--)
        if (batch->transactions[i - 1].end_lsn != LSN_NONE)
            return &batch->transactions[i - 1];
    return NULL;
}

static bool prepare_frames(struct pg_sink *s, struct err *err)
{
    for (size_t i = 0; i < sizeof FRAMES / sizeof FRAMES[0]; i++)
        if ((i != FRAME_PROGRESS_ORIGIN || s->config.use_origin) &&
            !session_prepare(&s->session, FRAMES[i].name, FRAMES[i].sql, err))
            return false;
    return true;
}

static bool send_frame(struct pg_sink *s, enum frame frame, int count,
                       const char *const *values, struct err *err)
{
    int sent = PQsendQueryPrepared(s->session.conn, FRAMES[frame].name, count, values, NULL,
                                   NULL, 0);
    return pipeline_sent(&s->pipeline, sent,
                         tag_of(FRAMES[frame].question, UINT32_MAX, TELLS_NOTHING), err);
}

/* How far the target's WAL has come is asked now and then, not of every commit. */
static bool is_time_to_ask(struct pg_sink *s)
{
    usec_t now = clock_monotonic();
    if (now - s->asked_at < FLUSH_QUESTION_EVERY)
        return false;
    s->asked_at = now;
    return true;
}

/* Position and origin, commit, and what of it is on the disk. */
static bool send_commit(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    const struct transaction *last = last_transaction(batch);
    char lsn[LSN_TEXT_SIZE];
    char commit_at[32];
    if (last != NULL)
        clock_format_wall(last->commit_time, commit_at, sizeof commit_at);
    const char *values[] = {s->config.migration, lsn_format(batch->end_lsn, lsn),
                            last == NULL ? NULL : commit_at, batch->note};
    return send_frame(s, s->config.use_origin ? FRAME_PROGRESS_ORIGIN : FRAME_PROGRESS, 4,
                      values, err) &&
           send_frame(s, FRAME_COMMIT, 0, NULL, err) &&
           (!is_time_to_ask(s) || send_frame(s, FRAME_POSITIONS, 0, NULL, err));
}

/* Where constraints are checked, those that can wait do so until the transaction is whole. */
static bool send_begin(struct pg_sink *s, struct err *err)
{
    return send_frame(s, FRAME_BEGIN, 0, NULL, err) &&
           (s->config.use_replica_role || send_frame(s, FRAME_DEFER, 0, NULL, err));
}

static bool send_batch(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    if (!s->in_transaction && !send_begin(s, err))
        return false;
    for (uint32_t i = 0; i < batch->change_count; i++)
        if (!send_change(s, &batch->changes[i], i, err))
            return false;
    return batch->ends_open || send_commit(s, batch, err);
}

/* The server does not say which of a statement's expressions failed: each formula of the row is
 * tried by itself, in another session, for ours is in a failed transaction. */
static void blame_formula(struct pg_sink *s, const struct change *change, struct err *err)
{
    struct session other = {0};
    struct err ignored = {0};
    const struct column *column = NULL;
    if (err->class != ERR_DATA || err->sqlstate[0] == '\0' ||
        !relation_has_formula(change->relation) ||
        !session_open(&other, "target", s->config.dsn, SESSION_SQL, s->config.stop, &ignored))
        return;
    other.patience = PATIENCE;
    column = pg_formula_at_fault(&other, change->relation, &change->new, err);
    session_close(&other);
    if (column != NULL)
        err_wrap(err, "the sql of column %s", column->name);
}

/* Says which change failed: table, operation and LSN; values stay out. */
static bool describe_failure(struct pg_sink *s, struct err *err)
{
    static const char *const NAMES[] = {
        [CHANGE_INSERT] = "insert",
        [CHANGE_UPDATE] = "update",
        [CHANGE_DELETE] = "delete",
        [CHANGE_TRUNCATE] = "truncate",
    };
    uint32_t index = (uint32_t)s->pipeline.failed_tag;
    if (!s->pipeline.failed || index >= s->batch->change_count)
        return false;
    const struct change *change = &s->batch->changes[index];
    char lsn[LSN_TEXT_SIZE];
    blame_formula(s, change, err);
    err_wrap(err, "%s on %s.%s at LSN %s (xid %u)", NAMES[change->kind],
             change->relation->schema, change->relation->name, lsn_format(change->lsn, lsn),
             s->batch->transactions[change->transaction].xid);
    if (err->class == ERR_DATA && err->remedy[0] == '\0')
        err_remedy(err, "mend the target table or the rule, then run again: it resumes exactly "
                        "before this transaction");
    return false;
}

static bool pg_sink_apply(struct sink *sink, const struct batch *batch,
                          struct sink_result *result, struct err *err)
{
    struct pg_sink *s = self(sink);
    s->batch = batch;
    s->executed = 0;
    if (!batch->ends_open && batch->end_lsn == LSN_NONE)
        return err_set(err, ERR_BUG, "a batch to commit that has no position");
    if (s->prepared_count > STATEMENTS_MOST) {
        if (!session_run(&s->session, "DEALLOCATE ALL", err))
            return false;
        forget_shapes(s);
        if (!prepare_frames(s, err))
            return false;
    }
    if (!pipeline_begin(&s->pipeline, &s->session, err))
        return false;
    if (!send_batch(s, batch, err) || !pipeline_end(&s->pipeline, err)) {
        if (s->pipeline.failed) /* it came first; a lost connection may be its consequence */
            *err = s->pipeline.err;
        return describe_failure(s, err);
    }
    s->in_transaction = batch->ends_open;
    if (!batch->ends_open)
        s->committed = batch->end_lsn;
    result->executed = s->executed;
    return true;
}

static bool pg_sink_flushed(struct sink *sink, lsn_t *flushed, struct err *err)
{
    struct pg_sink *s = self(sink);
    bool waiting = s->pending_count > 0 || s->committed > s->placed;
    if (waiting && is_time_to_ask(s)) {
        PGresult *r = session_exec(&s->session, FRAMES[FRAME_POSITIONS].sql, err);
        bool ok = r != NULL && on_positions_answer(s, r, s->committed, err);
        PQclear(r);
        if (!ok)
            return false;
    }
    *flushed = s->flushed;
    return true;
}

/* ---- connecting ---- */

static bool set_origin(struct pg_sink *s, struct err *err)
{
    static const char CREATE_SQL[] =
        "SELECT pg_replication_origin_create($1)"
        " WHERE NOT EXISTS (SELECT FROM pg_replication_origin WHERE roname = $1)";
    PGresult *r = session_query(&s->session, CREATE_SQL, 1, &s->config.origin, err);
    PQclear(r);
    if (r == NULL)
        return false;
    r = session_query(&s->session, "SELECT pg_replication_origin_session_setup($1)", 1,
                      &s->config.origin, err);
    PQclear(r);
    return r != NULL;
}

/* Waits a little: a predecessor that was just killed may still be leaving. */
static bool take_lock(struct pg_sink *s, struct err *err)
{
    usec_t until = clock_monotonic() + LOCK_PATIENCE;
    for (;;) {
        bool taken = false;
        if (!control_lock(&s->session, s->config.migration, &taken, err))
            return false;
        if (taken) {
            s->locked_before = true;
            return true;
        }
        if (clock_monotonic() > until) {
            err_set(err, s->locked_before ? ERR_RETRY : ERR_CONFIG,
                    "another slackwater instance runs migration \"%s\"", s->config.migration);
            return err_remedy(err, "stop the other instance, or give this one another "
                                   "`migration:` name");
        }
        if (stop_wait(s->config.stop, clock_monotonic() + LOCK_PAUSE))
            return err_set(err, ERR_STOPPED, "stopped while waiting for the migration's lock");
    }
}

static bool set_up_session(struct pg_sink *s, struct err *err)
{
    s->session.patience = PATIENCE;
    if (!ghost_evict(&s->session, &s->ghost, err) ||
        !ghost_note(&s->session, &s->ghost, err) ||
        !session_run(&s->session, "SET synchronous_commit = off", err))
        return false;
    if (s->config.use_replica_role &&
        !session_run(&s->session, "SET session_replication_role = replica", err))
        return false;
    /* Rows are found by "=", and an extension's types have theirs in the extension's schema. */
    return session_see_operators(&s->session, err) && control_install(&s->session, err) &&
           take_lock(s, err) && (!s->config.use_origin || set_origin(s, err)) &&
           prepare_frames(s, err);
}

static void pg_sink_disconnect(struct sink *sink)
{
    struct pg_sink *s = self(sink);
    session_close(&s->session);
    s->in_transaction = false;
    s->pending_count = 0;
    s->committed = s->placed = s->flushed = LSN_NONE;
    forget_shapes(s);
}

static bool pg_sink_connect(struct sink *sink, struct err *err)
{
    struct pg_sink *s = self(sink);
    pg_sink_disconnect(sink);
    if (!(s->locked_before ? session_reopen : session_open)(
            &s->session, "target", s->config.dsn, SESSION_SQL, s->config.stop, err))
        return false;
    if (set_up_session(s, err))
        return true;
    pg_sink_disconnect(sink);
    return err_wrap(err, "preparing the target session");
}

static bool pg_sink_checkpoint(struct sink *sink, lsn_t *applied, struct err *err)
{
    struct pg_sink *s = self(sink);
    PGresult *r = session_query(&s->session,
                                "SELECT lsn, pg_current_wal_insert_lsn()"
                                " FROM slackwater.progress WHERE migration = $1",
                                1, &s->config.migration, err);
    lsn_t inserted;
    if (r == NULL)
        return err_wrap(err, "reading the progress row");
    bool found = read_lsn(r, 0, applied) && read_lsn(r, 1, &inserted);
    PQclear(r);
    if (found) {
        /* It is committed, but perhaps by a session that did not wait for the disk. */
        note_commit(s, *applied, inserted);
        return true;
    }
    return err_set(err, ERR_CONFIG,
                   "target: slackwater.progress has no row for migration \"%s\"",
                   s->config.migration);
}

static void pg_sink_destroy(struct sink *sink)
{
    struct pg_sink *s = self(sink);
    pg_sink_disconnect(sink);
    pipeline_free(&s->pipeline);
    arena_free(&s->scratch);
    free(s->shapes);
    free(s->known);
    free(s->values);
    free(s->lengths);
    free(s->formats);
    free(s);
}

static size_t widest_table(const struct pg_sink_config *config)
{
    size_t widest = 1;
    for (size_t i = 0; i < config->table_count; i++)
        if (config->tables[i].relation->column_count > widest)
            widest = config->tables[i].relation->column_count;
    return widest;
}

struct sink *pg_sink_create(const struct pg_sink_config *config)
{
    static const struct sink_ops OPS = {
        .connect = pg_sink_connect,
        .checkpoint = pg_sink_checkpoint,
        .apply = pg_sink_apply,
        .flushed = pg_sink_flushed,
        .disconnect = pg_sink_disconnect,
        .destroy = pg_sink_destroy,
    };
    struct pg_sink *s = mem_zero(1, sizeof *s);
    size_t parameters = 2 * widest_table(config) + 1; /* old and new */
    s->sink.ops = &OPS;
    s->config = *config;
    s->shapes = mem_zero(config->table_count + 1, sizeof *s->shapes);
    s->known = mem_zero(parameters, sizeof *s->known);
    s->values = mem_zero(parameters, sizeof *s->values);
    s->lengths = mem_zero(parameters, sizeof *s->lengths);
    s->formats = mem_zero(parameters, sizeof *s->formats);
    arena_init(&s->scratch, 1 << 20);
    pipeline_init(&s->pipeline, on_answer, on_silence, s);
    return &s->sink;
}
