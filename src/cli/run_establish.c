/* Begins a migration, or takes it up where the last run left it (run_state.h).
 *
 * Beginning is recorded at the target before and after the slot is made (postgres/control.h),
 * so a kill in between is seen and undone. */
#include "cli/run_state.h"

#include "base/buf.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/accepted.h"
#include "cli/run_spool.h"
#include "pipeline/backoff.h"
#include "postgres/claim.h"
#include "postgres/deferred_index.h"
#include "postgres/former_log.h"
#include "postgres/probe.h"
#include "postgres/table_writer.h"

#include <stdlib.h>
#include <string.h>

#define RESET_FIRST (500 * USEC_PER_MS)
#define RESET_MOST (10 * USEC_PER_SEC)

/* ---- beginning ---- */

/* What a table is measured against later. Free the copy's texts. */
static bool read_baseline(struct run *run, size_t i, struct copy_record *copy, struct err *err)
{
    const struct bound_source *source = &run->migration.chain->sources[i];
    copy->source = run->migration.source_names[i];
    copy->copy.needed = !run->invocation->options->no_backfill;
    const struct continuity_place place = {run->migration.slot, source->table->oid};
    return continuity_fingerprint(&run->migration.source, &place, &copy->fingerprint, err) &&
           probe_stats_reset(&run->migration.source, &copy->stats_reset, err) &&
           (!source->insert_only ||
            probe_updates_deletes(&run->migration.source, source->table->oid,
                                  &copy->updates_deletes, err));
}

/* The copies' texts are freed by forget_copies(). */
static bool read_baselines(struct run *run, struct copy_record *copies, struct err *err)
{
    for (size_t i = 0; i < run->migration.source_count; i++)
        if (!read_baseline(run, i, &copies[i], err))
            return false;
    return true;
}

static void forget_baseline(struct copy_record *copy)
{
    free(copy->fingerprint);
    free(copy->stats_reset);
    free(copy->copy.covers);
}

static void forget_copies(struct copy_record *copies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        forget_baseline(&copies[i]);
    free(copies);
}

static enum slot_kind slot_kind(const struct config *config)
{
    return config->failover ? SLOT_FAILOVER : config->two_phase ? SLOT_TWO_PHASE : SLOT_PLAIN;
}

static bool publish(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    log_event(LOG_INFO, "creating publication and slot; this waits for open transactions",
              log_text("slot", m->slot));
    return slot_drop(&m->source, m->slot, err) &&
           slot_create_publications(&m->source, m->slot, m->source_count, m->slot_tables,
                                    err) &&
           failpoint(BEGIN_PUBLISHED, err);
}

static bool make_slot(struct run *run, char **snapshot, lsn_t *lsn, struct err *err)
{
    const struct migration *m = &run->migration;
    return slot_create(run->config->source_dsn, m->slot, slot_kind(run->config), m->stop,
                       snapshot, lsn, err);
}

static bool record_start(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct copy_record *copies = mem_zero(m->source_count + 1, sizeof *copies);
    char *snapshot = NULL;
    lsn_t lsn = LSN_NONE;
    /* Baselines before the slot: what happens between the two is taken for unseen rather than
     * missed. */
    bool ok = publish(run, err) && read_baselines(run, copies, err) &&
              make_slot(run, &snapshot, &lsn, err) && failpoint(BEGIN_SLOT, err) &&
              control_started(&m->target, run->config->migration, snapshot, lsn,
                              m->source_count, copies, err);
    if (ok)
        log_event(LOG_INFO, "slot created", log_text("slot", m->slot), log_lsn("lsn", lsn));
    free(snapshot);
    forget_copies(copies, m->source_count);
    return ok;
}

/* Leaves nothing behind when a begin fails; a kill before this is undone by the next run. */
static void undo_begin(struct run *run)
{
    struct migration *m = &run->migration;
    struct err ignored = {0};
    (void)slot_drop(&m->source, m->slot, &ignored);
    (void)slot_drop_publications(&m->source, m->slot, &ignored);
    run->sink->ops->disconnect(run->sink); /* it holds the origin */
    (void)control_drop_origin(&m->target, m->slot, &ignored);
    (void)control_remove(&m->target, run->config->migration, &ignored);
}

