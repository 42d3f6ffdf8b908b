/* The SQL that carries out one change on one target table, as text with parameters.
 *
 * A statement depends on the table, on what is to be done, and on which columns are known (an
 * unchanged TOAST value is left out of the write). Statements of the same shape are prepared
 * once and used again. Parameters are columns of the new or of the old row, in the order of
 * `parameters`. */
#ifndef POSTGRES_STATEMENT_H
#define POSTGRES_STATEMENT_H

#include "base/buf.h"
#include "model/batch.h"
#include "schema/catalog.h"

#include <stdbool.h>
#include <stdint.h>

enum statement_kind {
    /* by key */
    STATEMENT_UPSERT,  /* insert, or overwrite what has the key */
    STATEMENT_REPLACE, /* update by key; a missing row is inserted in full */
    STATEMENT_PATCH,   /* update by key of the known columns only */
    STATEMENT_MOVE, /* key change: what the change does not bring goes along from the old row; a
                     * missing row is inserted if all is known */
    STATEMENT_REKEY, /* key change in place, of a row that others refer to; a missing row is
                      * inserted if all is known. An identity that is GENERATED ALWAYS stays as
                      * it is */
    STATEMENT_DELETE,
    /* by whole row */
    STATEMENT_INSERT,
    STATEMENT_REPLACE_ROW, /* a missing row is inserted in full */
    STATEMENT_DELETE_ROW,
};

/* What the statement's result tells about a conflict. */
enum statement_tells {
    TELLS_NOTHING,
    TELLS_EXISTED,        /* one row, one column: 't' when the key existed */
    TELLS_NO_ROW_EXISTED, /* DO NOTHING: no row affected when the key existed */
    TELLS_INSERTED, /* a row affected: the update found nothing and the row was inserted */
    TELLS_MISSING,  /* no row affected: nothing was found */
};

struct parameter {
    bool old; /* from the old row, else from the new one */
    uint16_t column;
};

struct statement {
    char name[24]; /* of the prepared statement */
    char *sql;
    enum statement_tells tells;
    uint16_t parameter_count;
    struct parameter *parameters;
    uint32_t *types; /* parameter type OIDs */
};

/* Builds a statement. `known` has a flag for each column of the relation: its new value is
 * known (ignored by DELETE kinds). `table` is the relation's catalog entry at the target. */
struct statement *statement_create(enum statement_kind kind, const struct relation *relation,
                                   const struct catalog_table *table, const bool *known);
/* The table has columns that no change fills: a key change has to move its row. */
bool statement_keeps_columns(const struct relation *relation,
                             const struct catalog_table *table);
void statement_free(struct statement *statement); /* NULL is accepted */

#endif
