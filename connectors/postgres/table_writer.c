/* Loads a target table by COPY (table_writer.h). */
#include "postgres/table_writer.h"

#include "base/buf.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "postgres/control.h"
#include "postgres/copy_in.h"
#include "postgres/dead_letter.h"
#include "postgres/deferred_index.h"
#include "postgres/ghost.h"
#include "postgres/text_array.h"
#include "postgres/truncation.h"
#include "schema/formula.h"
#include "postgres/target_types.h"
#include "schema/ident.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRUNCATE_PATIENCE "2s"
#define TRUNCATE_ATTEMPTS 3
#define TRUNCATE_PAUSE USEC_PER_SEC /* that whoever stands behind us may go */

static const char LOCK_NOT_AVAILABLE[] = "55P03";
static const char DUPLICATE_KEY[] = "23505";

struct pg_table_writer {
    struct table_writer writer;
    struct pg_writer_config config;
    struct session session;
    struct ghost ghost;              /* the server process of this or the last connection */
    uint32_t source;                 /* whose chunk the transaction holds */
    bool staged;                     /* the chunk */
    const struct relation *relation; /* being loaded */
    bool saved;                      /* rows go in parts that may be undone */
    struct copy_in copy;
    struct dead_letters letters;
    struct deferred_index index; /* that next_index() found */
};

static struct pg_table_writer *self(struct table_writer *writer)
{
    return (struct pg_table_writer *)(void *)writer;
}

/* What is recorded as copied must be on the disk, whatever the server's default is. */
static bool set_up_session(struct pg_table_writer *w, struct err *err)
{
    return ghost_end(&w->session, &w->ghost, err) && ghost_note(&w->session, &w->ghost, err) &&
           session_run(&w->session, "SET synchronous_commit = on; SET lock_timeout = '10s'",
                       err) &&
           (!w->config.use_replica_role ||
            session_run(&w->session, "SET session_replication_role = replica", err)) &&
           session_see_operators(&w->session, err);
}

