/* Readiness gates: a table of probes over one picture.
 *
 * The invariant: a probe says GO only on evidence. What was not measured is UNKNOWN, and
 * UNKNOWN blocks. Every verdict other than GO carries its reason and what to do about it.
 * Measuring is left to whoever fills the picture; judging over time to lag.below_since. */
#include "observe/gates.h"

#include "base/units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TEXT_SIZE 32
#define LOSS_HORIZON_SECONDS 3600 /* a slot foreseen to be lost sooner blocks the cutover */

typedef enum gate_verdict (*gate_probe)(const struct status *status, struct gate_status *gate);

/* Writes one of a gate's texts, cut at its size. */
__attribute__((format(printf, 2, 3))) static void say(char text[GATE_TEXT], const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, GATE_TEXT, format, arguments);
    va_end(arguments);
}

static char *duration(usec_t time, char text[TEXT_SIZE])
{
    return units_format_duration(time, text, TEXT_SIZE);
}

static char *bytes(int64_t size, char text[TEXT_SIZE])
{
    return units_format_size(size > 0 ? (uint64_t)size : 0, text, TEXT_SIZE);
}

/* "1 table", "2 tables". */
static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

static size_t tables_in(const struct status *status, enum copy_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < status->table_count; i++)
        count += status->tables[i].copy == state;
    return count;
}

static enum gate_verdict probe_backfill(const struct status *status, struct gate_status *gate)
{
    char text[TEXT_SIZE];
    say(gate->threshold, "complete");
    if (status->backfill_complete) {
        say(gate->value, "complete");
        return GATE_GO;
    }
    size_t held = tables_in(status, COPY_HELD);
    size_t indexing = tables_in(status, COPY_INDEXING);
    size_t left =
        held + indexing + tables_in(status, COPY_WAITING) + tables_in(status, COPY_RUNNING);
    say(gate->value, "%zu of %zu tables copied", status->table_count - left,
        status->table_count);
    if (held)
        say(gate->reason,
            "%zu table%s still to copy, of which this run leaves out %zu "
            "(--backfill-only)",
            left, plural((int64_t)left), held);
    else if (indexing)
        say(gate->reason, "%zu table%s still to copy, of which %zu only builds its indexes",
            left, plural((int64_t)left), indexing);
    else if (left)
        say(gate->reason, "%zu table%s still to copy", left, plural((int64_t)left));
    else if (status->table_count)
        say(gate->reason, "every row is copied, but the stream has not yet passed the last "
                          "snapshot that rows were read under");
    else
        say(gate->reason, "the copy has not begun");
    if (held && held == left)
        say(gate->remedy, "run again without --backfill-only");
    else if (left && status->paused)
        say(gate->remedy, "the backfill is paused: `slackwater resume` lets it go on");
    else if (status->backfill_eta > 0)
        say(gate->remedy, "wait: about %s to go", duration(status->backfill_eta, text));
    else
        say(gate->remedy, "wait until the copy is complete");
    return GATE_NO_GO;
}

static enum gate_verdict lag_not_known(struct gate_status *gate)
{
    say(gate->value, "not known");
    say(gate->reason, "lag has not been measured yet");
    say(gate->remedy, "wait for the stream to start; if it does not, see the note and the log");
    return GATE_UNKNOWN;
}

/* What to do about lag, by whatever measure. */
static enum gate_verdict lag_over(const struct status *status, struct gate_status *gate)
{
    char text[TEXT_SIZE];
    if (status->phase == PHASE_WAITING)
        say(gate->remedy, "bring back what the run waits for (gate streaming)");
    else if (status->phase == PHASE_BACKFILL)
        say(gate->remedy, "wait until the copy is complete and the stream has caught up");
    else if (status->lag.eta >= 0)
        say(gate->remedy, "wait: caught up in about %s", duration(status->lag.eta, text));
    else
        say(gate->remedy, "the target does not keep up: look for locks, slow writes or missing "
                          "indexes at the target, or write less at the source");
    return GATE_NO_GO;
}

static enum gate_verdict probe_lag_time(const struct status *status, struct gate_status *gate)
{
    char lag[TEXT_SIZE], limit[TEXT_SIZE];
    say(gate->threshold, "at most %s", duration(status->limits.max_lag, limit));
    if (!status->lag.known || status->lag.time < 0)
        return lag_not_known(gate);
    say(gate->value, "%s", duration(status->lag.time, lag));
    if (status->lag.time <= status->limits.max_lag)
        return GATE_GO;
    say(gate->reason, "the oldest change not yet applied is %s old", lag);
    return lag_over(status, gate);
}

