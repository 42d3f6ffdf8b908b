/* slackwater run: from nothing, or from wherever the last run ended, to a streaming migration.
 *
 *   bind and check -> take the migration -> begin it or resume it -> copy what is not copied
 *   -> stream
 *
 * Until the checks have passed nothing is created. */
#include "cli/run_state.h"

#include "base/log.h"
#include "base/mem.h"
#include "cli/enum_labels.h"
#include "cli/report.h"
#include "cli/reshape.h"
#include "cli/run_spool.h"
#include "postgres/key_places.h"
#include "postgres/open_transactions.h"
#include "postgres/probe.h"
#include "postgres/row_reader.h"
#include "postgres/source.h"
#include "postgres/table_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* While behind, batches are this large (pipeline/handover.h). The run shall stay below 256 MiB
 * however far behind it is. The most that decoded rows take, with a transaction that is cut
 * inside (its pieces have twice BATCH_BYTES) and a split into two tables:
 *
 *     received, or waiting for room        16 MiB   2 * BATCH_BYTES
 *     queued                               16       QUEUE_BYTES
 *     applied, and made ahead              17       2 * BATCH_BYTES, and a sixteenth
 *     what the rules make of that          34       as much for each table
 *     what the sink makes of that          34       at most as much again
 *     two empty batches: the one next to
 *     be filled, and the stream's spare    27       8 MiB of rows, 65536 changes of 88 bytes
 * each arrays, which grow by doubling       46       up to half of each may be unused: 6 MiB of
 * four batches, 11 of what was made, twice
 *     kept empty for a batch made ahead    22       rows and merged rows 8 MiB each, net changes
 *     of transactions that are still open  16       OPEN_MEMORY of connectors/postgres/source.c
 *     of subtransactions of these          16       OPEN_PARTS_MOST of open_transactions.h
 *     -------------------------------------------
 *                                         244 MiB
 *
 * A batch is made ahead (pipeline/ahead.h) only if it and the one applied take no more than one such
 * piece, and 1 MiB. To that come some 10 MiB for all else. Each further table of a split adds 17 MiB of
 * rows, or twice that. Not bounded are single rows: one of 100 MiB is held several times over. */
#define BATCH_BYTES (8U << 20)
#define BATCH_CHANGES 50000
#define QUEUE_BYTES (16U << 20)
#define COPY_TICK (100 * USEC_PER_MS)

static const struct source_limits LIMITS = {.batch_bytes = BATCH_BYTES,
                                            .batch_changes = BATCH_CHANGES};

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
    return run_make_writer(run, &run->copy_stop);
}

/* Rows that refer to the table's and are not ours: they would go with them. */
static bool check_outside(const struct run *run, uint32_t table, struct err *err)
{
    const struct catalog_table *child = references_from_outside(&run->migration, table);
    if (child == NULL)
        return true;
    err_set(err, ERR_CONFIG,
            "the copy of %s cannot begin anew: table %s.%s, which is none of this migration, "
            "refers "
            "to its target, and foreign keys are enforced for what slackwater writes",
            run->migration.source_names[table], child->schema, child->name);
    return err_remedy(err,
                      "GRANT SET ON PARAMETER session_replication_role to the target's role, "
                      "or drop that foreign key until the copy is complete");
}

/* On the apply thread. */
static bool reset_copy(void *context, uint32_t table, bool whole, struct err *err)
{
    struct run *run = context;
    if (!check_outside(run, table, err))
        return false;
    struct table_writer *writer = run_make_writer(run, run->migration.stop);
    bool ok =
        writer->ops->open(writer, err) && writer->ops->reset(writer, table, whole, NULL, err);
    if (ok)
        run_show_copy(run, (int)table, &(struct table_copy){.needed = true});
    if (ok) {
        quarantine_clear(run->quarantine, table);
        counter_set(&run->progress.tables[table].copy_quarantined, 0);
    }
    writer->ops->close(writer);
    writer->ops->destroy(writer);
    return ok;
}

static void reloaded_copy(void *context, uint32_t table, const struct table_copy *copy)
{
    run_show_copy(context, (int)table, copy);
}

