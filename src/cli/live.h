/* What `check` sees of two live databases beyond what binding and preflight report: the
 * comparison of both schemas through the rules, whether today's rows would be refused, and how
 * values travel. */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include "cli/migration.h"

#include <jansson.h>

/* Compares, and counts rows that are in the way of new constraints. Adds to the findings. False
 * only when the source or the target is lost. */
bool live_compare(struct migration *migration, struct err *err);

/* Binary or text, for the stream and for each table's copy, and why text. */
void live_print_formats(const struct migration *migration);
/* {"formats": {...}}; NULL when the rules do not bind. */
json_t *live_formats_json(const struct migration *migration);

#endif
