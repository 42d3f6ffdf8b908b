/* A run's spool: opening it as the migration's own, and what it means for where the source goes
 * on. Without spool.dir there is none, and all of this does nothing. */
#ifndef CLI_RUN_SPOOL_H
#define CLI_RUN_SPOOL_H

#include "cli/run_state.h"

/* The migration is ours, and nothing is written yet. ERR_CONFIG when the folder is another's.
 */
bool run_spool_open(struct run *run, struct err *err);
/* From where on the source is needed: what the target has, or what the spool has on top of it.
 */
lsn_t run_spool_resume(const struct run *run);
/* The source was checked: what its slot was told is the beginning of what is known to be safe,
 * so that a target that goes away at once finds the spool ready. */
bool run_spool_ready(struct run *run, struct err *err);
/* After binding: what the spool has that came as text cannot be told from what would come in
 * binary, so all comes as text then. */
void run_spool_take_text(struct run *run);
/* The migration follows a source that was promoted; or has before, and the spool has something
 * of its life before that. ERR_SOURCE_LOST when the new timeline lacks what the spool has. */
bool run_spool_follow(struct run *run, struct err *err);
/* NULL: there is none. */
struct backlog *run_spool_backlog(const struct run *run);

#endif
