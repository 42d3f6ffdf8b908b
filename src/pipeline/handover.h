/* When a batch goes from the receive thread to the applier.
 *
 * Large batches are what makes catching up fast: a set-wise statement costs about the same for
 * some hundred changes as for some ten thousand. And a transaction that comes alone must not wait
 * for others. So:
 *
 *   the batch is full                           at once (the queue bounds what waits)
 *   it ends in mid-transaction                  not: the rest is on its way; but an ample piece of
 *                                               one that was cut before goes as if it were whole
 *   the applier is busy                         not: it grows meanwhile
 *   the applier is idle, we are caught up       at once; no timer
 *   the applier is idle, we are behind          when the batch has HANDOVER_AMPLE changes, or the
 *                                               source gave nothing for HANDOVER_QUIET, or the
 *                                               batch is HANDOVER_PATIENCE old
 *
 * Ample is where a larger batch would gain less than the idle target loses meanwhile: at the
 * beginning, and at the end, where the last batch is written with nothing left to read.
 *
 * Behind is what the source sends late: its commits are further back than HANDOVER_BEHIND when
 * they are sent, both by the source's clock; it is over below HANDOVER_NEAR. So the first
 * transactions of a backlog tell already, and no question to the source is needed. If they are
 * late for another reason (a walsender that reads through what is not ours, a standby whose clock
 * is ahead) quiet and patience bound what that costs: nothing waits for what may never come.
 *
 * Pure: numbers and times in, an answer out. One thread. */
#ifndef PIPELINE_HANDOVER_H
#define PIPELINE_HANDOVER_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define HANDOVER_BEHIND (300 * USEC_PER_MS)
#define HANDOVER_NEAR (100 * USEC_PER_MS)
#define HANDOVER_QUIET (20 * USEC_PER_MS)
#define HANDOVER_PATIENCE (500 * USEC_PER_MS)
#define HANDOVER_AMPLE 20000U

struct handover {
    bool behind;
    usec_t
        began_at; /* monotonic: when the batch in hand got its first content; 0: it is empty */
    usec_t given_at; /* when it got its last */
    bool ample;
};

/* The batch in hand has grown to `changes`. `lag`: how late the source sent it (source.h). */
void handover_grew(struct handover *handover, uint32_t changes, usec_t lag, usec_t now);
/* The batch in hand is gone, a new one is empty. */
void handover_done(struct handover *handover);
/* Shall the batch go, which is neither full nor open, now that the applier is idle? */
bool handover_is_due(const struct handover *handover, usec_t now);
/* When to ask again though nothing came; 0 when only what comes can change the answer. */
usec_t handover_deadline(const struct handover *handover);

#endif
