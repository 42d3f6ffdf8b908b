/* The terminal's picture (view.h), line by line. Every member of the document may be missing or
 * null, and then shows as a dash. */
#include "observe/view.h"

#include "observe/member.h"
#include "observe/quantity.h"
#include "observe/view_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void show_head(struct pen *pen, const json_t *status)
{
    char text[QUANTITY_TEXT];
    pen_to(pen, 1);
    pen_put(pen, PEN_BOLD, member_text(status, "migration"));
    pen_gap(pen);
    pen_format(pen, PEN_DIM, "slackwater %s", member_text(status, "version"));
    pen_gap(pen);
    pen_format(pen, PEN_DIM, "up %s",
               quantity_seconds(member_number(status, "uptime_seconds"), text));
    pen_end(pen);
}

static void show_phase(struct pen *pen, const json_t *status)
{
    const char *note = member_text(status, "note"), *phase = member_text(status, "phase");
    char words[QUANTITY_TEXT];
    snprintf(words, sizeof words, "%s", *phase ? phase : QUANTITY_UNKNOWN);
    for (char *underscore; (underscore = strchr(words, '_'));)
        *underscore = ' ';
    pen_label(pen, "phase");
    pen_put(pen, strcmp(phase, "waiting") == 0 ? PEN_WARN : PEN_BOLD, words);
    if (*note)
        pen_format(pen, PEN_PLAIN, ": %s", note);
    pen_end(pen);
}

static void show_lag(struct pen *pen, const json_t *status)
{
    char text[QUANTITY_TEXT];
    double eta = member_number(status, "lag.eta_seconds");
    pen_label(pen, "lag");
    pen_put(pen, PEN_PLAIN, quantity_seconds(member_number(status, "lag.seconds"), text));
    pen_gap(pen);
    pen_put(pen, PEN_PLAIN, quantity_bytes(member_number(status, "lag.bytes"), text));
    pen_gap(pen);
    pen_format(pen, PEN_PLAIN, "end to end %s",
               quantity_seconds(member_number(status, "lag.end_to_end_seconds"), text));
    if (eta > 0) {
        pen_gap(pen);
        pen_format(pen, PEN_PLAIN, "caught up in %s", quantity_seconds(eta, text));
    }
    pen_end(pen);
}

static void show_rate(struct pen *pen, const json_t *status)
{
    char text[QUANTITY_TEXT];
    pen_label(pen, "rate");
    pen_format(pen, PEN_PLAIN, "%s rows/s",
               quantity_count(member_number(status, "throughput.rows_per_second"), text));
    pen_gap(pen);
    pen_format(
        pen, PEN_PLAIN, "%s tx/s",
        quantity_count(member_number(status, "throughput.transactions_per_second"), text));
    pen_gap(pen);
    pen_format(pen, PEN_PLAIN, "%s/s",
               quantity_bytes(member_number(status, "throughput.bytes_per_second"), text));
    pen_end(pen);
}

static void show_position(struct pen *pen, const json_t *status)
{
    static const char *const names[] = {"source", "applied", "flushed"};
    pen_label(pen, "position");
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[QUANTITY_TEXT];
        snprintf(path, sizeof path, "lsn.%s", names[i]);
        const char *lsn = member_text(status, path);
        if (i)
            pen_gap(pen);
        pen_format(pen, PEN_PLAIN, "%s %s", names[i], *lsn ? lsn : QUANTITY_UNKNOWN);
    }
    pen_end(pen);
}

static void show_slot(struct pen *pen, const json_t *status)
{
    char text[QUANTITY_TEXT];
    const char *wal_status = member_text(status, "slot.wal_status");
    double loss = member_number(status, "slot.seconds_to_loss");
    pen_label(pen, "slot");
    pen_put(pen, PEN_PLAIN, *wal_status ? wal_status : QUANTITY_UNKNOWN);
    pen_gap(pen);
    pen_format(pen, PEN_PLAIN, "%s retained",
               quantity_bytes(member_number(status, "slot.retained_bytes"), text));
    if (loss >= 0) {
        pen_gap(pen);
        pen_format(pen, PEN_WARN, "lost in %s", quantity_seconds(loss, text));
    }
    pen_end(pen);
}

/* Only while there is something in it. */
static void show_spool(struct pen *pen, const json_t *status)
{
    char text[2][QUANTITY_TEXT];
    const char *state = member_text(status, "spool.state");
    bool full = strcmp(state, "full") == 0;
    if (!full && strcmp(state, "in_use") != 0)
        return;
    pen_label(pen, "spool");
    pen_format(pen, PEN_PLAIN, "%s",
               quantity_bytes(member_number(status, "spool.bytes"), text[0]));
    pen_gap(pen);
    pen_format(pen, PEN_PLAIN, "oldest %s",
               quantity_seconds(member_number(status, "spool.oldest_seconds"), text[1]));
    if (full) {
        pen_gap(pen);
        pen_put(pen, PEN_WARN, "full: the source waits");
    }
    pen_end(pen);
}

