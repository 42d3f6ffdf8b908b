/* A batch: changes of whole source transactions, in commit order, with the memory they live in.
 *
 * One owner at a time; queues move it. The source fills it, the apply loop transforms it into a
 * second batch, the sink writes that one. Bytes of rows are borrowed from the batch's arena (a
 * transformed batch may also borrow from the batch it was made of, which outlives it).
 *
 * A source transaction too large for one batch spans several: all but the last then have
 * ends_open set, and the sink keeps its target transaction open between them:
 *
 *     batch 1 [T1 T2 T3..  open] [..T3..  open] [..T3 T4]
 *             BEGIN-------------------------------COMMIT   at the target
 */
#ifndef MODEL_BATCH_H
#define MODEL_BATCH_H

#include "base/arena.h"
#include "base/clock.h"
#include "model/lsn.h"
#include "model/relation.h"
#include "model/row.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum change_kind { CHANGE_INSERT, CHANGE_UPDATE, CHANGE_DELETE, CHANGE_TRUNCATE };

/* Which image of the row before the change is known. */
enum old_image {
    OLD_NONE,
    OLD_KEY,  /* the key columns; the others are VALUE_ABSENT */
    OLD_FULL, /* every column */
};

struct change {
    enum change_kind kind;
    enum old_image old_image;
    bool unsure; /* source: the row that moves may be missing at the target, so that it must be
                    written whole */
    bool blind;  /* target: whether the row was there is not known; finding or missing it is no
                   conflict */
    const struct relation *relation; /* TRUNCATE: the first of relations */
    struct row old;                  /* UPDATE (when the key changed or FULL), DELETE */
    struct row new;                  /* INSERT, UPDATE */
    lsn_t lsn;                       /* WAL position of the change, for messages */
    uint32_t transaction;            /* index into the batch's transactions */
    uint32_t origin; /* target: index of the source's change that it was made of */

    /* TRUNCATE only. */
    const struct relation **relations;
    uint16_t relation_count;
    bool truncate_restart_identity;
};

struct transaction {
    xid_t xid;          /* top-level */
    lsn_t commit_lsn;   /* start of the commit record */
    lsn_t end_lsn;      /* first byte after it: what progress counts; 0 while open */
    usec_t commit_time; /* source's wall clock */
    uint32_t first_change;
    usec_t heartbeat; /* monotonic time of emission when it carries our heartbeat, else 0 */
};

struct letters; /* model/letter.h */

struct batch {
    struct arena arena;
    struct change *changes;
    uint32_t change_count;
    uint32_t change_capacity;
    struct transaction *transactions;
    uint32_t transaction_count;
    uint32_t transaction_capacity;
    bool begins_open; /* continues the transaction that the batch before left open */
    bool ends_open;   /* its last transaction goes on in the next batch */
    lsn_t end_lsn;    /* all commits up to here are in this batch or an earlier one;
                         unset (LSN_NONE) when not one transaction ended in it */
    const char *note; /* target: kept with the position, for the backfill; NULL: as it was;
                         borrowed */
    const struct letters *letters; /* target: what is parked with it; NULL: nothing; borrowed */
};

struct batch *batch_create(void);
void batch_destroy(struct batch *batch); /* NULL is accepted */
void batch_reset(struct batch *batch);   /* empties it, keeps the memory */

/* Appends a zeroed element and returns it; valid until the next append. */
struct change *batch_add_change(struct batch *batch);
struct transaction *batch_add_transaction(struct batch *batch);

/* Leaves out the transactions that whoever has applied all up to `applied` has already. True if
 * something is left. Cheap when there is nothing to leave out. */
bool batch_skip(struct batch *batch, lsn_t applied);

/* A row of `count` values, all VALUE_ABSENT, in the arena. */
struct row batch_row(struct batch *batch, uint16_t count);

/* Memory that the batch's content takes, for queue bounds. */
size_t batch_bytes(const struct batch *batch);
/* What it holds: changes, transactions, a position. Grows with everything that is added. */
uint64_t batch_size(const struct batch *batch);
/* True if there is neither a change nor a transaction nor a position in it. */
bool batch_is_empty(const struct batch *batch);
/* True if all of it is of one transaction that was cut before. */
bool batch_is_inside(const struct batch *batch);

#endif
