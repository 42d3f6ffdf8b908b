/* The governor (governor.h). */
#include "cli/governor.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/errands.h"
#include "observe/lag.h"
#include "postgres/control.h"
#include "postgres/probe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK (200 * USEC_PER_MS)
#define READ_EVERY (800 * USEC_PER_MS) /* so that a pause is seen within a second */
#define RETRY_EVERY (2 * USEC_PER_SEC)
#define PATIENCE (10 * USEC_PER_SEC)
#define NOT_KNOWN (-1)

static const char HIDDEN[] = "the role may not see it at the source: GRANT pg_monitor";

/* One of the two servers, as the thread sees it. */
struct side {
    const char *name;
    const char *dsn;
    struct session session;
    usec_t connect_after;
    char why[200]; /* it could not be connected to the last time */
};

struct governor {
    struct governor_config config;
    struct stop stop;
    pthread_t thread;

    /* owned by the thread */
    struct side source, target;
    bool paused;
    bool unsaved;           /* paused is not kept at the target yet */
    unsigned said;          /* limits whose holding back was logged: bits */
    struct lag_marks marks; /* positions of the source, for the standbys to reach */
    usec_t read_at;

    pthread_mutex_t lock; /* guards pressure */
    struct pressure_status pressure;
};

static const struct pressure_status NOTHING_KNOWN = {NOT_KNOWN, NOT_KNOWN, NOT_KNOWN,
                                                     NOT_KNOWN};

/* What is limited, by cause. */
static const struct {
    enum brake_cause cause;
    enum backfill_wait wait;
    const char *what;
} LIMITS[] = {
    {BRAKE_REPLICA_LAG, WAIT_REPLICA_LAG, "replica lag"},
    {BRAKE_TARGET_LATENCY, WAIT_TARGET_LATENCY, "latency of the target's commits"},
    {BRAKE_SOURCE_LOAD, WAIT_SOURCE_LOAD, "load of the source"},
};
#define LIMIT_COUNT (sizeof LIMITS / sizeof LIMITS[0])

static bool is_limited(const struct governor *g, enum brake_cause cause)
{
    const struct config *config = g->config.config;
    switch (cause) {
    case BRAKE_REPLICA_LAG:
        return config->max_replica_lag > 0;
    case BRAKE_TARGET_LATENCY:
        return config->max_target_latency > 0;
    case BRAKE_SOURCE_LOAD:
        return config->max_source_load > 0;
    case BRAKE_PAUSED:
    case BRAKE_CAUSES:
        break;
    }
    return false;
}

/* ---- the brake ---- */

/* Once a change. That nothing is measured yet, at the start, is no event. */
static void say(struct governor *g, size_t limit, bool holds, const char *detail)
{
    unsigned bit = 1U << limit;
    if (((g->said & bit) != 0) == holds)
        return;
    g->said ^= bit;
    log_event(holds ? LOG_WARN : LOG_INFO,
              holds ? "backfill held back" : "backfill no longer held back",
              log_text("reason", backfill_wait_name(LIMITS[limit].wait)),
              log_text("detail", detail));
}

static void hold(struct governor *g, size_t limit, bool holds, const char *detail)
{
    (void)brake_set(g->config.brake, LIMITS[limit].cause, holds, detail);
    say(g, limit, holds, detail);
}

static void hold_unknown(struct governor *g, enum brake_cause cause, const char *why)
{
    char detail[BRAKE_TEXT];
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (LIMITS[i].cause != cause || !is_limited(g, cause))
            continue;
        snprintf(detail, sizeof detail, "%s is not known: %.140s", LIMITS[i].what, why);
        hold(g, i, true, detail);
    }
}