/* Only once something went set-wise: till then there is nothing to tell apart. */
static void show_apply(struct pen *pen, const json_t *status)
{
    char text[4][QUANTITY_TEXT];
    double set = member_number(status, "apply.batches_set");
    double fallbacks = member_number(status, "apply.fallbacks");
    if (!(set + fallbacks > 0))
        return;
    pen_label(pen, "apply");
    pen_format(pen, PEN_PLAIN, "%s batches set-wise, %s in order", quantity_count(set, text[0]),
               quantity_count(member_number(status, "apply.batches_ordered"), text[1]));
    pen_gap(pen);
    pen_format(pen, PEN_PLAIN, "rows %s copied, %s staged",
               quantity_count(member_number(status, "apply.rows_copied"), text[2]),
               quantity_count(member_number(status, "apply.rows_staged"), text[3]));
    if (fallbacks > 0) {
        pen_gap(pen);
        pen_format(pen, PEN_PLAIN, "%s fallbacks", quantity_count(fallbacks, text[0]));
    }
    pen_end(pen);
}

/* Only where something is parked. */
static void show_parked(struct pen *pen, const json_t *status)
{
    char text[2][QUANTITY_TEXT];
    double letters = 0;
    double keys = 0;
    size_t i;
    const json_t *table;
    json_array_foreach(member_at(status, "tables"), i, table)
    {
        letters += member_number(table, "quarantine.dead_letters");
        keys += member_number(table, "quarantine.parked_keys");
    }
    if (!(letters > 0))
        return;
    pen_label(pen, "parked");
    pen_format(pen, PEN_WARN, "%s changes of %s keys", quantity_count(letters, text[0]),
               quantity_count(keys, text[1]));
    pen_gap(pen);
    pen_put(pen, PEN_PLAIN, "slackwater dlq list");
    pen_end(pen);
}

static void show_errors(struct pen *pen, const json_t *status)
{
    const char *message = member_text(status, "last_error.message");
    double errors = member_number(status, "totals.errors");
    double retries = member_number(status, "totals.retries");
    double reconnects = member_number(status, "totals.reconnects");
    if (!*message && !(errors + retries + reconnects > 0))
        return;
    char text[3][QUANTITY_TEXT];
    pen_label(pen, "errors");
    pen_format(pen, PEN_PLAIN, "%s, retries %s, reconnects %s", quantity_count(errors, text[0]),
               quantity_count(retries, text[1]), quantity_count(reconnects, text[2]));
    pen_end(pen);
    if (!*message)
        return;
    pen_label(pen, "");
    pen_put(pen, PEN_WARN, message);
    pen_end(pen);
}

static void show_backfill_pace(struct pen *pen, const json_t *status)
{
    char text[QUANTITY_TEXT];
    double retried = member_number(status, "backfill.chunks_retried");
    if (member_true(status, "backfill.complete") ||
        !(member_number(status, "backfill.chunks") >= 0))
        return;
    pen_label(pen, "");
    pen_format(pen, PEN_PLAIN, "%s rows/s",
               quantity_count(member_number(status, "backfill.rows_per_second"), text));
    pen_gap(pen);
    pen_format(pen, PEN_PLAIN, "%s/s",
               quantity_bytes(member_number(status, "backfill.bytes_per_second"), text));
    pen_gap(pen);
    pen_format(pen, PEN_PLAIN, "%s chunks",
               quantity_count(member_number(status, "backfill.chunks"), text));
    if (retried > 0)
        pen_format(pen, PEN_WARN, ", %s copied again", quantity_count(retried, text));
    pen_end(pen);
}

static void show_waiting(struct pen *pen, const json_t *status)
{
    const json_t *waiting = member_at(status, "backfill.waiting");
    for (size_t i = 0; i < json_array_size(waiting); i++) {
        pen_label(pen, "");
        pen_put(pen, PEN_WARN, member_text(json_array_get(waiting, i), "detail"));
        pen_end(pen);
    }
}

static void show_backfill(struct pen *pen, const json_t *status)
{
    char rows[QUANTITY_TEXT], all[QUANTITY_TEXT], eta[QUANTITY_TEXT];
    double copied = member_number(status, "backfill.rows");
    double estimated = member_number(status, "backfill.estimated_rows");
    bool complete = member_true(status, "backfill.complete");
    double share = complete ? 1 : member_share(status, "backfill.share");
    pen_label(pen, "backfill");
    pen_bar(pen, pen->style.width >= 72 ? 20 : VIEW_BAR_WIDTH, share);
    if (complete) {
        pen_put(pen, PEN_GOOD, "  complete");
        pen_format(pen, PEN_PLAIN, ", %s rows", quantity_count(copied, rows));
    } else {
        pen_format(pen, PEN_PLAIN, " %3.0f %%  %s of %s rows", floor(share * 100),
                   quantity_count(copied, rows), quantity_count(estimated, all));
        if (member_number(status, "backfill.eta_seconds") >= 0)
            pen_format(pen, PEN_PLAIN, ", %s left",
                       quantity_seconds(member_number(status, "backfill.eta_seconds"), eta));
    }
    pen_end(pen);
    show_backfill_pace(pen, status);
    show_waiting(pen, status);
}

void view_status(const json_t *status, struct pen_style style, struct buf *out)
{
    struct pen pen = pen_new(out, style);
    show_head(&pen, status);
    pen_end(&pen);
    show_phase(&pen, status);
    show_backfill(&pen, status);
    show_lag(&pen, status);
    show_rate(&pen, status);
    show_position(&pen, status);
    show_slot(&pen, status);
    show_spool(&pen, status);
    show_apply(&pen, status);
    show_parked(&pen, status);
    show_errors(&pen, status);
    view_show_tables(&pen, status);
    pen_end(&pen);
    view_show_gates(&pen, member_at(status, "gates"),
                    "; `slackwater ready` says why, and what to do");
}
