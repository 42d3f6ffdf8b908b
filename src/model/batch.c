/* A batch: its arrays and its arena.
 *
 * The problem: batches are made and emptied thousands of times a second, and one huge
 * transaction must not leave the pool holding its memory for ever. The invariant: everything a
 * batch's rows point to lives in its arena until the reset; a reset keeps at most
 * KEEP_BYTES of arena and KEEP_ELEMENTS of each array. */
#include "model/batch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES ((size_t)8 << 20)
#define KEEP_ELEMENTS ((uint32_t)1 << 16)

struct batch *batch_create(void)
{
    struct batch *batch = mem_zero(1, sizeof(*batch));
    arena_init(&batch->arena, KEEP_BYTES);
    return batch;
}

void batch_destroy(struct batch *batch)
{
    if (!batch)
        return;
    arena_free(&batch->arena);
    free(batch->changes);
    free(batch->transactions);
    free(batch);
}

/* Gives back an array that one unusual batch made large. */
static void *array_trim(void *array, uint32_t *capacity)
{
    if (*capacity <= KEEP_ELEMENTS)
        return array;
    free(array);
    *capacity = 0;
    return NULL;
}

void batch_reset(struct batch *batch)
{
    arena_reset(&batch->arena);
    batch->changes = array_trim(batch->changes, &batch->change_capacity);
    batch->transactions = array_trim(batch->transactions, &batch->transaction_capacity);
    batch->change_count = 0;
    batch->transaction_count = 0;
    batch->begins_open = batch->ends_open = false;
    batch->end_lsn = LSN_NONE;
    batch->note = NULL;
    batch->letters = NULL;
}

/* Room for one more element. A count that outgrows 32 bits would need terabytes first: the
 * source seals a batch long before. */
static void *array_room(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    uint32_t wider = *capacity ? *capacity * 2 : 64;
    array = mem_grow(array, wider, size);
    *capacity = wider;
    return array;
}

struct change *batch_add_change(struct batch *batch)
{
    batch->changes = array_room(batch->changes, batch->change_count, &batch->change_capacity,
                                sizeof(*batch->changes));
    struct change *change = &batch->changes[batch->change_count++];
    memset(change, 0, sizeof(*change));
    return change;
}

struct transaction *batch_add_transaction(struct batch *batch)
{
    batch->transactions =
        array_room(batch->transactions, batch->transaction_count, &batch->transaction_capacity,
                   sizeof(*batch->transactions));
    struct transaction *transaction = &batch->transactions[batch->transaction_count++];
    memset(transaction, 0, sizeof(*transaction));
    return transaction;
}

/* The first transaction that is not applied: its commit record is not before that position. */
static uint32_t first_behind(const struct batch *batch, lsn_t applied)
{
    uint32_t i = 0;
    while (i < batch->transaction_count && batch->transactions[i].commit_lsn < applied)
        i++;
    return i;
}

static void drop_transactions(struct batch *batch, uint32_t count)
{
    bool all = count == batch->transaction_count;
    uint32_t from = all ? batch->change_count : batch->transactions[count].first_change;
    batch->transaction_count -= count;
    batch->change_count -= from;
    memmove(batch->transactions, batch->transactions + count,
            batch->transaction_count * sizeof(*batch->transactions));
    if (from > 0) /* else there may be no array */
        memmove(batch->changes, batch->changes + from,
                batch->change_count * sizeof(*batch->changes));
    for (uint32_t i = 0; i < batch->transaction_count; i++)
        batch->transactions[i].first_change -= from;
    for (uint32_t i = 0; i < batch->change_count; i++)
        batch->changes[i].transaction -= count;
    batch->begins_open = false;
    if (all)
        batch->ends_open = false;
}

bool batch_skip(struct batch *batch, lsn_t applied)
{
    uint32_t count = first_behind(batch, applied);
    if (count > 0)
        drop_transactions(batch, count);
    if (batch->end_lsn <= applied)
        batch->end_lsn = LSN_NONE;
    return !batch_is_empty(batch);
}

struct row batch_row(struct batch *batch, uint16_t count)
{
    size_t bytes = count * sizeof(struct value);
    struct value *values = arena_alloc(&batch->arena, bytes);
    memset(values, 0, bytes); /* VALUE_ABSENT is 0 */
    return (struct row){.values = values, .count = count};
}

size_t batch_bytes(const struct batch *batch)
{
    return sizeof(*batch) + arena_used(&batch->arena) +
           batch->change_count * sizeof(*batch->changes) +
           batch->transaction_count * sizeof(*batch->transactions);
}

uint64_t batch_size(const struct batch *batch)
{
    return (uint64_t)batch->change_count + batch->transaction_count +
           (batch->end_lsn != LSN_NONE);
}

bool batch_is_empty(const struct batch *batch)
{
    return batch_size(batch) == 0;
}

bool batch_is_inside(const struct batch *batch)
{
    return batch->begins_open && batch->transaction_count == 1;
}
