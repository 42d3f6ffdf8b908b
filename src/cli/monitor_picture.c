/* The run's picture, of what the probes have read and what the others count (monitor.h). */
#include "cli/monitor_state.h"

#include "backfill/copier.h"
#include "base/mem.h"
#include "observe/forecast.h"
#include "observe/gates.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>

#define STALE_AFTER (5 * USEC_PER_SEC) /* for what is read every second */
#define STALE_SELDOM (15 * USEC_PER_SEC)

static enum copy_state copy_state(int state)
{
    switch (state) {
    case COPIER_WAITING:
        return COPY_WAITING;
    case COPIER_COPYING:
        return COPY_RUNNING;
    case COPIER_DONE:
        return COPY_DONE;
    case COPIER_HELD:
        return COPY_HELD;
    case COPIER_INDEXING:
        return COPY_INDEXING;
    default:
        return COPY_NOT_NEEDED;
    }
}

/* "app.a", or "app.a, app.b" for a table that goes to several, each named once. */
static char *display_targets(const struct chain *chain, const struct bound_source *source)
{
    struct buf text = {0};
    for (uint32_t i = 0; i < source->table_count; i++) {
        const struct bound_table *table = &chain->tables[source->first_table + i];
        bool named = false;
        for (uint32_t j = 0; j < i; j++)
            named = named || chain->tables[source->first_table + j].target == table->target;
        if (named)
            continue;
        char *name = ident_display(table->target->schema, table->target->name);
        buf_append_format(&text, "%s%s", i == 0 ? "" : ", ", name);
        free(name);
    }
    return buf_steal(&text);
}

/* A table that goes to several is read once for each. */
static int64_t expected(int64_t estimated, const struct bound_source *source)
{
    return estimated < 0 ? estimated : estimated * source->table_count;
}

static void fill_table(const struct monitor *m, size_t i, struct table_status *to)
{
    const struct chain *chain = m->config.migration->chain;
    const struct bound_source *source = &chain->sources[i];
    const struct table_counters *from = &m->config.progress->tables[i];
    *to = (struct table_status){
        .source = ident_display(source->table->schema, source->table->name),
        .target = display_targets(chain, source),
        .insert_only = source->insert_only,
        .unseen_writes = !source->insert_only ? 0
                         : m->unseen[i] < 0   ? -1
                                              : m->unseen[i],
        .copy = copy_state(atomic_load(&m->config.copy_states[i])),
        .copied_rows = counter_get(&from->copied_rows),
        .copied_bytes = counter_get(&from->copied_bytes),
        .copy_overwritten = counter_get(&from->copy_overwritten),
        .chunks = counter_get(&from->chunks_copied),
        .chunks_retried = counter_get(&from->chunks_retried),
        .estimated_rows = expected(source->table->estimated_rows, source),
        .estimated_bytes = expected(source->table->bytes, source),
        .received = counter_get(&from->received),
        .applied = counter_get(&from->applied),
        .filtered = counter_get(&from->filtered),
        .skipped_by_handoff = counter_get(&from->skipped_by_handoff),
        .quarantined = counter_get(&from->quarantined),
        .copy_quarantined = counter_get(&from->copy_quarantined),
        .dead_letters = counter_get(&from->dead_letters),
        .parked_keys = counter_get(&from->parked_keys),
        .breaker = (enum breaker_state)counter_get(&from->breaker),
        .inserts = counter_get(&from->inserts),
        .updates = counter_get(&from->updates),
        .deletes = counter_get(&from->deletes),
        .truncates = counter_get(&from->truncates),
        .conflict_insert_exists = counter_get(&from->conflict_insert_exists),
        .conflict_update_missing = counter_get(&from->conflict_update_missing),
        .conflict_delete_missing = counter_get(&from->conflict_delete_missing),
    };
    if (to->estimated_rows < 0)
        to->estimated_rows = forecast_rows_by_size(to);
    if (m->handoff != NULL)
        to->estimated_rows = handoff_expected_rows(m->handoff, (uint32_t)i, to->estimated_rows);
    pace_rates(&m->paces[i], &to->copy_rows_per_second, &to->copy_bytes_per_second);
}

static void fill_tables(const struct monitor *m, struct status *status)
{
    size_t count = m->config.migration->source_count;
    status->tables = mem_zero(count + 1, sizeof *status->tables);
    status->table_count = count;
    for (size_t i = 0; i < count; i++)
        fill_table(m, i, &status->tables[i]);
    pace_rates(&m->paces[count], &status->backfill_rows_per_second,
               &status->backfill_bytes_per_second);
    forecast_fill(status);
}

