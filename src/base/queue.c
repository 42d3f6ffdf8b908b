/* A bounded queue of pointers between threads.
 *
 *     items: [....head.......head+count....]   a ring
 *
 * The problem: a fast thread must wait for a slow one before memory runs out, and neither may
 * wait for ever. The invariant, under the lock: bytes is the sum of what the queued items
 * declared, and exceeds max_bytes only while one item alone is queued. */
#include "base/queue.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct queued {
    void *item;
    size_t bytes;
};

struct queue {
    /* set at creation */
    size_t max_bytes;
    pthread_cond_t room;  /* broadcast: those who wait need different amounts */
    pthread_cond_t items; /* signalled once an item */
    pthread_mutex_t lock;

    /* guarded by lock */
    struct queued *ring;
    size_t capacity;
    size_t head;
    size_t count;
    size_t bytes;
    unsigned waiting; /* threads in queue_pop() that found nothing */
    bool closed;
    bool woken; /* the next pop that finds nothing does not wait */
};

struct queue *queue_create(size_t max_bytes)
{
    struct queue *queue = mem_zero(1, sizeof(*queue));
    queue->max_bytes = max_bytes;
    pthread_mutex_init(&queue->lock, NULL);
    clock_condition_init(&queue->room);
    clock_condition_init(&queue->items);
    return queue;
}

void queue_destroy(struct queue *queue)
{
    if (!queue)
        return;
    assert(queue->count == 0);
    pthread_cond_destroy(&queue->items);
    pthread_cond_destroy(&queue->room);
    pthread_mutex_destroy(&queue->lock);
    free(queue->ring);
    free(queue);
}

static bool has_room(const struct queue *queue, size_t bytes)
{
    return queue->count == 0 ||
           (queue->bytes <= queue->max_bytes && bytes <= queue->max_bytes - queue->bytes);
}

/* True when the deadline passed. The caller looks at the state once more even then. */
static bool wait_until(struct queue *queue, pthread_cond_t *condition, usec_t until)
{
    struct timespec deadline = clock_timespec(until);
    return pthread_cond_timedwait(condition, &queue->lock, &deadline) == ETIMEDOUT;
}

static void ring_grow(struct queue *queue)
{
    size_t capacity = queue->capacity ? queue->capacity * 2 : 16;
    struct queued *ring = mem_zero(capacity, sizeof(*ring));
    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->head + i) % queue->capacity];
    free(queue->ring);
    queue->ring = ring;
    queue->capacity = capacity;
    queue->head = 0;
}

static void ring_put(struct queue *queue, void *item, size_t bytes)
{
    if (queue->count == queue->capacity)
        ring_grow(queue);
    queue->ring[(queue->head + queue->count) % queue->capacity] = (struct queued){item, bytes};
    queue->count++;
    queue->bytes += bytes;
}

static void *ring_take(struct queue *queue)
{
    struct queued taken = queue->ring[queue->head];
    queue->head = (queue->head + 1) % queue->capacity;
    queue->count--;
    queue->bytes -= taken.bytes;
    return taken.item;
}

enum queue_result queue_push(struct queue *queue, void *item, size_t bytes, usec_t until)
{
    enum queue_result result = QUEUE_TIMEOUT;
    pthread_mutex_lock(&queue->lock);
    for (bool late = false; result == QUEUE_TIMEOUT;) {
        if (queue->closed) {
            result = QUEUE_CLOSED;
        } else if (has_room(queue, bytes)) {
            ring_put(queue, item, bytes);
            result = QUEUE_OK;
        } else if (late) {
            break;
        } else {
            late = wait_until(queue, &queue->room, until);
        }
    }
    pthread_mutex_unlock(&queue->lock);
    if (result == QUEUE_OK)
        pthread_cond_signal(&queue->items); /* who wakes need not wait for the lock */
    return result;
}

enum queue_result queue_pop(struct queue *queue, void **item, usec_t until)
{
    enum queue_result result = QUEUE_TIMEOUT;
    pthread_mutex_lock(&queue->lock);
    for (bool late = false; result == QUEUE_TIMEOUT;) {
        if (queue->count) {
            *item = ring_take(queue);
            pthread_cond_broadcast(&queue->room);
            result = QUEUE_OK;
        } else if (queue->closed) {
            result = QUEUE_CLOSED;
        } else if (late || queue->woken) {
            break;
        } else {
            queue->waiting++;
            late = wait_until(queue, &queue->items, until);
            queue->waiting--;
        }
    }
    queue->woken = false;
    pthread_mutex_unlock(&queue->lock);
    return result;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->items);
    pthread_cond_broadcast(&queue->room);
    pthread_mutex_unlock(&queue->lock);
}

void queue_wake(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->woken = true;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->items);
}

size_t queue_count(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

bool queue_is_awaited(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool awaited = queue->count == 0 && queue->waiting > 0;
    pthread_mutex_unlock(&queue->lock);
    return awaited;
}

size_t queue_bytes(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t bytes = queue->bytes;
    pthread_mutex_unlock(&queue->lock);
    return bytes;
}

size_t queue_first_bytes(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t bytes = queue->count == 0 ? 0 : queue->ring[queue->head].bytes;
    pthread_mutex_unlock(&queue->lock);
    return bytes;
}
