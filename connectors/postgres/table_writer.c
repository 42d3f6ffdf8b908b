/* Loads a target table by COPY (table_writer.h). */
#include "postgres/table_writer.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/copy_format.h"
#include "schema/formula.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEND_AT (64 << 10)

struct pg_table_writer {
    struct table_writer writer;
    struct pg_writer_config config;
    struct session session;
    uint32_t source;                 /* whose copy the transaction holds */
    const struct relation *relation; /* being loaded */
    const struct relation **loaded;  /* in this transaction */
    size_t loaded_count;
    bool binary;
    bool staged;
    const struct relation *stage_next; /* a direct COPY met a row of the application's */
    struct buf out; /* rows not yet given to libpq */
};

static struct pg_table_writer *self(struct table_writer *writer)
{
    return (struct pg_table_writer *)(void *)writer;
}

static bool pg_writer_open(struct table_writer *writer, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    if (!session_open(&w->session, "target", w->config.dsn, SESSION_SQL, w->config.stop, err))
        return false;
    /* What is recorded as copied must be on the disk, whatever the server's default is. */
    return session_run(&w->session, "SET synchronous_commit = on", err) &&
           (!w->config.use_replica_role ||
            session_run(&w->session, "SET session_replication_role = replica", err)) &&
           session_see_operators(&w->session, err);
}

bool pg_table_has_rows(struct session *session, const struct pg_target_table *table, bool *has,
                       struct err *err)
{
    struct buf sql = {0};
    buf_append_format(&sql, "SELECT EXISTS (SELECT FROM %s",
                      table->table->kind == 'p' ? "" : "ONLY ");
    ident_append_qualified(&sql, table->table->schema, table->table->name);
    if (table->owner_condition != NULL)
        buf_append_format(&sql, " WHERE %s", table->owner_condition);
    buf_append_text(&sql, ")");
    PGresult *r = session_exec(session, sql.data, err);
    if (r != NULL)
        *has = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    buf_free(&sql);
    return r != NULL;
}

static bool pg_writer_record(struct table_writer *writer, uint32_t source,
                             struct copy_record *record, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    const char *values[] = {w->config.migration, w->config.sources[source]};
    PGresult *r = session_query(&w->session,
                                "SELECT snapshot, lsn, rows, bytes FROM slackwater.copy"
                                " WHERE migration = $1 AND source = $2",
                                2, values, err);
    if (r == NULL)
        return false;
    bool found = PQntuples(r) == 1;
    if (found && !PQgetisnull(r, 0, 0)) {
        *record = (struct copy_record){
            .done = true,
            .snapshot = mem_string(PQgetvalue(r, 0, 0)),
            .rows = strtoull(PQgetvalue(r, 0, 2), NULL, 10),
            .bytes = strtoull(PQgetvalue(r, 0, 3), NULL, 10),
        };
        (void)lsn_parse(PQgetvalue(r, 0, 1), &record->lsn);
    }
    PQclear(r);
    return found || err_set(err, ERR_CONFIG, "the copy record of %s is gone", values[1]);
}

/* The record's row, locked: of two instances only one can be copying the table. */
static bool lock_record(struct pg_table_writer *w, struct err *err)
{
    const char *values[] = {w->config.migration, w->config.sources[w->source]};
    PGresult *r = session_query(&w->session,
                                "SELECT FROM slackwater.copy WHERE migration = $1"
                                " AND source = $2 AND snapshot IS NULL FOR UPDATE",
                                2, values, err);
    bool mine = r != NULL && PQntuples(r) == 1;
    PQclear(r);
    if (mine || r == NULL)
        return mine;
    return err_set(err, ERR_RETRY, "table %s was copied by another instance meanwhile",
                   values[1]);
}

static void append_columns(const struct pg_table_writer *w, struct buf *sql)
{
    for (uint16_t i = 0; i < w->relation->column_count; i++) {
        buf_append_text(sql, i == 0 ? "" : ", ");
        ident_append(sql, w->relation->columns[i].name);
    }
}

/* A column made by a formula is staged as what the formula reads. */
static void append_stage_columns(const struct pg_table_writer *w, struct buf *sql)
{
    for (uint16_t i = 0; i < w->relation->column_count; i++) {
        const struct column *column = &w->relation->columns[i];
        buf_append_text(sql, i == 0 ? "" : ", ");
        if (column->formula != NULL)
            buf_append_text(sql, "NULL::text[] AS ");
        ident_append(sql, column->name);
    }
}

