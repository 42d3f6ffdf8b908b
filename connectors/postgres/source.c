/* The PostgreSQL source (source.h): the walsender's connection, and what is received there.
 *
 * Protocol: "Streaming Replication Protocol", START_REPLICATION ... LOGICAL. Inside CopyData:
 * 'w' WAL data, 'k' keepalive; ours is 'r', the standby status update. */
#include "postgres/source.h"

#include "base/buf.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "postgres/slot.h"
#include "postgres/source_state.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEEPALIVE_POSITION_EVERY USEC_PER_SEC
#define LARGE_TRANSACTION 2           /* batches */
#define FILL_FROM (300 * USEC_PER_MS) /* late is what we are behind with */
#define START_PATIENCE (20 * USEC_PER_SEC)
#define OPEN_MEMORY ((size_t)16 << 20) /* of transactions that are not committed yet */
#define LARGE_READ (8U << 10)          /* half of what libpq reads at once */
#define READ_MOST (1U << 20)

static const struct timespec FILL_PAUSE = {.tv_nsec = 100000};

static struct pg_source *self(struct source *source)
{
    return (struct pg_source *)(void *)source;
}

/* ---- keepalives and feedback ---- */

static bool send_status(struct pg_source *s, lsn_t flushed, struct err *err)
{
    struct buf reply = {0};
    flushed = source_open_ack(s, flushed);
    lsn_t written = s->received > flushed ? s->received : flushed;
    buf_append_char(&reply, 'r');
    buf_append_u64(&reply, written);
    buf_append_u64(&reply, flushed);
    buf_append_u64(&reply, flushed);
    buf_append_u64(&reply, (uint64_t)clock_to_postgres(clock_wall()));
    buf_append_char(&reply, 1); /* please answer: so a dead peer is noticed */
    int sent = PQputCopyData(s->session.conn, reply.data, (int)reply.size);
    buf_free(&reply);
    /* 0: libpq's output is full, for the server does not read. The next one will do. */
    if (sent < 0)
        return session_connection_error(&s->session, err);
    return PQflush(s->session.conn) >= 0 || session_connection_error(&s->session, err);
}

static bool on_keepalive(struct pg_source *s, struct batch *batch, struct reader *reader,
                         struct err *err)
{
    lsn_t position = reader_u64(reader);
    (void)reader_u64(reader); /* send time */
    bool asked = reader_u8(reader) == 1;
    usec_t now = clock_monotonic();
    if (!reader_done(reader))
        return err_set(err, ERR_CORRUPT, "replication stream: malformed keepalive");
    if (position > s->received)
        s->received = position;
    if (position > s->seen)
        s->seen = position;
    if (!s->in_transaction && position > s->from && position > batch->end_lsn &&
        now - s->positioned_at >= KEEPALIVE_POSITION_EVERY) {
        batch->end_lsn = position;
        s->positioned_at = now;
        s->from = position;
    }
    return !asked || send_status(s, progress_acked(s->config.progress), err);
}

static bool pg_source_feedback(struct source *source, lsn_t flushed, struct err *err)
{
    source_open_publish(self(source));
    return send_status(self(source), flushed, err);
}

/* ---- receiving ---- */

static bool on_wal_data(struct pg_source *s, struct batch *batch, struct reader *reader,
                        struct err *err)
{
    lsn_t lsn = reader_u64(reader);
    (void)reader_u64(reader); /* end of WAL as the walsender sees it: the same LSN here */
    s->sent_at = clock_from_postgres((int64_t)reader_u64(reader));
    if (!reader_ok(reader))
        return err_set(err, ERR_CORRUPT, "replication stream: short WAL data header");
    if (lsn > s->received)
        s->received = lsn;
    if (lsn > s->seen)
        s->seen = lsn;
    size_t size = reader_left(reader);
    char *bytes = (char *)(uintptr_t)reader_bytes(reader, size); /* libpq gave them to us */
    if (s->filling != NULL && size > 0 && pgoutput_is_content(bytes[0]))
        return source_open_keep(s, bytes, size, lsn, err);
    return pg_source_take(s, batch, bytes, size, lsn, err);
}

