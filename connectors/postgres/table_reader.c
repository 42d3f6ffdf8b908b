/* Reads a source table by COPY (table_reader.h). */
#include "postgres/table_reader.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/copy_format.h"
#include "postgres/key_bounds.h"
#include "postgres/key_order.h"
#include "postgres/key_range.h"
#include "postgres/session.h"
#include "postgres/table_shape.h"
#include "schema/ident.h"

#include <stdlib.h>
#include <string.h>

#define SETTLE_PAUSE (20 * USEC_PER_MS)

struct pg_table_reader {
    struct table_reader reader;
    const char *dsn;
    const struct catalog *source;
    const struct stop *stop;
    struct session session;
    const struct copy_key *checked; /* the last whose order was, in this session */
    bool binary;
    bool first; /* the next message has the binary header */
    char *snapshot;
    lsn_t lsn;     /* of the snapshot */
    char *message; /* the last row's bytes */
    struct value *values;
    uint16_t columns;
};

static struct pg_table_reader *self(struct table_reader *reader)
{
    return (struct pg_table_reader *)(void *)reader;
}

/* Ranges compare by operators, also those of extension types. */
static bool pg_reader_open(struct table_reader *reader, struct err *err)
{
    struct pg_table_reader *r = self(reader);
    r->checked = NULL;
    return session_reopen(&r->session, "source", r->dsn, SESSION_SQL, r->stop, err) &&
           session_see_operators(&r->session, err);
}

static bool check_order(struct pg_table_reader *r, const struct copy_key *key, struct err *err)
{
    if (r->checked != key && !key_order_check(&r->session, key, err))
        return false;
    r->checked = key;
    return true;
}

static void forget_row(struct pg_table_reader *r)
{
    PQfreemem(r->message);
    r->message = NULL;
}

static const struct catalog_table *table_of(const struct pg_table_reader *r,
                                            const struct relation *relation)
{
    return catalog_find(r->source, relation->schema, relation->name);
}

/* Children by inheritance are tables of their own; partitions are read through their root. */
static bool is_partitioned(const struct pg_table_reader *r, const struct relation *relation)
{
    const struct catalog_table *table = table_of(r, relation);
    return table != NULL && table->kind == 'p';
}

static bool pg_reader_plan(struct table_reader *reader, const struct relation *relation,
                           const struct copy_key *key, size_t lanes, struct copy_plan *plan,
                           struct err *err)
{
    struct pg_table_reader *r = self(reader);
    const struct catalog_table *table = table_of(r, relation);
    if (table == NULL)
        return err_set(err, ERR_BUG, "table %s.%s is not in the source's catalog",
                       relation->schema, relation->name);
    if (copy_key_usable(key) && (!check_order(r, key, err) ||
                                 !key_bounds_find(&r->session, table, key, lanes, plan, err))) {
        table_shape_suspect(err);
        return err_wrap(err, "planning the copy of table %s.%s", table->schema, table->name);
    }
    plan->whole = !copy_key_usable(key) || (copy_key_is_asked(key) && plan->bound_count == 0);
    return true;
}

/* The lock is not waited for long: changes of the chunk's rows wait meanwhile. LOCK takes no
 * snapshot: with the lock first, a TRUNCATE, or an ALTER TABLE that rewrites the table, is
 * over before the snapshot; what they do is not versioned. */
static bool begin_locked(struct pg_table_reader *r, const struct relation *relation,
                         struct err *err)
{
    struct buf sql = {0};
    buf_append_format(&sql,
                      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                      " SET LOCAL lock_timeout = '2s'; LOCK TABLE %s",
                      is_partitioned(r, relation) ? "" : "ONLY ");
    ident_append_qualified(&sql, relation->schema, relation->name);
    buf_append_text(&sql, " IN ACCESS SHARE MODE");
    bool ok = session_run(&r->session, sql.data, err);
    buf_free(&sql);
    return ok;
}

