/* COPY ... FROM STDIN over a session that is in no pipeline.
 *
 *     copy_in_begin --copy_in_row*--> copy_in_end
 *
 * Rows are gathered and handed to libpq in large pieces; output that the socket does not take
 * never piles up. When the server refuses the COPY, the error is that of the server and the
 * session is ready for the next statement (in a failed transaction). */
#ifndef POSTGRES_COPY_IN_H
#define POSTGRES_COPY_IN_H

#include "base/buf.h"
#include "model/row.h"
#include "postgres/session.h"

struct copy_in {
    struct session *session;
    bool binary;
    /* Asked when the server was silent for COPY_IN_SILENCE; false (err set) gives the
     * connection up. NULL: it may be silent for ever. */
    bool (*silence)(void *context, struct err *err);
    void *context;
    struct buf out; /* rows not yet given to libpq */
};

#define COPY_IN_SILENCE (12 * USEC_PER_SEC)

/* `sql`: the COPY statement, whose format is as `binary` says. */
bool copy_in_begin(struct copy_in *copy, const char *sql, bool binary, struct err *err);
/* ERR_BUG for a value that is not of the format. After a failure there is nothing to end. */
bool copy_in_row(struct copy_in *copy, const struct row *row, struct err *err);
bool copy_in_end(struct copy_in *copy, struct err *err);
void copy_in_free(struct copy_in *copy);

#endif
