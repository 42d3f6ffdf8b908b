/* Queues: order, the bound, and who wakes whom. */
#include "asleep.h"
#include "base/queue.h"
#include "unit.h"

#include <pthread.h>
#include <stdint.h>

#define LONG (30 * USEC_PER_SEC)

static usec_t in(usec_t time)
{
    return clock_monotonic() + time;
}

static void *number(uintptr_t value)
{
    return (void *)value;
}

static enum queue_result push(struct queue *queue, uintptr_t value, size_t bytes)
{
    return queue_push(queue, number(value), bytes, 0);
}

/* The number popped, or 0. */
static uintptr_t pop(struct queue *queue)
{
    void *item = NULL;
    return queue_pop(queue, &item, 0) == QUEUE_OK ? (uintptr_t)item : 0;
}

START_TEST(items_leave_in_the_order_they_came)
{
    struct queue *queue = queue_create(SIZE_MAX);
    uintptr_t in_next = 1, out_next = 1;
    for (int round = 1; round < 60; round++) { /* the ring grows while it is wrapped */
        for (int i = 0; i < round; i++)
            ck_assert_int_eq(push(queue, in_next++, 1), QUEUE_OK);
        for (int i = 0; i < round - 1; i++)
            ck_assert_uint_eq(pop(queue), out_next++);
    }
    ck_assert_uint_eq(queue_count(queue), in_next - out_next);
    while (out_next < in_next)
        ck_assert_uint_eq(pop(queue), out_next++);
    queue_destroy(queue);
}
END_TEST

START_TEST(a_full_queue_leaves_the_item_with_its_owner)
{
    struct queue *queue = queue_create(10);
    ck_assert_int_eq(push(queue, 1, 6), QUEUE_OK);
    ck_assert_int_eq(push(queue, 2, 5), QUEUE_TIMEOUT);
    ck_assert_int_eq(push(queue, 3, 4), QUEUE_OK);
    ck_assert_uint_eq(queue_bytes(queue), 10);
    ck_assert_uint_eq(queue_first_bytes(queue), 6);
    ck_assert_uint_eq(queue_count(queue), 2);
    usec_t until = in(20 * USEC_PER_MS);
    ck_assert_int_eq(queue_push(queue, number(4), 1, until), QUEUE_TIMEOUT);
    ck_assert_int_ge(clock_monotonic(), until);
    ck_assert_uint_eq(pop(queue), 1);
    ck_assert_uint_eq(pop(queue), 3);
    ck_assert_uint_eq(queue_bytes(queue), 0);
    ck_assert_uint_eq(queue_first_bytes(queue), 0);
    queue_destroy(queue);
}
END_TEST

START_TEST(an_item_above_the_bound_passes_alone)
{
    struct queue *queue = queue_create(10);
    ck_assert_int_eq(push(queue, 1, SIZE_MAX), QUEUE_OK);
    ck_assert_int_eq(push(queue, 2, 0), QUEUE_TIMEOUT);
    ck_assert_uint_eq(pop(queue), 1);
    ck_assert_int_eq(push(queue, 2, 1), QUEUE_OK);
    ck_assert_int_eq(push(queue, 3, SIZE_MAX), QUEUE_TIMEOUT);
    ck_assert_uint_eq(pop(queue), 2);
    queue_destroy(queue);
}
END_TEST

START_TEST(an_empty_queue_is_waited_for_until_the_deadline)
{
    struct queue *queue = queue_create(10);
    void *item = number(7);
    usec_t until = in(20 * USEC_PER_MS);
    ck_assert_int_eq(queue_pop(queue, &item, until), QUEUE_TIMEOUT);
    ck_assert_int_ge(clock_monotonic(), until);
    ck_assert_ptr_eq(item, number(7));
    queue_destroy(queue);
}
END_TEST