static bool create_stage(struct pg_table_writer *w, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "CREATE TEMPORARY TABLE slackwater_stage ON COMMIT DROP AS SELECT ");
    append_stage_columns(w, &sql);
    buf_append_text(&sql, " FROM ");
    ident_append_qualified(&sql, w->relation->schema, w->relation->name);
    buf_append_text(&sql, " WITH NO DATA");
    bool ok = session_run(&w->session, sql.data, err);
    buf_free(&sql);
    return ok;
}

/* Straight in, or by the stage. COPY takes values, not expressions. */
static bool choose_way(struct pg_table_writer *w, struct err *err)
{
    bool has_rows = false;
    if (!pg_table_has_rows(&w->session, &w->config.tables[w->relation->table], &has_rows, err))
        return false;
    w->staged = has_rows || w->stage_next == w->relation || relation_has_formula(w->relation);
    if (!w->staged)
        return true;
    if (w->relation->match == MATCH_KEY || !has_rows)
        return create_stage(w, err);
    err_set(err, ERR_DATA, "the target table has rows and no key: copying would double them");
    return err_remedy(err, "empty it, or give it a key");
}

static bool start_copy(struct pg_table_writer *w, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "COPY ");
    if (w->staged)
        buf_append_text(&sql, "pg_temp.slackwater_stage");
    else
        ident_append_qualified(&sql, w->relation->schema, w->relation->name);
    if (w->relation->column_count > 0) {
        buf_append_text(&sql, " (");
        append_columns(w, &sql);
        buf_append_text(&sql, ")");
    }
    buf_append_format(&sql, " FROM STDIN (FORMAT %s)", w->binary ? "binary" : "text");
    PGresult *r = session_exec(&w->session, sql.data, err);
    buf_free(&sql);
    PQclear(r);
    buf_clear(&w->out);
    if (w->binary)
        copy_write_binary_header(&w->out);
    return r != NULL;
}

/* The application, which writes both sides, has inserted a key while an empty table was being
 * loaded: the copy begins again through the stage. */
static void consider_stage(struct pg_table_writer *w, struct err *err)
{
    if (w->staged || w->relation->match != MATCH_KEY || strcmp(err->sqlstate, "23505") != 0)
        return;
    w->stage_next = w->relation;
    err->class = ERR_RETRY;
}

static bool wrap_table(struct pg_table_writer *w, struct err *err)
{
    consider_stage(w, err);
    return err_wrap(err, "loading table %s.%s", w->relation->schema, w->relation->name);
}

static bool pg_writer_begin(struct table_writer *writer, uint32_t source, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    w->source = source;
    w->loaded_count = 0;
    return session_run(&w->session, "BEGIN", err) && lock_record(w, err);
}

static bool pg_writer_load(struct table_writer *writer, const struct relation *relation,
                           bool binary, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    w->relation = relation;
    w->binary = binary;
    return (choose_way(w, err) && start_copy(w, err)) || wrap_table(w, err);
}

/* The COPY was refused in the middle: the server's result says why. */
static bool copy_refused(struct pg_table_writer *w, struct err *err)
{
    PGresult *result = PQgetResult(w->session.conn);
    bool told = result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR;
    if (told)
        session_result_error(&w->session, result, err);
    else
        session_connection_error(&w->session, err);
    PQclear(result);
    return false;
}

/* Hands the buffer to libpq, waiting while the server is slow. */
static bool send_rows(struct pg_table_writer *w, struct err *err)
{
    for (;;) {
        int sent = PQputCopyData(w->session.conn, w->out.data, (int)w->out.size);
        if (sent == 1)
            break;
        if (sent < 0)
            return copy_refused(w, err);
        if (!session_wait(&w->session, true, -1, 0, err))
            return false;
        if (PQflush(w->session.conn) < 0)
            return session_connection_error(&w->session, err);
    }
    buf_clear(&w->out);
    /* Output that the socket does not take must not pile up in libpq. */
    return session_flush(&w->session, err);
}

static bool pg_writer_write(struct table_writer *writer, const struct row *row,
                            struct err *err)
{
    struct pg_table_writer *w = self(writer);
    bool ok = w->binary ? copy_write_binary(row, &w->out, err)
                        : copy_write_text(row, &w->out, err);
    if (ok && w->out.size >= SEND_AT)
        ok = send_rows(w, err);
    return ok || wrap_table(w, err);
}

