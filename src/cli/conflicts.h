/* Conflicts of the stream with what is at the target: a change that found no row, an insert whose
 * key was there. They are counted and carried on from, so each kind is said of each table once:
 * somebody else writes to it, or rows went missing. While the backfill is not complete they may
 * have been our own: a row that was read again may be newer than the changes behind it.
 *
 * For the monitor's thread. */
#ifndef CLI_CONFLICTS_H
#define CLI_CONFLICTS_H

#include "pipeline/counters.h"

#include <stdbool.h>
#include <stddef.h>

struct conflicts;

/* Names and counters are borrowed, one of each a table. */
struct conflicts *conflicts_create(const char *const *names,
                                   const struct table_counters *tables, size_t count);
/* Logs what was not there at the look before, if by now all are of others. */
void conflicts_look(struct conflicts *conflicts, bool backfill_complete);
void conflicts_free(struct conflicts *conflicts);

#endif
