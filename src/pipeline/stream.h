/* The stream: a receive thread and an apply thread with a bounded queue between them.
 *
 *   slot -> [receive: decode into a batch] -> queue -> [apply: handoff, rules, sink] -> target
 *     ^------------------ feedback: what is durable -----------------'
 *
 * The receive thread never waits for the applier without a deadline: feedback goes out each
 * second whatever the target does, so the walsender does not time out. When a batch is handed
 * over is pipeline/handover.h: at once when we are caught up, large ones when we are behind.
 *
 * Waking another thread costs a transaction that comes alone about as much as the target's own
 * work. So while we are caught up the turn to receive is lent to the apply thread with the
 * batch: back from the target within 10 ms, where it also asked what is durable, it receives
 * the next one itself. Else the receive thread, which a timer wakes, takes the turn back and
 * goes on beside it. Whoever has the turn pushes, and in order: it is lent only when nothing
 * else is queued or applied.
 *
 * With a backlog (backlog.h) a target that stands still, or is away, does not hold the source back:
 * what is received goes there (spooling.h).
 *
 * Target failures that pass by themselves are retried on the batch in memory, after asking the
 * checkpoint whether the commit had come through. Failures of the source, and a target that has
 * forgotten commits it had not flushed, end the stream with ERR_RETRY, and the supervisor
 * starts it again from the checkpoint. */
#ifndef PIPELINE_STREAM_H
#define PIPELINE_STREAM_H

#include "base/err.h"
#include "base/stop.h"
#include "pipeline/backlog.h"
#include "pipeline/handoff.h"
#include "pipeline/letter_store.h"
#include "pipeline/progress.h"
#include "pipeline/sink.h"
#include "pipeline/source.h"
#include "pipeline/transform.h"

struct stream {
    struct source *source;
    struct sink *sink;
    bool connected; /* the sink is: stream_supervise() begins with it as it is */
    struct transform *transform;
    struct handoff *handoff;       /* NULL: every change is applied */
    struct quarantine *quarantine; /* NULL: a bad row ends the stream */
    struct letter_store *letters;  /* what the quarantine is loaded from */
    struct progress *progress;
    const struct stop *stop;
    size_t queue_bytes;                  /* decoded batches that wait, at most */
    struct backlog *backlog;             /* NULL: the source waits for the target */
    struct source_limits backlog_limits; /* of a batch that is read from it */
    lsn_t until; /* end cleanly when all commits up to here are durable, and the handoff
                           is complete; LSN_NONE: never */
    /* What runs beside the stream: true, with the error, when it has failed, which ends the
     * stream. NULL: nothing does. */
    bool (*beside_failed)(void *context, struct err *err);
    void *beside;
    /* Called between target transactions, now and then. NULL: nothing is to be done then. */
    bool (*between)(void *context, struct err *err);
    /* Whether it has more to do, so that nobody waits long. NULL: it never has. */
    bool (*between_goes_on)(void *context);
};

/* Streams after `from` until the stop (true), until `until` is reached (true), or a failure.
 * The sink is connected on entry; on return it may be disconnected. */
bool stream_run(struct stream *stream, lsn_t from, struct err *err);

/* stream_run() again and again: restarts after ERR_RETRY with growing, jittered pauses, from
 * the sink's checkpoint; other classes end it. ERR_SOURCE_LOST when the checkpoint is behind what
 * the source was told to be durable and so need not have any more. */
bool stream_supervise(struct stream *stream, struct err *err);

#endif
