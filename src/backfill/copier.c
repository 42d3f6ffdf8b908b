/* Copies tables in chunks (copier.h). */
#include "backfill/copier.h"

#include "backfill/chunk_key.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/backoff.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST (500 * USEC_PER_MS)
#define RETRY_MOST (10 * USEC_PER_SEC)
#define COVER_FIRST (20 * USEC_PER_MS)
#define COVER_MOST USEC_PER_SEC
#define COVER_SAID (2 * USEC_PER_SEC) /* a wait that long is told */
#define BUSY_PAUSE (20 * USEC_PER_MS) /* others are at all that is left */
#define IDLE_PAUSE (100 * USEC_PER_MS) /* nothing is left for now */
#define HELD_PAUSE (100 * USEC_PER_MS) /* between two looks at the brake, or at a failure */
#define ROW_ARENA_KEEP (1 << 20)
#define LANES_PER_WORKER 4 /* so that no worker is left with a long one at the end */
#define LANES_MOST 4096    /* each has a bound in the question where a key lies */
#define USUAL_ROWS 200000  /* in a second, of a worker */
#define USUAL_BYTES (64 << 20)
#define CLASHES_MOST 5     /* of one chunk, before its table is copied as one */
#define PASS_PAUSE (50 * USEC_PER_MS)
#define CHUNK_ROWS_LEAST 500
#define CHUNK_ROWS_LEAST_LIMITED 10 /* where a limit makes rows slow */
#define CHUNK_ROWS_MOST (10U << 20)
#define COUNT_EVERY 1024 /* rows between two looks at the stop, and two updates of the counters */

#define AWAIT_FIRST (5 * USEC_PER_SEC) /* for the stream, with a snapshot open; then twice that */
#define AWAIT_MOST (60 * USEC_PER_SEC)
#define ORPHANS_MOST 3 /* readings of one chunk that a foreign key refuses */

static const char DUPLICATE_KEY[] = "23505";
static const char NO_PARENT[] = "23503";

struct copier {
    struct copier_config config;
    size_t worker_count;
    struct worker *workers;
    atomic_size_t running;
    atomic_bool failed;
    pthread_mutex_t lock; /* guards err */
    struct err err;       /* the first failure */
};

enum chunk_end { CHUNK_LOADED, CHUNK_NONE, CHUNK_FAILED };

/* A chunk in work. */
struct chunk_work {
    const struct copy_task *task;
    uint32_t lane;
    struct chunk_place place;
    struct chunk_record record;
    uint64_t counted_rows, counted_bytes; /* what the view has been told of it */
    usec_t began;
    bool committing; /* COMMIT was sent, and no answer read */
    bool staged;
    int clashes, orphans;
};

struct worker {
    struct copier *copier;
    pthread_t thread;
    struct table_reader *reader;
    struct table_writer *writer;
    struct transform *transform;
    struct arena arena; /* of the row in work */
    bool connected;
    const struct copy_task *sized_for; /* the table that chunk_rows was found at */
    uint64_t chunk_rows;               /* of the next chunk */
    struct throttle_account account;
};

static bool leaving(const struct copier *copier)
{
    return atomic_load(&copier->failed) || stop_requested(copier->config.stop);
}

static bool held_back(const struct copier *copier)
{
    return copier->config.brake != NULL && brake_is_on(copier->config.brake);
}

/* Pauses before the next attempt. True if there shall be none: the stop came, or another worker
 * has ended the copy. */
static bool pause_or_leave(const struct copier *copier, struct backoff *backoff)
{
    return backoff_wait(backoff, copier->config.stop) || leaving(copier);
}

static bool stopped(struct err *err)
{
    return err_set(err, ERR_STOPPED, "stopped");
}

static bool connect_worker(struct worker *worker, struct err *err)
{
    if (worker->connected)
        return true;
    worker->connected = worker->reader->ops->open(worker->reader, err) &&
                        worker->writer->ops->open(worker->writer, err);
    return worker->connected;
}

static void disconnect_worker(struct worker *worker)
{
    worker->writer->ops->rollback(worker->writer);
    worker->reader->ops->end(worker->reader);
    worker->writer->ops->close(worker->writer);
    worker->reader->ops->close(worker->reader);
    worker->connected = false;
}

/* ---- limits ---- */

/* Waits until what was read is within the limits. */
static bool keep_to_limits(struct worker *worker, struct err *err)
{
    struct copier *copier = worker->copier;
    usec_t now = clock_monotonic();
    if (copier->config.throttle == NULL)
        return true;
    usec_t until = throttle_take(copier->config.throttle, &worker->account, now);
    for (; now < until; now = clock_monotonic()) {
        usec_t look = now + HELD_PAUSE;
        if (stop_wait(copier->config.stop, look < until ? look : until) || leaving(copier))
            return stopped(err);
    }
    return true;
}

