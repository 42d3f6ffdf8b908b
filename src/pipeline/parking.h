/* Parking: the apply thread's part of the quarantine, for the batch in work.
 *
 *     parking_begin -> (parking_consider, parking_refuse, parking_truncate)* -> parking_done
 *
 * A change of a parked key is parked behind it, and one that rules or target refuse is parked with
 * its keys: old and new, if it changes them. A batch that is made again forgets what was parked
 * for it before. Used by apply.c only; one thread. */
#ifndef PIPELINE_PARKING_H
#define PIPELINE_PARKING_H

#include "pipeline/stream.h"

/* A change of which the target must get another than came (pipeline/apply.c). */
struct parking_rest {
    uint32_t index;
    const struct change *change;
};

struct parking_truncation {
    uint32_t table, index;
};

struct parking {
    struct quarantine *quarantine; /* NULL: nothing is parked */
    struct transform *transform;
    size_t table_count;

    /* of the batch */
    const struct batch *batch;
    struct batch *writes;
    struct table_counters *tally;
    struct letters letters;
    bool *parked; /* by change of the batch, while any_parked */
    uint32_t parked_capacity;
    bool any_parked;
    struct parking_truncation *truncations;
    uint32_t truncation_count, truncation_capacity;
    struct parking_rest *rests; /* by index, ascending */
    uint32_t rest_count, rest_capacity;
    uint32_t counted;       /* changes before this are counted by the breakers */
    uint64_t *counted_good; /* by table, of those */
    size_t mark;
    bool begun; /* a batch is in work that is not done */
    struct buf old_key, new_key;
};

void parking_init(struct parking *parking, struct quarantine *quarantine,
                  struct transform *transform, size_t table_count);
void parking_free(struct parking *parking);

void parking_begin(struct parking *parking, const struct batch *batch, struct batch *writes,
                   struct table_counters *tally);
/* The batch is at the target, if perhaps not committed yet: when such a transaction is lost, the
 * quarantine is loaded again. False (ERR_DATA) when a breaker opens on it, too late for the batch:
 * there is no next. */
bool parking_done(struct parking *parking, struct err *err);

/* `change` is what the target is to get of the batch's change `index`. True: its key is parked,
 * so it is too. */
bool parking_consider(struct parking *parking, uint32_t index, uint32_t table,
                      const struct change *change);
/* The same of a change that was considered before: more may be parked since. */
bool parking_follow(struct parking *parking, uint32_t index, uint32_t table);
/* Parks the batch's change, which somebody refuses for *why. False (ERR_DATA) when that is too
 * many. */
bool parking_refuse(struct parking *parking, uint32_t index, const struct err *why,
                    struct err *err);
bool parking_is_parked(const struct parking *parking, uint32_t index);
/* The batch's change `index` truncates the table: what waits of it is moot. */
void parking_truncate(struct parking *parking, uint32_t index, uint32_t table);
/* The batch's change `index` as the target is to get it. */
const struct change *parking_change(const struct parking *parking, uint32_t index);

#endif
