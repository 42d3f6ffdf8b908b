/* slackwater run: from nothing, or from wherever the last run ended, to a streaming migration.
 *
 *   bind and check -> take the migration -> begin it or resume it -> copy what is not copied
 *   -> stream
 *
 * Until the checks have passed nothing is created. Beginning is recorded at the target before
 * and after the slot is made (postgres/control.h), so a kill in between is seen and undone. */
#include "cli/command.h"

#include "backfill/copier.h"
#include "backfill/handoff.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/choice.h"
#include "cli/copy_tasks.h"
#include "cli/governor.h"
#include "cli/migration.h"
#include "cli/monitor.h"
#include "cli/report.h"
#include "observe/http.h"
#include "pipeline/backoff.h"
#include "pipeline/stream.h"
#include "postgres/claim.h"
#include "postgres/continuity.h"
#include "postgres/deferred_index.h"
#include "postgres/key_places.h"
#include "postgres/probe.h"
#include "postgres/row_reader.h"
#include "postgres/source.h"
#include "postgres/table_reader.h"
#include "postgres/table_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* While behind, batches are this large (pipeline/handover.h). The run shall stay below 256 MiB
 * however far behind it is. The most that decoded rows take, with a transaction that is cut inside
 * (its pieces have twice BATCH_BYTES) and a split into two tables:
 *
 *     received, or waiting for room        16 MiB   2 * BATCH_BYTES
 *     queued                               16       QUEUE_BYTES
 *     applied                              16       2 * BATCH_BYTES
 *     what the rules make of that          32       as much for each table
 *     what the sink makes of that          32       at most as much again
 *     two empty batches: the one next to
 *     be filled, and the stream's spare    27       8 MiB of rows, 65536 changes of 88 bytes each
 *     arrays, which grow by doubling       46       up to half of each may be unused: 6 MiB of four
 *                                                   batches, 11 of what was made, twice
 *     -------------------------------------------
 *                                         185 MiB
 *
 * To that come some 10 MiB for all else. Each further table of a split adds 16 MiB of rows, or twice
 * that. Not bounded are single rows: one of 100 MiB is held several times over. */
#define BATCH_BYTES (8U << 20)
#define BATCH_CHANGES 50000
#define QUEUE_BYTES (16U << 20)
#define COPY_TICK (100 * USEC_PER_MS)
#define RESET_FIRST (500 * USEC_PER_MS)
#define RESET_MOST (10 * USEC_PER_SEC)

struct run {
    const struct invocation *invocation;
    const struct config *config;
    struct migration migration;
    struct choice choice;
    struct progress progress;
    char instance[17];
    char heartbeat_prefix[96];

    struct table_copy *copies; /* by source table, as the next five; as kept at the start */
    _Atomic int *copy_states;
    int64_t *baselines;
    char **stats_resets;
    char **partitions;
    uint32_t *table_oids;
    struct continuity continuity;
    struct snapshot initial;
    lsn_t started_at; /* the source's position at the start */
    bool indexes_left; /* an earlier run has dropped some */
    lsn_t began_at;    /* the source's position */

    struct sink *sink;
    struct source *source;
    struct lookup_maker lookup_maker;
    struct transform *transform;
    struct row_reader *row_reader;
    struct key_places *key_places;
    struct copy_tasks tasks;
    struct stop copy_stop; /* the copiers': ends them with the run, also when that fails */
    struct table_handoff *handoff;
    struct throttle throttle;
    struct brake brake;
    struct governor *governor;
    struct copier *copier;
    struct monitor *monitor;
    struct http_server *http;
};

/* ---- beginning ---- */

/* What a table is measured against later. Free the copy's texts. */
static bool read_baseline(struct run *run, size_t i, struct control_copy *copy, struct err *err)
{
    const struct bound_source *source = &run->migration.chain->sources[i];
    copy->source = run->migration.source_names[i];
    copy->copy.needed = !run->invocation->options->no_backfill;
    return continuity_fingerprint(&run->migration.source, source->table->oid, &copy->partitions,
                                  err) &&
           probe_stats_reset(&run->migration.source, &copy->stats_reset, err) &&
           (!source->insert_only ||
            probe_updates_deletes(&run->migration.source, source->table->oid,
                                  &copy->updates_deletes, err));
}