static bool is_limited(const struct copier *copier)
{
    return copier->config.throttle != NULL && throttle_limits(copier->config.throttle);
}

static uint64_t least_rows(const struct copier *copier)
{
    return is_limited(copier) ? CHUNK_ROWS_LEAST_LIMITED : CHUNK_ROWS_LEAST;
}

/* Not more than the limit lets through while a chunk should take, for all that wait in it wait
 * with a transaction open. How large rows are is not known before the first. */
static uint64_t first_rows(const struct copier *copier)
{
    const struct copier_config *config = &copier->config;
    uint64_t rows = config->chunk_rows;
    if (!is_limited(copier))
        return rows;
    uint64_t within = throttle_rows_in(config->throttle, config->chunk_time) /
                      (uint64_t)config->workers;
    rows = rows > CHUNK_ROWS_LEAST ? CHUNK_ROWS_LEAST : rows;
    rows = rows > within ? within : rows;
    return rows < CHUNK_ROWS_LEAST_LIMITED ? CHUNK_ROWS_LEAST_LIMITED : rows;
}

/* ---- the rows of a chunk ---- */

static void count_rows(struct worker *worker, struct chunk_work *work)
{
    struct table_counters *counters =
        &worker->copier->config.progress->tables[work->task->table];
    counter_add(&counters->copied_rows, work->record.rows - work->counted_rows);
    counter_add(&counters->copied_bytes, work->record.bytes - work->counted_bytes);
    work->counted_rows = work->record.rows;
    work->counted_bytes = work->record.bytes;
}

/* The chunk did not come to be. */
static void uncount_rows(struct worker *worker, struct chunk_work *work)
{
    work->record.rows = work->record.bytes = 0;
    count_rows(worker, work);
}

static bool copy_row(struct worker *worker, const struct copy_part *part, const struct row *row,
                     struct chunk_work *work, struct err *err)
{
    struct row out = {0};
    arena_reset(&worker->arena);
    switch (worker->transform->ops->row(worker->transform, part->target, row, &worker->arena,
                                        &out, err)) {
    case TRANSFORM_FILTERED:
        return true;
    case TRANSFORM_FAILED:
        return err_wrap(err, "copying table %s.%s", part->source->schema, part->source->name);
    case TRANSFORM_WRITTEN:
        break;
    }
    work->record.rows++;
    return worker->writer->ops->write(worker->writer, &out, err);
}

/* Where the chunk ends is where its last row is. */
struct last_key {
    uint64_t rows; /* read, whatever became of them */
    char **texts;  /* NULL: not one row */
};

static void forget_key(struct last_key *last, uint16_t count)
{
    for (uint16_t i = 0; last->texts != NULL && i < count; i++)
        free(last->texts[i]);
    free(last->texts);
    last->texts = NULL;
}

static bool note_key(const struct copy_task *task, const struct relation *relation,
                     const struct row *row, struct last_key *last, struct err *err)
{
    const struct copy_key *key = task->key;
    forget_key(last, key->count);
    last->texts = mem_zero(key->count, sizeof *last->texts);
    for (uint16_t i = 0; i < key->count; i++) {
        int column = relation_column(relation, key->columns[i].name);
        if (column >= 0)
            last->texts[i] = chunk_key_text(&key->columns[i], &row->values[column]);
        if (last->texts[i] == NULL)
            return err_set(err, ERR_DATA, "%s.%s: a key column %s that cannot be read",
                           relation->schema, relation->name, key->columns[i].name);
    }
    return true;
}

/* The first part finds out where the chunk ends; `last` is NULL for the others. The key is taken
 * from the rows at and past the bound, of which the last one's counts. */
static bool copy_rows(struct worker *worker, struct chunk_work *work,
                      const struct copy_part *part, struct last_key *last, struct err *err)
{
    const struct copier *copier = worker->copier;
    uint64_t bound = work->place.range.most_rows;
    for (uint64_t read = 1;; read++) {
        struct row row;
        size_t bytes = 0;
        if (read % COUNT_EVERY == 0) {
            count_rows(worker, work);
            if (leaving(copier))
                return stopped(err);
        }
        switch (worker->reader->ops->next(worker->reader, &row, &bytes, err)) {
        case TABLE_END:
            return true;
        case TABLE_FAILED:
            return false;
        case TABLE_ROW:
            break;
        }
        work->record.bytes += bytes;
        if (copier->config.throttle != NULL &&
            throttle_count(copier->config.throttle, &worker->account, bytes) &&
            !keep_to_limits(worker, err))
            return false;
        if (last != NULL && bound > 0 && ++last->rows >= bound &&
            !note_key(work->task, part->source, &row, last, err))
            return false;
        if (!copy_row(worker, part, &row, work, err))
            return false;
    }
}

