/* A stream's use of its backlog (spooling.h). */
#include "pipeline/spooling.h"

#include "base/log.h"

#define PUT_BYTES ((size_t)1 << 20)   /* stored together */
#define PUT_AFTER (200 * USEC_PER_MS) /* what comes seldom is stored so soon */
#define SYNC_EVERY USEC_PER_SEC
#define LARGE_TRANSACTION 2 /* batches: it is handed over in pieces, as a source does */

static const struct backlog_ops *ops(const struct spooling *spooling)
{
    return spooling->backlog->ops;
}

static bool has_unread(const struct spooling *spooling)
{
    return ops(spooling)->unread(spooling->backlog) > 0;
}

bool spooling_begin(struct spooling *spooling, const struct stream *stream, lsn_t applied,
                    struct err *err)
{
    *spooling = (struct spooling){.stream = stream, .backlog = stream->backlog};
    if (spooling->backlog == NULL)
        return true;
    if (!ops(spooling)->begin(spooling->backlog, applied, err))
        return false;
    spooling->reading = batch_create();
    spooling->active = has_unread(spooling);
    if (spooling->active)
        log_event(LOG_INFO, "the spool is read first", log_lsn("from", applied),
                  log_lsn("to", ops(spooling)->resume(spooling->backlog, applied)));
    return true;
}

void spooling_end(struct spooling *spooling)
{
    batch_destroy(spooling->reading);
    spooling->reading = NULL;
}

/* ---- receiving ---- */

bool spooling_may_turn(const struct spooling *spooling, const struct batch *batch)
{
    return spooling->backlog != NULL && !batch->begins_open &&
           progress_acked(spooling->stream->progress) != LSN_NONE;
}

/* The slot need not have what is before what it was told. */
static bool check_reach(const struct spooling *spooling, lsn_t from, struct err *err)
{
    lsn_t acked = progress_acked(spooling->stream->progress);
    char here[LSN_TEXT_SIZE];
    char told[LSN_TEXT_SIZE];
    if (from >= acked)
        return true;
    err_set(
        err, ERR_SOURCE_LOST,
        "gap: the spool reaches to LSN %s, and the source was told that it has all up to %s: "
        "it was damaged",
        lsn_format(from, here), lsn_format(acked, told));
    return err_remedy(err, "changes are missing: run `slackwater cleanup`, empty the target "
                           "tables, then run again");
}

bool spooling_turn(struct spooling *spooling, const char *why, struct err *err)
{
    const struct stream *stream = spooling->stream;
    lsn_t from = LSN_NONE;
    stream->source->ops->stop(stream->source);
    if (!ops(spooling)->extend(spooling->backlog, counter_get(&stream->progress->durable),
                               &from, err) ||
        !check_reach(spooling, from, err) ||
        !stream->source->ops->start(stream->source, from, err))
        return false;
    log_event(LOG_WARN, "what is received goes to the spool", log_text("why", why),
              log_lsn("from", from));
    spooling->active = true;
    spooling->ends_open = false;
    spooling->put_at = clock_monotonic();
    return true;
}

bool spooling_is_due(const struct spooling *spooling, const struct batch *batch)
{
    return batch_bytes(batch) >= PUT_BYTES ||
           (!batch_is_empty(batch) && clock_monotonic() - spooling->put_at >= PUT_AFTER);
}

enum backlog_result spooling_put(struct spooling *spooling, const struct batch *batch,
                                 struct err *err)
{
    enum backlog_result result = ops(spooling)->put(spooling->backlog, batch, err);
    bool stuck = result == BACKLOG_NONE;
    if (atomic_exchange(&spooling->stuck, stuck) != stuck)
        log_event(LOG_WARN, stuck ? "the spool is full: the source has to wait"
                                  : "the spool has room again");
    if (result != BACKLOG_OK)
        return result;
    spooling->put_at = clock_monotonic();
    spooling->ends_open = batch->ends_open;
    spooling->unsynced = true;
    return result;
}

static bool sync_some(struct spooling *spooling, struct err *err)
{
    usec_t now = clock_monotonic();
    lsn_t synced = LSN_NONE;
    if (!spooling->unsynced || now - spooling->synced_at < SYNC_EVERY)
        return true;
    if (!ops(spooling)->sync(spooling->backlog, &synced, err))
        return false;
    progress_ack(spooling->stream->progress, synced);
    spooling->unsynced = false;
    spooling->synced_at = now;
    return true;
}

bool spooling_tend(struct spooling *spooling, struct err *err)
{
    if (spooling->backlog == NULL)
        return true;
    lsn_t durable = counter_get(&spooling->stream->progress->durable);
    if (!sync_some(spooling, err))
        return false;
    if (durable <= spooling->trimmed)
        return true;
    spooling->trimmed = durable;
    return ops(spooling)->trim(spooling->backlog, durable, err);
}

bool spooling_is_over(const struct spooling *spooling)
{
    return !has_unread(spooling) && !atomic_load(&spooling->held) &&
           (!spooling->ends_open || atomic_load(&spooling->stuck));
}

bool spooling_leave(struct spooling *spooling, struct err *err)
{
    log_event(LOG_INFO, "the spool is read: what is received goes to the target");
    spooling->active = false;
    return !spooling->ends_open || ops(spooling)->settle(spooling->backlog, err);
}

/* ---- applying ---- */

bool spooling_has_more(const struct spooling *spooling)
{
    return has_unread(spooling) ||
           (atomic_load(&spooling->held) && atomic_load(&spooling->stuck));
}

static bool is_full(const struct spooling *spooling)
{
    const struct batch *batch = spooling->reading;
    const struct source_limits *limits = &spooling->stream->backlog_limits;
    unsigned times = batch->ends_open ? LARGE_TRANSACTION : 1;
    return batch->change_count >= limits->batch_changes * times ||
           batch_bytes(batch) >= limits->batch_bytes * times;
}

/* As much as makes a batch, of what is there. */
static bool read_some(struct spooling *spooling, struct err *err)
{
    lsn_t applied = counter_get(&spooling->stream->progress->applied);
    while (!is_full(spooling)) {
        /* Before the last is taken: from then on receiving may turn to the queue. */
        atomic_store(&spooling->held, true);
        enum backlog_result result =
            ops(spooling)->take(spooling->backlog, spooling->reading, err);
        if (result == BACKLOG_FAILED)
            return false;
        if (!batch_skip(spooling->reading, applied))
            batch_reset(spooling->reading); /* its memory counts */
        if (result == BACKLOG_NONE)
            return true;
    }
    return true;
}

/* The beginning of a transaction is kept until the rest is there: there is no need to have it
 * open at the target meanwhile, but where the rest can only come by the queue. */
static bool is_to_go(const struct spooling *spooling)
{
    return !batch_is_empty(spooling->reading) &&
           (!spooling->reading->ends_open || is_full(spooling) ||
            atomic_load(&spooling->stuck));
}

bool spooling_next(struct spooling *spooling, struct batch **batch, struct err *err)
{
    *batch = NULL;
    if (!read_some(spooling, err))
        return false;
    if (is_to_go(spooling)) {
        *batch = spooling->reading;
        spooling->reading = batch_create();
    }
    atomic_store(&spooling->held, !batch_is_empty(spooling->reading));
    return true;
}
