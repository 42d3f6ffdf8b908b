/* Clocks and durations in microseconds.
 *
 * The problem: three clocks (monotonic, wall, PostgreSQL's epoch) and three units meet here.
 * The invariant: everything inside the program is usec_t; conversions happen only at the edges
 * and clamp where they would wrap. */
#include "base/clock.h"

#include <stdio.h>

/* 1970-01-01 to 2000-01-01: 10957 days. */
#define POSTGRES_EPOCH ((usec_t)946684800 * USEC_PER_SEC)

static usec_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

usec_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

usec_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

usec_t clock_from_postgres(int64_t postgres_usec)
{
    usec_t wall;
    return __builtin_add_overflow(postgres_usec, POSTGRES_EPOCH, &wall) ? INT64_MAX : wall;
}

int64_t clock_to_postgres(usec_t wall_usec)
{
    int64_t postgres;
    return __builtin_sub_overflow(wall_usec, POSTGRES_EPOCH, &postgres) ? INT64_MIN : postgres;
}

struct timespec clock_timespec(usec_t monotonic)
{
    if (monotonic < 0)
        monotonic = 0; /* a deadline before the boot has passed as well */
    return (struct timespec){.tv_sec = monotonic / USEC_PER_SEC,
                             .tv_nsec = (monotonic % USEC_PER_SEC) * 1000};
}

char *clock_format_wall(usec_t wall_usec, char *text, size_t size)
{
    usec_t fraction = wall_usec % USEC_PER_SEC;
    time_t seconds = wall_usec / USEC_PER_SEC;
    if (fraction < 0) {
        fraction += USEC_PER_SEC;
        seconds--;
    }
    struct tm when;
    if (!gmtime_r(&seconds, &when))
        when = (struct tm){.tm_mday = 1, .tm_year = 70};
    snprintf(text, size, "%04ld-%02d-%02dT%02d:%02d:%02d.%03dZ", 1900L + when.tm_year,
             when.tm_mon + 1, when.tm_mday, when.tm_hour, when.tm_min, when.tm_sec,
             (int)(fraction / USEC_PER_MS));
    return text;
}

void clock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}
