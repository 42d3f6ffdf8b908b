/* The contract of a source: a stream of changes in commit order, from a position on.
 *
 * Life cycle: (start -> receive* and feedback* -> stop)* -> destroy. All calls come from one
 * thread at a time. After SOURCE_FAILED only stop may follow; a new start resumes from a
 * position that the caller knows to be durable. */
#ifndef PIPELINE_SOURCE_H
#define PIPELINE_SOURCE_H

#include "base/err.h"
#include "model/batch.h"

enum source_result {
    SOURCE_DRAINED, /* nothing more is at hand, or it was woken */
    SOURCE_FULL,    /* the batch has reached its limit; more may be at hand */
    SOURCE_FAILED,  /* err is set */
};

struct source_limits {
    size_t batch_bytes;
    uint32_t batch_changes;
};

struct source;

struct source_ops {
    /* Begins after `from`: transactions whose commit ended at or before it are not given. */
    bool (*start)(struct source *source, lsn_t from, struct err *err);
    /* Appends what is at hand to the batch, waiting for the first byte until the monotonic
     * deadline or until wake_fd is readable. Answers the server's keepalives on the way. Sets
     * the batch's begins_open, ends_open and end_lsn. */
    enum source_result (*receive)(struct source *source, struct batch *batch, int wake_fd,
                                  usec_t until, struct err *err);
    /* Tells the source what is durable. Cheap; to be called at least each second, also while
     * nothing is received, so that the source sees that we live. */
    bool (*feedback)(struct source *source, lsn_t flushed, struct err *err);
    void (*stop)(struct source *source);
    void (*destroy)(struct source *source);
};

struct source {
    const struct source_ops *ops;
    usec_t
        lag; /* how late the newest transaction came: from its commit until it was sent, by the
                   source's clock. For the thread that receives */
};

#endif
