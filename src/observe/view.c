/* The terminal's picture.
 *
 * The problem: a line that is longer than the terminal is wide breaks the whole picture, and
 * names come from a database: long, wide, or with control bytes. So all text goes through a pen
 * that knows the column it stands in, cuts at the width, and never writes a control byte; the
 * only escape sequences are the pen's own colours. Input is the /status document as it came
 * over the wire: every member may be missing or null, and then shows as a dash. */
#include "observe/view.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "observe/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MIN_WIDTH 40
#define MAX_TABLES 12
#define LABEL_WIDTH 11
#define BAR_WIDTH 10
#define VERDICT_WIDTH 8
#define SHORT_TEXT 64

/* --- the pen --- */

enum tone { PLAIN, DIM, BOLD, GOOD, BAD, WARN, TIDE };

static const char *const escapes[] = {
    [PLAIN] = "",         [DIM] = "\033[2m",     [BOLD] = "\033[1m",  [GOOD] = "\033[1;32m",
    [BAD] = "\033[1;31m", [WARN] = "\033[1;33m", [TIDE] = "\033[36m",
};

struct pen {
    struct buf *out;
    struct view_style style;
    int column; /* 0..column written | column..style.width free */
};

static struct pen pen_new(struct buf *out, struct view_style style)
{
    if (style.width < MIN_WIDTH)
        style.width = MIN_WIDTH;
    return (struct pen){.out = out, .style = style};
}

/* Text in at most `width` columns, and never past the edge. */
static void pen_put_cut(struct pen *pen, enum tone tone, int width, const char *text)
{
    int room = pen->style.width - pen->column;
    if (room <= 0)
        return;
    bool colored = pen->style.color && tone != PLAIN && *text;
    if (colored)
        buf_append_text(pen->out, escapes[tone]);
    pen->column += text_append_cut(pen->out, text, width < room ? width : room,
                                   pen->style.unicode ? "…" : "~");
    if (colored)
        buf_append_text(pen->out, "\033[0m");
}

static void pen_put(struct pen *pen, enum tone tone, const char *text)
{
    pen_put_cut(pen, tone, pen->style.width, text);
}

__attribute__((format(printf, 3, 4))) static void pen_format(struct pen *pen, enum tone tone,
                                                             const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    pen_put(pen, tone, text);
    free(text);
}

static void pen_to(struct pen *pen, int column)
{
    for (; pen->column < column && pen->column < pen->style.width; pen->column++)
        buf_append_char(pen->out, ' ');
}

/* A cell of a table: one blank, then the text in `width` columns. */
static void pen_cell(struct pen *pen, enum tone tone, int width, const char *text)
{
    int start = pen->column + 1;
    pen_to(pen, start);
    pen_put_cut(pen, tone, width, text);
    pen_to(pen, start + width);
}

static void pen_cell_right(struct pen *pen, enum tone tone, int width, const char *text)
{
    int pad = width - text_width(text);
    pen_to(pen, pen->column + 1 + (pad > 0 ? pad : 0));
    pen_put_cut(pen, tone, width, text);
}

static void pen_end(struct pen *pen)
{
    buf_append_char(pen->out, '\n');
    pen->column = 0;
}

static void pen_label(struct pen *pen, const char *label)
{
    pen_to(pen, 1);
    pen_put(pen, DIM, label);
    pen_to(pen, LABEL_WIDTH);
}

static void pen_gap(struct pen *pen)
{
    pen_put(pen, DIM, pen->style.unicode ? "  ·  " : "  -  ");
}

/* "█████▍    " of `width` cells; fraction 0..1. */
static void pen_bar(struct pen *pen, int width, double fraction)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    struct buf full = {0}, rest = {0};
    int steps = (int)(fraction * width * 8), cells = steps / 8;
    for (int i = 0; i < cells; i++)
        buf_append_text(&full, pen->style.unicode ? "█" : "#");
    if (pen->style.unicode && steps % 8) {
        buf_append_text(&full, eighths[steps % 8]);
        cells++;
    }
    for (int i = cells; i < width; i++)
        buf_append_text(&rest, pen->style.unicode ? "░" : ".");
    pen_put(pen, TIDE, buf_text(&full));
    pen_put(pen, DIM, buf_text(&rest));
    buf_free(&full);
    buf_free(&rest);
}

/* --- reading the document --- */

