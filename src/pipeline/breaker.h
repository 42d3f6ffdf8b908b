/* A circuit breaker on a table's share of bad rows: a broken rule is to stop the run, and not to
 * park a whole table.
 *
 *     closed --(all of the first, or too large a share)--> open --(restart)--> half-open
 *        ^-------------(some hundred good ones)----------------------------------'  |
 *                                              open <--(a handful of bad ones)------'
 *
 * Rows count as they come. The window has at most WINDOW times min_rows rows and is BREAKER_MEMORY
 * old: beyond that, what was seen counts half. Open ends the run, so there is no way out of it but
 * a new one, which is told so by whoever kept it.
 *
 * Pure: numbers and times in, a state out. One thread at a time. */
#ifndef PIPELINE_BREAKER_H
#define PIPELINE_BREAKER_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FIRST 20  /* so many at the beginning of a window, all bad, open it */
#define BREAKER_WINDOW 10 /* times min_rows */
#define BREAKER_MEMORY (300 * USEC_PER_SEC)
#define BREAKER_HALF_BAD 5    /* so many bad ones open it again */
#define BREAKER_HALF_GOOD 300 /* so many good ones, before that, close it */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_limits {
    double max_bad_share; /* above it the breaker opens; 1 or more: never */
    uint64_t min_rows;    /* fewer tell nothing of a share */
};

struct breaker {
    enum breaker_state state;
    double seen, bad; /* in the window, since half-open: of that */
    usec_t halved_at;
};

/* As a run finds it that comes after one that it has stopped. */
void breaker_half_open(struct breaker *breaker);
/* Rows came, of which `bad` were bad. Its state after that. */
enum breaker_state breaker_count(struct breaker *breaker, const struct breaker_limits *limits,
                                 uint64_t good, uint64_t bad, usec_t now);
/* Share of bad rows in the window. */
double breaker_share(const struct breaker *breaker);
const char *breaker_state_name(enum breaker_state state); /* "closed", "open", "half_open" */

#endif
