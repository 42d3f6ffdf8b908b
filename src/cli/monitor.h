/* The monitor: a thread that reads the source for lag and gates and emits heartbeats, and the
 * place where the run's picture (observe/status.h) is put together.
 *
 * It has a session of its own and survives the source's absence: a reading that fails is kept as
 * "not known, because ...". monitor_collect() may be called from any thread. */
#ifndef CLI_MONITOR_H
#define CLI_MONITOR_H

#include "backfill/handoff.h"
#include "base/stop.h"
#include "cli/governor.h"
#include "cli/migration.h"
#include "observe/status.h"
#include "pipeline/progress.h"
#include "postgres/continuity.h"
#include "spool/spool.h"

#include <stdatomic.h>

enum monitor_stage { STAGE_STARTING, STAGE_BACKFILL, STAGE_STREAM, STAGE_STOPPING };

struct monitor;

struct monitor_config { /* borrowed; outlive the monitor */
    const struct config *config;
    const struct migration *migration;
    struct progress *progress;
    _Atomic int *copy_states; /* by source table: enum copier_state, or -1: not needed */
    /* by source table, of copy_record: what updates and deletes are counted from */
    const int64_t *baselines;
    const char *const *stats_resets;
    const struct continuity *continuity; /* as the baselines, read only after STAGE_STARTING */
    const char *instance;
    const char *heartbeat_prefix;
};

bool monitor_start(const struct monitor_config *config, struct monitor **monitor,
                   struct err *err);
void monitor_set_stage(struct monitor *monitor, enum monitor_stage stage);
/* From here on completeness of the backfill is the handoff's. NULL takes it away. */
void monitor_set_handoff(struct monitor *monitor, struct table_handoff *handoff);
/* From here on the pause and the pressure are the governor's. NULL takes it away. */
void monitor_set_governor(struct monitor *monitor, struct governor *governor);
/* From here on there is a spool. */
void monitor_set_spool(struct monitor *monitor, struct spool *spool);
/* A new picture, gates evaluated. The caller frees with status_free(). */
void monitor_collect(void *monitor, struct status *status);
void monitor_stop(struct monitor *monitor); /* NULL is accepted */

#endif
