/* See schema_probe.h. */
#include "cli/schema_probe.h"

#include "base/mem.h"
#include "postgres/schema_watch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_EVERY (3 * USEC_PER_SEC)
#define LOOK_EVERY_TABLE                                                                       \
    (2 * USEC_PER_MS) /* and this for each: 5,000 tables are looked at every 13 s */
#define STALE_LOOKS 4
#define PATIENCE (10 * USEC_PER_SEC)
#define RECONNECT_EVERY (30 * USEC_PER_SEC)

struct schema_probe {
    const struct config *config;
    const struct migration *migration;
    const struct stop *stop;
    const struct catalog_table **sources;
    const struct catalog_table **targets;
    usec_t every;

    /* owned by the monitor's thread */
    struct session target;
    usec_t looked_at;
    usec_t connect_after; /* the target */

    /* guarded by lock */
    pthread_mutex_t lock;
    struct schema_status found;
    usec_t found_at;
};

struct schema_probe *schema_probe_create(const struct config *config,
                                         const struct migration *migration,
                                         const struct stop *stop)
{
    struct schema_probe *p = mem_zero(1, sizeof *p);
    size_t tables = migration->source_count + migration->table_count;
    *p = (struct schema_probe){.config = config,
                               .migration = migration,
                               .stop = stop,
                               .every = LOOK_EVERY + (usec_t)tables * LOOK_EVERY_TABLE};
    p->sources = mem_zero(migration->source_count + 1, sizeof *p->sources);
    p->targets = mem_zero(migration->table_count + 1, sizeof *p->targets);
    for (size_t i = 0; i < migration->source_count; i++)
        p->sources[i] = migration->chain->sources[i].table;
    for (size_t i = 0; i < migration->table_count; i++)
        p->targets[i] = migration->chain->tables[i].target;
    snprintf(p->found.error, sizeof p->found.error, "not asked yet");
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

/* An attempt may take long, and the monitor's other readings wait: those of a source whose slot grows
 * just because the target is away. So not every time. */
static bool connect_target(struct schema_probe *p, struct err *err)
{
    if (session_is_open(&p->target))
        return true;
    if (clock_monotonic() < p->connect_after)
        return err_set(err, ERR_RETRY, "the target could not be reached a moment ago");
    if (!session_reopen(&p->target, "target", p->config->target_dsn, SESSION_SQL, p->stop,
                        err)) {
        p->connect_after = clock_monotonic() + RECONNECT_EVERY;
        return false;
    }
    p->target.patience = PATIENCE;
    return session_run(&p->target, "SET lock_timeout = '2s'; SET statement_timeout = '8s'",
                       err);
}

static bool look_at_target(struct schema_probe *p, struct schema_status *found, struct err *err)
{
    if (connect_target(p, err) &&
        schema_watch_look(&p->target, p->migration->target_catalog, p->migration->table_count,
                          p->targets, found->change, sizeof found->change, err))
        return true;
    session_close(&p->target);
    return false;
}

static bool rules_would_take(const void *context, const char *schema, const char *name)
{
    return rules_take(context, schema, name);
}

static bool look_at_source(struct schema_probe *p, struct session *source,
                           struct schema_status *found, struct err *err)
{
    const struct schema_watch_rules rules = {.table_count = p->migration->source_count,
                                             .tables = p->sources,
                                             .take = rules_would_take,
                                             .context = p->migration->rules};
    return schema_watch_look(source, p->migration->source_catalog, p->migration->source_count,
                             p->sources, found->change, sizeof found->change, err) &&
           (found->change[0] != '\0' ||
            schema_watch_strangers(source, &rules, found->change, sizeof found->change, err));
}

bool schema_probe_look(struct schema_probe *p, struct session *source, usec_t now,
                       struct err *err)
{
    struct schema_status found = {.known = true};
    struct err unknown = {0};
    if (p->looked_at != 0 && now - p->looked_at < p->every)
        return true;
    p->looked_at = now;
    bool ok = look_at_source(p, source, &found, err);
    if (!ok)
        unknown = *err;
    found.known = ok && (found.change[0] != '\0' || look_at_target(p, &found, &unknown));
    snprintf(found.error, sizeof found.error, "%.250s", found.known ? "" : unknown.message);
    pthread_mutex_lock(&p->lock);
    p->found = found;
    p->found_at = now;
    pthread_mutex_unlock(&p->lock);
    return ok;
}

static void fill_ignored(const struct schema_probe *p, struct status *status)
{
    const struct chain *chain = p->migration->chain;
    status->ignored_columns =
        mem_zero(chain->ignored_count + 1, sizeof *status->ignored_columns);
    status->ignored_count = chain->ignored_count;
    for (size_t i = 0; i < chain->ignored_count; i++)
        status->ignored_columns[i] = mem_string(chain->ignored[i]);
}

void schema_probe_fill(struct schema_probe *p, struct status *status)
{
    pthread_mutex_lock(&p->lock);
    status->schema = p->found;
    if (p->found.known && status->now_monotonic - p->found_at > STALE_LOOKS * p->every) {
        status->schema.known = false;
        snprintf(status->schema.error, sizeof status->schema.error,
                 "the last look was long ago");
    }
    pthread_mutex_unlock(&p->lock);
    fill_ignored(p, status);
}

void schema_probe_destroy(struct schema_probe *p)
{
    if (p == NULL)
        return;
    session_close(&p->target);
    pthread_mutex_destroy(&p->lock);
    free(p->sources);
    free(p->targets);
    free(p);
}
