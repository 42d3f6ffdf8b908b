/* The stream (stream.h): the receive thread here, the apply side in apply.c. */
#include "pipeline/stream.h"

#include "base/log.h"
#include "base/queue.h"
#include "pipeline/apply.h"
#include "pipeline/backoff.h"
#include "pipeline/handover.h"

#include <pthread.h>
#include <sys/eventfd.h>

#define FEEDBACK_EVERY USEC_PER_SEC
#define FEEDBACK_SOONEST (100 * USEC_PER_MS)
#define PUSH_WAIT (500 * USEC_PER_MS)
#define SPARE_BATCHES 3
/* How often the target is asked what is durable while something is not yet. */
#define FLUSH_TICK (50 * USEC_PER_MS)
#define RECONNECT_FIRST (250 * USEC_PER_MS)
#define RECONNECT_MOST (10 * USEC_PER_SEC)

struct run {
    struct stream *stream;
    struct queue *queue; /* receive -> apply */
    struct queue *spare; /* apply -> receive: emptied batches, a byte each */
    atomic_bool idle;    /* the applier waits for a batch */
    atomic_bool holding; /* the receiver has one for it, and wants to be told when it is idle */
    atomic_bool ending;  /* the applier is done: the receiver shall come home */
    struct err receive_err; /* read after the join */

    /* owned by the receive thread */
    struct handover handover;
    usec_t fed_back_at;
    lsn_t fed_back;
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

/* Waits for more, up to when something is to be done though nothing comes. */
static enum source_result receive(struct run *run, struct batch *batch, struct err *err)
{
    struct source *source = run->stream->source;
    eventfd_t woken;
    uint64_t before = batch_size(batch);
    usec_t until = clock_monotonic() + FEEDBACK_EVERY;
    usec_t ask_again = handover_deadline(&run->handover);
    bool could_go = ask_again != 0 && !batch->ends_open && atomic_load(&run->idle);
    if (could_go && ask_again < until)
        until = ask_again;
    enum source_result result = source->ops->receive(
        source, batch, run->stream->progress->idle_fd, until, err);
    (void)eventfd_read(run->stream->progress->idle_fd, &woken);
    if (batch_size(batch) > before)
        handover_grew(&run->handover, source->lag, clock_monotonic());
    return result;
}

/* Either the applier is seen idle here, or it sees later that we hold something for it. */
static bool applier_is_idle(struct run *run)
{
    if (atomic_load(&run->idle))
        return true;
    atomic_store(&run->holding, true);
    return atomic_load(&run->idle);
}

static bool should_push(struct run *run, const struct batch *batch, enum source_result result)
{
    if (batch_is_empty(batch))
        return false;
    return result == SOURCE_FULL || (!batch->ends_open && applier_is_idle(run) &&
                                     handover_is_due(&run->handover, clock_monotonic()));
}

static bool receive_until_home(struct run *run, struct batch **batch, struct err *err)
{
    while (!coming_home(run)) {
        enum source_result result = receive(run, *batch, err);
        if (result == SOURCE_FAILED)
            return false;
        counter_set(&run->stream->progress->queue_bytes, queue_bytes(run->queue));
        if (should_push(run, *batch, result)) {
            struct batch *full = *batch;
            *batch = NULL; /* push_batch owns it from here */
            handover_done(&run->handover);
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
            if (atomic_exchange(&run->holding, false))
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
    run.queue = queue_create(stream->queue_bytes);
    run.spare = queue_create(SPARE_BATCHES);

    struct applier applier;
    applier_init(&applier, stream);
    bool ok = run_both(&run, &applier, err);
    atomic_store(&stream->progress->streaming, false);
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