static bool copy_part(struct worker *worker, struct chunk_work *work,
                      const struct copy_part *part, const struct copy_range *range,
                      struct last_key *last, struct err *err)
{
    return worker->reader->ops->read(worker->reader, part->source, part->binary,
                                     work->task->key, range, err) &&
           worker->writer->ops->load(worker->writer, part->target, part->binary, err) &&
           copy_rows(worker, work, part, last, err) &&
           worker->writer->ops->loaded(worker->writer, &work->record.met, err);
}

/* The range once for each target, all under the snapshot that was taken. */
static bool copy_parts(struct worker *worker, struct chunk_work *work, struct err *err)
{
    struct copy_range range = work->place.range;
    struct last_key last = {0};
    bool ok = copy_part(worker, work, &work->task->parts[0], &range, &last, err);
    if (ok && last.texts != NULL) { /* else the lane's end was reached */
        work->record.upto = last.texts;
        last.texts = NULL;
    }
    forget_key(&last, work->task->key->count);
    range.most_rows = 0;
    range.upto = (const char *const *)work->record.upto;
    for (size_t i = 1; ok && i < work->task->part_count; i++)
        ok = copy_part(worker, work, &work->task->parts[i], &range, NULL, err);
    return ok;
}

/* ---- a chunk ---- */

enum opened { OPENED, OPEN_NOT, OPEN_FAILED };

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
    bool leave = pause_or_leave(worker->copier, backoff);
    counter_add(waiting, (uint64_t)-1);
    return leave;
}

/* Opens the lane's next chunk and takes a snapshot that sees all it must. */
static enum opened take_snapshot(struct worker *worker, struct chunk_work *work, struct err *err)
{
    struct table_handoff *handoff = worker->copier->config.handoff;
    struct backoff backoff = backoff_between(COVER_FIRST, COVER_MOST);
    uint32_t table = work->task->table;
    bool told = false;
    bool again = false;
    for (;;) {
        const char *snapshot;
        if (again && held_back(worker->copier))
            return OPEN_NOT;
        if (!handoff_open(handoff, table, work->lane, &work->place))
            return OPEN_NOT;
        if (!worker->reader->ops->begin(worker->reader, work->task->parts[0].source, &snapshot,
                                        &work->record.lsn, err)) {
            handoff_failed(handoff, table, work->lane);
            return OPEN_FAILED;
        }
        enum snapshot_verdict verdict =
            handoff_read(handoff, table, work->lane, snapshot, err);
        switch (verdict) {
        case SNAPSHOT_TAKEN:
            work->record.snapshot = mem_string(snapshot);
            return OPENED;
        case SNAPSHOT_BAD:
            handoff_failed(handoff, table, work->lane);
            return OPEN_FAILED;
        case SNAPSHOT_TOO_OLD:
        case SNAPSHOT_HAS_OPEN:
            break;
        }
        again = true;
        worker->reader->ops->end(worker->reader);
        tell_of_waiting(work, verdict, &told);
        if (wait_for_snapshot(worker, verdict, &backoff)) {
            stopped(err);
            return OPEN_FAILED;
        }
    }
}

/* The stream is to pass the chunk's snapshot, which is not held meanwhile. It does not go on while
 * the workers are to keep off. */
