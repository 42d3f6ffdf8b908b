/* The monitor's thread: heartbeats, and readings of the source (monitor.h). */
#include "cli/monitor_state.h"

#include "base/log.h"
#include "base/mem.h"
#include "postgres/locks.h"
#include "postgres/probe.h"
#include "postgres/slot.h"
#include "postgres/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK (250 * USEC_PER_MS)
#define PROBE_EVERY USEC_PER_SEC
#define SELDOM_EVERY (3 * USEC_PER_SEC)
#define UNSEEN_NOT_ASKED (-1)
#define UNSEEN_UNKNOWN_FOR_GOOD (-2)
#define PROBE_PATIENCE (10 * USEC_PER_SEC)
#define RETRY_EVERY (2 * USEC_PER_SEC)

/* ---- probes ---- */

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
        /* Compiling a question about thousands of tables takes ten times as long as asking it. */
        if (session_run(&m->session,
                        "SET lock_timeout = '2s'; SET statement_timeout = '8s'; SET jit = off",
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
        double rate =
            (double)(m->safe_before - safe) * USEC_PER_SEC / (double)(now - m->safe_at);
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
    slot->idle =
        idle_left >= 0 && (slot->seconds_to_loss < 0 || idle_left < slot->seconds_to_loss);
    if (slot->idle)
        slot->seconds_to_loss = idle_left;
}

/* A slot's restart_lsn is shown before it is on the disk; the one before is there by then. It may go
 * back: after a crash to what the disk has, and in old releases (before 13.18, 14.15, 15.10, 16.6,
 * 17.2) also after a reconnection. */
static void note_restart(struct monitor *m, lsn_t restart)
{
    lsn_t before = m->slot_restart;
    m->slot_restart = restart;
    if (restart > before && before > counter_get(&m->config.progress->slot_restart))
        counter_set(&m->config.progress->slot_restart, before);
}

static bool probe_slot(struct monitor *m, usec_t now, struct err *err)
{
    struct slot_state state;
    if (!slot_state(&m->session, m->config.migration->slot, &state, err))
        return false;
    note_restart(m, state.restart);
    pthread_mutex_lock(&m->lock);
    m->slot_at = now;
    m->slot =
        (struct slot_status){.known = state.exists,
                             .active = state.active,
                             .safe_wal_size = state.safe_wal_size,
                             .retained_bytes = state.retained_bytes,
                             .seconds_to_loss = seconds_to_loss(m, state.safe_wal_size, now)};
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

/* Somebody has a new partition for himself: the other questions are none of his. */
static void cannot_tell_source(struct monitor *m, const struct err *err)
{
    pthread_mutex_lock(&m->lock);
    m->source.known = false;
    snprintf(m->source.error, sizeof m->source.error, "%.250s", err->message);
    pthread_mutex_unlock(&m->lock);
}

/* A difference is a reading; a question that failed is not. */
static bool probe_continuity(struct monitor *m, usec_t now, struct err *err)
{
    const struct continuity *known = m->config.continuity;
    struct err difference = {0};
    bool whole = continuity_check(&m->session, known, LSN_NONE, &difference) &&
                 continuity_check_tables(&m->session, known, &difference);
    if (!whole && locks_refused(&difference)) {
        cannot_tell_source(m, &difference);
        return true;
    }
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

static bool is_complete(struct monitor *m)
{
    pthread_mutex_lock(&m->lock);
    bool complete = m->handoff != NULL && handoff_is_complete(m->handoff);
    pthread_mutex_unlock(&m->lock);
    return complete;
}

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
        monitor_watch_lag(m);
        monitor_raise_alarms(m);
        conflicts_look(m->conflicts, is_complete(m));
        if (stop_wait(&m->stop, now + TICK))
            break;
    }
    session_close(&m->session);
    return NULL;
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
    m->conflicts = conflicts_create((const char *const *)config->migration->source_names,
                                    config->progress->tables, tables);
    if (pthread_create(&m->thread, NULL, monitor_thread, m) != 0) {
        schema_probe_destroy(m->schema);
        conflicts_free(m->conflicts);
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
    conflicts_free(monitor->conflicts);
    stop_free(&monitor->stop);
    pthread_mutex_destroy(&monitor->lock);
    free(monitor->seen);
    free(monitor->unseen);
    free(monitor->paces);
    free(monitor);
}
