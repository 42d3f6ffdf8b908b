/* The set-wise engine: sends what a batch comes to, instead of its changes one by one.
 *
 * A stretch of changes is folded to one net change a key (fold.h). Net changes of one table and
 * kind make a group, and each group goes its way (strategy.h). At the target, of a stretch,
 *
 *     rows of stages (COPY)                        nothing of ours is changed yet
 *     deletes, then updates, then upserts          stages and single rows, in a pipeline
 *     inserts (COPY straight into the tables)
 *     changes of tables that keep source order
 *
 * A change that cannot be folded, a TRUNCATE, or one of a table that something at the target
 * watches, ends the stretch: what is folded is sent, the change follows, a new stretch begins.
 * So between stretches the source's order is kept; within one the target sees the same end by
 * another way.
 *
 * The way may fail where the source's did not: two rows swap a unique value. And rows may not
 * be as the stream says: an update finds none. Both are failures here (never anything silent),
 * and the sink then undoes the batch and sends it in source order. Which way a table takes next
 * is learnt from that. */
#ifndef POSTGRES_SETWISE_H
#define POSTGRES_SETWISE_H

#include "model/batch.h"
#include "postgres/sender.h"

struct setwise;

/* Called when the target is at work on rows and its answers are all that is waited for. */
typedef void (*setwise_wait)(void *context);

/* All borrowed. `silence` as for pipeline_init(), also asked in mid-COPY. */
struct setwise *setwise_create(const struct pg_sink_config *config, struct session *session,
                               struct pipeline *pipeline, struct sender *sender,
                               pipeline_silence silence, setwise_wait wait, void *context);
void setwise_destroy(struct setwise *setwise); /* NULL is accepted */

/* A new connection; `stages`: its role may make temporary tables. */
void setwise_connected(struct setwise *setwise, bool stages);
/* Between transactions: true when the stages are to be given up (stage.h), for which it takes them
 * then: DISCARD TEMP is to follow. */
bool setwise_gives_up_stages(struct setwise *setwise);

/* Folds what a batch begins with before it is sent: out of setwise_wait(), and only if it is the
 * next that is sent, unless the batch before fails. NULL: it is not. */
void setwise_prepare(struct setwise *setwise, const struct batch *batch);
/* Sends the changes of a batch. On success they were all found as the stream says, so that the
 * COMMIT may follow. The pipeline is begun before and, on success, after; on failure it may be
 * ended. */
bool setwise_send(struct setwise *setwise, const struct batch *batch, struct err *err);
/* The changes that it has folded; those in source order are the sender's to count. */
uint64_t setwise_executed(const struct setwise *setwise);
/* False when all changes of the batch went in source order. */
bool setwise_was_used(const struct setwise *setwise);

/* An answer to Q_NET, Q_GHOST or Q_MERGE. *existed: rows of *table that were inserted and were
 * there already. False (ERR_DATA) when a row was not as the stream says. */
bool setwise_answer(struct setwise *setwise, uint64_t tag, const PGresult *result,
                    uint32_t *table, uint64_t *existed, struct err *err);

/* The batch is at the target. */
void setwise_passed(struct setwise *setwise);
/* So is the transaction's COMMIT, whichever way its batches went. */
void setwise_committed(struct setwise *setwise);
/* It was undone because of *err, the answer to the pipeline's failed question or NULL. */
void setwise_failed(struct setwise *setwise, const uint64_t *tag, const struct err *err,
                    bool to_savepoint);

#endif
