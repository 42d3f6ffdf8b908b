/* The monitor (monitor.h). */
#include "cli/monitor.h"

#include "backfill/copier.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/alarm.h"
#include "cli/schema_probe.h"
#include "observe/forecast.h"
#include "observe/gates.h"
#include "observe/lag.h"
#include "observe/pace.h"
#include "postgres/probe.h"
#include "postgres/source.h"
#include "schema/ident.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK (250 * USEC_PER_MS)
#define PROBE_EVERY USEC_PER_SEC
#define SELDOM_EVERY (3 * USEC_PER_SEC)
#define STALE_AFTER (5 * USEC_PER_SEC) /* for what is read every second */
#define STALE_SELDOM (15 * USEC_PER_SEC)
#define UNSEEN_NOT_ASKED (-1)
#define UNSEEN_UNKNOWN_FOR_GOOD (-2)
#define PROBE_PATIENCE (10 * USEC_PER_SEC)
#define RETRY_EVERY (2 * USEC_PER_SEC)

struct monitor {
    struct monitor_config config;
    struct stop stop; /* its own: it outlives the run's, to show the stopping */
    pthread_t thread;
    usec_t started_at;
    atomic_int stage;

    /* owned by the thread */
    struct session session;
    struct schema_probe *schema; /* any thread may fill from it */
    usec_t probed_at, seldom_at, emitted_at, connect_after;
    bool emit_failed; /* said once */
    char *seen;       /* the snapshot before, which counts when the source cannot lose it */
    lsn_t seen_at;    /* no commit that it sees is behind this */
    struct alarms alarms;

    /* guarded by lock */
    pthread_mutex_t lock;
    struct table_handoff *handoff;
    struct governor *governor;
    struct spool *spool;
    struct pace *paces; /* of the copy: by table, then of all */
    struct lag lag;
    lsn_t source_lsn;
    struct slot_status slot;
    struct transactions_status transactions;
    struct source_status source;
    usec_t slot_at, transactions_at, source_at; /* when they were read */
    int64_t *unseen; /* by table; -1 not known. Never less than it was: see latch() */
    int64_t safe_before;
    usec_t safe_at;
};

/* ---- probes, on the monitor's thread ---- */

static void unknown(struct monitor *m, const struct err *err)
{
    pthread_mutex_lock(&m->lock);
    m->slot.known = m->transactions.known = m->source.known = false;
    snprintf(m->source.error, sizeof m->source.error, "%.250s", err->message);
    snprintf(m->slot.error, sizeof m->slot.error, "%.250s", err->message);
    snprintf(m->transactions.error, sizeof m->transactions.error, "%.250s", err->message);
    pthread_mutex_unlock(&m->lock);
}

static bool connected(struct monitor *m, usec_t now, struct err *err)
{
    if (session_is_open(&m->session))
        return true;
    if (now < m->connect_after)
        return false;
    m->connect_after = now + RETRY_EVERY;
    if (session_open(&m->session, "source", m->config.config->source_dsn, SESSION_SQL, &m->stop,
                     err)) {
        m->session.patience = PROBE_PATIENCE;
        m->session.grace = 0;
        if (session_run(&m->session, "SET lock_timeout = '2s'; SET statement_timeout = '8s'",
                        err))
            return true;
        session_close(&m->session);
    }
    unknown(m, err);
    return false;
}

static bool probe_source_lsn(struct monitor *m, usec_t now, struct err *err)
{
    lsn_t lsn = LSN_NONE;
    if (!probe_position(&m->session, &lsn, err))
        return false;
    pthread_mutex_lock(&m->lock);
    m->source_lsn = lsn;
    if (atomic_load(&m->stage) == STAGE_STREAM)
        lag_mark_position(&m->lag, lsn, now);
    pthread_mutex_unlock(&m->lock);
    return true;
}

static bool emit_heartbeat(struct monitor *m, usec_t now, struct err *err)
{
    char content[96];
    if (atomic_load(&m->stage) != STAGE_STREAM || m->emit_failed ||
        now - m->emitted_at < m->config.config->heartbeat)
        return true;
    m->emitted_at = now;
    pg_heartbeat_format(m->config.instance, now, content, sizeof content);
    pthread_mutex_lock(&m->lock);
    lag_mark_heartbeat(&m->lag, now); /* before it is sent: it may be back before we look */
    pthread_mutex_unlock(&m->lock);
    if (probe_emit(&m->session, m->config.heartbeat_prefix, content, err))
        return true;
    if (err->class == ERR_RETRY || err->class == ERR_STOPPED)
        return false;
    log_event(LOG_WARN, "no heartbeats: end-to-end lag stays unknown",
              log_text("error", err->message));
    m->emit_failed = true;
    return true;
}

