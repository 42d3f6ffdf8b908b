/* The making of a batch (making.h). */
#include "pipeline/making.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void making_init(struct making *making, struct transform *transform, size_t table_count)
{
    *making = (struct making){
        .transform = transform, .writes = batch_create(), .table_count = table_count};
    making->tally = mem_zero(table_count + 1, sizeof *making->tally);
}

void making_free(struct making *making)
{
    batch_destroy(making->writes);
    free(making->tally);
}

void making_begin(struct making *making, const struct batch *batch)
{
    struct batch *writes = making->writes;
    batch_reset(writes);
    memset(making->tally, 0, (making->table_count + 1) * sizeof *making->tally);
    for (uint32_t i = 0; i < batch->transaction_count; i++)
        *batch_add_transaction(writes) = batch->transactions[i];
    writes->begins_open = batch->begins_open;
    writes->ends_open = batch->ends_open;
    writes->end_lsn = batch->end_lsn;
}

/* ---- tables ---- */

uint32_t making_table_of(struct transform *transform, const struct change *change)
{
    if (change->kind != CHANGE_TRUNCATE)
        return transform->ops->source(transform, change->relation);
    for (uint16_t i = 0; i < change->relation_count; i++) {
        uint32_t table = transform->ops->source(transform, change->relations[i]);
        if (table != UINT32_MAX)
            return table;
    }
    return UINT32_MAX;
}

static struct table_counters *tally_of(struct making *making, uint32_t table)
{
    return &making->tally[table == UINT32_MAX ? making->table_count : table];
}

static counter_t *counter_of_kind(struct table_counters *tally, enum change_kind kind)
{
    counter_t *const by_kind[] = {
        [CHANGE_INSERT] = &tally->inserts,
        [CHANGE_UPDATE] = &tally->updates,
        [CHANGE_DELETE] = &tally->deletes,
        [CHANGE_TRUNCATE] = &tally->truncates,
    };
    return by_kind[kind];
}

struct table_counters *making_receive(struct making *making, uint32_t table)
{
    struct table_counters *tally = tally_of(making, table);
    counter_tally(&tally->received);
    return tally;
}

void making_untally(struct making *making, uint32_t table, enum change_kind kind)
{
    struct table_counters *tally = tally_of(making, table);
    counter_add(&tally->applied, (uint64_t)-1);
    counter_add(counter_of_kind(tally, kind), (uint64_t)-1);
}

/* ---- changes ---- */

/* They keep the place of the change that they come from. */
static void place_writes(struct batch *writes, uint32_t first, const struct change *change,
                         uint32_t index)
{
    for (uint32_t i = first; i < writes->change_count; i++) {
        writes->changes[i].lsn = change->lsn;
        writes->changes[i].transaction = change->transaction;
        writes->changes[i].origin = index;
    }
}

enum transform_result making_change(struct making *making, const struct batch *batch,
                                    uint32_t index, uint32_t table, const struct change *rest,
                                    struct err *err)
{
    struct transform *transform = making->transform;
    const struct change *change = &batch->changes[index];
    struct table_counters *tally = tally_of(making, table);
    uint32_t first = making->writes->change_count;
    enum transform_result result = transform->ops->change(
        transform, rest, batch->transactions[change->transaction].xid, making->writes, err);
    if (result == TRANSFORM_FILTERED)
        counter_tally(&tally->filtered);
    if (result != TRANSFORM_WRITTEN)
        return result;
    if (making->writes->change_count == first) {
        err_set(err, ERR_BUG, "the rules say that they wrote it, and wrote nothing");
        return TRANSFORM_FAILED;
    }
    place_writes(making->writes, first, change, index);
    counter_tally(&tally->applied);
    counter_tally(counter_of_kind(tally, change->kind));
    return TRANSFORM_WRITTEN;
}
