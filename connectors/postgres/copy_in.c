/* COPY FROM STDIN (copy_in.h). */
#include "postgres/copy_in.h"

#include "postgres/copy_format.h"

#define SEND_AT (64 << 10)
#define PIECE                                                                                  \
    ((size_t)16 << 10) /* a message: over a slow line the server shows progress by them */

/* Waits for the server, which may be silent for long while it waits for a lock. */
static bool await(struct copy_in *copy, bool for_write, struct err *err)
{
    usec_t began = clock_monotonic();
    usec_t until = copy->silence == NULL ? 0 : began + COPY_IN_SILENCE;
    if (!session_wait(copy->session, for_write, -1, until, err))
        return false;
    return copy->silence == NULL || clock_monotonic() - began < COPY_IN_SILENCE ||
           copy->silence(copy->context, err);
}

static bool flush(struct copy_in *copy, struct err *err)
{
    PGconn *conn = copy->session->conn;
    for (;;) {
        int pending = PQflush(conn);
        if (pending == 0)
            return true;
        if (pending < 0)
            return session_connection_error(copy->session, err);
        if (!await(copy, true, err))
            return false;
        if (!PQconsumeInput(conn))
            return session_connection_error(copy->session, err);
    }
}

/* NULL with err set, or with err untouched when there is none left. */
static PGresult *next_result(struct copy_in *copy, struct err *err)
{
    PGconn *conn = copy->session->conn;
    while (PQisBusy(conn)) {
        if (!await(copy, false, err))
            return NULL;
        if (!PQconsumeInput(conn)) {
            session_connection_error(copy->session, err);
            return NULL;
        }
    }
    return PQgetResult(conn);
}

/* Takes what is left of the answers; the first failure among them is the error. */
static bool finish(struct copy_in *copy, struct err *err)
{
    err_clear(err);
    for (;;) {
        PGresult *result = next_result(copy, err);
        if (result == NULL)
            break;
        if (err->class == ERR_NONE && PQresultStatus(result) != PGRES_COMMAND_OK)
            session_result_error(copy->session, result, err);
        PQclear(result);
    }
    if (err->class == ERR_NONE && PQstatus(copy->session->conn) == CONNECTION_BAD)
        session_connection_error(copy->session, err);
    return err->class == ERR_NONE;
}

bool copy_in_begin(struct copy_in *copy, const char *sql, bool binary, struct err *err)
{
    copy->binary = binary;
    buf_clear(&copy->out);
    if (!PQsendQuery(copy->session->conn, sql))
        return session_connection_error(copy->session, err);
    if (!flush(copy, err))
        return false;
    err_clear(err);
    PGresult *result = next_result(copy, err);
    if (result == NULL)
        return err->class != ERR_NONE ? false : session_connection_error(copy->session, err);
    bool begun = PQresultStatus(result) == PGRES_COPY_IN;
    if (!begun)
        session_result_error(copy->session, result, err);
    PQclear(result);
    if (!begun) {
        struct err ignored = {0};
        (void)finish(copy, &ignored);
        return false;
    }
    if (binary)
        copy_write_binary_header(&copy->out);
    return true;
}

/* The COPY was refused in the middle: the server's answer says why. */
static bool refused(struct copy_in *copy, struct err *err)
{
    if (!finish(copy, err))
        return false;
    return session_connection_error(copy->session, err);
}

static bool send_piece(struct copy_in *copy, const char *bytes, size_t size, struct err *err)
{
    for (;;) {
        int sent = PQputCopyData(copy->session->conn, bytes, (int)size);
        if (sent == 1)
            return true;
        if (sent < 0)
            return refused(copy, err);
        if (!await(copy, true, err))
            return false;
        if (PQflush(copy->session->conn) < 0)
            return session_connection_error(copy->session, err);
    }
}

static bool send_rows(struct copy_in *copy, struct err *err)
{
    for (size_t at = 0; at < copy->out.size; at += PIECE) {
        size_t left = copy->out.size - at;
        if (!send_piece(copy, copy->out.data + at, left < PIECE ? left : PIECE, err))
            return false;
    }
    buf_clear(&copy->out);
    return flush(copy, err);
}

bool copy_in_row(struct copy_in *copy, const struct row *row, struct err *err)
{
    bool ok = copy->binary ? copy_write_binary(row, &copy->out, err)
                           : copy_write_text(row, &copy->out, err);
    return ok && (copy->out.size < SEND_AT || send_rows(copy, err));
}

bool copy_in_end(struct copy_in *copy, struct err *err)
{
    if (copy->binary)
        copy_write_binary_trailer(&copy->out);
    if (copy->out.size > 0 && !send_rows(copy, err))
        return false;
    for (;;) {
        int sent = PQputCopyEnd(copy->session->conn, NULL);
        if (sent == 1)
            break;
        if (sent < 0)
            return refused(copy, err);
        if (!await(copy, true, err))
            return false;
    }
    return flush(copy, err) && finish(copy, err);
}

void copy_in_free(struct copy_in *copy)
{
    buf_free(&copy->out);
}
