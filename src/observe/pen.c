/* Drawing on a terminal (pen.h). */
#include "observe/pen.h"

#include "base/mem.h"
#include "observe/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_WIDTH 40
#define LABEL_WIDTH 11

static const char *const escapes[] = {
    [PEN_PLAIN] = "",          [PEN_DIM] = "\033[2m",    [PEN_BOLD] = "\033[1m",
    [PEN_GOOD] = "\033[1;32m", [PEN_BAD] = "\033[1;31m", [PEN_WARN] = "\033[1;33m",
    [PEN_TIDE] = "\033[36m",
};

struct pen pen_new(struct buf *out, struct pen_style style)
{
    if (style.width < MIN_WIDTH)
        style.width = MIN_WIDTH;
    return (struct pen){.out = out, .style = style};
}

void pen_put_cut(struct pen *pen, enum pen_tone tone, int width, const char *text)
{
    int room = pen->style.width - pen->column;
    if (room <= 0)
        return;
    bool colored = pen->style.color && tone != PEN_PLAIN && *text;
    if (colored)
        buf_append_text(pen->out, escapes[tone]);
    pen->column += text_append_cut(pen->out, text, width < room ? width : room,
                                   pen->style.unicode ? "…" : "~");
    if (colored)
        buf_append_text(pen->out, "\033[0m");
}

void pen_put(struct pen *pen, enum pen_tone tone, const char *text)
{
    pen_put_cut(pen, tone, pen->style.width, text);
}

void pen_format(struct pen *pen, enum pen_tone tone, const char *format, ...)
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

void pen_to(struct pen *pen, int column)
{
    for (; pen->column < column && pen->column < pen->style.width; pen->column++)
        buf_append_char(pen->out, ' ');
}

void pen_cell(struct pen *pen, enum pen_tone tone, int width, const char *text)
{
    int start = pen->column + 1;
    pen_to(pen, start);
    pen_put_cut(pen, tone, width, text);
    pen_to(pen, start + width);
}

void pen_cell_right(struct pen *pen, enum pen_tone tone, int width, const char *text)
{
    int pad = width - text_width(text);
    pen_to(pen, pen->column + 1 + (pad > 0 ? pad : 0));
    pen_put_cut(pen, tone, width, text);
}

void pen_end(struct pen *pen)
{
    buf_append_char(pen->out, '\n');
    pen->column = 0;
}

void pen_label(struct pen *pen, const char *label)
{
    pen_to(pen, 1);
    pen_put(pen, PEN_DIM, label);
    pen_to(pen, LABEL_WIDTH);
}

void pen_gap(struct pen *pen)
{
    pen_put(pen, PEN_DIM, pen->style.unicode ? "  ·  " : "  -  ");
}

void pen_bar(struct pen *pen, int width, double fraction)
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
    pen_put(pen, PEN_TIDE, buf_text(&full));
    pen_put(pen, PEN_DIM, buf_text(&rest));
    buf_free(&full);
    buf_free(&rest);
}

void pen_wrapped(struct pen *pen, enum pen_tone tone, int indent, const char *lead,
                 const char *text)
{
    if (!*text)
        return;
    pen_to(pen, indent);
    pen_put(pen, PEN_DIM, lead);
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
