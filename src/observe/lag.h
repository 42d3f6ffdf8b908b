/* Lag and rates from readings over time.
 *
 * Lag by time: each reading of the source's position is a mark (position, when). A mark is
 * passed when the applied position reaches it. While one is not, the lag is the age of the
 * oldest; otherwise the delay of the newest transaction. So it is right also when the source is
 * idle, and does not depend on clocks being equal.
 *
 * End to end: the same with heartbeats, which travel as transactions of their own.
 *
 * Owned by one thread (the monitor). Times are monotonic. */
#ifndef OBSERVE_LAG_H
#define OBSERVE_LAG_H

#include "base/clock.h"
#include "model/lsn.h"
#include "observe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAG_MARKS 256
#define LAG_SAMPLES 64
#define LAG_WINDOW (10 * USEC_PER_SEC) /* over which rates are taken */

struct lag_mark {
    uint64_t position; /* LSN, or the heartbeat's time of emission */
    usec_t at;
};

/* Marks not passed yet, oldest first. When full, the newest is replaced: the oldest counts. */
struct lag_marks {
    struct lag_mark items[LAG_MARKS];
    size_t count;
};

void lag_marks_add(struct lag_marks *marks, uint64_t position, usec_t at);
/* Forgets those that the position has reached. */
void lag_marks_pass(struct lag_marks *marks, uint64_t position);
/* Of the oldest that is not passed; `otherwise` when there is none. */
usec_t lag_marks_age(const struct lag_marks *marks, usec_t now, usec_t otherwise);

/* Running totals at a moment. */
struct lag_sample {
    usec_t at;
    uint64_t rows, transactions, bytes;
    lsn_t source, applied;
};

struct lag {
    struct lag_marks positions;
    struct lag_marks heartbeats;
    struct lag_sample samples[LAG_SAMPLES]; /* a ring */
    size_t sample_count;                    /* ever taken */
    usec_t below_since;
};

void lag_mark_position(struct lag *lag, lsn_t source, usec_t now);
void lag_mark_heartbeat(struct lag *lag, usec_t emitted);
void lag_sample(struct lag *lag, const struct lag_sample *sample);

/* What is applied now. */
struct lag_reading {
    lsn_t source, applied;
    usec_t heartbeat_applied; /* emission time of the newest one applied; 0 none */
    usec_t heartbeat_delay;
    usec_t transaction_delay; /* of the newest transaction; 0 when the stream is idle */
    bool streaming;           /* else the lag cannot be known */
};

/* Fills the status' lag and rates, and how long the lag has been below the limits. */
void lag_fill(struct lag *lag, const struct lag_reading *reading, usec_t now,
              struct status *status);

#endif
