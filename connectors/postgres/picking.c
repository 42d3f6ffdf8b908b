/* Finding refused changes (picking.h). */
#include "postgres/picking.h"

#include "base/failpoint.h"
#include "pipeline/refusal.h"

#define BLOCK 256
#define SAVEPOINT "slackwater_block"

/* The first change behind `first` that was made of another one of the source, at least `most`
 * further on. */
static uint32_t block_end(const struct batch *batch, uint32_t first, uint32_t most)
{
    uint32_t end = batch->change_count - first > most ? first + most : batch->change_count;
    while (end < batch->change_count &&
           batch->changes[end].origin == batch->changes[end - 1].origin)
        end++;
    return end;
}

static uint32_t origin_begin(const struct batch *batch, uint32_t index)
{
    while (index > 0 && batch->changes[index - 1].origin == batch->changes[index].origin)
        index--;
    return index;
}

static bool send_sql(struct picking *p, const char *sql, struct err *err)
{
    return sender_sql(p->sender, sql, tag_of(Q_OTHER, UINT32_MAX, TELLS_NOTHING), err);
}

static bool send_block(struct picking *p, const struct batch *batch, uint32_t first,
                       uint32_t end, uint64_t *left_out, struct err *err)
{
    *left_out = 0;
    if (!send_sql(p, "SAVEPOINT " SAVEPOINT, err))
        return false;
    for (uint32_t i = first; i < end; i++) {
        if (p->refusals->asked(p->refusals->context, i))
            ++*left_out;
        else if (!sender_change(p->sender, &batch->changes[i], i, err))
            return false;
    }
    return send_sql(p, "RELEASE SAVEPOINT " SAVEPOINT, err) && pipeline_end(p->pipeline, err);
}

/* A change of the block was refused as a row is: undoes the block. */
static bool undo_block(struct picking *p, bool prepared, struct err *err)
{
    return session_run(p->session,
                       "ROLLBACK TO SAVEPOINT " SAVEPOINT "; RELEASE SAVEPOINT " SAVEPOINT,
                       err) &&
           p->undone(p->context, prepared, err);
}

/* False when it is no row's failure, or its row may not be parked. */
static bool take_refusal(struct picking *p, const struct batch *batch, const struct err *why,
                         uint32_t *index, struct err *err)
{
    uint64_t tag = p->pipeline->failed_tag;
    *err = *why;
    if (!p->pipeline->failed || !refusal_is_of_row(why) ||
        PQstatus(p->session->conn) != CONNECTION_OK || tag_index(tag) >= batch->change_count)
        return false;
    *index = tag_index(tag);
    return true;
}

/* One block, as far as it goes: *first is where the next begins, *limit where it must end. */
static bool try_block(struct picking *p, const struct batch *batch, uint32_t *first,
                      uint32_t *limit, struct err *err)
{
    struct err why = {0};
    uint64_t left_out = 0;
    uint64_t executed = p->sender->executed;
    uint32_t prepared = p->sender->prepared_count;
    uint32_t end = *limit > *first ? *limit : block_end(batch, *first, BLOCK);
    uint32_t index = 0;
    p->begins(p->context);
    if (send_block(p, batch, *first, end, &left_out, &why)) {
        p->left_out += left_out;
        *first = end;
        return pipeline_begin(p->pipeline, p->session, err);
    }
    p->sender->executed = executed;
    if (p->pipeline->failed)
        why = p->pipeline->err;
    if (PQpipelineStatus(p->session->conn) != PQ_PIPELINE_OFF)
        (void)pipeline_end(p->pipeline, &(struct err){0});
    if (!take_refusal(p, batch, &why, &index, err))
        return false;
    p->refused++;
    p->pipeline->failed = false; /* what fails from here on is something else */
    *limit = origin_begin(batch, index);
    /* Undone first: who decides may give up, and says why. */
    return undo_block(p, p->sender->prepared_count != prepared, err) &&
           failpoint(DLQ_UNDONE, err) &&
           p->refusals->refused(p->refusals->context, index, &why, err) &&
           pipeline_begin(p->pipeline, p->session, err);
}

bool picking_send(struct picking *p, const struct batch *batch, struct err *err)
{
    uint32_t first = 0;
    uint32_t limit = 0;
    p->left_out = p->refused = 0;
    if (p->at_once && !send_sql(p, "SET CONSTRAINTS ALL IMMEDIATE", err))
        return false;
    while (first < batch->change_count)
        if (!try_block(p, batch, &first, &limit, err))
            return false;
    return true;
}