static bool end_copy(struct pg_table_writer *w, struct err *err)
{
    if (w->binary)
        copy_write_binary_trailer(&w->out);
    if (w->out.size > 0 && !send_rows(w, err))
        return false;
    for (;;) {
        int sent = PQputCopyEnd(w->session.conn, NULL);
        if (sent == 1)
            break;
        if (sent < 0)
            return copy_refused(w, err);
        if (!session_wait(&w->session, true, -1, 0, err))
            return false;
    }
    PGresult *result;
    bool ok = true;
    if (!session_flush(&w->session, err))
        return false;
    for (;;) {
        while (PQisBusy(w->session.conn)) {
            if (!session_wait(&w->session, false, -1, 0, err))
                return false;
            if (!PQconsumeInput(w->session.conn))
                return session_connection_error(&w->session, err);
        }
        result = PQgetResult(w->session.conn);
        if (result == NULL)
            return ok;
        if (ok && PQresultStatus(result) != PGRES_COMMAND_OK)
            ok = session_result_error(&w->session, result, err);
        PQclear(result);
    }
}

/* What the staged columns are to be written as. */
static void append_staged(const struct pg_table_writer *w, struct buf *sql)
{
    for (uint16_t i = 0; i < w->relation->column_count; i++) {
        const struct column *column = &w->relation->columns[i];
        struct buf name = {0};
        buf_append_text(&name, "slackwater_stage.");
        ident_append(&name, column->name);
        buf_append_text(sql, i == 0 ? "" : ", ");
        if (column->formula != NULL)
            formula_append(sql, column->formula, buf_text(&name));
        else
            buf_append_text(sql, buf_text(&name));
        buf_free(&name);
    }
}

static void append_overwrite(const struct pg_table_writer *w, struct buf *sql)
{
    const char *separator = " ON CONFLICT (";
    if (w->relation->match != MATCH_KEY)
        return; /* the table had no row */
    for (uint16_t i = 0; i < w->relation->column_count; i++) {
        if (!w->relation->columns[i].key)
            continue;
        buf_append_text(sql, separator);
        ident_append(sql, w->relation->columns[i].name);
        separator = ", ";
    }
    buf_append_text(sql, ")");
    separator = " DO UPDATE SET ";
    for (uint16_t i = 0; i < w->relation->column_count; i++) {
        const struct column *column = &w->relation->columns[i];
        if (column->key || column->identity_always)
            continue;
        buf_append_text(sql, separator);
        ident_append(sql, column->name);
        buf_append_text(sql, " = EXCLUDED.");
        ident_append(sql, column->name);
        separator = ", ";
    }
    if (separator[0] == ' ')
        buf_append_text(sql, " DO NOTHING");
}

/* Two rows of the copy with one key: the upsert would hide the first, or fail with words about
 * itself. Columns of the stage have the target's types and collations, so equal means the same. */
static bool refuse_repeated_keys(struct pg_table_writer *w, struct err *err)
{
    struct buf keys = {0}, sql = {0};
    if (w->relation->match != MATCH_KEY)
        return true;
    for (uint16_t i = 0; i < w->relation->column_count; i++) {
        if (!w->relation->columns[i].key)
            continue;
        buf_append_text(&keys, keys.size ? ", " : "");
        ident_append(&keys, w->relation->columns[i].name);
    }
    buf_append_format(&sql, "SELECT FROM pg_temp.slackwater_stage GROUP BY %s"
                            " HAVING count(*) > 1 LIMIT 1", buf_text(&keys));
    PGresult *r = session_exec(&w->session, sql.data, err);
    bool repeated = r != NULL && PQntuples(r) > 0;
    if (repeated) {
        err_set(err, ERR_DATA, "two source rows have the same key (%s) at the target",
                buf_text(&keys));
        err_remedy(err, "let the rules and the types of the key's columns keep them apart; "
                        "`slackwater check` counts them");
    }
    PQclear(r);
    buf_free(&keys);
    buf_free(&sql);
    return r != NULL && !repeated;
}

/* True if the column's formula fails over the staged rows in the way of *err; what it writes is of
 * no matter here. */
static bool formula_fails(struct pg_table_writer *w, const struct column *column,
                          const struct err *err)
{
    struct buf sql = {0}, name = {0};
    struct err again = {0};
    buf_append_text(&name, "slackwater_stage.");
    ident_append(&name, column->name);
    buf_append_text(&sql, "ROLLBACK TO SAVEPOINT merge; SELECT count(x) FROM (SELECT ");
    formula_append(&sql, column->formula, buf_text(&name));
    buf_append_text(&sql, " AS x FROM pg_temp.slackwater_stage OFFSET 0) AS rows");
    bool failed = !session_run(&w->session, buf_text(&sql), &again) &&
                  strcmp(again.sqlstate, err->sqlstate) == 0;
    buf_free(&name);
    buf_free(&sql);
    return failed;
}

