/* The next batch, made ahead (ahead.h). */
#include "pipeline/ahead.h"

#include "base/failpoint.h"
#include "pipeline/quarantine.h"

void ahead_init(struct ahead *ahead, const struct stream *stream, ahead_next next,
                void *context)
{
    *ahead = (struct ahead){.stream = stream, .next = next, .context = context};
    making_init(&ahead->making, stream->transform, stream->progress->table_count);
}

/* The sink may have begun on what was made. */
static void drop(struct ahead *ahead)
{
    struct sink *sink = ahead->stream->sink;
    if (sink->ops->prepare != NULL)
        sink->ops->prepare(sink, NULL);
    ahead->batch = NULL;
    ahead->made = false;
}

void ahead_free(struct ahead *ahead)
{
    drop(ahead);
    making_free(&ahead->making);
}

void ahead_forget(struct ahead *ahead, const struct batch *batch)
{
    if (ahead->batch == batch)
        drop(ahead);
}

/* ---- what hangs on the batch before ---- */

static bool is_copying(const struct stream *stream)
{
    return stream->handoff != NULL && !stream->handoff->ops->complete(stream->handoff);
}

/* A table may be judged yet though nothing is copied: its copy waits for somebody. */
static bool is_judged(const struct stream *stream, uint32_t table)
{
    return stream->handoff != NULL && table != UINT32_MAX &&
           !stream->handoff->ops->passed_by(stream->handoff, table);
}

static bool has_parked_keys(const struct stream *stream, uint32_t table)
{
    return stream->quarantine != NULL && table != UINT32_MAX &&
           quarantine_holds_any(stream->quarantine, table);
}

/* A key of one of the tables that changes came of. */
static bool may_be_parked(const struct ahead *ahead)
{
    for (uint32_t i = 0; i < ahead->making.table_count; i++)
        if (counter_get(&ahead->making.tally[i].received) > 0 &&
            has_parked_keys(ahead->stream, i))
            return true;
    return false;
}

/* ---- making ---- */

static bool make_change(struct ahead *ahead, const struct batch *batch, uint32_t index)
{
    struct err refused = {0};
    const struct change *change = &batch->changes[index];
    if (change->kind == CHANGE_TRUNCATE)
        return false;
    uint32_t table = making_table_of(ahead->stream->transform, change);
    if (is_judged(ahead->stream, table) || has_parked_keys(ahead->stream, table))
        return false;
    (void)making_receive(&ahead->making, table);
    enum transform_result result =
        making_change(&ahead->making, batch, index, table, change, &refused);
    return result == TRANSFORM_WRITTEN || result == TRANSFORM_FILTERED;
}

static bool make_all(struct ahead *ahead, const struct batch *batch)
{
    making_begin(&ahead->making, batch);
    for (uint32_t i = 0; i < batch->change_count; i++)
        if (!make_change(ahead, batch, i))
            return false;
    return true;
}

/* With nobody to ask, a row that would have to be read again is refused. */
static bool make(struct ahead *ahead, const struct batch *batch)
{
    struct transform *transform = ahead->stream->transform;
    struct row_reader *reader = transform->row_reader;
    transform->row_reader = NULL;
    bool made = make_all(ahead, batch);
    transform->row_reader = reader;
    return made;
}

static bool is_piece(const struct batch *batch)
{
    return batch->begins_open || batch->ends_open;
}

void ahead_work(struct ahead *ahead, const struct batch *work)
{
    const struct stream *stream = ahead->stream;
    if (ahead->batch != NULL || ahead->next == NULL || stream->transform->asks ||
        is_copying(stream) || is_piece(work))
        return;
    ahead->batch = ahead->next(ahead->context);
    if (ahead->batch == NULL)
        return;
    ahead->change_count = ahead->batch->change_count;
    ahead->made = !is_piece(ahead->batch) && make(ahead, ahead->batch);
    if (!ahead->made)
        return;
    if (stream->sink->ops->prepare != NULL)
        stream->sink->ops->prepare(stream->sink, ahead->making.writes);
    (void)failpoint(AHEAD_MADE, NULL);
}

/* ---- taking ---- */

/* Nor a part of it, and nothing of it was left out since because it had come twice. */
static bool is_it(const struct ahead *ahead, const struct batch *batch)
{
    const struct batch *writes = ahead->making.writes;
    return ahead->made && ahead->batch->changes == batch->changes &&
           ahead->change_count == batch->change_count &&
           writes->transaction_count == batch->transaction_count &&
           writes->end_lsn == batch->end_lsn;
}

bool ahead_take(struct ahead *ahead, const struct batch *batch, struct making *making)
{
    if (!is_it(ahead, batch) || may_be_parked(ahead))
        return false;
    struct making taken = ahead->making;
    ahead->making = *making;
    *making = taken;
    ahead->batch = NULL;
    ahead->made = false;
    counter_add(&ahead->stream->progress->apply.batches_ahead, 1);
    return true;
}
