/* Status documents: the members people's tools rely on, and null for what is not known. */
#include "observe/status.h"
#include "observe/text.h"
#include "picture.h"
#include "unit.h"

/* The member at a dotted path; a number is an index into an array. */
static const json_t *at(const json_t *value, const char *path)
{
    char *copy = mem_string(path), *rest = NULL;
    for (char *name = strtok_r(copy, ".", &rest); name; name = strtok_r(NULL, ".", &rest))
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(name))
                                     : json_object_get(value, name);
    ck_assert_msg(value != NULL, "no member %s", path);
    free(copy);
    return value;
}

static json_t *document_of(struct status *status)
{
    gates_evaluate(status);
    json_t *document = status_to_json(status);
    ck_assert_ptr_nonnull(document);
    return document;
}

START_TEST(members_carry_the_picture)
{
    static const struct {
        const char *path, *json;
    } rows[] = {
        {"version", "\"9.9.9\""},
        {"migration", "\"shop\""},
        {"instance", "\"7f3a\""},
        {"phase", "\"streaming\""},
        {"at", "\"2026-11-21T02:27:26.000Z\""},
        {"uptime_seconds", "600.0"},
        {"lsn.source", "\"16/B374D848\""},
        {"lsn.flushed", "\"16/B374D700\""},
        {"spool.state", "\"in_use\""},
        {"spool.bytes", "5000000"},
        {"spool.cut_bytes", "4096"},
        {"spool.to", "\"16/B374D848\""},
        {"spool.oldest_seconds", "90.0"},
        {"lag.bytes", "72"},
        {"lag.seconds", "0.012"},
        {"lag.end_to_end_seconds", "0.018"},
        {"lag.below_threshold_seconds", "100.0"},
        {"throughput.rows_per_second", "1204.5"},
        {"totals.transactions", "40"},
        {"apply.batches_set", "5"},
        {"apply.fallbacks", "1"},
        {"error_rate", "0.0"},
        {"last_error", "null"},
        {"backfill.complete", "true"},
        {"backfill.estimated_rows", "2200"},
        {"backfill.share", "1.0"},
        {"backfill.chunks", "6"},
        {"backfill.chunks_retried", "0"},
        {"backfill.paused", "false"},
        {"backfill.waiting", "[]"},
        {"tables.1.copy.chunks", "3"},
        {"tables.1.copy.share", "1.0"},
        {"slot.wal_status", "\"reserved\""},
        {"slot.error", "null"},
        {"slot.safe_wal_bytes", "null"},
        {"slot.seconds_to_loss", "null"},
        {"transactions.prepared", "0"},
        {"readiness.go", "true"},
        {"readiness.hold_seconds", "60.0"},
        {"gates.0.name", "\"backfill\""},
        {"gates.0.verdict", "\"GO\""},
        {"gates.0.reason", "\"\""},
        {"tables.0.target", "\"app.accounts\""},
        {"tables.0.insert_only", "false"},
        {"tables.0.copy.state", "\"done\""},
        {"tables.1.copy.rows", "1200"},
        {"tables.1.stream.skipped_by_handoff", "10"},
        {"tables.1.conflicts.update_missing", "0"},
    };
    struct status status = picture_of_health();
    json_t *document = document_of(&status);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char *json =
            json_dumps(at(document, rows[i].path), JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        ck_assert_msg(strcmp(json, rows[i].json) == 0, "%s: %s", rows[i].path, json);
        free(json);
    }
    json_decref(document);
    status_free(&status);
}
END_TEST

START_TEST(what_is_not_known_is_null)
{
    static const char *const paths[] = {
        "started_at",
        "uptime_seconds",
        "last_commit_at",
        "lsn.source",
        "lsn.applied",
        "lag.bytes",
        "lag.seconds",
        "lag.end_to_end_seconds",
        "lag.eta_seconds",
        "lag.below_threshold_seconds",
        "backfill.estimated_rows",
        "backfill.eta_seconds",
        "backfill.pressure.replica_lag_seconds",
        "backfill.pressure.standbys",
        "backfill.pressure.target_latency_seconds",
        "slot.wal_status",
        "slot.active",
        "slot.retained_bytes",
        "transactions.prepared",
        "transactions.oldest_open_seconds",
        "last_error",
        "error_rate",
    };
    struct status status = {
        .backfill_estimated_rows = -1, .backfill_eta = -1, .pressure = {-1, -1, -1, -1}};
    status.error_rate = 0.0 / (double)status.batches; /* no batch yet: not a number */
    json_t *document = document_of(&status);
    for (size_t i = 0; i < UNIT_COUNT(paths); i++)
        ck_assert_msg(json_is_null(at(document, paths[i])), "%s", paths[i]);
    ck_assert_uint_eq(json_array_size(at(document, "tables")), 0);
    json_decref(document);
}
END_TEST