/* The copies' texts are freed by forget_copies(). */
static bool read_baselines(struct run *run, struct control_copy *copies, struct err *err)
{
    for (size_t i = 0; i < run->migration.source_count; i++)
        if (!read_baseline(run, i, &copies[i], err))
            return false;
    return true;
}

static void forget_baseline(struct control_copy *copy)
{
    free(copy->partitions);
    free(copy->stats_reset);
    free(copy->copy.covers);
}

static void forget_copies(struct control_copy *copies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        forget_baseline(&copies[i]);
    free(copies);
}

static bool make_slot(struct run *run, char **snapshot, lsn_t *lsn, struct err *err)
{
    struct migration *m = &run->migration;
    log_event(LOG_INFO, "creating publication and slot; this waits for open transactions",
              log_text("slot", m->slot));
    return slot_drop(&m->source, m->slot, err) &&
           slot_create_publications(&m->source, m->slot, m->source_count, m->slot_tables, err) &&
           slot_create(run->config->source_dsn, m->slot, m->stop, snapshot, lsn, err);
}

static bool record_start(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct control_copy *copies = mem_zero(m->source_count + 1, sizeof *copies);
    char *snapshot = NULL;
    lsn_t lsn = LSN_NONE;
    /* Baselines first: an update between the two is counted as unseen rather than missed. */
    bool ok = read_baselines(run, copies, err) && make_slot(run, &snapshot, &lsn, err) &&
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
    if (control_begin(&m->target, run->config->migration, &facts, err) &&
        claim_take(&m->target, run->config->migration, m->claims, err) &&
        record_start(run, err))
        return true;
    if (err->class != ERR_STOPPED)
        undo_begin(run);
    return false;
}

/* ---- joining ---- */

/* Published first, then known: a kill in between leaves a publication that the next start finds
 * as it wants it. The copy's snapshots must see whatever began before the table was published. */
static bool publish_joining(struct run *run, const struct slot_table *tables, char **covers,
                            struct err *err)
{
    struct migration *m = &run->migration;
    log_event(LOG_INFO, "tables join the migration", log_uint("tables", m->joining_count));
    return continuity_check_source(&m->source, &run->continuity, m->control.applied, err) &&
           slot_publish(&m->source, m->slot, m->joining_count, tables, err) &&
           probe_begun(&m->source, covers, err);
}

static bool record_joining(struct run *run, struct control_copy *copies, const char *covers,
                           struct err *err)
{
    for (size_t i = 0; i < run->migration.joining_count; i++)
        copies[i].copy.covers = mem_string(covers);
    return control_join(&run->migration.target, run->config->migration,
                        run->migration.joining_count, copies, err);
}

static bool join_tables(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct control_copy *copies = mem_zero(m->joining_count + 1, sizeof *copies);
    struct slot_table *tables = mem_zero(m->joining_count + 1, sizeof *tables);
    char *covers = NULL;
    bool ok = true;
    size_t count = 0;
    for (size_t i = 0; ok && i < m->source_count; i++) {
        if (!m->joining[i])
            continue;
        tables[count] = m->slot_tables[i];
        ok = read_baseline(run, i, &copies[count++], err);
    }
    ok = ok && (count == 0 || (publish_joining(run, tables, &covers, err) &&
                               record_joining(run, copies, covers, err)));
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
    return continuity_check(&run->migration.source, &run->continuity, control->applied, err);
}

/* What the control tables say of the source is the measure from here on. */
static void know_source(struct run *run)
{
    const struct control_migration *control = &run->migration.control;
    run->continuity.system_identifier = control->system_identifier;
    run->continuity.timeline = control->timeline;
    run->continuity.database = control->source_database;
}

static struct table_writer *make_writer_until(struct run *run, const struct stop *stop)
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
        .stop = stop,
    });
}

/* ---- what is copied already ---- */

static int table_by_name(const struct run *run, const char *name)
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
static void show_copy(struct run *run, int table, const struct table_copy *copy)
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

static void take_copy(struct run *run, int table, struct control_copy *copy)
{
    run->baselines[table] = copy->updates_deletes;
    run->partitions[table] = copy->partitions;
    copy->partitions = NULL; /* moved */
    run->stats_resets[table] = copy->stats_reset;
    copy->stats_reset = NULL; /* moved */
    run->copies[table] = copy->copy;
    copy->copy = (struct table_copy){0}; /* moved */
    run->choice.left_out[table] &= run->copies[table].needed && !run->copies[table].finished;
    show_copy(run, table, &run->copies[table]);
}

