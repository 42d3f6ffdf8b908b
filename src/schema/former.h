/* What the columns of a table have been called, and so which column each one of a relation of the
 * stream is.
 *
 * A relation message describes the table as it was at that change and has names only; the catalog
 * shows the table as it is now. After a restart, or while the stream is behind, these differ by
 * several steps of DDL, and a name may mean another column by now. What a column *is* is its number
 * (attnum), which no DDL changes: names are kept by number from the migration's begin on
 * (postgres/former_log.h), and each relation is read by them.
 *
 * Plain data; immutable once filled, so that any thread may read it. */
#ifndef SCHEMA_FORMER_H
#define SCHEMA_FORMER_H

#include "base/err.h"
#include "model/lsn.h"
#include "schema/catalog.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORMER_TABLE 0 /* the number of the table's own name, qualified and quoted */

struct former_name {
    uint32_t table_oid;
    int16_t number;
    lsn_t
        there_at; /* seen by then, at the source; 0: when the table became part of the migration */
    lsn_t gone_at; /* not there any more by then; LSN_NONE: not known to be */
    char *name;
    uint32_t type_oid; /* 0 of a table */
    int32_t type_modifier;
    uint32_t
        target_oid; /* of the target's table to whose column values went as they were; 0: none */
    int16_t target_number;
};

struct former {
    size_t count;
    struct former_name *names; /* by table, then number, then age: the newest last */
};

void former_free(struct former *former);

/* Whether something is known of the table: it is part of the migration already. */
bool former_knows(const struct former *former, uint32_t table_oid);
/* Whether it was seen with the type before. */
bool former_had_type(const struct former *former, uint32_t table_oid, int16_t number,
                     uint32_t type_oid, int32_t type_modifier);
/* Whether it was there when the table became part of the migration, and always of the type it has. */
bool former_is_steady(const struct former *former, uint32_t table_oid,
                      const struct catalog_column *column);
/* The newest name under which the column was known, if that is not its present one; else NULL. */
const struct former_name *former_last(const struct former *former, uint32_t table_oid,
                                      const struct catalog_column *column);

/* Puts the names that the catalog has in place of those that the relation came with, and marks
 * columns that are gone since.
 *
 * `older`: the relation is of a transaction that had ended when the catalog was read. There must be
 * one reading only: columns come in the order of their numbers, each name is one that its column
 * has had, no column is missing that was there before one which is not, or was seen before `commit`
 * (where the transaction ended), and none is there that was seen to be gone. Where a name was seen
 * to go from one column to another, their places and types alone must tell. Else the relation is of
 * a shape in between that was never seen. (A name that goes to another column, and away again, with
 * nobody looking in between, cannot be seen by anybody.)
 *
 * A relation that is not `older` must be as the catalog has it, types too: it may be newer.
 *
 * What cannot be read makes the relation `strange`, and those of its columns that are doubtful
 * `unclear`: they keep their names. A table that the catalog does not have is left alone. */
void former_read(const struct former *former, const struct catalog *catalog, lsn_t commit,
                 bool older, struct relation *relation);

#endif