/* The member at a dotted path, or NULL. */
static const json_t *at(const json_t *document, const char *path)
{
    char name[SHORT_TEXT];
    for (;;) {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        document = json_object_get(document, name);
        if (!path[length])
            return document;
        path += length + 1;
    }
}

static const char *text_at(const json_t *document, const char *path)
{
    const char *text = json_string_value(at(document, path));
    return text ? text : "";
}

/* NAN when it is missing or null. */
static double number_at(const json_t *document, const char *path)
{
    const json_t *value = at(document, path);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool true_at(const json_t *document, const char *path)
{
    return json_is_true(at(document, path));
}

/* --- quantities --- */

#define UNKNOWN "-"

static const char *seconds_text(double seconds, char text[SHORT_TEXT])
{
    if (!(seconds >= 0) || seconds > 1e11)
        return UNKNOWN;
    return units_format_duration((usec_t)(seconds * USEC_PER_SEC), text, SHORT_TEXT);
}

static const char *bytes_text(double bytes, char text[SHORT_TEXT])
{
    if (!(bytes >= 0) || bytes > 1e18)
        return UNKNOWN;
    return units_format_size((uint64_t)bytes, text, SHORT_TEXT);
}

/* "1,234,567", and in short from ten million on: "12.3 M". */
static const char *count_text(double count, char text[SHORT_TEXT])
{
    static const struct {
        double from, unit;
        const char *name;
    } scales[] = {{1e13, 1e12, "tn"}, {1e10, 1e9, "bn"}, {1e7, 1e6, "M"}};
    if (!(count >= 0))
        return UNKNOWN;
    for (size_t i = 0; i < COUNT(scales); i++)
        if (count >= scales[i].from) {
            snprintf(text, SHORT_TEXT, "%.1f %s", count / scales[i].unit, scales[i].name);
            return text;
        }
    unsigned whole = (unsigned)count;
    if (whole >= 1000000)
        snprintf(text, SHORT_TEXT, "%u,%03u,%03u", whole / 1000000, whole / 1000 % 1000,
                 whole % 1000);
    else if (whole >= 1000)
        snprintf(text, SHORT_TEXT, "%u,%03u", whole / 1000, whole % 1000);
    else
        snprintf(text, SHORT_TEXT, "%u", whole);
    return text;
}

/* 0..1, also when the document has none. */
static double share_at(const json_t *document, const char *path)
{
    double share = number_at(document, path);
    return share >= 0 && share <= 1 ? share : 0;
}

/* --- the lines of view_status --- */

static void show_head(struct pen *pen, const json_t *status)
{
    char text[SHORT_TEXT];
    pen_to(pen, 1);
    pen_put(pen, BOLD, text_at(status, "migration"));
    pen_gap(pen);
    pen_format(pen, DIM, "slackwater %s", text_at(status, "version"));
    pen_gap(pen);
    pen_format(pen, DIM, "up %s", seconds_text(number_at(status, "uptime_seconds"), text));
    pen_end(pen);
}

static void show_phase(struct pen *pen, const json_t *status)
{
    const char *note = text_at(status, "note"), *phase = text_at(status, "phase");
    char words[SHORT_TEXT];
    snprintf(words, sizeof words, "%s", *phase ? phase : UNKNOWN);
    for (char *underscore; (underscore = strchr(words, '_'));)
        *underscore = ' ';
    pen_label(pen, "phase");
    pen_put(pen, strcmp(phase, "waiting") == 0 ? WARN : BOLD, words);
    if (*note)
        pen_format(pen, PLAIN, ": %s", note);
    pen_end(pen);
}

static void show_lag(struct pen *pen, const json_t *status)
{
    char text[SHORT_TEXT];
    double eta = number_at(status, "lag.eta_seconds");
    pen_label(pen, "lag");
    pen_put(pen, PLAIN, seconds_text(number_at(status, "lag.seconds"), text));
    pen_gap(pen);
    pen_put(pen, PLAIN, bytes_text(number_at(status, "lag.bytes"), text));
    pen_gap(pen);
    pen_format(pen, PLAIN, "end to end %s",
               seconds_text(number_at(status, "lag.end_to_end_seconds"), text));
    if (eta > 0) {
        pen_gap(pen);
        pen_format(pen, PLAIN, "caught up in %s", seconds_text(eta, text));
    }
    pen_end(pen);
}

static void show_rate(struct pen *pen, const json_t *status)
{
    char text[SHORT_TEXT];
    pen_label(pen, "rate");
    pen_format(pen, PLAIN, "%s rows/s",
               count_text(number_at(status, "throughput.rows_per_second"), text));
    pen_gap(pen);
    pen_format(pen, PLAIN, "%s tx/s",
               count_text(number_at(status, "throughput.transactions_per_second"), text));
    pen_gap(pen);
    pen_format(pen, PLAIN, "%s/s",
               bytes_text(number_at(status, "throughput.bytes_per_second"), text));
    pen_end(pen);
}

static void show_position(struct pen *pen, const json_t *status)
{
    static const char *const names[] = {"source", "applied", "flushed"};
    pen_label(pen, "position");
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[SHORT_TEXT];
        snprintf(path, sizeof path, "lsn.%s", names[i]);
        const char *lsn = text_at(status, path);
        if (i)
            pen_gap(pen);
        pen_format(pen, PLAIN, "%s %s", names[i], *lsn ? lsn : UNKNOWN);
    }
    pen_end(pen);
}