static bool pg_writer_open(struct table_writer *writer, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return session_reopen(&w->session, "target", w->config.dsn, SESSION_SQL, w->config.stop,
                          err) &&
           (set_up_session(w, err) || err_wrap(err, "preparing a copy's target session"));
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

static bool run_query(struct pg_table_writer *w, const char *sql, int count,
                      const char *const *values, struct err *err)
{
    PGresult *r = session_query(&w->session, sql, count, values, err);
    PQclear(r);
    return r != NULL;
}

/* An UPDATE of the copy's row; $1 and $2 name it. */
static bool update_copy(struct pg_table_writer *w, const char *sql, int count,
                        const char *const *values, struct err *err)
{
    PGresult *r = session_query(&w->session, sql, count, values, err);
    bool found = r != NULL && strcmp(PQcmdTuples(r), "1") == 0;
    PQclear(r);
    if (found || r == NULL)
        return found;
    err_set(err, ERR_CONFIG, "target: the copy record of %s is gone", values[1]);
    return err_remedy(err, "somebody removed rows of schema slackwater: run `slackwater "
                           "cleanup`, empty the target tables, and start again");
}

/* ---- the plan ---- */

/* The source's next target table from *at on; NULL after the last. */
static const struct pg_target_table *next_target(const struct pg_table_writer *w,
                                                 uint32_t source, size_t *at)
{
    while (*at < w->config.table_count) {
        const struct pg_target_table *table = &w->config.tables[(*at)++];
        if (table->source == source)
            return table;
    }
    return NULL;
}

static bool refuse_doubling(const struct relation *relation, struct err *err)
{
    err_set(err, ERR_DATA, "target table %s.%s has rows and no key: copying would double them",
            relation->schema, relation->name);
    return err_remedy(err, "empty it, or give it a key");
}

static bool must_stage(struct pg_table_writer *w, uint32_t source, bool *staged,
                       struct err *err)
{
    const struct pg_target_table *table;
    size_t at = 0;
    *staged = false;
    while ((table = next_target(w, source, &at)) != NULL) {
        bool has_rows = false;
        if (!pg_table_has_rows(&w->session, table, &has_rows, err))
            return false;
        if (has_rows && table->relation->match != MATCH_KEY)
            return refuse_doubling(table->relation, err);
        *staged = *staged || has_rows;
    }
    return true;
}

/* An array of arrays as text: they are of different sizes. */
static void append_bounds(struct buf *arrays, const struct copy_plan *plan)
{
    struct buf bound = {0};
    buf_append_char(arrays, '{');
    for (size_t i = 0; i < plan->bound_count; i++) {
        const char *const *values = (const char *const *)plan->bounds[i];
        buf_clear(&bound);
        text_array_append(&bound, values, copy_bound_size(values));
        if (i > 0)
            buf_append_char(arrays, ',');
        text_array_append_item(arrays, bound.data, bound.size);
    }
    buf_append_char(arrays, '}');
    buf_free(&bound);
}

static bool keep_plan(struct pg_table_writer *w, uint32_t source, const struct copy_plan *plan,
                      struct err *err)
{
    struct buf bounds = {0};
    append_bounds(&bounds, plan);
    const char *values[] = {w->config.migration, w->config.sources[source],
                            plan->whole ? "t" : "f", plan->staged ? "t" : "f", bounds.data,
                            plan->key};
    bool ok = update_copy(w,
                          "UPDATE slackwater.copy SET plan_made = true, whole = $3,"
                          " staged = $4, bounds = $5, key = $6"
                          " WHERE migration = $1 AND source = $2",
                          6, values, err);
    buf_free(&bounds);
    return ok;
}

/* Of a target that several sources go to none is the one whose end is that of all. */
static bool has_other_sources(const struct pg_table_writer *w,
                              const struct pg_target_table *table)
{
    for (size_t i = 0; i < w->config.table_count; i++)
        if (w->config.tables[i].table == table->table &&
            w->config.tables[i].source != table->source)
            return true;
    return false;
}

static bool drop_indexes(struct pg_table_writer *w, uint32_t source, struct err *err)
{
    const struct pg_target_table *table;
    size_t at = 0;
    bool ok = true;
    while (ok && w->config.defer_indexes && (table = next_target(w, source, &at)) != NULL)
        ok = has_other_sources(w, table) ||
             deferred_index_drop(&w->session, w->config.migration, w->config.sources[source],
                                 table, err);
    return ok;
}

static bool pg_writer_plan(struct table_writer *writer, uint32_t source, struct copy_plan *plan,
                           struct err *err)
{
    struct pg_table_writer *w = self(writer);
    struct copy_plan made = *plan;
    made.made = true;
    if (!drop_indexes(w, source, err) || !must_stage(w, source, &made.staged, err) ||
        !keep_plan(w, source, &made, err))
        return err_wrap(err, "planning the copy of %s", w->config.sources[source]);
    *plan = made;
    return true;
}

/* ---- loading ---- */

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

static void append_stage(const struct pg_table_writer *w, struct buf *sql)
{
    buf_append_format(sql, "pg_temp.slackwater_stage_%u", w->relation->table);
}

/* Under the name that formulas read it by. */
static void append_from_stage(const struct pg_table_writer *w, struct buf *sql)
{
    buf_append_text(sql, " FROM ");
    append_stage(w, sql);
    buf_append_text(sql, " AS slackwater_stage");
}

/* Made once for the session, and emptied by each commit. */
static bool create_stage(struct pg_table_writer *w, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "CREATE TEMPORARY TABLE IF NOT EXISTS ");
    append_stage(w, &sql);
    buf_append_text(&sql, " ON COMMIT DELETE ROWS AS SELECT ");
    append_stage_columns(w, &sql);
    buf_append_text(&sql, " FROM ");
    ident_append_qualified(&sql, w->relation->schema, w->relation->name);
    buf_append_text(&sql, " WITH NO DATA");
    bool ok = session_run(&w->session, sql.data, err);
    buf_free(&sql);
    return ok;
}