/* The server does not say which expression of a statement failed. */
static void blame_formula(struct pg_table_writer *w, struct err *err)
{
    if (err->class != ERR_DATA)
        return;
    for (uint16_t i = 0; i < w->relation->column_count; i++) {
        const struct column *column = &w->relation->columns[i];
        if (column->formula == NULL || !formula_fails(w, column, err))
            continue;
        err_wrap(err, "the sql of column %s", column->name);
        return;
    }
}

/* The source wins over what the application wrote to the target before the copy; what it wrote
 * since then is on its way in the stream. */
static bool merge_stage(struct pg_table_writer *w, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "INSERT INTO ");
    ident_append_qualified(&sql, w->relation->schema, w->relation->name);
    buf_append_text(&sql, " (");
    append_columns(w, &sql);
    buf_append_text(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    append_staged(w, &sql);
    buf_append_text(&sql, " FROM pg_temp.slackwater_stage");
    append_overwrite(w, &sql);
    bool merged = (!relation_has_formula(w->relation) ||
                   session_run(&w->session, "SAVEPOINT merge", err)) &&
                  session_run(&w->session, sql.data, err);
    buf_free(&sql);
    if (!merged)
        blame_formula(w, err);
    return merged && session_run(&w->session, "DROP TABLE pg_temp.slackwater_stage", err);
}

static bool pg_writer_loaded(struct table_writer *writer, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    if (!end_copy(w, err) || (w->staged && !(refuse_repeated_keys(w, err) && merge_stage(w, err))))
        return wrap_table(w, err);
    w->loaded = mem_grow(w->loaded, w->loaded_count + 1, sizeof(struct relation *));
    w->loaded[w->loaded_count++] = w->relation;
    return true;
}

static bool write_record(struct pg_table_writer *w, const struct copy_record *record,
                         struct err *err)
{
    char lsn[LSN_TEXT_SIZE];
    char rows[24];
    char bytes[24];
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)record->rows);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)record->bytes);
    const char *values[] = {w->config.migration,
                            w->config.sources[w->source],
                            record->snapshot,
                            lsn_format(record->lsn, lsn),
                            rows,
                            bytes};
    PGresult *r = session_query(&w->session,
                                "UPDATE slackwater.copy SET snapshot = $3, lsn = $4::pg_lsn,"
                                " rows = $5::bigint, bytes = $6::bigint, finished_at = now()"
                                " WHERE migration = $1 AND source = $2",
                                6, values, err);
    PQclear(r);
    return r != NULL;
}

/* Without statistics the planner may look a row up by a worse index, or none, until autovacuum
 * comes by. A role that may not ANALYZE gets a warning from the server, no error. */
static void analyze(struct pg_table_writer *w, const struct relation *relation)
{
    struct buf sql = {0};
    struct err ignored = {0};
    buf_append_text(&sql, "ANALYZE ");
    ident_append_qualified(&sql, relation->schema, relation->name);
    (void)session_run(&w->session, sql.data, &ignored); /* a lost connection shows next */
    buf_free(&sql);
}

static bool pg_writer_commit(struct table_writer *writer, const struct copy_record *record,
                             struct err *err)
{
    struct pg_table_writer *w = self(writer);
    if (!write_record(w, record, err) || !session_run(&w->session, "COMMIT", err))
        return err_wrap(err, "committing the copy of %s", w->config.sources[w->source]);
    for (size_t i = 0; i < w->loaded_count; i++)
        analyze(w, w->loaded[i]);
    return true;
}

/* Leaving the session rolls back, also in mid-COPY. */
static void pg_writer_rollback(struct table_writer *writer)
{
    session_close(&self(writer)->session);
}

static void pg_writer_close(struct table_writer *writer)
{
    session_close(&self(writer)->session);
}

static void pg_writer_destroy(struct table_writer *writer)
{
    struct pg_table_writer *w = self(writer);
    session_close(&w->session);
    buf_free(&w->out);
    free(w->loaded);
    free(w);
}

struct table_writer *pg_table_writer_create(const struct pg_writer_config *config)
{
    static const struct table_writer_ops OPS = {
        .open = pg_writer_open,
        .record = pg_writer_record,
        .begin = pg_writer_begin,
        .load = pg_writer_load,
        .write = pg_writer_write,
        .loaded = pg_writer_loaded,
        .commit = pg_writer_commit,
        .rollback = pg_writer_rollback,
        .close = pg_writer_close,
        .destroy = pg_writer_destroy,
    };
    struct pg_table_writer *w = mem_zero(1, sizeof *w);
    w->writer.ops = &OPS;
    w->config = *config;
    return &w->writer;
}
