/* The configuration: its defaults, every key, and what is refused where. */
#include "cli/config.h"
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A file with a config, and what came of loading it. */
struct bench {
    char path[64];
    struct options options;
    struct config config;
    struct err err;
};

static void open_bench(struct bench *bench, const char *text)
{
    *bench = (struct bench){.path = "/tmp/slackwater-config-XXXXXX"};
    int fd = mkstemp(bench->path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    bench->options.config_file = bench->path;
    unsetenv("SLACKWATER_SOURCE");
    unsetenv("SLACKWATER_TARGET");
    unsetenv("TMPDIR");
}

static void close_bench(struct bench *bench)
{
    config_free(&bench->config);
    unlink(bench->path);
}

static void load(struct bench *bench)
{
    ck_assert_msg(config_load(&bench->options, &bench->config, &bench->err), "%s",
                  bench->err.message);
}

static void open_and_load(struct bench *bench, const char *text)
{
    open_bench(bench, text);
    load(bench);
}

/* `message` follows the file's name: ":line:column: ...". */
static void expect_refusal(const char *text, const char *message)
{
    struct bench bench;
    open_bench(&bench, text);
    ck_assert_msg(!config_load(&bench.options, &bench.config, &bench.err), "%s", text);
    ck_assert_int_eq(bench.err.class, ERR_CONFIG);
    size_t path = strlen(bench.path);
    ck_assert_msg(strncmp(bench.err.message, bench.path, path) == 0, "%s", bench.err.message);
    ck_assert_str_eq(bench.err.message + path, message);
    ck_assert_ptr_null(bench.config.root); /* nothing is left behind */
    unlink(bench.path);
}

static void expect_defaults(const struct config *config)
{
    ck_assert_str_eq(config->migration, "default");
    ck_assert_ptr_null(config->source_dsn);
    ck_assert_ptr_null(config->target_dsn);
    ck_assert_int_eq(config->heartbeat, USEC_PER_SEC);
    ck_assert(config->streaming && !config->two_phase);
    ck_assert_str_eq(config->temporary_directory, "/tmp");
    ck_assert(!config->failover);
    ck_assert(!config->local_only);
    ck_assert_int_eq(config->backfill_workers, 2);
    ck_assert_int_eq(config->backfill_order, COPY_LARGEST_FIRST);
    ck_assert_str_eq(config->http_listen, "127.0.0.1:8087");
    ck_assert_int_eq(config->max_lag, USEC_PER_SEC);
    ck_assert_int_eq(config->max_lag_bytes, 16 << 20);
    ck_assert_int_eq(config->hold, 60 * USEC_PER_SEC);
    ck_assert_double_eq(config->max_error_rate, 0.001);
    ck_assert_int_eq(config->max_transaction, 60 * USEC_PER_SEC);
    ck_assert_int_eq(config->max_rows_per_second, 0);
    ck_assert_int_eq(config->max_bytes_per_second, 0);
    ck_assert_int_eq(config->max_replica_lag, 0);
    ck_assert_int_eq(config->max_target_latency, 0);
    ck_assert_int_eq(config->max_source_load, 0);
    ck_assert_ptr_null(config->tables);
    ck_assert_int_eq(config->on_bad_row, BAD_ROW_QUARANTINE);
    ck_assert_ptr_null(config->spool_dir);
    ck_assert_int_eq(config->spool_max_bytes, 10LL << 30);
    ck_assert_int_eq(config->spool_min_free, 1LL << 30);
}

START_TEST(without_a_file_everything_has_its_default)
{
    struct bench bench;
    open_bench(&bench, "");
    bench.options.config_file = NULL;
    load(&bench);
    expect_defaults(&bench.config);
    close_bench(&bench);
}
END_TEST

START_TEST(an_empty_file_says_the_same_as_none)
{
    struct bench bench;
    open_and_load(&bench, "# nothing yet\n");
    expect_defaults(&bench.config);
    close_bench(&bench);
}
END_TEST

START_TEST(every_key_is_taken)
{
    struct bench bench;
    open_and_load(&bench,
                  "migration: shop\n"
                  "source: { dsn: host=s, heartbeat: 250ms, failover: true, origin: none,\n"
                  "          streaming: false, temporary_directory: /var/tmp }\n"
                  "target: { dsn: host=t }\n"
                  "tables: [ { source: users } ]\n"
                  "backfill: { workers: 7, order: parents_first, defer_indexes: true,\n"
                  "            max_rows_per_second: 5000, max_bytes_per_second: 2MB,\n"
                  "            max_replica_lag: 5s, max_target_latency: 250ms,\n"
                  "            max_source_load: 40 }\n"
                  "apply: { engine: ordered, on_bad_row: stop,\n"
                  "         conflict: source_wins }\n"
                  "readiness:\n"
                  "  max_lag: 5s\n"
                  "  max_lag_bytes: 1MB\n"
                  "  hold: 2m\n"
                  "  max_error_rate: 0.25\n"
                  "  max_transaction: 1h\n"
                  "spool: { dir: /var/spool/shop, max_bytes: 20GB, min_free: 0 }\n"
                  "http: { listen: '[::]:0' }\n");
    const struct config *config = &bench.config;
    ck_assert_str_eq(config->migration, "shop");
    ck_assert_str_eq(config->spool_dir, "/var/spool/shop");
    ck_assert_int_eq(config->spool_max_bytes, 20LL << 30);
    ck_assert_int_eq(config->spool_min_free, 0);
    ck_assert_str_eq(config->source_dsn, "host=s");
    ck_assert_int_eq(config->heartbeat, 250 * USEC_PER_MS);
    ck_assert(!config->streaming);
    ck_assert_str_eq(config->temporary_directory, "/var/tmp");
    ck_assert(config->failover);
    ck_assert(config->local_only);
    ck_assert_str_eq(config->target_dsn, "host=t");
    ck_assert_ptr_nonnull(config->tables);
    ck_assert_uint_eq(config->tables->count, 1);
    ck_assert_int_eq(config->backfill_workers, 7);
    ck_assert_int_eq(config->backfill_order, COPY_PARENTS_FIRST);
    ck_assert_int_eq(config->max_rows_per_second, 5000);
    ck_assert_int_eq(config->max_bytes_per_second, 2 << 20);
    ck_assert_int_eq(config->max_replica_lag, 5 * USEC_PER_SEC);
    ck_assert_int_eq(config->max_target_latency, 250 * USEC_PER_MS);
    ck_assert_int_eq(config->max_source_load, 40);
    ck_assert(config->defer_indexes);
    ck_assert_int_eq(config->engine, APPLY_ORDERED);
    ck_assert_int_eq(config->max_lag, 5 * USEC_PER_SEC);
    ck_assert_int_eq(config->max_lag_bytes, 1 << 20);
    ck_assert_int_eq(config->hold, 120 * USEC_PER_SEC);
    ck_assert_double_eq(config->max_error_rate, 0.25);
    ck_assert_int_eq(config->max_transaction, 3600 * USEC_PER_SEC);
    ck_assert_str_eq(config->http_listen, "[::]:0");
    close_bench(&bench);
}
END_TEST

START_TEST(an_unknown_key_is_refused_with_the_nearest)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"migratoin: x\n",
         ":1:1: unknown key \"migratoin\" in the file; did you mean \"migration\"?"},
        {"source:\n  dns: x\n", ":2:3: unknown key \"dns\" in source; did you mean \"dsn\"?"},
        {"target: { heartbeat: 1s }\n",
         ":1:11: unknown key \"heartbeat\" in target; known are dsn"},
        {"backfill: { worker: 2 }\n",
         ":1:13: unknown key \"worker\" in backfill; did you mean \"workers\"?"},
        {"apply: { conflicts: source_wins }\n",
         ":1:10: unknown key \"conflicts\" in apply; did you mean \"conflict\"?"},
        {"spool: { directory: x }\n",
         ":1:10: unknown key \"directory\" in spool; known are dir, max_bytes and min_free"},
        {"readiness: { max_lags: 1s }\n",
         ":1:14: unknown key \"max_lags\" in readiness; did you mean \"max_lag\"?"},
        {"http: { address: x }\n", ":1:9: unknown key \"address\" in http; known are listen"},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        expect_refusal(rows[i].text, rows[i].message);
}
END_TEST

