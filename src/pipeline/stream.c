/* The stream (stream.h): the receive thread here, the apply side in apply.c. */
#include "pipeline/stream.h"

#include "base/log.h"
#include "base/queue.h"
#include "pipeline/apply.h"
#include "pipeline/backoff.h"

#include <pthread.h>
#include <sys/eventfd.h>

#define FEEDBACK_EVERY USEC_PER_SEC
#define FEEDBACK_SOONEST (100 * USEC_PER_MS)
#define PUSH_WAIT (500 * USEC_PER_MS)
#define SPARE_BATCHES 4
#define GATHER_MOST (100 * USEC_PER_MS) /* that a batch is held back for what comes behind it */
/* How often the target is asked what is durable while something is not yet. */
#define FLUSH_TICK (50 * USEC_PER_MS)
#define RECONNECT_FIRST (250 * USEC_PER_MS)
#define RECONNECT_MOST (10 * USEC_PER_SEC)

struct run {
    struct stream *stream;
    struct queue *queue; /* receive -> apply */
    struct queue *spare; /* apply -> receive: emptied batches, a byte each */
    atomic_bool idle;    /* the applier waits for a batch */
    atomic_bool ending;  /* the applier is done: the receiver shall come home */
    struct err receive_err; /* read after the join */

    /* owned by the receive thread */
    usec_t fed_back_at;
    lsn_t fed_back;
    usec_t gather_until; /* the batch is held back; 0: it was not yet */
};

/* ---- receive thread ---- */

static bool send_feedback(struct run *run, struct err *err)
{
    usec_t now = clock_monotonic();
    lsn_t durable = counter_get(&run->stream->progress->durable);
    usec_t pause = durable > run->fed_back ? FEEDBACK_SOONEST : FEEDBACK_EVERY;
    if (now - run->fed_back_at < pause)
        return true;
    run->fed_back_at = now;
    run->fed_back = durable;
    return run->stream->source->ops->feedback(run->stream->source, durable, err);
}

static struct batch *take_batch(struct run *run)
{
    void *item;
    if (queue_pop(run->spare, &item, 0) == QUEUE_OK)
        return item;
    return batch_create();
}

static void give_batch_back(struct run *run, struct batch *batch)
{
    batch_reset(batch);
    if (queue_push(run->spare, batch, 1, 0) != QUEUE_OK)
        batch_destroy(batch);
}

static bool coming_home(const struct run *run)
{
    return atomic_load(&run->ending) || stop_requested(run->stream->stop);
}

/* Waits for room, with feedback meanwhile. Takes the batch on success; on failure, also when
 * the run ends, it is destroyed. */
static bool push_batch(struct run *run, struct batch *batch, struct err *err)
{
    size_t bytes = batch_bytes(batch);
    atomic_store(&run->idle, false);
    for (;;) {
        switch (queue_push(run->queue, batch, bytes, clock_monotonic() + PUSH_WAIT)) {
        case QUEUE_OK:
            return true;
        case QUEUE_CLOSED:
            batch_destroy(batch);
            return true;
        case QUEUE_TIMEOUT:
            break;
        }
        if (coming_home(run) || !send_feedback(run, err)) {
            batch_destroy(batch);
            return coming_home(run);
        }
    }
}

/* For a while: an idle applier is to see more of what comes than the first that is there. */
static bool should_gather(struct run *run, const struct batch *batch)
{
    struct handoff *handoff = run->stream->handoff;
    if (handoff == NULL || !handoff->ops->gathers(handoff, batch->end_lsn))
        return false;
    if (run->gather_until == 0)
        run->gather_until = clock_monotonic() + GATHER_MOST;
    return clock_monotonic() < run->gather_until;
}

/* A drained batch goes over when the applier is idle, unless it ends in mid-transaction: the
 * rest is on its way. */
