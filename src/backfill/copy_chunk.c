/* One chunk, from its snapshot to its record, as often as it takes (copier.h). */
#include "backfill/chunk_work.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "pipeline/refusal.h"

#include <string.h>

#define CLASHES_MOST 5 /* of one chunk, before its table is copied as one */
#define CHUNK_ROWS_MOST (10U << 20)
#define ORPHANS_MOST 3 /* readings of one chunk that a foreign key refuses */

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
        !chunk_rows_copy(worker, work, err) || !sift_settle(&worker->sift, err) ||
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
    chunk_rows_count(worker, work);
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
        return chunk_let_stream_pass(worker, work, err);
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
        return (chunk_let_stream_pass(worker, work, err) &&
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

/* A row that is not parked stops the run: what to do, unless it was said already. */
static bool advise(struct err *err)
{
    if (err->class != ERR_DATA || err->remedy[0] != '\0')
        return false;
    return err_remedy(
        err, "mend the row, its rule or the target's table, then run again: it goes on "
             "before this chunk; or have such rows parked: apply.on_bad_row: "
             "quarantine");
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
        return may_sift(worker, work, err) || advise(err);
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
    chunk_rows_uncount(worker, work);
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
    switch (chunk_open(worker, work, err)) {
    case CHUNK_OPEN_NOT:
        return CHUNK_NONE;
    case CHUNK_OPEN_FAILED:
        return CHUNK_FAILED;
    case CHUNK_OPENED:
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