static bool let_stream_pass(struct worker *worker, const struct chunk_work *work,
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

/* Until the stream is where the snapshot is, but no longer than the patience, or into a pause. */
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

/* The stream was not there in time, or could not come there: counted and told, once for a chunk. */
static void tell_of_stream(struct worker *worker, const struct chunk_work *work,
                           const char *what, bool *ahead)
{
    if (*ahead)
        return;
    *ahead = true;
    counter_add(&worker->copier->config.progress->copiers_ahead, 1);
    log_event(LOG_INFO, what,
              log_text("schema", work->task->parts[0].source->schema),
              log_text("table", work->task->parts[0].source->name));
}

/* A chunk of a table with parents waits for the stream before anything is read or written: so no
 * lock at the target is held that the stream may wait for. The snapshot is held, and its locks at
 * the source: so not for long, and when the stream is far behind it is let come nearer first. */
static enum opened open_at_stream(struct worker *worker, struct chunk_work *work, bool *ahead,
                                  struct err *err)
{
    const struct copier *copier = worker->copier;
    struct backoff backoff = backoff_between(COVER_FIRST, COVER_MOST);
    usec_t patience = AWAIT_FIRST;
    for (;;) {
        bool stuck = false;
        enum opened opened = take_snapshot(worker, work, err);
        if (opened != OPENED || !work->task->has_parents || !copier->config.beside_stream)
            return opened;
        switch (await_stream(worker, work, patience, err)) {
        case STREAM_THERE:
            work->began = clock_monotonic(); /* a wait says nothing of the chunk's size */
            return OPENED;
        case STREAM_FAILED:
            let_go(worker, work);
            return OPEN_FAILED;
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
                               "a copy gives way to changes of its rows again and again", ahead);
            break;
        }
        let_go(worker, work);
        if (held_back(copier))
            return OPEN_NOT;
        if (stuck && pause_or_leave(copier, &backoff)) {
            stopped(err);
            return OPEN_FAILED;
        }
        if (!let_stream_pass(worker, work, err))
            return OPEN_FAILED;
    }
}

static enum opened open_chunk(struct worker *worker, struct chunk_work *work, struct err *err)
{
    bool ahead = false;
    enum opened opened = open_at_stream(worker, work, &ahead, err);
    if (ahead)
        counter_add(&worker->copier->config.progress->copiers_ahead, (uint64_t)-1);
    return opened;
}

static bool read_and_write(struct worker *worker, struct chunk_work *work, struct err *err)
{
    const struct copy_task *task = work->task;
    work->record.lane = work->lane;
    work->record.number = work->place.number;
    work->record.begun = work->place.begun;
    work->place.range.most_rows = work->place.to_end ? 0 : worker->chunk_rows;
    work->staged = work->staged || work->place.staged;
    if (!worker->writer->ops->begin(worker->writer, task->table, work->staged, err) ||
        !copy_parts(worker, work, err) ||
        !worker->reader->ops->settle(worker->reader, err))
        return false;
    work->committing = true;
    if (!worker->writer->ops->commit(worker->writer, &work->record, task->key->count, err))
        return false;
    work->committing = false;
    return true;
}

/* Larger or smaller, so that the next takes about the time it should. */
static void adapt_size(struct worker *worker, const struct chunk_work *work, usec_t took)
{
    double factor = (double)worker->copier->config.chunk_time / (double)(took > 0 ? took : 1);
    if (work->record.upto == NULL) /* it was cut short by the lane's end */
        return;
    factor = factor > 2.0 ? 2.0 : factor < 0.5 ? 0.5 : factor;
    worker->chunk_rows = (uint64_t)((double)worker->chunk_rows * factor);
    if (worker->chunk_rows < least_rows(worker->copier))
        worker->chunk_rows = least_rows(worker->copier);
    if (worker->chunk_rows > CHUNK_ROWS_MOST)
        worker->chunk_rows = CHUNK_ROWS_MOST;
}

/* Once a table, and counted on. */
static void note_met(struct worker *worker, const struct chunk_work *work)
{
    struct table_counters *counters =
        &worker->copier->config.progress->tables[work->task->table];
    if (work->record.met == 0)
        return;
    if (counter_add(&counters->copy_overwritten, work->record.met) == 0)
        log_event(LOG_WARN, "the copy overwrites rows that others wrote to the target",
                  log_text("schema", work->task->parts[0].source->schema),
                  log_text("table", work->task->parts[0].source->name),
                  log_text("then", "the source's values stand; how many they are is counted"));
}

static void note_loaded(struct worker *worker, struct chunk_work *work)
{
    usec_t took = clock_monotonic() - work->began;
    count_rows(worker, work);
    note_met(worker, work);
    counter_add(&worker->copier->config.progress->tables[work->task->table].chunks_copied, 1);
    adapt_size(worker, work, took);
    log_event(LOG_DEBUG, "chunk copied",
              log_text("table", work->task->parts[0].source->name),
              log_uint("lane", work->lane), log_uint("number", work->place.number),
              log_uint("rows", work->record.rows),
              log_real("seconds", (double)took / USEC_PER_SEC));
}

/* After a COMMIT without answer, on new connections: what came of it. Until that is known the
 * chunk stays in flight, and changes of its rows wait. */
