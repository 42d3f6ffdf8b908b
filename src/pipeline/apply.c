/* The apply half of a stream (apply.h).
 *
 * Invariant, the ledger of delivery rule 9: of the changes received, each is written, filtered
 * or skipped by the handoff, and each one written is executed by the sink. A batch whose sums
 * differ is our own bug and is not committed silently: the run stops. */
#include "pipeline/apply.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "pipeline/backoff.h"
#include "pipeline/refusal.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST (100 * USEC_PER_MS)
#define RETRY_MOST (5 * USEC_PER_SEC)

/* ---- the handoff ---- */

static bool is_judged(const struct stream *stream, uint32_t table)
{
    return stream->handoff != NULL && table != UINT32_MAX &&
           !stream->handoff->ops->passed_by(stream->handoff, table);
}

/* A verdict was given; true if it is one to act upon now. */
static bool is_now(struct applier *applier, const struct change *change,
                   enum handoff_verdict verdict, struct err *err)
{
    if (verdict != HANDOFF_LATER)
        return true;
    applier->later = change->transaction;
    return err_set(err, ERR_RETRY, "what is before its transaction is to be committed first");
}

static bool judge_row(struct applier *applier, uint32_t table, xid_t xid,
                      const struct change *change, const struct row *image,
                      enum handoff_verdict *verdict, struct err *err)
{
    struct handoff *handoff = applier->stream->handoff;
    return handoff->ops->judge(handoff, table, xid, change->relation, image, verdict, err) &&
           is_now(applier, change, *verdict, err);
}

/* A truncation without the tables whose copy holds it already, or will. */
static bool judge_truncation(struct applier *applier, const struct change *change, xid_t xid,
                             struct change *rest, struct err *err)
{
    const struct stream *stream = applier->stream;
    rest->relations = arena_alloc(&applier->making.writes->arena,
                                  (change->relation_count + 1U) * sizeof(struct relation *));
    rest->relation_count = 0;
    for (uint16_t i = 0; i < change->relation_count; i++) {
        const struct relation *relation = change->relations[i];
        uint32_t table = stream->transform->ops->source(stream->transform, relation);
        enum handoff_verdict verdict = HANDOFF_APPLY;
        if (is_judged(stream, table) && !(stream->handoff->ops->judge_truncate(
                                              stream->handoff, table, xid, &verdict, err) &&
                                          is_now(applier, change, verdict, err)))
            return false;
        if (verdict == HANDOFF_APPLY)
            rest->relations[rest->relation_count++] = relation;
    }
    if (rest->relation_count > 0)
        rest->relation = rest->relations[0];
    return true;
}

/* A new image with what the old one knows of it: its key must be known to be judged, and a row
 * that is written where its copy is not must be known whole. */
static void complete_new(struct arena *arena, struct change *change)
{
    struct value *values = NULL;
    for (uint16_t i = 0; change->old_image != OLD_NONE && i < change->new.count; i++) {
        if (change->new.values[i].kind != VALUE_UNCHANGED ||
            !value_is_known(&change->old.values[i]))
            continue;
        if (values == NULL)
            values = arena_copy(arena, change->new.values, change->new.count * sizeof *values);
        values[i] = change->old.values[i];
    }
    if (values != NULL)
        change->new.values = values;
}

/* An update is judged where the row was and where it is: two chunks, if its key changed. */
static bool judge_update(struct applier *applier, uint32_t table, xid_t xid,
                         struct change *rest, bool *dropped, struct err *err)
{
    enum handoff_verdict from;
    enum handoff_verdict to;
    complete_new(&applier->making.writes->arena, rest);
    if (!judge_row(applier, table, xid, rest, &rest->new, &to, err))
        return false;
    from = to;
    if (rest->old_image != OLD_NONE &&
        !judge_row(applier, table, xid, rest, &rest->old, &from, err))
        return false;
    *dropped = from == HANDOFF_DROP && to == HANDOFF_DROP;
    rest->unsure = rest->old_image != OLD_NONE;
    if (from == to)
        return true;
    if (to == HANDOFF_DROP) {
        rest->kind = CHANGE_DELETE;
        rest->new = (struct row){0};
    } else {
        rest->kind = CHANGE_INSERT;
        rest->old = (struct row){0};
        rest->old_image = OLD_NONE;
    }
    return true;
}

