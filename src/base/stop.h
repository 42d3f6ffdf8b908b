/* A stop request that every wait can see.
 *
 * Anyone may request the stop, also a signal handler; it cannot be taken back. Waiting code
 * polls stop_fd() beside its socket (readable for ever once the stop was requested), or sleeps
 * with stop_wait(). Safe from any thread. */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>

struct stop {
    atomic_bool requested;
    int fd; /* eventfd */
};

void stop_init(struct stop *stop);
void stop_free(struct stop *stop);
void stop_request(struct stop *stop); /* async-signal-safe */
bool stop_requested(const struct stop *stop);
int stop_fd(const struct stop *stop);
/* Sleeps until the stop or until the monotonic deadline. True if the stop was requested. */
bool stop_wait(const struct stop *stop, usec_t until);

#endif
