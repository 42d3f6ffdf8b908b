/* Conflicts of the stream with what is at the target: a change that found no row, an insert whose
 * key was there. They are counted and carried on from, so each kind is said of each table once:
 * somebody else writes to it, or rows went missing.
 *
 * For the monitor's thread. */
#ifndef CLI_CONFLICTS_H
#define CLI_CONFLICTS_H

#include "pipeline/counters.h"

#include <stddef.h>

struct conflicts;

/* Names and counters are borrowed, one of each a table. */
struct conflicts *conflicts_create(const char *const *names,
                                   const struct table_counters *tables, size_t count);
/* Logs what was not there at the look before. */
void conflicts_look(struct conflicts *conflicts);
void conflicts_free(struct conflicts *conflicts);

#endif