/* *rest: what of the change the target must get; nothing if *dropped. */
static bool judge_change(struct applier *applier, uint32_t table, xid_t xid,
                         struct change *rest, bool *dropped, struct err *err)
{
    enum handoff_verdict verdict = HANDOFF_APPLY;
    *dropped = false;
    if (rest->kind == CHANGE_TRUNCATE && applier->stream->handoff != NULL) {
        struct change whole = *rest;
        bool ok = judge_truncation(applier, &whole, xid, rest, err);
        *dropped = rest->relation_count == 0 && table != UINT32_MAX;
        return ok;
    }
    if (!is_judged(applier->stream, table))
        return true;
    if (rest->kind == CHANGE_UPDATE)
        return judge_update(applier, table, xid, rest, dropped, err);
    const struct row *image = rest->kind == CHANGE_DELETE ? &rest->old : &rest->new;
    bool ok = judge_row(applier, table, xid, rest, image, &verdict, err);
    *dropped = verdict == HANDOFF_DROP;
    return ok;
}

/* ---- rules and ledger ---- */

static uint32_t table_of(const struct stream *stream, const struct change *change)
{
    return making_table_of(stream->transform, change);
}

static bool wrap_change(const struct change *change, struct err *err)
{
    char lsn[LSN_TEXT_SIZE];
    return err_wrap(err, "change at LSN %s", lsn_format(change->lsn, lsn));
}

/* The rules may have read the row again. */
static void note_reading(const struct stream *stream, bool judged, uint32_t table)
{
    const struct row_reader *reader = stream->transform->row_reader;
    if (judged && reader != NULL)
        stream->handoff->ops->read_again(stream->handoff, table, reader->seen);
}

/* Nothing can be judged by it: the rules will refuse it. */
static bool has_unclear_key(const struct change *change)
{
    return change->kind != CHANGE_TRUNCATE && !relation_key_is_clear(change->relation);
}

/* Of a truncation the tables whose rows go. */
static void empty_quarantine(struct applier *applier, uint32_t index,
                             const struct change *change)
{
    struct transform *transform = applier->stream->transform;
    for (uint16_t i = 0; change->kind == CHANGE_TRUNCATE && i < change->relation_count; i++)
        parking_truncate(&applier->parking, index,
                         transform->ops->source(transform, change->relations[i]));
}

/* A row that the rules cannot make: parked, where that is asked for. */
static bool park_refused(struct applier *applier, uint32_t index, struct err *err)
{
    struct err why = *err;
    if (!quarantine_takes(applier->parking.quarantine) ||
        applier->parking.batch->changes[index].kind == CHANGE_TRUNCATE)
        return false;
    err_clear(err);
    return parking_refuse(&applier->parking, index, &why, err);
}

static bool transform_change(struct applier *applier, const struct batch *batch, uint32_t index,
                             struct err *err)
{
    const struct change *change = &batch->changes[index];
    const struct stream *stream = applier->stream;
    xid_t xid = batch->transactions[change->transaction].xid;
    uint32_t table = table_of(stream, change);
    struct table_counters *tally = making_receive(&applier->making, table);
    struct change rest = *change;
    bool dropped = false;

    bool judged = is_judged(stream, table) && !has_unclear_key(change);
    if (!has_unclear_key(change) && !judge_change(applier, table, xid, &rest, &dropped, err))
        return wrap_change(change, err);
    if (dropped) {
        counter_tally(&tally->skipped_by_handoff);
        return true;
    }
    if (!has_unclear_key(change) && parking_consider(&applier->parking, index, table, &rest))
        return true;
    empty_quarantine(applier, index, &rest);
    enum transform_result result =
        making_change(&applier->making, batch, index, table, &rest, err);
    if (result != TRANSFORM_FAILED)
        note_reading(stream, judged, table);
    return result == TRANSFORM_WRITTEN || result == TRANSFORM_FILTERED ||
           (result == TRANSFORM_REFUSED && park_refused(applier, index, err)) ||
           wrap_change(change, err);
}

/* ---- what the target refuses ---- */

/* A duplicate key may come of chunks that are of different times: then the copies of the tables
 * in question begin anew, and the stream starts again. */
