/* Where a source table's rows are split by key into parts of about equal size: at values of the
 * leading column, from the statistics of ANALYZE (histogram and most common values). Where more
 * rows share one value than a part should have, at rows of the key's first columns, from a
 * sample of some hundred pages, or two a part; so too where there are no statistics, or too few
 * for parts that are not divided any further (KEY_ASKED). */
#ifndef POSTGRES_KEY_BOUNDS_H
#define POSTGRES_KEY_BOUNDS_H

#include "pipeline/table_copy.h"
#include "postgres/session.h"
#include "schema/catalog.h"

/* Sets the plan's bounds, at most parts - 1, ascending in the key's order; none when nothing is
 * known. The key is usable. On failure the plan may have some. */
bool key_bounds_find(struct session *session, const struct catalog_table *table,
                     const struct copy_key *key, size_t parts, struct copy_plan *plan,
                     struct err *err);

#endif
