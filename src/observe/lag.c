/* Lag and rates from readings over time (lag.h). */
#include "observe/lag.h"

#include <string.h>

void lag_marks_add(struct lag_marks *marks, uint64_t position, usec_t at)
{
    size_t index = marks->count < LAG_MARKS ? marks->count++ : LAG_MARKS - 1;
    marks->items[index] = (struct lag_mark){.position = position, .at = at};
}

void lag_marks_pass(struct lag_marks *marks, uint64_t position)
{
    size_t passed = 0;
    while (passed < marks->count && marks->items[passed].position <= position)
        passed++;
    memmove(marks->items, marks->items + passed,
            (marks->count - passed) * sizeof *marks->items);
    marks->count -= passed;
}

usec_t lag_marks_age(const struct lag_marks *marks, usec_t now, usec_t otherwise)
{
    return marks->count > 0 ? now - marks->items[0].at : otherwise;
}

void lag_mark_position(struct lag *lag, lsn_t source, usec_t now)
{
    lag_marks_add(&lag->positions, source, now);
}

void lag_mark_heartbeat(struct lag *lag, usec_t emitted)
{
    lag_marks_add(&lag->heartbeats, (uint64_t)emitted, emitted);
}

void lag_sample(struct lag *lag, const struct lag_sample *sample)
{
    lag->samples[lag->sample_count++ % LAG_SAMPLES] = *sample;
}

/* The oldest sample within the window, or NULL. */
static const struct lag_sample *window_start(const struct lag *lag, usec_t now)
{
    size_t first = lag->sample_count > LAG_SAMPLES ? lag->sample_count - LAG_SAMPLES : 0;
    for (size_t i = first; i < lag->sample_count; i++)
        if (now - lag->samples[i % LAG_SAMPLES].at <= LAG_WINDOW)
            return &lag->samples[i % LAG_SAMPLES];
    return NULL;
}

static double per_second(uint64_t before, uint64_t after, usec_t span)
{
    return after < before ? 0.0 : (double)(after - before) * USEC_PER_SEC / (double)span;
}

/* Time until the applied position meets the source's, if it gains on it. */
static usec_t eta(const struct lag_sample *first, const struct lag_sample *last, int64_t behind)
{
    usec_t span = last->at - first->at;
    double gain = per_second(first->applied, last->applied, span) -
                  per_second(first->source, last->source, span);
    if (behind <= 0)
        return 0;
    return gain < 1.0 ? -1 : (usec_t)((double)behind / gain * USEC_PER_SEC);
}

static void fill_rates(const struct lag *lag, usec_t now, struct status *status)
{
    const struct lag_sample *first = window_start(lag, now);
    status->lag.eta = -1;
    if (first == NULL)
        return;
    const struct lag_sample *last = &lag->samples[(lag->sample_count - 1) % LAG_SAMPLES];
    usec_t span = last->at - first->at;
    if (span <= 0)
        return;
    status->rows_per_second = per_second(first->rows, last->rows, span);
    status->transactions_per_second = per_second(first->transactions, last->transactions, span);
    status->bytes_per_second = per_second(first->bytes, last->bytes, span);
    if (status->lag.known)
        status->lag.eta = eta(first, last, status->lag.bytes);
}

static bool below_limits(const struct status *status)
{
    const struct lag_status *lag = &status->lag;
    return lag->known && lag->heartbeat_came && lag->time <= status->limits.max_lag &&
           lag->end_to_end <= status->limits.max_lag &&
           lag->bytes <= status->limits.max_lag_bytes;
}

void lag_fill(struct lag *lag, const struct lag_reading *reading, usec_t now,
              struct status *status)
{
    lag_marks_pass(&lag->positions, reading->applied);
    lag_marks_pass(&lag->heartbeats, (uint64_t)reading->heartbeat_applied);
    status->lag.known = reading->streaming && reading->source != LSN_NONE;
    status->lag.bytes =
        reading->source > reading->applied ? (int64_t)(reading->source - reading->applied) : 0;
    status->lag.time = lag_marks_age(&lag->positions, now, reading->transaction_delay);
    status->lag.end_to_end = lag_marks_age(&lag->heartbeats, now, reading->heartbeat_delay);
    status->lag.heartbeat_came = reading->heartbeat_applied != 0;
    status->lag.end_to_end_known = status->lag.heartbeat_came || lag->heartbeats.count > 0;
    fill_rates(lag, now, status);
    if (!below_limits(status))
        lag->below_since = 0;
    else if (lag->below_since == 0)
        lag->below_since = now;
    status->lag.below_since = lag->below_since;
}