static enum gate_verdict probe_lag_bytes(const struct status *status, struct gate_status *gate)
{
    char lag[TEXT_SIZE], limit[TEXT_SIZE];
    say(gate->threshold, "at most %s", bytes(status->limits.max_lag_bytes, limit));
    if (!status->lag.known || status->lag.bytes < 0)
        return lag_not_known(gate);
    say(gate->value, "%s", bytes(status->lag.bytes, lag));
    if (status->lag.bytes <= status->limits.max_lag_bytes)
        return GATE_GO;
    say(gate->reason, "%s of the source's WAL are not yet applied", lag);
    return lag_over(status, gate);
}

static enum gate_verdict probe_lag_end_to_end(const struct status *status,
                                              struct gate_status *gate)
{
    char lag[TEXT_SIZE], limit[TEXT_SIZE];
    say(gate->threshold, "at most %s", duration(status->limits.max_lag, limit));
    bool over = status->lag.end_to_end_known && status->lag.end_to_end > status->limits.max_lag;
    if (!status->lag.heartbeat_came &&
        !over) { /* the age of the first, still young, is no proof */
        say(gate->value, "not known");
        say(gate->reason, "no heartbeat has come through from source to target yet");
        say(gate->remedy, "wait for the first; if none comes, the log says why the heartbeat "
                          "(pg_logical_emit_message at the source) fails");
        return GATE_UNKNOWN;
    }
    say(gate->value, "%s", duration(status->lag.end_to_end, lag));
    if (!over)
        return GATE_GO;
    say(gate->reason, "a heartbeat takes %s from source to target", lag);
    return lag_over(status, gate);
}

static enum gate_verdict probe_lag_hold(const struct status *status, struct gate_status *gate)
{
    char held[TEXT_SIZE], hold[TEXT_SIZE], left[TEXT_SIZE];
    say(gate->threshold, "at least %s", duration(status->limits.hold, hold));
    if (!status->lag.known)
        return lag_not_known(gate);
    if (!status->lag.below_since) {
        say(gate->value, "over now");
        say(gate->reason, "lag is over a threshold now, or its end-to-end way is not known");
        say(gate->remedy, "bring lag under its thresholds (gates lag_time, lag_bytes and "
                          "lag_end_to_end); the time then starts anew");
        return GATE_NO_GO;
    }
    usec_t below = status->now_monotonic - status->lag.below_since;
    say(gate->value, "%s", duration(below > 0 ? below : 0, held));
    if (below >= status->limits.hold)
        return GATE_GO;
    say(gate->reason, "lag has been under its thresholds for %s, not yet for %s", held, hold);
    say(gate->remedy, "wait: %s to go", duration(status->limits.hold - below, left));
    return GATE_NO_GO;
}

static enum gate_verdict probe_bad_rows(const struct status *status, struct gate_status *gate)
{
    uint64_t bad = 0;
    uint64_t keys = 0;
    for (size_t i = 0; i < status->table_count; i++) {
        bad += status->tables[i].dead_letters;
        keys += status->tables[i].parked_keys;
    }
    say(gate->threshold, "none");
    say(gate->value, "%" PRIu64, bad);
    if (bad) {
        say(gate->reason,
            "%" PRIu64 " change%s could not be applied, or wait%s behind one (%" PRIu64
            " key%s)",
            bad, bad == 1 ? "" : "s", bad == 1 ? "s" : "", keys, keys == 1 ? "" : "s");
        say(gate->remedy, "mend the cause, then retry or skip them: slackwater dlq list");
        return GATE_NO_GO;
    }
    /* A bad row that stops the run leaves no quarantine behind, only its error. */
    if (status->phase == PHASE_STOPPING && status->last_error[0]) {
        say(gate->reason, "the run stops at an error: %.200s", status->last_error);
        say(gate->remedy, "mend the cause and start `slackwater run` again; it resumes there");
        return GATE_NO_GO;
    }
    return GATE_GO;
}

static enum gate_verdict probe_error_rate(const struct status *status, struct gate_status *gate)
{
    double limit = status->limits.max_error_rate;
    say(gate->value, "%.3g %%", 100 * status->error_rate);
    say(gate->threshold, "at most %.3g %%", 100 * limit);
    /* Not a comparison with `>`: a rate that is no number must not pass. */
    if (status->error_rate <= limit)
        return GATE_GO;
    say(gate->reason, "%.3g %% of the batches of the last five minutes failed; last: %.120s",
        100 * status->error_rate, status->last_error[0] ? status->last_error : "not known");
    say(gate->remedy, "mend the cause (see the log), then wait until the failures are older "
                      "than five minutes");
    return GATE_NO_GO;
}