/* Of what was saved before. */
static bool empty_stage(struct pg_table_writer *w, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "DELETE FROM ");
    append_stage(w, &sql);
    bool ok = session_run(&w->session, sql.data, err);
    buf_free(&sql);
    return ok;
}

/* COPY takes values, not expressions. */
static bool goes_by_stage(const struct pg_table_writer *w)
{
    return w->staged || relation_has_formula(w->relation);
}

static bool prepare_stage(struct pg_table_writer *w, struct err *err)
{
    if (w->staged && w->relation->match != MATCH_KEY)
        return refuse_doubling(w->relation, err);
    return !goes_by_stage(w) || (create_stage(w, err) && (!w->saved || empty_stage(w, err)));
}

static bool start_copy(struct pg_table_writer *w, bool binary, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "COPY ");
    if (goes_by_stage(w))
        append_stage(w, &sql);
    else
        ident_append_qualified(&sql, w->relation->schema, w->relation->name);
    if (w->relation->column_count > 0) {
        buf_append_text(&sql, " (");
        append_columns(w, &sql);
        buf_append_text(&sql, ")");
    }
    buf_append_format(&sql, " FROM STDIN (FORMAT %s)", binary ? "binary" : "text");
    bool ok = copy_in_begin(&w->copy, sql.data, binary, err);
    buf_free(&sql);
    return ok;
}

static bool wrap_table(struct pg_table_writer *w, struct err *err)
{
    return err_wrap(err, "loading table %s.%s", w->relation->schema, w->relation->name);
}

static bool begin_transaction(struct pg_table_writer *w, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "BEGIN; ");
    if (!w->config.use_replica_role)
        buf_append_text(&sql, "SET CONSTRAINTS ALL DEFERRED; ");
    control_append_copier_lock(&sql, w->config.migration);
    bool ok = session_run(&w->session, sql.data, err);
    buf_free(&sql);
    return ok;
}

static bool pg_writer_begin(struct table_writer *writer, uint32_t source, bool staged,
                            struct err *err)
{
    struct pg_table_writer *w = self(writer);
    w->source = source;
    w->staged = staged;
    w->saved = false;
    return begin_transaction(w, err) ||
           err_wrap(err, "beginning a chunk of %s", w->config.sources[source]);
}

static bool pg_writer_load(struct table_writer *writer, const struct relation *relation,
                           bool binary, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    w->relation = relation;
    return ((!binary || target_types_check(&w->session, relation, err)) &&
            prepare_stage(w, err) && start_copy(w, binary, err)) ||
           wrap_table(w, err);
}