static bool learn_outcome(struct worker *worker, struct chunk_work *work, bool *committed,
                          struct err *err)
{
    struct copier *copier = worker->copier;
    struct backoff backoff = backoff_between(RETRY_FIRST, RETRY_MOST);
    for (;;) {
        disconnect_worker(worker); /* the source may be away, and is not asked */
        if (worker->writer->ops->open(worker->writer, err) &&
            worker->writer->ops->outcome(worker->writer, work->task->table, &work->record,
                                         committed, err)) {
            worker->writer->ops->close(worker->writer);
            return true;
        }
        if (err->class != ERR_RETRY)
            return false;
        if (pause_or_leave(copier, &backoff))
            return stopped(err);
    }
}

/* A duplicate key: by the stage, then when the stream has passed the snapshot and both sides are
 * of one time, then as one chunk. True to try again. */
static bool resolve_clash(struct worker *worker, struct chunk_work *work, struct err *err)
{
    struct copier *copier = worker->copier;
    bool keyed = work->task->parts[0].target->match == MATCH_KEY;
    if (work->record.met > 0)
        handoff_met_rows(copier->config.handoff, work->task->table);
    if (!work->staged && keyed) {
        work->staged = true;
        return true;
    }
    if (!work->place.whole && !copier->config.beside_stream) {
        err_remedy(err, "chunks of different times may clash in a unique index: run without "
                        "--no-stream, or build the index after the copy");
        return false;
    }
    if (!work->place.whole && ++work->clashes < CLASHES_MOST)
        return let_stream_pass(worker, work, err);
    if (!work->place.whole && handoff_begin_anew(copier->config.handoff, work->task->table))
        return true;
    err_remedy(err, "rows clash in a unique key of the target, among themselves or with rows "
                    "that others wrote there: mend those, or drop the index until the copy is "
                    "through; then run again");
    return false;
}

/* A row without its parent. The parents are copied, and the stream had come to the snapshot: it is
 * no matter of time, unless the application writes the parent at the target. True to try again. */
static bool resolve_orphan(struct worker *worker, struct chunk_work *work,
                           struct backoff *backoff, struct err *err)
{
    if (++work->orphans < ORPHANS_MOST)
        return (let_stream_pass(worker, work, err) &&
                !pause_or_leave(worker->copier, backoff)) ||
               stopped(err);
    return err_remedy(err, "a row refers to one that is not at the target: an orphan at the source "
                           "(`slackwater check` counts them), a parent that a rule leaves out, or "
                           "one removed at the target. Mend it, or drop the constraint until the "
                           "copy is complete; then run again");
}

/* What failed was rolled back, or is about to be. True to try again. */
static bool recover(struct worker *worker, struct chunk_work *work, struct backoff *backoff,
                    struct err *err)
{
    struct copier *copier = worker->copier;
    if (err->class != ERR_STOPPED)
        progress_failed(copier->config.progress, err);
    if (err->class == ERR_DATA && strcmp(err->sqlstate, DUPLICATE_KEY) == 0)
        return resolve_clash(worker, work, err);
    if (err->class == ERR_DATA && strcmp(err->sqlstate, NO_PARENT) == 0)
        return resolve_orphan(worker, work, backoff, err);
    if (err->class != ERR_RETRY)
        return false;
    counter_add(&copier->config.progress->retries, 1);
    counter_add(&copier->config.progress->tables[work->task->table].chunks_retried, 1);
    log_event(LOG_WARN, "a chunk failed and is copied again", log_text("error", err->message),
              log_text("sqlstate", err->sqlstate));
    return !pause_or_leave(copier, backoff) || stopped(err);
}

static void forget_record(struct chunk_work *work)
{
    chunk_record_free(&work->record, work->task->key->count);
    work->record = (struct chunk_record){0};
}

/* The chunk was surely not committed. */
static enum chunk_end give_back(struct worker *worker, struct chunk_work *work)
{
    uncount_rows(worker, work);
    handoff_failed(worker->copier->config.handoff, work->task->table, work->lane);
    return CHUNK_FAILED;
}

/* Asks, as long as there is something to ask: whoever answers may be gone by then. */
static enum chunk_end end_chunk(struct worker *worker, struct chunk_work *work, bool ask,
                                struct err *err)
{
    const struct err lost = *err; /* how the reply was */
    for (;;) {
        bool committed = true;
        if (ask && !learn_outcome(worker, work, &committed, err))
            return CHUNK_FAILED; /* still in flight, for all that is known */
        if (!committed) {
            err_set(err, ERR_RETRY, "the target does not have the chunk");
            if (lost.class != ERR_NONE)
                *err = lost;
            return give_back(worker, work);
        }
        switch (handoff_loaded(worker->copier->config.handoff, work->task->table,
                               &work->record, err)) {
        case CHUNK_IS_LOADED:
            note_loaded(worker, work);
            return CHUNK_LOADED;
        case CHUNK_BAD:
            return CHUNK_FAILED;
        case CHUNK_TO_ASK:
            ask = true;
        }
    }
}

