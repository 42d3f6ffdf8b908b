/* Finds the changes of a batch that the target refuses, and applies the others.
 *
 * The changes go in source order, in blocks behind a savepoint each, which end between changes of
 * the source. Where a block is refused it is undone, who decides (pipeline/sink.h) is told of the
 * change, and what is before it goes again. So a batch costs little more than in order, and each
 * refused change two round trips.
 *
 *     [block][block][..x]          x is refused: back to its savepoint
 *                   [..]           what is before x
 *                      [block]...  what is behind it, without what is parked by now */
#ifndef POSTGRES_PICKING_H
#define POSTGRES_PICKING_H

#include "pipeline/sink.h"
#include "postgres/sender.h"

struct picking {
    struct session *session;
    struct pipeline *pipeline;
    struct sender *sender;
    const struct refusals *refusals;
    /* A block begins; it was undone, with what was prepared in it if `prepared`. */
    void (*begins)(void *context);
    bool (*undone)(void *context, bool prepared, struct err *err);
    void *context;
    bool at_once;      /* constraints are checked with each block, not at the end */
    uint64_t left_out; /* changes of what is parked */
    uint64_t refused;  /* changes, in this batch */
};

/* The pipeline is begun before and, on success, after. On failure it may be ended; what failed is
 * in the pipeline, if anything did. */
bool picking_send(struct picking *picking, const struct batch *batch, struct err *err);

#endif
