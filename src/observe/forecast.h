/* What is left of the backfill: shares and times, from what is copied, what is expected and how
 * fast it goes.
 *
 * An estimate is not the truth. One that was too low is raised to what is there; then nothing
 * tells what is left, so no time is given. Only what is done looks like it: shares stay under
 * one until then. */
#ifndef OBSERVE_FORECAST_H
#define OBSERVE_FORECAST_H

#include "observe/status.h"

/* Rows that the copy of a table without statistics will have, from the table's size and from the
 * rows copied so far; -1 before there are some. */
int64_t forecast_rows_by_size(const struct table_status *table);

/* In each table: counts, estimates and rates are given; estimate, share and time are filled. In
 * the status: its rates are given; sums, share and time are filled. */
void forecast_fill(struct status *status);

#endif
