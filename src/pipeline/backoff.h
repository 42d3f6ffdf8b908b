/* Pauses between attempts: doubling from `first` to `most`, each with a random quarter taken
 * off, so that several clients do not come back at the same moment. */
#ifndef PIPELINE_BACKOFF_H
#define PIPELINE_BACKOFF_H

#include "base/clock.h"
#include "base/stop.h"

struct backoff {
    usec_t first, most;
    usec_t next;
};

static inline struct backoff backoff_between(usec_t first, usec_t most)
{
    return (struct backoff){.first = first, .most = most, .next = first};
}
/* Sleeps. True if the stop came. */
bool backoff_wait(struct backoff *backoff, const struct stop *stop);
void backoff_reset(struct backoff *backoff);

#endif
