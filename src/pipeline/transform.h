/* The contract of the rules: from what the source sends to what the sink writes.
 *
 * Bound before the run to both live schemas; here it only evaluates. Used by one thread at a
 * time per instance (`clone` makes another for a second thread); holds no state between calls
 * but caches. */
#ifndef PIPELINE_TRANSFORM_H
#define PIPELINE_TRANSFORM_H

#include "base/err.h"
#include "model/batch.h"
#include "pipeline/row_reader.h"

struct transform;

/* What became of one change. Every change in is exactly one of these: the ledger counts on it.
 */
enum transform_result {
    TRANSFORM_WRITTEN,  /* at least one change was appended to the output */
    TRANSFORM_FILTERED, /* by a rule, or its table is not part of the migration */
    TRANSFORM_REFUSED, /* ERR_DATA: the rules cannot make this row; others of its table may do */
    TRANSFORM_FAILED,  /* err is set: ERR_DATA for this table's shape, or what is beside it */
};

struct transform_ops {
    /* The run's index of the source table that a relation of the stream is: what its changes
     * are counted by and what the handoff judges. UINT32_MAX when it is not part of the
     * migration. Also for a table that no longer fits what was bound. */
    uint32_t (*source)(struct transform *transform, const struct relation *from);
    /* Appends what `in`, a change of transaction xid, becomes to `out`: for each target of its
     * table none, one or two changes, which keep its lsn and transaction. New bytes come from
     * out's arena, others are borrowed from in. A TRUNCATE of several tables becomes one
     * TRUNCATE for those that can be truncated. */
    enum transform_result (*change)(struct transform *transform, const struct change *in,
                                    xid_t xid, struct batch *out, struct err *err);
    /* One row of the backfill for the target relation `target`, read as the source relation
     * that goes with it. On TRANSFORM_WRITTEN *out is the row (values in `arena` or borrowed
     * from `in`); filtered rows do not go to that target. */
    enum transform_result (*row)(struct transform *transform, const struct relation *target,
                                 const struct row *in, struct arena *arena, struct row *out,
                                 struct err *err);
    struct transform *(*clone)(const struct transform *transform); /* without row_reader */
    void (*destroy)(struct transform *transform); /* frees; NULL is not passed */
};

struct transform {
    const struct transform_ops *ops;
    struct row_reader
        *row_reader; /* borrowed, set by the owner; NULL: rows cannot be read again */
    bool asks;       /* a rule asks a database, which may keep it waiting */
};

#endif