START_TEST(a_closed_queue_takes_nothing_and_drains)
{
    struct queue *queue = queue_create(10);
    void *item;
    push(queue, 1, 1);
    push(queue, 2, 1);
    queue_close(queue);
    ck_assert_int_eq(push(queue, 3, 1), QUEUE_CLOSED);
    ck_assert_uint_eq(pop(queue), 1);
    ck_assert_uint_eq(pop(queue), 2);
    ck_assert_int_eq(queue_pop(queue, &item, in(LONG)), QUEUE_CLOSED);
    queue_destroy(queue);
    queue_destroy(NULL);
}
END_TEST

/* A thread that makes one call and tells how it went. */
struct caller {
    struct queue *queue;
    uintptr_t item;
    size_t bytes;
    enum queue_result result;
    atomic_int thread_id;
    pthread_t thread;
};

static void *call_pop(void *data)
{
    struct caller *caller = data;
    void *item = NULL;
    asleep_tell(&caller->thread_id);
    caller->result = queue_pop(caller->queue, &item, in(LONG));
    caller->item = (uintptr_t)item;
    return NULL;
}

static void *call_push(void *data)
{
    struct caller *caller = data;
    asleep_tell(&caller->thread_id);
    caller->result = queue_push(caller->queue, number(caller->item), caller->bytes, in(LONG));
    return NULL;
}

static void start(struct caller *caller, void *(*call)(void *))
{
    ck_assert_int_eq(pthread_create(&caller->thread, NULL, call, caller), 0);
    ck_assert(asleep_await(&caller->thread_id));
}

static void join_before(struct caller *caller, usec_t until)
{
    pthread_join(caller->thread, NULL);
    ck_assert_msg(clock_monotonic() < until, "the thread was not woken");
}

START_TEST(an_empty_queue_with_a_pop_that_waits_is_awaited)
{
    struct caller caller = {.queue = queue_create(10)};
    ck_assert(!queue_is_awaited(caller.queue));
    start(&caller, call_pop);
    ck_assert(queue_is_awaited(caller.queue));
    push(caller.queue, 1, 1);
    ck_assert(!queue_is_awaited(caller.queue)); /* whether it has woken yet or not */
    pthread_join(caller.thread, NULL);
    ck_assert(!queue_is_awaited(caller.queue));
    queue_destroy(caller.queue);
}
END_TEST

START_TEST(an_item_wakes_a_pop_that_waits)
{
    struct queue *queue = queue_create(10);
    struct caller caller = {.queue = queue};
    usec_t until = in(LONG / 2);
    start(&caller, call_pop);
    push(queue, 5, 1);
    join_before(&caller, until);
    ck_assert_int_eq(caller.result, QUEUE_OK);
    ck_assert_uint_eq(caller.item, 5);
    queue_destroy(queue);
}
END_TEST

START_TEST(room_wakes_the_push_that_fits_whoever_waits_longer)
{
    struct queue *queue = queue_create(10);
    struct caller large = {.queue = queue, .item = 8, .bytes = 8};
    struct caller small = {.queue = queue, .item = 2, .bytes = 2};
    usec_t until = in(LONG / 2);
    push(queue, 1, 2);
    push(queue, 9, 8);
    start(&large, call_push);
    start(&small, call_push);
    ck_assert_uint_eq(pop(queue), 1);
    join_before(&small, until);
    ck_assert_int_eq(small.result, QUEUE_OK);
    ck_assert_uint_eq(pop(queue), 9);
    join_before(&large, until);
    ck_assert_int_eq(large.result, QUEUE_OK);
    ck_assert_uint_eq(pop(queue), 2);
    ck_assert_uint_eq(pop(queue), 8);
    queue_destroy(queue);
}
END_TEST

START_TEST(a_pop_that_is_woken_comes_back_with_nothing_once)
{
    struct queue *queue = queue_create(100);
    void *item;
    usec_t began = clock_monotonic();
    queue_wake(queue);
    ck_assert_int_eq(queue_pop(queue, &item, began + 20 * USEC_PER_SEC), QUEUE_TIMEOUT);
    ck_assert_int_lt(clock_monotonic() - began, 10 * USEC_PER_SEC);
    began = clock_monotonic();
    ck_assert_int_eq(queue_pop(queue, &item, began + 20 * USEC_PER_MS), QUEUE_TIMEOUT);
    ck_assert_int_ge(clock_monotonic() - began, 20 * USEC_PER_MS);
    queue_close(queue);
    queue_destroy(queue);
}
END_TEST