static enum gate_verdict slot_not_known(const struct slot_status *slot,
                                        struct gate_status *gate)
{
    say(gate->value, "not known");
    say(gate->reason, "the slot could not be looked at: %.180s",
        slot->error[0] ? slot->error : "not asked yet");
    say(gate->remedy, "restore the connection to the source and the right to read "
                      "pg_replication_slots");
    return GATE_UNKNOWN;
}

/* What each wal_status means for a cutover (PostgreSQL, view pg_replication_slots). */
static const struct wal_status {
    const char *name;
    enum gate_verdict verdict;
    const char *reason;
    const char *remedy;
} wal_statuses[] = {
    {"reserved", GATE_GO, "", ""},
    {"extended", GATE_GO, "", ""},
    {"unreserved", GATE_NO_GO,
     "the source may remove WAL that the slot needs at any checkpoint",
     "raise max_slot_wal_keep_size at the source now, and let the stream catch up"},
    {"lost", GATE_NO_GO, "the source has removed WAL that the slot needs",
     "the slot cannot be used any more: slackwater cleanup, then start with a new backfill"},
};

static enum gate_verdict judge_wal_status(const char *name, struct gate_status *gate)
{
    for (size_t i = 0; i < COUNT(wal_statuses); i++) {
        if (strcmp(wal_statuses[i].name, name) != 0)
            continue;
        say(gate->reason, "%s", wal_statuses[i].reason);
        say(gate->remedy, "%s", wal_statuses[i].remedy);
        return wal_statuses[i].verdict;
    }
    say(gate->reason, "the source says wal_status \"%s\", which is not known here", name);
    say(gate->remedy, "look at pg_replication_slots at the source");
    return GATE_UNKNOWN;
}

static enum gate_verdict slot_will_be_lost(const struct slot_status *slot,
                                           struct gate_status *gate)
{
    char loss[TEXT_SIZE];
    duration(slot->seconds_to_loss * USEC_PER_SEC, loss);
    if (slot->idle) {
        say(gate->reason, "nobody reads from the slot: the source gives it up in %s", loss);
        say(gate->remedy,
            "bring the stream back, or raise idle_replication_slot_timeout at the "
            "source");
    } else {
        say(gate->reason, "at the present rate the slot is lost in %s", loss);
        say(gate->remedy, "raise max_slot_wal_keep_size at the source, or let the stream catch "
                          "up");
    }
    return GATE_NO_GO;
}

static enum gate_verdict probe_slot(const struct status *status, struct gate_status *gate)
{
    const struct slot_status *slot = &status->slot;
    char retained[TEXT_SIZE];
    say(gate->threshold, "reserved or extended");
    if (!slot->known)
        return slot_not_known(slot, gate);
    say(gate->value, "%s, %s retained", slot->wal_status,
        bytes(slot->retained_bytes, retained));
    enum gate_verdict verdict = judge_wal_status(slot->wal_status, gate);
    if (slot->loss[0])
        say(gate->reason, "the slot was invalidated: %s", slot->loss);
    if (verdict != GATE_GO)
        return verdict;
    if (slot->seconds_to_loss >= 0 && slot->seconds_to_loss < LOSS_HORIZON_SECONDS)
        return slot_will_be_lost(slot, gate);
    if (!slot->active) {
        say(gate->reason, "nobody reads from the slot");
        say(gate->remedy, "wait for the stream to connect; if it does not, see the log");
        return GATE_NO_GO;
    }
    return GATE_GO;
}

/* Appends ", name" while there is room for one more, counting what is left out. */
struct name_list {
    char text[160];
    size_t shown, all;
};

static void name_list_add(struct name_list *list, const char *name)
{
    size_t used = strlen(list->text);
    size_t need = strlen(name) + 2;
    /* In order, so that "and N more" is about the rest; the first name is shown in any case. */
    if (list->shown == list->all && (!list->shown || used + need < sizeof list->text)) {
        snprintf(list->text + used, sizeof list->text - used, "%s%s", used ? ", " : "", name);
        list->shown++;
    }
    list->all++;
}

static void name_list_say(const struct name_list *list, const char *what, char text[GATE_TEXT])
{
    if (list->all > list->shown)
        say(text, "%s: %s and %zu more", what, list->text, list->all - list->shown);
    else
        say(text, "%s: %s", what, list->text);
}

