/* SQL of the stage that a chunk of a copy may go through: a temporary table of the target table's
 * columns, which COPY fills and one statement merges.
 *
 * Types and collations of its columns are the target's, so equal means the same there; a column
 * that the target is to make (schema/formula.h) is staged as what its formula reads. It is made
 * once for a session and a table, and emptied by each commit. (Stages of the stream are
 * stage.h's.) All functions append one statement. */
#ifndef POSTGRES_COPY_STAGE_H
#define POSTGRES_COPY_STAGE_H

#include "base/buf.h"
#include "model/relation.h"

#include <stdbool.h>

struct copy_stage {
    const struct relation *relation; /* the target table; borrowed */
    bool partitioned;                /* it is */
    bool overwrites; /* what has a row's key at the target; else that is refused */
};

void copy_stage_create_sql(struct buf *sql, const struct copy_stage *stage);
void copy_stage_empty_sql(struct buf *sql, const struct copy_stage *stage);
/* COPY into it, or `straight` into the target table. */
void copy_stage_load_sql(struct buf *sql, const struct copy_stage *stage, bool straight,
                         bool binary);

/* "(a, b)": the key's columns, as USING and ON CONFLICT take them. */
void copy_stage_keys(struct buf *sql, const struct copy_stage *stage);
/* A row if two of the staged rows have one key: the merge would hide the first, or fail with
 * words about itself. */
void copy_stage_repeated_sql(struct buf *sql, const struct copy_stage *stage);
/* The same of blocks that are merged one by one (backfill/sift.h): what this transaction has
 * written is not over, and not older than its beginning. */
void copy_stage_repeated_of_blocks_sql(struct buf *sql, const struct copy_stage *stage);
/* 't' if the target has a row with the key of one that is staged. */
void copy_stage_met_sql(struct buf *sql, const struct copy_stage *stage);
/* Makes the column of all staged rows, and drops it. */
void copy_stage_formula_sql(struct buf *sql, const struct copy_stage *stage,
                            const struct column *column);

/* The source wins over what the application wrote to the target before the copy; what it wrote
 * since then is on its way in the stream. Answers how many rows were overwritten, where the table
 * lets it see that; else with no row. */
void copy_stage_merge_sql(struct buf *sql, const struct copy_stage *stage);

#endif