/* One attempt at the lane's next chunk. */
static enum chunk_end try_chunk(struct worker *worker, struct chunk_work *work, struct err *err)
{
    work->began = clock_monotonic();
    work->committing = false;
    work->counted_rows = work->counted_bytes = 0;
    if (!connect_worker(worker, err))
        return CHUNK_FAILED;
    switch (open_chunk(worker, work, err)) {
    case OPEN_NOT:
        return CHUNK_NONE;
    case OPEN_FAILED:
        return CHUNK_FAILED;
    case OPENED:
        break;
    }
    if (read_and_write(worker, work, err)) {
        worker->reader->ops->end(worker->reader);
        return end_chunk(worker, work, false, err);
    }
    disconnect_worker(worker);
    if (work->committing && (err->class == ERR_RETRY || err->class == ERR_STOPPED))
        return end_chunk(worker, work, true, err);
    return give_back(worker, work);
}

/* The lane's next chunk until it is there, or a failure that does not pass. */
static enum chunk_end copy_chunk(struct worker *worker, const struct copy_task *task,
                                 uint32_t lane, struct err *err)
{
    struct backoff backoff = backoff_between(RETRY_FIRST, RETRY_MOST);
    struct chunk_work work = {.task = task, .lane = lane};
    for (;;) {
        enum chunk_end end = try_chunk(worker, &work, err);
        bool again = end == CHUNK_FAILED && recover(worker, &work, &backoff, err);
        forget_record(&work);
        if (!again)
            return end;
        disconnect_worker(worker);
        if (held_back(worker->copier))
            return CHUNK_NONE; /* it is begun again later */
    }
}

/* ---- a table ---- */

/* Chunks until the lane's end. */
static bool copy_lane(struct worker *worker, const struct copy_task *task, uint32_t lane,
                      struct err *err)
{
    struct copier *copier = worker->copier;
    enum chunk_end end = CHUNK_LOADED;
    if (worker->sized_for != task)
        worker->chunk_rows = first_rows(copier);
    worker->sized_for = task;
    while (end == CHUNK_LOADED && !leaving(copier) && !held_back(copier))
        end = keep_to_limits(worker, err) ? copy_chunk(worker, task, lane, err) : CHUNK_FAILED;
    handoff_release(copier->config.handoff, task->table, CLAIM_LANE, lane);
    return end != CHUNK_FAILED;
}

static uint64_t in_chunk_time(const struct copier *copier, uint64_t per_second)
{
    return (uint64_t)((double)per_second * (double)copier->config.chunk_time / USEC_PER_SEC) + 1;
}

/* Lanes of one chunk each are to be of the size that chunks come to have. */
static size_t lanes_of(const struct copier *copier, const struct copy_task *task)
{
    size_t lanes = (size_t)copier->config.workers * LANES_PER_WORKER;
    if (!copy_key_is_asked(task->key))
        return lanes;
    uint64_t rows = first_rows(copier);
    uint64_t usual = in_chunk_time(copier, USUAL_ROWS);
    if (!is_limited(copier) && usual > rows)
        rows = usual;
    uint64_t by_rows = task->rows / rows;
    uint64_t by_bytes = task->bytes / in_chunk_time(copier, USUAL_BYTES);
    uint64_t wanted = by_rows > by_bytes ? by_rows : by_bytes;
    wanted = wanted > LANES_MOST ? LANES_MOST : wanted;
    return wanted > lanes ? (size_t)wanted : lanes;
}

static bool make_plan(struct worker *worker, const struct copy_task *task,
                      struct copy_plan *plan, struct err *err)
{
    struct copier *copier = worker->copier;
    *plan = (struct copy_plan){.whole = true};
    if (!connect_worker(worker, err))
        return false;
    if (task->chunked && !handoff_must_be_whole(copier->config.handoff, task->table) &&
        !worker->reader->ops->plan(worker->reader, task->parts[0].source, task->key,
                                   lanes_of(copier, task), plan, err))
        return false;
    plan->made = true;
    plan->key = copy_key_text(task->key);
    return worker->writer->ops->plan(worker->writer, task->table, plan, err);
}

