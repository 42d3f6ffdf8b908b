/* How target tables are emptied of the rows that are ours: what a TRUNCATE of the source, or a
 * copy that begins anew, means at the target.
 *
 * Most tables are truncated, together. Rows that are not ours stay: where the key holds
 * constants, only rows with these are deleted. So are all rows of a table that one outside the
 * list refers to, for the server refuses to truncate it. Deleting takes longer, but waits for
 * nobody who only reads. */
#ifndef POSTGRES_TRUNCATION_H
#define POSTGRES_TRUNCATION_H

#include "postgres/sink.h"

enum truncation_way {
    TRUNCATION_KEEPS_IDENTITY,
    TRUNCATION_RESTARTS_IDENTITY,
    TRUNCATION_DELETES, /* all tables */
};

struct truncation {
    size_t count;
    char **statements; /* to be run in order */
};

struct truncation *truncation_create(const struct catalog *catalog,
                                     const struct pg_target_table *const *tables, size_t count,
                                     enum truncation_way way);
void truncation_free(struct truncation *truncation);

#endif