static void show_slot(struct pen *pen, const json_t *status)
{
    char text[SHORT_TEXT];
    const char *wal_status = text_at(status, "slot.wal_status");
    double loss = number_at(status, "slot.seconds_to_loss");
    pen_label(pen, "slot");
    pen_put(pen, PLAIN, *wal_status ? wal_status : UNKNOWN);
    pen_gap(pen);
    pen_format(pen, PLAIN, "%s retained",
               bytes_text(number_at(status, "slot.retained_bytes"), text));
    if (loss >= 0) {
        pen_gap(pen);
        pen_format(pen, WARN, "lost in %s", seconds_text(loss, text));
    }
    pen_end(pen);
}

/* Only while there is something in it. */
static void show_spool(struct pen *pen, const json_t *status)
{
    char text[2][SHORT_TEXT];
    const char *state = text_at(status, "spool.state");
    bool full = strcmp(state, "full") == 0;
    if (!full && strcmp(state, "in_use") != 0)
        return;
    pen_label(pen, "spool");
    pen_format(pen, PLAIN, "%s", bytes_text(number_at(status, "spool.bytes"), text[0]));
    pen_gap(pen);
    pen_format(pen, PLAIN, "oldest %s",
               seconds_text(number_at(status, "spool.oldest_seconds"), text[1]));
    if (full) {
        pen_gap(pen);
        pen_put(pen, WARN, "full: the source waits");
    }
    pen_end(pen);
}

/* Only once something went set-wise: till then there is nothing to tell apart. */
static void show_apply(struct pen *pen, const json_t *status)
{
    char text[4][SHORT_TEXT];
    double set = number_at(status, "apply.batches_set");
    double fallbacks = number_at(status, "apply.fallbacks");
    if (!(set + fallbacks > 0))
        return;
    pen_label(pen, "apply");
    pen_format(pen, PLAIN, "%s batches set-wise, %s in order", count_text(set, text[0]),
               count_text(number_at(status, "apply.batches_ordered"), text[1]));
    pen_gap(pen);
    pen_format(pen, PLAIN, "rows %s copied, %s staged",
               count_text(number_at(status, "apply.rows_copied"), text[2]),
               count_text(number_at(status, "apply.rows_staged"), text[3]));
    if (fallbacks > 0) {
        pen_gap(pen);
        pen_format(pen, PLAIN, "%s fallbacks", count_text(fallbacks, text[0]));
    }
    pen_end(pen);
}

/* Only where something is parked. */
static void show_parked(struct pen *pen, const json_t *status)
{
    char text[2][SHORT_TEXT];
    double letters = 0;
    double keys = 0;
    size_t i;
    const json_t *table;
    json_array_foreach(at(status, "tables"), i, table) {
        letters += number_at(table, "quarantine.dead_letters");
        keys += number_at(table, "quarantine.parked_keys");
    }
    if (!(letters > 0))
        return;
    pen_label(pen, "parked");
    pen_format(pen, WARN, "%s changes of %s keys", count_text(letters, text[0]),
               count_text(keys, text[1]));
    pen_gap(pen);
    pen_put(pen, PLAIN, "slackwater dlq list");
    pen_end(pen);
}

