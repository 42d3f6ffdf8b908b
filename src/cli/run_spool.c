/* A run's spool (run_spool.h). */
#include "cli/run_spool.h"

#include "base/log.h"

#include <stdlib.h>

/* What the migration began with, or is about to: the source in front of us is held against that
 * elsewhere, and then the spool is found to be right. */
static struct spool_identity identity_of(const struct run *run)
{
    const struct migration *m = &run->migration;
    const struct control_migration *control = &m->control;
    bool started = control->state == CONTROL_STARTED;
    return (struct spool_identity){
        .migration = run->config->migration,
        .slot = m->slot,
        .system_identifier =
            started ? control->system_identifier : m->source_catalog->system_identifier,
        .database = started ? control->source_database : m->source_catalog->database,
        .timeline = started ? control->timeline : m->source_catalog->timeline,
    };
}

static void tell(const struct run *run, uint64_t cut)
{
    struct spool_picture picture;
    spool_look(run->spool, &picture);
    if (cut > 0)
        log_event(LOG_WARN, "the spool ended in what was not whole: cut off",
                  log_text("folder", run->config->spool_dir), log_uint("bytes", cut));
    if (picture.segments > 0)
        log_event(LOG_INFO, "spool found", log_text("folder", run->config->spool_dir),
                  log_uint("segments", picture.segments), log_uint("bytes", picture.bytes),
                  log_lsn("from", picture.floor), log_lsn("to", picture.end));
}

bool run_spool_open(struct run *run, struct err *err)
{
    uint64_t cut = 0;
    if (run->config->spool_dir == NULL)
        return true;
    const struct spool_config config = {
        .folder = run->config->spool_dir,
        .identity = identity_of(run),
        .instance = strtoull(run->instance, NULL, 16),
        .max_bytes = (uint64_t)run->config->spool_max_bytes,
        .min_free = (uint64_t)run->config->spool_min_free,
        .applied = run->migration.control.applied,
    };
    if (!spool_open(&config, &run->spool, &cut, err))
        return false;
    tell(run, cut);
    monitor_set_spool(run->monitor, run->spool);
    return true;
}

bool run_spool_ready(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct spool_picture picture;
    struct slot_state slot;
    if (run->spool == NULL)
        return true;
    if (!slot_state(&m->source, m->slot, &slot, err))
        return false;
    spool_look(run->spool, &picture);
    progress_ack(&run->progress, slot.confirmed_flush);
    if (picture.segments == 0) /* then the target has it */
        counter_set(&run->progress.durable, slot.confirmed_flush);
    return true;
}

struct backlog *run_spool_backlog(const struct run *run)
{
    return run->spool == NULL ? NULL : spool_backlog(run->spool);
}

lsn_t run_spool_resume(const struct run *run)
{
    struct backlog *backlog = run_spool_backlog(run);
    lsn_t applied = run->migration.control.applied;
    return backlog == NULL ? applied : backlog->ops->resume(backlog, applied);
}
