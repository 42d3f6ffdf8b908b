/* The SELECT that reads the rows of a key range, for COPY, which takes no parameters: values are
 * literals with casts.
 *
 * Keys are compared as rows, so that one scan of the key's index, from `after` on, serves the
 * range and its order. Every range is read in order, so that no other index is taken for it. */
#ifndef POSTGRES_KEY_RANGE_H
#define POSTGRES_KEY_RANGE_H

#include "base/buf.h"
#include "pipeline/table_copy.h"

/* partitioned: rows of its partitions are meant; else what inherits from the table is not. */
void key_range_select(struct buf *sql, const struct relation *relation, bool partitioned,
                      const struct copy_key *key, const struct copy_range *range);
/* False when it is the whole table, in whatever order. */
bool key_range_is_bounded(const struct copy_range *range);

#endif
