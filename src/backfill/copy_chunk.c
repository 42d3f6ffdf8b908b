/* One chunk, from its snapshot to its record (copier.h). */
#include "backfill/copy_worker.h"

#include "backfill/chunk_key.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/refusal.h"

#include <stdlib.h>
#include <string.h>

#define COVER_FIRST (20 * USEC_PER_MS)
#define COVER_MOST USEC_PER_SEC
#define COVER_SAID (2 * USEC_PER_SEC) /* a wait that long is told */
#define CLASHES_MOST 5                /* of one chunk, before its table is copied as one */
#define PASS_PAUSE (50 * USEC_PER_MS)
#define CHUNK_ROWS_MOST (10U << 20)
#define COUNT_EVERY                                                                            \
    1024 /* rows between two looks at the stop, and two updates of the counters */
#define AWAIT_FIRST                                                                            \
    (5 * USEC_PER_SEC) /* for the stream, with a snapshot open; then twice that */
#define AWAIT_MOST (60 * USEC_PER_SEC)
#define ORPHANS_MOST 3 /* readings of one chunk that a foreign key refuses */

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
    bool sifts; /* the target has refused a row: which, is to be found */
    bool told;  /* of the rows that are parked with it */
    int clashes, orphans;
};

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
    size_t number = (size_t)(part - work->task->parts);
    if (sift_leaves_out(&worker->sift, number, row))
        return true;
    if (work->sifts)
        return sift_take(&worker->sift, number, row, err);
    arena_reset(&worker->arena);
    switch (worker->transform->ops->row(worker->transform, part->target, row, &worker->arena,
                                        &out, err)) {
    case TRANSFORM_FILTERED:
        return true;
    case TRANSFORM_REFUSED:
        if (worker->sift.quarantine != NULL)
            return sift_refuse(&worker->sift, number, row, err, err);
        return err_wrap(err, "copying table %s.%s", part->source->schema, part->source->name);
    case TRANSFORM_FAILED:
        return err_wrap(err, "copying table %s.%s", part->source->schema, part->source->name);
    case TRANSFORM_WRITTEN:
        break;
    }
    work->record.rows++;
    worker->sift.uncounted++;
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

/* The first part finds out where the chunk ends; `last` is NULL for the others. The key is
 * taken from the rows at and past the bound, of which the last one's counts. */
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
            !copy_worker_keep_to_limits(worker, err))
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
    if (!worker->reader->ops->read(worker->reader, part->source, part->binary, work->task->key,
                                   range, err))
        return false;
    if (work->sifts)
        return copy_rows(worker, work, part, last, err) &&
               sift_end(&worker->sift, (size_t)(part - work->task->parts), err);
    return worker->writer->ops->load(worker->writer, part->target, part->binary, err) &&
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
    work->record.rows += worker->sift.rows;
    return ok &&
           (!worker->sift.again ||
            err_set(err, ERR_RETRY, "a row that one target refuses is in another already"));
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
    bool leave = copier_pause_or_leave(worker->copier, backoff);
    counter_add(waiting, (uint64_t)-1);
    return leave;
}

