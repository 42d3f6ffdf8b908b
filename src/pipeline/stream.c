/* The stream (stream.h): the receive thread here, the apply side in apply.c. */
#include "pipeline/stream.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/queue.h"
#include "pipeline/apply.h"
#include "pipeline/backoff.h"
#include "pipeline/breaker.h"
#include "pipeline/handover.h"
#include "pipeline/spooling.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define FEEDBACK_EVERY USEC_PER_SEC
#define FEEDBACK_SOONEST (100 * USEC_PER_MS)
/* A batch that takes longer to apply has the receive thread go on beside it. */
#define LENT_FOR (10 * USEC_PER_MS)
#define PUSH_WAIT (500 * USEC_PER_MS)
/* The applier gives one back for each that the receiver needs; more would be of an old backlog.
 */
#define SPARE_BATCHES 1
#define GATHER_MOST                                                                            \
    (100 * USEC_PER_MS) /* that a batch is held back for what comes behind it  \
                                         */
/* How often the target is asked what is durable while something is not yet. */
#define FLUSH_TICK (50 * USEC_PER_MS)
#define RECONNECT_FIRST (250 * USEC_PER_MS)
#define RECONNECT_MOST (10 * USEC_PER_SEC)

/* Whose turn it is to receive (stream.h): only that thread touches the source, the batch in
 * hand and the fields below that say so. */
enum turn {
    TURN_RECEIVER, /* the receive thread's */
    TURN_LENT, /* nobody's: the applier is at the target, and has it if it is back in time */
    TURN_APPLIER,
};

struct run {
    struct stream *stream;
    struct queue *queue; /* receive -> apply */
    struct queue *spare; /* apply -> receive: emptied batches, a byte each */
    struct batch *next;  /* popped, and not its turn yet: the applier's; NULL: none */
    size_t in_work;      /* bytes of the batch that is applied; the applier's */
    bool applies;        /* else the target is away */
    atomic_bool idle;    /* the applier waits for a batch */
    atomic_bool holding; /* the receiver has one for it, and wants to be told when it is idle */
    atomic_bool ending;  /* the applier is done: the receiver shall come home */
    atomic_bool home;    /* the receiver is */
    struct err receive_err; /* read after the join, or once it is home */
    struct err take_err;    /* of reading the backlog; the applier's */

    _Atomic enum turn turn;
    int lent_fd; /* timerfd: what was lent is to be taken back */

    /* owned by whose turn it is */
    struct batch *batch;
    struct handover handover;
    usec_t fed_back_at;
    lsn_t fed_back;
    usec_t gather_until; /* the batch in hand is held back; 0: it was not yet */

    struct spooling spooling;
};

/* ---- receiving ---- */

