/* Which way changes take to the target: the costs, and what each table allows.
 *
 *     a batch           fewer than SET_LEAST changes: in source order, at once
 *     net changes of    fewer than GROUP_LEAST: a prepared statement each
 *     one table and     inserts: COPY into the table
 *     kind              updates, deletes, upserts: COPY into a stage, one statement
 *
 * Measured (docs/performance.md). A stage costs some round trips and the planning of a
 * statement, so it earns its place from some tens of rows on.
 *
 * A statement that joins a stage to a partitioned table locks every partition and its indexes; a
 * single row's only those that its key leads to. So of many partitions rows go one by one.
 *
 * Not every table may be changed in sets. What would come out different, or could, goes in
 * source order: TABLE_ORDERED tables among themselves, since nothing at the target looks from
 * one table to another; TABLE_ALONE tables where something does, in their place among all
 * changes. */
#ifndef POSTGRES_STRATEGY_H
#define POSTGRES_STRATEGY_H

#include "postgres/sink.h"

#include <stdbool.h>
#include <stdint.h>

enum table_way {
    TABLE_SET,
    TABLE_ORDERED,
    TABLE_ALONE,
};

/* How a table has fared: after failures it leaves the fast way for a while, each time for
 * longer. The first failure costs nothing but its batch: a swap of unique values says little
 * about the next one. */
struct pace {
    uint32_t pause; /* batches that it still stays away */
    uint32_t next;  /* and how many after the next failure */
};

#define PACE_MOST 256

void pace_failed(struct pace *pace);
void pace_passed(struct pace *pace); /* it went the fast way, and well */
/* Once a batch. True: the fast way is open. */
bool pace_begin(struct pace *pace);

/* By what the catalog says. */
enum table_way strategy_way(const struct pg_sink_config *config, uint32_t table);

/* A batch of so many changes goes set-wise, and so do net changes of one table and kind. */
bool strategy_set(enum engine engine, uint32_t changes);
bool strategy_group(enum engine engine, uint32_t rows);
/* A stage may be joined to the table. */
bool strategy_joins(const struct catalog_table *table);

#endif
