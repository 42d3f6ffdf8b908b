/* Counters of a run, by table: written by the threads that do the work, read by anyone.
 * Relaxed atomics: each is right by itself, and none orders another. The ledger's equation
 *
 *     received = applied + filtered + skipped_by_handoff + quarantined
 *
 * holds at every commit of the apply thread (delivery rule 9). */
#ifndef PIPELINE_COUNTERS_H
#define PIPELINE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t counter_t;

struct table_counters {
    counter_t received; /* changes from the stream */
    counter_t applied;
    counter_t filtered;
    counter_t skipped_by_handoff; /* the copy holds them already */
    counter_t quarantined;
    counter_t inserts, updates, deletes, truncates; /* of the applied ones */
    counter_t conflict_insert_exists;               /* an insert found its key: overwritten */
    counter_t conflict_update_missing; /* an update found no row: written in full if known */
    counter_t conflict_delete_missing; /* a delete found no row */
    counter_t copied_rows;             /* by the backfill */
    counter_t copied_bytes;
    counter_t copy_overwritten; /* of the copied rows: rows of others had their keys */
    counter_t chunks_copied;
    counter_t chunks_retried;
    counter_t copy_quarantined; /* rows of the copy that were parked */
    counter_t dead_letters;     /* parked and not dealt with, of this run and those before */
    counter_t parked_keys;      /* keys that wait for them */
    counter_t breaker;          /* enum breaker_state */
};

/* How batches and rows went to the target. Rows in source order are not among the rows: they are
 * as many as the changes of their batches. */
struct apply_counters {
    counter_t batches_ordered; /* in source order, a statement a change */
    counter_t batches_set;     /* set-wise */
    counter_t fallbacks;       /* set-wise first, then undone and in source order */
    counter_t batches_ahead;   /* whose rules ran while the target was at the batch before */
    counter_t rows_copied;     /* by COPY into their table */
    counter_t rows_staged;     /* by a stage and one statement */
    counter_t rows_single;     /* of set-wise batches, by a statement each */
    counter_t changes_folded;  /* that needed no row, since a later one had its key */
};

/* Transactions of the source that are not committed yet, as far as they are kept here. */
struct open_counters {
    counter_t transactions; /* now; prepared ones among them */
    counter_t prepared;
    counter_t memory_bytes;
    counter_t file_bytes; /* in temporary files */
    counter_t committed;  /* that were kept, and then given whole */
};

/* What it was before. */
static inline uint64_t counter_add(counter_t *counter, uint64_t more)
{
    return atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}
/* One more, in a counter that no other thread writes: without the bus lock, for every row. */
static inline void counter_tally(counter_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}
static inline uint64_t counter_get(const counter_t *counter)
{
    return atomic_load_explicit((counter_t *)counter, memory_order_relaxed);
}
static inline void counter_set(counter_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

#endif