static void show_errors(struct pen *pen, const json_t *status)
{
    const char *message = text_at(status, "last_error.message");
    double errors = number_at(status, "totals.errors");
    double retries = number_at(status, "totals.retries");
    double reconnects = number_at(status, "totals.reconnects");
    if (!*message && !(errors + retries + reconnects > 0))
        return;
    char text[3][SHORT_TEXT];
    pen_label(pen, "errors");
    pen_format(pen, PLAIN, "%s, retries %s, reconnects %s", count_text(errors, text[0]),
               count_text(retries, text[1]), count_text(reconnects, text[2]));
    pen_end(pen);
    if (!*message)
        return;
    pen_label(pen, "");
    pen_put(pen, WARN, message);
    pen_end(pen);
}

static void show_backfill_pace(struct pen *pen, const json_t *status)
{
    char text[SHORT_TEXT];
    double retried = number_at(status, "backfill.chunks_retried");
    if (true_at(status, "backfill.complete") || !(number_at(status, "backfill.chunks") >= 0))
        return;
    pen_label(pen, "");
    pen_format(pen, PLAIN, "%s rows/s",
               count_text(number_at(status, "backfill.rows_per_second"), text));
    pen_gap(pen);
    pen_format(pen, PLAIN, "%s/s",
               bytes_text(number_at(status, "backfill.bytes_per_second"), text));
    pen_gap(pen);
    pen_format(pen, PLAIN, "%s chunks", count_text(number_at(status, "backfill.chunks"), text));
    if (retried > 0)
        pen_format(pen, WARN, ", %s copied again", count_text(retried, text));
    pen_end(pen);
}

static void show_waiting(struct pen *pen, const json_t *status)
{
    const json_t *waiting = at(status, "backfill.waiting");
    for (size_t i = 0; i < json_array_size(waiting); i++) {
        pen_label(pen, "");
        pen_put(pen, WARN, text_at(json_array_get(waiting, i), "detail"));
        pen_end(pen);
    }
}

static void show_backfill(struct pen *pen, const json_t *status)
{
    char rows[SHORT_TEXT], all[SHORT_TEXT], eta[SHORT_TEXT];
    double copied = number_at(status, "backfill.rows");
    double estimated = number_at(status, "backfill.estimated_rows");
    bool complete = true_at(status, "backfill.complete");
    double share = complete ? 1 : share_at(status, "backfill.share");
    pen_label(pen, "backfill");
    pen_bar(pen, pen->style.width >= 72 ? 20 : BAR_WIDTH, share);
    if (complete) {
        pen_put(pen, GOOD, "  complete");
        pen_format(pen, PLAIN, ", %s rows", count_text(copied, rows));
    } else {
        pen_format(pen, PLAIN, " %3.0f %%  %s of %s rows", floor(share * 100),
                   count_text(copied, rows), count_text(estimated, all));
        if (number_at(status, "backfill.eta_seconds") >= 0)
            pen_format(pen, PLAIN, ", %s left",
                       seconds_text(number_at(status, "backfill.eta_seconds"), eta));
    }
    pen_end(pen);
    show_backfill_pace(pen, status);
    show_waiting(pen, status);
}

/* --- tables --- */

/* What is being copied is what one looks for: first running, then waiting, then the rest. */
static const char *const copy_order[] = {"indexing", "running", "waiting", "held", NULL};

static double changes_of(const json_t *table)
{
    return number_at(table, "stream.received");
}

static double conflicts_of(const json_t *table)
{
    return number_at(table, "conflicts.insert_exists") +
           number_at(table, "conflicts.update_missing") +
           number_at(table, "conflicts.delete_missing");
}

static double rows_of(const json_t *table)
{
    return number_at(table, "copy.rows");
}

static double left_of(const json_t *table)
{
    return number_at(table, "copy.eta_seconds");
}

/* What is done or waits has no time of its own. */
static const char *left_text(double seconds, char text[SHORT_TEXT])
{
    return seconds > 0 ? seconds_text(seconds, text) : "";
}

/* The columns right of name and bar; the last is left out first when the width is small. */
static const struct column {
    const char *title;
    int width;
    bool of_backfill; /* only until that is complete */
    double (*value)(const json_t *table);
    const char *(*text)(double value, char text[SHORT_TEXT]);
} columns[] = {
    {"rows", 10, false, rows_of, count_text},
    {"left", 10, true, left_of, left_text},
    {"changes", 10, false, changes_of, count_text},
    {"conflicts", 9, false, conflicts_of, count_text},
};

