/* A source in memory, for tests: a log of transactions that a test appends to and the stream
 * reads from any position on, as often as it starts again.
 *
 * Batches are cut as a real source cuts them: at the end of the transaction that reaches the
 * limit, or inside one that alone exceeds it. A hook may look at every call, make it fail, or
 * hold it up. The contract's calls come from the stream's threads; all functions below may be
 * called from any thread. What the stream does against the contract is kept as a complaint. */
#ifndef MEMORY_SOURCE_H
#define MEMORY_SOURCE_H

#include "base/clock.h"
#include "base/stop.h"
#include "pipeline/source.h"

#include <stdbool.h>
#include <stdint.h>

struct memory_source;

enum memory_source_call {
    MEMORY_SOURCE_START,    /* lsn: from */
    MEMORY_SOURCE_RECEIVE,  /* lsn: the newest commit or position handed out */
    MEMORY_SOURCE_FEEDBACK, /* lsn: what it is told */
};

struct memory_source_config {
    uint32_t batch_changes;  /* limit of a batch; 0: none */
    const struct stop *stop; /* ends a receive() that waits; NULL: none */
    /* Asked before each call, without a lock: false makes it fail with *err. NULL: never. */
    bool (*hook)(void *context, enum memory_source_call call, lsn_t lsn, struct err *err);
    void *context;
};

struct memory_source *memory_source_create(const struct memory_source_config *config);
/* The contract; its destroy() frees all. */
struct source *memory_source_contract(struct memory_source *memory);

/* Appends a transaction with its changes, which are copied (relations are borrowed). Its
 * end_lsn must be above all before. Without changes it is an empty transaction. */
void memory_source_append(struct memory_source *memory, const struct transaction *transaction,
                          const struct change *changes, uint32_t count);
/* Appends a position without a transaction: what a keepalive carries. */
void memory_source_append_position(struct memory_source *memory, lsn_t position);

/* How late what is given from now on came (source.h); 0 to begin with. */
void memory_source_set_lag(struct memory_source *memory, usec_t lag);

/* Only the first `changes` changes are at hand, until more are shown. Everything is to begin
 * with. */
void memory_source_show(struct memory_source *memory, uint64_t changes);

/* Wait until the stream was handed the commit or position `lsn`, or until feedback was called
 * so often since the creation. False at the monotonic deadline. */
bool memory_source_await_given(struct memory_source *memory, lsn_t lsn, usec_t until);
bool memory_source_await_feedback(struct memory_source *memory, uint64_t calls, usec_t until);

/* What the stream did so far. */
struct memory_source_tally {
    uint64_t starts;
    lsn_t started_from; /* the last start's */
    lsn_t given;        /* newest commit or position handed out since that start */
    uint64_t feedbacks;
    lsn_t told;            /* the highest position that feedback carried */
    const char *complaint; /* static; NULL when all went by the contract */
};

struct memory_source_tally memory_source_tally(struct memory_source *memory);

#endif