static bool pg_writer_write(struct table_writer *writer, const struct row *row, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return copy_in_row(&w->copy, row, err) || wrap_table(w, err);
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

static void append_keys(const struct pg_table_writer *w, struct buf *sql)
{
    const char *separator = "(";
    for (uint16_t i = 0; i < w->relation->column_count; i++) {
        if (!w->relation->columns[i].key)
            continue;
        buf_append_text(sql, separator);
        ident_append(sql, w->relation->columns[i].name);
        separator = ", ";
    }
    buf_append_text(sql, ")");
}

static void append_overwrite(const struct pg_table_writer *w, struct buf *sql)
{
    if (!w->staged)
        return; /* a row that is there already is the copier's to resolve */
    buf_append_text(sql, " ON CONFLICT ");
    append_keys(w, sql);
    const char *separator = " DO UPDATE SET ";
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

static bool is_partitioned(const struct pg_table_writer *w)
{
    return w->config.tables[w->relation->table].table->kind == 'p';
}

static bool say_repeated(const struct buf *keys, struct err *err)
{
    err_set(err, ERR_DATA, "two source rows have the same key %s at the target", buf_text(keys));
    return err_remedy(err, "let the rules and the types of the key's columns keep them apart; "
                           "`slackwater check` counts them");
}

/* Two rows of the copy with one key: the upsert would hide the first, or fail with words about
 * itself. Columns of the stage have the target's types and collations, so equal means the same. */
static void append_repeated(struct pg_table_writer *w, const struct buf *keys, struct buf *sql)
{
    buf_append_text(sql, "SELECT");
    append_from_stage(w, sql);
    buf_append_format(sql, " GROUP BY %s HAVING count(*) > 1 LIMIT 1", buf_text(keys));
}

/* The same of blocks that are merged one by one (backfill/sift.h): what this transaction has
 * written is not over, and not older than its beginning. */
static void append_repeated_of_blocks(struct pg_table_writer *w, const struct buf *keys,
                                      struct buf *sql)
{
    buf_append_text(sql, "SELECT");
    append_from_stage(w, sql);
    buf_append_format(sql, " JOIN %s", is_partitioned(w) ? "" : "ONLY ");
    ident_append_qualified(sql, w->relation->schema, w->relation->name);
    buf_append_format(sql,
                      " AS target USING %s WHERE age(target.xmin) <= 0 AND"
                      " pg_xact_status((pg_current_xact_id()::text::bigint"
                      " - age(target.xmin))::text::xid8) = 'in progress' LIMIT 1",
                      buf_text(keys));
}

static bool refuse_repeated_keys(struct pg_table_writer *w, struct err *err)
{
    struct buf keys = {0};
    bool ok = true;
    if (w->relation->match != MATCH_KEY)
        return true;
    append_keys(w, &keys);
    for (int blocks = 0; ok && blocks <= w->saved; blocks++) {
        struct buf sql = {0};
        (blocks ? append_repeated_of_blocks : append_repeated)(w, &keys, &sql);
        PGresult *r = session_exec(&w->session, sql.data, err);
        ok = r != NULL && (PQntuples(r) == 0 || say_repeated(&keys, err));
        PQclear(r);
        buf_free(&sql);
    }
    buf_free(&keys);
    return ok;
}

/* True if the column's formula fails over the staged rows in the way of *err; what it writes is
 * of no matter here. */
static bool formula_fails(struct pg_table_writer *w, const struct column *column,
                          const struct err *err)
{
    struct buf sql = {0}, name = {0};
    struct err again = {0};
    buf_append_text(&name, "slackwater_stage.");
    ident_append(&name, column->name);
    buf_append_text(&sql, "ROLLBACK TO SAVEPOINT merge; SELECT count(x) FROM (SELECT ");
    formula_append(&sql, column->formula, buf_text(&name));
    buf_append_text(&sql, " AS x");
    append_from_stage(w, &sql);
    buf_append_text(&sql, " OFFSET 0) AS rows");
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

/* Rows that are not the copy's are at the target: from here on as if they had been before it. */
static bool keep_staging(struct pg_table_writer *w, struct err *err)
{
    return run_query(w,
                     "UPDATE slackwater.copy SET staged = true"
                     " WHERE migration = $1 AND source = $2 AND NOT staged",
                     2, (const char *[]){w->config.migration, w->config.sources[w->source]},
                     err);
}

/* Another unique key than that of the copy has refused the staged rows. *met grows if some of them
 * are at the target already; that is kept, instead of the chunk. Where it cannot be, a later run
 * finds it by the same chunk. */
static void find_met(struct pg_table_writer *w, const struct err *err, uint64_t *met)
{
    struct buf sql = {0};
    struct err ignored = {0};
    if (!w->staged || w->saved || strcmp(err->sqlstate, DUPLICATE_KEY) != 0)
        return;
    buf_append_text(&sql, "ROLLBACK TO SAVEPOINT merge; SELECT EXISTS (SELECT");
    append_from_stage(w, &sql);
    buf_append_format(&sql, " JOIN %s", is_partitioned(w) ? "" : "ONLY ");
    ident_append_qualified(&sql, w->relation->schema, w->relation->name);
    buf_append_text(&sql, " AS target USING ");
    append_keys(w, &sql);
    buf_append_text(&sql, ")");
    PGresult *r = session_exec(&w->session, sql.data, &ignored);
    bool found = r != NULL && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    buf_free(&sql);
    if (!found)
        return;
    *met += 1;
    (void)(session_run(&w->session, "ROLLBACK", &ignored) && keep_staging(w, &ignored));
}

/* RETURNING cannot read xmax through a partitioned table. */
static bool tells_overwritten(const struct pg_table_writer *w)
{
    bool any = false;
    for (uint16_t i = 0; i < w->relation->column_count; i++)
        any = any || !(w->relation->columns[i].key || w->relation->columns[i].identity_always);
    return w->staged && any && !is_partitioned(w);
}

static void append_merge(const struct pg_table_writer *w, struct buf *sql)
{
    bool tells = tells_overwritten(w);
    buf_append_text(sql, tells ? "WITH merged AS (INSERT INTO " : "INSERT INTO ");
    ident_append_qualified(sql, w->relation->schema, w->relation->name);
    buf_append_text(sql, " (");
    append_columns(w, sql);
    buf_append_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    append_staged(w, sql);
    append_from_stage(w, sql);
    append_overwrite(w, sql);
    if (tells)
        buf_append_text(sql, " RETURNING xmax <> 0 AS existed)"
                             " SELECT count(*) FROM merged WHERE existed");
}

/* The source wins over what the application wrote to the target before the copy; what it wrote
 * since then is on its way in the stream. */
static bool merge_stage(struct pg_table_writer *w, uint64_t *met, struct err *err)
{
    struct buf sql = {0};
    append_merge(w, &sql);
    PGresult *r = session_run(&w->session, "SAVEPOINT merge", err)
                      ? session_exec(&w->session, sql.data, err)
                      : NULL;
    bool merged = r != NULL;
    if (merged && PQntuples(r) == 1)
        *met += strtoull(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    buf_free(&sql);
    if (!merged) {
        blame_formula(w, err);
        find_met(w, err, met);
    }
    return merged;
}

static bool pg_writer_loaded(struct table_writer *writer, uint64_t *met, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return (copy_in_end(&w->copy, err) &&
            (!goes_by_stage(w) || (refuse_repeated_keys(w, err) && merge_stage(w, met, err)))) ||
           wrap_table(w, err);
}

/* ---- rows that are refused ---- */

#define SAVEPOINT "slackwater_rows"

static bool pg_writer_save(struct table_writer *writer, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    const char *sql = w->saved ? "RELEASE SAVEPOINT " SAVEPOINT "; SAVEPOINT " SAVEPOINT
                               : "SAVEPOINT " SAVEPOINT;
    if (!session_run(&w->session, sql, err))
        return err_wrap(err, "sifting a chunk of %s", w->config.sources[w->source]);
    w->saved = true;
    return true;
}

static bool pg_writer_undo(struct table_writer *writer, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return session_run(&w->session, "ROLLBACK TO SAVEPOINT " SAVEPOINT, err) ||
           err_wrap(err, "sifting a chunk of %s", w->config.sources[w->source]);
}

static bool pg_writer_park(struct table_writer *writer, const struct letter *letter,
                           struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return dead_letters_add(&w->letters, &w->session, letter, err);
}

static bool pg_writer_parked(struct table_writer *writer, const struct letter *letters,
                             size_t count, struct quarantine *quarantine, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return dead_letters_load_keys(&w->letters, &w->session, letters, count, quarantine, err);
}

/* ---- the end of a chunk ---- */

/* Only behind the chunks that are known here, and what the stream had applied when the chunk was
 * let in: a target that has come back without some, or with those of a copy that had begun anew,
 * takes no more until resume() has seen to it. The copy's row is locked against that, but not by
 * one lane against another: a COMMIT may take long. Nor is the stream's: what it lost and brings
 * again waits for the chunk's rows, whose parents are locked. */
static const char RECORD_SQL[] =
    "WITH copy AS (SELECT FROM slackwater.copy"
    "              WHERE migration = $1::text AND source = $2::text AND plan_made"
    "                AND begun = $10::int"
    "                AND ($11::pg_lsn = '0/0' OR EXISTS (SELECT FROM slackwater.progress"
    "                     WHERE migration = $1::text AND lsn >= $11::pg_lsn)) FOR SHARE),"
    " counted AS (INSERT INTO slackwater.lane AS l (migration, source, lane, chunks)"
    "             SELECT $1::text, $2::text, $3::int, 1 FROM copy"
    "             ON CONFLICT (migration, source, lane) DO UPDATE SET chunks = l.chunks + 1"
    "             RETURNING chunks)"
    " INSERT INTO slackwater.chunk (migration, source, lane, number, upto, snapshot, lsn, rows,"
    "                               bytes)"
    " SELECT $1::text, $2::text, $3::int, $4::int, $5::text[], $6::text, $7::pg_lsn, "
    "$8::bigint,"
    "        $9::bigint"
    " FROM counted WHERE chunks = $4::int + 1";

static bool say_lost(const struct pg_table_writer *w, const struct chunk_record *record,
                     struct err *err)
{
    err_set(err, w->config.alone ? ERR_CONFIG : ERR_RETRY,
            "target: it lacks what was copied or applied before chunk %u of lane %u",
            record->number, record->lane);
    return w->config.alone &&
           err_remedy(err, "it has come back without that, as after a failover: run again, and "
                           "what it lacks is copied again");
}

static bool insert_record(struct pg_table_writer *w, const struct chunk_record *record,
                          const char *upto, struct err *err)
{
    char lsn[LSN_TEXT_SIZE];
    char lane[16];
    char number[16];
    char rows[24];
    char bytes[24];
    char begun[16];
    char stands_on[LSN_TEXT_SIZE];
    snprintf(lane, sizeof lane, "%u", record->lane);
    snprintf(number, sizeof number, "%u", record->number);
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)record->rows);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)record->bytes);
    snprintf(begun, sizeof begun, "%u", record->begun);
    const char *values[] = {
        w->config.migration, w->config.sources[w->source], lane, number, upto,
        record->snapshot,    lsn_format(record->lsn, lsn), rows, bytes,
        begun,               lsn_format(record->stands_on, stands_on)};
    PGresult *r = session_query(&w->session, RECORD_SQL, 11, values, err);
    bool inserted = r != NULL && strcmp(PQcmdTuples(r), "1") == 0;
    PQclear(r);
    return inserted || (r != NULL && say_lost(w, record, err));
}

