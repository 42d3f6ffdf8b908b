/* The brake of the backfill: why no new chunk is begun just now.
 *
 * Each cause holds and lets go by itself; while one holds, workers finish the chunk in hand,
 * release their lane and disconnect, so that nothing of theirs stands open at the source and
 * the stream goes on. Who reads the servers sets it; the workers ask. Any thread. */
#ifndef BACKFILL_BRAKE_H
#define BACKFILL_BRAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum brake_cause {
    BRAKE_PAUSED,         /* somebody wants it so */
    BRAKE_REPLICA_LAG,    /* a standby of the source is behind */
    BRAKE_TARGET_LATENCY, /* the target is slow to commit */
    BRAKE_SOURCE_LOAD,    /* the source has much to do */
    BRAKE_CAUSES
};

#define BRAKE_TEXT 200

struct brake_hold {
    bool holds;
    char detail
        [BRAKE_TEXT]; /* for people: "replica lag 7.2 s, at most 5 s"; "" when it does not */
};

struct brake {
    atomic_uint causes;   /* that hold: bits */
    pthread_mutex_t lock; /* guards holds */
    struct brake_hold holds[BRAKE_CAUSES];
};

void brake_init(struct brake *brake);
void brake_free(struct brake *brake);

/* True when the cause did not hold before and does now, or the other way. */
bool brake_set(struct brake *brake, enum brake_cause cause, bool holds, const char *detail);
bool brake_is_on(const struct brake *brake);
void brake_read(struct brake *brake, struct brake_hold holds[BRAKE_CAUSES]);

#endif
