/* route: the target table by a column's value.
 *
 *     route: { column: kind, map: { a: app.alpha, b: app.beta, x: drop, ~: app.none },
 *              default: app.other }
 *
 * Values are those of a condition's `in` (condition.h). `drop` alone carries the row nowhere. A
 * value that is not in the map goes to the default; without one it stops the run, as with map.
 * For the rest of the rules each table of a route is a target of its own, with the condition
 * that says which rows are its: a row that changes route leaves one and enters another. */
#ifndef TRANSFORMS_ROUTE_H
#define TRANSFORMS_ROUTE_H

#include "transforms/condition.h"
#include "transforms/name.h"

/* Target names may hold \1 to \9 up to `references`. */
bool route_load(const struct yaml_node *node, size_t references, struct arena *arena,
                const struct route_spec **route, struct err *err);

/* The route's targets with the captures put in, each once, in the arena. */
size_t route_targets(const struct route_spec *route, const struct captures *captures,
                     struct arena *arena, struct table_name **targets);

/* What a row of this target fulfils. */
const struct condition *route_condition(const struct route_spec *route,
                                        const struct table_name *target,
                                        const struct captures *captures, struct arena *arena);
/* What every row must fulfil; NULL when there is a default. */
const struct condition *route_known(const struct route_spec *route, struct arena *arena);

#endif