static bool pg_writer_commit(struct table_writer *writer, const struct chunk_record *record,
                             uint16_t key_count, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    struct buf upto = {0};
    if (record->upto != NULL)
        text_array_append(&upto, (const char *const *)record->upto, key_count);
    bool ok = (record->met == 0 || keep_staging(w, err)) &&
              insert_record(w, record, upto.data, err) && failpoint(COPY_RECORDED, err) &&
              session_run(&w->session, "COMMIT", err);
    buf_free(&upto);
    return ok || err_wrap(err, "committing a chunk of %s", w->config.sources[w->source]);
}

/* open() has ended the process that was sent the COMMIT. */
static bool pg_writer_outcome(struct table_writer *writer, uint32_t source,
                              const struct chunk_record *record, bool *committed,
                              struct err *err)
{
    struct pg_table_writer *w = self(writer);
    char texts[3][16];
    snprintf(texts[0], sizeof texts[0], "%u", record->lane);
    snprintf(texts[1], sizeof texts[1], "%u", record->number);
    snprintf(texts[2], sizeof texts[2], "%u", record->begun);
    const char *values[] = {w->config.migration, w->config.sources[source], texts[0], texts[1],
                            texts[2]};
    PGresult *r = session_query(&w->session,
                                "SELECT FROM slackwater.chunk JOIN slackwater.copy"
                                " USING (migration, source) WHERE migration = $1"
                                " AND source = $2 AND lane = $3 AND number = $4 AND begun = $5",
                                5, values, err);
    if (r == NULL)
        return err_wrap(err, "looking for a chunk of %s", values[1]);
    *committed = PQntuples(r) == 1;
    PQclear(r);
    return true;
}

