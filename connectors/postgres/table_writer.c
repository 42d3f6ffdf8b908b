/* Loads a target table by COPY (table_writer.h). */
#include "postgres/table_writer.h"

#include "base/buf.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "postgres/control.h"
#include "postgres/copy_in.h"
#include "postgres/copy_record.h"
#include "postgres/copy_stage.h"
#include "postgres/dead_letter.h"
#include "postgres/deferred_index.h"
#include "postgres/ghost.h"
#include "postgres/target_types.h"
#include "postgres/truncation.h"
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

#define BACK_TO_MERGE "ROLLBACK TO SAVEPOINT merge; "

struct pg_table_writer {
    struct table_writer writer;
    struct pg_writer_config config;
    struct session session;
    struct ghost ghost;      /* the server process of this or the last connection */
    uint32_t source;         /* whose chunk the transaction holds */
    struct copy_stage stage; /* of the table being loaded */
    bool saved;              /* rows go in parts that may be undone */
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
        !copy_record_keep_plan(&w->session, w->config.migration, w->config.sources[source],
                               &made, err))
        return err_wrap(err, "planning the copy of %s", w->config.sources[source]);
    *plan = made;
    return true;
}

/* ---- loading ---- */

static bool run_stage_sql(struct pg_table_writer *w,
                          void (*append)(struct buf *sql, const struct copy_stage *stage),
                          struct err *err)
{
    struct buf sql = {0};
    append(&sql, &w->stage);
    bool ok = session_run(&w->session, sql.data, err);
    buf_free(&sql);
    return ok;
}

/* COPY takes values, not expressions. */
static bool goes_by_stage(const struct pg_table_writer *w)
{
    return w->stage.overwrites || relation_has_formula(w->stage.relation);
}

static bool prepare_stage(struct pg_table_writer *w, struct err *err)
{
    if (w->stage.overwrites && w->stage.relation->match != MATCH_KEY)
        return refuse_doubling(w->stage.relation, err);
    if (!goes_by_stage(w))
        return true;
    return run_stage_sql(w, copy_stage_create_sql, err) &&
           (!w->saved || run_stage_sql(w, copy_stage_empty_sql, err)); /* of what was saved */
}

static bool start_copy(struct pg_table_writer *w, bool binary, struct err *err)
{
    struct buf sql = {0};
    copy_stage_load_sql(&sql, &w->stage, !goes_by_stage(w), binary);
    bool ok = copy_in_begin(&w->copy, sql.data, binary, err);
    buf_free(&sql);
    return ok;
}

static bool wrap_table(struct pg_table_writer *w, struct err *err)
{
    return err_wrap(err, "loading table %s.%s", w->stage.relation->schema,
                    w->stage.relation->name);
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
    w->stage.overwrites = staged;
    w->saved = false;
    return begin_transaction(w, err) ||
           err_wrap(err, "beginning a chunk of %s", w->config.sources[source]);
}

static bool pg_writer_load(struct table_writer *writer, const struct relation *relation,
                           bool binary, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    w->stage.relation = relation;
    w->stage.partitioned = w->config.tables[relation->table].table->kind == 'p';
    return ((!binary || target_types_check(&w->session, relation, err)) &&
            prepare_stage(w, err) && start_copy(w, binary, err)) ||
           wrap_table(w, err);
}

static bool pg_writer_write(struct table_writer *writer, const struct row *row, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return copy_in_row(&w->copy, row, err) || wrap_table(w, err);
}

static bool say_repeated(const struct pg_table_writer *w, struct err *err)
{
    struct buf keys = {0};
    copy_stage_keys(&keys, &w->stage);
    err_set(err, ERR_DATA, "two source rows have the same key %s at the target",
            buf_text(&keys));
    buf_free(&keys);
    return err_remedy(err, "let the rules and the types of the key's columns keep them apart; "
                           "`slackwater check` counts them");
}

static bool refuse_repeated_keys(struct pg_table_writer *w, struct err *err)
{
    bool ok = true;
    if (w->stage.relation->match != MATCH_KEY)
        return true;
    for (int blocks = 0; ok && blocks <= w->saved; blocks++) {
        struct buf sql = {0};
        (blocks ? copy_stage_repeated_of_blocks_sql : copy_stage_repeated_sql)(&sql, &w->stage);
        PGresult *r = session_exec(&w->session, sql.data, err);
        ok = r != NULL && (PQntuples(r) == 0 || say_repeated(w, err));
        PQclear(r);
        buf_free(&sql);
    }
    return ok;
}

/* True if the column's formula fails over the staged rows in the way of *err; what it writes is
 * of no matter here. */