/* Only while something is left to copy does anything wait. */
static void fill_waits(const struct monitor *m, struct status *status)
{
    status->pressure = (struct pressure_status){-1, -1, -1, -1};
    if (m->governor != NULL)
        governor_fill(m->governor, status);
    status_wait(status, WAIT_COMMITS, counter_get(&m->config.progress->waiting_for_commits) > 0,
                "commits at the source are not visible to new snapshots yet");
    status_wait(status, WAIT_OPEN_TRANSACTIONS,
                counter_get(&m->config.progress->waiting_for_ends) > 0,
                "transactions are open at the source that began before the copy");
    status_wait(status, WAIT_STREAM, counter_get(&m->config.progress->copiers_ahead) > 0,
                "the stream is far behind, and rows wait for those that they refer to");
    for (enum backfill_wait wait = 0; wait < BACKFILL_WAITS; wait++)
        if (m->handoff == NULL || handoff_all_copied(m->handoff))
            status_wait(status, wait, false, "");
}

static void fill_apply(const struct apply_counters *from, struct apply_status *to)
{
    *to = (struct apply_status){
        .batches_ordered = counter_get(&from->batches_ordered),
        .batches_set = counter_get(&from->batches_set),
        .fallbacks = counter_get(&from->fallbacks),
        .batches_ahead = counter_get(&from->batches_ahead),
        .rows_copied = counter_get(&from->rows_copied),
        .rows_staged = counter_get(&from->rows_staged),
        .rows_single = counter_get(&from->rows_single),
        .changes_folded = counter_get(&from->changes_folded),
    };
}

static void fill_spool(const struct monitor *m, struct status *status)
{
    static const enum spool_use USES[] = {
        [SPOOL_EMPTY] = SPOOL_IDLE, [SPOOL_IN_USE] = SPOOL_HOLDS, [SPOOL_FULL] = SPOOL_STUCK};
    struct spool_picture picture;
    status->spool = (struct spool_status){.use = SPOOL_OFF, .oldest = -1};
    if (m->spool == NULL)
        return;
    spool_look(m->spool, &picture);
    status->spool = (struct spool_status){
        .use = USES[picture.state],
        .bytes = picture.bytes,
        .segments = picture.segments,
        .unread = picture.unread,
        .cut = picture.cut,
        .from = picture.floor,
        .to = picture.end,
        .oldest = picture.segments == 0             ? -1
                  : status->now > picture.oldest_at ? status->now - picture.oldest_at
                                                    : 0,
    };
}

static void fill_counts(const struct monitor *m, struct status *status)
{
    struct progress *p = m->config.progress;
    status->received_lsn = counter_get(&p->received);
    status->applied_lsn = counter_get(&p->applied);
    status->flushed_lsn = counter_get(&p->durable);
    status->acked_lsn = progress_acked(p);
    status->transactions = counter_get(&p->transactions);
    status->changes = counter_get(&p->changes);
    status->batches = counter_get(&p->batches);
    status->bytes_received = counter_get(&p->bytes_received);
    fill_apply(&p->apply, &status->apply);
    status->target_circuit = (enum breaker_state)atomic_load(&p->target_circuit);
    status->kept = (struct kept_status){.transactions = counter_get(&p->open.transactions),
                                        .prepared = counter_get(&p->open.prepared),
                                        .memory_bytes = counter_get(&p->open.memory_bytes),
                                        .file_bytes = counter_get(&p->open.file_bytes),
                                        .committed = counter_get(&p->open.committed)};
    status->retries = counter_get(&p->retries);
    status->reconnects = counter_get(&p->reconnects);
    status->errors = counter_get(&p->errors);
    status->queue_bytes = counter_get(&p->queue_bytes);
    status->resident_bytes = mem_resident();
    status->error_rate = progress_error_rate(p);
}

/* Fills from what the progress keeps behind its lock, and the lag from that. */
static void fill_lag(struct monitor *m, struct status *status, bool streaming)
{
    struct progress *p = m->config.progress;
    usec_t now = status->now_monotonic;
    bool held_up = m->slot_at != 0 && now - m->slot_at > STALE_AFTER; /* no marks, no news */
    struct lag_reading reading = {
        .applied = counter_get(&p->applied),
        .source = m->source_lsn,
        .streaming = streaming && !held_up,
    };
    pthread_mutex_lock(&p->lock);
    status->last_commit_at = p->last_commit_at;
    snprintf(status->last_error, sizeof status->last_error, "%s", p->last_error);
    status->last_error_at = p->last_error_at;
    reading.heartbeat_applied = p->heartbeat_emitted;
    reading.heartbeat_delay = p->heartbeat_delay;
    if (now - p->last_applied_at < 2 * USEC_PER_SEC && p->last_delay > 0)
        reading.transaction_delay = p->last_delay;
    pthread_mutex_unlock(&p->lock);
    lag_fill(&m->lag, &reading, now, status);
}