/* ---- the end of a copy, and its beginning anew ---- */

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

static bool pg_writer_next_index(struct table_writer *writer, uint32_t source,
                                 const char **name, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    deferred_index_free(&w->index);
    if (!deferred_index_next(&w->session, w->config.migration, w->config.sources[source], 0,
                             &w->index, err))
        return false;
    *name = w->index.name;
    return true;
}

static bool pg_writer_build_index(struct table_writer *writer, bool beside, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return deferred_index_build(&w->session, w->config.migration, &w->index, beside, err);
}

static bool pg_writer_finish(struct table_writer *writer, uint32_t source, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    const char *values[] = {w->config.migration, w->config.sources[source]};
    const struct pg_target_table *table;
    size_t at = 0;
    if (!update_copy(w,
                     "UPDATE slackwater.copy SET finished_at = now()"
                     " WHERE migration = $1 AND source = $2",
                     2, values, err))
        return err_wrap(err, "finishing the copy of %s", values[1]);
    while ((table = next_target(w, source, &at)) != NULL)
        analyze(w, table->relation);
    return true;
}

static bool refuse_emptying(const struct pg_table_writer *w, uint32_t source,
                            const struct relation *target, struct err *err)
{
    err_set(err, ERR_DATA,
            "the copy of %s cannot begin anew: which rows of target table %s.%s are its own "
            "cannot be told, other source tables write there too",
            w->config.sources[source], target->schema, target->name);
    return err_remedy(err, "give each of them a column with another constant in the key, then "
                           "begin the migration anew");
}

