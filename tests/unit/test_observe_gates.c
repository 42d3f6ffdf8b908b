/* Gates: what passes, and every way in which each one blocks. */
#include "observe/gates.h"
#include "picture.h"
#include "unit.h"

#include <math.h>

/* One thing that is wrong, and what its gate must say then. */
struct spoiled {
    void (*spoil)(struct status *status);
    const char *gate;
    enum gate_verdict verdict;
    const char *reason; /* a part of it */
    const char *remedy;
};

static void copy_runs(struct status *s)
{
    s->backfill_complete = false;
    s->backfill_eta = 90 * USEC_PER_SEC;
    s->tables[1].copy = COPY_RUNNING;
}

static void copy_is_paused(struct status *s)
{
    copy_runs(s);
    s->paused = true;
}

static void a_table_is_left_out(struct status *s)
{
    s->backfill_complete = false;
    s->backfill_eta = -1;
    s->tables[1].copy = COPY_HELD;
}

static void stream_is_before_the_snapshot(struct status *s)
{
    s->backfill_complete = false;
    s->backfill_eta = -1;
}

static void no_table_is_known(struct status *s)
{
    stream_is_before_the_snapshot(s);
    for (size_t i = 0; i < s->table_count; i++) {
        free(s->tables[i].source);
        free(s->tables[i].target);
    }
    s->table_count = 0;
}

static void target_is_away(struct status *s)
{
    s->phase = PHASE_WAITING;
    free(s->note);
    s->note = mem_string("the target is away: connection refused");
}

static void run_catches_up(struct status *s)
{
    s->phase = PHASE_CATCHING_UP;
}

static void lag_is_unknown(struct status *s)
{
    s->lag.known = false;
}

static void lag_is_long(struct status *s)
{
    s->lag.time = USEC_PER_SEC + 1;
    s->lag.eta = 5 * USEC_PER_SEC;
}

static void lag_is_large(struct status *s)
{
    s->lag.bytes = (16 << 20) + 1;
    s->lag.eta = -1;
}

static void lag_is_long_while_waiting(struct status *s)
{
    target_is_away(s);
    s->lag.time = 9 * USEC_PER_SEC;
}

static void lag_is_long_while_copying(struct status *s)
{
    s->phase = PHASE_BACKFILL;
    s->lag.time = 9 * USEC_PER_SEC;
}

static void heartbeat_is_slow(struct status *s)
{
    s->lag.end_to_end = 2 * USEC_PER_SEC;
}

static void heartbeat_never_came(struct status *s)
{
    s->lag.heartbeat_came = false;
}

static void first_heartbeat_is_late(struct status *s)
{
    s->lag.heartbeat_came = false;
    s->lag.end_to_end = 2 * USEC_PER_SEC;
}

static void lag_is_over_now(struct status *s)
{
    s->lag.below_since = 0;
}

static void lag_was_over_just_now(struct status *s)
{
    s->lag.below_since = s->now_monotonic - 20 * USEC_PER_SEC;
}

static void a_row_is_quarantined(struct status *s)
{
    s->tables[1].dead_letters = 1;
    s->tables[1].parked_keys = 1;
}

static void a_row_stopped_the_run(struct status *s)
{
    s->phase = PHASE_STOPPING;
    strcpy(s->last_error, "table app.users: value too long");
}

static void batches_fail(struct status *s)
{
    s->error_rate = 0.02;
    strcpy(s->last_error, "deadlock detected");
}

static void error_rate_is_no_number(struct status *s)
{
    s->error_rate = NAN;
}

static void slot_is_unreserved(struct status *s)
{
    strcpy(s->slot.wal_status, "unreserved");
}

static void slot_is_lost(struct status *s)
{
    strcpy(s->slot.wal_status, "lost");
}

static void slot_is_lost_for_a_reason(struct status *s)
{
    strcpy(s->slot.wal_status, "lost");
    strcpy(s->slot.loss, "nobody read from it");
}

static void slot_is_of_a_new_kind(struct status *s)
{
    strcpy(s->slot.wal_status, "borrowed");
}

static void slot_cannot_be_seen(struct status *s)
{
    s->slot.known = false;
    strcpy(s->slot.error, "permission denied");
}