/* Opens the lane's next chunk and takes a snapshot that sees all it must. */
static enum opened take_snapshot(struct worker *worker, struct chunk_work *work,
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
            return OPEN_NOT;
        if (!handoff_open(handoff, table, work->lane, &work->place))
            return OPEN_NOT;
        if (!worker->reader->ops->begin(worker->reader, work->task->parts[0].source, &snapshot,
                                        &work->record.lsn, err)) {
            handoff_failed(handoff, table, work->lane);
            return OPEN_FAILED;
        }
        enum snapshot_verdict verdict = handoff_read(handoff, table, work->lane, snapshot, err);
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

/* The stream is to pass the chunk's snapshot, which is not held meanwhile. It does not go on
 * while the workers are to keep off. */
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
                               "a copy gives way to changes of its rows again and again",
                               ahead);
            break;
        }
        let_go(worker, work);
        if (held_back(copier))
            return OPEN_NOT;
        if (stuck && copier_pause_or_leave(copier, &backoff)) {
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
    if (!failpoint(COPY_SNAPSHOT, err) ||
        !worker->writer->ops->begin(worker->writer, task->table, work->staged, err) ||
        !copy_parts(worker, work, err) || !sift_settle(&worker->sift, err) ||
        !worker->reader->ops->settle(worker->reader, err) || !failpoint(COPY_READ, err))
        return false;
    work->committing = true;
    if (!worker->writer->ops->commit(worker->writer, &work->record, task->key->count, err) ||
        !failpoint(COPY_COMMITTED, err))
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
    if (worker->chunk_rows < copier_least_rows(worker->copier))
        worker->chunk_rows = copier_least_rows(worker->copier);
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
    counter_add(&worker->copier->config.progress->tables[work->task->table].copy_quarantined,
                worker->sift.parked);
    adapt_size(worker, work, took);
    log_event(LOG_DEBUG, "chunk copied", log_text("table", work->task->parts[0].source->name),
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
        copy_worker_disconnect(worker); /* the source may be away, and is not asked */
        if (worker->writer->ops->open(worker->writer, err) &&
            worker->writer->ops->outcome(worker->writer, work->task->table, &work->record,
                                         committed, err) &&
            failpoint(COPY_OUTCOME, err)) {
            worker->writer->ops->close(worker->writer);
            return true;
        }
        if (err->class != ERR_RETRY)
            return false;
        if (copier_pause_or_leave(copier, &backoff))
            return stopped(err);
    }
}

/* A duplicate key: by the stage, then when the stream has passed the snapshot and both sides
 * are of one time, then as one chunk. True to try again. */
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

/* A row without its parent. The parents are copied, and the stream had come to the snapshot: it
 * is no matter of time, unless the application writes the parent at the target. True to try
 * again. */
static bool resolve_orphan(struct worker *worker, struct chunk_work *work,
                           struct backoff *backoff, struct err *err)
{
    if (++work->orphans < ORPHANS_MOST)
        return (let_stream_pass(worker, work, err) &&
                !copier_pause_or_leave(worker->copier, backoff)) ||
               stopped(err);
    return err_remedy(err,
                      "a row refers to one that is not at the target: an orphan at the source "
                      "(`slackwater check` counts them), a parent that a rule leaves out, or "
                      "one removed at the target. Mend it, or drop the constraint until the "
                      "copy is complete; then run again");
}

/* Of refusals that are given time: whether they had it. NULL: others. */
static bool *had_its_time(struct worker *worker, const struct err *err)
{
    if (strcmp(err->sqlstate, REFUSAL_DUPLICATE_KEY) == 0)
        return &worker->sift.parks_clashes;
    return strcmp(err->sqlstate, REFUSAL_NO_PARENT) == 0 ? &worker->sift.parks_orphans : NULL;
}

/* What the target refuses for good is looked for, and parked. True to try again. */
static bool may_sift(struct worker *worker, struct chunk_work *work, const struct err *err)
{
    bool of_one_time = worker->copier->config.beside_stream || work->place.whole;
    bool *had = had_its_time(worker, err);
    if (worker->sift.quarantine == NULL || !refusal_is_of_row(err) ||
        (work->sifts && (had == NULL || *had)) ||
        (!of_one_time && strcmp(err->sqlstate, REFUSAL_DUPLICATE_KEY) == 0))
        return false;
    log_event(LOG_WARN, "rows of a chunk are refused: it is sifted",
              log_text("error", err->message), log_text("sqlstate", err->sqlstate));
    work->sifts = true;
    if (had != NULL)
        *had = true;
    return true;
}

/* What the times at which chunks are read bring with it, and waiting mends. */
static bool is_of_its_time(const struct err *err)
{
    return err->class == ERR_DATA && (strcmp(err->sqlstate, REFUSAL_DUPLICATE_KEY) == 0 ||
                                      strcmp(err->sqlstate, REFUSAL_NO_PARENT) == 0);
}

