/* The picture of a run as JSON documents. What is not known is null, never a number that a tool
 * could take for good; texts are valid UTF-8 whatever the server said. */
#include "observe/status.h"

#include "base/buf.h"
#include "observe/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void status_free(struct status *status)
{
    for (size_t i = 0; i < status->table_count; i++) {
        free(status->tables[i].source);
        free(status->tables[i].target);
    }
    free(status->tables);
    for (size_t i = 0; i < status->ignored_count; i++)
        free(status->ignored_columns[i]);
    free(status->ignored_columns);
    status->ignored_columns = NULL;
    status->ignored_count = 0;
    free(status->migration);
    free(status->instance);
    free(status->note);
    status->tables = NULL;
    status->table_count = 0;
    status->migration = status->instance = status->note = NULL;
}

const char *phase_name(enum phase phase)
{
    switch (phase) {
    case PHASE_STARTING:
        return "starting";
    case PHASE_BACKFILL:
        return "backfill";
    case PHASE_CATCHING_UP:
        return "catching_up";
    case PHASE_STREAMING:
        return "streaming";
    case PHASE_WAITING:
        return "waiting";
    case PHASE_STOPPING:
        return "stopping";
    }
    return "unknown";
}

const char *backfill_wait_name(enum backfill_wait wait)
{
    switch (wait) {
    case WAIT_PAUSED:
        return "paused";
    case WAIT_REPLICA_LAG:
        return "replica_lag";
    case WAIT_TARGET_LATENCY:
        return "target_latency";
    case WAIT_SOURCE_LOAD:
        return "source_load";
    case WAIT_RATE_LIMIT:
        return "rate_limit";
    case WAIT_COMMITS:
        return "commits";
    case WAIT_OPEN_TRANSACTIONS:
        return "open_transactions";
    case WAIT_STREAM:
        return "stream";
    case BACKFILL_WAITS:
        break;
    }
    return "unknown";
}

void status_wait(struct status *status, enum backfill_wait wait, bool waits, const char *detail)
{
    struct wait_status *to = &status->waits[wait];
    to->waits = waits;
    snprintf(to->detail, sizeof to->detail, "%s", waits ? detail : "");
}

const char *copy_state_name(enum copy_state state)
{
    switch (state) {
    case COPY_WAITING:
        return "waiting";
    case COPY_RUNNING:
        return "running";
    case COPY_DONE:
        return "done";
    case COPY_NOT_NEEDED:
        return "not_needed";
    case COPY_HELD:
        return "held";
    case COPY_INDEXING:
        return "indexing";
    }
    return "unknown";
}

const char *spool_use_name(enum spool_use use)
{
    switch (use) {
    case SPOOL_OFF:
        return "off";
    case SPOOL_IDLE:
        return "idle";
    case SPOOL_HOLDS:
        return "in_use";
    case SPOOL_STUCK:
        return "full";
    }
    return "unknown";
}

const char *gate_verdict_name(enum gate_verdict verdict)
{
    switch (verdict) {
    case GATE_GO:
        return "GO";
    case GATE_NO_GO:
        return "NO-GO";
    case GATE_UNKNOWN:
        return "UNKNOWN";
    }
    return "UNKNOWN";
}

/* The makers of values. None returns NULL: what is not known is JSON's null. */

static json_t *text_value(const char *text)
{
    json_t *value = json_string(text ? text : "");
    if (value)
        return value;
    struct buf valid = {0};
    text_append_valid(&valid, text);
    value = json_string(buf_text(&valid));
    buf_free(&valid);
    return value;
}

static json_t *count_value(uint64_t count)
{
    return json_integer((json_int_t)count);
}

/* -1 is "not known". */
static json_t *known_count(int64_t count)
{
    return count < 0 ? json_null() : json_integer(count);
}

static json_t *real_value(double real)
{
    return isfinite(real) ? json_real(real) : json_null();
}

static json_t *seconds_value(usec_t duration)
{
    return duration < 0 ? json_null() : json_real((double)duration / USEC_PER_SEC);
}

static json_t *when_known(bool known, json_t *value)
{
    if (known)
        return value;
    json_decref(value);
    return json_null();
}

static json_t *moment_value(usec_t at)
{
    char text[32];
    return at ? json_string(clock_format_wall(at, text, sizeof text)) : json_null();
}