static bool plan_table(struct worker *worker, const struct copy_task *task, struct err *err)
{
    struct table_handoff *handoff = worker->copier->config.handoff;
    struct copy_plan plan;
    if (make_plan(worker, task, &plan, err))
        return handoff_planned(handoff, task->table, &plan, err);
    copy_plan_free(&plan);
    handoff_release(handoff, task->table, CLAIM_PLAN, 0);
    return false;
}

static void note_finished(struct worker *worker, const struct copy_task *task)
{
    const struct copier_config *config = &worker->copier->config;
    const struct table_counters *counters = &config->progress->tables[task->table];
    handoff_finished(config->handoff, task->table);
    atomic_store(&config->states[task->table], COPIER_DONE);
    log_event(LOG_INFO, "table copied", log_text("schema", task->parts[0].source->schema),
              log_text("table", task->parts[0].source->name),
              log_uint("rows", counter_get(&counters->copied_rows)),
              log_uint("bytes", counter_get(&counters->copied_bytes)));
}

static bool build_index(struct worker *worker, const struct copy_task *task, const char *name,
                        struct err *err)
{
    usec_t began = clock_monotonic();
    atomic_store(&worker->copier->config.states[task->table], COPIER_INDEXING);
    log_event(LOG_INFO, "building an index that was dropped for the copy",
              log_text("index", name));
    if (!worker->writer->ops->build_index(worker->writer,
                                          worker->copier->config.beside_stream, err))
        return false;
    log_event(LOG_INFO, "index built", log_text("index", name),
              log_real("seconds", (double)(clock_monotonic() - began) / USEC_PER_SEC));
    disconnect_worker(worker);
    return true;
}

static bool build_indexes(struct worker *worker, const struct copy_task *task, struct err *err)
{
    for (;;) {
        const char *name;
        if (!connect_worker(worker, err) ||
            !worker->writer->ops->next_index(worker->writer, task->table, &name, err))
            return false;
        if (name == NULL)
            return true;
        if (!build_index(worker, task, name, err))
            return false;
    }
}

static bool finish_table(struct worker *worker, const struct copy_task *task, struct err *err)
{
    if (build_indexes(worker, task, err) &&
        worker->writer->ops->finish(worker->writer, task->table, err)) {
        note_finished(worker, task);
        return true;
    }
    handoff_release(worker->copier->config.handoff, task->table, CLAIM_LAST, 0);
    return false;
}

/* ---- a worker ---- */

enum found { FOUND_WORK, FOUND_BUSY, FOUND_NOTHING };

/* Nobody waits for the stream: other tables can be copied meanwhile. */
static bool is_too_early(const struct copier *copier, const struct copy_task *task,
                         enum claim claim)
{
    const struct copier_config *config = &copier->config;
    if (claim != CLAIM_LAST || !config->builds_indexes || !config->beside_stream)
        return false;
    lsn_t applied = counter_get(&config->progress->applied);
    return applied < config->build_from || applied < handoff_last(config->handoff, task->table);
}

/* The first work in the order of the tasks. */
static enum found find_work(const struct copier *copier, const struct copy_task **task,
                            enum claim *claim, uint32_t *lane)
{
    enum found found = FOUND_NOTHING;
    for (size_t i = 0; i < copier->config.task_count; i++) {
        *task = &copier->config.tasks[i];
        *claim = handoff_claim(copier->config.handoff, (*task)->table, lane);
        if (is_too_early(copier, *task, *claim)) {
            handoff_release(copier->config.handoff, (*task)->table, *claim, *lane);
            *claim = CLAIM_BUSY;
        }
        if (*claim == CLAIM_BUSY)
            found = FOUND_BUSY;
        else if (*claim != CLAIM_DONE)
            return FOUND_WORK;
    }
    return found;
}

static bool do_work(struct worker *worker, const struct copy_task *task, enum claim claim,
                    uint32_t lane, struct err *err)
{
    atomic_store(&worker->copier->config.states[task->table], COPIER_COPYING);
    switch (claim) {
    case CLAIM_LANE:
        return copy_lane(worker, task, lane, err);
    case CLAIM_PLAN:
        return plan_table(worker, task, err);
    case CLAIM_LAST:
        return finish_table(worker, task, err);
    case CLAIM_BUSY:
    case CLAIM_DONE:
        break;
    }
    return true;
}

static void report_failure(struct copier *copier, const struct err *err)
{
    if (err->class == ERR_STOPPED)
        return;
    pthread_mutex_lock(&copier->lock);
    if (!atomic_load(&copier->failed))
        copier->err = *err;
    atomic_store(&copier->failed, true);
    pthread_mutex_unlock(&copier->lock);
    handoff_give_up(copier->config.handoff);
}

