/* The contract of the rules: from what the source sends to what the sink writes.
 *
 * Bound before the run to both live schemas; here it only evaluates. Used by one thread at a
 * time per instance (`clone` makes another for a second thread); holds no state between calls
 * but caches. */
#ifndef PIPELINE_TRANSFORM_H
#define PIPELINE_TRANSFORM_H

#include "base/err.h"
#include "model/batch.h"

struct transform;

/* What became of one change. Every change in is exactly one of these: the ledger counts on it. */
enum transform_result {
    TRANSFORM_WRITTEN,  /* at least one change was appended to the output */
    TRANSFORM_FILTERED, /* by a rule, or its table is not part of the migration */
    TRANSFORM_FAILED,   /* err is set: ERR_DATA for this row or this shape */
};

struct transform_ops {
    /* Appends what `in` becomes to `out`; new bytes come from out's arena, others are borrowed
     * from in. Sets *table to the run's table index, also when filtered or failed (UINT32_MAX
     * when the relation is not part of the migration). A TRUNCATE of several tables becomes one
     * TRUNCATE for those that can be truncated. */
    enum transform_result (*change)(struct transform *transform, const struct change *in,
                                    struct batch *out, uint32_t *table, struct err *err);
    /* One row of the backfill, of the source relation `from`. On TRANSFORM_WRITTEN *out is the
     * row for the target relation `*target` (values in `arena` or borrowed from `in`). */
    enum transform_result (*row)(struct transform *transform, const struct relation *from,
                                 const struct row *in, struct arena *arena,
                                 const struct relation **target, struct row *out,
                                 struct err *err);
    struct transform *(*clone)(const struct transform *transform);
    void (*destroy)(struct transform *transform); /* frees; NULL is not passed */
};

struct transform {
    const struct transform_ops *ops;
};

#endif