static bool on_copy_data(struct pg_source *s, struct batch *batch, const char *data, int size,
                         struct err *err)
{
    struct reader reader;
    reader_init(&reader, data, (size_t)size);
    uint8_t kind = reader_u8(&reader);
    return kind == 'w' ? on_wal_data(s, batch, &reader, err)
           : kind == 'k'
               ? on_keepalive(s, batch, &reader, err)
               : err_set(err, ERR_CORRUPT, "replication stream: unknown message 0x%02x", kind);
}

/* The server ended the stream: its error says why. */
static bool stream_ended(struct pg_source *s, struct err *err)
{
    PGresult *result = PQgetResult(s->session.conn);
    if (result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR) {
        session_result_error(&s->session, result, err);
        /* Data errors of the decoder's session are the source's trouble, not a row's. */
        if (err->class == ERR_DATA)
            err->class = ERR_SOURCE_LOST;
    } else {
        session_connection_error(&s->session, err);
    }
    PQclear(result);
    return false;
}

/* A batch is cut between transactions if it can be: what is whole can be tried again from
 * memory. Only a transaction several times larger than a batch is cut inside, and then again
 * after each batch. */
bool pg_source_batch_full(const struct pg_source *s, const struct batch *batch)
{
    unsigned times = s->in_transaction && !batch_is_inside(batch) ? LARGE_TRANSACTION : 1;
    return batch->change_count >= s->config.limits.batch_changes * times ||
           batch_bytes(batch) >= s->config.limits.batch_bytes * times;
}

/* Takes all that libpq holds, *bytes of it. *full when the batch reached its limit first. A
 * transaction that was kept comes before what is behind its commit. */
static bool take_messages(struct pg_source *s, struct batch *batch, bool *full, uint64_t *bytes,
                          struct err *err)
{
    while (s->replaying == NULL) {
        char *data = NULL;
        int size = PQgetCopyData(s->session.conn, &data, 1);
        if (size == 0)
            return true;
        if (size < 0)
            return stream_ended(s, err);
        *bytes += (uint64_t)size;
        bool ok = on_copy_data(s, batch, data, size, err);
        PQfreemem(data);
        if (!ok)
            return false;
        *full = pg_source_batch_full(s, batch);
        if (*full)
            return true;
    }
    return true;
}

/* The clock and what other threads look at cost more than a message: touched once for all. */
static bool take_at_hand(struct pg_source *s, struct batch *batch, bool *full, bool *took,
                         uint64_t *bytes, struct err *err)
{
    *bytes = 0;
    bool ok = take_messages(s, batch, full, bytes, err);
    if (*bytes > 0) {
        *took = true;
        s->heard_at = clock_monotonic();
        counter_add(&s->config.progress->bytes_received, *bytes);
        counter_set(&s->config.progress->received, s->received);
    }
    return ok;
}

static enum source_result finish(struct pg_source *s, struct batch *batch,
                                 enum source_result result)
{
    batch->ends_open = s->in_transaction && !s->skipping;
    return result;
}

/* While the applier holds us up nobody listens, and what the server says waits in the socket. */
static bool check_silence(struct pg_source *s, struct err *err)
{
    usec_t now = clock_monotonic();
    if (now - s->listened_at > 2 * USEC_PER_SEC)
        s->listening_since = now;
    s->listened_at = now;
    usec_t since = s->heard_at > s->listening_since ? s->heard_at : s->listening_since;
    if (now - since <= SOURCE_SILENCE)
        return true;
    return err_set(err, ERR_RETRY, "source: nothing heard for %d s",
                   (int)(SOURCE_SILENCE / USEC_PER_SEC));
}

/* Reads what the socket holds, without waiting, and takes it. A unix socket holds some hundred
 * messages, which the walsender writes in less than a millisecond: what is left there when we
 * turn away has it stand still soon. */
static bool read_more(struct pg_source *s, struct batch *batch, bool *full, bool *took,
                      struct err *err)
{
    for (uint64_t total = 0, bytes; total < READ_MOST; total += bytes) {
        if (!PQconsumeInput(s->session.conn))
            return stream_ended(s, err);
        if (!take_at_hand(s, batch, full, took, &bytes, err))
            return false;
        if (*full || bytes < LARGE_READ)
            break;
    }
    return true;
}

