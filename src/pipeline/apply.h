/* The apply half of a stream: takes decoded batches, lets handoff and rules make target changes
 * of them, has the sink write them, and keeps the ledger. One thread. Used by stream.c only. */
#ifndef PIPELINE_APPLY_H
#define PIPELINE_APPLY_H

#include "pipeline/ahead.h"
#include "pipeline/making.h"
#include "pipeline/parking.h"
#include "pipeline/stream.h"

struct applier {
    const struct stream *stream;
    struct making making; /* of the batch in work */
    struct ahead ahead;   /* of the next */
    struct parking parking;
    struct refusals refusals;   /* the sink's way to it */
    struct meanwhile meanwhile; /* and to what comes next */
    lsn_t durable;
    bool open; /* the sink's target transaction is open: the next batch continues it */
    bool
        written; /* the batch in work is at the target: whatever fails now, it is not made again */
    uint32_t
        later; /* the batch's transaction that those before must be committed for; 0: none */
};

/* next(context): where the batch comes from that may be made ahead; NULL: none is. */
void applier_init(struct applier *applier, const struct stream *stream, ahead_next next,
                  void *context);
void applier_free(struct applier *applier);

/* Applies one batch, trying again while the target's failures are of the passing kind. When its
 * data is refused, its transactions are applied one by one, so that all before the one at fault
 * are at the target. On failure the sink is disconnected. The batch is used up. */
bool applier_apply(struct applier *applier, struct batch *batch, struct err *err);

/* The batch goes away, applied or not. */
void applier_forget(struct applier *applier, const struct batch *batch);

/* Asks the sink what is durable and publishes it. */
bool applier_flushed(struct applier *applier, struct err *err);

#endif
