/* A worker's connections and limits (copy_worker.h). */
#include "backfill/copy_worker.h"

#define CHUNK_ROWS_LEAST 500
#define CHUNK_ROWS_LEAST_LIMITED 10 /* where a limit makes rows slow */

bool copier_pause_or_leave(const struct copier *copier, struct backoff *backoff)
{
    return backoff_wait(backoff, copier->config.stop) || leaving(copier);
}

bool copy_worker_connect(struct worker *worker, struct err *err)
{
    if (worker->connected)
        return true;
    worker->connected = worker->reader->ops->open(worker->reader, err) &&
                        worker->writer->ops->open(worker->writer, err);
    return worker->connected;
}

void copy_worker_disconnect(struct worker *worker)
{
    worker->writer->ops->rollback(worker->writer);
    worker->reader->ops->end(worker->reader);
    worker->writer->ops->close(worker->writer);
    worker->reader->ops->close(worker->reader);
    worker->connected = false;
}

bool copy_worker_keep_to_limits(struct worker *worker, struct err *err)
{
    struct copier *copier = worker->copier;
    usec_t now = clock_monotonic();
    if (copier->config.throttle == NULL)
        return true;
    usec_t until = throttle_take(copier->config.throttle, &worker->account, now);
    for (; now < until; now = clock_monotonic()) {
        usec_t look = now + HELD_PAUSE;
        if (stop_wait(copier->config.stop, look < until ? look : until) || leaving(copier))
            return stopped(err);
    }
    return true;
}

bool copier_is_limited(const struct copier *copier)
{
    return copier->config.throttle != NULL && throttle_limits(copier->config.throttle);
}

uint64_t copier_least_rows(const struct copier *copier)
{
    return copier_is_limited(copier) ? CHUNK_ROWS_LEAST_LIMITED : CHUNK_ROWS_LEAST;
}

/* Not more than the limit lets through while a chunk should take, for all that wait in it wait
 * with a transaction open. How large rows are is not known before the first. */
uint64_t copier_first_rows(const struct copier *copier)
{
    const struct copier_config *config = &copier->config;
    uint64_t rows = config->chunk_rows;
    if (!copier_is_limited(copier))
        return rows;
    uint64_t within =
        throttle_rows_in(config->throttle, config->chunk_time) / (uint64_t)config->workers;
    rows = rows > CHUNK_ROWS_LEAST ? CHUNK_ROWS_LEAST : rows;
    rows = rows > within ? within : rows;
    return rows < CHUNK_ROWS_LEAST_LIMITED ? CHUNK_ROWS_LEAST_LIMITED : rows;
}
