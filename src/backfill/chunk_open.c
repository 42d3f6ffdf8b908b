/* A chunk's snapshot: taken, judged by the handoff, and held until the stream is there where the
 * rows need it (chunk_work.h). */
#include "backfill/chunk_work.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define COVER_FIRST (20 * USEC_PER_MS)
#define COVER_MOST USEC_PER_SEC
#define COVER_SAID (2 * USEC_PER_SEC) /* a wait that long is told */
#define PASS_PAUSE (50 * USEC_PER_MS)
/* For the stream, with a snapshot open; then twice that. */
#define AWAIT_FIRST (5 * USEC_PER_SEC)
#define AWAIT_MOST (60 * USEC_PER_SEC)

/* Once, when it has come to be long. */
static void tell_of_waiting(const struct chunk_work *work, enum snapshot_verdict verdict,
                            bool *told)
{
    if (*told || clock_monotonic() - work->began < COVER_SAID)
        return;
    *told = true;
    log_event(LOG_INFO,
              verdict == SNAPSHOT_HAS_OPEN
                  ? "a copy waits for transactions that are open at the source"
                  : "a copy waits for commits that new snapshots do not see yet",
              log_text("schema", work->task->parts[0].source->schema),
              log_text("table", work->task->parts[0].source->name));
}

/* For a snapshot that is good enough. True when the copy is to end. */
static bool wait_for_snapshot(struct worker *worker, enum snapshot_verdict verdict,
                              struct backoff *backoff)
{
    struct progress *progress = worker->copier->config.progress;
    counter_t *waiting = verdict == SNAPSHOT_HAS_OPEN ? &progress->waiting_for_ends
                                                      : &progress->waiting_for_commits;
    counter_add(waiting, 1);
    bool leave = copier_pause_or_leave(worker->copier, backoff);
    counter_add(waiting, (uint64_t)-1);
    return leave;
}

/* Opens the lane's next chunk and takes a snapshot that sees all it must. */
static enum chunk_opened take_snapshot(struct worker *worker, struct chunk_work *work,
                                       struct err *err)
{
    struct table_handoff *handoff = worker->copier->config.handoff;
    struct backoff backoff = backoff_between(COVER_FIRST, COVER_MOST);
    uint32_t table = work->task->table;
    bool told = false;
    bool again = false;
    for (;;) {
        const char *snapshot;
        if (again && held_back(worker->copier))
            return CHUNK_OPEN_NOT;
        if (!handoff_open(handoff, table, work->lane, &work->place))
            return CHUNK_OPEN_NOT;
        if (!worker->reader->ops->begin(worker->reader, work->task->parts[0].source, &snapshot,
                                        &work->record.lsn, err)) {
            handoff_failed(handoff, table, work->lane);
            return CHUNK_OPEN_FAILED;
        }
        enum snapshot_verdict verdict = handoff_read(handoff, table, work->lane, snapshot, err);
        switch (verdict) {
        case SNAPSHOT_TAKEN:
            work->record.snapshot = mem_string(snapshot);
            return CHUNK_OPENED;
        case SNAPSHOT_BAD:
            handoff_failed(handoff, table, work->lane);
            return CHUNK_OPEN_FAILED;
        case SNAPSHOT_TOO_OLD:
        case SNAPSHOT_HAS_OPEN:
            break;
        }
        again = true;
        worker->reader->ops->end(worker->reader);
        tell_of_waiting(work, verdict, &told);
        if (wait_for_snapshot(worker, verdict, &backoff)) {
            stopped(err);
            return CHUNK_OPEN_FAILED;
        }
    }
}

/* It does not go on while the workers are to keep off. */
bool chunk_let_stream_pass(struct worker *worker, const struct chunk_work *work,
                           struct err *err)
{
    const struct copier *copier = worker->copier;
    while (copier->config.beside_stream &&
           counter_get(&copier->config.progress->applied) < work->record.lsn &&
           !handoff_is_barred(copier->config.handoff, work->task->table)) {
        if (stop_wait(copier->config.stop, clock_monotonic() + PASS_PAUSE) || leaving(copier))
            return stopped(err);
    }
    return true;
}

