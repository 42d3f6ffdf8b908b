/* A run that is killed has counted: SIGUSR2 writes the counters down, and then is SIGKILL. Linked
 * into the coverage build only (tests/scenario/world/product.py sends it there in place of -9). */
#include <gcov.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* A thread of its own, since no counter can be written by a handler. */
static void *await(void *signals)
{
    int met;
    while (sigwait(signals, &met) != 0)
        continue;
    __gcov_dump();
    (void)kill(getpid(), SIGKILL);
    return NULL;
}

__attribute__((constructor)) static void begin(void)
{
    static sigset_t signals;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, await, &signals) != 0)
        abort();
    sigaddset(&before, SIGUSR2); /* the others leave it to that one */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
