/* The configuration of a run (config.h). */
#include "cli/config.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SPOOL_LEAST_BYTES (16LL << 20) /* some segments */

static void set_defaults(struct config *config)
{
    const char *temporary = getenv("TMPDIR");
    *config = (struct config){
        .migration = mem_string("default"),
        .heartbeat = USEC_PER_SEC,
        .streaming = true,
        .temporary_directory =
            mem_string(temporary != NULL && temporary[0] ? temporary : "/tmp"),
        .backfill_workers = 2,
        .chunk_rows = 10000,
        .chunk_time = USEC_PER_SEC,
        .backfill_order = COPY_LARGEST_FIRST,
        .on_bad_row = BAD_ROW_QUARANTINE,
        .max_bad_share = 0.05,
        .min_bad_changes = 100,
        .spool_max_bytes = 10LL << 30,
        .spool_min_free = 1LL << 30,
        .http_listen = mem_string("127.0.0.1:8087"),
        .max_lag = USEC_PER_SEC,
        .max_lag_bytes = 16LL << 20,
        .hold = 60 * USEC_PER_SEC,
        .max_error_rate = 0.001,
        .max_transaction = 60 * USEC_PER_SEC,
    };
}

static void set_text(char **slot, const char *text)
{
    free(*slot);
    *slot = mem_string(text);
}

/* ---- typed readers: an absent node leaves the default ---- */

static bool read_text(const struct yaml_node *node, char **slot, struct err *err)
{
    const char *text;
    if (node == NULL)
        return true;
    if (!yaml_text(node, &text, err))
        return false;
    set_text(slot, text);
    return true;
}

static bool read_duration(const struct yaml_node *node, usec_t *slot, struct err *err)
{
    long long usec;
    if (node == NULL)
        return true;
    if (!yaml_duration(node, &usec, err))
        return false;
    *slot = usec;
    return true;
}

static bool read_size(const struct yaml_node *node, int64_t *slot, struct err *err)
{
    unsigned long long bytes;
    if (node == NULL)
        return true;
    if (!yaml_size(node, &bytes, err))
        return false;
    if (bytes > INT64_MAX)
        return yaml_error(node, err, "a size below 8388608TB is expected");
    *slot = (int64_t)bytes;
    return true;
}

static bool read_word(const struct yaml_node *node, const char *const *words, int *choice,
                      struct err *err)
{
    return node == NULL || yaml_choice(node, words, choice, err);
}

static bool read_bool(const struct yaml_node *node, bool *slot, struct err *err)
{
    return node == NULL || yaml_bool(node, slot, err);
}

/* ---- sections ---- */

static bool read_migration(struct config *config, const struct yaml_node *node, struct err *err)
{
    if (!read_text(node, &config->migration, err))
        return false;
    if (node != NULL && config->migration[0] == '\0')
        return yaml_error(node, err, "migration: the name is empty");
    return true;
}

static bool read_dsn(const struct yaml_node *node, char **slot, struct err *err)
{
    char *content = NULL;
    if (node == NULL)
        return true;
    if (!yaml_text_or_file(node, &content, err))
        return false;
    free(content); /* it can be read; sessions read it again, for passwords rotate */
    return read_text(node, slot, err);
}

static bool read_source(struct config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const KEYS[] = {
        "dsn",       "heartbeat",           "failover", "origin", "streaming",
        "two_phase", "temporary_directory", NULL};
    static const char *const ORIGINS[] = {"any", "none", NULL};
    int origin = config->local_only;
    if (node == NULL)
        return true;
    if (!yaml_check_keys(node, "source", KEYS, err) ||
        !read_dsn(yaml_get(node, "dsn"), &config->source_dsn, err) ||
        !read_duration(yaml_get(node, "heartbeat"), &config->heartbeat, err) ||
        !read_bool(yaml_get(node, "failover"), &config->failover, err) ||
        !read_word(yaml_get(node, "origin"), ORIGINS, &origin, err) ||
        !read_bool(yaml_get(node, "streaming"), &config->streaming, err) ||
        !read_bool(yaml_get(node, "two_phase"), &config->two_phase, err) ||
        !read_text(yaml_get(node, "temporary_directory"), &config->temporary_directory, err))
        return false;
    config->local_only = origin == 1;
    if (config->two_phase && config->failover) /* 17 loses prepared ones in a failover */
        return yaml_error(yaml_get(node, "two_phase"), err,
                          "two_phase and failover exclude each other: leave one out");
    if (config->heartbeat < 100 * USEC_PER_MS)
        return yaml_error(yaml_get(node, "heartbeat"), err,
                          "heartbeat: at least 100ms is expected");
    return true;
}

static bool read_target(struct config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const KEYS[] = {"dsn", NULL};
    if (node == NULL)
        return true;
    return yaml_check_keys(node, "target", KEYS, err) &&
           read_dsn(yaml_get(node, "dsn"), &config->target_dsn, err);
}