static bool formula_fails(struct pg_table_writer *w, const struct column *column,
                          const struct err *err)
{
    struct buf sql = {0};
    struct err again = {0};
    buf_append_text(&sql, BACK_TO_MERGE);
    copy_stage_formula_sql(&sql, &w->stage, column);
    bool failed = !session_run(&w->session, buf_text(&sql), &again) &&
                  strcmp(again.sqlstate, err->sqlstate) == 0;
    buf_free(&sql);
    return failed;
}

/* The server does not say which expression of a statement failed. */
static void blame_formula(struct pg_table_writer *w, struct err *err)
{
    if (err->class != ERR_DATA)
        return;
    for (uint16_t i = 0; i < w->stage.relation->column_count; i++) {
        const struct column *column = &w->stage.relation->columns[i];
        if (column->formula == NULL || !formula_fails(w, column, err))
            continue;
        err_wrap(err, "the sql of column %s", column->name);
        return;
    }
}

/* From here on as if its rows had been there before the copy. */
static bool keep_staged(struct pg_table_writer *w, struct err *err)
{
    return copy_record_keep_staged(&w->session, w->config.migration,
                                   w->config.sources[w->source], err);
}

/* Another unique key than that of the copy has refused the staged rows. *met grows if some of them
 * are at the target already; that is kept, instead of the chunk. Where it cannot be, a later run
 * finds it by the same chunk. */
static void find_met(struct pg_table_writer *w, const struct err *err, uint64_t *met)
{
    struct buf sql = {0};
    struct err ignored = {0};
    if (!w->stage.overwrites || w->saved || strcmp(err->sqlstate, DUPLICATE_KEY) != 0)
        return;
    buf_append_text(&sql, BACK_TO_MERGE);
    copy_stage_met_sql(&sql, &w->stage);
    PGresult *r = session_exec(&w->session, sql.data, &ignored);
    bool found = r != NULL && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    buf_free(&sql);
    if (!found)
        return;
    *met += 1;
    (void)(session_run(&w->session, "ROLLBACK", &ignored) && keep_staged(w, &ignored));
}

static bool merge_stage(struct pg_table_writer *w, uint64_t *met, struct err *err)
{
    struct buf sql = {0};
    copy_stage_merge_sql(&sql, &w->stage);
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
    return (copy_in_end(&w->copy, err) && (!goes_by_stage(w) || (refuse_repeated_keys(w, err) &&
                                                                 merge_stage(w, met, err)))) ||
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

static bool pg_writer_commit(struct table_writer *writer, const struct chunk_record *record,
                             uint16_t key_count, struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return ((record->met == 0 || keep_staged(w, err)) &&
            copy_record_add_chunk(&w->session, w->config.migration,
                                  w->config.sources[w->source], record, key_count,
                                  w->config.alone, err) &&
            failpoint(COPY_RECORDED, err) && session_run(&w->session, "COMMIT", err)) ||
           err_wrap(err, "committing a chunk of %s", w->config.sources[w->source]);
}

/* open() has ended the process that was sent the COMMIT. */
static bool pg_writer_outcome(struct table_writer *writer, uint32_t source,
                              const struct chunk_record *record, bool *committed,
                              struct err *err)
{
    struct pg_table_writer *w = self(writer);
    return copy_record_has_chunk(&w->session, w->config.migration, w->config.sources[source],
                                 record, committed, err);
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
    const struct pg_target_table *table;
    size_t at = 0;
    if (!copy_record_finish(&w->session, w->config.migration, w->config.sources[source], err))
        return err_wrap(err, "finishing the copy of %s", w->config.sources[source]);
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

static bool try_reset(struct pg_table_writer *w, uint32_t source, bool whole,
                      const struct copy_renewal *renewal, enum truncation_way way,
                      struct err *err)
{
    const char *migration = w->config.migration;
    const char *name = w->config.sources[source];
    bool ours = false;
    return begin_transaction(w, err) &&
           (way == TRUNCATION_DELETES ||
            session_run(&w->session, "SET LOCAL lock_timeout = '" TRUNCATE_PATIENCE "'",
                        err)) &&
           copy_record_has_chunks(&w->session, migration, name, &ours, err) &&
           (!(ours || renewal != NULL) || empty_targets(w, source, way, err)) &&
           copy_record_begin_anew(&w->session, migration, name, whole, err) &&
           dead_letters_void(&w->session, migration, name, err) &&
           (renewal == NULL || copy_record_renew(&w->session, migration, name, renewal, err)) &&
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
    log_event(
        LOG_WARN, "target tables are in use and cannot be truncated: their rows are deleted",
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