static enum gate_verdict probe_replica_identity(const struct status *status,
                                                struct gate_status *gate)
{
    struct name_list missed = {0}, unknown = {0};
    size_t insert_only = 0;
    for (size_t i = 0; i < status->table_count; i++) {
        const struct table_status *table = &status->tables[i];
        if (!table->insert_only)
            continue;
        insert_only++;
        if (table->unseen_writes)
            name_list_add(table->unseen_writes > 0 ? &missed : &unknown, table->source);
    }
    say(gate->threshold, "no unseen writes");
    if (insert_only)
        say(gate->value, "%zu of %zu tables insert-only", insert_only, status->table_count);
    else
        say(gate->value, "every table has one");
    if (missed.all) {
        name_list_say(&missed, "updated or deleted in, but without a replica identity",
                      gate->reason);
        say(gate->remedy, "ALTER TABLE ... REPLICA IDENTITY FULL (or add a primary key), then "
                          "copy the table again");
        return GATE_NO_GO;
    }
    if (unknown.all) {
        name_list_say(&unknown, "no replica identity, and updates could not be counted",
                      gate->reason);
        say(gate->remedy, "ALTER TABLE ... REPLICA IDENTITY FULL, or let the user read "
                          "pg_stat_user_tables at the source (track_counts on)");
        return GATE_UNKNOWN;
    }
    return GATE_GO;
}

static enum gate_verdict transactions_not_known(const struct transactions_status *open,
                                                struct gate_status *gate)
{
    say(gate->value, "not known");
    say(gate->reason, "the source's transactions could not be looked at: %.160s",
        open->error[0] ? open->error : "not asked yet");
    say(gate->remedy, "restore the connection to the source; the user needs pg_monitor (or "
                      "pg_read_all_stats)");
    return GATE_UNKNOWN;
}

static enum gate_verdict probe_open_transactions(const struct status *status,
                                                 struct gate_status *gate)
{
    const struct transactions_status *open = &status->transactions_open;
    char oldest[TEXT_SIZE], limit[TEXT_SIZE];
    say(gate->threshold, "none older than %s", duration(status->limits.max_transaction, limit));
    if (!open->known || open->open_longer_than_threshold < 0)
        return transactions_not_known(open, gate);
    int64_t count = open->open_longer_than_threshold;
    if (!count) {
        say(gate->value, "none");
        return GATE_GO;
    }
    duration(open->oldest_open, oldest);
    say(gate->value, "%" PRId64 ", oldest %s", count, oldest);
    say(gate->reason, "%" PRId64 " transaction%s at the source open for up to %s", count,
        plural(count), oldest);
    say(gate->remedy, "let them end, or end them: SELECT pid, xact_start, query FROM "
                      "pg_stat_activity ORDER BY xact_start; SELECT pg_terminate_backend(pid)");
    return GATE_NO_GO;
}

static enum gate_verdict probe_source(const struct status *status, struct gate_status *gate)
{
    const struct source_status *source = &status->source;
    say(gate->threshold, "unchanged");
    if (!source->known) {
        say(gate->value, "not known");
        say(gate->reason, "the source could not be looked at: %.180s", source->error);
        say(gate->remedy, "see that the source answers and that the role may ask");
        return GATE_UNKNOWN;
    }
    if (!source->change[0]) {
        say(gate->value, "unchanged");
        return GATE_GO;
    }
    say(gate->value, "changed");
    say(gate->reason, "%.250s", source->change);
    say(gate->remedy,
        "changes may be missing: `slackwater run --redo` of that table copies it anew; "
        "else clean up, empty the target tables, begin again");
    return GATE_NO_GO;
}

static enum gate_verdict schema_ignored(const struct status *status, struct gate_status *gate)
{
    struct name_list names = {0};
    for (size_t i = 0; i < status->ignored_count; i++)
        name_list_add(&names, status->ignored_columns[i]);
    say(gate->value, "%zu column%s left out", names.all, plural((int64_t)names.all));
    name_list_say(&names, "came at the source since the migration began, and is not carried",
                  gate->reason);
    say(gate->remedy,
        "give it a rule, drop it in the file, or carry it (apply.on_new_column), then "
        "run again");
    return GATE_NO_GO;
}

static enum gate_verdict probe_schema(const struct status *status, struct gate_status *gate)
{
    const struct schema_status *schema = &status->schema;
    say(gate->threshold, "as the rules were bound to it");
    if (!schema->known) {
        say(gate->value, "not known");
        say(gate->reason, "the schemas could not be looked at: %.180s", schema->error);
        say(gate->remedy, "see that both sides answer");
        return GATE_UNKNOWN;
    }
    if (schema->change[0]) {
        say(gate->value, "changed");
        say(gate->reason, "%.240s", schema->change);
        say(gate->remedy,
            "see that the other side has it too, and run again: the rules are bound "
            "anew (docs/operations.md)");
        return GATE_NO_GO;
    }
    if (status->ignored_count)
        return schema_ignored(status, gate);
    say(gate->value, "unchanged");
    return GATE_GO;
}

