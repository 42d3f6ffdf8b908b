/* A bounded queue of pointers between threads.
 *
 * The bound is in bytes as declared by the pusher, so that memory has a limit whatever the
 * items are; one item larger than the bound passes when the queue is empty. Ownership moves
 * with the item. After queue_close() no push succeeds; pops drain what is left, then say
 * QUEUE_CLOSED. Any number of pushing and popping threads. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

struct queue;

enum queue_result { QUEUE_OK, QUEUE_TIMEOUT, QUEUE_CLOSED };

struct queue *queue_create(size_t max_bytes);
/* The queue must be empty: whoever closes it drains it. NULL is accepted. */
void queue_destroy(struct queue *queue);

/* Takes the item on QUEUE_OK. Waits for room until the monotonic deadline. */
enum queue_result queue_push(struct queue *queue, void *item, size_t bytes, usec_t until);
/* Waits for an item until the monotonic deadline. */
enum queue_result queue_pop(struct queue *queue, void **item, usec_t until);
void queue_close(struct queue *queue);
/* A thread that waits in queue_pop(), or is next to, comes back with QUEUE_TIMEOUT. */
void queue_wake(struct queue *queue);

size_t queue_count(struct queue *queue);
/* True while the queue is empty and a thread waits in queue_pop(). */
bool queue_is_awaited(struct queue *queue);
size_t queue_bytes(struct queue *queue);
/* Of the item that is popped next; 0: there is none. */
size_t queue_first_bytes(struct queue *queue);

#endif
