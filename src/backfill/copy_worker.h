/* A worker of the copy, as its two halves see it: copier.c, which finds it work, and
 * copy_chunk.c, which does a chunk of it. For them alone. */
#ifndef BACKFILL_COPY_WORKER_H
#define BACKFILL_COPY_WORKER_H

#include "backfill/copier.h"
#include "backfill/sift.h"
#include "base/arena.h"
#include "pipeline/backoff.h"

#include <pthread.h>
#include <stdatomic.h>

#define RETRY_FIRST (500 * USEC_PER_MS)
#define RETRY_MOST (10 * USEC_PER_SEC)
#define HELD_PAUSE (100 * USEC_PER_MS) /* between two looks at the brake, or at a failure */

struct copier {
    struct copier_config config;
    size_t worker_count;
    struct worker *workers;
    atomic_size_t running;
    atomic_bool failed;
    pthread_mutex_t lock; /* guards err */
    struct err err;       /* the first failure */
};

struct worker {
    struct copier *copier;
    pthread_t thread;
    struct table_reader *reader;
    struct table_writer *writer;
    struct transform *transform;
    struct arena arena; /* of the row in work */
    bool connected;
    const struct copy_task *sized_for; /* the table that chunk_rows was found at */
    uint64_t chunk_rows;               /* of the next chunk */
    struct throttle_account account;
    struct sift sift;
};

static inline bool leaving(const struct copier *copier)
{
    return atomic_load(&copier->failed) || stop_requested(copier->config.stop);
}

static inline bool held_back(const struct copier *copier)
{
    return copier->config.brake != NULL && brake_is_on(copier->config.brake);
}

static inline bool stopped(struct err *err)
{
    return err_set(err, ERR_STOPPED, "stopped");
}

/* Pauses before the next attempt. True if there shall be none: the stop came, or another worker
 * has ended the copy. */
bool copier_pause_or_leave(const struct copier *copier, struct backoff *backoff);
/* Of a chunk. */
bool copier_is_limited(const struct copier *copier);
uint64_t copier_least_rows(const struct copier *copier);
/* The first of a table: not more than the limit lets through while a chunk should take. */
uint64_t copier_first_rows(const struct copier *copier);

bool copy_worker_connect(struct worker *worker, struct err *err);
void copy_worker_disconnect(struct worker *worker); /* what was under way is rolled back */
/* Waits until what was read is within the limits. ERR_STOPPED. */
bool copy_worker_keep_to_limits(struct worker *worker, struct err *err);

enum chunk_end { CHUNK_LOADED, CHUNK_NONE, CHUNK_FAILED };

/* The lane's next chunk until it is there, or a failure that does not pass. NONE: the lane is
 * at its end, or the copy is held back. */
enum chunk_end copy_chunk(struct worker *worker, const struct copy_task *task, uint32_t lane,
                          struct err *err);

#endif
