/* The contract of a sink: writes batches so that a reader of the target sees whole source
 * transactions in commit order, each once.
 *
 * Life cycle: (connect -> checkpoint -> apply* and flushed* -> disconnect)* -> destroy. One
 * thread at a time. After a failed apply only disconnect may follow: whatever was open is
 * rolled back, and the checkpoint tells after a new connect what had been committed. */
#ifndef PIPELINE_SINK_H
#define PIPELINE_SINK_H

#include "base/err.h"
#include "model/batch.h"

/* What came of a batch at the target, by kind of conflict. */
struct sink_result {
    uint64_t executed; /* changes carried out */
    uint64_t left_out; /* changes of what is parked; with them the batch's change_count */
};

/* Who decides about changes that the target refuses. Asked while a batch is applied. */
struct refusals {
    /* The batch's change `index` is refused: what it was made of is to be parked, which is left
     * out from now on. False when that is not to be, and the batch fails for *err. */
    bool (*refused)(void *context, uint32_t index, const struct err *why, struct err *err);
    /* True: what the change was made of is parked, by now. */
    bool (*asked)(void *context, uint32_t index);
    void *context;
};

/* What the caller of apply() does while it would wait. Called on its thread, when the target has a
 * while to work on a batch and nothing is to be sent to it: so perhaps not at all, or more than
 * once. May call prepare(), and nothing else of the sink. */
struct meanwhile {
    void (*work)(void *context);
    void *context;
};

struct sink;

struct sink_ops {
    /* Connects and takes the migration for this process alone. ERR_RETRY when unreachable,
     * ERR_CONFIG when another instance holds the migration. */
    bool (*connect)(struct sink *sink, struct err *err);
    /* The end LSN of the last source transaction that is committed here. */
    bool (*checkpoint)(struct sink *sink, lsn_t *applied, struct err *err);
    /* Writes the batch's (transformed) changes. Commits, together with batch->end_lsn as the
     * new checkpoint, unless the batch ends_open. Counts conflicts in the run's counters.
     * The error names table and LSN of the change at fault. */
    bool (*apply)(struct sink *sink, const struct batch *batch, struct sink_result *result,
                  struct err *err);
    /* Out of meanwhile's work: the (transformed) batch that is to be applied next, of which the sink
     * may do ahead what needs no target. Borrowed as it is until it is applied, or until the next
     * call: NULL if it will not be. NULL where nothing can be done ahead. */
    void (*prepare)(struct sink *sink, const struct batch *batch);
    /* The newest source LSN whose writes are durable at the target; LSN_NONE when none was
     * committed since connect. May ask the target. */
    bool (*flushed)(struct sink *sink, lsn_t *flushed, struct err *err);
    void (*disconnect)(struct sink *sink);
    void (*destroy)(struct sink *sink);
};

struct sink {
    const struct sink_ops *ops;
    const struct refusals *refusals;   /* borrowed, set by who applies; NULL: a change that is
                                        refused fails its batch */
    const struct meanwhile *meanwhile; /* as that; NULL: nothing is to be done */
};

#endif
