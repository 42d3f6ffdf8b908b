/* Do different values stay different when they go from one column to another? Only then is a
 * key of the source a key of the target. Values go as text: the source type's output into the
 * target type's input function, and what that refuses merges with nothing.
 *
 * A list of what is known to be one-to-one; all else is not, and has to be counted. */
#ifndef SCHEMA_DISTINCT_H
#define SCHEMA_DISTINCT_H

#include "base/arena.h"
#include "model/row.h"
#include "schema/catalog.h"

#include <stdbool.h>

/* Values that differ by the source column's "=" differ by the target column's. */
bool distinct_kept(const struct catalog_column *source, const struct catalog_column *target);

/* The same of texts that a rule makes, compared by their bytes. `solid`: none is another with
 * blanks behind it. */
bool distinct_texts_kept(const struct catalog_column *target, bool solid);

/* No output of the column's type ends with a blank. */
bool distinct_is_solid(const struct catalog_column *column);

/* The text by which a constant of the column's type differs from others: 1 of 01. False where
 * the type is none whose texts do, or the constant is no value of it. */
bool distinct_text(const struct catalog_column *column, const struct value *constant,
                   struct arena *arena, struct value *text);

/* Whether a GROUP BY at the source, over what transforms/rules.h says in SQL for the target
 * column, finds the values that are equal at the target. source: whose value goes there as it
 * is; NULL: a rule makes it. The texts of a citext are to be compared in lower case
 * (distinct_is_citext). */
bool distinct_can_group(const struct catalog_column *source,
                        const struct catalog_column *target);
bool distinct_is_citext(const struct catalog_column *column);

#endif