static bool begin_migration(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct control_migration facts = {
        .system_identifier = m->source_catalog->system_identifier,
        .timeline = m->source_catalog->timeline,
        .source_database = m->source_catalog->database,
    };
    if (failpoint(BEGIN_LOCKED, err) &&
        control_begin(&m->target, run->config->migration, &facts, err) &&
        failpoint(BEGIN_RECORDED, err) &&
        claim_take(&m->target, run->config->migration, m->claims, err) &&
        failpoint(BEGIN_CLAIMED, err) && record_start(run, err))
        return true;
    if (err->class != ERR_STOPPED)
        undo_begin(run);
    return false;
}

/* ---- joining ---- */

/* Published first, then known: a kill in between leaves a publication that the next start finds
 * as it wants it. The copy's snapshots must see whatever began before the table was published.
 */
static bool publish_joining(struct run *run, const struct slot_table *tables, struct err *err)
{
    struct migration *m = &run->migration;
    log_event(LOG_INFO, "tables join the migration", log_uint("tables", m->joining_count));
    return continuity_check_source(&m->source, &run->continuity, run_spool_resume(run), err) &&
           slot_publish(&m->source, m->slot, m->joining_count, tables, err);
}

/* What is counted here as seen began before the copy's snapshots: they have it. */
static bool read_joining(struct run *run, struct copy_record *copies, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < run->migration.source_count; i++)
        if (run->migration.joining[i] && !read_baseline(run, i, &copies[count++], err))
            return false;
    return true;
}

static bool record_joining(struct run *run, struct copy_record *copies, const char *covers,
                           struct err *err)
{
    for (size_t i = 0; i < run->migration.joining_count; i++)
        copies[i].copy.covers = mem_string(covers);
    return copy_records_join(&run->migration.target, run->config->migration,
                             run->migration.joining_count, copies, err);
}

static bool join_tables(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct copy_record *copies = mem_zero(m->joining_count + 1, sizeof *copies);
    struct slot_table *tables = mem_zero(m->joining_count + 1, sizeof *tables);
    char *covers = NULL;
    size_t count = 0;
    for (size_t i = 0; i < m->source_count; i++) {
        if (!m->joining[i])
            continue;
        tables[count++] = m->slot_tables[i];
    }
    bool ok =
        count == 0 ||
        (publish_joining(run, tables, err) && read_joining(run, copies, err) &&
         probe_begun(&m->source, &covers, err) && record_joining(run, copies, covers, err));
    free(covers);
    free(tables);
    forget_copies(copies, m->joining_count);
    return ok;
}

/* ---- resuming ---- */

static bool resume_migration(struct run *run, struct err *err)
{
    const struct control_migration *control = &run->migration.control;
    log_event(LOG_INFO, "resuming", log_text("migration", run->config->migration),
              log_lsn("applied", control->applied));
    return continuity_check(&run->migration.source, &run->continuity, run_spool_resume(run),
                            err);
}

/* What the control tables say of the source is the measure from here on. */
static void know_source(struct run *run)
{
    const struct control_migration *control = &run->migration.control;
    run->continuity.system_identifier = control->system_identifier;
    run->continuity.timeline = control->timeline;
    run->continuity.database = control->source_database;
    counter_set(&run->progress.slot_restart, control->slot_restart);
    run->slot_noted = control->slot_restart;
}

struct table_writer *run_make_writer(struct run *run, const struct stop *stop)
{
    return pg_table_writer_create(&(struct pg_writer_config){
        .dsn = run->config->target_dsn,
        .migration = run->config->migration,
        .catalog = run->migration.target_catalog,
        .tables = run->migration.targets,
        .table_count = run->migration.table_count,
        .sources = (const char *const *)run->migration.source_names,
        .use_replica_role = run->migration.target_catalog->can_set_replica_role,
        .defer_indexes = run->config->defer_indexes,
        .alone = run->invocation->options->no_stream,
        .letters = &run->letter_facts.config,
        .stop = stop,
    });
}

/* ---- what is copied already ---- */

int run_table_by_name(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->migration.source_count; i++)
        if (strcmp(run->migration.source_names[i], name) == 0)
            return (int)i;
    return -1;
}

static int state_of_copy(const struct run *run, int table, const struct table_copy *copy)
{
    if (!copy->needed)
        return -1;
    if (copy->finished)
        return COPIER_DONE;
    return run->choice.left_out[table] ? COPIER_HELD : COPIER_WAITING;
}