/* How long until the slot is lost, if its safe size goes on shrinking as it does. */
static int64_t seconds_to_loss(struct monitor *m, int64_t safe, usec_t now)
{
    int64_t seconds = -1;
    if (safe >= 0 && m->safe_at != 0 && safe < m->safe_before) {
        double rate = (double)(m->safe_before - safe) * USEC_PER_SEC / (double)(now - m->safe_at);
        seconds = (int64_t)((double)safe / rate);
    }
    if (m->safe_at == 0 || now - m->safe_at > 10 * USEC_PER_SEC) {
        m->safe_before = safe;
        m->safe_at = now;
    }
    return seconds;
}

/* What comes first counts: that its WAL goes, or that the source gives it up as unused. */
static void note_idleness(struct slot_status *slot, int64_t idle_left)
{
    slot->idle = idle_left >= 0 && (slot->seconds_to_loss < 0 || idle_left < slot->seconds_to_loss);
    if (slot->idle)
        slot->seconds_to_loss = idle_left;
}

static bool probe_slot(struct monitor *m, usec_t now, struct err *err)
{
    struct slot_state state;
    if (!slot_state(&m->session, m->config.migration->slot, &state, err))
        return false;
    pthread_mutex_lock(&m->lock);
    m->slot_at = now;
    m->slot = (struct slot_status){.known = state.exists,
                                   .active = state.active,
                                   .safe_wal_size = state.safe_wal_size,
                                   .retained_bytes = state.retained_bytes,
                                   .seconds_to_loss =
                                       seconds_to_loss(m, state.safe_wal_size, now)};
    note_idleness(&m->slot, state.idle_left);
    snprintf(m->slot.wal_status, sizeof m->slot.wal_status, "%s", state.wal_status);
    if (strcmp(state.wal_status, "lost") == 0)
        snprintf(m->slot.loss, sizeof m->slot.loss, "%s", slot_loss(&state));
    if (!state.exists)
        snprintf(m->slot.error, sizeof m->slot.error, "the slot does not exist");
    pthread_mutex_unlock(&m->lock);
    return true;
}

static bool probe_open_transactions(struct monitor *m, usec_t now, struct err *err)
{
    struct probe_transactions found;
    if (!probe_transactions(&m->session, m->config.config->max_transaction, &found, err))
        return false;
    pthread_mutex_lock(&m->lock);
    m->transactions_at = now;
    m->transactions =
        (struct transactions_status){.known = !found.hidden,
                                     .open_longer_than_threshold = found.open_longer,
                                     .oldest_open = found.oldest_open,
                                     .prepared = found.prepared,
                                     .oldest_prepared = found.oldest_prepared};
    if (found.hidden)
        snprintf(m->transactions.error, sizeof m->transactions.error,
                 "the role may not see other roles' sessions: GRANT pg_read_all_stats");
    pthread_mutex_unlock(&m->lock);
    return true;
}

/* What was seen once stays: statistics can be reset, or lost in a crash, and then say nothing
 * about what happened before. */
static int64_t latch(int64_t before, int64_t now)
{
    if (before == UNSEEN_UNKNOWN_FOR_GOOD || now < 0)
        return UNSEEN_UNKNOWN_FOR_GOOD;
    return now > before ? now : before;
}

static bool probe_unseen_since(struct monitor *m, const char *stats_reset, struct err *err)
{
    for (size_t i = 0; i < m->config.migration->source_count; i++) {
        const struct bound_source *source = &m->config.migration->chain->sources[i];
        bool whole = strcmp(stats_reset, m->config.stats_resets[i]) == 0;
        int64_t count = 0;
        if (!source->insert_only)
            continue;
        if (!probe_updates_deletes(&m->session, source->table->oid, &count, err))
            return false;
        pthread_mutex_lock(&m->lock);
        m->unseen[i] = latch(m->unseen[i], whole ? count - m->config.baselines[i] : -1);
        pthread_mutex_unlock(&m->lock);
    }
    return true;
}

static bool probe_unseen(struct monitor *m, struct err *err)
{
    char *stats_reset = NULL;
    if (!m->config.migration->insert_only)
        return true;
    bool ok = probe_stats_reset(&m->session, &stats_reset, err) &&
              probe_unseen_since(m, stats_reset, err);
    free(stats_reset);
    return ok;
}

