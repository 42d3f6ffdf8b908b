/* Which errors of the target are those of a row: what another row of its table would not meet.
 * All else that is not passing (a column that is gone, a right that is missing) is the table's or
 * the server's, and is never parked. */
#ifndef PIPELINE_REFUSAL_H
#define PIPELINE_REFUSAL_H

#include "base/err.h"

/* These two may be a matter of time while tables are copied. */
#define REFUSAL_DUPLICATE_KEY "23505"
#define REFUSAL_NO_PARENT "23503"

bool refusal_is_of_row(const struct err *err);

#endif
