/* Transactions that come before they are committed (source_state.h).
 *
 * The server sends a large one in blocks while it is open (S .. E), and tells its end: c commits it,
 * A takes it back, or a subtransaction of it. With a slot made for that it also sends a prepared one
 * (b .. P, or p behind blocks), and later K or r. All are kept as they came and decoded at their
 * commit, as what follows a BEGIN is: the commit's position is the one that counts.
 *
 * Shapes. Inside blocks the server describes each relation anew for that transaction, also after a
 * part of it was taken back, and takes others to know it only when it is committed
 * (cleanup_rel_sync_cache() of its pgoutput.c): they are read in the replay, and merged after it.
 * What b .. P describes it takes everyone to know at once, and leaves out what everyone knows: there
 * the shapes that hold for each change are noted as it comes.
 *
 * What is acknowledged. A slot for prepared transactions begins with what was prepared or committed
 * behind the acknowledged position. Nothing here survives a restart, so that position stays before
 * the oldest prepared one until its COMMIT PREPARED is durable at the target; and, after a new
 * start, it does not pass what this connection has sent, for there may be such in between. */
#include "base/failpoint.h"
#include "base/mem.h"
#include "postgres/release.h"
#include "postgres/slot.h"
#include "postgres/source_state.h"
#include "schema/ident.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_TO_SERVER (3600 * USEC_PER_SEC)
#define FAR_BEHIND (64 << 20) /* bytes of WAL */
#define LITTLE_WAL (32 << 20) /* so who begins again with so much is not far behind */
#define CONSIDER_EVERY (5 * USEC_PER_SEC)
#define CAUGHT_UP (100 * USEC_PER_MS)

static bool confused(const char *what, const struct pgoutput_message *message, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "pgoutput: message '%c' of transaction %u: %s",
                   (char)message->kind, message->xid, what);
}

/* ---- asking ---- */

void source_open_append_options(const struct pg_source *s, struct buf *sql)
{
    int version = PQserverVersion(s->session.conn);
    buf_append_format(sql, "proto_version '%d', streaming '%s'",
                      version >= 160000              ? 4
                      : version >= RELEASE_TWO_PHASE ? 3
                                                     : 2,
                      s->streams ? "on" : "off");
}

/* How far behind tells whether open transactions are worth having: a backlog's are committed,
 * and applied while they are sent rather than afterwards if the server does not send them
 * early.
 *
 * A walsender takes no parameters. A slot that is gone is told of when it is to be started. */
bool source_open_look(struct pg_source *s, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "SELECT two_phase, confirmed_flush_lsn,"
                          " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                          "      ELSE pg_current_wal_lsn() END - confirmed_flush_lsn"
                          " FROM pg_replication_slots WHERE slot_name = ");
    literal_append(&sql, s->config.slot, strlen(s->config.slot));
    PGresult *r = session_exec(&s->session, sql.data, err);
    buf_free(&sql);
    s->two_phase = s->streams = false;
    s->acknowledged = LSN_NONE;
    if (r != NULL && PQntuples(r) == 1) {
        s->two_phase = PQgetvalue(r, 0, 0)[0] == 't';
        (void)lsn_parse(PQgetvalue(r, 0, 1), &s->acknowledged);
        s->streams = s->config.streaming && clock_monotonic() >= s->streaming_from &&
                     strtod(PQgetvalue(r, 0, 2), NULL) < FAR_BEHIND;
    }
    PQclear(r);
    return r != NULL;
}

static bool is_at_rest(const struct pg_source *s)
{
    return !s->in_transaction && s->filling == NULL && s->replaying == NULL &&
           s->source.lag < CAUGHT_UP;
}

/* Who starts again is sent anew all since the slot's restart_lsn: much, while a transaction is
 * open for long. */
bool source_open_may_begin(struct pg_source *s, struct err *err)
{
    struct session session = {0};
    struct slot_state slot = {0};
    usec_t now = clock_monotonic();
    if (!s->config.streaming || s->streams || now < s->streaming_from || !is_at_rest(s) ||
        now - s->quiet_at < CONSIDER_EVERY)
        return false;
    s->quiet_at = now;
    bool known =
        session_reopen(&session, "source", s->config.dsn, SESSION_SQL, s->config.stop, err) &&
        slot_state(&session, s->config.slot, &slot, err);
    session_close(&session);
    err_clear(err); /* it will be considered again */
    return known && slot.exists && slot.retained_bytes < LITTLE_WAL;
}

void source_open_reset(struct pg_source *s)
{
    open_transactions_clear(s->open);
    s->filling = s->replaying = NULL;
    s->quiet_at = clock_monotonic();
    s->hold_count = 0;
    s->seen = s->acknowledged;
}