static bool should_push(struct run *run, const struct batch *batch, enum source_result result)
{
    if (batch_is_empty(batch))
        return false;
    return result == SOURCE_FULL || (atomic_load(&run->idle) && !batch->ends_open &&
                                     !should_gather(run, batch));
}

static bool receive_until_home(struct run *run, struct batch **batch, struct err *err)
{
    struct source *source = run->stream->source;
    while (!coming_home(run)) {
        eventfd_t woken;
        usec_t until = clock_monotonic() + FEEDBACK_EVERY;
        if (run->gather_until > clock_monotonic())
            until = run->gather_until;
        enum source_result result = source->ops->receive(
            source, *batch, run->stream->progress->idle_fd, until, err);
        if (result == SOURCE_FAILED)
            return false;
        (void)eventfd_read(run->stream->progress->idle_fd, &woken);
        counter_set(&run->stream->progress->queue_bytes, queue_bytes(run->queue));
        if (should_push(run, *batch, result)) {
            struct batch *full = *batch;
            *batch = NULL; /* push_batch owns it from here */
            run->gather_until = 0;
            if (!push_batch(run, full, err))
                return false;
            *batch = take_batch(run);
        }
        if (!send_feedback(run, err))
            return false;
    }
    return true;
}

static void *receive_thread(void *argument)
{
    struct run *run = argument;
    struct batch *batch = take_batch(run);
    if (!receive_until_home(run, &batch, &run->receive_err))
        log_event(LOG_WARN, "stream interrupted", log_text("error", run->receive_err.message));
    batch_destroy(batch);
    queue_close(run->queue);
    return NULL;
}

/* ---- apply side ---- */

static bool reached(const struct stream *stream)
{
    return stream->until != LSN_NONE &&
           counter_get(&stream->progress->durable) >= stream->until &&
           (stream->handoff == NULL || stream->handoff->ops->complete(stream->handoff));
}

static bool beside_failed(const struct stream *stream, struct err *err)
{
    return stream->beside_failed != NULL && stream->beside_failed(stream->beside, err);
}

static bool copy_goes_on(const struct stream *stream, struct err *err)
{
    return stream->handoff == NULL || stream->handoff->ops->goes_on(stream->handoff, err);
}

static bool all_durable(const struct stream *stream)
{
    return counter_get(&stream->progress->durable) >= counter_get(&stream->progress->applied);
}

/* Pops and applies until the end. True when it ended in order. */
static bool apply_until_end(struct run *run, struct applier *applier, struct err *err)
{
    struct stream *stream = run->stream;
    for (;;) {
        void *item;
        usec_t tick = all_durable(stream) ? FEEDBACK_EVERY : FLUSH_TICK;
        if (queue_count(run->queue) == 0) {
            atomic_store(&run->idle, true);
            (void)eventfd_write(stream->progress->idle_fd, 1);
        }
        enum queue_result popped = queue_pop(run->queue, &item, clock_monotonic() + tick);
        if (popped == QUEUE_CLOSED)
            return true;
        if (popped == QUEUE_OK) {
            atomic_store(&run->idle, false);
            bool applied = stop_requested(stream->stop) || applier_apply(applier, item, err);
            give_batch_back(run, item);
            if (!applied)
                return false;
        }
        if (!applier->open && (!applier_flushed(applier, err) || !copy_goes_on(stream, err)))
            return false;
        if (beside_failed(stream, err))
            return false;
        if (reached(stream))
            return true;
    }
}

static void drain(struct queue *queue)
{
    void *item;
    queue_close(queue);
    while (queue_pop(queue, &item, 0) == QUEUE_OK)
        batch_destroy(item);
    queue_destroy(queue);
}