static enum gate_verdict probe_prepared_transactions(const struct status *status,
                                                     struct gate_status *gate)
{
    const struct transactions_status *open = &status->transactions_open;
    char oldest[TEXT_SIZE];
    say(gate->threshold, "none");
    if (!open->known || open->prepared < 0)
        return transactions_not_known(open, gate);
    if (!open->prepared) {
        say(gate->value, "none");
        return GATE_GO;
    }
    duration(open->oldest_prepared, oldest);
    say(gate->value, "%" PRId64 ", oldest %s", open->prepared, oldest);
    say(gate->reason, "%" PRId64 " prepared transaction%s wait%s at the source, up to %s",
        open->prepared, plural(open->prepared), open->prepared == 1 ? "s" : "", oldest);
    say(gate->remedy, "COMMIT PREPARED or ROLLBACK PREPARED each of SELECT gid FROM "
                      "pg_prepared_xacts");
    return GATE_NO_GO;
}

static const struct {
    const char *reason;
    const char *remedy;
} phase_texts[] = {
    [PHASE_STARTING] = {"the run is starting", "wait"},
    [PHASE_BACKFILL] = {"the backfill is under way", "wait until the copy is complete"},
    [PHASE_CATCHING_UP] = {"the stream is catching up",
                           "wait until lag is under its threshold"},
    [PHASE_STREAMING] = {"", ""},
    [PHASE_WAITING] = {"the source or the target is away", "bring it back; the run resumes by "
                                                           "itself"},
    [PHASE_STOPPING] = {"the run is stopping", "start `slackwater run` again"},
};

static enum gate_verdict probe_streaming(const struct status *status, struct gate_status *gate)
{
    say(gate->threshold, "%s", phase_name(PHASE_STREAMING));
    say(gate->value, "%s", phase_name(status->phase));
    if (status->phase == PHASE_STREAMING)
        return GATE_GO;
    if ((size_t)status->phase >= COUNT(phase_texts))
        return GATE_UNKNOWN;
    bool noted = status->note && *status->note;
    say(gate->reason, "%s", noted ? status->note : phase_texts[status->phase].reason);
    say(gate->remedy, "%s", phase_texts[status->phase].remedy);
    return GATE_NO_GO;
}

static const struct {
    const char *name;
    const char *why;
    gate_probe probe;
} gates[] = {
    {"backfill", "Rows that were never copied would be missing after the flip.",
     probe_backfill},
    {"streaming", "Only a connected stream carries what is written until the flip.",
     probe_streaming},
    {"lag_time", "A change that is not applied yet is not visible after the flip.",
     probe_lag_time},
    {"lag_bytes", "Much WAL to go means that draining at the cutover takes long.",
     probe_lag_bytes},
    {"lag_end_to_end", "A heartbeat written at the source proves the whole way to the target.",
     probe_lag_end_to_end},
    {"lag_hold", "Lag that was low for a moment proves nothing; it must stay low.",
     probe_lag_hold},
    {"bad_rows", "A change that could not be applied makes the two sides differ.",
     probe_bad_rows},
    {"error_rate", "A target that fails now and then will also fail during the cutover.",
     probe_error_rate},
    {"slot", "If the slot loses WAL, changes are gone for good.", probe_slot},
    {"replica_identity",
     "Without a replica identity the source does not publish updates and deletes.",
     probe_replica_identity},
    {"open_transactions",
     "A transaction that is still open may commit writes after the fence was thought to hold.",
     probe_open_transactions},
    {"source",
     "What is done to slot, publication or partitions beside the stream is not in it.",
     probe_source},
    {"schema", "After the flip the new side must take what the old one took.", probe_schema},
    {"prepared_transactions",
     "A prepared transaction can commit at any time, from any session, also after the flip.",
     probe_prepared_transactions},
};

_Static_assert(COUNT(gates) <= GATE_MAX, "a picture must have room for every gate");

void gates_evaluate(struct status *status)
{
    status->go = true;
    status->gate_count = COUNT(gates);
    for (size_t i = 0; i < COUNT(gates); i++) {
        struct gate_status *gate = &status->gates[i];
        memset(gate, 0, sizeof *gate);
        gate->name = gates[i].name;
        gate->why = gates[i].why;
        gate->verdict = gates[i].probe(status, gate);
        status->go = status->go && gate->verdict == GATE_GO;
    }
}