void source_open_publish(const struct pg_source *s)
{
    struct open_totals totals = open_transactions_totals(s->open);
    struct open_counters *open = &s->config.progress->open;
    counter_set(&open->transactions, totals.transactions);
    counter_set(&open->prepared, totals.prepared);
    counter_set(&open->memory_bytes, totals.in_memory);
    counter_set(&open->file_bytes, totals.in_files);
}

/* ---- keeping ---- */

/* The slot was made so: the server sends it when it is prepared, and again at each start. */
static bool no_room_for_prepared(const struct pg_source *s, const char *reason, struct err *err)
{
    err_set(err, ERR_RETRY,
            "prepared transaction \"%.200s\", which is held here until it is committed "
            "(source.two_phase), has no room: %.300s",
            s->filling->gid, reason);
    return err_remedy(
        err,
        "make room in %s, or name another source.temporary_directory and restart; or end "
        "it at the source (ROLLBACK PREPARED, COMMIT PREPARED). Until then the stream "
        "begins again and again before it, and the slot holds the source's WAL",
        s->config.temporary_directory);
}

/* The next start leaves open transactions to the server. Prepared ones it sends all the same. */
static bool no_room(struct pg_source *s, struct err *err)
{
    if (err->class != ERR_RETRY)
        return false;
    s->streaming_from = clock_monotonic() + LEFT_TO_SERVER;
    char reason[sizeof err->message];
    memcpy(reason, err->message, sizeof reason);
    if (s->filling != NULL && s->filling->gid != NULL)
        return no_room_for_prepared(s, reason, err);
    return err_set(
        err, ERR_RETRY,
        "%s (source.temporary_directory: %s); for an hour open transactions are left to "
        "the source, which sends them when they are committed",
        reason, s->config.temporary_directory);
}

/* Which shape a change that is kept was sent by. */
static void note_shape(struct pg_source *s, uint32_t oid)
{
    const struct shape *known = shape_map_find(&s->known, oid);
    if (known != NULL && shape_map_find(&s->filling->shapes, oid) == NULL)
        shape_map_put(&s->filling->shapes, *known);
}

/* Of a transaction that is prepared now. *tag: of a shape, when it came. */
static bool note_prepared(struct pg_source *s, const char *bytes, size_t size, uint64_t *tag,
                          struct err *err)
{
    struct pgoutput_message message;
    arena_reset(&s->scratch);
    if (!pgoutput_decode(&s->decoder, bytes, size, &s->scratch, &message, err))
        return false;
    if (message.kind == PGOUTPUT_RELATION) {
        struct shape shape = pg_source_shape(s, &message);
        shape_map_put(&s->known, shape);
        *tag = shape.arrival;
    } else if (message.kind == PGOUTPUT_TRUNCATE) {
        for (uint32_t i = 0; i < message.truncate.count; i++)
            note_shape(s, message.truncate.relation_oids[i]);
    } else if (message.kind == PGOUTPUT_INSERT || message.kind == PGOUTPUT_UPDATE ||
               message.kind == PGOUTPUT_DELETE) {
        note_shape(s, message.change.relation_oid);
    }
    return true;
}

/* Takes the xid out, so that the message is as in an ordinary transaction. */
static bool strip_xid(char **bytes, size_t *size, xid_t *xid, struct err *err)
{
    char kind = (*bytes)[0];
    if (*size < 1 + sizeof *xid)
        return err_set(err, ERR_CORRUPT, "pgoutput: a streamed message of %zu bytes", *size);
    memcpy(xid, *bytes + 1, sizeof *xid);
    *xid = be32toh(*xid);
    *bytes += sizeof *xid;
    *size -= sizeof *xid;
    (*bytes)[0] = kind;
    return true;
}

bool source_open_keep(struct pg_source *s, char *bytes, size_t size, lsn_t lsn, struct err *err)
{
    xid_t xid = s->filling->xid;
    uint64_t tag = lsn;
    if (s->filling->gid != NULL) {
        if (!note_prepared(s, bytes, size, &tag, err))
            return false;
    } else {
        if (bytes[0] == PGOUTPUT_RELATION)
            tag = ++s->arrivals;
        if (pgoutput_carries_xid(bytes[0]) && !strip_xid(&bytes, &size, &xid, err))
            return false;
    }
    const struct open_message message = {.data = bytes, .size = size, .tag = tag};
    return (open_transactions_append(s->open, s->filling, xid, &message, err) ||
            no_room(s, err)) &&
           failpoint(OPEN_KEPT, err);
}

/* ---- replaying ---- */

static void finish_replay(struct pg_source *s, struct batch *batch)
{
    if (!s->skipping)
        counter_add(&s->config.progress->open.committed, 1);
    pg_source_end(s, batch, s->replay_end);
    shape_map_merge(&s->known, &s->replaying->shapes);
    open_transactions_end(s->open, s->replaying);
    s->replaying = NULL;
}