static enum phase phase_of(struct monitor *m, const struct status *status)
{
    struct progress *p = m->config.progress;
    switch ((enum monitor_stage)atomic_load(&m->stage)) {
    case STAGE_STARTING:
        return PHASE_STARTING;
    case STAGE_BACKFILL:
        return PHASE_BACKFILL;
    case STAGE_STOPPING:
        return PHASE_STOPPING;
    case STAGE_STREAM:
        break;
    }
    bool connected = atomic_load(&p->streaming);
    bool in_trouble = counter_get(&p->errors) > 0 || counter_get(&p->reconnects) > 0;
    if (status->target_circuit == BREAKER_OPEN || (!connected && in_trouble))
        return PHASE_WAITING;
    if (m->handoff != NULL &&
        !handoff_all_copied(m->handoff)) /* also before it first streams */
        return PHASE_BACKFILL;
    if (!connected)
        return PHASE_WAITING;
    return status->lag.known && status->lag.time <= status->limits.max_lag &&
                   status->lag.bytes <= status->limits.max_lag_bytes
               ? PHASE_STREAMING
               : PHASE_CATCHING_UP;
}

static const char *note_of(struct monitor *m)
{
    if (atomic_load(&m->stage) != STAGE_STREAM)
        return "";
    if (atomic_load(&m->config.progress->target_circuit) == BREAKER_OPEN)
        return "the target does not take the batch: trying again";
    return atomic_load(&m->config.progress->streaming) ? "" : "connecting to the source";
}

/* A reading that is too old is none: its prober may be held up. */
static bool is_fresh(usec_t read_at, usec_t now, usec_t stale_after, char *error, size_t size)
{
    if (read_at != 0 && now - read_at <= stale_after)
        return true;
    if (read_at != 0)
        snprintf(error, size, "the last look was %d s ago",
                 (int)((now - read_at) / USEC_PER_SEC));
    return false;
}

/* Lock held. */
static void fill_readings(const struct monitor *m, struct status *status)
{
    usec_t now = status->now_monotonic;
    status->slot = m->slot;
    status->transactions_open = m->transactions;
    status->source = m->source;
    status->slot.known =
        m->slot.known &&
        is_fresh(m->slot_at, now, STALE_AFTER, status->slot.error, sizeof status->slot.error);
    status->transactions_open.known =
        m->transactions.known &&
        is_fresh(m->transactions_at, now, STALE_AFTER, status->transactions_open.error,
                 sizeof status->transactions_open.error);
    status->source.known =
        m->source.known && is_fresh(m->source_at, now, STALE_SELDOM, status->source.error,
                                    sizeof status->source.error);
}

static void fill_settings(const struct monitor *m, struct status *status)
{
    const struct config *config = m->config.config;
    *status = (struct status){
        .version = SLACKWATER_VERSION,
        .migration = mem_string(config->migration),
        .instance = mem_string(m->config.instance),
        .now = clock_wall(),
        .now_monotonic = clock_monotonic(),
        .started_at = m->started_at,
        .limits = {.max_lag = config->max_lag,
                   .max_lag_bytes = config->max_lag_bytes,
                   .hold = config->hold,
                   .max_error_rate = config->max_error_rate,
                   .max_transaction = config->max_transaction,
                   .copy_rows_per_second = config->max_rows_per_second,
                   .copy_bytes_per_second = config->max_bytes_per_second},
    };
}

void monitor_watch_lag(struct monitor *m)
{
    struct status status;
    bool streaming =
        atomic_load(&m->stage) == STAGE_STREAM && atomic_load(&m->config.progress->streaming);
    fill_settings(m, &status);
    pthread_mutex_lock(&m->lock);
    fill_lag(m, &status, streaming);
    pthread_mutex_unlock(&m->lock);
    status_free(&status);
}

void monitor_raise_alarms(struct monitor *m)
{
    struct status status;
    fill_settings(m, &status);
    fill_readings(m, &status);
    alarms_look(&m->alarms, &status);
    status_free(&status);
}

void monitor_collect(void *monitor, struct status *status)
{
    struct monitor *m = monitor;
    bool streaming =
        atomic_load(&m->stage) == STAGE_STREAM && atomic_load(&m->config.progress->streaming);
    fill_settings(m, status);
    fill_counts(m, status);
    pthread_mutex_lock(&m->lock);
    status->source_lsn = m->source_lsn; /* read each second; the stream may know more by now */
    if (status->received_lsn > status->source_lsn)
        status->source_lsn = status->received_lsn;
    fill_readings(m, status);
    status->backfill_complete = m->handoff != NULL && handoff_is_complete(m->handoff);
    fill_lag(m, status, streaming);
    status->phase = phase_of(m, status);
    fill_waits(m, status);
    fill_spool(m, status);
    fill_tables(m, status);
    pthread_mutex_unlock(&m->lock);
    status->note = mem_string(note_of(m));
    schema_probe_fill(m->schema, status);
    gates_evaluate(status);
}
