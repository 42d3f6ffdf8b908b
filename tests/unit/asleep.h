/* Waiting until another thread waits: the kernel says that it sleeps. Tests of wake-ups need a
 * sleeper to wake, and no pause is long enough to promise one. */
#ifndef UNIT_ASLEEP_H
#define UNIT_ASLEEP_H

#include "base/clock.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For the thread that will sleep: tells who it is. */
static inline void asleep_tell(atomic_int *thread)
{
    atomic_store(thread, (int)syscall(SYS_gettid));
}

static inline char asleep_state(int thread)
{
    char path[64], state = '?';
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
            state = '?';
        fclose(file);
    }
    return state;
}

/* True when the thread has told who it is and sleeps; false after ten seconds. */
static inline bool asleep_await(atomic_int *thread)
{
    usec_t until = clock_monotonic() + 10 * USEC_PER_SEC;
    while (clock_monotonic() < until) {
        int id = atomic_load(thread);
        if (id && asleep_state(id) == 'S')
            return true;
        sched_yield();
    }
    return false;
}

#endif