START_TEST(closing_wakes_everyone)
{
    struct queue *empty = queue_create(1), *full = queue_create(1);
    struct caller poppers[2] = {{.queue = empty}, {.queue = empty}};
    struct caller pushers[2] = {{.queue = full, .bytes = 1}, {.queue = full, .bytes = 1}};
    usec_t until = in(LONG / 2);
    push(full, 1, 1);
    for (int i = 0; i < 2; i++) {
        start(&poppers[i], call_pop);
        start(&pushers[i], call_push);
    }
    queue_close(empty);
    queue_close(full);
    for (int i = 0; i < 2; i++) {
        join_before(&poppers[i], until);
        join_before(&pushers[i], until);
        ck_assert_int_eq(poppers[i].result, QUEUE_CLOSED);
        ck_assert_int_eq(pushers[i].result, QUEUE_CLOSED);
    }
    ck_assert_uint_eq(pop(full), 1);
    queue_destroy(empty);
    queue_destroy(full);
}
END_TEST

#define CROWD 4
#define EACH 5000

struct crowd {
    struct queue *queue;
    atomic_uint_least64_t sum;
    atomic_uint popped;
    atomic_bool broken;
};

static void *push_many(void *data)
{
    struct crowd *crowd = data;
    for (uintptr_t i = 1; i <= EACH; i++)
        if (queue_push(crowd->queue, number(i), i % 7, in(LONG)) != QUEUE_OK)
            atomic_store(&crowd->broken, true);
    return NULL;
}

static void *pop_many(void *data)
{
    struct crowd *crowd = data;
    void *item;
    enum queue_result result;
    while ((result = queue_pop(crowd->queue, &item, in(LONG))) == QUEUE_OK) {
        atomic_fetch_add(&crowd->sum, (uintptr_t)item);
        atomic_fetch_add(&crowd->popped, 1);
        if (queue_bytes(crowd->queue) > 20)
            atomic_store(&crowd->broken, true);
    }
    if (result != QUEUE_CLOSED)
        atomic_store(&crowd->broken, true);
    return NULL;
}

START_TEST(a_crowd_loses_nothing_doubles_nothing_and_keeps_the_bound)
{
    struct crowd crowd = {.queue = queue_create(20)};
    pthread_t pushers[CROWD], poppers[CROWD];
    for (int i = 0; i < CROWD; i++) {
        pthread_create(&pushers[i], NULL, push_many, &crowd);
        pthread_create(&poppers[i], NULL, pop_many, &crowd);
    }
    for (int i = 0; i < CROWD; i++)
        pthread_join(pushers[i], NULL);
    queue_close(crowd.queue);
    for (int i = 0; i < CROWD; i++)
        pthread_join(poppers[i], NULL);
    ck_assert(!crowd.broken);
    ck_assert_uint_eq(crowd.popped, CROWD * EACH);
    ck_assert(crowd.sum == (uint64_t)CROWD * EACH * (EACH + 1) / 2);
    queue_destroy(crowd.queue);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        items_leave_in_the_order_they_came,
        a_full_queue_leaves_the_item_with_its_owner,
        an_item_above_the_bound_passes_alone,
        an_empty_queue_is_waited_for_until_the_deadline,
        a_closed_queue_takes_nothing_and_drains,
        an_empty_queue_with_a_pop_that_waits_is_awaited,
        an_item_wakes_a_pop_that_waits,
        room_wakes_the_push_that_fits_whoever_waits_longer,
        a_pop_that_is_woken_comes_back_with_nothing_once,
        closing_wakes_everyone,
        a_crowd_loses_nothing_doubles_nothing_and_keeps_the_bound,
    };
    return unit_run("queue", tests, UNIT_COUNT(tests));
}