/* A limit of 0 would let nothing through, so it is refused: left out, there is none. */
static bool read_limit(const struct yaml_node *node, int64_t *slot, struct err *err)
{
    long limit = 0;
    if (node == NULL)
        return true;
    if (!yaml_int(node, 1, 1000000000, &limit, err))
        return false;
    *slot = limit;
    return true;
}

static bool is_more_than_zero(const struct yaml_node *node, int64_t value, struct err *err)
{
    return node == NULL || value > 0 ||
           yaml_error(node, err, "more than 0 is expected; leave it out for no limit");
}

static bool read_limits(struct config *config, const struct yaml_node *node, struct err *err)
{
    const struct yaml_node *bytes = yaml_get(node, "max_bytes_per_second");
    const struct yaml_node *lag = yaml_get(node, "max_replica_lag");
    const struct yaml_node *latency = yaml_get(node, "max_target_latency");
    return read_limit(yaml_get(node, "max_rows_per_second"), &config->max_rows_per_second,
                      err) &&
           read_limit(yaml_get(node, "max_source_load"), &config->max_source_load, err) &&
           read_size(bytes, &config->max_bytes_per_second, err) &&
           is_more_than_zero(bytes, config->max_bytes_per_second, err) &&
           read_duration(lag, &config->max_replica_lag, err) &&
           is_more_than_zero(lag, config->max_replica_lag, err) &&
           read_duration(latency, &config->max_target_latency, err) &&
           is_more_than_zero(latency, config->max_target_latency, err);
}

static bool read_backfill(struct config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const KEYS[] = {"workers",
                                       "chunk_rows",
                                       "chunk_time",
                                       "order",
                                       "defer_indexes",
                                       "max_rows_per_second",
                                       "max_bytes_per_second",
                                       "max_replica_lag",
                                       "max_target_latency",
                                       "max_source_load",
                                       NULL};
    static const char *const ORDERS[] = {"largest_first", "parents_first", NULL};
    long workers = config->backfill_workers;
    long chunk_rows = config->chunk_rows;
    int order = config->backfill_order;
    if (node == NULL)
        return true;
    if (!yaml_check_keys(node, "backfill", KEYS, err))
        return false;
    const struct yaml_node *workers_node = yaml_get(node, "workers");
    const struct yaml_node *chunk_node = yaml_get(node, "chunk_rows");
    if ((workers_node != NULL && !yaml_int(workers_node, 1, 64, &workers, err)) ||
        (chunk_node != NULL && !yaml_int(chunk_node, 1, 100000000, &chunk_rows, err)) ||
        !read_duration(yaml_get(node, "chunk_time"), &config->chunk_time, err) ||
        !read_limits(config, node, err) ||
        !read_word(yaml_get(node, "order"), ORDERS, &order, err) ||
        !read_bool(yaml_get(node, "defer_indexes"), &config->defer_indexes, err))
        return false;
    config->backfill_workers = (int)workers;
    config->backfill_order = (enum copy_order)order;
    config->chunk_rows = chunk_rows;
    return true;
}

static bool read_breaker(struct config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const KEYS[] = {"max_bad_share", "min_changes", NULL};
    if (node == NULL)
        return true;
    const struct yaml_node *share = yaml_get(node, "max_bad_share");
    return yaml_check_keys(node, "apply.breaker", KEYS, err) &&
           (share == NULL || yaml_real(share, 0.0, 1.0, &config->max_bad_share, err)) &&
           read_limit(yaml_get(node, "min_changes"), &config->min_bad_changes, err);
}

static bool read_apply(struct config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const KEYS[] = {"engine",  "on_bad_row",    "conflict",
                                       "breaker", "on_new_column", NULL};
    static const char *const ENGINES[] = {"auto", "ordered", "set", NULL};
    static const char *const BAD_ROW[] = {"stop", "quarantine", NULL};
    static const char *const CONFLICT[] = {"source_wins", NULL};
    static const char *const NEW_COLUMN[] = {"carry", "ignore", "stop", NULL};
    int engine = config->engine;
    int on_bad_row = config->on_bad_row;
    int new_column = config->on_new_column;
    int conflict = 0;
    if (node == NULL)
        return true;
    if (!yaml_check_keys(node, "apply", KEYS, err) ||
        !read_word(yaml_get(node, "engine"), ENGINES, &engine, err) ||
        !read_word(yaml_get(node, "on_bad_row"), BAD_ROW, &on_bad_row, err) ||
        !read_word(yaml_get(node, "conflict"), CONFLICT, &conflict, err) ||
        !read_word(yaml_get(node, "on_new_column"), NEW_COLUMN, &new_column, err) ||
        !read_breaker(config, yaml_get(node, "breaker"), err))
        return false;
    config->on_new_column = (enum new_column)new_column;
    config->engine = (enum apply_engine)engine;
    config->on_bad_row = (enum bad_row)on_bad_row;
    return true;
}