static bool take_snapshot(struct pg_table_reader *r, lsn_t *lsn, struct err *err)
{
    /* The snapshot is taken before the position is read: no commit it sees comes later. */
    PGresult *result = session_exec(
        &r->session, "SELECT pg_current_snapshot(), pg_current_wal_insert_lsn()", err);
    if (result == NULL)
        return false;
    free(r->snapshot);
    r->snapshot = mem_string(PQgetvalue(result, 0, 0));
    bool ok = lsn_parse(PQgetvalue(result, 0, 1), &r->lsn);
    PQclear(result);
    *lsn = r->lsn;
    return ok || err_set(err, ERR_BUG, "source: unexpected answer to the snapshot question");
}

/* However wrong the estimates, a chunk walks the key's index: it neither sorts nor scans the
 * table. */
static bool walk_index(struct pg_table_reader *r, struct err *err)
{
    return session_run(&r->session,
                       "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;"
                       "SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off;"
                       "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off",
                       err);
}

static bool start_copy(struct pg_table_reader *r, const struct relation *relation,
                       const struct copy_key *key, const struct copy_range *range,
                       struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "COPY (");
    key_range_select(&sql, relation, is_partitioned(r, relation), key, range);
    buf_append_format(&sql, ") TO STDOUT (FORMAT %s)", r->binary ? "binary" : "text");
    PGresult *result = session_exec(&r->session, sql.data, err);
    buf_free(&sql);
    PQclear(result);
    return result != NULL;
}

/* A chunk that lacks a column would hide what the stream says of it: those changes are dropped as
 * seen. */
static bool check_shape(struct pg_table_reader *r, const struct relation *relation,
                        struct err *err)
{
    const struct catalog_table *table = table_of(r, relation);
    return table == NULL || table_shape_check(&r->session, table, err);
}

static bool pg_reader_begin(struct table_reader *reader, const struct relation *table,
                            const char **snapshot, lsn_t *lsn, struct err *err)
{
    struct pg_table_reader *r = self(reader);
    /* end() leaves a session in mid-COPY by closing it. */
    if ((!session_is_open(&r->session) && !pg_reader_open(reader, err)) ||
        !begin_locked(r, table, err) || !take_snapshot(r, lsn, err) ||
        !check_shape(r, table, err)) {
        table_shape_suspect(err);
        return err_wrap(err, "reading table %s.%s", table->schema, table->name);
    }
    *snapshot = r->snapshot;
    return true;
}

static bool pg_reader_read(struct table_reader *reader, const struct relation *relation,
                           bool binary, const struct copy_key *key,
                           const struct copy_range *range, struct err *err)
{
    struct pg_table_reader *r = self(reader);
    r->binary = binary;
    r->first = binary;
    r->columns = relation->column_count;
    free(r->values);
    r->values = mem_zero(relation->column_count + 1U, sizeof *r->values);
    bool bounded = key_range_is_bounded(range);
    if ((!bounded || (check_order(r, key, err) && walk_index(r, err))) &&
        start_copy(r, relation, key, range, err))
        return true;
    if (bounded)
        key_order_refused(key, err);
    return err_wrap(err, "reading table %s.%s", relation->schema, relation->name);
}

/* The command's result, and whatever else must be read before the next command. */
static enum table_read end_of_copy(struct pg_table_reader *r, struct err *err)
{
    enum table_read end = TABLE_END;
    for (;;) {
        PGresult *result = PQgetResult(r->session.conn);
        if (result == NULL)
            return end;
        if (end == TABLE_END && PQresultStatus(result) != PGRES_COMMAND_OK) {
            session_result_error(&r->session, result, err);
            end = TABLE_FAILED;
        }
        PQclear(result);
        if (PQstatus(r->session.conn) == CONNECTION_BAD)
            return end;
    }
}

/* The next CopyData message, or the end, or a failure. */
static enum table_read next_message(struct pg_table_reader *r, int *size, struct err *err)
{
    for (;;) {
        *size = PQgetCopyData(r->session.conn, &r->message, 1);
        if (*size > 0)
            return TABLE_ROW;
        if (*size < 0)
            break;
        if (!session_wait(&r->session, false, -1, 0, err))
            return TABLE_FAILED;
        if (!PQconsumeInput(r->session.conn)) {
            session_connection_error(&r->session, err);
            return TABLE_FAILED;
        }
    }
    return end_of_copy(r, err);
}