/* On the apply thread too, with a session of its own. */
static bool load_kept_copies(void *context, struct table_copy *copies, struct err *err)
{
    struct run *run = context;
    struct session session = {0};
    struct copy_record *kept = NULL;
    size_t count = 0;
    size_t known = 0;
    bool ok = session_reopen(&session, "target", run->config->target_dsn, SESSION_SQL,
                             run->migration.stop, err) &&
              copy_records_load(&session, run->config->migration, &kept, &count, err);
    session_close(&session);
    for (size_t i = 0; ok && i < count; i++) {
        int table = run_table_by_name(run, kept[i].source);
        if (table < 0)
            continue;
        copies[table] = kept[i].copy;
        kept[i].copy = (struct table_copy){0}; /* moved */
        known++;
    }
    if (ok)
        copy_records_free(kept, count);
    return ok &&
           (known == run->migration.source_count ||
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
        .parents = run->migration.references.any ? run->migration.references.parents : NULL,
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
        .errands_wait = &run->errands.wait,
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
        .quarantine = run->config->on_bad_row == BAD_ROW_QUARANTINE ? run->quarantine : NULL,
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
    /* Workers may park rows before the stream loads it again: letters need numbers of their own. */
    if (!handoff_all_copied(run->handoff) &&
        !run->letters->ops->load(run->letters, run->quarantine, err))
        return false;
    log_event(LOG_INFO, "backfill begins", log_uint("tables", run->tasks.count),
              log_uint("workers", (uint64_t)config.workers));
    return copier_start(&config, &run->copier, err);
}

static void close_startup_sessions(struct run *run)
{
    session_close(&run->migration.source);
    session_close(&run->migration.target);
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
    close_startup_sessions(run);
    monitor_set_stage(run->monitor, STAGE_BACKFILL);
    return copy_alone(run, err);
}

/* It moves every quarter of a minute at most. */
static bool note_slot(struct run *run, struct err *err)
{
    lsn_t restart = counter_get(&run->progress.slot_restart);
    if (restart <= run->slot_noted)
        return true;
    run->slot_noted = restart;
    return control_note_slot(pg_sink_session(run->sink), run->config->migration, restart, err);
}

static bool is_partitioned_there(const struct run *run, size_t source)
{
    for (size_t i = 0; i < run->migration.table_count; i++) {
        const struct pg_target_table *target = &run->migration.targets[i];
        if (target->source == source && target->table->kind == 'p')
            return true;
    }
    return false;
}

/* Until this is kept a restart looks into them again, and then they may have rows. */
static bool note_new_partitions(struct run *run, struct err *err)
{
    for (size_t i = 0; i < run->migration.source_count; i++) {
        const char *name = run->migration.source_names[i];
        char *fingerprint = continuity_take_grown(&run->continuity, i);
        if (fingerprint == NULL)
            continue;
        if (!copy_record_keep_fingerprint(pg_sink_session(run->sink), run->config->migration,
                                          name, fingerprint, err)) {
            continuity_give_back_grown(&run->continuity, i, fingerprint);
            return false;
        }
        free(fingerprint);
        log_event(LOG_INFO, "a table has new partitions, empty as they came",
                  log_text("table", name),
                  log_text("target", is_partitioned_there(run, i)
                                         ? "partitioned: it needs a place for their rows too"
                                         : "not partitioned"));
    }
    return true;
}

static bool note_changes(struct run *run, struct err *err)
{
    for (size_t i = 0; i < run->migration.source_count; i++) {
        if (counter_get(&run->tables_changed[i]) != CONTINUITY_CHANGED)
            continue;
        if (!copy_record_note_change(pg_sink_session(run->sink), run->config->migration,
                                     run->migration.source_names[i], err))
            return false;
        counter_set(&run->tables_changed[i], CONTINUITY_NOTED);
    }
    return true;
}

/* On the apply thread, between target transactions. Lookups are asked anew. */
static bool do_errands(void *context, struct err *err)
{
    struct run *run = context;
    return errands_look(&run->errands, err) && note_slot(run, err) &&
           note_new_partitions(run, err) && note_changes(run, err);
}

static bool errands_go_on(void *context)
{
    const struct run *run = context;
    return run->errands.work != NULL;
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
    *until = options->until_lsn;
    return !options->until_caught_up || probe_position(&run->migration.source, until, err);
}

static bool stream_changes(struct run *run, struct err *err)
{
    struct stream stream = {
        .source = run->source,
        .sink = run->sink,
        .connected = true,
        .transform = run->transform,
        .quarantine = run->quarantine,
        .letters = run->letters,
        .progress = &run->progress,
        .stop = run->migration.stop,
        .queue_bytes = QUEUE_BYTES,
        .backlog = run_spool_backlog(run),
        .backlog_limits = LIMITS,
        .handoff = handoff_contract(run->handoff),
        .beside_failed = copy_has_failed,
        .beside = run,
        .between = do_errands,
        .between_goes_on = errands_go_on,
    };
    if (!find_end(run, &stream.until, err))
        return false;
    run->until = stream.until;
    close_startup_sessions(run);
    monitor_set_stage(run->monitor, STAGE_STREAM);
    return stream_supervise(&stream, err);
}

/* ---- putting it together ---- */

static void make_quarantine(struct run *run)
{
    letter_facts_make(&run->migration, &run->letter_facts);
    run->letters = dead_letter_store_create(&run->letter_facts.config);
    run->quarantine = quarantine_create(&(struct quarantine_config){
        .table_count = run->migration.source_count,
        .identities = run->letter_facts.identities,
        .sources = (const char *const *)run->migration.source_names,
        .counters = run->progress.tables,
        .limits = {.max_bad_share = run->config->max_bad_share,
                   .min_rows = (uint64_t)run->config->min_bad_changes},
        .stops = run->config->on_bad_row == BAD_ROW_STOP,
    });
}

static struct transform *make_fresh_transform(void *context)
{
    struct run *run = context;
    struct transform *transform =
        chain_transform_asking(run->migration.chain, &run->lookup_maker);
    transform->row_reader = run->row_reader;
    return transform;
}

static void make_connectors(struct run *run)
{
    static const enum engine ENGINES[] = {
        [APPLY_AUTO] = ENGINE_AUTO, [APPLY_ORDERED] = ENGINE_ORDERED, [APPLY_SET] = ENGINE_SET};
    struct migration *m = &run->migration;
    run->lookup_maker = migration_lookups(m);
    run->transform = chain_transform_asking(m->chain, &run->lookup_maker);
    run->row_reader = pg_row_reader_create(run->config->source_dsn, m->source_catalog, m->stop);
    run->transform->row_reader = run->row_reader;
    run->key_places = pg_key_places_create(run->config->source_dsn, m->source_count, m->stop);
    make_quarantine(run);
    struct pg_sink_config sink = migration_sink_config(m);
    sink.counters = run->progress.tables;
    sink.apply = &run->progress.apply;
    sink.engine = ENGINES[run->config->engine];
    sink.letters = &run->letter_facts.config;
    run->sink = pg_sink_create(&sink);
    run->source = pg_source_create(&(struct pg_source_config){
        .dsn = run->config->source_dsn,
        .slot = m->slot,
        .insert_only_publication = m->insert_only,
        .binary = m->chain->stream_binary,
        .streaming = run->config->streaming,
        .temporary_directory = run->config->temporary_directory,
        .local_only = run->config->local_only,
        .heartbeat_prefix = run->heartbeat_prefix,
        .heartbeat_instance = run->instance,
        .continuity = &run->continuity,
        .former = &m->former,
        .catalog = m->source_catalog,
        .catalog_at = m->catalog_at,
        .limits = LIMITS,
        .progress = &run->progress,
        .stop = m->stop,
    });
}

static void prepare_errands(struct run *run)
{
    run->redelivery = (struct redelivery){
        .config = &run->letter_facts.config,
        .sink = run->sink,
        .make_transform = make_fresh_transform,
        .context = run,
    };
    run->errands = (struct errands){
        .redelivery = &run->redelivery, .store = run->letters, .quarantine = run->quarantine};
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
    run->fingerprints = mem_zero(tables + 1, sizeof *run->fingerprints);
    run->table_oids = mem_zero(tables + 1, sizeof *run->table_oids);
    run->tables_changed = mem_zero(tables + 1, sizeof *run->tables_changed);
    run->tables_grown = mem_zero(tables + 1, sizeof *run->tables_grown);
    for (size_t i = 0; i < tables; i++)
        run->table_oids[i] = run->migration.chain->sources[i].table->oid;
    run->continuity = (struct continuity){
        .slot = run->migration.slot,
        .slot_restart = &run->progress.slot_restart,
        .failover = run->config->failover,
        .table_count = tables,
        .tables = run->migration.slot_tables,
        .fingerprints = run->fingerprints,
        .table_oids = run->table_oids,
        .changed = run->tables_changed,
        .grown = run->tables_grown,
        .spool = run->config->spool_dir,
    };
    run_spool_take_text(run);
    name_instance(run);
    make_connectors(run);
    prepare_errands(run);
    if (!start_faces(run, err) || !run->sink->ops->connect(run->sink, err) ||
        !run_spool_open(run, err) || !run_establish(run, err) || !run_spool_ready(run, err))
        return false;
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
    quarantine_free(run->quarantine);
    run->letters->ops->destroy(run->letters);
    errands_free(&run->errands);
    letter_facts_free(&run->letter_facts);
    handoff_destroy(run->handoff);
    run->key_places->ops->destroy(run->key_places);
    spool_close(run->spool); /* its relations were the rules' */
    for (size_t i = 0; i < run->migration.source_count; i++) {
        table_copy_free(&run->copies[i]);
        free(run->fingerprints[i]);
        free(continuity_take_grown(&run->continuity, i));
        free(run->stats_resets[i]);
    }
    free(run->stats_resets);
    free(run->fingerprints);
    free(run->table_oids);
    free(run->tables_changed);
    free(run->tables_grown);
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

static uint64_t parked_in_all(const struct run *run)
{
    uint64_t parked = 0;
    for (size_t i = 0; i < run->progress.table_count; i++)
        parked += counter_get(&run->progress.tables[i].dead_letters);
    return parked;
}

/* The supervisor's one log line about the end, and the exit status. */
static int conclude(const struct run *run, bool ok, const struct err *err)
{
    if (ok || err->class == ERR_STOPPED) {
        log_event(LOG_INFO, "stopped", log_text("migration", run->config->migration),
                  log_lsn("applied", counter_get(&run->progress.applied)),
                  log_uint("dead_letters", parked_in_all(run)));
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

/* ---- rounds ---- */

/* A later round has not come as far as what tries again by itself: the stream and the copy. */
static bool is_lost_between(const struct run *run, struct reshape *reshape,
                            const struct err *err)
{
    return run->handoff == NULL && reshape_waits(reshape, err);
}

/* Until the rules have to be bound anew, or the end. */
static int choose_and_run(struct run *run, struct reshape *reshape, struct err *err)
{
    if (!choice_make(&run->migration, run->invocation->options, &run->choice, err))
        return refuse(err);
    bool ok = run_bound(run, err);
    bool anew =
        !ok && !stop_requested(run->invocation->stop) && reshape_is_due(reshape, run, err);
    bool again = anew || (!ok && is_lost_between(run, reshape, err));
    if (!ok && !again)
        enum_labels_advise(&run->migration, err);
    int status = again ? 0 : conclude(run, ok, err);
    destroy_run(run);
    choice_free(&run->choice);
    if (anew)
        reshape_keep(reshape, &run->migration);
    return status;
}

/* What could not be asked, in a first round, is the operator's to mend. */
static int give_up(const struct run *run, struct reshape *reshape, const struct err *err)
{
    if (reshape_waits(reshape, err))
        return 0;
    return reshape->begun ? conclude(run, false, err) : refuse(err);
}

/* In the first round a finding refuses; in a later one it is why the stream stops where it is. */
static int bind_and_run(struct run *run, struct reshape *reshape, struct err *err)
{
    run->migration.kept_to = reshape->before.chain;
    run->migration.renewed = &reshape->options.redo;
    if (!open_transactions_usable(run->config->temporary_directory, err) ||
        !migration_bind(&run->migration, !run->invocation->options->no_backfill, err))
        return give_up(run, reshape, err);
    report_findings_log(&run->migration.findings);
    if (!reshape_accept(reshape, &run->migration, err))
        return conclude(run, false, err);
    if (run->migration.chain == NULL ||
        findings_worst(&run->migration.findings) >= SEVERITY_BREAKING)
        return 2;
    return choose_and_run(run, reshape, err);
}

static int run_round(const struct invocation *invocation, struct reshape *reshape)
{
    struct run run = {.invocation = invocation, .config = reshape->config};
    struct err err = {0};
    if (!migration_open(&run.migration, run.config, invocation->stop, &err))
        return give_up(&run, reshape, &err);
    int status = bind_and_run(&run, reshape, &err);
    migration_close(&run.migration);
    return status;
}

int command_run_migration(const struct invocation *invocation)
{
    struct reshape reshape;
    struct invocation round = *invocation;
    int status;
    reshape_init(&reshape, invocation);
    do {
        round.options = &reshape.options;
        status = run_round(&round, &reshape);
    } while (reshape.due);
    reshape_free(&reshape);
    return status;
}
