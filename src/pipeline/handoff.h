/* The contract between backfill and stream: which streamed changes does the copy already hold?
 * Judged by table and top-level xid now; the chunked backfill adds the key. Called from the
 * apply thread only. */
#ifndef PIPELINE_HANDOFF_H
#define PIPELINE_HANDOFF_H

#include "model/lsn.h"

#include <stdbool.h>
#include <stdint.h>

struct handoff;

struct handoff_ops {
    /* True if the copy of the run's table holds what this transaction did to it. */
    bool (*copied)(struct handoff *handoff, uint32_t table, xid_t xid);
    /* The stream is durably applied up to here, and will not come back before it. */
    void (*passed)(struct handoff *handoff, lsn_t durable);
};

struct handoff {
    const struct handoff_ops *ops;
};

#endif