static bool is_clash(const struct applier *applier, uint32_t table, const struct err *why)
{
    struct handoff *handoff = applier->stream->handoff;
    return handoff != NULL && strcmp(why->sqlstate, REFUSAL_DUPLICATE_KEY) == 0 &&
           handoff->ops->refused(handoff, table);
}

static bool on_refused(void *context, uint32_t index, const struct err *why, struct err *err)
{
    struct applier *applier = context;
    uint32_t origin = applier->making.writes->changes[index].origin;
    const struct change *change = &applier->parking.batch->changes[origin];
    uint32_t table = table_of(applier->stream, change);
    if (change->kind == CHANGE_TRUNCATE || is_clash(applier, table, why)) {
        *err = *why; /* consider_clash() has the stream begin again */
        return false;
    }
    if (!parking_refuse(&applier->parking, origin, why, err))
        return false;
    making_untally(&applier->making, table, change->kind);
    return true;
}

static bool on_asked(void *context, uint32_t index)
{
    struct applier *applier = context;
    uint32_t origin = applier->making.writes->changes[index].origin;
    const struct change *change = &applier->parking.batch->changes[origin];
    uint32_t table = table_of(applier->stream, change);
    if (parking_is_parked(&applier->parking, origin))
        return true;
    if (!parking_follow(&applier->parking, origin, table))
        return false;
    making_untally(&applier->making, table, change->kind);
    return true;
}

/* Of what is before an open target transaction's first transaction nothing new is known. */
static void announce(const struct stream *stream, const struct batch *batch)
{
    bool known = batch->transaction_count > 0 && !batch->begins_open &&
                 batch->transactions[0].end_lsn != LSN_NONE;
    if (stream->handoff != NULL)
        stream->handoff->ops->reached(
            stream->handoff, known ? batch->transactions[0].end_lsn - 1 : LSN_NONE, batch);
}

/* So that what judging takes is got for all changes that are left at once: at the first of them,
 * and when more can be got. */
static void foresee_from(const struct stream *stream, const struct batch *batch, uint32_t first)
{
    struct handoff *handoff = stream->handoff;
    if (handoff == NULL || handoff->ops->complete(handoff) ||
        !(handoff->ops->foresees_more(handoff) || first == 0))
        return;
    for (uint32_t i = first; i < batch->change_count; i++) {
        const struct change *change = &batch->changes[i];
        uint32_t table = table_of(stream, change);
        if (change->kind == CHANGE_TRUNCATE || !is_judged(stream, table))
            continue;
        if (change->old.values != NULL)
            handoff->ops->foresee(handoff, table, change->relation, &change->old);
        if (change->new.values != NULL)
            handoff->ops->foresee(handoff, table, change->relation, &change->new);
    }
}

static bool make_writes(struct applier *applier, const struct batch *batch, struct err *err)
{
    making_begin(&applier->making, batch);
    parking_begin(&applier->parking, batch, applier->making.writes, applier->making.tally);
    for (uint32_t i = 0; i < batch->change_count; i++) {
        foresee_from(applier->stream, batch, i);
        if (!transform_change(applier, batch, i, err))
            return false;
    }
    return true;
}

/* Parking may yet come into it, by what the target refuses. */
static bool take_writes(struct applier *applier, const struct batch *batch)
{
    if (!ahead_take(&applier->ahead, batch, &applier->making))
        return false;
    parking_begin(&applier->parking, batch, applier->making.writes, applier->making.tally);
    return true;
}

/* The writes of a batch, with its transactions and position. */
static bool transform_batch(struct applier *applier, const struct batch *batch, struct err *err)
{
    struct handoff *handoff = applier->stream->handoff;
    applier->later = 0;
    announce(applier->stream, batch);
    if (!take_writes(applier, batch) && !make_writes(applier, batch, err))
        return false;
    struct batch *writes = applier->making.writes;
    if (handoff != NULL)
        writes->note = handoff->ops->note(handoff, &writes->arena);
    return true;
}