/* Until the stream is where the snapshot is, but no longer than the patience, or into a pause.
 */
static enum stream_verdict await_stream(struct worker *worker, struct chunk_work *work,
                                        usec_t patience, struct err *err)
{
    usec_t until = clock_monotonic() + patience;
    for (;;) {
        usec_t now = clock_monotonic();
        usec_t look = now + HELD_PAUSE < until ? now + HELD_PAUSE : until;
        enum stream_verdict verdict =
            handoff_await(worker->copier->config.handoff, work->task->table, work->lane,
                          work->record.lsn, look, &work->record.stands_on, err);
        if (verdict != STREAM_BEHIND || look == until || held_back(worker->copier))
            return verdict;
    }
}

static void let_go(struct worker *worker, struct chunk_work *work)
{
    handoff_failed(worker->copier->config.handoff, work->task->table, work->lane);
    worker->reader->ops->end(worker->reader);
    free(work->record.snapshot);
    work->record.snapshot = NULL;
}

/* The stream was not there in time, or could not come there: counted and told, once for a
 * chunk. */
static void tell_of_stream(struct worker *worker, const struct chunk_work *work,
                           const char *what, bool *ahead)
{
    if (*ahead)
        return;
    *ahead = true;
    counter_add(&worker->copier->config.progress->copiers_ahead, 1);
    log_event(LOG_INFO, what, log_text("schema", work->task->parts[0].source->schema),
              log_text("table", work->task->parts[0].source->name));
}

/* A chunk of a table with parents waits for the stream before anything is read or written: so
 * no lock at the target is held that the stream may wait for. The snapshot is held, and its
 * locks at the source: so not for long, and when the stream is far behind it is let come nearer
 * first. */
static enum chunk_opened open_at_stream(struct worker *worker, struct chunk_work *work,
                                        bool *ahead, struct err *err)
{
    const struct copier *copier = worker->copier;
    struct backoff backoff = backoff_between(COVER_FIRST, COVER_MOST);
    usec_t patience = AWAIT_FIRST;
    for (;;) {
        bool stuck = false;
        enum chunk_opened opened = take_snapshot(worker, work, err);
        if (opened != CHUNK_OPENED || !work->task->has_parents || !copier->config.beside_stream)
            return opened;
        switch (await_stream(worker, work, patience, err)) {
        case STREAM_THERE:
            work->began = clock_monotonic(); /* a wait says nothing of the chunk's size */
            return CHUNK_OPENED;
        case STREAM_FAILED:
            let_go(worker, work);
            return CHUNK_OPEN_FAILED;
        case STREAM_BEHIND:
            if (!held_back(copier))
                tell_of_stream(worker, work, "a copy waits for the stream, which is far behind",
                               ahead);
            patience = patience * 2 < AWAIT_MOST ? patience * 2 : AWAIT_MOST;
            break;
        case STREAM_STUCK:
            stuck = true;
            if (clock_monotonic() - work->began >= COVER_SAID)
                tell_of_stream(worker, work,
                               "a copy gives way to changes of its rows again and again",
                               ahead);
            break;
        }
        let_go(worker, work);
        if (held_back(copier))
            return CHUNK_OPEN_NOT;
        if (stuck && copier_pause_or_leave(copier, &backoff)) {
            stopped(err);
            return CHUNK_OPEN_FAILED;
        }
        if (!chunk_let_stream_pass(worker, work, err))
            return CHUNK_OPEN_FAILED;
    }
}

enum chunk_opened chunk_open(struct worker *worker, struct chunk_work *work, struct err *err)
{
    bool ahead = false;
    enum chunk_opened opened = open_at_stream(worker, work, &ahead, err);
    if (ahead)
        counter_add(&worker->copier->config.progress->copiers_ahead, (uint64_t)-1);
    return opened;
}