/* Planning and finishing fail in passing too; chunks see to themselves. */
static bool survive(struct worker *worker, struct backoff *backoff, struct err *err)
{
    disconnect_worker(worker);
    if (err->class != ERR_RETRY)
        return false;
    progress_failed(worker->copier->config.progress, err);
    counter_add(&worker->copier->config.progress->retries, 1);
    log_event(LOG_WARN, "the copy was interrupted, trying again",
              log_text("error", err->message), log_text("sqlstate", err->sqlstate));
    return !pause_or_leave(worker->copier, backoff) || stopped(err);
}

/* Until the stream has passed the last snapshot it may find that a copy must begin anew. */
static bool may_come_back(const struct copier *copier)
{
    return copier->config.beside_stream && !handoff_is_settled(copier->config.handoff);
}

static void work_until_done(struct worker *worker)
{
    struct copier *copier = worker->copier;
    struct backoff backoff = backoff_between(RETRY_FIRST, RETRY_MOST);
    while (!leaving(copier)) {
        const struct copy_task *task;
        enum claim claim;
        uint32_t lane = 0;
        struct err err = {0};
        if (held_back(copier)) { /* with nothing claimed, for the stream may want a table anew */
            disconnect_worker(worker);
            (void)stop_wait(copier->config.stop, clock_monotonic() + HELD_PAUSE);
            continue;
        }
        switch (find_work(copier, &task, &claim, &lane)) {
        case FOUND_NOTHING:
            if (!may_come_back(copier))
                return;
            disconnect_worker(worker);
            (void)stop_wait(copier->config.stop, clock_monotonic() + IDLE_PAUSE);
            continue;
        case FOUND_BUSY:
            (void)stop_wait(copier->config.stop, clock_monotonic() + BUSY_PAUSE);
            continue;
        case FOUND_WORK:
            break;
        }
        if (do_work(worker, task, claim, lane, &err)) {
            backoff_reset(&backoff);
        } else if (!survive(worker, &backoff, &err)) {
            report_failure(copier, &err);
            return;
        }
    }
}

static void *worker_thread(void *argument)
{
    struct worker *worker = argument;
    work_until_done(worker);
    disconnect_worker(worker);
    atomic_fetch_sub(&worker->copier->running, 1);
    return NULL;
}

/* ---- life cycle ---- */

static void make_worker(struct copier *copier, struct worker *worker)
{
    const struct copier_config *config = &copier->config;
    *worker = (struct worker){
        .copier = copier,
        .reader = config->make_reader(config->context),
        .writer = config->make_writer(config->context),
        .transform = config->transform->ops->clone(config->transform),
    };
    arena_init(&worker->arena, ROW_ARENA_KEEP);
}

static void destroy_worker(struct worker *worker)
{
    worker->reader->ops->destroy(worker->reader);
    worker->writer->ops->destroy(worker->writer);
    worker->transform->ops->destroy(worker->transform);
    arena_free(&worker->arena);
}

bool copier_start(const struct copier_config *config, struct copier **copier, struct err *err)
{
    struct copier *c = mem_zero(1, sizeof *c);
    c->config = *config;
    c->workers = mem_zero((size_t)config->workers + 1, sizeof *c->workers);
    pthread_mutex_init(&c->lock, NULL);
    while (c->worker_count < (size_t)config->workers) {
        struct worker *worker = &c->workers[c->worker_count];
        make_worker(c, worker);
        atomic_fetch_add(&c->running, 1);
        if (pthread_create(&worker->thread, NULL, worker_thread, worker) != 0) {
            atomic_fetch_sub(&c->running, 1);
            destroy_worker(worker);
            break;
        }
        c->worker_count++;
    }
    if (c->worker_count == 0) {
        copier_join(c);
        return err_set(err, ERR_RETRY, "cannot start a copy worker");
    }
    *copier = c;
    return true;
}

bool copier_is_done(const struct copier *copier)
{
    return atomic_load(&((struct copier *)(uintptr_t)copier)->running) == 0;
}

bool copier_has_failed(struct copier *copier, struct err *err)
{
    if (!atomic_load(&copier->failed))
        return false;
    pthread_mutex_lock(&copier->lock);
    *err = copier->err;
    pthread_mutex_unlock(&copier->lock);
    return true;
}

void copier_join(struct copier *copier)
{
    if (copier == NULL)
        return;
    for (size_t i = 0; i < copier->worker_count; i++) {
        pthread_join(copier->workers[i].thread, NULL);
        destroy_worker(&copier->workers[i]);
    }
    pthread_mutex_destroy(&copier->lock);
    free(copier->workers);
    free(copier);
}
