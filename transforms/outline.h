/* The shape that the rules give the target's tables (schema/outline.h). */
#ifndef TRANSFORMS_OUTLINE_H
#define TRANSFORMS_OUTLINE_H

#include "schema/outline.h"
#include "transforms/rules.h"

/* From loaded rules and the source's catalog alone; what the rules say of values is left to
 * rules_bind(). ERR_CONFIG where a table or a column that they name is not there. The rules and
 * the catalog must outlive the outline. */
bool rules_outline(const struct rules *rules, const struct catalog *source,
                   struct outline **outline, struct err *err);

#endif