bool source_open_replay(struct pg_source *s, struct batch *batch, struct err *err)
{
    size_t taken = 0;
    while (!pg_source_batch_full(s, batch) && taken < s->config.limits.batch_bytes) {
        struct open_message message;
        if (!open_transaction_read(s->replaying, &message, err))
            return no_room(s, err);
        if (message.data == NULL) {
            finish_replay(s, batch);
            return true;
        }
        if (!pg_source_take(s, batch, message.data, message.size, message.tag, err) ||
            !failpoint(OPEN_GIVEN, err))
            return false;
        taken += message.size;
    }
    return true;
}

static bool start_replay(struct pg_source *s, struct batch *batch, struct open_transaction *t,
                         const struct transaction *transaction, lsn_t end_lsn, struct err *err)
{
    if (!failpoint(OPEN_COMMITTED, err) || !pg_source_begin(s, batch, transaction, err))
        return false;
    s->replaying = t;
    s->replay_end = end_lsn;
    open_transaction_rewind(t);
    return source_open_replay(s, batch, err);
}

/* ---- streamed transactions ---- */

static bool on_stream_start(struct pg_source *s, const struct pgoutput_message *message,
                            struct err *err)
{
    struct open_transaction *t = open_transactions_find(s->open, message->xid);
    if (s->in_transaction || s->filling != NULL)
        return confused("it begins inside another", message, err);
    if ((t == NULL) != message->stream_start.first || (t != NULL && t->gid != NULL))
        return confused(t == NULL ? "it goes on and never began" : "it begins a second time",
                        message, err);
    s->filling = t != NULL ? t : open_transactions_begin(s->open, message->xid);
    return true;
}

static bool on_stream_stop(struct pg_source *s, const struct pgoutput_message *message,
                           struct err *err)
{
    if (s->filling == NULL || s->filling->gid != NULL)
        return confused("no block of a streamed transaction has begun", message, err);
    s->filling = NULL;
    return true;
}

/* Of one that is not known nothing is kept that could be taken back. */
static bool on_stream_abort(struct pg_source *s, const struct pgoutput_message *message,
                            struct err *err)
{
    struct open_transaction *t = open_transactions_find(s->open, message->xid);
    if (s->filling != NULL || (t != NULL && t->gid != NULL))
        return confused("it ends inside a block, or though it is prepared", message, err);
    if (t == NULL)
        return true;
    if (message->stream_abort.subxid == message->xid) {
        open_transactions_end(s->open, t);
        return failpoint(OPEN_DROPPED, err);
    }
    return (open_transactions_take_back(s->open, t, message->stream_abort.subxid, err) ||
            no_room(s, err)) &&
           failpoint(OPEN_TAKEN_BACK, err);
}

static bool on_stream_commit(struct pg_source *s, struct batch *batch,
                             const struct pgoutput_message *message, struct err *err)
{
    struct open_transaction *t = open_transactions_find(s->open, message->xid);
    if (t == NULL || t->gid != NULL)
        return confused("it is committed and never began", message, err);
    return start_replay(s, batch, t,
                        &(struct transaction){.xid = message->xid,
                                              .commit_lsn = message->commit.commit_lsn,
                                              .commit_time = message->commit.commit_time},
                        message->commit.end_lsn, err);
}

/* ---- prepared transactions ---- */

/* One that was prepared before the slot began comes whole at its commit, whatever is
 * acknowledged. */
static void hold_ack(struct pg_source *s, const struct pgoutput_message *message)
{
    lsn_t prepare_lsn = message->prepare.prepare_lsn;
    if (prepare_lsn < s->acknowledged)
        return;
    if (s->hold_count == s->hold_capacity) {
        s->hold_capacity = s->hold_capacity > 0 ? s->hold_capacity * 2 : 16;
        s->holds = mem_grow(s->holds, s->hold_capacity, sizeof *s->holds);
    }
    s->holds[s->hold_count++] =
        (struct ack_hold){.xid = message->xid, .prepare_lsn = prepare_lsn};
}

/* LSN_NONE: it is needed no more. */
static void release_ack(struct pg_source *s, xid_t xid, lsn_t until)
{
    for (size_t i = 0; i < s->hold_count; i++) {
        if (s->holds[i].xid != xid)
            continue;
        s->holds[i].until = until;
        if (until == LSN_NONE)
            s->holds[i] = s->holds[--s->hold_count];
        return;
    }
}

lsn_t source_open_ack(struct pg_source *s, lsn_t flushed)
{
    lsn_t ack = flushed;
    if (!s->two_phase)
        return ack;
    if (ack > s->seen)
        ack = s->seen;
    for (size_t i = 0; i < s->hold_count;) {
        struct ack_hold *hold = &s->holds[i];
        if (hold->until != LSN_NONE && flushed >= hold->until) {
            *hold = s->holds[--s->hold_count];
            continue;
        }
        if (ack > hold->prepare_lsn)
            ack = hold->prepare_lsn;
        i++;
    }
    return ack;
}