/* The walsender writes each message by itself, and each write wakes who waits for it. While we are
 * behind, a short pause instead of waiting has it write many for one waking, which spares both
 * sides about half of what receiving costs; a pause of a millisecond has it stand still. */
static bool read_after_pause(struct pg_source *s, struct batch *batch, bool *full, bool *took,
                             struct err *err)
{
    if (s->source.lag < FILL_FROM)
        return true;
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &FILL_PAUSE, NULL);
    return read_more(s, batch, full, took, err);
}

static bool read_after_waiting(struct pg_source *s, struct batch *batch, int wake_fd,
                               usec_t until, bool *full, bool *took, struct err *err)
{
    return session_wait(&s->session, PQflush(s->session.conn) == 1, wake_fd, until, err) &&
           read_more(s, batch, full, took, err);
}

/* Meanwhile nobody listens, so that the server waits; what keeps it content is feedback. */
static enum source_result go_on_replaying(struct pg_source *s, struct batch *batch,
                                          struct err *err)
{
    if (!source_open_replay(s, batch, err))
        return SOURCE_FAILED;
    s->listening_since = s->listened_at = clock_monotonic();
    return finish(s, batch, pg_source_batch_full(s, batch) ? SOURCE_FULL : SOURCE_DRAINED);
}

/* ---- life cycle ---- */

static void append_options(struct pg_source *s, struct buf *sql)
{
    char insert_only[SLOT_NAME_SIZE + 16];
    struct buf names = {0};
    slot_insert_only_name(s->config.slot, insert_only);
    ident_append(&names, s->config.slot);
    if (s->config.insert_only_publication) {
        buf_append_char(&names, ',');
        ident_append(&names, insert_only);
    }
    buf_append_text(sql, " (");
    source_open_append_options(s, sql);
    buf_append_text(sql, ", publication_names ");
    literal_append(sql, buf_text(&names), names.size);
    buf_append_format(sql, ", messages 'true', binary '%s'%s)",
                      s->config.binary ? "true" : "false",
                      s->config.local_only ? ", origin 'none'" : "");
    buf_free(&names);
}

static bool start_error(struct pg_source *s, struct err *err)
{
    if (strcmp(err->sqlstate, "42704") == 0) {
        err_set(err, ERR_SOURCE_LOST,
                "slot %s does not exist at the source: its changes are "
                "lost, a new backfill is needed",
                s->config.slot);
        return err_remedy(err, "run `slackwater cleanup`, empty the target tables, then run "
                               "again");
    }
    if (strcmp(err->sqlstate, "55000") == 0) /* invalidated: its WAL is gone */
        err->class = ERR_SOURCE_LOST;
    return err_wrap(err, "starting to stream from slot %s", s->config.slot);
}

/* In a session of its own: a walsender takes no parameters. */
static bool check_continuity(struct pg_source *s, lsn_t from, struct err *err)
{
    struct session session = {0};
    if (!session_reopen(&session, "source", s->config.dsn, SESSION_SQL, s->config.stop, err))
        return false;
    session.patience = START_PATIENCE;
    bool ok = continuity_check(&session, s->config.continuity, from, err);
    session_close(&session);
    return ok;
}

static bool open_walsender(struct pg_source *s, struct err *err)
{
    if (!session_reopen(&s->session, "source", s->config.dsn, SESSION_REPLICATION,
                        s->config.stop, err))
        return false;
    s->session.patience = START_PATIENCE;
    bool ours = ghost_end(&s->session, &s->ghost, err) &&
                ghost_note(&s->session, &s->ghost, err) && source_open_look(s, err);
    return ours ? failpoint(SOURCE_CONNECTED, err) : err_wrap(err, "taking the slot over");
}