static bool check_ledger(const struct applier *applier, const struct batch *batch,
                         const struct sink_result *result, struct err *err)
{
    uint64_t accounted = 0;
    for (size_t i = 0; i <= applier->stream->progress->table_count; i++) {
        const struct table_counters *tally = &applier->making.tally[i];
        accounted += counter_get(&tally->applied) + counter_get(&tally->filtered) +
                     counter_get(&tally->skipped_by_handoff) + counter_get(&tally->quarantined);
    }
    uint64_t executed = result->executed + result->left_out;
    if (accounted == batch->change_count && executed == applier->making.writes->change_count)
        return true;
    char lsn[LSN_TEXT_SIZE];
    return err_set(err, ERR_BUG,
                   "ledger mismatch in the batch up to LSN %s: %u changes received, %llu "
                   "accounted for; %u to write, %llu executed, %llu left out",
                   lsn_format(batch->end_lsn, lsn), batch->change_count,
                   (unsigned long long)accounted, applier->making.writes->change_count,
                   (unsigned long long)result->executed, (unsigned long long)result->left_out);
}

static void publish_tally(struct applier *applier)
{
    struct progress *progress = applier->stream->progress;
    for (size_t i = 0; i < progress->table_count; i++) {
        const struct table_counters *from = &applier->making.tally[i];
        struct table_counters *to = &progress->tables[i];
        if (counter_get(&from->received) == 0)
            continue;
        counter_add(&to->received, counter_get(&from->received));
        counter_add(&to->applied, counter_get(&from->applied));
        counter_add(&to->filtered, counter_get(&from->filtered));
        counter_add(&to->skipped_by_handoff, counter_get(&from->skipped_by_handoff));
        counter_add(&to->quarantined, counter_get(&from->quarantined));
        counter_add(&to->inserts, counter_get(&from->inserts));
        counter_add(&to->updates, counter_get(&from->updates));
        counter_add(&to->deletes, counter_get(&from->deletes));
        counter_add(&to->truncates, counter_get(&from->truncates));
    }
}

/* What a batch counts, it counts when the target has it, though its transaction may be open
 * yet. */
static void publish_counts(struct applier *applier, const struct batch *batch)
{
    struct progress *progress = applier->stream->progress;
    uint64_t ended = 0;
    publish_tally(applier);
    for (uint32_t i = 0; i < batch->transaction_count; i++)
        ended += batch->transactions[i].end_lsn != LSN_NONE;
    counter_add(&progress->transactions, ended);
    counter_add(&progress->changes, batch->change_count);
}

/* The target's transaction is committed. */
static void publish_position(const struct stream *stream, const struct batch *batch)
{
    const struct transaction *last = NULL;
    usec_t heartbeat = 0;
    for (uint32_t i = 0; i < batch->transaction_count; i++) {
        last = &batch->transactions[i];
        if (last->heartbeat != 0) {
            heartbeat = last->heartbeat;
            progress_heartbeat(stream->progress, heartbeat, last->commit_time);
        }
    }
    progress_applied(stream->progress, batch->end_lsn, last == NULL ? 0 : last->commit_time,
                     heartbeat);
}

static void publish(struct applier *applier, const struct batch *batch)
{
    const struct stream *stream = applier->stream;
    publish_counts(applier, batch);
    if (stream->handoff != NULL)
        stream->handoff->ops->reached(stream->handoff,
                                      batch->ends_open ? LSN_NONE : batch->end_lsn, NULL);
    if (!batch->ends_open)
        publish_position(stream, batch);
}

/* Connects again and learns what is committed. */
static bool recover(const struct stream *stream, lsn_t *checkpoint, struct err *err)
{
    if (stream->sink->ops->connect(stream->sink, err) &&
        stream->sink->ops->checkpoint(stream->sink, checkpoint, err) &&
        failpoint(APPLY_RECOVERED, err))
        return true;
    stream->sink->ops->disconnect(stream->sink);
    return false;
}

/* Pauses and reconnects until the target answers. */
static bool reconnect(const struct stream *stream, struct backoff *backoff, lsn_t *checkpoint,
                      struct err *err)
{
    for (;;) {
        log_event(LOG_WARN, "target failed, trying again", log_text("error", err->message),
                  log_text("sqlstate", err->sqlstate));
        progress_failed(stream->progress, err);
        counter_add(&stream->progress->retries, 1);
        if (backoff_wait(backoff, stream->stop))
            return err_set(err, ERR_STOPPED, "stopped while the target was away");
        if (recover(stream, checkpoint, err))
            return true;
        /* With a backlog the stream goes back to it, and fills it meanwhile. */
        if (err->class != ERR_RETRY || stream->backlog != NULL)
            return false;
    }
}