static void slot_will_be_lost(struct status *s)
{
    s->slot.seconds_to_loss = 3599;
}

static void slot_will_be_given_up(struct status *s)
{
    s->slot.active = false;
    s->slot.idle = true;
    s->slot.seconds_to_loss = 120;
}

static void slot_is_idle(struct status *s)
{
    s->slot.active = false;
}

static void an_update_was_not_seen(struct status *s)
{
    s->tables[0].insert_only = true;
    s->tables[0].unseen_writes = 3;
}

static void updates_cannot_be_counted(struct status *s)
{
    s->tables[1].insert_only = true;
    s->tables[1].unseen_writes = -1;
}

static void one_missed_and_one_unknown(struct status *s)
{
    an_update_was_not_seen(s);
    updates_cannot_be_counted(s);
}

static void transactions_cannot_be_seen(struct status *s)
{
    s->transactions_open.known = false;
    strcpy(s->transactions_open.error, "permission denied");
}

static void transactions_stay_open(struct status *s)
{
    s->transactions_open.open_longer_than_threshold = 2;
    s->transactions_open.oldest_open = 3900 * USEC_PER_SEC;
}

static void a_schema_has_changed(struct status *status)
{
    strcpy(status->schema.change, "source table public.users has changed");
}

static void a_schema_cannot_be_seen(struct status *status)
{
    status->schema.known = false;
    strcpy(status->schema.error, "the target is away");
}

static void a_column_is_left_out(struct status *status)
{
    status->ignored_columns = mem_zero(1, sizeof *status->ignored_columns);
    status->ignored_columns[0] = mem_string("public.users.phone");
    status->ignored_count = 1;
}

static void a_transaction_is_prepared(struct status *s)
{
    s->transactions_open.prepared = 1;
    s->transactions_open.oldest_prepared = 60 * USEC_PER_SEC;
}

