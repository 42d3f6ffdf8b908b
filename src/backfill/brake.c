/* The brake of the backfill (brake.h). */
#include "backfill/brake.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void brake_init(struct brake *brake)
{
    memset(brake, 0, sizeof *brake);
    pthread_mutex_init(&brake->lock, NULL);
}

void brake_free(struct brake *brake)
{
    pthread_mutex_destroy(&brake->lock);
}

bool brake_set(struct brake *brake, enum brake_cause cause, bool holds, const char *detail)
{
    struct brake_hold *hold = &brake->holds[cause];
    pthread_mutex_lock(&brake->lock);
    bool changed = hold->holds != holds;
    hold->holds = holds;
    snprintf(hold->detail, sizeof hold->detail, "%s", holds ? detail : "");
    if (holds)
        atomic_fetch_or(&brake->causes, 1U << cause);
    else
        atomic_fetch_and(&brake->causes, ~(1U << cause));
    pthread_mutex_unlock(&brake->lock);
    return changed;
}

bool brake_is_on(const struct brake *brake)
{
    return atomic_load(&((struct brake *)(uintptr_t)brake)->causes) != 0;
}

void brake_read(struct brake *brake, struct brake_hold holds[BRAKE_CAUSES])
{
    pthread_mutex_lock(&brake->lock);
    memcpy(holds, brake->holds, sizeof brake->holds);
    pthread_mutex_unlock(&brake->lock);
}