/* A batch can be tried again from memory when the target transaction holds nothing else. */
static bool is_whole(const struct batch *batch)
{
    return !batch->begins_open && !batch->ends_open;
}

/* True when the handoff may still judge, and have judged, by what it knows of the copy. */
static bool chunks_are_kept(const struct stream *stream, struct err *err)
{
    return stream->handoff == NULL || stream->handoff->ops->still_kept(stream->handoff, err);
}

/* A target that crashed forgets commits that it had not flushed. The source still has them, so
 * the stream goes back to the checkpoint; the batch in memory would leave a gap behind them. */
static bool go_back(const struct stream *stream, lsn_t checkpoint, struct err *err)
{
    char now[LSN_TEXT_SIZE];
    char before[LSN_TEXT_SIZE];
    stream->sink->ops->disconnect(stream->sink);
    return err_set(err, ERR_RETRY,
                   "the target is back at LSN %s and has lost what it had committed up to %s",
                   lsn_format(checkpoint, now),
                   lsn_format(counter_get(&stream->progress->applied), before));
}

static bool write_batch(struct applier *applier, const struct batch *batch,
                        struct sink_result *result, struct err *err)
{
    const struct stream *stream = applier->stream;
    struct backoff backoff = backoff_between(RETRY_FIRST, RETRY_MOST);
    for (;;) {
        if (stream->sink->ops->apply(stream->sink, applier->making.writes, result, err)) {
            atomic_store(&stream->progress->target_circuit, BREAKER_CLOSED);
            return true;
        }
        stream->sink->ops->disconnect(stream->sink);
        if (err->class != ERR_RETRY || !is_whole(batch))
            return false;
        lsn_t checkpoint = LSN_NONE;
        atomic_store(&stream->progress->target_circuit, BREAKER_OPEN);
        bool connected = reconnect(stream, &backoff, &checkpoint, err);
        atomic_store(&stream->progress->target_circuit,
                     connected ? BREAKER_HALF_OPEN : BREAKER_CLOSED);
        if (!connected)
            return false;
        if (checkpoint < counter_get(&stream->progress->applied))
            return go_back(stream, checkpoint, err);
        if (!chunks_are_kept(stream, err))
            return false;
        if (checkpoint >= batch->end_lsn) { /* it had been committed after all */
            atomic_store(&stream->progress->target_circuit, BREAKER_CLOSED);
            result->executed = applier->making.writes->change_count;
            return true;
        }
    }
}

static bool apply_whole(struct applier *applier, const struct batch *batch, struct err *err)
{
    struct sink_result result = {0};
    applier->written = false;
    if (!transform_batch(applier, batch, err) || !failpoint(APPLY_TRANSFORMED, err) ||
        !write_batch(applier, batch, &result, err))
        return false;
    applier->written = true;
    if (!failpoint(APPLY_WRITTEN, err))
        return false;
    applier->open = batch->ends_open;
    if (!check_ledger(applier, batch, &result, err))
        return false;
    publish(applier, batch);
    return parking_done(&applier->parking, err);
}

/* Some transactions of the batch, of which it has more or none before, as a batch of their own over
 * the same memory. In order, and each once. */
static struct batch view_of(const struct batch *batch, uint32_t first, uint32_t count)
{
    bool last = first + count == batch->transaction_count;
    struct transaction *transactions = &batch->transactions[first];
    uint32_t from = transactions->first_change;
    uint32_t end = last ? batch->change_count : transactions[count].first_change;
    for (uint32_t i = from; i < end; i++)
        batch->changes[i].transaction -= first;
    for (uint32_t i = 0; i < count; i++)
        transactions[i].first_change -= from;
    return (struct batch){
        .changes = batch->changes + from,
        .change_count = end - from,
        .transactions = transactions,
        .transaction_count = count,
        .begins_open = first == 0 && batch->begins_open,
        .ends_open = last && batch->ends_open,
        .end_lsn = last ? batch->end_lsn : transactions[count - 1].end_lsn,
    };
}

