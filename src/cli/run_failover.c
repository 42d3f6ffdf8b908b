/* A source that is a promoted standby of the one that the migration began with (run_state.h).
 *
 * Followed only when the copy is complete: a chunk's snapshot names transactions, and the
 * numbers of those which were lost in the failover are given out again. */
#include "cli/run_state.h"

#include "base/log.h"
#include "cli/run_spool.h"
#include "postgres/control.h"
#include "postgres/failover.h"

static bool copy_is_passed(const struct copy_record *copy, lsn_t applied)
{
    for (size_t i = 0; i < copy->copy.chunk_count; i++)
        if (copy->copy.chunks[i].lsn > applied)
            return false;
    return !copy->copy.needed || copy->copy.finished;
}

static bool backfill_is_complete(struct run *run, bool *complete, struct err *err)
{
    struct copy_record *copies = NULL;
    size_t count = 0;
    if (!copy_records_load(&run->migration.target, run->config->migration, &copies, &count,
                           err))
        return false;
    *complete = true;
    for (size_t i = 0; i < count; i++)
        *complete = *complete && copy_is_passed(&copies[i], run->migration.control.applied);
    copy_records_free(copies, count);
    return true;
}

static bool refuse(struct err *err, const char *why)
{
    err_set(err, ERR_SOURCE_LOST,
            "the source is a promoted standby, and cannot be followed: %s", why);
    return err_remedy(err,
                      "a new backfill is needed: run `slackwater cleanup`, empty the target "
                      "tables, then run again");
}

static bool check_branch(struct run *run, uint32_t now, struct err *err)
{
    const struct control_migration *control = &run->migration.control;
    lsn_t end = LSN_NONE;
    bool complete = false;
    if (!failover_branch(run->config->source_dsn, run->migration.stop, control->timeline, now,
                         &end, err) ||
        !backfill_is_complete(run, &complete, err))
        return false;
    if (end == LSN_NONE)
        return refuse(err, "its timeline does not come from the one that the migration is on");
    if (control->applied > end)
        return refuse(err, "the target has what the standby had not received");
    return complete || refuse(err, "the backfill is not complete");
}

bool run_follow_failover(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    uint32_t now = m->source_catalog->timeline;
    bool promoted = run->config->failover && now > m->control.timeline;
    if (!promoted)
        return now != m->control.timeline /* continuity says what is wrong with it */ ||
               run_spool_follow(run, err);
    if (!check_branch(run, now, err) || !run_spool_follow(run, err) ||
        !control_set_timeline(&m->target, run->config->migration, now, err))
        return false;
    log_event(LOG_WARN,
              "the source was promoted: followed, for nothing that was applied is lost",
              log_uint("timeline", now), log_uint("before", m->control.timeline),
              log_lsn("applied", m->control.applied));
    m->control.timeline = now;
    m->control.slot_restart = LSN_NONE;
    return true;
}