static bool send_feedback(struct run *run, struct err *err)
{
    usec_t now = clock_monotonic();
    if (!spooling_tend(&run->spooling, err))
        return false;
    lsn_t acked = progress_acked(run->stream->progress);
    usec_t pause = acked > run->fed_back ? FEEDBACK_SOONEST : FEEDBACK_EVERY;
    if (now - run->fed_back_at < pause)
        return true;
    run->fed_back_at = now;
    run->fed_back = acked;
    return failpoint(STREAM_FEEDBACK, err) &&
           run->stream->source->ops->feedback(run->stream->source, acked, err) &&
           failpoint(STREAM_FED_BACK, err);
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

/* Waits for room, with feedback meanwhile, or for so long that it turns to the backlog, which
 * drops the batch: it comes again. Takes the batch on success; on failure, also when the run
 * ends, it is destroyed. */
static bool push_batch(struct run *run, struct batch *batch, struct err *err)
{
    size_t bytes = batch_bytes(batch);
    usec_t turn_at = clock_monotonic() + SPOOLING_AFTER;
    atomic_store(&run->idle, false);
    for (;;) {
        switch (queue_push(run->queue, batch, bytes, clock_monotonic() + PUSH_WAIT)) {
        case QUEUE_OK:
            return failpoint(STREAM_PUSHED, NULL);
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
        if (clock_monotonic() >= turn_at && spooling_may_turn(&run->spooling, batch)) {
            batch_destroy(batch);
            return spooling_turn(&run->spooling, "the target does not keep up", err);
        }
    }
}

/* Either the applier is seen idle here, or it sees later that we hold something for it. */
static bool applier_is_idle(struct run *run)
{
    if (atomic_load(&run->idle))
        return true;
    atomic_store(&run->holding, true);
    return atomic_load(&run->idle);
}

/* Cutting a transaction costs that it cannot be tried again from memory. Once it is cut, an
 * idle applier gets more of it as soon as that is worth a batch. */
static bool may_be_cut(const struct run *run)
{
    const struct batch *batch = run->batch;
    return !batch->ends_open || (batch_is_inside(batch) && run->handover.ample);
}

static enum source_result receive_until(struct run *run, usec_t until, struct err *err)
{
    struct source *source = run->stream->source;
    eventfd_t woken;
    uint64_t before = batch_size(run->batch);
    enum source_result result =
        source->ops->receive(source, run->batch, run->stream->progress->idle_fd, until, err);
    (void)eventfd_read(run->stream->progress->idle_fd, &woken);
    if (batch_size(run->batch) > before)
        handover_grew(&run->handover, run->batch->change_count, source->lag, clock_monotonic());
    counter_set(&run->stream->progress->queue_bytes, queue_bytes(run->queue));
    return result;
}

/* Waits for more, up to when something is to be done though nothing comes: an applier that is
 * busy now wakes us when it is not, so that a batch it may have then need not wait for `until`.
 */
static enum source_result receive(struct run *run, usec_t until, struct err *err)
{
    usec_t ask_again = handover_deadline(&run->handover);
    bool could_go = ask_again != 0 && may_be_cut(run) && applier_is_idle(run);
    if (ask_again < run->gather_until)
        ask_again = run->gather_until;
    if (could_go && ask_again < until)
        until = ask_again;
    if (run->gather_until > clock_monotonic() && run->gather_until < until)
        until = run->gather_until;
    return receive_until(run, until, err);
}

/* For a while: an idle applier is to see more of what comes than the first that is there. */
static bool should_gather(struct run *run)
{
    struct handoff *handoff = run->stream->handoff;
    if (handoff == NULL || !handoff->ops->gathers(handoff, run->batch->end_lsn))
        return false;
    if (run->gather_until == 0)
        run->gather_until = clock_monotonic() + GATHER_MOST;
    return clock_monotonic() < run->gather_until;
}

/* Whether the batch may go to an applier that is idle. */
static bool is_due(struct run *run)
{
    return !batch_is_empty(run->batch) && may_be_cut(run) &&
           handover_is_due(&run->handover, clock_monotonic()) && !should_gather(run);
}

/* The batch in hand, in whose place there is an empty one. */
static struct batch *let_go(struct run *run)
{
    struct batch *batch = run->batch;
    run->batch = take_batch(run);
    handover_done(&run->handover);
    run->gather_until = 0;
    return batch;
}

/* ---- the turn ---- */

static void set_timer(const struct run *run, usec_t after)
{
    struct itimerspec timer = {.it_value.tv_nsec = (long)after * 1000};
    (void)timerfd_settime(run->lent_fd, 0, &timer, NULL);
}

/* Before anything that may take long: from now on the receive thread may take the turn back.
 * Lent before the timer runs: it fires once, and must find something to take. */
static void lend_turn(struct run *run)
{
    atomic_store(&run->turn, TURN_LENT);
    set_timer(run, LENT_FOR);
}

/* After that: true if the turn was lent and not taken back. */
static bool take_turn(struct run *run)
{
    enum turn lent = TURN_LENT;
    if (!atomic_compare_exchange_strong(&run->turn, &lent, TURN_APPLIER))
        return false;
    set_timer(run, 0);
    return true;
}

static void give_turn_back(struct run *run)
{
    atomic_store(&run->turn, TURN_RECEIVER);
    (void)eventfd_write(run->stream->progress->idle_fd, 1);
}

/* The receive thread's rest: until the turn is its own, or the run ends. */
static void await_turn(struct run *run)
{
    struct pollfd fds[] = {
        {.fd = run->lent_fd, .events = POLLIN},
        {.fd = run->stream->progress->idle_fd, .events = POLLIN},
        {.fd = stop_fd(run->stream->stop), .events = POLLIN},
    };
    while (!coming_home(run) && atomic_load(&run->turn) != TURN_RECEIVER) {
        uint64_t fired;
        (void)poll(fds, 3, -1);
        (void)eventfd_read(run->stream->progress->idle_fd, &fired);
        enum turn lent = TURN_LENT;
        if (read(run->lent_fd, &fired, sizeof fired) == (ssize_t)sizeof fired)
            (void)atomic_compare_exchange_strong(&run->turn, &lent, TURN_RECEIVER);
    }
}

/* ---- receive thread ---- */

/* What is received may go by the queue again: all that is before it is with the applier. */
static bool backlog_is_over(struct run *run)
{
    return run->applies && queue_count(run->queue) == 0 && spooling_is_over(&run->spooling);
}

/* Into the backlog, where it waits for room, with feedback meanwhile. BACKLOG_NONE: it is still
 * in hand when the run ends, or when it may go by the queue. */
static enum backlog_result put_batch(struct run *run, struct err *err)
{
    for (;;) {
        enum backlog_result result = spooling_put(&run->spooling, run->batch, err);
        queue_wake(run->queue);
        if (result == BACKLOG_OK) {
            batch_reset(run->batch);
            handover_done(&run->handover);
        }
        if (result != BACKLOG_NONE || coming_home(run) || backlog_is_over(run) ||
            stop_wait(run->stream->stop, clock_monotonic() + FEEDBACK_SOONEST))
            return result;
        if (!send_feedback(run, err))
            return BACKLOG_FAILED;
    }
}

/* One round of receiving into the backlog, perhaps the last. */
static bool spool_some(struct run *run, struct err *err)
{
    usec_t until = clock_monotonic() + FEEDBACK_SOONEST;
    if (receive_until(run, until, err) == SOURCE_FAILED || !send_feedback(run, err) ||
        (spooling_is_due(&run->spooling, run->batch) && put_batch(run, err) == BACKLOG_FAILED))
        return false;
    return !backlog_is_over(run) || spooling_leave(&run->spooling, err);
}

static bool receive_until_home(struct run *run, struct err *err)
{
    while (!coming_home(run)) {
        if (run->spooling.active) {
            if (!spool_some(run, err))
                return false;
            continue;
        }
        enum source_result result = receive(run, clock_monotonic() + FEEDBACK_EVERY, err);
        if (result == SOURCE_FAILED || !send_feedback(run, err))
            return false;
        if (result != SOURCE_FULL && !(is_due(run) && applier_is_idle(run)))
            continue;
        /* With nothing before it, for what the applier does next may not overtake it. */
        bool lends =
            result != SOURCE_FULL && !run->handover.behind && queue_is_awaited(run->queue);
        struct batch *batch = let_go(run);
        if (lends)
            lend_turn(run);
        if (!push_batch(run, batch, err))
            return false;
        if (lends)
            await_turn(run);
    }
    return true;
}

static void tell_interruption(const struct run *run)
{
    log_event(LOG_WARN, "stream interrupted", log_text("error", run->receive_err.message));
}

static void *receive_thread(void *argument)
{
    struct run *run = argument;
    if (!receive_until_home(run, &run->receive_err))
        tell_interruption(run);
    atomic_store(&run->home, true);
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

/* Pops a batch for which the receive thread was needed. */
static enum queue_result pop(struct run *run, usec_t until, struct batch **batch)
{
    void *item = NULL;
    if (queue_count(run->queue) == 0) {
        atomic_store(&run->idle, true);
        if (atomic_exchange(&run->holding, false))
            (void)eventfd_write(run->stream->progress->idle_fd, 1);
    }
    enum queue_result popped = queue_pop(run->queue, &item, until);
    if (popped == QUEUE_OK)
        atomic_store(&run->idle, false);
    *batch = item;
    return popped;
}

/* Receives without the receive thread, then lends the turn for all else that there is to do.
 * Gives it back when we fall behind: receiving and applying shall go on at the same time then.
 */
static bool receive_here(struct run *run, usec_t until, struct batch **batch)
{
    enum source_result result = receive(run, until, &run->receive_err);
    if (result == SOURCE_FAILED || !send_feedback(run, &run->receive_err)) {
        tell_interruption(run);
        return false;
    }
    if (run->handover.behind) {
        give_turn_back(run);
        return true;
    }
    if (result == SOURCE_FULL || is_due(run))
        *batch = let_go(run);
    lend_turn(run);
    return true;
}

/* The order of the questions counts: once something is unread the queue only gets emptier,
 * until all is read. */
static bool backlog_is_next(struct run *run)
{
    return run->spooling.backlog != NULL && spooling_has_more(&run->spooling) &&
           queue_count(run->queue) == 0;
}

/* Also while the source is away: what is here already need not wait for it. */
static bool read_backlog(struct run *run, struct batch **batch)
{
    if (stop_requested(run->stream->stop) ||
        (atomic_load(&run->home) && run->receive_err.class != ERR_RETRY))
        return false;
    return spooling_next(&run->spooling, batch, &run->take_err);
}

/* Memory is planned for one piece of a large transaction, which is as large as the queue. Two batches
 * are that too, if nothing in them is large; a little more, for they end with a transaction. */
static bool has_room_for_next(struct run *run)
{
    size_t most = run->stream->queue_bytes + run->stream->queue_bytes / 16;
    size_t next = queue_first_bytes(run->queue);
    return next > 0 && run->in_work + next <= most;
}

/* What comes behind the batch in work, without waiting: only from the queue, whose batches come
 * before what is in the backlog. */
static struct batch *peek(void *context)
{
    struct run *run = context;
    void *item = NULL;
    if (run->next == NULL && has_room_for_next(run) &&
        queue_pop(run->queue, &item, 0) == QUEUE_OK)
        run->next = item;
    return run->next;
}

static bool take_peeked(struct run *run, struct batch **batch)
{
    *batch = run->next;
    run->next = NULL;
    return *batch != NULL;
}

/* Gets a batch from wherever it comes now, or none in time. `our_turn`: it is to be received
 * here, and afterwards: the turn is lent, so that it is perhaps ours again. False when no more
 * comes. */
static bool next_batch(struct run *run, usec_t until, struct batch **batch, bool *our_turn)
{
    if (take_peeked(run, batch))
        return true;
    if (*our_turn)
        return !stop_requested(run->stream->stop) && receive_here(run, until, batch);
    if (backlog_is_next(run))
        return read_backlog(run, batch);
    if (pop(run, until, batch) == QUEUE_CLOSED)
        return false;
    *our_turn = *batch != NULL;
    return true;
}

/* What came twice, when receiving turned to the backlog or back, is left out. */
static bool is_new(const struct run *run, struct batch *batch)
{
    return run->spooling.backlog == NULL ||
           batch_skip(batch, counter_get(&run->stream->progress->applied));
}

static bool apply(struct run *run, struct applier *applier, struct batch *batch,
                  struct err *err)
{
    run->in_work = batch_bytes(batch);
    bool applied = stop_requested(run->stream->stop) || !is_new(run, batch) ||
                   applier_apply(applier, batch, err);
    applier_forget(applier, batch);
    give_batch_back(run, batch);
    return applied;
}

/* Breakers that have opened or closed are to be known to the next run. */
static bool breakers_kept(const struct stream *stream, struct err *err)
{
    uint32_t table;
    enum breaker_state state;
    char reason[512];
    while (stream->quarantine != NULL &&
           quarantine_next_turn(stream->quarantine, &table, &state, reason))
        if (!stream->letters->ops->keep_breaker(stream->letters, table, state, reason, err))
            return false;
    return true;
}

static bool errands_done(const struct stream *stream, struct err *err)
{
    return breakers_kept(stream, err) &&
           (stream->between == NULL || stream->between(stream->beside, err));
}

/* What is to be seen to between batches. */
static bool look_around(struct stream *stream, struct applier *applier, struct err *err)
{
    if (!applier->open && (!applier_flushed(applier, err) || !copy_goes_on(stream, err) ||
                           !errands_done(stream, err)))
        return false;
    return !beside_failed(stream, err);
}

static bool is_at_rest(const struct stream *stream)
{
    return all_durable(stream) &&
           (stream->between_goes_on == NULL || !stream->between_goes_on(stream->beside));
}

/* Applies what comes until the end. True when it ended in order, or for the source. The target
 * is never asked while the turn is ours: the answer may be long in coming. */
static bool apply_until_end(struct run *run, struct applier *applier, struct err *err)
{
    struct stream *stream = run->stream;
    for (bool our_turn = false;;) {
        struct batch *batch = NULL;
        usec_t until = clock_monotonic() + (is_at_rest(stream) ? FEEDBACK_EVERY : FLUSH_TICK);
        if (!next_batch(run, until, &batch, &our_turn))
            return true;
        if ((batch != NULL && !apply(run, applier, batch, err)) ||
            !look_around(stream, applier, err))
            return false;
        if (reached(stream))
            return true;
        our_turn = our_turn && take_turn(run);
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

static bool start_receiver(struct run *run, pthread_t *receiver, struct err *err)
{
    return pthread_create(receiver, NULL, receive_thread, run) == 0 ||
           err_set(err, ERR_RETRY, "cannot start the receive thread");
}

static void join_receiver(struct run *run, pthread_t receiver)
{
    atomic_store(&run->ending, true);
    (void)eventfd_write(run->stream->progress->idle_fd, 1);
    pthread_join(receiver, NULL);
}

/* Runs the apply loop beside the receive thread and brings both home. */
static bool run_both(struct run *run, struct applier *applier, struct err *err)
{
    pthread_t receiver;
    if (!start_receiver(run, &receiver, err))
        return false;
    bool ok = apply_until_end(run, applier, err);
    join_receiver(run, receiver);
    const struct err *failure =
        run->take_err.class != ERR_NONE ? &run->take_err : &run->receive_err;
    bool hard = failure->class != ERR_NONE && failure->class != ERR_RETRY;
    if ((ok && failure->class != ERR_NONE && !reached(run->stream)) ||
        (!ok && hard && err->class == ERR_RETRY)) {
        *err = *failure;
        ok = false;
    }
    return ok;
}

/* The run ends with them, and the next is to know. It would find out by itself, later. */
static void keep_open_breakers(const struct stream *stream)
{
    struct err failed = {0};
    if (!breakers_kept(stream, &failed))
        log_event(LOG_WARN, "an open breaker was not kept", log_text("error", failed.message));
}

/* ---- a run ---- */

static bool open_run(struct run *run, struct stream *stream, struct err *err)
{
    *run = (struct run){.stream = stream,
                        .lent_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
    if (run->lent_fd < 0)
        return err_set(err, ERR_RETRY, "timerfd: %s", strerror(errno));
    run->queue = queue_create(stream->queue_bytes);
    run->spare = queue_create(SPARE_BATCHES);
    run->batch = take_batch(run);
    return true;
}

static void close_run(struct run *run)
{
    if (run->lent_fd < 0)
        return;
    spooling_end(&run->spooling);
    drain(run->queue);
    drain(run->spare);
    batch_destroy(run->next);
    batch_destroy(run->batch);
    close(run->lent_fd);
}

static void tell_slot(struct stream *stream)
{
    struct err ignored = {0}; /* it learns it on the next start otherwise */
    (void)stream->source->ops->feedback(stream->source, progress_acked(stream->progress),
                                        &ignored);
}

static bool stream_both(struct run *run, struct err *err)
{
    struct stream *stream = run->stream;
    struct applier applier;
    run->applies = true;
    applier_init(&applier, stream, peek, run);
    atomic_store(&stream->progress->streaming, true);
    bool ok = run_both(run, &applier, err);
    if (!ok)
        keep_open_breakers(stream);
    atomic_store(&stream->progress->streaming, false);
    if (stream->handoff != NULL)
        stream->handoff->ops->ended(stream->handoff);
    if (ok)
        tell_slot(stream);
    if (applier.open || !ok)
        stream->sink->ops->disconnect(stream->sink);
    applier_free(&applier);
    return ok;
}

/* Where the source goes on for a target that has all up to `from`. */
static lsn_t resume_after(const struct stream *stream, lsn_t from)
{
    return stream->backlog == NULL ? from : stream->backlog->ops->resume(stream->backlog, from);
}

bool stream_run(struct stream *stream, lsn_t from, struct err *err)
{
    struct run run;
    lsn_t resume = resume_after(stream, from);
    if (!open_run(&run, stream, err))
        return false;
    bool ok = stream->source->ops->start(stream->source, resume, err);
    if (ok) {
        counter_set(&stream->progress->received, resume);
        counter_set(&stream->progress->applied, from);
        if (stream->handoff != NULL)
            stream->handoff->ops->reached(stream->handoff, from, NULL);
        ok = spooling_begin(&run.spooling, stream, from, err) && stream_both(&run, err);
        stream->source->ops->stop(stream->source);
    }
    close_run(&run);
    return ok;
}

/* What the source was told to be durable it may have thrown away. */
static bool check_no_gap(const struct stream *stream, lsn_t from, struct err *err)
{
    lsn_t acked = progress_acked(stream->progress);
    char here[LSN_TEXT_SIZE];
    char told[LSN_TEXT_SIZE];
    if (resume_after(stream, from) >= acked)
        return true;
    err_set(err, ERR_SOURCE_LOST,
            "gap: the target is back at LSN %s, and the source was told that it has all up to "
            "%s: it was restored, or failed over to a standby that was behind",
            lsn_format(from, here), lsn_format(acked, told));
    return err_remedy(err, "changes are missing: run `slackwater cleanup`, empty the target "
                           "tables, then run again");
}

/* ---- the supervisor ---- */

static bool settle_backlog(const struct stream *stream, struct err *err)
{
    return stream->backlog == NULL || stream->backlog->ops->settle(stream->backlog, err);
}

/* What was durable at a target that is back without it is not any more. */
static void correct_durable(const struct stream *stream, lsn_t from)
{
    if (from < counter_get(&stream->progress->durable))
        counter_set(&stream->progress->durable, from);
}

static bool reach_target(const struct stream *stream, bool connected, lsn_t *from,
                         struct err *err)
{
    if (!connected)
        stream->sink->ops->disconnect(stream->sink);
    return (connected || stream->sink->ops->connect(stream->sink, err)) &&
           stream->sink->ops->checkpoint(stream->sink, from, err);
}

/* Until the target answers: true, or the source or something else fails. */
static bool try_target(struct run *run, struct err *err)
{
    const struct stream *stream = run->stream;
    struct backoff backoff = backoff_between(RECONNECT_FIRST, RECONNECT_MOST);
    lsn_t ignored;
    while (!atomic_load(&run->home)) {
        log_event(LOG_WARN, "target failed, trying again", log_text("error", err->message),
                  log_text("sqlstate", err->sqlstate));
        counter_add(&stream->progress->retries, 1);
        if (backoff_wait(&backoff, stream->stop))
            return err_set(err, ERR_STOPPED, "stopped while the target was away");
        if (beside_failed(stream, err))
            return false;
        if (reach_target(stream, false, &ignored, err))
            return true;
        if (err->class != ERR_RETRY)
            return false;
        progress_failed(stream->progress, err);
    }
    *err = run->receive_err;
    return false;
}

static bool spool_until_target(struct run *run, struct err *err)
{
    pthread_t receiver;
    struct progress *progress = run->stream->progress;
    run->spooling = (struct spooling){.stream = run->stream, .backlog = run->stream->backlog};
    struct err away = *err;
    if (!spooling_turn(&run->spooling, "the target is away", err) ||
        !start_receiver(run, &receiver, err))
        return false;
    atomic_store(&progress->target_circuit, BREAKER_OPEN);
    bool ok = try_target(run, &away);
    join_receiver(run, receiver);
    atomic_store(&progress->target_circuit, ok ? BREAKER_HALF_OPEN : BREAKER_CLOSED);
    *err = run->receive_err.class != ERR_NONE ? run->receive_err : away;
    return ok && run->receive_err.class == ERR_NONE;
}

/* The target is away, as *err says: what comes meanwhile goes to the backlog, if there is one,
 * and it is known from where on it must reach. True when the target is back. */
static bool await_target(struct stream *stream, struct err *err)
{
    struct run run;
    if (err->class != ERR_RETRY || stream->backlog == NULL ||
        progress_acked(stream->progress) == LSN_NONE || !open_run(&run, stream, err))
        return false;
    bool ok = spool_until_target(&run, err);
    stream->source->ops->stop(stream->source);
    close_run(&run);
    return ok;
}

/* One round: connect, if it is not the first, resume, stream. */
static bool run_from_checkpoint(struct stream *stream, bool connected, struct err *err)
{
    lsn_t from = LSN_NONE;
    if (beside_failed(stream, err) || !settle_backlog(stream, err))
        return false;
    for (; !reach_target(stream, connected, &from, err); connected = false)
        if (!await_target(stream, err))
            return false;
    if (!settle_backlog(stream, err) || !check_no_gap(stream, from, err) ||
        !failpoint(STREAM_RESUMED, err) ||
        (stream->handoff != NULL && !stream->handoff->ops->resume(stream->handoff, err)) ||
        (stream->quarantine != NULL &&
         !stream->letters->ops->load(stream->letters, stream->quarantine, err)))
        return false;
    correct_durable(stream, from);
    log_event(LOG_INFO, "streaming", log_lsn("from", from));
    return stream_run(stream, from, err);
}

/* What makes no sense is not guessed, and is not tried again by itself either. */
static bool advise(struct err *err)
{
    if (err->class != ERR_CORRUPT || err->remedy[0] != '\0')
        return false;
    return err_remedy(err,
                      "run again: it resumes exactly before this. If it comes again, something "
                      "between slackwater and the servers alters what they say, or this is a "
                      "bug: please report it, with the versions of all three");
}

bool stream_supervise(struct stream *stream, struct err *err)
{
    struct backoff backoff = backoff_between(RECONNECT_FIRST, RECONNECT_MOST);
    for (bool connected = stream->connected;; connected = false) {
        lsn_t before = counter_get(&stream->progress->applied);
        if (run_from_checkpoint(stream, connected, err))
            return true;
        if (err->class == ERR_STOPPED || stop_requested(stream->stop))
            return true;
        if (err->class != ERR_RETRY)
            return advise(err);
        if (counter_get(&stream->progress->applied) > before)
            backoff_reset(&backoff);
        progress_failed(stream->progress, err);
        counter_add(&stream->progress->reconnects, 1);
        log_event(LOG_WARN, "stream ended, starting again", log_text("error", err->message),
                  log_text("sqlstate", err->sqlstate), log_text("remedy", err->remedy));
        if (backoff_wait(&backoff, stream->stop))
            return true;
    }
}