START_TEST(a_spool_wants_a_folder_and_some_room)
{
    expect_refusal("spool: { max_bytes: 1GB }\n",
                   ":1:8: spool: dir is missing, the folder to keep it in");
    expect_refusal("spool: { dir: '' }\n", ":1:15: dir: the name of a folder is expected");
    expect_refusal("spool: { dir: x, max_bytes: 1MB }\n",
                   ":1:29: max_bytes: at least 16MB is expected");
}
END_TEST

#define DURATION "expected a duration with its unit, such as 250ms, 5s, 2m, 1h or 1d"

START_TEST(a_bad_unit_or_number_is_refused_where_it_stands)
{
    static const struct {
        const char *text, *place, *expected;
    } rows[] = {
        {"source:\n  heartbeat: 5\n", ":2:14: found \"5\"; ", DURATION},
        {"readiness: { max_lag: 1 second }\n", ":1:23: found \"1 second\"; ",
         DURATION "; did you mean \"1s\"?"},
        {"readiness: { hold: -1s }\n", ":1:20: found \"-1s\"; ", DURATION},
        {"readiness: { max_transaction: [] }\n", ":1:31: found an empty list; ", DURATION},
        {"backfill: { max_replica_lag: soon }\n", ":1:30: found \"soon\"; ", DURATION},
        {"readiness: { max_lag_bytes: 16 Mb }\n", ":1:29: found \"16 Mb\"; ",
         "expected a size, such as 64kB, 16MB or 1GB; did you mean \"16MB\"?"},
        {"readiness: { max_lag_bytes: 9000000TB }\n",
         ":1:29: ", "a size below 8388608TB is expected"},
        {"readiness: { max_error_rate: 1.5 }\n", ":1:30: found \"1.5\"; ",
         "expected a number from 0 to 1"},
        {"backfill: { max_replica_lag: 0 }\n",
         ":1:30: ", "more than 0 is expected; leave it out for no limit"},
        {"backfill: { max_bytes_per_second: 0 }\n",
         ":1:35: ", "more than 0 is expected; leave it out for no limit"},
        {"backfill: { max_rows_per_second: 0 }\n", ":1:34: found \"0\"; ",
         "expected a whole number from 1 to 1000000000"},
        {"backfill: { max_source_load: 1.5 }\n", ":1:30: found \"1.5\"; ",
         "expected a whole number from 1 to 1000000000"},
        {"backfill: { workers: 0 }\n", ":1:22: found \"0\"; ",
         "expected a whole number from 1 to 64"},
        {"backfill: { workers: many }\n", ":1:22: found \"many\"; ",
         "expected a whole number from 1 to 64"},
        {"backfill: { chunk_rows: 0 }\n", ":1:25: found \"0\"; ",
         "expected a whole number from 1 to 100000000"},
        {"source: { origin: some }\n", ":1:19: found \"some\"; ",
         "expected any or none; did you mean \"none\"?"},
        {"source: { two_phase: true, failover: true }\n",
         ":1:22: ", "two_phase and failover exclude each other: leave one out"},
        {"source: { heartbeat: 10ms }\n", ":1:22: ", "heartbeat: at least 100ms is expected"},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char message[256];
        snprintf(message, sizeof(message), "%s%s", rows[i].place, rows[i].expected);
        expect_refusal(rows[i].text, message);
    }
}
END_TEST

