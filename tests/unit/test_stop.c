/* Stop requests: seen by flag, descriptor and wait, from threads and signal handlers. */
#include "asleep.h"
#include "base/stop.h"
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#define LONG (30 * USEC_PER_SEC)

static struct stop stop;
static atomic_int waiter;

static bool readable(void)
{
    struct pollfd wait = {.fd = stop_fd(&stop), .events = POLLIN};
    return poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN);
}

START_TEST(a_stop_is_seen_by_flag_and_descriptor_for_ever)
{
    stop_init(&stop);
    ck_assert(!stop_requested(&stop) && !readable());
    stop_request(&stop);
    stop_request(&stop);
    for (int again = 0; again < 3; again++)
        ck_assert(stop_requested(&stop) && readable() && stop_wait(&stop, 0));
    stop_free(&stop);
    stop_free(&stop);
}
END_TEST

START_TEST(a_wait_without_a_stop_ends_at_its_deadline)
{
    stop_init(&stop);
    usec_t until = clock_monotonic() + 20 * USEC_PER_MS;
    ck_assert(!stop_wait(&stop, until));
    ck_assert_int_ge(clock_monotonic(), until);
    ck_assert(!stop_wait(&stop, 0));
    stop_free(&stop);
}
END_TEST

static void *wait_long(void *result)
{
    asleep_tell(&waiter);
    *(bool *)result = stop_wait(&stop, clock_monotonic() + LONG);
    return NULL;
}

START_TEST(a_stop_wakes_a_thread_that_waits)
{
    bool stopped = false;
    pthread_t thread;
    stop_init(&stop);
    usec_t begun = clock_monotonic();
    pthread_create(&thread, NULL, wait_long, &stopped);
    ck_assert(asleep_await(&waiter));
    stop_request(&stop);
    pthread_join(thread, NULL);
    ck_assert(stopped);
    ck_assert_int_lt(clock_monotonic() - begun, LONG / 2);
    stop_free(&stop);
}
END_TEST

static void on_signal(int number)
{
    (void)number;
    stop_request(&stop);
}

START_TEST(a_signal_handler_may_ask_and_errno_survives)
{
    stop_init(&stop);
    signal(SIGUSR1, on_signal);
    errno = EDOM;
    raise(SIGUSR1);
    ck_assert_int_eq(errno, EDOM);
    ck_assert(stop_wait(&stop, clock_monotonic() + LONG));
    errno = EDOM;
    signal(SIGUSR1, SIG_DFL);
    stop_free(&stop);
    atomic_store(&stop.requested, false);
    stop_request(&stop); /* its descriptor is closed: the write fails */
    ck_assert_int_eq(errno, EDOM);
    ck_assert(stop_requested(&stop));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_stop_is_seen_by_flag_and_descriptor_for_ever,
        a_wait_without_a_stop_ends_at_its_deadline,
        a_stop_wakes_a_thread_that_waits,
        a_signal_handler_may_ask_and_errno_survives,
    };
    return unit_run("stop", tests, UNIT_COUNT(tests));
}
