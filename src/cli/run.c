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
#include "base/log.h"
#include "base/mem.h"
#include "cli/migration.h"
#include "cli/monitor.h"
#include "cli/report.h"
#include "observe/http.h"
#include "pipeline/stream.h"
#include "postgres/lookup.h"
#include "postgres/probe.h"
#include "postgres/source.h"
#include "postgres/table_reader.h"
#include "postgres/table_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BATCH_BYTES (8U << 20)
#define BATCH_CHANGES 20000
#define QUEUE_BYTES (32U << 20)

struct run {
    const struct invocation *invocation;
    const struct config *config;
    struct migration migration;
    struct progress progress;
    char instance[17];
    char heartbeat_prefix[96];

    struct copy_record *records; /* by table */
    _Atomic int *copy_states;
    int64_t *baselines;
    struct snapshot initial;

    struct sink *sink;
    struct source *source;
    struct lookup_maker lookup_maker;
    struct transform *transform;
    struct table_handoff *handoff;
    struct monitor *monitor;
    struct http_server *http;
};

/* ---- beginning ---- */

static bool read_baselines(struct run *run, struct control_copy *copies, struct err *err)
{
    for (size_t i = 0; i < run->migration.table_count; i++) {
        const struct bound_table *table = &run->migration.chain->tables[i];
        copies[i].source = run->migration.source_names[i];
        copies[i].record.done = run->invocation->options->no_backfill;
        if (table->insert_only &&
            !probe_updates_deletes(&run->migration.source, table->source->oid,
                                   &copies[i].updates_deletes, err))
            return false;
    }
    return true;
}

static bool make_slot(struct run *run, char **snapshot, lsn_t *lsn, struct err *err)
{
    struct migration *m = &run->migration;
    log_event(LOG_INFO, "creating publication and slot; this waits for open transactions",
              log_text("slot", m->slot));
    return slot_drop(&m->source, m->slot, err) &&
           slot_create_publications(&m->source, m->slot, m->table_count, m->slot_tables, err) &&
           slot_create(run->config->source_dsn, m->slot, m->stop, snapshot, lsn, err);
}

static bool record_start(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct control_copy *copies = mem_zero(m->table_count + 1, sizeof *copies);
    char *snapshot = NULL;
    lsn_t lsn = LSN_NONE;
    /* Baselines first: an update between the two is counted as unseen rather than missed. */
    bool ok = read_baselines(run, copies, err) && make_slot(run, &snapshot, &lsn, err) &&
              control_started(&m->target, run->config->migration, snapshot, lsn,
                              m->table_count, copies, err);
    if (ok)
        log_event(LOG_INFO, "slot created", log_text("slot", m->slot), log_lsn("lsn", lsn));
    free(snapshot);
    free(copies);
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
    const struct control_migration facts = {
        .system_identifier = m->source_catalog->system_identifier,
        .timeline = m->source_catalog->timeline,
        .source_database = m->source_catalog->database,
    };
    if (control_begin(&m->target, run->config->migration, &facts, err) &&
        record_start(run, err))
        return true;
    if (err->class != ERR_STOPPED)
        undo_begin(run);
    return false;
}

/* ---- resuming: is the source still the one we know? ---- */

static bool source_lost(struct err *err, const char *what)
{
    err_set(err, ERR_SOURCE_LOST, "%s", what);
    return err_remedy(err, "changes may be missing, so a new backfill is needed: run `slackwater "
                           "cleanup`, empty the target tables, then run again");
}

static bool check_identity(const struct run *run, struct err *err)
{
    const struct control_migration *known = &run->migration.control;
    const struct catalog *source = run->migration.source_catalog;
    if (strcmp(known->system_identifier, source->system_identifier) != 0 ||
        strcmp(known->source_database, source->database) != 0) {
        err_set(err, ERR_SOURCE_LOST,
                "the source is not the one this migration began with: system %s database %s, "
                "then system %s database %s",
                source->system_identifier, source->database, known->system_identifier,
                known->source_database);
        return err_remedy(err, "check the source DSN");
    }
    if (known->timeline == source->timeline)
        return true;
    err_set(err, ERR_SOURCE_LOST,
            "the source is on timeline %u, the migration began on %u: it was promoted or "
            "restored, and may lack what we applied",
            source->timeline, known->timeline);
    return err_remedy(err, "compare both sides; then run `slackwater cleanup`, empty the target "
                           "tables, and run again");
}