static const struct spoiled spoils[] = {
    {copy_runs, "backfill", GATE_NO_GO, "1 table still to copy", "about 1 m 30 s"},
    {copy_is_paused, "backfill", GATE_NO_GO, "1 table still to copy", "slackwater resume"},
    {a_table_is_left_out, "backfill", GATE_NO_GO, "this run leaves out 1",
     "without --backfill-only"},
    {stream_is_before_the_snapshot, "backfill", GATE_NO_GO, "not yet passed", "wait"},
    {no_table_is_known, "backfill", GATE_NO_GO, "not begun", "wait"},
    {target_is_away, "streaming", GATE_NO_GO, "connection refused", "resumes by itself"},
    {run_catches_up, "streaming", GATE_NO_GO, "catching up", "wait"},
    {lag_is_unknown, "lag_time", GATE_UNKNOWN, "not been measured", "wait"},
    {lag_is_unknown, "lag_bytes", GATE_UNKNOWN, "not been measured", "wait"},
    {lag_is_unknown, "lag_hold", GATE_UNKNOWN, "not been measured", "wait"},
    {lag_is_long, "lag_time", GATE_NO_GO, "oldest change", "caught up in about 5 s"},
    {lag_is_large, "lag_bytes", GATE_NO_GO, "16 MB", "does not keep up"},
    {lag_is_long_while_waiting, "lag_time", GATE_NO_GO, "oldest change", "gate streaming"},
    {lag_is_long_while_copying, "lag_time", GATE_NO_GO, "oldest change", "copy is complete"},
    {heartbeat_is_slow, "lag_end_to_end", GATE_NO_GO, "takes 2 s", "caught up"},
    {first_heartbeat_is_late, "lag_end_to_end", GATE_NO_GO, "takes 2 s", "caught up"},
    {heartbeat_never_came, "lag_end_to_end", GATE_UNKNOWN, "no heartbeat", "wait"},
    {lag_is_over_now, "lag_hold", GATE_NO_GO, "over a threshold", "starts anew"},
    {lag_was_over_just_now, "lag_hold", GATE_NO_GO, "20 s", "40 s to go"},
    {a_row_is_quarantined, "bad_rows", GATE_NO_GO, "1 change could", "dlq list"},
    {a_row_stopped_the_run, "bad_rows", GATE_NO_GO, "value too long", "run"},
    {batches_fail, "error_rate", GATE_NO_GO, "deadlock detected", "five minutes"},
    {error_rate_is_no_number, "error_rate", GATE_NO_GO, "failed", "log"},
    {slot_is_unreserved, "slot", GATE_NO_GO, "checkpoint", "max_slot_wal_keep_size"},
    {slot_is_lost, "slot", GATE_NO_GO, "removed", "cleanup"},
    {slot_is_lost_for_a_reason, "slot", GATE_NO_GO, "invalidated: nobody read", "cleanup"},
    {slot_will_be_given_up, "slot", GATE_NO_GO, "gives it up in 2 m",
     "idle_replication_slot_timeout"},
    {slot_is_of_a_new_kind, "slot", GATE_UNKNOWN, "borrowed", "pg_replication_slots"},
    {slot_cannot_be_seen, "slot", GATE_UNKNOWN, "permission denied", "pg_replication_slots"},
    {slot_will_be_lost, "slot", GATE_NO_GO, "lost in 59 m", "max_slot_wal_keep_size"},
    {slot_is_idle, "slot", GATE_NO_GO, "nobody reads", "wait"},
    {an_update_was_not_seen, "replica_identity", GATE_NO_GO, "public.users",
     "REPLICA IDENTITY FULL"},
    {updates_cannot_be_counted, "replica_identity", GATE_UNKNOWN, "public.orders",
     "track_counts"},
    {one_missed_and_one_unknown, "replica_identity", GATE_NO_GO, "public.users",
     "copy the table"},
    {transactions_cannot_be_seen, "open_transactions", GATE_UNKNOWN, "permission",
     "pg_monitor"},
    {transactions_cannot_be_seen, "prepared_transactions", GATE_UNKNOWN, "permission",
     "pg_monitor"},
    {transactions_stay_open, "open_transactions", GATE_NO_GO, "2 transactions", "terminate"},
    {a_schema_has_changed, "schema", GATE_NO_GO, "source table public.users has changed",
     "run again"},
    {a_schema_cannot_be_seen, "schema", GATE_UNKNOWN, "away", "both sides"},
    {a_column_is_left_out, "schema", GATE_NO_GO, "public.users.phone", "on_new_column"},
    {a_transaction_is_prepared, "prepared_transactions", GATE_NO_GO, "1 prepared", "PREPARED"},
};

START_TEST(when_all_is_well_every_gate_is_go_and_says_its_value)
{
    struct status status = picture_of_health();
    gates_evaluate(&status);
    ck_assert(status.go);
    ck_assert_uint_ge(status.gate_count, 12);
    for (size_t i = 0; i < status.gate_count; i++) {
        const struct gate_status *gate = &status.gates[i];
        ck_assert_msg(gate->verdict == GATE_GO, "%s: %s", gate->name, gate->reason);
        ck_assert_msg(gate->value[0] && gate->threshold[0] && gate->why[0], "%s", gate->name);
        ck_assert_msg(!gate->reason[0] && !gate->remedy[0], "%s", gate->name);
    }
    status_free(&status);
}
END_TEST

START_TEST(each_thing_that_is_wrong_blocks_with_a_reason_and_a_remedy)
{
    for (size_t i = 0; i < UNIT_COUNT(spoils); i++) {
        const struct spoiled *row = &spoils[i];
        struct status status = picture_of_health();
        row->spoil(&status);
        gates_evaluate(&status);
        const struct gate_status *gate = picture_gate(&status, row->gate);
        ck_assert_msg(!status.go, "row %zu: GO", i);
        ck_assert_msg(gate->verdict == row->verdict, "row %zu, %s: %s", i, row->gate,
                      gate_verdict_name(gate->verdict));
        ck_assert_msg(strstr(gate->reason, row->reason) != NULL, "row %zu: %s", i,
                      gate->reason);
        ck_assert_msg(strstr(gate->remedy, row->remedy) != NULL, "row %zu: %s", i,
                      gate->remedy);
        ck_assert_msg(gate->value[0] && gate->threshold[0], "row %zu", i);
        status_free(&status);
    }
}
END_TEST

