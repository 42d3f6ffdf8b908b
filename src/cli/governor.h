/* The governor: a thread that holds the backfill back while it is paused, or while one of the
 * servers suffers, and lets it go on afterwards (backfill/brake.h).
 *
 * Once a second it reads
 *   at the target  whether somebody paused the migration (slackwater.migration.paused), whether
 *                  the apply thread is asked for something (cli/errands.h), and how long a small
 *                  durable commit takes
 *   at the source  how far its standbys are behind, and how many sessions are at work
 * the last three only where a limit is set and the backfill is not complete. A limit that is set
 * and cannot be measured holds the backfill back, and says why: a probe that cannot run is no
 * pass.
 *
 * SIGUSR1 and SIGUSR2 (the wish) take effect at once, and are kept at the target as soon as it can
 * be reached, so that the next run knows. It has sessions of its own: a server that hangs must
 * not hold up the monitor's readings of the other. */
#ifndef CLI_GOVERNOR_H
#define CLI_GOVERNOR_H

#include "backfill/brake.h"
#include "backfill/handoff.h"
#include "backfill/throttle.h"
#include "base/err.h"
#include "cli/command.h"
#include "observe/status.h"

struct governor;

struct governor_config { /* borrowed; outlive the governor */
    const struct config *config;
    _Atomic int *wish;         /* enum pause_wish; taken */
    atomic_bool *errands_wait; /* set when some do */
    bool paused;               /* as kept at the target when the run began */
    struct table_handoff *handoff;
    struct brake *brake;
    const struct throttle *throttle;
};

/* The brake is set when this returns: a backfill that is paused does not begin. */
bool governor_start(const struct governor_config *config, struct governor **governor,
                    struct err *err);
/* Fills the status' pause, waits and pressure. Any thread. */
void governor_fill(struct governor *governor, struct status *status);
void governor_stop(struct governor *governor); /* NULL is accepted */

#endif