/* A difference is a reading; a question that failed is not. */
static bool probe_continuity(struct monitor *m, usec_t now, struct err *err)
{
    const struct continuity *known = m->config.continuity;
    struct err difference = {0};
    bool whole = continuity_check(&m->session, known, LSN_NONE, &difference) &&
                 continuity_check_partitions(&m->session, known, &difference);
    if (!whole && difference.class != ERR_SOURCE_LOST && difference.class != ERR_CONFIG) {
        *err = difference;
        return false;
    }
    pthread_mutex_lock(&m->lock);
    m->source_at = now;
    m->source.known = true;
    snprintf(m->source.change, sizeof m->source.change, "%.500s",
             whole ? "" : difference.message);
    pthread_mutex_unlock(&m->lock);
    return true;
}

/* What changes seldom and costs more. Its measures are there once the run has begun. */
static bool probe_seldom(struct monitor *m, usec_t now, struct err *err)
{
    if (now - m->seldom_at < SELDOM_EVERY || atomic_load(&m->stage) != STAGE_STREAM ||
        !atomic_load(&m->config.progress->streaming))
        return true;
    m->seldom_at = now;
    return probe_unseen(m, err) && probe_continuity(m, now, err);
}

static bool probe_schema(struct monitor *m, usec_t now, struct err *err)
{
    return atomic_load(&m->stage) == STAGE_STARTING ||
           schema_probe_look(m->schema, &m->session, now, err);
}

/* So that what the handoff keeps stays small when no chunk is read for long. */
static bool probe_snapshot(struct monitor *m, struct err *err)
{
    char *snapshot = NULL;
    lsn_t inserted;
    lsn_t flushed;
    pthread_mutex_lock(&m->lock);
    struct table_handoff *handoff = m->handoff; /* it outlives this thread */
    pthread_mutex_unlock(&m->lock);
    if (handoff == NULL || handoff_is_complete(handoff))
        return true;
    if (!probe_visible(&m->session, &snapshot, &inserted, &flushed, err))
        return false;
    bool ok = m->seen == NULL || flushed < m->seen_at || handoff_seen(handoff, m->seen, err);
    free(m->seen);
    m->seen = snapshot;
    m->seen_at = inserted;
    return ok;
}

static void take_sample(struct monitor *m, usec_t now)
{
    struct progress *p = m->config.progress;
    uint64_t copied = 0;
    uint64_t copied_bytes = 0;
    for (size_t i = 0; i < p->table_count; i++) {
        copied += counter_get(&p->tables[i].copied_rows);
        copied_bytes += counter_get(&p->tables[i].copied_bytes);
    }
    const struct lag_sample sample = {
        .at = now,
        .rows = counter_get(&p->changes) + copied,
        .transactions = counter_get(&p->transactions),
        .bytes = counter_get(&p->bytes_received) + copied_bytes,
        .source = m->source_lsn,
        .applied = counter_get(&p->applied),
    };
    pthread_mutex_lock(&m->lock);
    lag_sample(&m->lag, &sample);
    for (size_t i = 0; i < p->table_count; i++)
        pace_sample(&m->paces[i], now, counter_get(&p->tables[i].copied_rows),
                    counter_get(&p->tables[i].copied_bytes));
    pace_sample(&m->paces[p->table_count], now, copied, copied_bytes);
    pthread_mutex_unlock(&m->lock);
}

static bool probe_all(struct monitor *m, usec_t now, struct err *err)
{
    if (!emit_heartbeat(m, now, err))
        return false;
    if (now - m->probed_at < PROBE_EVERY)
        return true;
    m->probed_at = now;
    return probe_source_lsn(m, now, err) && probe_snapshot(m, err) && probe_slot(m, now, err) &&
           probe_open_transactions(m, now, err) && probe_schema(m, now, err) &&
           probe_seldom(m, now, err);
}

static void watch_lag(struct monitor *m);
static void raise_alarms(struct monitor *m);

static void *monitor_thread(void *argument)
{
    struct monitor *m = argument;
    usec_t sampled_at = 0;
    for (;;) {
        struct err err = {0};
        usec_t now = clock_monotonic();
        if (connected(m, now, &err) && !probe_all(m, now, &err)) {
            unknown(m, &err);
            session_close(&m->session);
            free(m->seen);
            m->seen = NULL;
        }
        if (now - sampled_at >= USEC_PER_SEC) {
            take_sample(m, now);
            sampled_at = now;
        }
        watch_lag(m);
        raise_alarms(m);
        if (stop_wait(&m->stop, now + TICK))
            break;
    }
    session_close(&m->session);
    return NULL;
}