static json_t *lsn_value(lsn_t lsn)
{
    char text[LSN_TEXT_SIZE];
    return lsn == LSN_NONE ? json_null() : json_string(lsn_format(lsn, text));
}

/* An object out of {name, value} pairs; takes the values. */
struct member {
    const char *name;
    json_t *value;
};

static json_t *object_of(const struct member *members)
{
    json_t *object = json_object();
    for (; members->name; members++)
        json_object_set_new(object, members->name, members->value);
    return object;
}

#define OBJECT(...) object_of((const struct member[]){__VA_ARGS__, {NULL, NULL}})

/* The members of /status, one function a group. */

static json_t *positions_json(const struct status *status)
{
    return OBJECT({"source", lsn_value(status->source_lsn)},
                  {"received", lsn_value(status->received_lsn)},
                  {"applied", lsn_value(status->applied_lsn)},
                  {"flushed", lsn_value(status->flushed_lsn)},
                  {"acknowledged", lsn_value(status->acked_lsn)});
}

static usec_t below_for(const struct status *status)
{
    usec_t since = status->lag.below_since;
    return since && status->now_monotonic > since ? status->now_monotonic - since : 0;
}

static json_t *lag_json(const struct status *status)
{
    const struct lag_status *lag = &status->lag;
    return OBJECT(
        {"bytes", when_known(lag->known, known_count(lag->bytes))},
        {"seconds", when_known(lag->known, seconds_value(lag->time))},
        {"end_to_end_seconds",
         when_known(lag->end_to_end_known, seconds_value(lag->end_to_end))},
        {"eta_seconds", when_known(lag->known, seconds_value(lag->eta))},
        {"below_threshold_seconds", when_known(lag->known, seconds_value(below_for(status)))});
}

static json_t *throughput_json(const struct status *status)
{
    return OBJECT({"rows_per_second", real_value(status->rows_per_second)},
                  {"transactions_per_second", real_value(status->transactions_per_second)},
                  {"bytes_per_second", real_value(status->bytes_per_second)});
}

static json_t *totals_json(const struct status *status)
{
    return OBJECT({"transactions", count_value(status->transactions)},
                  {"changes", count_value(status->changes)},
                  {"batches", count_value(status->batches)},
                  {"bytes_received", count_value(status->bytes_received)},
                  {"retries", count_value(status->retries)},
                  {"reconnects", count_value(status->reconnects)},
                  {"errors", count_value(status->errors)});
}

static json_t *apply_json(const struct status *status)
{
    const struct apply_status *apply = &status->apply;
    return OBJECT({"target_circuit", text_value(breaker_state_name(status->target_circuit))},
                  {"batches_ordered", count_value(apply->batches_ordered)},
                  {"batches_set", count_value(apply->batches_set)},
                  {"fallbacks", count_value(apply->fallbacks)},
                  {"batches_ahead", count_value(apply->batches_ahead)},
                  {"rows_copied", count_value(apply->rows_copied)},
                  {"rows_staged", count_value(apply->rows_staged)},
                  {"rows_single", count_value(apply->rows_single)},
                  {"changes_folded", count_value(apply->changes_folded)});
}

static json_t *last_error_json(const struct status *status)
{
    if (!status->last_error[0])
        return json_null();
    return OBJECT({"message", text_value(status->last_error)},
                  {"at", moment_value(status->last_error_at)});
}

static json_t *waiting_json(const struct status *status)
{
    json_t *waiting = json_array();
    for (enum backfill_wait wait = 0; wait < BACKFILL_WAITS; wait++)
        if (status->waits[wait].waits)
            json_array_append_new(waiting,
                                  OBJECT({"reason", text_value(backfill_wait_name(wait))},
                                         {"detail", text_value(status->waits[wait].detail)}));
    return waiting;
}

static json_t *pressure_json(const struct pressure_status *pressure)
{
    return OBJECT({"replica_lag_seconds", seconds_value(pressure->replica_lag)},
                  {"standbys", known_count(pressure->standbys)},
                  {"target_latency_seconds", seconds_value(pressure->target_latency)},
                  {"source_active_sessions", known_count(pressure->source_load)});
}

static uint64_t chunks_of(const struct status *status, bool retried)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < status->table_count; i++)
        sum += retried ? status->tables[i].chunks_retried : status->tables[i].chunks;
    return sum;
}

