/* How far a run has come: written by the receive and apply threads, read by everyone else.
 *
 *     durable <= applied <= received       (positions in the source's WAL)
 *
 * `acked` is what the slot may be told, and never goes back: what is durable at the target, or in a
 * backlog that reaches from there on. Positions and counts are atomics; the few texts and
 * times behind the lock are touched once a batch. */
#ifndef PIPELINE_PROGRESS_H
#define PIPELINE_PROGRESS_H

#include "base/clock.h"
#include "base/err.h"
#include "model/lsn.h"
#include "pipeline/breaker.h"
#include "pipeline/counters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRESS_WINDOW 300 /* seconds over which the error rate is taken */

struct progress {
    /* set at init */
    size_t table_count;
    struct table_counters *tables;
    struct apply_counters apply;
    struct open_counters open;
    int idle_fd; /* eventfd: the applier has nothing to do */

    /* atomics */
    counter_t received, applied, durable, acked; /* lsn_t */
    counter_t slot_restart; /* lsn_t: from where on the slot needs WAL, on the source's disk */
    counter_t transactions, changes, batches, bytes_received;
    counter_t retries, reconnects, errors;
    counter_t queue_bytes;
    /* copiers that wait for commits to become visible to new snapshots; for transactions to end
     * that were open when their copy was to begin */
    counter_t waiting_for_commits, waiting_for_ends;
    counter_t copiers_ahead; /* of the stream, for long */
    atomic_bool streaming;   /* the stream is connected */
    /* enum breaker_state, of the target: open while the applier pauses after a failure that passes
     * by itself, half-open while one transaction is its trial, then closed or open again */
    atomic_int target_circuit;

    /* guarded by lock */
    pthread_mutex_t lock;
    usec_t last_commit_at;  /* source wall clock */
    usec_t last_applied_at; /* monotonic */
    usec_t last_delay;      /* applied minus committed, by the source's clock */
    usec_t
        source_clock; /* what it shows more than our monotonic one; 0: no heartbeat told yet */
    usec_t heartbeat_emitted; /* monotonic time of emission of the newest one applied */
    usec_t heartbeat_delay;   /* of that one */
    char last_error[512];
    usec_t last_error_at; /* wall */
    struct {
        int64_t second; /* monotonic second that this slot counts */
        uint32_t good, failed;
    } window[PROGRESS_WINDOW]; /* a ring by second */
};

void progress_init(struct progress *progress, size_t table_count);
void progress_free(struct progress *progress);

/* A batch is committed at the target. heartbeat: emission time of a heartbeat in it, or 0;
 * commit_at: source's time of its last transaction, or 0. */
void progress_applied(struct progress *progress, lsn_t end_lsn, usec_t commit_at,
                      usec_t heartbeat);
/* The slot may be told this, and all before. */
void progress_ack(struct progress *progress, lsn_t lsn);
static inline lsn_t progress_acked(const struct progress *progress)
{
    return counter_get(&progress->acked);
}
/* A heartbeat came through: emitted at this time of our monotonic clock, committed at that of the
 * source's. So commits can be dated by our clock, whatever the two machines' wall clocks say. */
void progress_heartbeat(struct progress *progress, usec_t emitted, usec_t commit_at);
/* A batch, the stream or a copy has failed. */
void progress_failed(struct progress *progress, const struct err *err);
/* Share of failed attempts in the window: 0..1. */
double progress_error_rate(struct progress *progress);

#endif
