/* The tables in the terminal view: how far each is copied, and what the stream brought it. */
#include "observe/view_parts.h"

#include "base/mem.h"
#include "observe/member.h"
#include "observe/quantity.h"
#include "observe/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MAX_TABLES 12

/* What is being copied is what one looks for: first running, then waiting, then the rest. */
static const char *const copy_order[] = {"indexing", "running", "waiting", "held", NULL};

static double changes_of(const json_t *table)
{
    return member_number(table, "stream.received");
}

static double conflicts_of(const json_t *table)
{
    return member_number(table, "conflicts.insert_exists") +
           member_number(table, "conflicts.update_missing") +
           member_number(table, "conflicts.delete_missing");
}

static double rows_of(const json_t *table)
{
    return member_number(table, "copy.rows");
}

static double left_of(const json_t *table)
{
    return member_number(table, "copy.eta_seconds");
}

/* What is done or waits has no time of its own. */
static const char *left_text(double seconds, char text[QUANTITY_TEXT])
{
    return seconds > 0 ? quantity_seconds(seconds, text) : "";
}

/* The columns right of name and bar; the last is left out first when the width is small. */
static const struct column {
    const char *title;
    int width;
    bool of_backfill; /* only until that is complete */
    double (*value)(const json_t *table);
    const char *(*text)(double value, char text[QUANTITY_TEXT]);
} columns[] = {
    {"rows", 10, false, rows_of, quantity_count},
    {"left", 10, true, left_of, left_text},
    {"changes", 10, false, changes_of, quantity_count},
    {"conflicts", 9, false, conflicts_of, quantity_count},
};

struct table_layout {
    int name_width;
    size_t count;
    const struct column *columns[COUNT(columns)];
};

static struct table_layout layout_of(const struct pen *pen, bool complete)
{
    struct table_layout layout = {0};
    int left = pen->style.width - 2 - (1 + VIEW_BAR_WIDTH) - (1 + 5);
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
    const char *source = member_text(table, "source"), *target = member_text(table, "target");
    char *both = mem_format("%s %s %s", source, pen->style.unicode ? "→" : "->", target);
    bool fits = text_width(both) <= layout->name_width;
    pen_to(pen, 1);
    pen_cell(pen, PEN_PLAIN, layout->name_width,
             fits && *target && strcmp(source, target) != 0 ? both : source);
    free(both);
}

static void show_table_copy(struct pen *pen, const json_t *table)
{
    const char *state = member_text(table, "copy.state");
    bool done = strcmp(state, "done") == 0, running = strcmp(state, "running") == 0;
    double estimated = member_number(table, "copy.estimated_rows");
    double share =
        done || strcmp(state, "indexing") == 0 ? 1 : member_share(table, "copy.share");
    char percent[QUANTITY_TEXT];
    snprintf(percent, sizeof percent, "%.0f %%", floor(share * 100));
    if (strcmp(state, "not_needed") == 0) {
        pen_cell(pen, PEN_DIM, VIEW_BAR_WIDTH, "not needed");
        pen_cell_right(pen, PEN_PLAIN, 5, "");
        return;
    }
    pen_to(pen, pen->column + 1);
    pen_bar(pen, VIEW_BAR_WIDTH, share);
    pen_cell_right(pen, done ? PEN_DIM : PEN_PLAIN, 5,
                   running && !(estimated > 0) ? QUANTITY_UNKNOWN : percent);
}

static void show_table(struct pen *pen, const struct table_layout *layout, const json_t *table)
{
    char text[QUANTITY_TEXT];
    show_table_name(pen, layout, table);
    show_table_copy(pen, table);
    for (size_t i = 0; i < layout->count; i++) {
        const struct column *column = layout->columns[i];
        pen_cell_right(pen, PEN_PLAIN, column->width, column->text(column->value(table), text));
    }
    pen_end(pen);
}

static void show_table_titles(struct pen *pen, const struct table_layout *layout)
{
    pen_to(pen, 1);
    pen_cell(pen, PEN_DIM, layout->name_width, "table");
    pen_cell(pen, PEN_DIM, VIEW_BAR_WIDTH, "copy");
    pen_cell_right(pen, PEN_DIM, 5, "");
    for (size_t i = 0; i < layout->count; i++)
        pen_cell_right(pen, PEN_DIM, layout->columns[i]->width, layout->columns[i]->title);
    pen_end(pen);
}

static size_t rank_of(const json_t *table)
{
    size_t rank = 0;
    while (copy_order[rank] && strcmp(copy_order[rank], member_text(table, "copy.state")) != 0)
        rank++;
    return rank;
}

void view_show_tables(struct pen *pen, const json_t *status)
{
    const json_t *tables = member_at(status, "tables");
    size_t count = json_array_size(tables), shown = 0;
    if (!count)
        return;
    struct table_layout layout = layout_of(pen, member_true(status, "backfill.complete"));
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
    pen_format(pen, PEN_DIM, "+%zu more", count - shown);
    pen_end(pen);
}