static bool check_slot(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct slot_state state;
    char slot_at[LSN_TEXT_SIZE];
    char applied[LSN_TEXT_SIZE];
    if (!slot_state(&m->source, m->slot, &state, err))
        return false;
    if (!state.exists)
        return source_lost(err, "the replication slot is gone from the source");
    if (!state.ours)
        return source_lost(err, "the replication slot is not pgoutput's for this database");
    if (strcmp(state.wal_status, "lost") == 0)
        return source_lost(err, "the replication slot was invalidated: its WAL is removed");
    if (state.confirmed_flush <= m->control.applied)
        return true;
    err_set(err, ERR_SOURCE_LOST,
            "gap: the slot stands at %s, behind it the target has only %s; somebody advanced or "
            "recreated the slot",
            lsn_format(state.confirmed_flush, slot_at),
            lsn_format(m->control.applied, applied));
    return err_remedy(err, "changes are missing: run `slackwater cleanup`, empty the target "
                           "tables, then run again");
}

static bool check_publications(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    bool same = false;
    char *difference = NULL;
    if (!slot_check_publications(&m->source, m->slot, m->table_count, m->slot_tables, &same,
                                 &difference, err))
        return false;
    if (same)
        return true;
    err_set(err, ERR_CONFIG, "publication %s is not what the rules need: it %s", m->slot,
            difference);
    free(difference);
    return err_remedy(err, "a running migration's tables cannot change in this version: restore "
                           "the rules or the publication, or run `slackwater cleanup` and begin "
                           "again");
}

static bool resume_migration(struct run *run, struct err *err)
{
    if (!check_identity(run, err) || !check_slot(run, err) || !check_publications(run, err))
        return false;
    log_event(LOG_INFO, "resuming", log_text("migration", run->config->migration),
              log_lsn("applied", run->migration.control.applied));
    return true;
}

/* ---- what is copied already ---- */

static int table_by_name(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->migration.table_count; i++)
        if (strcmp(run->migration.source_names[i], name) == 0)
            return (int)i;
    return -1;
}

static void take_record(struct run *run, int table, struct control_copy *copy)
{
    run->baselines[table] = copy->updates_deletes;
    run->records[table] = copy->record;
    copy->record.snapshot = NULL; /* moved */
    if (!copy->record.done)
        return;
    bool copied = run->records[table].snapshot != NULL;
    atomic_store(&run->copy_states[table], copied ? COPIER_DONE : -1);
    counter_set(&run->progress.tables[table].copied_rows, copy->record.rows);
    counter_set(&run->progress.tables[table].copied_bytes, copy->record.bytes);
}

static bool load_records(struct run *run, struct err *err)
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
        take_record(run, table, &copies[i]);
        known++;
    }
    control_copies_free(copies, count);
    if (known == run->migration.table_count && count == known)
        return true;
    err_set(err, ERR_CONFIG, "the rules name other tables than the migration began with");
    return err_remedy(err, "restore the rules, or run `slackwater cleanup` and begin again");
}

/* Begins or resumes, and learns what is copied. */
static bool establish(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    control_migration_free(&m->control); /* read before the lock was ours */
    if (!control_load(&m->target, run->config->migration, &m->control, err))
        return false;
    bool began = m->control.state != CONTROL_STARTED;
    if (!(began ? begin_migration(run, err) : resume_migration(run, err)))
        return false;
    control_migration_free(&m->control);
    return control_load(&m->target, run->config->migration, &m->control, err) &&
           control_set_http_address(&m->target, run->config->migration,
                                    http_address(run->http), err) &&
           snapshot_parse(m->control.initial_snapshot, &run->initial, err) &&
           load_records(run, err);
}

/* ---- backfill ---- */

static struct table_reader *make_reader(void *context)
{
    struct run *run = context;
    return pg_table_reader_create(run->config->source_dsn, run->migration.source_catalog,
                                  run->migration.stop);
}

static struct table_writer *make_writer(void *context)
{
    struct run *run = context;
    return pg_table_writer_create(&(struct pg_writer_config){
        .dsn = run->config->target_dsn,
        .migration = run->config->migration,
        .tables = run->migration.targets,
        .sources = (const char *const *)run->migration.source_names,
        .use_replica_role = run->migration.target_catalog->can_set_replica_role,
        .stop = run->migration.stop,
    });
}

/* How deep below tables without parents each target table is; cycles end at the count. */
static void find_levels(const struct run *run, int *levels)
{
    size_t count = run->migration.table_count;
    bool changed = true;
    for (size_t round = 0; changed && round < count; round++) {
        changed = false;
        for (size_t child = 0; child < count; child++) {
            const struct catalog_table *table = run->migration.targets[child].table;
            for (size_t parent = 0; parent < count; parent++) {
                for (uint16_t k = 0; k < table->foreign_key_count; k++) {
                    if (parent == child || table->foreign_keys[k].parent_oid !=
                                               run->migration.targets[parent].table->oid ||
                        levels[child] > levels[parent])
                        continue;
                    levels[child] = levels[parent] + 1;
                    changed = true;
                }
            }
        }
    }
}