static bool resolve(struct worker *worker, struct chunk_work *work, struct backoff *backoff,
                    struct err *err)
{
    return strcmp(err->sqlstate, REFUSAL_DUPLICATE_KEY) == 0
               ? resolve_clash(worker, work, err)
               : resolve_orphan(worker, work, backoff, err);
}

static void note_failure(struct copier *copier, const struct err *err)
{
    if (err->class != ERR_STOPPED)
        progress_failed(copier->config.progress, err);
}

/* What failed was rolled back, or is about to be. True to try again. */
static bool recover(struct worker *worker, struct chunk_work *work, struct backoff *backoff,
                    struct err *err)
{
    struct copier *copier = worker->copier;
    bool of_its_time = is_of_its_time(err);
    if (of_its_time && resolve(worker, work, backoff, err))
        return true;
    note_failure(copier, err);
    if (of_its_time || err->class != ERR_RETRY)
        return may_sift(worker, work, err);
    if (worker->sift.again) /* it has learnt of a row, and nothing is wrong */
        return !leaving(copier) || stopped(err);
    counter_add(&copier->config.progress->retries, 1);
    counter_add(&copier->config.progress->tables[work->task->table].chunks_retried, 1);
    log_event(LOG_WARN, "a chunk failed and is copied again", log_text("error", err->message),
              log_text("sqlstate", err->sqlstate));
    return !copier_pause_or_leave(copier, backoff) || stopped(err);
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
    sift_lost(&worker->sift);
    handoff_failed(worker->copier->config.handoff, work->task->table, work->lane);
    return CHUNK_FAILED;
}

/* Changes of the keys that were parked with the chunk come behind them, as soon as it counts as
 * loaded. */
static bool tell_parked(struct worker *worker, struct chunk_work *work, struct err *err)
{
    struct backoff backoff = backoff_between(RETRY_FIRST, RETRY_MOST);
    struct sift *sift = &worker->sift;
    const struct table_writer_ops *ops = worker->writer->ops;
    bool told = sift->letter_count == 0 || work->told;
    while (!told && !ops->parked(worker->writer, sift->letters, sift->letter_count,
                                 sift->quarantine, err)) {
        do {
            if (err->class != ERR_RETRY)
                return false;
            copy_worker_disconnect(worker);
            if (copier_pause_or_leave(worker->copier, &backoff))
                return stopped(err);
        } while (!ops->open(worker->writer, err));
    }
    if (sift->letter_count > 0 && !work->told) {
        sift_told(sift);
        log_event(LOG_WARN, "rows of the copy are parked", log_uint("letters", sift->parked),
                  log_uint("first", sift->letters[0].id),
                  log_text("schema", work->task->parts[0].source->schema),
                  log_text("table", work->task->parts[0].source->name),
                  log_text("error", sift->letters[0].why->message));
    }
    work->told = true;
    return true;
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
        if (!tell_parked(worker, work, err))
            return CHUNK_FAILED;
        switch (handoff_loaded(worker->copier->config.handoff, work->task->table, &work->record,
                               err)) {
        case CHUNK_IS_LOADED:
            (void)failpoint(COPY_HANDED, NULL);
            sift_loaded(&worker->sift);
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
    work->told = false;
    sift_attempt(&worker->sift);
    if (!copy_worker_connect(worker, err))
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
    copy_worker_disconnect(worker);
    if (work->committing && (err->class == ERR_RETRY || err->class == ERR_STOPPED))
        return end_chunk(worker, work, true, err);
    return give_back(worker, work);
}

enum chunk_end copy_chunk(struct worker *worker, const struct copy_task *task, uint32_t lane,
                          struct err *err)
{
    struct backoff backoff = backoff_between(RETRY_FIRST, RETRY_MOST);
    struct chunk_work work = {.task = task, .lane = lane};
    sift_chunk(&worker->sift, task);
    for (;;) {
        enum chunk_end end = try_chunk(worker, &work, err);
        bool again = end == CHUNK_FAILED && recover(worker, &work, &backoff, err);
        forget_record(&work);
        if (!again)
            return end;
        copy_worker_disconnect(worker);
        if (held_back(worker->copier))
            return CHUNK_NONE; /* it is begun again later */
    }
}
