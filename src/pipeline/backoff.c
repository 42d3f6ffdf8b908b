/* Pauses between attempts (backoff.h). */
#include "pipeline/backoff.h"

#include <stdlib.h>
#include <sys/random.h>

static usec_t jittered(usec_t pause)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = (uint32_t)clock_monotonic();
    return pause - (usec_t)(random % 1000) * pause / 4000;
}

bool backoff_wait(struct backoff *backoff, const struct stop *stop)
{
    usec_t pause = jittered(backoff->next);
    backoff->next = backoff->next * 2 < backoff->most ? backoff->next * 2 : backoff->most;
    return stop_wait(stop, clock_monotonic() + pause);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next = backoff->first;
}