START_TEST(a_word_that_is_no_choice_is_refused)
{
    expect_refusal(
        "backfill: { order: parent_first }\n",
        ":1:20: found \"parent_first\"; expected largest_first or parents_first; did "
        "you mean \"parents_first\"?");
    expect_refusal("backfill: { order: x }\n",
                   ":1:20: found \"x\"; expected largest_first or parents_first");
    expect_refusal("apply: { conflict: newest }\n",
                   ":1:20: found \"newest\"; expected source_wins");
    expect_refusal(
        "apply: { engine: sets }\n",
        ":1:18: found \"sets\"; expected auto, ordered or set; did you mean \"set\"?");
    expect_refusal("apply: { on_bad_row: quarantin }\n",
                   ":1:22: found \"quarantin\"; expected stop or quarantine; did you mean "
                   "\"quarantine\"?");
}
END_TEST

START_TEST(the_shape_of_the_file_is_checked)
{
    expect_refusal("migration: ''\n", ":1:12: migration: the name is empty");
    expect_refusal("source: host=s\n", ":1:9: found \"host=s\"; expected a mapping for source");
    expect_refusal("- source\n", ":1:1: found a list; expected a mapping for the file");
    expect_refusal("migration: [a]\n", ":1:12: found a list; expected text (in quotes, if the "
                                       "word null is meant)");
    expect_refusal("http: { listen: 'localhost:65536' }\n",
                   ":1:17: \"localhost:65536\" is no address to listen on; expected "
                   "host:port, such as 127.0.0.1:8087");
    expect_refusal("http: { listen: localhost }\n",
                   ":1:17: \"localhost\" is no address to listen on; expected host:port, such "
                   "as 127.0.0.1:8087");
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    struct bench bench;
    open_bench(&bench, "");
    unlink(bench.path);
    ck_assert(!config_load(&bench.options, &bench.config, &bench.err));
    ck_assert_int_eq(bench.err.class, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(bench.err.message, bench.path));
}
END_TEST

