/* A sink in memory, for tests: a target whose commits can be read back, that loses commits when
 * it crashes, and that fails where a test says.
 *
 *     commits:  0..durable | durable..committed        a crash forgets the second part
 *
 * A hook may look at every call, make it fail, or hold it up. The contract's calls come from
 * one thread; the functions below may be called from any. What the stream does against the
 * contract is kept as a complaint. */
#ifndef MEMORY_SINK_H
#define MEMORY_SINK_H

#include "pipeline/sink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_sink;

enum memory_sink_call {
    MEMORY_SINK_CONNECT,
    MEMORY_SINK_CHECKPOINT,
    MEMORY_SINK_APPLY,     /* nothing of the batch is written yet */
    MEMORY_SINK_COMMITTED, /* the batch is committed; a failure now is a lost reply */
    MEMORY_SINK_FLUSHED,
};

struct memory_sink_config {
    bool flush_by_hand; /* commits are durable at memory_sink_flush(), else at once */
    int miscount;       /* added to the number of changes that apply() claims */
    /* Asked at each call, without a lock; batch: of APPLY and COMMITTED. False makes the call
     * fail with *err. NULL: never. */
    bool (*hook)(void *context, enum memory_sink_call call, const struct batch *batch,
                 struct err *err);
    void *context;
};

/* A change that was committed. */
struct memory_write {
    enum change_kind kind;
    uint32_t table;
    lsn_t lsn;    /* of the change */
    lsn_t commit; /* checkpoint that was committed with it */
    char key[32]; /* the first value's text, of the new row or else of the old; cut */
};

struct memory_sink *memory_sink_create(const struct memory_sink_config *config);
/* The contract; its destroy() frees all. */
struct sink *memory_sink_contract(struct memory_sink *memory);

/* What is committed is durable now. */
void memory_sink_flush(struct memory_sink *memory);
/* What is not durable is forgotten, as by a crash with synchronous_commit = off. */
void memory_sink_crash(struct memory_sink *memory);
/* What was committed above the checkpoint `lsn` is forgotten, durable or not, as by a failover
 * to a standby that was behind. */
void memory_sink_fail_over(struct memory_sink *memory, lsn_t lsn);

/* What is committed: writes[0..count), in commit order; valid until the next call of the
 * contract. */
const struct memory_write *memory_sink_writes(struct memory_sink *memory, size_t *count);

struct memory_sink_tally {
    uint64_t connects; /* that succeeded */
    uint64_t checkpoints;
    uint64_t applies;  /* begun */
    uint64_t prepared; /* of which as many were told before */
    uint64_t commits;
    uint64_t flush_questions;
    lsn_t checkpoint; /* committed */
    lsn_t durable;
    lsn_t told;            /* the highest position that flushed() gave */
    uint64_t most_changes; /* in one batch */
    const char *complaint; /* static; NULL when all went by the contract */
};

struct memory_sink_tally memory_sink_tally(struct memory_sink *memory);

#endif
