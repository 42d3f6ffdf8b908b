/* The system refuses a thread, as it does where a limit is reached: the n-th that is asked for,
 * once. The linker has pthread_create() come here (CMakeLists.txt). */
#ifndef UNIT_NO_THREADS_H
#define UNIT_NO_THREADS_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_int threads_left; /* that may be started before one is refused; 0: all may */

static inline void refuse_thread(int number)
{
    atomic_store(&threads_left, number);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    if (atomic_load(&threads_left) > 0 && atomic_fetch_sub(&threads_left, 1) == 1)
        return EAGAIN;
    return __real_pthread_create(thread, attributes, start, argument);
}

#endif
