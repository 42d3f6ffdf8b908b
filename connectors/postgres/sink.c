/* The PostgreSQL sink (sink.h). */
#include "postgres/sink.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/refusal.h"
#include "postgres/control.h"
#include "postgres/dead_letter.h"
#include "postgres/formula.h"
#include "postgres/ghost.h"
#include "postgres/picking.h"
#include "postgres/pipeline.h"
#include "postgres/sender.h"
#include "postgres/session.h"
#include "postgres/setwise.h"
#include "postgres/strategy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_MOST 1024
#define FLUSH_QUESTION_EVERY (40 * USEC_PER_MS)
#define SAVEPOINT "slackwater_batch"
#define STATEMENTS_MOST 2000 /* prepared at once; beyond, all are made anew */
#define LOCK_PATIENCE (5 * USEC_PER_SEC)
#define PATIENCE (20 * USEC_PER_SEC) /* for short questions */
#define LOCK_PAUSE (200 * USEC_PER_MS)

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

#define PROGRESS_SQL                                                                           \
    "UPDATE slackwater.progress SET lsn = $2::pg_lsn,"                                         \
    " commit_at = coalesce($3::timestamptz, commit_at), note = coalesce($4, note),"            \
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

/* Commits up to here may not be on the target's disk yet. */
struct pending {
    lsn_t source; /* end LSN applied */
    lsn_t target; /* not before its commit record's end: where the WAL was when we asked */
};

/* Conflicts of a batch, by target table: counted when it is through. */
struct conflicts {
    uint64_t insert_exists, update_missing, delete_missing;
};

struct pg_sink {
    struct sink sink;
    struct pg_sink_config config;
    struct session session;
    struct pipeline pipeline;
    bool locked_before; /* this process has held the migration: a refusal is our own ghost */
    bool in_transaction;
    struct ghost ghost; /* the server process of this or the last connection */

    struct sender sender;
    struct setwise *setwise;

    struct pending pending[PENDING_MOST];
    size_t pending_count;
    lsn_t committed; /* source position, as the next two */
    lsn_t placed;    /* of the newest pending one; commits behind it wait for a question */
    lsn_t flushed;
    usec_t asked_at;

    const struct batch *batch; /* being applied */
    bool committing;           /* its COMMIT was sent */
    struct conflicts *conflicts;
    struct conflicts *conflicts_before; /* the block of picking.h in work */
    bool has_conflicts;
    struct dead_letters letters;
    struct picking picking;
};

static struct pg_sink *self(struct sink *sink)
{
    return (struct pg_sink *)(void *)sink;
}

/* ---- answers ---- */

static void note_inserts(struct pg_sink *s, uint32_t table, uint64_t existed)
{
    s->conflicts[table].insert_exists += existed;
    s->has_conflicts = s->has_conflicts || existed > 0;
}

static void note_missing(struct pg_sink *s, const struct change *change)
{
    struct conflicts *conflicts = &s->conflicts[change->relation->table];
    if (change->kind == CHANGE_DELETE)
        conflicts->delete_missing++;
    else
        conflicts->update_missing++;
    s->has_conflicts = true;
}

static void on_change_answer(struct pg_sink *s, uint64_t tag, const PGresult *result)
{
    const struct change *change = &s->batch->changes[tag_index(tag)];
    uint32_t table = change->relation->table;
    bool none = strcmp(PQcmdTuples((PGresult *)(uintptr_t)result), "0") == 0;
    switch (tag_tells(tag)) {
    case TELLS_NOTHING:
        break;
    case TELLS_EXISTED:
        if (PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't')
            note_inserts(s, table, 1);
        break;
    case TELLS_NO_ROW_EXISTED:
        if (none)
            note_inserts(s, table, 1);
        break;
    case TELLS_INSERTED:
        if (!none)
            note_missing(s, change);
        break;
    case TELLS_MISSING:
        if (none)
            note_missing(s, change);
        break;
    }
}

static bool on_net_answer(struct pg_sink *s, uint64_t tag, const PGresult *result,
                          struct err *err)
{
    uint32_t table = 0;
    uint64_t existed = 0;
    if (!setwise_answer(s->setwise, tag, result, &table, &existed, err))
        return false;
    note_inserts(s, table, existed);
    return true;
}

static void forget_conflicts(struct pg_sink *s)
{
    if (s->has_conflicts)
        memset(s->conflicts, 0, s->config.table_count * sizeof *s->conflicts);
    s->has_conflicts = false;
}