__attribute__((format(printf, 4, 5))) static void
hold_if(struct governor *g, enum brake_cause cause, bool holds, const char *format, ...)
{
    char detail[BRAKE_TEXT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        if (LIMITS[i].cause == cause)
            hold(g, i, holds, detail);
}

static void set_paused(struct governor *g, bool paused)
{
    g->paused = paused;
    if (brake_set(g->config.brake, BRAKE_PAUSED, paused,
                  "paused; `slackwater resume` lets it go on"))
        log_event(LOG_INFO, paused ? "backfill paused" : "backfill resumed",
                  log_text("reason", backfill_wait_name(WAIT_PAUSED)));
}

/* ---- sessions ---- */

static bool connected(struct governor *g, struct side *side, usec_t now, struct err *err)
{
    if (session_is_open(&side->session))
        return true;
    if (now < side->connect_after)
        return err_set(err, ERR_RETRY, "%s", side->why);
    side->connect_after = now + RETRY_EVERY;
    if (session_open(&side->session, side->name, side->dsn, SESSION_SQL, &g->stop, err)) {
        side->session.patience = PATIENCE;
        side->session.grace = 0;
        if (session_run(&side->session, "SET lock_timeout = '2s'; SET statement_timeout = '8s'",
                        err))
            return true;
        session_close(&side->session);
    }
    snprintf(side->why, sizeof side->why, "%.190s", err->message);
    return false;
}

/* ---- the target ---- */

static void take_wish(struct governor *g)
{
    int wish = atomic_exchange(g->config.wish, WISH_NONE);
    if (wish == WISH_NONE)
        return;
    set_paused(g, wish == WISH_PAUSE);
    g->unsaved = true;
}

static bool share_pause(struct governor *g, struct err *err)
{
    const char *migration = g->config.config->migration;
    struct session *session = &g->target.session;
    bool changed = false, paused = g->paused;
    if (!g->unsaved) {
        if (!control_read_paused(session, migration, &paused, err))
            return false;
        set_paused(g, paused);
        return true;
    }
    g->unsaved = !control_set_paused(session, migration, paused, &changed, err);
    return !g->unsaved;
}

/* A message in the WAL, which nobody reads: a commit that is durable, and leaves nothing. */
static bool read_latency(struct governor *g, struct err *err)
{
    usec_t most = g->config.config->max_target_latency;
    char is[32], at_most[32];
    usec_t began = clock_monotonic();
    if (!probe_emit(&g->target.session, "slackwater", "latency", err))
        return false;
    usec_t took = clock_monotonic() - began;
    pthread_mutex_lock(&g->lock);
    g->pressure.target_latency = took;
    pthread_mutex_unlock(&g->lock);
    hold_if(g, BRAKE_TARGET_LATENCY, took > most, "a commit at the target takes %s, at most %s",
            units_format_duration(took, is, sizeof is),
            units_format_duration(most, at_most, sizeof at_most));
    return true;
}

static bool look_for_errands(struct governor *g, struct err *err)
{
    bool wait = false;
    if (!errands_wait(&g->target.session, g->config.config->migration, &wait, err))
        return false;
    if (wait)
        atomic_store(g->config.errands_wait, true);
    return true;
}

static void look_at_target(struct governor *g, usec_t now, bool copying)
{
    struct err err = {0};
    bool latency = copying && is_limited(g, BRAKE_TARGET_LATENCY);
    if (connected(g, &g->target, now, &err) && share_pause(g, &err) &&
        look_for_errands(g, &err) && (!latency || read_latency(g, &err)))
        return;
    session_close(&g->target.session);
    if (!latency)
        return;
    pthread_mutex_lock(&g->lock);
    g->pressure.target_latency = NOT_KNOWN;
    pthread_mutex_unlock(&g->lock);
    hold_unknown(g, BRAKE_TARGET_LATENCY, err.message);
}

/* ---- the source ---- */

/* By the age of the oldest position that not all standbys have replayed, for the server's own
 * figure stands still while a standby replays nothing; and by that, for we know no positions of
 * before the start. */
static usec_t lag_of(struct governor *g, const struct probe_standbys *standbys, usec_t now)
{
    if (standbys->count == 0) {
        g->marks.count = 0;
        return 0;
    }
    lag_marks_add(&g->marks, standbys->position, now);
    lag_marks_pass(&g->marks, standbys->replayed);
    usec_t age = lag_marks_age(&g->marks, now, 0);
    return age > standbys->lag ? age : standbys->lag;
}

static bool read_standbys(struct governor *g, usec_t now, struct err *err)
{
    usec_t most = g->config.config->max_replica_lag;
    struct probe_standbys standbys;
    char is[32], at_most[32];
    if (!probe_standbys(&g->source.session, &standbys, err))
        return false;
    usec_t lag = standbys.hidden ? NOT_KNOWN : lag_of(g, &standbys, now);
    pthread_mutex_lock(&g->lock);
    g->pressure.replica_lag = standbys.count > 0 ? lag : NOT_KNOWN;
    g->pressure.standbys = standbys.hidden ? NOT_KNOWN : standbys.count;
    pthread_mutex_unlock(&g->lock);
    if (standbys.hidden)
        hold_unknown(g, BRAKE_REPLICA_LAG, HIDDEN);
    else
        hold_if(g, BRAKE_REPLICA_LAG, lag > most, "replica lag %s (%s), at most %s",
                units_format_duration(lag, is, sizeof is),
                standbys.count > 0 ? standbys.name : "no standby",
                units_format_duration(most, at_most, sizeof at_most));
    return true;
}

static bool read_load(struct governor *g, struct err *err)
{
    int64_t most = g->config.config->max_source_load;
    struct probe_load load;
    if (!probe_load(&g->source.session, &load, err))
        return false;
    pthread_mutex_lock(&g->lock);
    g->pressure.source_load = load.hidden ? NOT_KNOWN : load.active;
    pthread_mutex_unlock(&g->lock);
    if (load.hidden)
        hold_unknown(g, BRAKE_SOURCE_LOAD, HIDDEN);
    else
        hold_if(g, BRAKE_SOURCE_LOAD, load.active > most,
                "%lld sessions are at work at the source, at most %lld", (long long)load.active,
                (long long)most);
    return true;
}

static void look_at_source(struct governor *g, usec_t now)
{
    struct err err = {0};
    if (!is_limited(g, BRAKE_REPLICA_LAG) && !is_limited(g, BRAKE_SOURCE_LOAD))
        return;
    if (connected(g, &g->source, now, &err) &&
        (!is_limited(g, BRAKE_REPLICA_LAG) || read_standbys(g, now, &err)) &&
        (!is_limited(g, BRAKE_SOURCE_LOAD) || read_load(g, &err)))
        return;
    session_close(&g->source.session);
    pthread_mutex_lock(&g->lock);
    g->pressure.replica_lag = g->pressure.standbys = g->pressure.source_load = NOT_KNOWN;
    pthread_mutex_unlock(&g->lock);
    hold_unknown(g, BRAKE_REPLICA_LAG, err.message);
    hold_unknown(g, BRAKE_SOURCE_LOAD, err.message);
}

/* ---- the thread ---- */

/* Nothing is left to hold back. */
static void let_go(struct governor *g)
{
    session_close(&g->source.session);
    pthread_mutex_lock(&g->lock);
    g->pressure = NOTHING_KNOWN;
    pthread_mutex_unlock(&g->lock);
    g->marks.count = 0;
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        hold(g, i, false, "");
}

static void look(struct governor *g, usec_t now)
{
    bool copying = !handoff_is_settled(g->config.handoff);
    look_at_target(g, now, copying);
    if (copying)
        look_at_source(g, now);
    else
        let_go(g);
}

static void *governor_thread(void *argument)
{
    struct governor *g = argument;
    do {
        usec_t now = clock_monotonic();
        take_wish(g);
        if (now - g->read_at >= READ_EVERY) {
            g->read_at = now;
            look(g, now);
        }
    } while (!stop_wait(&g->stop, clock_monotonic() + TICK));
    session_close(&g->source.session);
    session_close(&g->target.session);
    return NULL;
}

/* ---- the picture ---- */

static void fill_waits(const struct governor *g, struct status *status)
{
    struct brake_hold holds[BRAKE_CAUSES];
    brake_read(g->config.brake, holds);
    status->paused = holds[BRAKE_PAUSED].holds;
    status_wait(status, WAIT_PAUSED, status->paused, holds[BRAKE_PAUSED].detail);
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        status_wait(status, LIMITS[i].wait, holds[LIMITS[i].cause].holds,
                    holds[LIMITS[i].cause].detail);
}

static void fill_rate_limit(const struct governor *g, struct status *status)
{
    const struct config *config = g->config.config;
    char detail[128] = "limited to", size[32];
    size_t used = strlen(detail);
    if (config->max_rows_per_second > 0)
        used += (size_t)snprintf(detail + used, sizeof detail - used, " %lld rows/s",
                                 (long long)config->max_rows_per_second);
    if (config->max_bytes_per_second > 0)
        snprintf(detail + used, sizeof detail - used, "%s %s/s",
                 config->max_rows_per_second > 0 ? " and" : "",
                 units_format_size((uint64_t)config->max_bytes_per_second, size, sizeof size));
    status_wait(status, WAIT_RATE_LIMIT,
                throttle_is_slowing(g->config.throttle, status->now_monotonic), detail);
}

void governor_fill(struct governor *governor, struct status *status)
{
    pthread_mutex_lock(&governor->lock);
    status->pressure = governor->pressure;
    pthread_mutex_unlock(&governor->lock);
    fill_waits(governor, status);
    fill_rate_limit(governor, status);
}

/* ---- life cycle ---- */

static void begin_held(struct governor *g)
{
    set_paused(g, g->config.paused);
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        if (is_limited(g, LIMITS[i].cause))
            (void)brake_set(g->config.brake, LIMITS[i].cause, true, "not measured yet");
}

bool governor_start(const struct governor_config *config, struct governor **governor,
                    struct err *err)
{
    struct governor *g = mem_zero(1, sizeof *g);
    g->config = *config;
    g->source = (struct side){.name = "source",
                              .dsn = config->config->source_dsn,
                              .why = "source: the connection was lost"};
    g->target = (struct side){.name = "target",
                              .dsn = config->config->target_dsn,
                              .why = "target: the connection was lost"};
    g->pressure = NOTHING_KNOWN;
    pthread_mutex_init(&g->lock, NULL);
    stop_init(&g->stop);
    begin_held(g);
    if (pthread_create(&g->thread, NULL, governor_thread, g) != 0) {
        stop_free(&g->stop);
        free(g);
        return err_set(err, ERR_RETRY, "cannot start the governor thread");
    }
    *governor = g;
    return true;
}

void governor_stop(struct governor *governor)
{
    if (governor == NULL)
        return;
    stop_request(&governor->stop);
    pthread_join(governor->thread, NULL);
    stop_free(&governor->stop);
    pthread_mutex_destroy(&governor->lock);
    free(governor);
}
