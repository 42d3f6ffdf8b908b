/* What is left of the backfill (forecast.h). */
#include "observe/forecast.h"

#define MOST_SHARE 0.99
#define ROW_WORK 64 /* what a row costs beside its bytes, in bytes: an order of magnitude */
#define STORED_OVERHEAD                                                                        \
    28 /* bytes of a stored row that do not travel: header and item pointer */

int64_t forecast_rows_by_size(const struct table_status *table)
{
    if (table->copied_rows == 0 || table->estimated_bytes < 0)
        return -1;
    double stored = (double)table->copied_bytes / (double)table->copied_rows + STORED_OVERHEAD;
    return (int64_t)((double)table->estimated_bytes / stored);
}

static bool is_to_come(const struct table_status *table)
{
    return table->copy == COPY_WAITING || table->copy == COPY_RUNNING;
}

static double capped(double done, double all)
{
    double share = all > 0 ? done / all : 0;
    return share < MOST_SHARE ? share : MOST_SHARE;
}

static double rows_left(const struct table_status *table)
{
    return is_to_come(table) && table->estimated_rows > (int64_t)table->copied_rows
               ? (double)table->estimated_rows - (double)table->copied_rows
               : 0;
}

/* As they travel: known by the rows that did, else about the table's size. */
static double bytes_left(const struct table_status *table)
{
    double left = (double)table->estimated_bytes - (double)table->copied_bytes;
    if (!is_to_come(table))
        return 0;
    if (table->copied_rows > 0)
        return rows_left(table) * (double)table->copied_bytes / (double)table->copied_rows;
    return left > 0 ? left : 0;
}

static usec_t time_for(double left, double per_second)
{
    double seconds = per_second > 0 ? left / per_second : -1;
    return seconds < 0 || seconds > 1e11 ? -1 : (usec_t)(seconds * USEC_PER_SEC);
}

static void fill_table(struct table_status *table)
{
    int64_t copied = (int64_t)table->copied_rows;
    if (!is_to_come(table)) {
        bool held = table->copy == COPY_HELD;
        if (table->copy == COPY_DONE || table->copy == COPY_INDEXING)
            table->estimated_rows = copied;
        table->copy_share = held ? 0 : 1;
        table->copy_eta = 0;
        return;
    }
    if (table->estimated_rows >= 0 && table->estimated_rows < copied)
        table->estimated_rows = copied;
    table->copy_share = capped((double)copied, (double)table->estimated_rows);
    table->copy_eta =
        rows_left(table) > 0 ? time_for(rows_left(table), table->copy_rows_per_second) : -1;
}

/* Tables of narrow rows and of wide ones are weighed alike by what a row and a byte cost. */
static double work(double rows, double bytes)
{
    return bytes + ROW_WORK * rows;
}

static usec_t longer(usec_t a, usec_t b)
{
    return a > b ? a : b;
}

static usec_t time_left(const struct status *status, double rows, double bytes)
{
    const struct readiness_limits *limits = &status->limits;
    double pace = work(status->backfill_rows_per_second, status->backfill_bytes_per_second);
    usec_t time = status->paused || rows + bytes <= 0 ? -1 : time_for(work(rows, bytes), pace);
    if (time < 0)
        return -1;
    time = longer(time, time_for(rows, (double)limits->copy_rows_per_second));
    return longer(time, time_for(bytes, (double)limits->copy_bytes_per_second));
}

void forecast_fill(struct status *status)
{
    double left_rows = 0, left_bytes = 0;
    size_t to_come = 0;
    status->backfill_rows = status->backfill_bytes = 0;
    status->backfill_estimated_rows = 0;
    for (size_t i = 0; i < status->table_count; i++) {
        struct table_status *table = &status->tables[i];
        fill_table(table);
        to_come += is_to_come(table);
        status->backfill_rows += table->copied_rows;
        status->backfill_bytes += table->copied_bytes;
        left_rows += rows_left(table);
        left_bytes += bytes_left(table);
        if (table->copy != COPY_NOT_NEEDED)
            status->backfill_estimated_rows +=
                table->estimated_rows > 0 ? table->estimated_rows : (int64_t)table->copied_rows;
    }
    double done = work((double)status->backfill_rows, (double)status->backfill_bytes);
    status->backfill_share =
        status->backfill_complete ? 1 : capped(done, done + work(left_rows, left_bytes));
    status->backfill_eta = to_come == 0 ? 0 : time_left(status, left_rows, left_bytes);
}