/* The view begins with what is there. */
void run_show_copy(struct run *run, int table, const struct table_copy *copy)
{
    struct table_counters *counters = &run->progress.tables[table];
    uint64_t rows = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < copy->chunk_count; i++) {
        rows += copy->chunks[i].rows;
        bytes += copy->chunks[i].bytes;
    }
    counter_set(&counters->copied_rows, rows);
    counter_set(&counters->copied_bytes, bytes);
    counter_set(&counters->chunks_copied, copy->chunk_count);
    atomic_store(&run->copy_states[table], state_of_copy(run, table, copy));
}

static void take_copy(struct run *run, int table, struct copy_record *copy)
{
    run->baselines[table] = copy->updates_deletes;
    run->fingerprints[table] = copy->fingerprint;
    copy->fingerprint = NULL; /* moved */
    run->stats_resets[table] = copy->stats_reset;
    copy->stats_reset = NULL; /* moved */
    run->copies[table] = copy->copy;
    copy->copy = (struct table_copy){0}; /* moved */
    run->choice.left_out[table] &= run->copies[table].needed && !run->copies[table].finished;
    run_show_copy(run, table, &run->copies[table]);
}

static bool load_copies(struct run *run, struct err *err)
{
    struct copy_record *copies = NULL;
    size_t count = 0;
    size_t known = 0;
    if (!copy_records_load(&run->migration.target, run->config->migration, &copies, &count,
                           err))
        return false;
    for (size_t i = 0; i < count; i++) {
        int table = run_table_by_name(run, copies[i].source);
        if (table < 0)
            continue;
        take_copy(run, table, &copies[i]);
        known++;
    }
    copy_records_free(copies, count);
    if (known == run->migration.source_count && count == known)
        return true;
    err_set(err, ERR_CONFIG, "another instance has begun the migration with other tables");
    return err_remedy(err, "start again");
}

static bool reload_control(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    control_migration_free(&m->control);
    return control_load(&m->target, run->config->migration, &m->control, err);
}

/* Those that the source cannot evaluate are not in the table's SELECT. */
static void append_formulas(const struct relation *target, struct buf *rules)
{
    for (uint16_t i = 0; i < target->column_count; i++)
        if (target->columns[i].formula != NULL)
            buf_append_format(rules, " / %s", target->columns[i].formula);
}

static bool note_rules_of(struct run *run, bool joining, bool *same, struct err *err)
{
    const struct migration *m = &run->migration;
    struct buf rules = {0};
    for (size_t i = 0; i < m->chain->table_count; i++) {
        const struct bound_table *table = &m->chain->tables[i];
        if (m->joining[table->source_index] && !joining)
            continue;
        bound_table_select(table, &rules);
        append_formulas(table->target_relation, &rules);
        buf_append_text(&rules, "; ");
    }
    bool ok = control_note_rules(&run->migration.target, run->config->migration,
                                 buf_text(&rules), same, err);
    buf_free(&rules);
    return ok;
}

/* Rows that are at the target already were made by the rules of their time. Mending a rule that
 * stopped the run is what a change is for; anything else makes old and new rows differ. */
static bool note_rules(struct run *run, struct err *err)
{
    bool same = true;
    bool larger = true;
    bool ok = note_rules_of(run, false, &same, err) &&
              (run->migration.joining_count == 0 || note_rules_of(run, true, &larger, err));
    if (ok && !same)
        log_event(
            LOG_WARN, "the rules have changed since the last run",
            log_text("impact", "rows carried before keep what the old rules made of them"),
            log_text("fix", "if that is not meant: cleanup, empty the target tables, begin "
                            "again"));
    return ok;
}

/* Somebody else may have the table for long: that is no reason to end. */
static bool reset_until_done(struct run *run, struct table_writer *writer, uint32_t table,
                             const struct copy_renewal *renewal, struct err *err)
{
    struct backoff backoff = backoff_between(RESET_FIRST, RESET_MOST);
    for (;;) {
        bool done = writer->ops->open(writer, err) &&
                    writer->ops->reset(writer, table, false, renewal, err);
        writer->ops->close(writer);
        if (done || err->class != ERR_RETRY)
            return done;
        log_event(LOG_WARN, "a table cannot be emptied yet, trying again",
                  log_text("error", err->message), log_text("sqlstate", err->sqlstate));
        if (backoff_wait(&backoff, run->migration.stop))
            return err_set(err, ERR_STOPPED, "stopped before a table was copied anew");
    }
}