START_TEST(what_the_backfill_waits_for_is_listed)
{
    struct status status = picture_of_health();
    status.paused = true;
    status.pressure = (struct pressure_status){7 * USEC_PER_SEC, 2, 1500, 12};
    status_wait(&status, WAIT_COMMITS, true, "commits");
    status_wait(&status, WAIT_OPEN_TRANSACTIONS, true, "open");
    status_wait(&status, WAIT_PAUSED, true, "paused");
    json_t *document = document_of(&status);
    char *waiting = json_dumps(at(document, "backfill.waiting"), JSON_COMPACT);
    ck_assert_str_eq(waiting, "[{\"reason\":\"paused\",\"detail\":\"paused\"},"
                              "{\"reason\":\"commits\",\"detail\":\"commits\"},"
                              "{\"reason\":\"open_transactions\",\"detail\":\"open\"}]");
    ck_assert(json_is_true(at(document, "backfill.paused")));
    ck_assert_double_eq(
        json_number_value(at(document, "backfill.pressure.replica_lag_seconds")), 7);
    ck_assert_int_eq(
        json_integer_value(at(document, "backfill.pressure.source_active_sessions")), 12);
    free(waiting);
    json_decref(document);
    status_free(&status);
}
END_TEST

START_TEST(an_error_names_its_time)
{
    struct status status = picture_of_health();
    strcpy(status.last_error, "deadlock detected");
    status.last_error_at = status.now;
    json_t *document = document_of(&status);
    ck_assert_str_eq(json_string_value(at(document, "last_error.message")),
                     "deadlock detected");
    ck_assert_str_eq(json_string_value(at(document, "last_error.at")),
                     "2026-11-21T02:27:26.000Z");
    json_decref(document);
    status_free(&status);
}
END_TEST

START_TEST(a_wall_clock_set_back_gives_no_negative_uptime)
{
    struct status status = picture_of_health();
    status.started_at = status.now + 5;
    json_t *document = document_of(&status);
    ck_assert(json_real_value(at(document, "uptime_seconds")) == 0);
    json_decref(document);
    status_free(&status);
}
END_TEST

START_TEST(names_and_messages_that_are_not_utf8_still_make_a_document)
{
    struct status status = picture_of_health();
    free(status.tables[0].source);
    status.tables[0].source = mem_string("public.caf\xE9");
    strcpy(status.last_error, "cut in the middle of \xC3");
    json_t *document = document_of(&status);
    ck_assert_str_eq(json_string_value(at(document, "tables.0.source")),
                     "public.caf\xEF\xBF\xBD");
    ck_assert_str_eq(json_string_value(at(document, "last_error.message")),
                     "cut in the middle of \xEF\xBF\xBD");
    json_decref(document);
    status_free(&status);
}
END_TEST

START_TEST(the_verdict_document_holds_every_gate)
{
    struct status status = picture_of_health();
    gates_evaluate(&status);
    json_t *document = status_verdict_json(&status);
    ck_assert_str_eq(json_string_value(at(document, "verdict")), "GO");
    ck_assert_str_eq(json_string_value(at(document, "migration")), "shop");
    ck_assert_uint_eq(json_array_size(at(document, "gates")), status.gate_count);
    json_decref(document);
    status.slot.known = false;
    gates_evaluate(&status);
    document = status_verdict_json(&status);
    ck_assert_str_eq(json_string_value(at(document, "verdict")), "NO-GO");
    json_decref(document);
    status_free(&status);
}
END_TEST

START_TEST(text_is_made_valid_byte_by_byte)
{
#define BAD "\xEF\xBF\xBD"
    static const struct {
        const char *text, *valid;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xC3\xBC\xE6\xBC\xA2\xF0\x9F\x8C\x8A", "\xC3\xBC\xE6\xBC\xA2\xF0\x9F\x8C\x8A"},
        {"\x80", BAD},
        {"a\xFF"
         "b",
         "a" BAD "b"},
        {"\xC3", BAD},                         /* cut */
        {"\xE6\xBC", BAD BAD},                 /* cut */
        {"\xC0\xAF", BAD BAD},                 /* overlong */
        {"\xE0\x80\xAF", BAD BAD BAD},         /* overlong */
        {"\xED\xA0\x80", BAD BAD BAD},         /* surrogate */
        {"\xF4\x90\x80\x80", BAD BAD BAD BAD}, /* past U+10FFFF */
        {"\xC3(", BAD "("},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct buf out = {0};
        text_append_valid(&out, rows[i].text);
        ck_assert_msg(strcmp(buf_text(&out), rows[i].valid) == 0, "row %zu: %s", i,
                      buf_text(&out));
        buf_free(&out);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        members_carry_the_picture,
        what_is_not_known_is_null,
        what_the_backfill_waits_for_is_listed,
        an_error_names_its_time,
        a_wall_clock_set_back_gives_no_negative_uptime,
        names_and_messages_that_are_not_utf8_still_make_a_document,
        the_verdict_document_holds_every_gate,
        text_is_made_valid_byte_by_byte,
    };
    return unit_run("status", tests, UNIT_COUNT(tests));
}
