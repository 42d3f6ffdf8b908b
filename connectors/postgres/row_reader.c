/* Reads single rows of the source again (row_reader.h).
 *
 * One statement gives the row and says whether its snapshot sees the change's transaction: a
 * commit is in the WAL before it is visible (it may wait for a synchronous standby), and what is
 * read before that could be older than the change. Then it is asked again. */
#include "postgres/row_reader.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/session.h"
#include "postgres/table_shape.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VISIBLE_PAUSE (20 * USEC_PER_MS)

struct pg_row_reader {
    struct row_reader contract;
    const char *dsn;
    const struct catalog *source;
    const struct stop *stop;
    struct session session;
};

/* A statement in the making. */
struct question {
    struct buf sql;
    int count; /* parameters */
    Oid *types;
    const char **values;
    int *lengths;
    int *formats;
    char xid[16];
};

/* The 64-bit xid meant is the one nearest to the snapshot's xmax: 2^31 below to 2^31 above. */
static const char VISIBLE_SQL[] =
    "SELECT pg_visible_in_snapshot((xmax - 2147483648"
    "         + ($1::bigint - xmax % 4294967296 + 6442450944) % 4294967296)::text::xid8, now),"
    "       pg_current_wal_insert_lsn(), the_row.*"
    " FROM (SELECT pg_current_snapshot() AS now,"
    "              pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xmax) AS snapshot"
    " LEFT JOIN (SELECT true";

static void add_parameter(struct question *question, Oid type, const struct value *value,
                          struct arena *arena)
{
    int i = question->count++;
    question->types[i] = type;
    question->formats[i] = value->kind == VALUE_BINARY;
    question->lengths[i] = (int)value->size;
    question->values[i] = value->data;
    if (value->kind == VALUE_TEXT) { /* libpq wants text to end with a NUL */
        char *text = arena_alloc(arena, value->size + 1U);
        memcpy(text, value->data, value->size);
        text[value->size] = '\0';
        question->values[i] = text;
    }
}

static void append_from(const struct pg_row_reader *r, const struct relation *from,
                        struct buf *sql)
{
    const struct catalog_table *table = catalog_find(r->source, from->schema, from->name);
    buf_append_text(sql, table != NULL && table->kind == 'p' ? " FROM " : " FROM ONLY ");
    ident_append_qualified(sql, from->schema, from->name);
}

/* False when a key column has no value to look for. */
static bool append_key(struct question *question, const struct relation *from,
                       const struct row *row, struct arena *arena)
{
    const char *separator = " WHERE ";
    for (uint16_t i = 0; i < from->column_count; i++) {
        const struct value *value = &row->values[i];
        if (!from->columns[i].key)
            continue;
        if (from->columns[i].gone)
            return false;
        if (value->kind != VALUE_TEXT && value->kind != VALUE_BINARY)
            return false;
        add_parameter(question, from->columns[i].type_oid, value, arena);
        buf_append_text(&question->sql, separator);
        ident_append(&question->sql, from->columns[i].name);
        buf_append_format(&question->sql, " = $%d", question->count);
        separator = " AND ";
    }
    return separator[1] == 'A';
}

static bool ask(const struct pg_row_reader *r, const struct relation *from,
                const struct row *row, xid_t xid, struct arena *arena,
                struct question *question, struct err *err)
{
    size_t most = from->column_count + 1U;
    *question = (struct question){.types = arena_alloc(arena, most * sizeof(Oid)),
                                  .values = arena_alloc(arena, most * sizeof(char *)),
                                  .lengths = arena_alloc(arena, most * sizeof(int)),
                                  .formats = arena_alloc(arena, most * sizeof(int))};
    int size = snprintf(question->xid, sizeof question->xid, "%u", xid);
    add_parameter(question, 0, &(struct value){question->xid, (uint32_t)size, VALUE_TEXT},
                  arena);
    buf_append_text(&question->sql, VISIBLE_SQL);
    for (uint16_t i = 0; i < from->column_count; i++) {
        buf_append_text(&question->sql, from->columns[i].gone ? ", NULL" : ", ");
        if (!from->columns[i].gone)
            ident_append(&question->sql, from->columns[i].name);
    }
    append_from(r, from, &question->sql);
    if (!append_key(question, from, row, arena))
        return err_set(err, ERR_DATA, "its replica identity was not sent");
    buf_append_text(&question->sql, ") AS the_row ON true");
    return true;
}

