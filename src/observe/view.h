/* The terminal's picture of a run, drawn from the /status document: phase, positions, lag,
 * throughput, backfill bars, gates. */
#ifndef OBSERVE_VIEW_H
#define OBSERVE_VIEW_H

#include "base/buf.h"
#include "observe/pen.h"

#include <jansson.h>

/* Appends lines that end with \n, none longer than the width. */
void view_status(const json_t *status, struct pen_style style, struct buf *out);
/* Every gate with value, threshold, reason and remedy, and the verdict; from /cutover or from
 * /status (both hold "gates"). */
void view_gates(const json_t *document, struct pen_style style, struct buf *out);

#endif
