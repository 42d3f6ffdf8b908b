/* A stop request that every wait can see.
 *
 * The problem: threads wait in poll(), on conditions and for deadlines, and a signal must reach
 * all of them. The invariant: the flag is set before the event counter is raised, and the
 * counter is never read, so the descriptor stays readable for ever once the stop was asked. */
#include "base/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

void stop_init(struct stop *stop)
{
    atomic_init(&stop->requested, false);
    stop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop->fd < 0) {
        perror("slackwater: no descriptor left for the stop signal"); /* nothing runs yet */
        abort();
    }
}

void stop_free(struct stop *stop)
{
    if (stop->fd >= 0)
        close(stop->fd);
    stop->fd = -1;
}

void stop_request(struct stop *stop)
{
    int saved = errno; /* it runs inside signal handlers */
    if (!atomic_exchange(&stop->requested, true)) {
        uint64_t one = 1;
        ssize_t written = write(stop->fd, &one, sizeof(one));
        (void)written; /* a counter at 0 takes a 1 */
    }
    errno = saved;
}

bool stop_requested(const struct stop *stop)
{
    return atomic_load(&stop->requested);
}

int stop_fd(const struct stop *stop)
{
    return stop->fd;
}

bool stop_wait(const struct stop *stop, usec_t until)
{
    while (!stop_requested(stop)) {
        usec_t left = until - clock_monotonic();
        if (left <= 0)
            return false;
        struct pollfd wait = {.fd = stop->fd, .events = POLLIN};
        struct timespec timeout = clock_timespec(left);
        ppoll(&wait, 1, &timeout, NULL); /* the flag and the clock decide, whatever it says */
    }
    return true;
}