static json_t *backfill_json(const struct status *status)
{
    return OBJECT({"complete", json_boolean(status->backfill_complete)},
                  {"rows", count_value(status->backfill_rows)},
                  {"bytes", count_value(status->backfill_bytes)},
                  {"estimated_rows", known_count(status->backfill_estimated_rows)},
                  {"share", real_value(status->backfill_share)},
                  {"rows_per_second", real_value(status->backfill_rows_per_second)},
                  {"bytes_per_second", real_value(status->backfill_bytes_per_second)},
                  {"eta_seconds", seconds_value(status->backfill_eta)},
                  {"chunks", count_value(chunks_of(status, false))},
                  {"chunks_retried", count_value(chunks_of(status, true))},
                  {"paused", json_boolean(status->paused)}, {"waiting", waiting_json(status)},
                  {"pressure", pressure_json(&status->pressure)});
}

static json_t *spool_json(const struct spool_status *spool)
{
    return OBJECT(
        {"state", text_value(spool_use_name(spool->use))}, {"bytes", count_value(spool->bytes)},
        {"segments", count_value(spool->segments)},
        {"unread_batches", count_value(spool->unread)}, {"cut_bytes", count_value(spool->cut)},
        {"from", lsn_value(spool->from)}, {"to", lsn_value(spool->to)},
        {"oldest_seconds", seconds_value(spool->oldest)});
}

static json_t *slot_json(const struct slot_status *slot)
{
    return OBJECT(
        {"known", json_boolean(slot->known)},
        {"error", when_known(slot->error[0], text_value(slot->error))},
        {"wal_status", when_known(slot->known, text_value(slot->wal_status))},
        {"active", when_known(slot->known, json_boolean(slot->active))},
        {"safe_wal_bytes", when_known(slot->known, known_count(slot->safe_wal_size))},
        {"retained_bytes", when_known(slot->known, known_count(slot->retained_bytes))},
        {"seconds_to_loss", when_known(slot->known, known_count(slot->seconds_to_loss))});
}

static json_t *transactions_json(const struct transactions_status *open)
{
    return OBJECT(
        {"known", json_boolean(open->known)},
        {"error", when_known(open->error[0], text_value(open->error))},
        {"open_longer_than_threshold",
         when_known(open->known, known_count(open->open_longer_than_threshold))},
        {"oldest_open_seconds", when_known(open->known, seconds_value(open->oldest_open))},
        {"prepared", when_known(open->known, known_count(open->prepared))},
        {"oldest_prepared_seconds",
         when_known(open->known, seconds_value(open->oldest_prepared))});
}

static json_t *kept_json(const struct kept_status *kept)
{
    return OBJECT({"transactions", count_value(kept->transactions)},
                  {"prepared", count_value(kept->prepared)},
                  {"memory_bytes", count_value(kept->memory_bytes)},
                  {"file_bytes", count_value(kept->file_bytes)},
                  {"committed", count_value(kept->committed)});
}

static json_t *readiness_json(const struct status *status)
{
    const struct readiness_limits *limits = &status->limits;
    return OBJECT({"go", json_boolean(status->go)},
                  {"max_lag_seconds", seconds_value(limits->max_lag)},
                  {"max_lag_bytes", known_count(limits->max_lag_bytes)},
                  {"hold_seconds", seconds_value(limits->hold)},
                  {"max_error_rate", real_value(limits->max_error_rate)},
                  {"max_transaction_seconds", seconds_value(limits->max_transaction)});
}

static json_t *gate_json(const struct gate_status *gate)
{
    return OBJECT({"name", text_value(gate->name)},
                  {"verdict", text_value(gate_verdict_name(gate->verdict))},
                  {"value", text_value(gate->value)},
                  {"threshold", text_value(gate->threshold)},
                  {"reason", text_value(gate->reason)}, {"remedy", text_value(gate->remedy)},
                  {"why", text_value(gate->why)});
}

static json_t *gates_json(const struct status *status)
{
    json_t *gates = json_array();
    for (size_t i = 0; i < status->gate_count; i++)
        json_array_append_new(gates, gate_json(&status->gates[i]));
    return gates;
}