static bool apply_one_by_one(struct applier *applier, struct batch *batch, struct err *err)
{
    const struct stream *stream = applier->stream;
    lsn_t checkpoint = LSN_NONE;
    if (!recover(stream, &checkpoint, err))
        return false;
    if (checkpoint < counter_get(&stream->progress->applied))
        return go_back(stream, checkpoint, err);
    if (!chunks_are_kept(stream, err))
        return false;
    for (uint32_t i = 0; i < batch->transaction_count; i++) {
        struct batch view = view_of(batch, i, 1);
        if (!apply_whole(applier, &view, err))
            return false;
    }
    return true;
}

/* A duplicate key may come of chunks that are of different times: then the copies of the tables
 * in question begin anew, and the stream starts again. */
static void consider_clash(const struct applier *applier, struct err *err)
{
    const struct stream *stream = applier->stream;
    bool anew = false;
    if (err->class != ERR_DATA || strcmp(err->sqlstate, REFUSAL_DUPLICATE_KEY) != 0 ||
        stream->handoff == NULL)
        return;
    for (uint32_t i = 0; i < stream->progress->table_count; i++)
        if (counter_get(&applier->making.tally[i].received) > 0)
            anew |= stream->handoff->ops->refused(stream->handoff, i);
    if (anew)
        err->class = ERR_RETRY;
}

static bool apply_batch(struct applier *applier, struct batch *batch, struct err *err)
{
    if (apply_whole(applier, batch, err))
        return true;
    if (applier->later > 0 || applier->written)
        return false;
    if ((err->class != ERR_DATA && err->class != ERR_SHAPE) || batch->begins_open ||
        batch->transaction_count < 2) {
        consider_clash(applier, err);
        return false;
    }
    log_event(LOG_WARN, "a batch was refused: its transactions one by one",
              log_text("error", err->message),
              log_uint("transactions", batch->transaction_count));
    if (apply_one_by_one(applier, batch, err))
        return true;
    consider_clash(applier, err);
    return false;
}

static void work_ahead(void *context)
{
    struct applier *applier = context;
    ahead_work(&applier->ahead, applier->making.writes);
}

void applier_init(struct applier *applier, const struct stream *stream, ahead_next next,
                  void *context)
{
    size_t tables = stream->progress->table_count;
    *applier = (struct applier){.stream = stream};
    making_init(&applier->making, stream->transform, tables);
    ahead_init(&applier->ahead, stream, next, context);
    parking_init(&applier->parking, stream->quarantine, stream->transform, tables);
    applier->refusals = (struct refusals){on_refused, on_asked, applier};
    applier->meanwhile = (struct meanwhile){work_ahead, applier};
    stream->sink->refusals = quarantine_takes(stream->quarantine) ? &applier->refusals : NULL;
    stream->sink->meanwhile = &applier->meanwhile;
}

void applier_free(struct applier *applier)
{
    applier->stream->sink->refusals = NULL;
    applier->stream->sink->meanwhile = NULL;
    parking_free(&applier->parking);
    ahead_free(&applier->ahead);
    making_free(&applier->making);
}

void applier_forget(struct applier *applier, const struct batch *batch)
{
    ahead_forget(&applier->ahead, batch);
}

bool applier_apply(struct applier *applier, struct batch *batch, struct err *err)
{
    struct batch rest = *batch; /* its memory stays the batch's */
    if (!failpoint(APPLY_POPPED, err))
        return false;
    while (!apply_batch(applier, &rest, err)) {
        uint32_t later = applier->later;
        if (later == 0)
            return false;
        struct batch before = view_of(&rest, 0, later);
        if (!applier_apply(applier, &before, err))
            return false;
        rest = view_of(&rest, later, rest.transaction_count - later);
    }
    return true;
}

bool applier_flushed(struct applier *applier, struct err *err)
{
    const struct stream *stream = applier->stream;
    lsn_t flushed = LSN_NONE;
    if (!stream->sink->ops->flushed(stream->sink, &flushed, err) ||
        !failpoint(APPLY_DURABLE, err))
        return false;
    if (flushed > applier->durable) {
        applier->durable = flushed;
        counter_set(&stream->progress->durable, flushed);
        progress_ack(stream->progress, flushed);
        /* Not before: the stream may come back to what is only committed. */
        if (stream->handoff != NULL)
            stream->handoff->ops->passed(stream->handoff, flushed,
                                         counter_get(&stream->progress->applied));
    }
    return true;
}