static bool load_copies(struct run *run, struct err *err)
{
    struct control_copy *copies = NULL;
    size_t count = 0;
    size_t known = 0;
    if (!control_load_copies(&run->migration.target, run->config->migration, &copies, &count,
                             err))
        return false;
    for (size_t i = 0; i < count; i++) {
        int table = table_by_name(run, copies[i].source);
        if (table < 0)
            continue;
        take_copy(run, table, &copies[i]);
        known++;
    }
    control_copies_free(copies, count);
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
        log_event(LOG_WARN, "the rules have changed since the last run",
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
    struct control_copy baseline = {0};
    if (!read_baseline(run, i, &baseline, err)) {
        forget_baseline(&baseline);
        return false;
    }
    const struct copy_renewal renewal = {.covers = covers,
                                         .partitions = baseline.partitions,
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
    struct table_writer *writer = make_writer_until(run, m->stop);
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

/* The stream may rightly have deleted all that is copied; but in mid-copy somebody else is to be
 * thought of first. */
static bool warn_of_emptied(struct run *run, struct err *err)
{
    for (size_t i = 0; i < run->migration.source_count; i++) {
        bool has = true;
        bool amid = !run->copies[i].finished && counter_get(&run->progress.tables[i].copied_rows);
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
        err_set(err, ERR_CONFIG,
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

/* Begins or resumes, and learns what is copied. */
static bool establish(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    if (!reload_control(run, err)) /* what was read before the lock was ours may be old */
        return false;
    if (m->control.state != CONTROL_STARTED &&
        (!begin_migration(run, err) || !reload_control(run, err)))
        return false;
    know_source(run);
    /* The rules may have changed since, and with them what is claimed. */
    return control_end_copiers(&m->target, run->config->migration, err) &&
           join_tables(run, err) && resume_migration(run, err) &&
           claim_take(&m->target, run->config->migration, m->claims, err) && note_rules(run, err) &&
           control_set_http_address(&m->target, run->config->migration,
                                    http_address(run->http), err) &&
           snapshot_parse(m->control.initial_snapshot, &run->initial, err) &&
           probe_insert_position(&m->source, &run->started_at, err) &&
           (run->invocation->options->redo.count == 0 || redo_tables(run, err)) &&
           load_copies(run, err) && check_copies(run, err) && warn_of_emptied(run, err) &&
           deferred_index_any(&m->target, run->config->migration, &run->indexes_left, err) &&
           probe_position(&m->source, &run->began_at, err);
}

/* ---- backfill ---- */

static struct table_reader *make_reader(void *context)
{
    struct run *run = context;
    return pg_table_reader_create(run->config->source_dsn, run->migration.source_catalog,
                                  &run->copy_stop);
}

static struct table_writer *make_writer(void *context)
{
    struct run *run = context;
    return make_writer_until(run, &run->copy_stop);
}

/* Rows that refer to the table's and are not ours: they would go with them. */
static bool check_outside(const struct run *run, uint32_t table, struct err *err)
{
    const struct catalog_table *child = references_from_outside(&run->migration, table);
    if (child == NULL)
        return true;
    err_set(err, ERR_CONFIG,
            "the copy of %s cannot begin anew: table %s.%s, which is none of this migration, refers "
            "to its target, and foreign keys are enforced for what slackwater writes",
            run->migration.source_names[table], child->schema, child->name);
    return err_remedy(err, "GRANT SET ON PARAMETER session_replication_role to the target's role, "
                           "or drop that foreign key until the copy is complete");
}

/* On the apply thread. */
static bool reset_copy(void *context, uint32_t table, bool whole, struct err *err)
{
    struct run *run = context;
    if (!check_outside(run, table, err))
        return false;
    struct table_writer *writer = make_writer_until(run, run->migration.stop);
    bool ok = writer->ops->open(writer, err) &&
              writer->ops->reset(writer, table, whole, NULL, err);
    if (ok)
        show_copy(run, (int)table, &(struct table_copy){.needed = true});
    writer->ops->close(writer);
    writer->ops->destroy(writer);
    return ok;
}

static void reloaded_copy(void *context, uint32_t table, const struct table_copy *copy)
{
    show_copy(context, (int)table, copy);
}

/* On the apply thread too, with a session of its own. */
static bool load_kept_copies(void *context, struct table_copy *copies, struct err *err)
{
    struct run *run = context;
    struct session session = {0};
    struct control_copy *kept = NULL;
    size_t count = 0;
    size_t known = 0;
    bool ok = session_reopen(&session, "target", run->config->target_dsn, SESSION_SQL,
                             run->migration.stop, err) &&
              control_load_copies(&session, run->config->migration, &kept, &count, err);
    session_close(&session);
    for (size_t i = 0; ok && i < count; i++) {
        int table = table_by_name(run, kept[i].source);
        if (table < 0)
            continue;
        copies[table] = kept[i].copy;
        kept[i].copy = (struct table_copy){0}; /* moved */
        known++;
    }
    if (ok)
        control_copies_free(kept, count);
    return ok && (known == run->migration.source_count ||
                  err_set(err, ERR_CONFIG, "target: copy records are gone from schema slackwater"));
}

/* A table whose copy is finished is a task as well: its copy may have to begin anew. */
static void make_tasks(struct run *run)
{
    bool *wanted = mem_zero(run->migration.source_count + 1, sizeof *wanted);
    for (size_t i = 0; i < run->migration.source_count; i++)
        wanted[i] = run->copies[i].needed && !run->choice.left_out[i];
    copy_tasks_make(&run->migration, wanted, &run->tasks);
    free(wanted);
}

static bool make_handoff(struct run *run, struct err *err)
{
    const struct handoff_config config = {
        .table_count = run->migration.source_count,
        .keys = run->tasks.keys,
        .copies = run->copies,
        .note = run->migration.control.note,
        .initial = &run->initial,
        .applied = run->migration.control.applied,
        .started_at = run->started_at,
        .waits = run->choice.left_out,
        .parents = run->migration.references.any ? run->migration.references.parents
                                                         : NULL,
        .places = run->key_places,
        .stop = run->migration.stop,
        .reset = reset_copy,
        .load = load_kept_copies,
        .reloaded = reloaded_copy,
        .context = run,
    };
    if (!handoff_create(&config, &run->handoff, err))
        return false;
    for (size_t i = 0; i < run->migration.source_count; i++)
        table_copy_free(&run->copies[i]); /* the handoff has what it needs */
    monitor_set_handoff(run->monitor, run->handoff);
    return true;
}

/* Before the first chunk: it may be paused. */
static bool start_governor(struct run *run, struct err *err)
{
    const struct governor_config config = {
        .config = run->config,
        .wish = run->invocation->pause_wish,
        .paused = run->migration.control.paused,
        .handoff = run->handoff,
        .brake = &run->brake,
        .throttle = &run->throttle,
    };
    if (!governor_start(&config, &run->governor, err))
        return false;
    monitor_set_governor(run->monitor, run->governor);
    return true;
}

static bool start_copier(struct run *run, struct err *err)
{
    const struct copier_config config = {
        .task_count = run->tasks.count,
        .tasks = run->tasks.tasks,
        .handoff = run->handoff,
        .beside_stream = !run->invocation->options->no_stream,
        .builds_indexes = run->config->defer_indexes || run->indexes_left,
        .build_from = run->began_at,
        .workers = run->config->backfill_workers,
        .chunk_rows = (uint64_t)run->config->chunk_rows,
        .chunk_time = run->config->chunk_time,
        .transform = run->transform,
        .progress = &run->progress,
        .states = run->copy_states,
        .stop = &run->copy_stop,
        .throttle = throttle_limits(&run->throttle) ? &run->throttle : NULL,
        .brake = &run->brake,
        .make_reader = make_reader,
        .make_writer = make_writer,
        .context = run,
    };
    if (handoff_all_copied(run->handoff) && !config.beside_stream)
        return true;
    log_event(LOG_INFO, "backfill begins", log_uint("tables", run->tasks.count),
              log_uint("workers", (uint64_t)config.workers));
    return copier_start(&config, &run->copier, err);
}

/* Without the stream. */
static bool copy_alone(struct run *run, struct err *err)
{
    while (run->copier != NULL && !copier_is_done(run->copier)) {
        if (stop_wait(run->migration.stop, clock_monotonic() + COPY_TICK))
            return err_set(err, ERR_STOPPED, "stopped");
    }
    if (run->copier != NULL && copier_has_failed(run->copier, err))
        return false;
    log_event(LOG_INFO, "backfill done");
    return true;
}

static bool backfill(struct run *run, struct err *err)
{
    make_tasks(run);
    if (!make_handoff(run, err) || !start_governor(run, err) || !start_copier(run, err))
        return false;
    if (!run->invocation->options->no_stream)
        return true;
    monitor_set_stage(run->monitor, STAGE_BACKFILL);
    return copy_alone(run, err);
}

static bool copy_has_failed(void *context, struct err *err)
{
    struct run *run = context;
    return run->copier != NULL && copier_has_failed(run->copier, err);
}

/* ---- stream ---- */

static bool find_end(struct run *run, lsn_t *until, struct err *err)
{
    const struct options *options = run->invocation->options;
    struct session session = {0};
    *until = options->until_lsn;
    if (!options->until_caught_up)
        return true;
    bool ok = session_open(&session, "source", run->config->source_dsn, SESSION_SQL,
                           run->migration.stop, err) &&
              probe_position(&session, until, err);
    session_close(&session);
    return ok;
}

static bool stream_changes(struct run *run, struct err *err)
{
    struct stream stream = {
        .source = run->source,
        .sink = run->sink,
        .transform = run->transform,
        .progress = &run->progress,
        .stop = run->migration.stop,
        .queue_bytes = QUEUE_BYTES,
        .handoff = handoff_contract(run->handoff),
        .beside_failed = copy_has_failed,
        .beside = run,
    };
    if (!find_end(run, &stream.until, err))
        return false;
    monitor_set_stage(run->monitor, STAGE_STREAM);
    return stream_supervise(&stream, err);
}

/* ---- putting it together ---- */

static void make_connectors(struct run *run)
{
    static const enum engine ENGINES[] = {[APPLY_AUTO] = ENGINE_AUTO,
                                          [APPLY_ORDERED] = ENGINE_ORDERED,
                                          [APPLY_SET] = ENGINE_SET};
    struct migration *m = &run->migration;
    run->lookup_maker = migration_lookups(m);
    run->transform = chain_transform_asking(m->chain, &run->lookup_maker);
    run->row_reader =
        pg_row_reader_create(run->config->source_dsn, m->source_catalog, m->stop);
    run->transform->row_reader = run->row_reader;
    run->key_places = pg_key_places_create(run->config->source_dsn, m->source_count, m->stop);
    run->sink = pg_sink_create(&(struct pg_sink_config){
        .dsn = run->config->target_dsn,
        .migration = run->config->migration,
        .origin = m->slot,
        .use_origin = m->target_catalog->can_use_origins,
        .use_replica_role = m->target_catalog->can_set_replica_role,
        .catalog = m->target_catalog,
        .tables = m->targets,
        .table_count = m->table_count,
        .counters = run->progress.tables,
        .apply = &run->progress.apply,
        .engine = ENGINES[run->config->engine],
        .stop = m->stop,
    });
    run->source = pg_source_create(&(struct pg_source_config){
        .dsn = run->config->source_dsn,
        .slot = m->slot,
        .insert_only_publication = m->insert_only,
        .binary = m->chain->stream_binary,
        .heartbeat_prefix = run->heartbeat_prefix,
        .heartbeat_instance = run->instance,
        .continuity = &run->continuity,
        .limits = {.batch_bytes = BATCH_BYTES, .batch_changes = BATCH_CHANGES},
        .progress = &run->progress,
        .stop = m->stop,
    });
}

static void name_instance(struct run *run)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)clock_wall();
    snprintf(run->instance, sizeof run->instance, "%016llx", (unsigned long long)random);
    snprintf(run->heartbeat_prefix, sizeof run->heartbeat_prefix, "%s", run->migration.slot);
}

static bool start_faces(struct run *run, struct err *err)
{
    const struct monitor_config config = {
        .config = run->config,
        .migration = &run->migration,
        .progress = &run->progress,
        .copy_states = run->copy_states,
        .baselines = run->baselines,
        .stats_resets = (const char *const *)run->stats_resets,
        .continuity = &run->continuity,
        .instance = run->instance,
        .heartbeat_prefix = run->heartbeat_prefix,
    };
    if (!monitor_start(&config, &run->monitor, err) ||
        !http_start(run->config->http_listen, monitor_collect, run->monitor, &run->http, err))
        return false;
    log_event(LOG_INFO, "listening", log_text("address", http_address(run->http)));
    return true;
}

static void close_startup_sessions(struct run *run)
{
    session_close(&run->migration.source);
    session_close(&run->migration.target);
}

static bool run_bound(struct run *run, struct err *err)
{
    size_t tables = run->migration.source_count;
    progress_init(&run->progress, tables);
    stop_init(&run->copy_stop);
    throttle_init(&run->throttle, (uint64_t)run->config->max_rows_per_second,
                  (uint64_t)run->config->max_bytes_per_second);
    brake_init(&run->brake);
    run->copies = mem_zero(tables + 1, sizeof *run->copies);
    run->copy_states = mem_zero(tables + 1, sizeof *run->copy_states);
    run->baselines = mem_zero(tables + 1, sizeof *run->baselines);
    run->stats_resets = mem_zero(tables + 1, sizeof *run->stats_resets);
    run->partitions = mem_zero(tables + 1, sizeof *run->partitions);
    run->table_oids = mem_zero(tables + 1, sizeof *run->table_oids);
    for (size_t i = 0; i < tables; i++)
        run->table_oids[i] = run->migration.chain->sources[i].table->oid;
    run->continuity = (struct continuity){
        .slot = run->migration.slot,
        .table_count = tables,
        .tables = run->migration.slot_tables,
        .partitions = (const char *const *)run->partitions,
        .table_oids = run->table_oids,
    };
    name_instance(run);
    make_connectors(run);
    if (!start_faces(run, err) || !run->sink->ops->connect(run->sink, err) ||
        !establish(run, err))
        return false;
    close_startup_sessions(run);
    if (!backfill(run, err))
        return false;
    return run->invocation->options->no_stream || stream_changes(run, err);
}

static void destroy_run(struct run *run)
{
    if (run->monitor != NULL)
        monitor_set_stage(run->monitor, STAGE_STOPPING);
    http_stop(run->http);
    monitor_stop(run->monitor);
    stop_request(&run->copy_stop);
    copier_join(run->copier);
    governor_stop(run->governor);
    run->source->ops->destroy(run->source);
    run->sink->ops->destroy(run->sink);
    run->transform->ops->destroy(run->transform);
    run->row_reader->ops->destroy(run->row_reader);
    handoff_destroy(run->handoff);
    run->key_places->ops->destroy(run->key_places);
    for (size_t i = 0; i < run->migration.source_count; i++) {
        table_copy_free(&run->copies[i]);
        free(run->partitions[i]);
        free(run->stats_resets[i]);
    }
    free(run->stats_resets);
    free(run->partitions);
    free(run->table_oids);
    free(run->copies);
    copy_tasks_free(&run->tasks);
    stop_free(&run->copy_stop);
    brake_free(&run->brake);
    throttle_free(&run->throttle);
    free(run->copy_states);
    free(run->baselines);
    snapshot_free(&run->initial);
    progress_free(&run->progress);
}

/* The supervisor's one log line about the end, and the exit status. */
static int conclude(const struct run *run, bool ok, const struct err *err)
{
    if (ok || err->class == ERR_STOPPED) {
        log_event(LOG_INFO, "stopped", log_text("migration", run->config->migration),
                  log_lsn("applied", counter_get(&run->progress.applied)));
        return 0;
    }
    log_event(LOG_ERROR, err->message, log_text("class", err_class_name(err->class)),
              log_text("sqlstate", err->sqlstate), log_text("remedy", err->remedy));
    return err_exit_status(err->class);
}

/* An error before anything was begun is the operator's to mend. */
static int refuse(const struct err *err)
{
    command_complain(err);
    return err->class == ERR_STOPPED ? 0 : 2;
}

static int choose_and_run(struct run *run, struct err *err)
{
    if (!choice_make(&run->migration, run->invocation->options, &run->choice, err))
        return refuse(err);
    bool ok = run_bound(run, err);
    int status = conclude(run, ok, err);
    destroy_run(run);
    choice_free(&run->choice);
    return status;
}

int command_run_migration(const struct invocation *invocation)
{
    struct run run = {.invocation = invocation, .config = invocation->config};
    struct err err = {0};
    if (!migration_open(&run.migration, invocation->config, invocation->stop, &err))
        return refuse(&err);
    int status = 2;
    if (!migration_bind(&run.migration, !invocation->options->no_backfill, &err)) {
        status = refuse(&err);
    } else {
        report_findings_log(&run.migration.findings);
        if (run.migration.chain != NULL &&
            findings_worst(&run.migration.findings) < SEVERITY_BREAKING)
            status = choose_and_run(&run, &err);
    }
    migration_close(&run.migration);
    return status;
}