/* ---- the picture ---- */

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
        .unseen_writes = !source->insert_only ? 0 : m->unseen[i] < 0 ? -1 : m->unseen[i],
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
        .from = picture.floor,
        .to = picture.end,
        .oldest = picture.segments == 0              ? -1
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
    if (m->handoff != NULL && !handoff_all_copied(m->handoff)) /* also before it first streams */
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
    status->slot.known = m->slot.known && is_fresh(m->slot_at, now, STALE_AFTER,
                                                   status->slot.error,
                                                   sizeof status->slot.error);
    status->transactions_open.known =
        m->transactions.known && is_fresh(m->transactions_at, now, STALE_AFTER,
                                          status->transactions_open.error,
                                          sizeof status->transactions_open.error);
    status->source.known = m->source.known && is_fresh(m->source_at, now, STALE_SELDOM,
                                                       status->source.error,
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

/* Each tick, so that a lag that nobody asked about ends the hold as well. */
static void watch_lag(struct monitor *m)
{
    struct status status;
    bool streaming = atomic_load(&m->stage) == STAGE_STREAM &&
                     atomic_load(&m->config.progress->streaming);
    fill_settings(m, &status);
    pthread_mutex_lock(&m->lock);
    fill_lag(m, &status, streaming);
    pthread_mutex_unlock(&m->lock);
    status_free(&status);
}

/* What the probes found, which only this thread writes. */
static void raise_alarms(struct monitor *m)
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
    bool streaming = atomic_load(&m->stage) == STAGE_STREAM &&
                     atomic_load(&m->config.progress->streaming);
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

/* ---- life cycle ---- */

bool monitor_start(const struct monitor_config *config, struct monitor **monitor,
                   struct err *err)
{
    struct monitor *m = mem_zero(1, sizeof *m);
    size_t tables = config->migration->source_count;
    m->config = *config;
    m->started_at = clock_wall();
    m->unseen = mem_zero(tables + 1, sizeof *m->unseen);
    m->paces = mem_zero(tables + 1, sizeof *m->paces);
    for (size_t i = 0; i < tables; i++)
        m->unseen[i] = UNSEEN_NOT_ASKED;
    snprintf(m->source.error, sizeof m->source.error, "not asked yet");
    snprintf(m->slot.error, sizeof m->slot.error, "not asked yet");
    snprintf(m->transactions.error, sizeof m->transactions.error, "not asked yet");
    pthread_mutex_init(&m->lock, NULL);
    stop_init(&m->stop);
    m->schema = schema_probe_create(config->config, config->migration, &m->stop);
    if (pthread_create(&m->thread, NULL, monitor_thread, m) != 0) {
        schema_probe_destroy(m->schema);
        stop_free(&m->stop);
        free(m->unseen);
        free(m->paces);
        free(m);
        return err_set(err, ERR_RETRY, "cannot start the monitor thread");
    }
    *monitor = m;
    return true;
}

void monitor_set_stage(struct monitor *monitor, enum monitor_stage stage)
{
    atomic_store(&monitor->stage, stage);
}

void monitor_set_handoff(struct monitor *monitor, struct table_handoff *handoff)
{
    pthread_mutex_lock(&monitor->lock);
    monitor->handoff = handoff;
    pthread_mutex_unlock(&monitor->lock);
}

void monitor_set_governor(struct monitor *monitor, struct governor *governor)
{
    pthread_mutex_lock(&monitor->lock);
    monitor->governor = governor;
    pthread_mutex_unlock(&monitor->lock);
}

void monitor_set_spool(struct monitor *monitor, struct spool *spool)
{
    pthread_mutex_lock(&monitor->lock);
    monitor->spool = spool;
    pthread_mutex_unlock(&monitor->lock);
}

void monitor_stop(struct monitor *monitor)
{
    if (monitor == NULL)
        return;
    stop_request(&monitor->stop);
    pthread_join(monitor->thread, NULL);
    schema_probe_destroy(monitor->schema);
    stop_free(&monitor->stop);
    pthread_mutex_destroy(&monitor->lock);
    free(monitor->seen);
    free(monitor->unseen);
    free(monitor->paces);
    free(monitor);
}
