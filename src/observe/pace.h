/* How fast a copy goes: rates from running totals over the last fifteen seconds.
 *
 * What stood still before the copy began, or was let go on, is not part of the time that it
 * took. Totals that go back (a copy that begins anew) begin anew here too. Plain data; owned by
 * one thread, or behind its owner's lock. */
#ifndef OBSERVE_PACE_H
#define OBSERVE_PACE_H

#include "base/clock.h"

#include <stddef.h>
#include <stdint.h>

#define PACE_SAMPLES 16 /* taken once a second */

struct pace_sample {
    usec_t at;
    uint64_t rows, bytes;
};

struct pace {
    struct pace_sample samples[PACE_SAMPLES]; /* a ring */
    size_t count;                             /* since it began */
};

void pace_sample(struct pace *pace, usec_t at, uint64_t rows, uint64_t bytes);
/* A second; both 0 while there is nothing to tell from. */
void pace_rates(const struct pace *pace, double *rows, double *bytes);

#endif