START_TEST(a_picture_of_nothing_passes_no_gate_that_needs_evidence)
{
    static const char *const needs[] = {
        "backfill",       "streaming", "lag_time",          "lag_bytes",
        "lag_end_to_end", "lag_hold",  "open_transactions", "prepared_transactions",
        "slot",           "schema",
    };
    struct status status = {0};
    gates_evaluate(&status);
    ck_assert(!status.go);
    for (size_t i = 0; i < UNIT_COUNT(needs); i++)
        ck_assert_msg(picture_gate(&status, needs[i])->verdict != GATE_GO, "%s", needs[i]);
}
END_TEST

START_TEST(values_at_their_threshold_pass)
{
    struct status status = picture_of_health();
    status.lag.time = status.lag.end_to_end = status.limits.max_lag;
    status.lag.bytes = status.limits.max_lag_bytes;
    status.lag.below_since = status.now_monotonic - status.limits.hold;
    status.error_rate = status.limits.max_error_rate;
    status.slot.seconds_to_loss = 3600;
    gates_evaluate(&status);
    ck_assert(status.go);
    status_free(&status);
}
END_TEST

START_TEST(an_extended_slot_passes_and_shows_what_it_is)
{
    struct status status = picture_of_health();
    strcpy(status.slot.wal_status, "extended");
    gates_evaluate(&status);
    ck_assert(status.go);
    ck_assert_ptr_nonnull(strstr(picture_gate(&status, "slot")->value, "extended"));
    status_free(&status);
}
END_TEST

START_TEST(an_insert_only_table_that_nobody_updates_passes)
{
    struct status status = picture_of_health();
    status.tables[0].insert_only = true;
    gates_evaluate(&status);
    ck_assert(status.go);
    ck_assert_str_eq(picture_gate(&status, "replica_identity")->value,
                     "1 of 2 tables insert-only");
    status_free(&status);
}
END_TEST

START_TEST(many_tables_without_identity_are_named_and_counted)
{
    struct status status = picture_of_health();
    status.tables = mem_grow(status.tables, 500, sizeof *status.tables);
    status.table_count = 500;
    for (size_t i = 2; i < 500; i++) {
        char *name = mem_format("public.table_%zu", i);
        status.tables[i] = picture_table(name, name);
        status.tables[i].insert_only = true;
        status.tables[i].unseen_writes = 1;
        free(name);
    }
    gates_evaluate(&status);
    const char *reason = picture_gate(&status, "replica_identity")->reason;
    ck_assert_ptr_nonnull(strstr(reason, "public.table_2, public.table_3"));
    size_t named = 1, more;
    for (const char *at = reason; (at = strstr(at, ", public.")); at++)
        named++;
    ck_assert_int_eq(sscanf(strstr(reason, " and "), " and %zu more", &more), 1);
    ck_assert_uint_eq(named + more, 498);
    status_free(&status);
}
END_TEST

START_TEST(a_very_long_name_does_not_push_out_the_count)
{
    struct status status = picture_of_health();
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i < 2; i++) {
        free(status.tables[i].source);
        status.tables[i].source = mem_string(name);
        status.tables[i].insert_only = true;
        status.tables[i].unseen_writes = 1;
    }
    gates_evaluate(&status);
    const char *reason = picture_gate(&status, "replica_identity")->reason;
    ck_assert_ptr_nonnull(strstr(reason, "nnn"));
    ck_assert_ptr_nonnull(strstr(reason, "and 1 more"));
    status_free(&status);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        when_all_is_well_every_gate_is_go_and_says_its_value,
        each_thing_that_is_wrong_blocks_with_a_reason_and_a_remedy,
        a_picture_of_nothing_passes_no_gate_that_needs_evidence,
        values_at_their_threshold_pass,
        an_extended_slot_passes_and_shows_what_it_is,
        an_insert_only_table_that_nobody_updates_passes,
        many_tables_without_identity_are_named_and_counted,
        a_very_long_name_does_not_push_out_the_count,
    };
    return unit_run("gates", tests, UNIT_COUNT(tests));
}
