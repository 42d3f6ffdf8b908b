/* How fast a copy goes (pace.h). */
#include "observe/pace.h"

/* The i-th of the samples kept, from the oldest. */
static const struct pace_sample *sample_at(const struct pace *pace, size_t i)
{
    size_t first = pace->count > PACE_SAMPLES ? pace->count - PACE_SAMPLES : 0;
    return &pace->samples[(first + i) % PACE_SAMPLES];
}

static size_t kept(const struct pace *pace)
{
    return pace->count < PACE_SAMPLES ? pace->count : PACE_SAMPLES;
}

void pace_sample(struct pace *pace, usec_t at, uint64_t rows, uint64_t bytes)
{
    if (pace->count > 0) {
        const struct pace_sample *last = sample_at(pace, kept(pace) - 1);
        if (rows < last->rows || bytes < last->bytes)
            pace->count = 0;
    }
    pace->samples[pace->count++ % PACE_SAMPLES] =
        (struct pace_sample){.at = at, .rows = rows, .bytes = bytes};
}

void pace_rates(const struct pace *pace, double *rows, double *bytes)
{
    size_t count = kept(pace), first = 0;
    *rows = *bytes = 0;
    while (first + 1 < count &&
           sample_at(pace, first + 1)->rows == sample_at(pace, first)->rows)
        first++;
    if (first + 1 >= count)
        return;
    const struct pace_sample *from = sample_at(pace, first), *to = sample_at(pace, count - 1);
    double seconds = (double)(to->at - from->at) / USEC_PER_SEC;
    if (seconds <= 0)
        return;
    *rows = (double)(to->rows - from->rows) / seconds;
    *bytes = (double)(to->bytes - from->bytes) / seconds;
}
