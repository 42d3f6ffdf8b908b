/* Rows before and after the rules, side by side, for people. */
#ifndef CLI_PREVIEW_VIEW_H
#define CLI_PREVIEW_VIEW_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct preview_value {
    const char *column; /* NULL: nothing stands on this side of the line */
    const char *text;   /* NULL: SQL NULL */
};

/* One line: what went in, what came out, and what made it. */
struct preview_line {
    struct preview_value before;
    struct preview_value after;
    const char *rule;
};

struct preview_style {
    int width; /* of the terminal, in columns */
    bool color;
    bool unicode;
};

/* Appends a table of the lines. NULL is printed bare (and dim); a text that reads NULL, and an
 * empty one, in quotes. Values are wrapped, and cut after a few lines; control characters are
 * escaped. */
void preview_view(const struct preview_line *lines, size_t count, struct preview_style style,
                  struct buf *out);

#endif
