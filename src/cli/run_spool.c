/* A run's spool (run_spool.h). */
#include "cli/run_spool.h"

#include "base/log.h"
#include "postgres/failover.h"
#include "schema/types.h"

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

/* ---- what is read back ---- */

static const struct type_codec *codec_of(const struct run *run, const struct column *column)
{
    const struct type_codec *codec =
        type_codec_of(catalog_find_type(run->migration.source_catalog, column->type_oid));
    return codec != NULL && type_has_text(codec) ? codec : NULL;
}

/* Binary values of a type of which we can make no text: rather none of the table than a wrong
 * one. */
static void mark_textless(const struct run *run, struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++) {
        if (codec_of(run, &relation->columns[i]) != NULL)
            continue;
        relation->strange = relation->columns[i].unclear = true;
        log_event(LOG_WARN, "the spool has values in binary, which are to be read as text",
                  log_text("table", relation->name),
                  log_text("column", relation->columns[i].name));
    }
}

/* By the catalog that the rules are bound to, as the source reads what comes now. */
static void read_relation(void *context, lsn_t commit, bool to_text, struct relation *relation)
{
    const struct run *run = context;
    const struct migration *m = &run->migration;
    former_read(&m->former, m->source_catalog, commit, commit < m->catalog_at, relation);
    if (to_text)
        mark_textless(run, relation);
}

static bool row_to_text(const struct run *run, const struct relation *relation, struct row *row,
                        struct arena *arena, struct err *err)
{
    for (uint16_t i = 0; i < row->count; i++) {
        const struct column *column = &relation->columns[i];
        const struct value binary = row->values[i];
        const struct type_codec *codec =
            binary.kind == VALUE_BINARY ? codec_of(run, column) : NULL;
        if (codec != NULL && !type_to_text(codec, &binary, arena, &row->values[i]))
            return err_set(err, ERR_CORRUPT,
                           "spool: %s.%s: column \"%s\": no value of its type",
                           relation->schema, relation->name, column->name);
    }
    return true;
}

static bool make_text(void *context, struct batch *batch, uint32_t from, struct err *err)
{
    for (uint32_t i = from; i < batch->change_count; i++) {
        struct change *change = &batch->changes[i];
        if (!row_to_text(context, change->relation, &change->old, &batch->arena, err) ||
            !row_to_text(context, change->relation, &change->new, &batch->arena, err))
            return false;
    }
    return true;
}

void run_spool_take_text(struct run *run)
{
    static const char WHY[] = "the spool has values that came as text";
    if (run->config->spool_dir == NULL || !run->migration.chain->stream_binary ||
        !spool_holds_text(run->config->spool_dir))
        return;
    migration_take_text(&run->migration, WHY);
    log_event(LOG_INFO, "the stream comes as text until the next start", log_text("why", WHY));
}

/* ---- beginning ---- */

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
        .text = !run->migration.chain->stream_binary,
        .reading = {.relation = read_relation, .to_text = make_text, .context = run},
    };
    if (!spool_open(&config, &run->spool, &cut, err))
        return false;
    tell(run, cut);
    monitor_set_spool(run->monitor, run->spool);
    return true;
}

bool run_spool_follow(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct spool_picture picture;
    lsn_t end = LSN_NONE;
    if (run->spool == NULL)
        return true;
    spool_follow(run->spool, m->source_catalog->timeline);
    spool_look(run->spool, &picture);
    if (picture.older == 0)
        return true;
    if (!failover_branch(run->config->source_dsn, m->stop, picture.older,
                         m->source_catalog->timeline, &end, err))
        return false;
    if (picture.older_end <= end)
        return true;
    err_set(
        err, ERR_SOURCE_LOST,
        "the source is a promoted standby, and cannot be followed: spool %s has what it had "
        "not received",
        run->config->spool_dir);
    return err_remedy(err,
                      "a new backfill is needed: run `slackwater cleanup`, empty the target "
                      "tables, then run again");
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