/* The new copy holds what happened unseen before it. */
static bool redo_table(struct run *run, struct table_writer *writer, uint32_t i,
                       const char *covers, struct err *err)
{
    struct copy_record baseline = {0};
    if (!read_baseline(run, i, &baseline, err)) {
        forget_baseline(&baseline);
        return false;
    }
    const struct copy_renewal renewal = {.covers = covers,
                                         .fingerprint = baseline.fingerprint,
                                         .stats_reset = baseline.stats_reset,
                                         .updates_deletes = baseline.updates_deletes};
    bool ok = reset_until_done(run, writer, i, &renewal, err);
    forget_baseline(&baseline);
    if (ok)
        log_event(LOG_WARN, "a table is emptied at the target and copied anew",
                  log_text("table", run->migration.source_names[i]));
    return ok;
}

/* Tables go before those that they refer to. */
static bool redo_in_order(struct run *run, struct table_writer *writer, const char *covers,
                          struct err *err)
{
    const struct references *references = &run->migration.references;
    for (int level = references->deepest; level >= -1; level--)
        for (uint32_t i = 0; i < run->migration.source_count; i++)
            if (run->choice.redo[i] && references->levels[i] == level &&
                !redo_table(run, writer, i, covers, err))
                return false;
    return true;
}

/* The stream is at rest: what it has applied is known, and all of it has begun by now. */
static bool redo_tables(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct table_writer *writer = run_make_writer(run, m->stop);
    char *covers = NULL;
    bool ok = probe_begun(&m->source, &covers, err) && redo_in_order(run, writer, covers, err);
    free(covers);
    writer->ops->destroy(writer);
    return ok;
}

static bool has_rows(struct run *run, size_t table, bool *has, struct err *err)
{
    const struct bound_source *source = &run->migration.chain->sources[table];
    *has = false;
    for (uint32_t i = 0; !*has && i < source->table_count; i++)
        if (!pg_table_has_rows(&run->migration.target,
                               &run->migration.targets[source->first_table + i], has, err))
            return false;
    return true;
}

/* The stream may rightly have deleted all that is copied; but in mid-copy somebody else is to
 * be thought of first. */
static bool warn_of_emptied(struct run *run, struct err *err)
{
    for (size_t i = 0; i < run->migration.source_count; i++) {
        bool has = true;
        bool amid =
            !run->copies[i].finished && counter_get(&run->progress.tables[i].copied_rows);
        if (amid && !has_rows(run, i, &has, err))
            return false;
        if (has)
            continue;
        log_event(LOG_WARN,
                  "a table is copied in part, and not one of its rows is at the target",
                  log_text("table", run->migration.source_names[i]),
                  log_text("fix", "if it was not the source that deleted them: run --redo"));
    }
    return true;
}

/* ---- what can be copied ---- */

static bool is_to_copy(const struct run *run, size_t table)
{
    return run->copies[table].needed && !run->copies[table].finished;
}

static bool refuse_circle(const struct run *run, size_t table, struct err *err)
{
    bool *pending = mem_zero(run->migration.source_count + 1, sizeof *pending);
    for (size_t i = 0; i < run->migration.source_count; i++)
        pending[i] = is_to_copy(run, i);
    char *circle = references_circle(&run->migration, pending, table);
    free(pending);
    if (circle == NULL)
        return true;
    err_set(err, ERR_CONFIG,
            "%s cannot be copied: foreign keys of the target are enforced for what slackwater "
            "writes and go in a circle: %s",
            run->migration.source_names[table], circle);
    free(circle);
    return err_remedy(err, REFERENCES_CIRCLE_FIX);
}

/* Rows that refer to others come after those, and when the stream has brought what came with
 * them: with no stream, or without the others, the copy would wait for ever. */