static enum table_read pg_reader_next(struct table_reader *reader, struct row *row,
                                      size_t *bytes, struct err *err)
{
    struct pg_table_reader *r = self(reader);
    int size;
    for (;;) {
        forget_row(r);
        enum table_read read = next_message(r, &size, err);
        if (read != TABLE_ROW)
            return read;
        *row = (struct row){.values = r->values, .count = r->columns};
        *bytes = (size_t)size;
        enum copy_read parsed =
            r->binary ? copy_read_binary(r->message, (size_t)size, r->first, row, err)
                      : copy_read_text(r->message, (size_t)size, row, err);
        r->first = false;
        if (parsed == COPY_ROW)
            return TABLE_ROW;
        if (parsed == COPY_FAILED)
            return TABLE_FAILED;
    }
}

static bool is_flushed(struct pg_table_reader *r, bool *flushed, struct err *err)
{
    lsn_t lsn = LSN_NONE;
    PGresult *result = session_exec(&r->session, "SELECT pg_current_wal_flush_lsn()", err);
    if (result == NULL)
        return false;
    bool ok = lsn_parse(PQgetvalue(result, 0, 0), &lsn);
    PQclear(result);
    *flushed = lsn >= r->lsn;
    return ok ||
           err_set(err, ERR_BUG, "source: unexpected answer to the WAL position question");
}

/* An idle source may leave the last WAL unflushed for long, since no commit is in it, and the
 * insert position may stand behind the header of a page that nothing is written to yet. A commit
 * of our own flushes what came before it. The chunk's transaction is over: it has been read. */
static bool push_flush(struct pg_table_reader *r, struct err *err)
{
    return session_run(&r->session, "ROLLBACK", err) &&
           session_run(&r->session,
                       "BEGIN READ WRITE; SET LOCAL synchronous_commit = local;"
                       "SELECT pg_logical_emit_message(true, 'slackwater.settle', ''); COMMIT",
                       err);
}

static bool pg_reader_settle(struct table_reader *reader, struct err *err)
{
    struct pg_table_reader *r = self(reader);
    bool flushed = false;
    if (!is_flushed(r, &flushed, err))
        return false;
    if (!flushed && !push_flush(r, err))
        return err_wrap(err, "flushing the source's WAL");
    while (!flushed) {
        if (!is_flushed(r, &flushed, err))
            return false;
        if (!flushed && stop_wait(r->stop, clock_monotonic() + SETTLE_PAUSE))
            return err_set(err, ERR_STOPPED, "stopped while the source flushes its WAL");
    }
    return true;
}

/* The transaction only read: leaving the session tells the server as well as ROLLBACK would,
 * and works in mid-COPY. */
static void pg_reader_end(struct table_reader *reader)
{
    struct pg_table_reader *r = self(reader);
    struct err ignored = {0};
    forget_row(r);
    if (!session_is_open(&r->session))
        return;
    PGTransactionStatusType status = PQtransactionStatus(r->session.conn);
    if (status == PQTRANS_IDLE)
        return;
    if (status == PQTRANS_ACTIVE || !session_run(&r->session, "ROLLBACK", &ignored))
        session_close(&r->session);
}

static void pg_reader_close(struct table_reader *reader)
{
    forget_row(self(reader));
    session_close(&self(reader)->session);
}

static void pg_reader_destroy(struct table_reader *reader)
{
    struct pg_table_reader *r = self(reader);
    pg_reader_close(reader);
    free(r->snapshot);
    free(r->values);
    free(r);
}

struct table_reader *pg_table_reader_create(const char *dsn, const struct catalog *source,
                                            const struct stop *stop)
{
    static const struct table_reader_ops OPS = {
        .open = pg_reader_open,
        .plan = pg_reader_plan,
        .begin = pg_reader_begin,
        .read = pg_reader_read,
        .next = pg_reader_next,
        .settle = pg_reader_settle,
        .end = pg_reader_end,
        .close = pg_reader_close,
        .destroy = pg_reader_destroy,
    };
    struct pg_table_reader *r = mem_zero(1, sizeof *r);
    r->reader.ops = &OPS;
    r->dsn = dsn;
    r->source = source;
    r->stop = stop;
    return &r->reader;
}