static bool start_replication(struct pg_source *s, lsn_t from, struct err *err)
{
    char lsn[LSN_TEXT_SIZE];
    struct buf sql = {0};
    buf_append_text(&sql, "START_REPLICATION SLOT ");
    ident_append(&sql, s->config.slot);
    /* A position passes over what was prepared before it: where that is sent, the server begins at
     * what we acknowledged, and what was applied before is skipped here. */
    buf_append_format(&sql, " LOGICAL %s", lsn_format(s->two_phase ? LSN_NONE : from, lsn));
    append_options(s, &sql);
    PGresult *result = session_exec(&s->session, sql.data, err);
    bool ok = PQresultStatus(result) == PGRES_COPY_BOTH;
    PQclear(result);
    buf_free(&sql);
    return ok || start_error(s, err);
}

/* The walsender begins to decode while the source is looked at: nothing of it is taken, and
 * nothing fed back, before that has passed. What is amiss with the source tells more than that
 * the walsender does not start. */
static bool begin_stream(struct pg_source *s, lsn_t from, struct err *err)
{
    struct err amiss = {0};
    bool started = start_replication(s, from, err);
    if (!check_continuity(s, from, &amiss)) {
        *err = amiss;
        return false;
    }
    return started && failpoint(SOURCE_STARTED, err);
}

static bool pg_source_start(struct source *source, lsn_t from, struct err *err)
{
    struct pg_source *s = self(source);
    if (!open_walsender(s, err) || !begin_stream(s, from, err)) {
        session_close(&s->session);
        return false;
    }
    s->from = s->received = from;
    s->heard_at = clock_monotonic();
    s->positioned_at = 0;
    s->source.lag = 0;
    s->in_transaction = s->skipping = false;
    shape_map_clear(&s->known);
    source_open_reset(s);
    s->decoder = (struct pgoutput){0};
    return true;
}

/* From now on open transactions come, and all else goes on behind what was given already. */
static bool begin_again(struct pg_source *s, struct err *err)
{
    session_close(&s->session);
    if (!pg_source_start(&s->source, s->from, err))
        return false;
    if (s->streams)
        log_event(LOG_INFO,
                  "caught up: large transactions come while they are open from now on",
                  log_lsn("from", s->from));
    return true;
}

static enum source_result pg_source_receive(struct source *source, struct batch *batch,
                                            int wake_fd, usec_t until, struct err *err)
{
    struct pg_source *s = self(source);
    bool full = false;
    bool took = false;
    uint64_t bytes;
    if (!failpoint(SOURCE_LISTEN, err))
        return SOURCE_FAILED;
    if (s->replaying != NULL)
        return go_on_replaying(s, batch, err);
    if (source_open_may_begin(s, err) && !begin_again(s, err))
        return SOURCE_FAILED;
    if (!check_silence(s, err) || !take_at_hand(s, batch, &full, &took, &bytes, err))
        return SOURCE_FAILED;
    if (took && !full && !read_more(s, batch, &full, &took, err))
        return SOURCE_FAILED;
    if (!took && !read_after_pause(s, batch, &full, &took, err))
        return SOURCE_FAILED;
    if (!took && !read_after_waiting(s, batch, wake_fd, until, &full, &took, err))
        return SOURCE_FAILED;
    return finish(s, batch, full ? SOURCE_FULL : SOURCE_DRAINED);
}

static void pg_source_stop(struct source *source)
{
    session_close(&self(source)->session);
}

static void pg_source_destroy(struct source *source)
{
    struct pg_source *s = self(source);
    session_close(&s->session);
    arena_free(&s->scratch);
    interner_free(&s->shapes);
    shape_map_free(&s->known);
    open_transactions_destroy(s->open);
    free(s->holds);
    free(s);
}

struct source *pg_source_create(const struct pg_source_config *config)
{
    static const struct source_ops OPS = {
        .start = pg_source_start,
        .receive = pg_source_receive,
        .feedback = pg_source_feedback,
        .stop = pg_source_stop,
        .destroy = pg_source_destroy,
    };
    struct pg_source *s = mem_zero(1, sizeof *s);
    s->source.ops = &OPS;
    s->config = *config;
    s->open = open_transactions_create(config->temporary_directory, OPEN_MEMORY);
    arena_init(&s->scratch, 1 << 20);
    return &s->source;
}

void pg_heartbeat_format(const char *instance, usec_t now, char *text, size_t size)
{
    snprintf(text, size, "%s %lld", instance, (long long)now);
}
