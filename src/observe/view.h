/* The terminal's picture of a run, drawn from the /status document: phase, positions, lag,
 * throughput, backfill bars, gates. */
#ifndef OBSERVE_VIEW_H
#define OBSERVE_VIEW_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

struct view_style {
    int width;   /* columns; at least 40 */
    bool color;  /* ANSI colours */
    bool unicode; /* block characters for the bars, else # and . */
};

/* Appends lines that end with \n, none longer than the width. */
void view_status(const json_t *status, struct view_style style, struct buf *out);
/* Every gate with value, threshold, reason and remedy, and the verdict; from /cutover or from
 * /status (both hold "gates"). */
void view_gates(const json_t *document, struct view_style style, struct buf *out);

#endif