static bool empty_targets(struct pg_table_writer *w, uint32_t source, enum truncation_way way,
                          struct err *err)
{
    const struct pg_target_table **tables = mem_zero(w->config.table_count + 1, sizeof *tables);
    const struct pg_target_table *table;
    size_t count = 0;
    size_t at = 0;
    bool ok = true;
    while (ok && (table = next_target(w, source, &at)) != NULL) {
        tables[count++] = table;
        ok = !table->shared || refuse_emptying(w, source, table->relation, err);
    }
    struct truncation *truncation = truncation_create(w->config.catalog, tables, count, way);
    for (size_t i = 0; ok && i < truncation->count; i++)
        ok = session_run(&w->session, truncation->statements[i], err);
    truncation_free(truncation);
    free(tables);
    return ok;
}

static bool forget_chunks(struct pg_table_writer *w, uint32_t source, bool whole,
                          struct err *err)
{
    const char *values[] = {w->config.migration, w->config.sources[source], whole ? "t" : "f"};
    return run_query(w, "DELETE FROM slackwater.chunk WHERE migration = $1 AND source = $2", 2,
                     values, err) &&
           run_query(w, "DELETE FROM slackwater.lane WHERE migration = $1 AND source = $2", 2,
                     values, err) &&
           update_copy(w,
                       "UPDATE slackwater.copy SET needed = true, plan_made = false, whole = $3,"
                       " staged = false, bounds = NULL, begun = begun + 1, finished_at = NULL"
                       " WHERE migration = $1 AND source = $2",
                       3, values, err);
}

static bool keep_renewal(struct pg_table_writer *w, uint32_t source,
                         const struct copy_renewal *renewal, struct err *err)
{
    char changed[32];
    if (renewal == NULL)
        return true;
    snprintf(changed, sizeof changed, "%lld", (long long)renewal->updates_deletes);
    const char *values[] = {w->config.migration,  w->config.sources[source], renewal->covers,
                            renewal->fingerprint, renewal->stats_reset,      changed};
    return update_copy(w,
                       "UPDATE slackwater.copy SET covers = $3, partitions = $4,"
                       " stats_reset = $5, updates_deletes = $6::bigint"
                       " WHERE migration = $1 AND source = $2",
                       6, values, err);
}

