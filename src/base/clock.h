/* Clocks and durations. Microseconds everywhere: usec_t.
 *
 * Timers use the monotonic clock, so that a stepped wall clock moves no deadline. The wall
 * clock is for what people and databases read. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef int64_t usec_t;

#define USEC_PER_MS ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)

usec_t clock_monotonic(void);
usec_t clock_wall(void); /* since 1970-01-01 UTC */

/* PostgreSQL counts microseconds from 2000-01-01 UTC. */
usec_t clock_from_postgres(int64_t postgres_usec);
int64_t clock_to_postgres(usec_t wall_usec);

/* The monotonic deadline as a timespec, for pthread_cond_timedwait on a CLOCK_MONOTONIC
 * condition. */
struct timespec clock_timespec(usec_t monotonic);
/* Initialises a condition that waits by the monotonic clock. */
void clock_condition_init(pthread_cond_t *condition);

/* "2026-11-21T02:27:26.123Z"; text has at least 32 bytes. Returns text. */
char *clock_format_wall(usec_t wall_usec, char *text, size_t size);

#endif
