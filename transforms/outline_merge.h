/* Several sources of one target, in an outline: one shape that all of them fit. */
#ifndef TRANSFORMS_OUTLINE_MERGE_H
#define TRANSFORMS_OUTLINE_MERGE_H

#include "base/err.h"
#include "schema/outline.h"

/* Makes the outline's tables of one target agree (schema/outline.h), once all types are known.
 * ERR_CONFIG, with the place of the entry and both sources, where the file must say which of two
 * shapes is meant. */
bool outline_merge(struct outline *outline, struct err *err);

#endif
