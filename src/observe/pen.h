/* A pen that draws lines of text for a terminal.
 *
 * The problem: a line that is longer than the terminal is wide breaks the whole picture, and
 * names come from a database: long, wide, or with control bytes. So all text goes through the
 * pen, which knows the column it stands in, cuts at the width, and never writes a control byte;
 * the only escape sequences are its own colours. Widths and columns are those of the terminal
 * (observe/text.h). */
#ifndef OBSERVE_PEN_H
#define OBSERVE_PEN_H

#include "base/buf.h"

#include <stdbool.h>

struct pen_style {
    int width;    /* columns; at least 40 */
    bool color;   /* ANSI colours */
    bool unicode; /* block characters for the bars, else # and . */
};

enum pen_tone { PEN_PLAIN, PEN_DIM, PEN_BOLD, PEN_GOOD, PEN_BAD, PEN_WARN, PEN_TIDE };

struct pen {
    struct buf *out; /* borrowed; appended to */
    struct pen_style style;
    int column; /* 0..column written | column..style.width free */
};

struct pen pen_new(struct buf *out, struct pen_style style);

void pen_put(struct pen *pen, enum pen_tone tone, const char *text);
/* Text in at most `width` columns, and never past the edge. */
void pen_put_cut(struct pen *pen, enum pen_tone tone, int width, const char *text);
__attribute__((format(printf, 3, 4))) void pen_format(struct pen *pen, enum pen_tone tone,
                                                      const char *format, ...);
/* Blanks up to that column, if it does not stand behind it. */
void pen_to(struct pen *pen, int column);
void pen_end(struct pen *pen); /* of the line */

void pen_label(struct pen *pen, const char *label); /* what a line is about, at its beginning */
void pen_gap(struct pen *pen);                      /* between two of its parts */
/* A cell of a table: one blank, then the text in `width` columns. */
void pen_cell(struct pen *pen, enum pen_tone tone, int width, const char *text);
void pen_cell_right(struct pen *pen, enum pen_tone tone, int width, const char *text);
/* "█████▍    " of `width` cells; fraction 0..1. */
void pen_bar(struct pen *pen, int width, double fraction);
/* Text over as many lines as it takes, broken at blanks, each indented, and the last one ended;
 * nothing when it is empty. */
void pen_wrapped(struct pen *pen, enum pen_tone tone, int indent, const char *lead,
                 const char *text);

#endif