START_TEST(an_option_wins_over_the_environment_and_that_over_the_file)
{
    struct bench bench;
    open_bench(&bench, "source: { dsn: file_s }\ntarget: { dsn: file_t }\n");
    load(&bench);
    ck_assert_str_eq(bench.config.source_dsn, "file_s");
    ck_assert_str_eq(bench.config.target_dsn, "file_t");
    config_free(&bench.config);

    setenv("SLACKWATER_SOURCE", "environment_s", 1);
    setenv("SLACKWATER_TARGET", "", 1); /* empty is as good as unset */
    load(&bench);
    ck_assert_str_eq(bench.config.source_dsn, "environment_s");
    ck_assert_str_eq(bench.config.target_dsn, "file_t");
    config_free(&bench.config);

    bench.options.source = "option_s";
    bench.options.target = "option_t";
    load(&bench);
    ck_assert_str_eq(bench.config.source_dsn, "option_s");
    ck_assert_str_eq(bench.config.target_dsn, "option_t");
    close_bench(&bench);
}
END_TEST

/* The file itself is read at every connect (postgres/session.h): passwords rotate. */
START_TEST(a_dsn_may_come_from_a_variable_or_a_file)
{
    struct bench bench, secret;
    char text[256], name[80];
    open_bench(&secret, "host=t password=hunter2\n");
    snprintf(text, sizeof(text), "source: { dsn: \"${UNIT_DSN}\" }\ntarget: { dsn: file:%s }\n",
             secret.path);
    setenv("UNIT_DSN", "host=s", 1);
    open_and_load(&bench, text);
    ck_assert_str_eq(bench.config.source_dsn, "host=s");
    snprintf(name, sizeof(name), "file:%s", secret.path);
    ck_assert_str_eq(bench.config.target_dsn, name);
    close_bench(&bench);
    unlink(secret.path);
}
END_TEST

START_TEST(a_dsn_file_that_cannot_be_read_is_refused_where_it_is_named)
{
    struct bench bench;
    open_bench(&bench, "target:\n  dsn: file:/nowhere/dsn\n");
    ck_assert(!config_load(&bench.options, &bench.config, &bench.err));
    ck_assert_int_eq(bench.err.class, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(bench.err.message, ":2:8: "));
    ck_assert_ptr_nonnull(strstr(bench.err.message, "/nowhere/dsn"));
    unlink(bench.path);
}
END_TEST

START_TEST(a_missing_dsn_is_asked_for_by_its_names)
{
    struct bench bench;
    open_and_load(&bench, "target: { dsn: '' }\n");
    ck_assert(!config_need_source(&bench.config, &bench.err));
    ck_assert_int_eq(bench.err.class, ERR_CONFIG);
    ck_assert_str_eq(bench.err.message, "no source database is given");
    ck_assert_ptr_nonnull(strstr(bench.err.remedy, "--source"));
    ck_assert_ptr_nonnull(strstr(bench.err.remedy, "SLACKWATER_SOURCE"));
    ck_assert(!config_need_target(&bench.config, &bench.err));
    ck_assert_str_eq(bench.err.message, "no target database is given");
    config_free(&bench.config);
    bench.options.source = "host=s";
    load(&bench);
    ck_assert(config_need_source(&bench.config, &bench.err));
    close_bench(&bench);
}
END_TEST

START_TEST(the_share_of_bad_rows_has_a_limit)
{
    struct bench bench;
    open_and_load(&bench, "apply: { breaker: { max_bad_share: 0.5, min_changes: 10 } }\n");
    ck_assert_int_eq(bench.config.on_bad_row, BAD_ROW_QUARANTINE);
    ck_assert(bench.config.max_bad_share > 0.49 && bench.config.max_bad_share < 0.51);
    ck_assert_int_eq(bench.config.min_bad_changes, 10);
    close_bench(&bench);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        without_a_file_everything_has_its_default,
        an_empty_file_says_the_same_as_none,
        every_key_is_taken,
        an_unknown_key_is_refused_with_the_nearest,
        a_spool_wants_a_folder_and_some_room,
        a_bad_unit_or_number_is_refused_where_it_stands,
        a_word_that_is_no_choice_is_refused,
        the_shape_of_the_file_is_checked,
        a_file_that_is_not_there_is_named,
        an_option_wins_over_the_environment_and_that_over_the_file,
        a_dsn_may_come_from_a_variable_or_a_file,
        a_dsn_file_that_cannot_be_read_is_refused_where_it_is_named,
        a_missing_dsn_is_asked_for_by_its_names,
        the_share_of_bad_rows_has_a_limit,
    };
    return unit_run("config", tests, UNIT_COUNT(tests));
}