static PGresult *answer(struct pg_row_reader *r, const struct question *question,
                        struct err *err)
{
    return session_query_typed(&r->session, question->sql.data, question->count,
                               question->types, question->values, question->lengths,
                               question->formats, err);
}

/* The row is in columns 3 and up; column 2 is NULL when there is none. */
static enum row_read take_row(const PGresult *result, const struct relation *from,
                              struct arena *arena, struct row *out)
{
    if (PQgetisnull(result, 0, 2))
        return ROW_GONE;
    *out = (struct row){.count = from->column_count};
    out->values = arena_alloc(arena, (out->count + 1U) * sizeof *out->values);
    for (int i = 0; i < out->count; i++) {
        struct value *value = &out->values[i];
        *value = (struct value){.kind = VALUE_NULL};
        if (PQgetisnull(result, 0, i + 3))
            continue;
        value->kind = VALUE_TEXT;
        value->size = (uint32_t)PQgetlength(result, 0, i + 3);
        value->data = arena_copy(arena, PQgetvalue(result, 0, i + 3), value->size);
    }
    return ROW_READ;
}

static enum row_read read_visible(struct pg_row_reader *r, const struct question *question,
                                  const struct relation *from, struct arena *arena,
                                  struct row *out, struct err *err)
{
    for (;;) {
        PGresult *result = answer(r, question, err);
        if (result == NULL)
            return ROW_FAILED;
        bool visible = PQgetvalue(result, 0, 0)[0] == 't';
        lsn_t seen = LSN_NONE;
        (void)lsn_parse(PQgetvalue(result, 0, 1), &seen);
        if (seen > r->contract.seen)
            r->contract.seen = seen;
        enum row_read read = visible ? take_row(result, from, arena, out) : ROW_FAILED;
        PQclear(result);
        if (visible)
            return read;
        if (stop_wait(r->stop, clock_monotonic() + VISIBLE_PAUSE)) {
            err_set(err, ERR_STOPPED, "stopped");
            return ROW_FAILED;
        }
    }
}

/* The key is found by its type's own "=", and so by its index. */
static bool connect_reader(struct pg_row_reader *r, struct err *err)
{
    return session_is_open(&r->session) ||
           (session_reopen(&r->session, "source", r->dsn, SESSION_SQL, r->stop, err) &&
            session_see_operators(&r->session, err));
}

static enum row_read pg_row_read(struct row_reader *contract, const struct relation *from,
                                 const struct row *row, xid_t xid, struct arena *arena,
                                 struct row *out, struct err *err)
{
    struct pg_row_reader *r = (struct pg_row_reader *)(void *)contract;
    struct question question = {0};
    enum row_read read = ROW_FAILED;
    if (connect_reader(r, err) && ask(r, from, row, xid, arena, &question, err))
        read = read_visible(r, &question, from, arena, out, err);
    buf_free(&question.sql);
    if (read == ROW_FAILED) {
        session_close(&r->session); /* the next reading begins anew */
        table_shape_suspect(err);
    }
    return read;
}

static void pg_row_reader_destroy(struct row_reader *contract)
{
    struct pg_row_reader *r = (struct pg_row_reader *)(void *)contract;
    session_close(&r->session);
    free(r);
}

struct row_reader *pg_row_reader_create(const char *dsn, const struct catalog *source,
                                        const struct stop *stop)
{
    static const struct row_reader_ops OPS = {.read = pg_row_read,
                                              .destroy = pg_row_reader_destroy};
    struct pg_row_reader *r = mem_zero(1, sizeof *r);
    r->contract.ops = &OPS;
    r->dsn = dsn;
    r->source = source;
    r->stop = stop;
    return &r->contract;
}
