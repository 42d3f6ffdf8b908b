/* The next batch goes through the rules, and as far through the sink as it can without the target,
 * while the target is at work on the batch before.
 *
 * It is only the apply thread that does so, in the time that it would wait (sink.h, meanwhile). So
 * what is made ahead must hang on nothing that the batch before may yet do. Left to be made in its
 * turn is what
 *   - the handoff would judge: to judge may be to wait for a chunk, the chunk for a row that the
 *     batch before has locked, and that for us, who are to bring it to its commit;
 *   - is parked, or may be behind what is: a batch with a truncation, or one while any key of its
 *     tables is parked. The batch before may park keys, so that is asked again when its turn comes;
 *   - asks a database: a lookup may wait for a lock of the batch before, and reading a row again
 *     takes time that the batch before would not be committed in;
 *   - the rules refuse: then it is as if nothing had been tried;
 *   - is a piece of a large transaction, or comes while one is written, or is too large beside it (who
 *     gives it sees to that): two batches are to take no more memory than one piece.
 * What is left is rules over rows: the same whenever they run, for rules are bound to the schemas
 * when no batch is under way. If they take longer than the target, the batch before is committed
 * later by as much, and this one not: at most by what the rules take of one batch, and only when a
 * backlog is queued. So there is no deadline, which would have them run twice.
 */
#ifndef PIPELINE_AHEAD_H
#define PIPELINE_AHEAD_H

#include "pipeline/making.h"
#include "pipeline/stream.h"

/* Gives the batch that comes next, if it is here already, without waiting, and there is memory for
 * both; it stays the giver's. NULL: none. */
typedef struct batch *(*ahead_next)(void *context);

struct ahead {
    const struct stream *stream;
    ahead_next next; /* NULL: nothing is made ahead */
    void *context;
    const struct batch *batch; /* that was tried; NULL: none */
    uint32_t change_count;     /* of it */
    bool made;                 /* else it is left to be made in its turn */
    struct making making;
};

void ahead_init(struct ahead *ahead, const struct stream *stream, ahead_next next,
                void *context);
void ahead_free(struct ahead *ahead);

/* The target is at `work`, a batch of writes: makes the next one, unless one is made. */
void ahead_work(struct ahead *ahead, const struct batch *work);
/* It is the batch's turn, or that of a copy of it. True if it was made and is still right: *making
 * has it, in exchange for what it was. */
bool ahead_take(struct ahead *ahead, const struct batch *batch, struct making *making);
/* The batch goes away. */
void ahead_forget(struct ahead *ahead, const struct batch *batch);

#endif