/* A folder below which nothing was written by us so far, so it must be said where. */
static bool read_spool(struct config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const KEYS[] = {"dir", "max_bytes", "min_free", NULL};
    if (node == NULL)
        return true;
    const struct yaml_node *dir = yaml_get(node, "dir");
    const struct yaml_node *most = yaml_get(node, "max_bytes");
    if (!yaml_check_keys(node, "spool", KEYS, err) ||
        !read_text(dir, &config->spool_dir, err) ||
        !read_size(most, &config->spool_max_bytes, err) ||
        !read_size(yaml_get(node, "min_free"), &config->spool_min_free, err))
        return false;
    if (dir == NULL)
        return yaml_error(node, err, "spool: dir is missing, the folder to keep it in");
    if (config->spool_dir[0] == '\0')
        return yaml_error(dir, err, "dir: the name of a folder is expected");
    return config->spool_max_bytes >= SPOOL_LEAST_BYTES ||
           yaml_error(most, err, "max_bytes: at least 16MB is expected");
}

static bool read_readiness(struct config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const KEYS[] = {"max_lag",        "max_lag_bytes",   "hold",
                                       "max_error_rate", "max_transaction", NULL};
    if (node == NULL)
        return true;
    const struct yaml_node *rate = yaml_get(node, "max_error_rate");
    return yaml_check_keys(node, "readiness", KEYS, err) &&
           read_duration(yaml_get(node, "max_lag"), &config->max_lag, err) &&
           read_size(yaml_get(node, "max_lag_bytes"), &config->max_lag_bytes, err) &&
           read_duration(yaml_get(node, "hold"), &config->hold, err) &&
           read_duration(yaml_get(node, "max_transaction"), &config->max_transaction, err) &&
           (rate == NULL || yaml_real(rate, 0.0, 1.0, &config->max_error_rate, err));
}

/* host:port, [v6]:port or :port. Whether it can be had is seen when listening. */
static bool has_port(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    char *end;
    if (colon == NULL || colon[1] < '0' || colon[1] > '9')
        return false;
    long port = strtol(colon + 1, &end, 10);
    return *end == '\0' && port <= 65535;
}

static bool read_http(struct config *config, const struct yaml_node *node, struct err *err)
{
    static const char *const KEYS[] = {"listen", NULL};
    if (node == NULL)
        return true;
    const struct yaml_node *listen = yaml_get(node, "listen");
    if (!yaml_check_keys(node, "http", KEYS, err) ||
        !read_text(listen, &config->http_listen, err))
        return false;
    return has_port(config->http_listen) ||
           yaml_error(listen, err,
                      "\"%s\" is no address to listen on; expected host:port, such "
                      "as 127.0.0.1:8087",
                      config->http_listen);
}

static bool read_file(struct config *config, const char *path, struct err *err)
{
    static const char *const KEYS[] = {"migration", "source", "target",    "tables", "backfill",
                                       "apply",     "spool",  "readiness", "http",   NULL};
    if (!yaml_load_file(path, &config->root, err))
        return false;
    const struct yaml_node *root = config->root;
    config->tables = yaml_get(root, "tables");
    return yaml_check_keys(root, "the file", KEYS, err) &&
           read_migration(config, yaml_get(root, "migration"), err) &&
           read_source(config, yaml_get(root, "source"), err) &&
           read_target(config, yaml_get(root, "target"), err) &&
           read_backfill(config, yaml_get(root, "backfill"), err) &&
           read_apply(config, yaml_get(root, "apply"), err) &&
           read_spool(config, yaml_get(root, "spool"), err) &&
           read_readiness(config, yaml_get(root, "readiness"), err) &&
           read_http(config, yaml_get(root, "http"), err);
}

/* Command line over environment over file. */
static void overrule(char **slot, const char *option, const char *variable)
{
    const char *value = option != NULL ? option : getenv(variable);
    if (value != NULL && value[0] != '\0')
        set_text(slot, value);
}

bool config_load(const struct options *options, struct config *config, struct err *err)
{
    set_defaults(config);
    if (options->config_file != NULL && !read_file(config, options->config_file, err)) {
        config_free(config);
        return false;
    }
    overrule(&config->source_dsn, options->source, "SLACKWATER_SOURCE");
    overrule(&config->target_dsn, options->target, "SLACKWATER_TARGET");
    return true;
}

void config_free(struct config *config)
{
    free(config->migration);
    free(config->source_dsn);
    free(config->temporary_directory);
    free(config->target_dsn);
    free(config->http_listen);
    free(config->spool_dir);
    yaml_free(config->root);
    *config = (struct config){0};
}

static bool need(const char *dsn, const char *side, const char *option, const char *variable,
                 struct err *err)
{
    if (dsn != NULL && dsn[0] != '\0')
        return true;
    err_set(err, ERR_CONFIG, "no %s database is given", side);
    return err_remedy(err,
                      "use %s DSN, or %s in the environment, or `%s: { dsn: ... }` in the "
                      "file",
                      option, variable, side);
}

bool config_need_source(const struct config *config, struct err *err)
{
    return need(config->source_dsn, "source", "--source", "SLACKWATER_SOURCE", err);
}

bool config_need_target(const struct config *config, struct err *err)
{
    return need(config->target_dsn, "target", "--target", "SLACKWATER_TARGET", err);
}