/* Without a chunk no row there is of the copy, nor of the stream, which drops what is to come. */
static bool has_chunks(struct pg_table_writer *w, uint32_t source, bool *has, struct err *err)
{
    const char *values[] = {w->config.migration, w->config.sources[source]};
    PGresult *r = session_query(&w->session,
                                "SELECT EXISTS (SELECT FROM slackwater.chunk"
                                "               WHERE migration = $1 AND source = $2)",
                                2, values, err);
    if (r != NULL)
        *has = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
}

static bool try_reset(struct pg_table_writer *w, uint32_t source, bool whole,
                      const struct copy_renewal *renewal, enum truncation_way way,
                      struct err *err)
{
    bool ours = false;
    return begin_transaction(w, err) &&
           (way == TRUNCATION_DELETES ||
            session_run(&w->session, "SET LOCAL lock_timeout = '" TRUNCATE_PATIENCE "'", err)) &&
           has_chunks(w, source, &ours, err) &&
           (!(ours || renewal != NULL) || empty_targets(w, source, way, err)) &&
           forget_chunks(w, source, whole, err) &&
           dead_letters_void(&w->session, w->config.migration, w->config.sources[source], err) &&
           keep_renewal(w, source, renewal, err) &&
           session_run(&w->session, "COMMIT", err);
}

/* While somebody reads a target it cannot be truncated, and who comes after us waits with us. */
static bool pg_writer_reset(struct table_writer *writer, uint32_t source, bool whole,
                            const struct copy_renewal *renewal, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    struct err refused;
    for (int attempt = 1; attempt <= TRUNCATE_ATTEMPTS; attempt++) {
        if (try_reset(w, source, whole, renewal, TRUNCATION_KEEPS_IDENTITY, &refused))
            return true;
        *err = refused;
        if (strcmp(refused.sqlstate, LOCK_NOT_AVAILABLE) != 0 ||
            !session_run(&w->session, "ROLLBACK", err))
            return err_wrap(err, "emptying the targets of %s", w->config.sources[source]);
        if (stop_wait(w->config.stop, clock_monotonic() + TRUNCATE_PAUSE))
            return err_set(err, ERR_STOPPED, "stopped before a target table was emptied");
    }
    log_event(LOG_WARN, "target tables are in use and cannot be truncated: their rows are deleted",
              log_text("source", w->config.sources[source]), log_text("error", refused.message));
    return try_reset(w, source, whole, renewal, TRUNCATION_DELETES, err) ||
           err_wrap(err, "emptying the targets of %s", w->config.sources[source]);
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
    copy_in_free(&w->copy);
    deferred_index_free(&w->index);
    dead_letters_free(&w->letters);
    free(w);
}

struct table_writer *pg_table_writer_create(const struct pg_writer_config *config)
{
    static const struct table_writer_ops OPS = {
        .open = pg_writer_open,
        .plan = pg_writer_plan,
        .begin = pg_writer_begin,
        .load = pg_writer_load,
        .write = pg_writer_write,
        .loaded = pg_writer_loaded,
        .save = pg_writer_save,
        .undo = pg_writer_undo,
        .park = pg_writer_park,
        .parked = pg_writer_parked,
        .commit = pg_writer_commit,
        .outcome = pg_writer_outcome,
        .next_index = pg_writer_next_index,
        .build_index = pg_writer_build_index,
        .finish = pg_writer_finish,
        .reset = pg_writer_reset,
        .rollback = pg_writer_rollback,
        .close = pg_writer_close,
        .destroy = pg_writer_destroy,
    };
    struct pg_table_writer *w = mem_zero(1, sizeof *w);
    assert(config->catalog != NULL && config->table_count > 0);
    w->writer.ops = &OPS;
    w->config = *config;
    w->copy.session = &w->session;
    dead_letters_init(&w->letters, config->letters);
    return &w->writer;
}
