/* How each source table was when the migration was last let go on with it, and whether it may go on
 * with what the table is now.
 *
 * Some changes can be carried, but perhaps not as the operator means it: rows that are found by another
 * key, or go to another table, a type of which not every value fits, a new column under
 * apply.on_new_column: stop. Such a change stops the run, and each start after it: an orchestrator that
 * starts us again is nobody's consent. It is accepted when
 *
 *     the table, or its target, is again as it was, or so that nothing is to be asked,
 *     the file says something else of the table than it did then,
 *     the table's copy begins anew (run --redo), or
 *     `slackwater accept` says so: of the table as it is at that moment.
 *
 * What is compared is kept at the target (postgres/accepted_log.h), so it makes no difference whether
 * the change is met in the stream or by a start, after whatever end. */
#ifndef CLI_ACCEPTED_H
#define CLI_ACCEPTED_H

#include "cli/migration.h"

/* Adds a breaking finding for each table that waits for somebody's word. After binding. */
void accepted_check(struct migration *migration);
/* Keeps how the tables are now. wanted: by source table; NULL: all. */
bool accepted_keep(struct migration *migration, const bool *wanted, struct err *err);

#endif
