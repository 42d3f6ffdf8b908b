/* A field of a result in text form, as a value of ours. */
#ifndef POSTGRES_FIELD_H
#define POSTGRES_FIELD_H

#include "base/mem.h"
#include "model/lsn.h"

#include <libpq-fe.h>
#include <stdbool.h>

static inline bool field_flag(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column)[0] == 't';
}

/* The caller frees. NULL for SQL NULL. */
static inline char *field_text(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : mem_string(PQgetvalue(r, row, column));
}

/* LSN_NONE for SQL NULL. */
static inline lsn_t field_lsn(const PGresult *r, int row, int column)
{
    lsn_t lsn = LSN_NONE;
    if (!PQgetisnull(r, row, column))
        (void)lsn_parse(PQgetvalue(r, row, column), &lsn);
    return lsn;
}

#endif