static bool check_parents(const struct run *run, size_t table, struct err *err)
{
    const struct migration *m = &run->migration;
    const struct copy_parents *parents = &m->references.parents[table];
    for (size_t i = 0; i < parents->count; i++) {
        uint32_t parent = parents->tables[i];
        if (!is_to_copy(run, parent) || !run->choice.left_out[parent])
            continue;
        err_set(
            err, ERR_CONFIG,
            "--backfill-only: rows of %s refer to %s, which is not copied, and foreign keys "
            "of the target are enforced for what slackwater writes",
            m->source_names[table], m->source_names[parent]);
        return err_remedy(err, "name both with --backfill-only");
    }
    if (parents->count == 0 || !run->invocation->options->no_stream)
        return true;
    err_set(err, ERR_CONFIG,
            "--no-stream: rows of %s refer to other tables, and foreign keys of the target are "
            "enforced for what slackwater writes: rows that are written meanwhile come by the "
            "stream",
            m->source_names[table]);
    return err_remedy(err, "run with the stream; --until-caught-up ends it");
}

static bool check_copies(const struct run *run, struct err *err)
{
    for (size_t i = 0; i < run->migration.source_count; i++)
        if (is_to_copy(run, i) && !run->choice.left_out[i] &&
            (!refuse_circle(run, i, err) || !check_parents(run, i, err)))
            return false;
    return true;
}

/* A table that was renamed keeps its records. */
static bool rename_records(struct run *run, struct err *err)
{
    const struct migration *m = &run->migration;
    for (size_t i = 0; i < m->source_count; i++)
        if (m->known_as[i] != NULL &&
            !former_log_rename(&run->migration.target, run->config->migration, m->known_as[i],
                               m->source_names[i], err))
            return false;
    return true;
}

/* Where the source column's values go as they are: the first such column. */
static struct former_place place_of(const struct chain *chain,
                                    const struct bound_source *source,
                                    const struct catalog_column *column)
{
    for (uint32_t i = 0; i < source->table_count; i++) {
        const struct bound_table *table = &chain->tables[source->first_table + i];
        for (uint16_t j = 0; j < table->column_count; j++)
            if (bound_column_source(&table->columns[j]) == column)
                return (struct former_place){table->target->oid,
                                             table->columns[j].target->number};
    }
    return (struct former_place){0};
}

static struct former_place *places_of(const struct chain *chain,
                                      const struct bound_source *source)
{
    const struct catalog_table *table = source->table;
    struct former_place *places = mem_zero(table->column_count + 1U, sizeof *places);
    for (uint16_t i = 0; i < table->column_count; i++)
        places[i] = place_of(chain, source, &table->columns[i]);
    return places;
}

/* Before the stream brings a change of theirs. */
static bool note_names(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct former_table *tables = mem_zero(m->source_count + 1, sizeof *tables);
    struct former_place **places = mem_zero(m->source_count + 1, sizeof *places);
    for (size_t i = 0; i < m->source_count; i++) {
        places[i] = places_of(m->chain, &m->chain->sources[i]);
        tables[i] = (struct former_table){m->chain->sources[i].table, places[i]};
    }
    lsn_t at = LSN_NONE;
    bool ok =
        probe_insert_position(&m->source, &at, err) &&
        former_log_note(&m->target, run->config->migration, at, m->source_count, tables, err);
    for (size_t i = 0; i < m->source_count; i++)
        free(places[i]);
    free(places);
    free(tables);
    return ok;
}

bool run_establish(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    if (!reload_control(run, err)) /* what was read before the lock was ours may be old */
        return false;
    if (m->control.state != CONTROL_STARTED &&
        (!begin_migration(run, err) || !failpoint(BEGIN_STARTED, err) ||
         !reload_control(run, err)))
        return false;
    if (!run_follow_failover(run, err))
        return false;
    know_source(run);
    /* The rules may have changed since, and with them what is claimed. */
    return control_end_copiers(&m->target, run->config->migration, err) &&
           rename_records(run, err) && note_names(run, err) && join_tables(run, err) &&
           resume_migration(run, err) &&
           claim_take(&m->target, run->config->migration, m->claims, err) &&
           note_rules(run, err) &&
           control_set_http_address(&m->target, run->config->migration, http_address(run->http),
                                    err) &&
           snapshot_parse(m->control.initial_snapshot, &run->initial, err) &&
           probe_insert_position(&m->source, &run->started_at, err) &&
           (run->invocation->options->redo.count == 0 || redo_tables(run, err)) &&
           accepted_keep(m, NULL, err) && /* once what --redo is the word for is recorded */
           load_copies(run, err) && check_copies(run, err) && warn_of_emptied(run, err) &&
           deferred_index_any(&m->target, run->config->migration, &run->indexes_left, err) &&
           probe_position(&m->source, &run->began_at, err);
}