static bool on_begin_prepare(struct pg_source *s, const struct pgoutput_message *message,
                             struct err *err)
{
    if (s->in_transaction || s->filling != NULL ||
        open_transactions_find(s->open, message->xid) != NULL)
        return confused("it begins inside another, or a second time", message, err);
    s->filling = open_transactions_begin(s->open, message->xid);
    s->filling->gid = mem_string(message->prepare.gid);
    s->filling->prepare_lsn = message->prepare.prepare_lsn;
    return true;
}

static bool on_prepare(struct pg_source *s, const struct pgoutput_message *message,
                       struct err *err)
{
    if (s->filling == NULL || s->filling->gid == NULL || s->filling->xid != message->xid)
        return confused("it is prepared and never began", message, err);
    s->filling = NULL;
    hold_ack(s, message);
    return true;
}

static bool on_stream_prepare(struct pg_source *s, const struct pgoutput_message *message,
                              struct err *err)
{
    struct open_transaction *t = open_transactions_find(s->open, message->xid);
    if (s->filling != NULL || t == NULL || t->gid != NULL)
        return confused("it is prepared and never began, or twice", message, err);
    t->gid = mem_string(message->prepare.gid);
    hold_ack(s, message);
    return true;
}

static struct open_transaction *find_prepared(const struct pg_source *s,
                                              const struct pgoutput_message *message)
{
    struct open_transaction *t = open_transactions_find(s->open, message->xid);
    bool same = t != NULL && t->gid != NULL && strcmp(t->gid, message->prepare.gid) == 0;
    return same ? t : NULL;
}

static bool on_commit_prepared(struct pg_source *s, struct batch *batch,
                               const struct pgoutput_message *message, struct err *err)
{
    struct open_transaction *t = find_prepared(s, message);
    lsn_t end_lsn = message->prepare.end_lsn;
    if (t == NULL && end_lsn <= s->from)
        return true;
    if (t == NULL) {
        char lsn[LSN_TEXT_SIZE];
        err_set(
            err, ERR_SOURCE_LOST,
            "gap: at LSN %s the prepared transaction %s was committed, whose content the slot "
            "does not send any more: somebody advanced the slot",
            lsn_format(end_lsn, lsn), message->prepare.gid);
        return err_remedy(err,
                          "changes are missing: run `slackwater cleanup`, empty the target "
                          "tables, then run again");
    }
    release_ack(s, message->xid, end_lsn);
    return start_replay(s, batch, t,
                        &(struct transaction){.xid = message->xid,
                                              .commit_lsn = message->prepare.prepare_lsn,
                                              .commit_time = message->prepare.time},
                        end_lsn, err);
}

/* One that the slot never sent may be rolled back: it was prepared before the slot was made. */
static bool on_rollback_prepared(struct pg_source *s, const struct pgoutput_message *message)
{
    struct open_transaction *t = find_prepared(s, message);
    if (t == NULL)
        return true;
    release_ack(s, message->xid, LSN_NONE);
    open_transactions_end(s->open, t);
    return true;
}

bool source_open_message(struct pg_source *s, struct batch *batch,
                         const struct pgoutput_message *message, struct err *err)
{
    switch (message->kind) {
    case PGOUTPUT_STREAM_START:
        return on_stream_start(s, message, err);
    case PGOUTPUT_STREAM_STOP:
        return on_stream_stop(s, message, err);
    case PGOUTPUT_STREAM_ABORT:
        return on_stream_abort(s, message, err);
    case PGOUTPUT_STREAM_COMMIT:
        return on_stream_commit(s, batch, message, err);
    case PGOUTPUT_BEGIN_PREPARE:
        return on_begin_prepare(s, message, err);
    case PGOUTPUT_PREPARE:
        return on_prepare(s, message, err);
    case PGOUTPUT_STREAM_PREPARE:
        return on_stream_prepare(s, message, err);
    case PGOUTPUT_COMMIT_PREPARED:
        return on_commit_prepared(s, batch, message, err);
    case PGOUTPUT_ROLLBACK_PREPARED:
        return on_rollback_prepared(s, message);
    case PGOUTPUT_BEGIN:
    case PGOUTPUT_COMMIT:
    case PGOUTPUT_ORIGIN:
    case PGOUTPUT_RELATION:
    case PGOUTPUT_TYPE:
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
    case PGOUTPUT_TRUNCATE:
    case PGOUTPUT_MESSAGE:
        break;
    }
    return confused("it is no message of an open transaction", message, err);
}