static json_t *copy_json(const struct table_status *table)
{
    return OBJECT(
        {"state", text_value(copy_state_name(table->copy))},
        {"rows", count_value(table->copied_rows)}, {"bytes", count_value(table->copied_bytes)},
        {"overwritten", count_value(table->copy_overwritten)},
        {"estimated_rows", known_count(table->estimated_rows)},
        {"estimated_bytes", known_count(table->estimated_bytes)},
        {"share", real_value(table->copy_share)},
        {"rows_per_second", real_value(table->copy_rows_per_second)},
        {"bytes_per_second", real_value(table->copy_bytes_per_second)},
        {"eta_seconds", seconds_value(table->copy_eta)}, {"chunks", count_value(table->chunks)},
        {"chunks_retried", count_value(table->chunks_retried)});
}

static json_t *stream_json(const struct table_status *table)
{
    return OBJECT(
        {"received", count_value(table->received)}, {"applied", count_value(table->applied)},
        {"filtered", count_value(table->filtered)},
        {"skipped_by_handoff", count_value(table->skipped_by_handoff)},
        {"quarantined", count_value(table->quarantined)},
        {"inserts", count_value(table->inserts)}, {"updates", count_value(table->updates)},
        {"deletes", count_value(table->deletes)}, {"truncates", count_value(table->truncates)});
}

static json_t *quarantine_json(const struct table_status *table)
{
    return OBJECT({"dead_letters", count_value(table->dead_letters)},
                  {"parked_keys", count_value(table->parked_keys)},
                  {"copied", count_value(table->copy_quarantined)},
                  {"breaker", text_value(breaker_state_name(table->breaker))});
}

static json_t *conflicts_json(const struct table_status *table)
{
    return OBJECT({"insert_exists", count_value(table->conflict_insert_exists)},
                  {"update_missing", count_value(table->conflict_update_missing)},
                  {"delete_missing", count_value(table->conflict_delete_missing)});
}

static json_t *table_json(const struct table_status *table)
{
    return OBJECT({"source", text_value(table->source)}, {"target", text_value(table->target)},
                  {"insert_only", json_boolean(table->insert_only)},
                  {"unseen_writes", known_count(table->unseen_writes)},
                  {"copy", copy_json(table)}, {"stream", stream_json(table)},
                  {"quarantine", quarantine_json(table)}, {"conflicts", conflicts_json(table)});
}

static json_t *tables_json(const struct status *status)
{
    json_t *tables = json_array();
    for (size_t i = 0; i < status->table_count; i++)
        json_array_append_new(tables, table_json(&status->tables[i]));
    return tables;
}

static usec_t uptime(const struct status *status)
{
    if (!status->started_at)
        return -1;
    /* The wall clock may have been set back since the start. */
    return status->now > status->started_at ? status->now - status->started_at : 0;
}

static json_t *ignored_json(const struct status *status)
{
    json_t *columns = json_array();
    for (size_t i = 0; i < status->ignored_count; i++)
        json_array_append_new(columns, text_value(status->ignored_columns[i]));
    return columns;
}

json_t *status_to_json(const struct status *status)
{
    return OBJECT(
        {"version", text_value(status->version)}, {"migration", text_value(status->migration)},
        {"instance", text_value(status->instance)},
        {"phase", text_value(phase_name(status->phase))}, {"note", text_value(status->note)},
        {"at", moment_value(status->now)}, {"started_at", moment_value(status->started_at)},
        {"uptime_seconds", seconds_value(uptime(status))},
        {"last_commit_at", moment_value(status->last_commit_at)},
        {"lsn", positions_json(status)}, {"lag", lag_json(status)},
        {"throughput", throughput_json(status)}, {"totals", totals_json(status)},
        {"apply", apply_json(status)}, {"error_rate", real_value(status->error_rate)},
        {"last_error", last_error_json(status)},
        {"queue_bytes", count_value(status->queue_bytes)},
        {"resident_bytes", count_value(status->resident_bytes)},
        {"backfill", backfill_json(status)}, {"spool", spool_json(&status->spool)},
        {"slot", slot_json(&status->slot)},
        {"transactions", transactions_json(&status->transactions_open)},
        {"ignored_columns", ignored_json(status)}, {"kept", kept_json(&status->kept)},
        {"readiness", readiness_json(status)}, {"gates", gates_json(status)},
        {"tables", tables_json(status)});
}

json_t *status_verdict_json(const struct status *status)
{
    return OBJECT({"verdict", json_string(status->go ? "GO" : "NO-GO")},
                  {"migration", text_value(status->migration)},
                  {"at", moment_value(status->now)}, {"gates", gates_json(status)});
}
