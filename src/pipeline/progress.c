/* How far a run has come (progress.h). */
#include "pipeline/progress.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void progress_init(struct progress *progress, size_t table_count)
{
    memset(progress, 0, sizeof *progress);
    progress->table_count = table_count;
    progress->tables = mem_zero(table_count ? table_count : 1, sizeof *progress->tables);
    progress->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&progress->lock, NULL);
}

void progress_free(struct progress *progress)
{
    free(progress->tables);
    close(progress->idle_fd);
    pthread_mutex_destroy(&progress->lock);
}

/* The ring's slot for this second, emptied when it still counts an older one. Lock held. */
static int window_slot(struct progress *progress)
{
    int64_t second = clock_monotonic() / USEC_PER_SEC;
    int slot = (int)(second % PROGRESS_WINDOW);
    if (progress->window[slot].second != second) {
        progress->window[slot].second = second;
        progress->window[slot].good = 0;
        progress->window[slot].failed = 0;
    }
    return slot;
}

void progress_applied(struct progress *progress, lsn_t end_lsn, usec_t commit_at,
                      usec_t heartbeat)
{
    usec_t now = clock_monotonic();
    counter_add(&progress->batches, 1);
    counter_set(&progress->applied, end_lsn);

    pthread_mutex_lock(&progress->lock);
    progress->last_applied_at = now;
    if (commit_at != 0) {
        progress->last_commit_at = commit_at;
        progress->last_delay =
            (progress->source_clock != 0 ? now + progress->source_clock : clock_wall()) -
            commit_at;
    }
    if (heartbeat != 0) {
        progress->heartbeat_emitted = heartbeat;
        progress->heartbeat_delay = now - heartbeat;
    }
    progress->window[window_slot(progress)].good++;
    pthread_mutex_unlock(&progress->lock);
}

void progress_ack(struct progress *progress, lsn_t lsn)
{
    lsn_t before = counter_get(&progress->acked);
    while (before < lsn && !atomic_compare_exchange_weak(&progress->acked, &before, lsn))
        ;
}

void progress_heartbeat(struct progress *progress, usec_t emitted, usec_t commit_at)
{
    pthread_mutex_lock(&progress->lock);
    progress->source_clock = commit_at - emitted;
    pthread_mutex_unlock(&progress->lock);
}

void progress_failed(struct progress *progress, const struct err *err)
{
    counter_add(&progress->errors, 1);
    pthread_mutex_lock(&progress->lock);
    snprintf(progress->last_error, sizeof progress->last_error, "%.*s",
             (int)sizeof progress->last_error - 1, err->message);
    progress->last_error_at = clock_wall();
    progress->window[window_slot(progress)].failed++;
    pthread_mutex_unlock(&progress->lock);
}

double progress_error_rate(struct progress *progress)
{
    uint64_t good = 0;
    uint64_t failed = 0;
    int64_t oldest = clock_monotonic() / USEC_PER_SEC - PROGRESS_WINDOW;
    pthread_mutex_lock(&progress->lock);
    for (int i = 0; i < PROGRESS_WINDOW; i++) {
        if (progress->window[i].second <= oldest)
            continue;
        good += progress->window[i].good;
        failed += progress->window[i].failed;
    }
    pthread_mutex_unlock(&progress->lock);
    return good + failed == 0 ? 0.0 : (double)failed / (double)(good + failed);
}
