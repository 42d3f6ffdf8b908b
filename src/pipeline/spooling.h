/* What a stream does with its backlog: when what is received goes there instead of the queue,
 * and how it comes back. Used by stream.c only.
 *
 *     receive:  queue ......... full for SPOOLING_AFTER ......... backlog ......... queue
 *     apply:    queue, until it is empty ........... backlog, until it is read ..... queue
 *
 * When receiving turns to the backlog the source begins again at what is durable, or at the
 * backlog's end if that is further: so the backlog always reaches from what is durable on,
 * though batches before it were queued, applied or lost with the target by then. What comes
 * twice that way is left out when it is applied (batch_skip()).
 *
 * While the target is away nothing is applied, and all that is received goes to the backlog.
 * A transaction that is under way to the target in pieces is never turned away from the queue.
 */
#ifndef PIPELINE_SPOOLING_H
#define PIPELINE_SPOOLING_H

#include "pipeline/stream.h"

#define SPOOLING_AFTER USEC_PER_SEC

struct spooling {
    /* set at begin */
    const struct stream *stream;
    struct backlog *backlog; /* NULL: there is none, and nothing below is used */

    /* owned by whose turn it is to receive */
    bool active;    /* what is received goes to the backlog */
    bool ends_open; /* the last batch that was put does */
    bool unsynced;
    usec_t put_at;
    usec_t synced_at;
    lsn_t trimmed;

    /* owned by the apply thread */
    struct batch *reading;

    atomic_bool
        held; /* `reading` has the beginning of a transaction whose rest is to be read */
    atomic_bool stuck; /* there is no room in the backlog */
};

/* Reading begins behind `applied`. The source has been started at the backlog's resume(). */
bool spooling_begin(struct spooling *spooling, const struct stream *stream, lsn_t applied,
                    struct err *err);
void spooling_end(struct spooling *spooling);

/* ---- receiving ---- */

/* Whether a batch that finds no room in the queue may turn receiving to the backlog. */
bool spooling_may_turn(const struct spooling *spooling, const struct batch *batch);
/* Turns to the backlog; the source is started anew. Other batches in hand are to be dropped. */
bool spooling_turn(struct spooling *spooling, const char *why, struct err *err);
/* Whether the batch in hand shall be put now. */
bool spooling_is_due(const struct spooling *spooling, const struct batch *batch);
/* BACKLOG_NONE: no room; it is to be tried again. */
enum backlog_result spooling_put(struct spooling *spooling, const struct batch *batch,
                                 struct err *err);
/* Syncs and acknowledges what was put, once a second, and makes room. Cheap when there is
 * nothing to do. */
bool spooling_tend(struct spooling *spooling, struct err *err);
/* What comes next may go to the queue: all that was put is read. It is so, in mid-transaction,
 * also where there is no room for the rest of it. */
bool spooling_is_over(const struct spooling *spooling);
/* Turns to the queue; what the backlog has of a transaction whose rest goes there is dropped.
 */
bool spooling_leave(struct spooling *spooling, struct err *err);

/* ---- applying ---- */

/* The queue is empty: a batch of what is unread, or none in *batch. The caller owns it. */
bool spooling_next(struct spooling *spooling, struct batch **batch, struct err *err);
/* Whether there is one to be asked for. */
bool spooling_has_more(const struct spooling *spooling);

#endif
