/* The making of a batch: what the rules write for its changes, and how many of each source table
 * came to what.
 *
 *     making_begin -> (making_receive, making_change)* -> the sink
 *
 * The ledger's first half: each change received is counted as applied or filtered here, or as
 * something else by who judges it before (apply.c). One thread. */
#ifndef PIPELINE_MAKING_H
#define PIPELINE_MAKING_H

#include "pipeline/counters.h"
#include "pipeline/transform.h"

#include <stddef.h>

struct making {
    struct transform *transform;
    struct batch *writes;         /* reused */
    struct table_counters *tally; /* by source table; the last: of none */
    size_t table_count;
};

void making_init(struct making *making, struct transform *transform, size_t table_count);
void making_free(struct making *making);

/* Forgets what it held, and takes the batch's transactions and position. */
void making_begin(struct making *making, const struct batch *batch);
/* A change of the source table (UINT32_MAX: none) came; its table's counters. */
struct table_counters *making_receive(struct making *making, uint32_t table);
/* Takes one that was to be applied back from its table. */
void making_untally(struct making *making, uint32_t table, enum change_kind kind);
/* Writes and counts what the rules make of `rest`: what the target is to get of the batch's change
 * `index`, which is of `table`. Not counted when it is refused, or fails. */
enum transform_result making_change(struct making *making, const struct batch *batch,
                                    uint32_t index, uint32_t table, const struct change *rest,
                                    struct err *err);

/* The source table that a change counts for: of a truncation the first that takes part. */
uint32_t making_table_of(struct transform *transform, const struct change *change);

#endif
