/* Queries that tell whether today's data would be refused: each yields one bigint, the number
 * of rows (or groups of rows) in the way, counted up to VALIDATION_LIMIT.
 *
 * `rows` is what stands after FROM: a quoted table, or a SELECT in parentheses that makes the
 * target's rows of the source's. Conditions are over its columns. Texts are the caller's to
 * free. */
#ifndef SCHEMA_VALIDATION_H
#define SCHEMA_VALIDATION_H

#include "base/buf.h"
#include "schema/catalog.h"
#include "schema/index_text.h"

#include <stdbool.h>

/* Rows for which the condition holds. */
char *validation_count(const char *rows, const char *condition);

/* Groups of rows that are equal in these columns, none of them NULL (`nulls_equal`: or NULL in
 * the same ones). */
char *validation_duplicates(const char *rows, const struct catalog_table *table,
                            const uint16_t *columns, uint16_t count, bool nulls_equal);

/* The same of an index's expressions, in the rows of its predicate. */
char *validation_equal_elements(const char *rows, const struct index_text *index,
                                bool nulls_equal);

/* Pairs of rows that an exclusion constraint does not let stand beside each other. */
char *validation_excluded(const char *rows, const struct index_text *index);

/* Rows whose reference leads to no row of `parents`. */
char *validation_orphans(const char *rows, const struct catalog_table *child,
                         const struct catalog_foreign_key *key, const char *parents);

/* Appends the condition that a value of the source column is not, or is no longer the same, as
 * a value of the target column's type. False where no query can tell. */
bool validation_misfit(const struct catalog_column *source, const struct catalog_column *target,
                       struct buf *condition);

#endif
