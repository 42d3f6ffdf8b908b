/* Values of a key's leading column that split a source table's rows into parts of about equal
 * size: from the statistics of ANALYZE (histogram and most common values, so that a value that
 * many rows share gets a part of its own); from a sample of some hundred pages, or two a part,
 * where there are none, or too few for parts that are not divided any further (KEY_ASKED). */
#ifndef POSTGRES_KEY_BOUNDS_H
#define POSTGRES_KEY_BOUNDS_H

#include "pipeline/table_copy.h"
#include "postgres/session.h"
#include "schema/catalog.h"

/* At most parts - 1 distinct values, ascending in the key's order, as text; none when nothing is
 * known. The caller frees. The key is usable. */
bool key_bounds_find(struct session *session, const struct catalog_table *table,
                     const struct copy_key_column *leading, size_t parts, char ***bounds,
                     size_t *count, struct err *err);

#endif