struct table_layout {
    int name_width;
    size_t count;
    const struct column *columns[COUNT(columns)];
};

static struct table_layout layout_of(const struct pen *pen, bool complete)
{
    struct table_layout layout = {0};
    int left = pen->style.width - 2 - (1 + BAR_WIDTH) - (1 + 5);
    for (size_t i = 0; i < COUNT(columns); i++) {
        if (columns[i].of_backfill && complete)
            continue;
        layout.columns[layout.count++] = &columns[i];
        left -= 1 + columns[i].width;
    }
    while (left < 20 && layout.count)
        left += 1 + layout.columns[--layout.count]->width;
    layout.name_width = left < 48 ? left : 48;
    return layout;
}

static void show_table_name(struct pen *pen, const struct table_layout *layout,
                            const json_t *table)
{
    const char *source = text_at(table, "source"), *target = text_at(table, "target");
    char *both = mem_format("%s %s %s", source, pen->style.unicode ? "→" : "->", target);
    bool fits = text_width(both) <= layout->name_width;
    pen_to(pen, 1);
    pen_cell(pen, PLAIN, layout->name_width,
             fits && *target && strcmp(source, target) != 0 ? both : source);
    free(both);
}

static void show_table_copy(struct pen *pen, const json_t *table)
{
    const char *state = text_at(table, "copy.state");
    bool done = strcmp(state, "done") == 0, running = strcmp(state, "running") == 0;
    double estimated = number_at(table, "copy.estimated_rows");
    double share = done || strcmp(state, "indexing") == 0 ? 1 : share_at(table, "copy.share");
    char percent[SHORT_TEXT];
    snprintf(percent, sizeof percent, "%.0f %%", floor(share * 100));
    if (strcmp(state, "not_needed") == 0) {
        pen_cell(pen, DIM, BAR_WIDTH, "not needed");
        pen_cell_right(pen, PLAIN, 5, "");
        return;
    }
    pen_to(pen, pen->column + 1);
    pen_bar(pen, BAR_WIDTH, share);
    pen_cell_right(pen, done ? DIM : PLAIN, 5, running && !(estimated > 0) ? UNKNOWN : percent);
}

static void show_table(struct pen *pen, const struct table_layout *layout, const json_t *table)
{
    char text[SHORT_TEXT];
    show_table_name(pen, layout, table);
    show_table_copy(pen, table);
    for (size_t i = 0; i < layout->count; i++) {
        const struct column *column = layout->columns[i];
        pen_cell_right(pen, PLAIN, column->width, column->text(column->value(table), text));
    }
    pen_end(pen);
}

static void show_table_titles(struct pen *pen, const struct table_layout *layout)
{
    pen_to(pen, 1);
    pen_cell(pen, DIM, layout->name_width, "table");
    pen_cell(pen, DIM, BAR_WIDTH, "copy");
    pen_cell_right(pen, DIM, 5, "");
    for (size_t i = 0; i < layout->count; i++)
        pen_cell_right(pen, DIM, layout->columns[i]->width, layout->columns[i]->title);
    pen_end(pen);
}

static size_t rank_of(const json_t *table)
{
    size_t rank = 0;
    while (copy_order[rank] && strcmp(copy_order[rank], text_at(table, "copy.state")) != 0)
        rank++;
    return rank;
}

static void show_tables(struct pen *pen, const json_t *status)
{
    const json_t *tables = at(status, "tables");
    size_t count = json_array_size(tables), shown = 0;
    if (!count)
        return;
    struct table_layout layout = layout_of(pen, true_at(status, "backfill.complete"));
    pen_end(pen);
    show_table_titles(pen, &layout);
    for (size_t rank = 0; rank < COUNT(copy_order); rank++)
        for (size_t i = 0; i < count && shown < MAX_TABLES; i++) {
            const json_t *table = json_array_get(tables, i);
            if (rank_of(table) != rank)
                continue;
            show_table(pen, &layout, table);
            shown++;
        }
    if (count == shown)
        return;
    pen_to(pen, 2);
    pen_format(pen, DIM, "+%zu more", count - shown);
    pen_end(pen);
}

/* --- gates --- */

static enum tone tone_of(const char *verdict)
{
    if (strcmp(verdict, "GO") == 0)
        return GOOD;
    return strcmp(verdict, "UNKNOWN") == 0 ? WARN : BAD;
}

