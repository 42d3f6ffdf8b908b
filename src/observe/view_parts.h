/* Parts of the terminal view, as view.c puts them together. For its files alone. */
#ifndef OBSERVE_VIEW_PARTS_H
#define OBSERVE_VIEW_PARTS_H

#include "observe/pen.h"

#include <jansson.h>

#define VIEW_BAR_WIDTH 10

/* ---- view_tables.c ---- */

/* The table of tables, with an empty line before it; nothing when there is none. */
void view_show_tables(struct pen *pen, const json_t *status);

/* ---- view_gates.c ---- */

/* A line for each gate, and the verdict; `hint` follows that when it is no-go. */
void view_show_gates(struct pen *pen, const json_t *gates, const char *hint);

#endif