/* Insertion sort: by level, then by size. */
static void order_tasks(const struct run *run, bool parents_first, struct copy_task *tasks,
                        size_t count)
{
    int *levels = mem_zero(run->migration.table_count + 1, sizeof *levels);
    if (parents_first)
        find_levels(run, levels);
    for (size_t i = 1; i < count; i++) {
        struct copy_task task = tasks[i];
        size_t at = i;
        for (; at > 0; at--) {
            uint32_t before = tasks[at - 1].table;
            int level = levels[before] - levels[task.table];
            int64_t bytes = run->migration.chain->tables[task.table].source->bytes -
                            run->migration.chain->tables[before].source->bytes;
            if (level < 0 || (level == 0 && bytes <= 0))
                break;
            tasks[at] = tasks[at - 1];
        }
        tasks[at] = task;
    }
    free(levels);
}

static size_t list_tasks(const struct run *run, struct copy_task *tasks)
{
    size_t count = 0;
    for (size_t i = 0; i < run->migration.table_count; i++) {
        const struct bound_table *table = &run->migration.chain->tables[i];
        if (!run->records[i].done)
            tasks[count++] = (struct copy_task){.table = (uint32_t)i,
                                                .source = table->source_relation,
                                                .target = table->target_relation,
                                                .binary = table->copy_binary};
    }
    return count;
}

static bool backfill(struct run *run, struct err *err)
{
    struct migration *m = &run->migration;
    struct copy_task *tasks = mem_zero(m->table_count + 1, sizeof *tasks);
    bool enforced = !m->target_catalog->can_set_replica_role;
    bool ok = true;
    size_t count = list_tasks(run, tasks);
    order_tasks(run, enforced || run->config->backfill_order == COPY_PARENTS_FIRST, tasks,
                count);
    if (count > 0) {
        monitor_set_stage(run->monitor, STAGE_BACKFILL);
        log_event(LOG_INFO, "backfill begins", log_uint("tables", count));
        struct copier copier = {
            .task_count = count,
            .tasks = tasks,
            .records = run->records,
            .workers = enforced ? 1 : run->config->backfill_workers,
            .initial = &run->initial,
            .transform = run->transform,
            .progress = &run->progress,
            .states = run->copy_states,
            .stop = m->stop,
            .make_reader = make_reader,
            .make_writer = make_writer,
            .context = run,
        };
        ok = copier_run(&copier, err);
        if (ok)
            log_event(LOG_INFO, "backfill done", log_uint("tables", count));
    }
    free(tasks);
    return ok;
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
    };
    if (!find_end(run, &stream.until, err) ||
        !handoff_create(run->records, run->migration.table_count, &run->handoff, err))
        return false;
    stream.handoff = handoff_contract(run->handoff);
    monitor_set_handoff(run->monitor, run->handoff);
    monitor_set_stage(run->monitor, STAGE_STREAM);
    return stream_supervise(&stream, err);
}

/* ---- putting it together ---- */

static struct lookup *make_lookup(void *context, const struct lookup_request *request)
{
    const struct run *run = context;
    return pg_lookup_create(
        &(struct pg_lookup_config){.source_dsn = run->config->source_dsn,
                                   .target_dsn = run->config->target_dsn,
                                   .stop = run->migration.stop},
        request);
}

static void make_connectors(struct run *run)
{
    struct migration *m = &run->migration;
    run->lookup_maker = (struct lookup_maker){.make = make_lookup, .context = run};
    run->transform = chain_transform_asking(m->chain, &run->lookup_maker);
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
        .stop = m->stop,
    });
    run->source = pg_source_create(&(struct pg_source_config){
        .dsn = run->config->source_dsn,
        .slot = m->slot,
        .insert_only_publication = m->insert_only,
        .binary = m->chain->stream_binary,
        .heartbeat_prefix = run->heartbeat_prefix,
        .heartbeat_instance = run->instance,
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
    size_t tables = run->migration.table_count;
    progress_init(&run->progress, tables);
    run->records = mem_zero(tables + 1, sizeof *run->records);
    run->copy_states = mem_zero(tables + 1, sizeof *run->copy_states);
    run->baselines = mem_zero(tables + 1, sizeof *run->baselines);
    name_instance(run);
    make_connectors(run);
    if (!run->sink->ops->connect(run->sink, err) || !start_faces(run, err) ||
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
    run->source->ops->destroy(run->source);
    run->sink->ops->destroy(run->sink);
    run->transform->ops->destroy(run->transform);
    handoff_destroy(run->handoff);
    for (size_t i = 0; i < run->migration.table_count; i++)
        free(run->records[i].snapshot);
    free(run->records);
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
            findings_worst(&run.migration.findings) < SEVERITY_BREAKING) {
            bool ok = run_bound(&run, &err);
            status = conclude(&run, ok, &err);
            destroy_run(&run);
        }
    }
    migration_close(&run.migration);
    return status;
}