static bool is_go(const json_t *gate)
{
    return strcmp(text_at(gate, "verdict"), "GO") == 0;
}

static int name_width_of(const json_t *gates)
{
    int widest = 4;
    for (size_t i = 0; i < json_array_size(gates); i++) {
        int width = text_width(text_at(json_array_get(gates, i), "name"));
        if (width > widest)
            widest = width;
    }
    return widest < 24 ? widest : 24;
}

/* The verdict, counted from the gates, so that both documents will do. */
static void show_verdict(struct pen *pen, const json_t *gates, const char *hint)
{
    size_t count = json_array_size(gates), go = 0;
    for (size_t i = 0; i < count; i++)
        go += is_go(json_array_get(gates, i));
    pen_to(pen, 1);
    if (count && go == count) {
        pen_put(pen, GOOD, "GO");
        pen_format(pen, PLAIN, "  all %zu gates are GO", count);
    } else {
        pen_put(pen, BAD, "NO-GO");
        pen_format(pen, PLAIN, "  %zu of %zu gates are GO", go, count);
        if (hint)
            pen_put(pen, DIM, hint);
    }
    pen_end(pen);
}

/* The line of a gate, left open. */
static void show_gate(struct pen *pen, const json_t *gate, int name_width)
{
    const char *verdict = text_at(gate, "verdict"), *threshold = text_at(gate, "threshold");
    pen_to(pen, 1);
    pen_put_cut(pen, tone_of(verdict), VERDICT_WIDTH, verdict);
    pen_to(pen, 1 + VERDICT_WIDTH - 1);
    pen_cell(pen, PLAIN, name_width, text_at(gate, "name"));
    pen_put(pen, PLAIN, "  ");
    pen_put(pen, PLAIN, text_at(gate, "value"));
    /* A threshold in the value's own words says nothing more ("complete", "none"). */
    if (*threshold && strcmp(threshold, text_at(gate, "value")) != 0)
        pen_format(pen, DIM, " (%s)", threshold);
}

/* Text over as many lines as it takes, broken at blanks, each indented. */
static void show_wrapped(struct pen *pen, enum tone tone, int indent, const char *lead,
                         const char *text)
{
    if (!*text)
        return;
    pen_to(pen, indent);
    pen_put(pen, DIM, lead);
    int start = pen->column;
    char *copy = mem_string(text), *rest = NULL;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        bool first = pen->column == start;
        if (!first && pen->column + 1 + text_width(word) > pen->style.width) {
            pen_end(pen);
            pen_to(pen, start);
            first = true;
        }
        if (!first)
            pen_put(pen, tone, " ");
        pen_put(pen, tone, word);
    }
    free(copy);
    pen_end(pen);
}

static void show_gate_in_short(struct pen *pen, const json_t *gate, int name_width)
{
    show_gate(pen, gate, name_width);
    if (!is_go(gate))
        pen_format(pen, PLAIN, ": %s", text_at(gate, "reason"));
    pen_end(pen);
}

static void show_gate_in_full(struct pen *pen, const json_t *gate, int name_width)
{
    show_gate(pen, gate, name_width);
    pen_end(pen);
    if (is_go(gate))
        return;
    show_wrapped(pen, PLAIN, 1 + VERDICT_WIDTH, "reason  ", text_at(gate, "reason"));
    show_wrapped(pen, PLAIN, 1 + VERDICT_WIDTH, "remedy  ", text_at(gate, "remedy"));
}

void view_status(const json_t *status, struct view_style style, struct buf *out)
{
    struct pen pen = pen_new(out, style);
    const json_t *gates = at(status, "gates");
    int name_width = name_width_of(gates);
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
    show_tables(&pen, status);
    pen_end(&pen);
    for (size_t i = 0; i < json_array_size(gates); i++)
        show_gate_in_short(&pen, json_array_get(gates, i), name_width);
    pen_end(&pen);
    show_verdict(&pen, gates, "; `slackwater ready` says why, and what to do");
}

void view_gates(const json_t *document, struct view_style style, struct buf *out)
{
    struct pen pen = pen_new(out, style);
    const json_t *gates = at(document, "gates");
    int name_width = name_width_of(gates);
    for (size_t i = 0; i < json_array_size(gates); i++)
        show_gate_in_full(&pen, json_array_get(gates, i), name_width);
    pen_end(&pen);
    show_verdict(&pen, gates, NULL);
}