static void publish_conflicts(struct pg_sink *s)
{
    for (size_t i = 0; s->has_conflicts && i < s->config.table_count; i++) {
        const struct conflicts *from = &s->conflicts[i];
        struct table_counters *to = &s->config.counters[s->config.tables[i].source];
        counter_add(&to->conflict_insert_exists, from->insert_exists);
        counter_add(&to->conflict_update_missing, from->update_missing);
        counter_add(&to->conflict_delete_missing, from->delete_missing);
    }
    forget_conflicts(s);
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
    switch (tag_question(tag)) {
    case Q_OTHER:
    case Q_STAGE:
        return true;
    case Q_CHANGE:
        on_change_answer(s, tag, result);
        return true;
    case Q_NET:
    case Q_GHOST:
    case Q_MERGE:
        return on_net_answer(s, tag, result, err);
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
    return err_set(err, ERR_RETRY,
                   "target: the connection is dead: it waits for us, and we "
                   "wait for it");
}

static void on_wait(void *context)
{
    const struct meanwhile *meanwhile = ((struct pg_sink *)context)->sink.meanwhile;
    if (meanwhile != NULL)
        meanwhile->work(meanwhile->context);
}

/* ---- a batch ---- */

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

/* Nothing but the frames is prepared when it returns. */
static bool prepare_anew(struct pg_sink *s, struct err *err)
{
    sender_forget(&s->sender);
    return session_run(&s->session, "DEALLOCATE ALL", err) && prepare_frames(s, err);
}

static bool send_frame(struct pg_sink *s, enum frame frame, int count,
                       const char *const *values, struct err *err)
{
    int sent =
        PQsendQueryPrepared(s->session.conn, FRAMES[frame].name, count, values, NULL, NULL, 0);
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

/* What is parked goes with the rows; a few questions each, outside the pipeline. */
static bool send_letters(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    return letters_are_none(batch->letters) ||
           (pipeline_end(&s->pipeline, err) &&
            dead_letters_write(&s->letters, &s->session, batch->letters, err) &&
            failpoint(DLQ_WRITTEN, err) && pipeline_begin(&s->pipeline, &s->session, err));
}

/* Position and origin, commit, and what of it is on the disk. */
static bool send_commit(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    const struct transaction *last = last_transaction(batch);
    if (!failpoint(SINK_CHANGED, err))
        return false;
    s->committing = true;
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

/* The end of a batch, whichever way its changes went. */
static bool send_end(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    return send_letters(s, batch, err) && (batch->ends_open || send_commit(s, batch, err));
}

/* Where constraints are checked, those that can wait do so until the transaction is whole. */
static bool send_begin(struct pg_sink *s, struct err *err)
{
    return send_frame(s, FRAME_BEGIN, 0, NULL, err) &&
           (s->config.use_replica_role || send_frame(s, FRAME_DEFER, 0, NULL, err)) &&
           failpoint(SINK_BEGUN, err);
}

static bool send_ordered(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    if (!s->in_transaction && !send_begin(s, err))
        return false;
    for (uint32_t i = 0; i < batch->change_count; i++)
        if (!sender_change(&s->sender, &batch->changes[i], i, err))
            return false;
    return send_end(s, batch, err);
}

/* In source order, and what is refused is left out. */
static bool send_picking(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    return (s->in_transaction || send_begin(s, err)) && picking_send(&s->picking, batch, err) &&
           send_end(s, batch, err);
}

/* A batch that continues a transaction is undone to a savepoint; another, by itself. */
static bool send_set(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    const uint64_t tag = tag_of(Q_OTHER, UINT32_MAX, TELLS_NOTHING);
    bool inside = s->in_transaction;
    return (inside ? sender_sql(&s->sender, "SAVEPOINT " SAVEPOINT, tag, err)
                   : send_begin(s, err)) &&
           setwise_send(s->setwise, batch, err) &&
           (!inside || sender_sql(&s->sender, "RELEASE SAVEPOINT " SAVEPOINT, tag, err)) &&
           send_end(s, batch, err);
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
    uint32_t index = tag_index(s->pipeline.failed_tag);
    if (!s->pipeline.failed || tag_question(s->pipeline.failed_tag) == Q_MERGE ||
        index >= s->batch->change_count)
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

typedef bool (*send_way)(struct pg_sink *s, const struct batch *batch, struct err *err);

/* One try, one way. */
static bool run_batch(struct pg_sink *s, const struct batch *batch, send_way send,
                      struct err *err)
{
    s->committing = false;
    s->sender.executed = 0;
    forget_conflicts(s);
    if (!pipeline_begin(&s->pipeline, &s->session, err))
        return false;
    if (send(s, batch, err) && pipeline_sync(&s->pipeline, err) &&
        failpoint(SINK_COMMITTING, err) && pipeline_finish(&s->pipeline, err) &&
        failpoint(SINK_COMMITTED, err))
        return true;
    /* What has failed at the server came first; a lost connection may be its consequence. */
    if (s->pipeline.failed)
        *err = s->pipeline.err;
    return false;
}

static void block_begins(void *context)
{
    struct pg_sink *s = context;
    memcpy(s->conflicts_before, s->conflicts, s->config.table_count * sizeof *s->conflicts);
}

static bool block_undone(void *context, bool prepared, struct err *err)
{
    struct pg_sink *s = context;
    memcpy(s->conflicts, s->conflicts_before, s->config.table_count * sizeof *s->conflicts);
    return !prepared || prepare_anew(s, err);
}

/* As it was before the batch, which began its transaction. */
static bool roll_back(struct pg_sink *s, struct err *err)
{
    struct err ignored = {0};
    if (PQpipelineStatus(s->session.conn) != PQ_PIPELINE_OFF)
        (void)pipeline_end(&s->pipeline, &ignored);
    return (session_run(&s->session, "ROLLBACK", err) && prepare_anew(s, err)) ||
           err_wrap(err, "undoing a batch");
}

/* A deferred constraint fails at the COMMIT, which is no row's: then it is checked with each. */
static bool fails_at_commit(const struct pg_sink *s, const struct err *err)
{
    return s->committing && refusal_is_of_row(err) && !s->in_transaction &&
           !s->config.use_replica_role && PQstatus(s->session.conn) == CONNECTION_OK;
}

static bool run_picking(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    s->picking.refusals = s->sink.refusals;
    s->picking.at_once = false;
    bool ok = run_batch(s, batch, send_picking, err);
    if (!ok && fails_at_commit(s, err)) {
        const struct err why = *err;
        s->picking.at_once = true;
        ok = roll_back(s, err) && run_batch(s, batch, send_picking, err);
        if (!ok && s->picking.refused == 0)
            *err = why;
    }
    if (!ok)
        return describe_failure(s, err);
    counter_add(&s->config.apply->batches_ordered, 1);
    return true;
}

/* What is refused may be parked, and the rest of its batch is to be applied. */
static bool may_pick(const struct pg_sink *s, const struct err *err)
{
    return s->sink.refusals != NULL && refusal_is_of_row(err) && !s->in_transaction &&
           PQstatus(s->session.conn) == CONNECTION_OK;
}

/* Inside a transaction that cannot be undone as a whole here, it is picked at once. */
static bool run_ordered(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    if (s->sink.refusals != NULL && s->in_transaction)
        return run_picking(s, batch, err);
    if (run_batch(s, batch, send_ordered, err)) {
        counter_add(&s->config.apply->batches_ordered, 1);
        return true;
    }
    if (!may_pick(s, err))
        return describe_failure(s, err);
    describe_failure(s, err);
    log_event(LOG_WARN, "a change is refused: its batch goes without it",
              log_text("error", err->message), log_text("sqlstate", err->sqlstate));
    return roll_back(s, err) && run_picking(s, batch, err);
}

/* The target is short of something that a set takes more of: room for stages, locks. */
static bool is_shortage(const struct err *err)
{
    return strncmp(err->sqlstate, "53", 2) == 0;
}

/* The failure is one that source order may not have. One that comes with the COMMIT is none of
 * the way's, and what it left is not known here. */
static bool may_be_the_way(const struct pg_sink *s, const struct err *err)
{
    return (err->class == ERR_DATA || err->class == ERR_CONFIG || is_shortage(err)) &&
           !s->committing && setwise_was_used(s->setwise);
}

/* The failure is of a row that is left out in source order. Inside a transaction the savepoint is there
 * if it was no COMMIT that failed. */
static bool may_leave_out(const struct pg_sink *s, const struct err *err)
{
    return s->sink.refusals != NULL && refusal_is_of_row(err) &&
           (!s->in_transaction ||
            (s->pipeline.failed && tag_index(s->pipeline.failed_tag) < s->batch->change_count));
}

/* What is refused as the connection is lost is tried again on the next one: there it may be
 * picked, or pass another way. */
static bool refused_and_lost(const struct pg_sink *s, struct err *err)
{
    if (PQstatus(s->session.conn) != CONNECTION_OK &&
        (err->class == ERR_DATA || err->class == ERR_CONFIG))
        err->class = ERR_RETRY;
    return false;
}

/* As it was before the batch, but for statements that the failure kept from being prepared. */
static bool undo(struct pg_sink *s, const struct err *why, struct err *err)
{
    const uint64_t *tag = s->pipeline.failed ? &s->pipeline.failed_tag : NULL;
    const char *sql = s->in_transaction ? "ROLLBACK TO SAVEPOINT " SAVEPOINT
                                          "; RELEASE SAVEPOINT " SAVEPOINT
                                        : "ROLLBACK";
    struct err ignored = {0};
    if (PQpipelineStatus(s->session.conn) != PQ_PIPELINE_OFF)
        (void)pipeline_end(&s->pipeline, &ignored);
    if (setwise_was_used(s->setwise))
        setwise_failed(s->setwise, tag, why, s->in_transaction);
    return (session_run(&s->session, sql, err) && prepare_anew(s, err)) ||
           err_wrap(err, "undoing a batch");
}

static bool run_set(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    struct err why = {0};
    if (run_batch(s, batch, send_set, &why)) {
        bool used = setwise_was_used(s->setwise);
        setwise_passed(s->setwise);
        s->sender.executed += setwise_executed(s->setwise);
        counter_add(used ? &s->config.apply->batches_set : &s->config.apply->batches_ordered,
                    1);
        return true;
    }
    if (PQstatus(s->session.conn) != CONNECTION_OK ||
        !(may_be_the_way(s, &why) || may_leave_out(s, &why))) {
        *err = why;
        return describe_failure(s, err);
    }
    if (setwise_was_used(s->setwise)) {
        log_event(LOG_INFO, "a batch goes in source order", log_text("reason", why.message));
        counter_add(&s->config.apply->fallbacks, 1);
    }
    return undo(s, &why, err) && failpoint(SINK_FALLBACK, err) && run_ordered(s, batch, err);
}

/* Of an idle session too. */
static bool give_up_stages(struct pg_sink *s, struct err *err)
{
    return s->in_transaction || !setwise_gives_up_stages(s->setwise) ||
           session_run(&s->session, "DISCARD TEMP", err);
}

/* Too many of the session's own statements are slow to look through. */
static bool tidy_up(struct pg_sink *s, struct err *err)
{
    return (s->sender.prepared_count <= STATEMENTS_MOST || prepare_anew(s, err)) &&
           give_up_stages(s, err);
}

static bool pg_sink_apply(struct sink *sink, const struct batch *batch,
                          struct sink_result *result, struct err *err)
{
    struct pg_sink *s = self(sink);
    bool set = strategy_set(s->config.engine, batch->change_count);
    s->batch = batch;
    s->picking.left_out = 0;
    if (!batch->ends_open && batch->end_lsn == LSN_NONE)
        return err_set(err, ERR_BUG, "a batch to commit that has no position");
    if (!tidy_up(s, err) || !(set ? run_set : run_ordered)(s, batch, err))
        return refused_and_lost(s, err);
    publish_conflicts(s);
    s->in_transaction = batch->ends_open;
    if (!s->in_transaction) {
        s->committed = batch->end_lsn;
        setwise_committed(s->setwise);
    }
    result->executed = s->sender.executed;
    result->left_out = s->picking.left_out;
    return true;
}

static void pg_sink_prepare(struct sink *sink, const struct batch *batch)
{
    struct pg_sink *s = self(sink);
    bool set = batch != NULL && strategy_set(s->config.engine, batch->change_count);
    setwise_prepare(s->setwise, set ? batch : NULL);
}

/* ---- beside the stream ---- */

struct session *pg_sink_session(struct sink *sink)
{
    return &self(sink)->session;
}

static bool send_beside(struct pg_sink *s, const struct batch *batch, struct err *err)
{
    const uint64_t tag = tag_of(Q_OTHER, UINT32_MAX, TELLS_NOTHING);
    if (!send_begin(s, err) ||
        !sender_sql(&s->sender, "SET LOCAL synchronous_commit = on", tag, err))
        return false;
    for (uint32_t i = 0; i < batch->change_count; i++)
        if (!sender_change(&s->sender, &batch->changes[i], i, err))
            return false;
    return true;
}

static bool end_beside(struct pg_sink *s, const char *also, int count,
                       const char *const *values, struct err *err)
{
    PGresult *r = session_query(&s->session, also, count, values, err);
    PQclear(r);
    return r != NULL && failpoint(DLQ_MADE, err) && session_run(&s->session, "COMMIT", err) &&
           failpoint(DLQ_RETRIED, err);
}

bool pg_sink_write_beside(struct sink *sink, const struct batch *batch, const char *also,
                          int count, const char *const *values, struct err *err)
{
    struct pg_sink *s = self(sink);
    struct err failed = {0};
    s->batch = batch;
    if (run_batch(s, batch, send_beside, err)) {
        if (end_beside(s, also, count, values, err)) {
            publish_conflicts(s);
            return true;
        }
    } else {
        describe_failure(s, err);
    }
    forget_conflicts(s);
    if (PQstatus(s->session.conn) == CONNECTION_OK && !roll_back(s, &failed))
        *err = failed;
    return false;
}

static bool pg_sink_flushed(struct sink *sink, lsn_t *flushed, struct err *err)
{
    struct pg_sink *s = self(sink);
    bool waiting = s->pending_count > 0 || s->committed > s->placed;
    if (!give_up_stages(s, err))
        return false;
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

/* Stages are temporary tables. Their merges are never worth compiling, for which the planner,
 * who does not know how many rows they have, might take them. Their buffers may be as they are
 * where a pooler gives us a server session that has used temporary tables before. */
static bool set_up_stages(struct pg_sink *s, struct err *err)
{
    struct err ignored = {0};
    (void)session_run(&s->session, "SET temp_buffers = '32MB'", &ignored);
    PGresult *r =
        session_exec(&s->session,
                     "SET jit = off;"
                     " SELECT has_database_privilege(current_database(), 'TEMPORARY')",
                     err);
    if (r != NULL)
        setwise_connected(s->setwise, PQgetvalue(r, 0, 0)[0] == 't');
    PQclear(r);
    return r != NULL;
}

static bool set_up_session(struct pg_sink *s, struct err *err)
{
    s->session.patience = PATIENCE;
    if (!ghost_evict(&s->session, &s->ghost, err) || !ghost_note(&s->session, &s->ghost, err) ||
        !session_run(&s->session, "SET synchronous_commit = off", err))
        return false;
    if (s->config.use_replica_role &&
        !session_run(&s->session, "SET session_replication_role = replica", err))
        return false;
    /* Rows are found by "=", and an extension's types have theirs in the extension's schema. */
    return session_see_operators(&s->session, err) && set_up_stages(s, err) &&
           control_install(&s->session, err) && dead_letters_install(&s->session, err) &&
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
    sender_forget(&s->sender);
    forget_conflicts(s);
}

static bool pg_sink_connect(struct sink *sink, struct err *err)
{
    struct pg_sink *s = self(sink);
    pg_sink_disconnect(sink);
    if (!(s->locked_before ? session_reopen : session_open)(
            &s->session, "target", s->config.dsn, SESSION_SQL, s->config.stop, err))
        return false;
    if (set_up_session(s, err) && failpoint(SINK_CONNECTED, err))
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
    /* Somebody took it away while we ran: what else is gone, binding anew tells. */
    return err_set(err, ERR_SHAPE,
                   "target: slackwater.progress has no row for migration \"%s\"",
                   s->config.migration);
}

static void pg_sink_destroy(struct sink *sink)
{
    struct pg_sink *s = self(sink);
    pg_sink_disconnect(sink);
    pipeline_free(&s->pipeline);
    setwise_destroy(s->setwise);
    sender_free(&s->sender);
    dead_letters_free(&s->letters);
    free(s->conflicts);
    free(s->conflicts_before);
    free(s);
}

struct sink *pg_sink_create(const struct pg_sink_config *config)
{
    static const struct sink_ops OPS = {
        .connect = pg_sink_connect,
        .checkpoint = pg_sink_checkpoint,
        .apply = pg_sink_apply,
        .prepare = pg_sink_prepare,
        .flushed = pg_sink_flushed,
        .disconnect = pg_sink_disconnect,
        .destroy = pg_sink_destroy,
    };
    struct pg_sink *s = mem_zero(1, sizeof *s);
    s->sink.ops = &OPS;
    s->config = *config;
    s->conflicts = mem_zero(config->table_count + 1, sizeof *s->conflicts);
    s->conflicts_before = mem_zero(config->table_count + 1, sizeof *s->conflicts);
    dead_letters_init(&s->letters, config->letters);
    s->picking = (struct picking){.session = &s->session,
                                  .pipeline = &s->pipeline,
                                  .sender = &s->sender,
                                  .begins = block_begins,
                                  .undone = block_undone,
                                  .context = s};
    sender_init(&s->sender, &s->config, &s->session, &s->pipeline);
    s->setwise = setwise_create(&s->config, &s->session, &s->pipeline, &s->sender, on_silence,
                                on_wait, s);
    pipeline_init(&s->pipeline, on_answer, on_silence, s);
    return &s->sink;
}