/* Runs the apply loop beside the receive thread and brings both home. */
static bool run_both(struct run *run, struct applier *applier, struct err *err)
{
    pthread_t receiver;
    if (pthread_create(&receiver, NULL, receive_thread, run) != 0)
        return err_set(err, ERR_RETRY, "cannot start the receive thread");
    bool ok = apply_until_end(run, applier, err);
    atomic_store(&run->ending, true);
    (void)eventfd_write(run->stream->progress->idle_fd, 1);
    pthread_join(receiver, NULL);
    if (ok && run->receive_err.class != ERR_NONE && !reached(run->stream)) {
        *err = run->receive_err;
        ok = false;
    }
    return ok;
}

bool stream_run(struct stream *stream, lsn_t from, struct err *err)
{
    struct run run = {.stream = stream};
    if (!stream->source->ops->start(stream->source, from, err))
        return false;
    counter_set(&stream->progress->received, from);
    counter_set(&stream->progress->applied, from);
    atomic_store(&stream->progress->streaming, true);
    if (stream->handoff != NULL)
        stream->handoff->ops->reached(stream->handoff, from, NULL);
    run.queue = queue_create(stream->queue_bytes);
    run.spare = queue_create(SPARE_BATCHES);

    struct applier applier;
    applier_init(&applier, stream);
    bool ok = run_both(&run, &applier, err);
    atomic_store(&stream->progress->streaming, false);
    if (stream->handoff != NULL)
        stream->handoff->ops->ended(stream->handoff);
    if (ok) {
        struct err ignored = {0}; /* the slot learns it on the next start otherwise */
        (void)stream->source->ops->feedback(stream->source,
                                            counter_get(&stream->progress->durable), &ignored);
    }
    if (applier.open || !ok)
        stream->sink->ops->disconnect(stream->sink);
    stream->source->ops->stop(stream->source);
    applier_free(&applier);
    drain(run.queue);
    drain(run.spare);
    return ok;
}

/* What was fed back as durable the source may have thrown away. */
static bool check_no_gap(const struct stream *stream, lsn_t from, struct err *err)
{
    lsn_t durable = counter_get(&stream->progress->durable);
    char here[LSN_TEXT_SIZE];
    char told[LSN_TEXT_SIZE];
    if (from >= durable)
        return true;
    err_set(err, ERR_SOURCE_LOST,
            "gap: the target is back at LSN %s, and the source was told that it has all up to "
            "%s: it was restored, or failed over to a standby that was behind",
            lsn_format(from, here), lsn_format(durable, told));
    return err_remedy(err, "changes are missing: run `slackwater cleanup`, empty the target "
                           "tables, then run again");
}

/* One round: connect, resume, stream. */
static bool run_from_checkpoint(struct stream *stream, struct err *err)
{
    lsn_t from = LSN_NONE;
    stream->sink->ops->disconnect(stream->sink);
    if (beside_failed(stream, err) ||
        !stream->sink->ops->connect(stream->sink, err) ||
        !stream->sink->ops->checkpoint(stream->sink, &from, err) ||
        !check_no_gap(stream, from, err) ||
        (stream->handoff != NULL && !stream->handoff->ops->resume(stream->handoff, err)))
        return false;
    log_event(LOG_INFO, "streaming", log_lsn("from", from));
    return stream_run(stream, from, err);
}

bool stream_supervise(struct stream *stream, struct err *err)
{
    struct backoff backoff = backoff_between(RECONNECT_FIRST, RECONNECT_MOST);
    for (;;) {
        lsn_t before = counter_get(&stream->progress->applied);
        if (run_from_checkpoint(stream, err))
            return true;
        if (err->class == ERR_STOPPED || stop_requested(stream->stop))
            return true;
        if (err->class != ERR_RETRY)
            return false;
        if (counter_get(&stream->progress->applied) > before)
            backoff_reset(&backoff);
        progress_failed(stream->progress, err);
        counter_add(&stream->progress->reconnects, 1);
        log_event(LOG_WARN, "stream ended, starting again", log_text("error", err->message),
                  log_text("sqlstate", err->sqlstate));
        if (backoff_wait(&backoff, stream->stop))
            return true;
    }
}
