/* The records of copies: the rows of slackwater.copy, chunk and lane (copy_record.h). */
#include "postgres/copy_record.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/field.h"
#include "postgres/text_array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool run_query(struct session *session, const char *sql, int count,
                      const char *const *values, struct err *err)
{
    PGresult *r = session_query(session, sql, count, values, err);
    PQclear(r);
    return r != NULL;
}

/* An UPDATE of the copy's row; $1 and $2 name it. */
static bool update_copy(struct session *session, const char *sql, int count,
                        const char *const *values, struct err *err)
{
    PGresult *r = session_query(session, sql, count, values, err);
    bool found = r != NULL && strcmp(PQcmdTuples(r), "1") == 0;
    PQclear(r);
    if (found || r == NULL)
        return found;
    err_set(err, ERR_CONFIG, "target: the copy record of %s is gone", values[1]);
    return err_remedy(err, "somebody removed rows of schema slackwater: run `slackwater "
                           "cleanup`, empty the target tables, and start again");
}

/* ---- where a migration begins ---- */

bool copy_record_insert(struct session *session, const char *migration,
                        const struct copy_record *copy, struct err *err)
{
    char changed[32];
    snprintf(changed, sizeof changed, "%lld", (long long)copy->updates_deletes);
    const char *values[] = {
        migration,         copy->source,      changed,          copy->copy.needed ? "t" : "f",
        copy->fingerprint, copy->copy.covers, copy->stats_reset};
    return run_query(session,
                     "INSERT INTO slackwater.copy (migration, source, updates_deletes, needed,"
                     "                             partitions, covers, stats_reset)"
                     " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                     7, values, err);
}

bool copy_records_join(struct session *session, const char *migration, size_t copy_count,
                       const struct copy_record *copies, struct err *err)
{
    bool ok = session_run(session, "BEGIN", err);
    for (size_t i = 0; ok && i < copy_count; i++)
        ok = copy_record_insert(session, migration, &copies[i], err);
    return (ok && session_run(session, "COMMIT", err)) ||
           err_wrap(err, "recording the tables that join");
}

bool copy_record_sources(struct session *session, const char *migration, char ***names,
                         size_t *count, struct err *err)
{
    PGresult *r = session_query(session,
                                "SELECT coalesce(array_agg(source), '{}')"
                                " FROM slackwater.copy WHERE migration = $1",
                                1, &migration, err);
    bool ok = r != NULL && text_array_parse(PQgetvalue(r, 0, 0), names, count, err);
    PQclear(r);
    return ok || err_wrap(err, "reading the migration's tables");
}

/* ---- as a run finds them ---- */

/* With a NULL behind its values. */
static bool read_bound(const char *text, char ***bound, struct err *err)
{
    size_t size = 0;
    if (!text_array_parse(text, bound, &size, err))
        return false;
    *bound = mem_grow(*bound, size + 1, sizeof **bound);
    (*bound)[size] = NULL;
    return true;
}

static bool read_bounds(const char *text, struct copy_plan *plan, struct err *err)
{
    char **arrays = NULL;
    size_t count = 0;
    if (!text_array_parse(text, &arrays, &count, err))
        return false;
    plan->bounds = mem_zero(count + 1, sizeof *plan->bounds);
    while (plan->bound_count < count &&
           read_bound(arrays[plan->bound_count], &plan->bounds[plan->bound_count], err))
        plan->bound_count++;
    text_array_free(arrays, count);
    return plan->bound_count == count;
}

static bool read_copy(const PGresult *r, int row, struct copy_record *found, struct err *err)
{
    struct copy_plan *plan = &found->copy.plan;
    found->source = field_text(r, row, 0);
    found->updates_deletes = strtoll(PQgetvalue(r, row, 1), NULL, 10);
    found->fingerprint = field_text(r, row, 2);
    found->copy.needed = field_flag(r, row, 3);
    found->copy.finished = field_flag(r, row, 4);
    plan->made = field_flag(r, row, 5);
    plan->whole = field_flag(r, row, 6);
    plan->staged = field_flag(r, row, 7);
    found->copy.begun = (uint32_t)strtoul(PQgetvalue(r, row, 9), NULL, 10);
    found->copy.covers = field_text(r, row, 10);
    found->chunks = strtoull(PQgetvalue(r, row, 11), NULL, 10);
    plan->key = field_text(r, row, 12);
    found->stats_reset = field_text(r, row, 13);
    return PQgetisnull(r, row, 8) || read_bounds(PQgetvalue(r, row, 8), plan, err);
}

static bool read_copies(struct session *session, const char *migration,
                        struct copy_record **copies, size_t *count, struct err *err)
{
    PGresult *r =
        session_query(session,
                      "SELECT source, updates_deletes, partitions, needed,"
                      " finished_at IS NOT NULL, plan_made, whole, staged, bounds, begun,"
                      " covers, (SELECT coalesce(sum(chunks), 0) FROM slackwater.lane l"
                      "          WHERE l.migration = c.migration AND l.source = c.source),"
                      " key, stats_reset"
                      " FROM slackwater.copy c WHERE migration = $1"
                      " ORDER BY source COLLATE \"C\"",
                      1, &migration, err);
    bool ok = r != NULL;
    *count = ok ? (size_t)PQntuples(r) : 0;
    *copies = mem_zero(*count + 1, sizeof **copies);
    for (size_t i = 0; ok && i < *count; i++)
        ok = read_copy(r, (int)i, &(*copies)[i], err);
    PQclear(r);
    return ok;
}

/* All chunks of a table end at keys of as many columns. */
static bool read_upto(const PGresult *r, int row, struct copy_record *copy,
                      struct chunk_record *chunk, struct err *err)
{
    size_t count = 0;
    if (PQgetisnull(r, row, 3))
        return true;
    if (!text_array_parse(PQgetvalue(r, row, 3), &chunk->upto, &count, err))
        return false;
    if (copy->copy.key_count == 0)
        copy->copy.key_count = (uint16_t)count;
    if (count > 0 && copy->copy.key_count == count)
        return true;
    text_array_free(chunk->upto, count);
    chunk->upto = NULL;
    return err_set(err, ERR_CORRUPT, "chunks of %s end at keys of different columns",
                   copy->source);
}

static bool read_chunk(const PGresult *r, int row, struct copy_record *copy, struct err *err)
{
    struct table_copy *table = &copy->copy;
    struct chunk_record *chunk = &table->chunks[table->chunk_count++];
    *chunk = (struct chunk_record){
        .lane = (uint32_t)strtoul(PQgetvalue(r, row, 1), NULL, 10),
        .number = (uint32_t)strtoul(PQgetvalue(r, row, 2), NULL, 10),
        .snapshot = field_text(r, row, 4),
        .lsn = field_lsn(r, row, 5),
        .rows = strtoull(PQgetvalue(r, row, 6), NULL, 10),
        .bytes = strtoull(PQgetvalue(r, row, 7), NULL, 10),
    };
    return read_upto(r, row, copy, chunk, err);
}

/* Chunks come in the order of the copies, of which each has its own one after another. */
static bool read_chunks(struct session *session, const char *migration,
                        struct copy_record *copies, size_t count, struct err *err)
{
    PGresult *r = session_query(session,
                                "SELECT source, lane, number, upto, snapshot, lsn, rows, bytes"
                                " FROM slackwater.chunk WHERE migration = $1"
                                " ORDER BY source COLLATE \"C\", lane, number",
                                1, &migration, err);
    bool ok = r != NULL;
    int row = 0;
    for (size_t i = 0; ok && i < count; i++) {
        int first = row;
        while (row < PQntuples(r) && strcmp(PQgetvalue(r, row, 0), copies[i].source) == 0)
            row++;
        copies[i].copy.chunks =
            mem_zero((size_t)(row - first) + 1, sizeof(struct chunk_record));
        for (int at = first; ok && at < row; at++)
            ok = read_chunk(r, at, &copies[i], err);
    }
    PQclear(r);
    return ok;
}

/* Chunks are read after the copies, and more may have come between. Fewer: somebody has removed
 * their rows, and what was copied then is not known any more. */
static bool check_chunks(const struct copy_record *copies, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (copies[i].copy.chunk_count >= copies[i].chunks)
            continue;
        err_set(err, ERR_CONFIG,
                "slackwater.chunk has %zu of the %zu chunks of %s that were copied",
                copies[i].copy.chunk_count, copies[i].chunks, copies[i].source);
        return err_remedy(err, "restore its rows, or copy the table again: run --redo %s",
                          copies[i].source);
    }
    return true;
}

bool copy_records_load(struct session *session, const char *migration,
                       struct copy_record **copies, size_t *count, struct err *err)
{
    struct copy_record *found = NULL;
    size_t found_count = 0;
    if (read_copies(session, migration, &found, &found_count, err) &&
        read_chunks(session, migration, found, found_count, err) &&
        check_chunks(found, found_count, err)) {
        *copies = found;
        *count = found_count;
        return true;
    }
    copy_records_free(found, found_count);
    return err_wrap(err, "reading the copy records");
}

void copy_records_free(struct copy_record *copies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(copies[i].source);
        free(copies[i].fingerprint);
        free(copies[i].stats_reset);
        table_copy_free(&copies[i].copy);
    }
    free(copies);
}

/* ---- the plan ---- */

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

bool copy_record_keep_plan(struct session *session, const char *migration, const char *source,
                           const struct copy_plan *plan, struct err *err)
{
    struct buf bounds = {0};
    append_bounds(&bounds, plan);
    const char *values[] = {
        migration,   source,   plan->whole ? "t" : "f", plan->staged ? "t" : "f",
        bounds.data, plan->key};
    bool ok = update_copy(session,
                          "UPDATE slackwater.copy SET plan_made = true, whole = $3,"
                          " staged = $4, bounds = $5, key = $6"
                          " WHERE migration = $1 AND source = $2",
                          6, values, err);
    buf_free(&bounds);
    return ok;
}

bool copy_record_keep_staged(struct session *session, const char *migration, const char *source,
                             struct err *err)
{
    return run_query(session,
                     "UPDATE slackwater.copy SET staged = true"
                     " WHERE migration = $1 AND source = $2 AND NOT staged",
                     2, (const char *[]){migration, source}, err);
}

/* ---- the chunks ---- */

/* Only behind the chunks that are known here, and what the stream had applied when the chunk was
 * let in: a target that has come back without some, or with those of a copy that had begun anew,
 * takes no more until resume() has seen to it. The copy's row is locked against that, but not by
 * one lane against another: a COMMIT may take long. Nor is the stream's: what it lost and brings
 * again waits for the chunk's rows, whose parents are locked. */
static const char ADD_CHUNK_SQL[] =
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

static bool say_lost(const struct chunk_record *chunk, bool alone, struct err *err)
{
    err_set(err, alone ? ERR_CONFIG : ERR_RETRY,
            "target: it lacks what was copied or applied before chunk %u of lane %u",
            chunk->number, chunk->lane);
    return alone &&
           err_remedy(err, "it has come back without that, as after a failover: run again, and "
                           "what it lacks is copied again");
}

static bool insert_chunk(struct session *session, const char *migration, const char *source,
                         const struct chunk_record *chunk, const char *upto, bool alone,
                         struct err *err)
{
    char lsn[LSN_TEXT_SIZE];
    char lane[16];
    char number[16];
    char rows[24];
    char bytes[24];
    char begun[16];
    char stands_on[LSN_TEXT_SIZE];
    snprintf(lane, sizeof lane, "%u", chunk->lane);
    snprintf(number, sizeof number, "%u", chunk->number);
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)chunk->rows);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)chunk->bytes);
    snprintf(begun, sizeof begun, "%u", chunk->begun);
    const char *values[] = {migration,
                            source,
                            lane,
                            number,
                            upto,
                            chunk->snapshot,
                            lsn_format(chunk->lsn, lsn),
                            rows,
                            bytes,
                            begun,
                            lsn_format(chunk->stands_on, stands_on)};
    PGresult *r = session_query(session, ADD_CHUNK_SQL, 11, values, err);
    bool inserted = r != NULL && strcmp(PQcmdTuples(r), "1") == 0;
    PQclear(r);
    return inserted || (r != NULL && say_lost(chunk, alone, err));
}

bool copy_record_add_chunk(struct session *session, const char *migration, const char *source,
                           const struct chunk_record *chunk, uint16_t key_count, bool alone,
                           struct err *err)
{
    struct buf upto = {0};
    if (chunk->upto != NULL)
        text_array_append(&upto, (const char *const *)chunk->upto, key_count);
    bool ok = insert_chunk(session, migration, source, chunk, upto.data, alone, err);
    buf_free(&upto);
    return ok;
}

bool copy_record_has_chunk(struct session *session, const char *migration, const char *source,
                           const struct chunk_record *chunk, bool *has, struct err *err)
{
    char texts[3][16];
    snprintf(texts[0], sizeof texts[0], "%u", chunk->lane);
    snprintf(texts[1], sizeof texts[1], "%u", chunk->number);
    snprintf(texts[2], sizeof texts[2], "%u", chunk->begun);
    const char *values[] = {migration, source, texts[0], texts[1], texts[2]};
    PGresult *r = session_query(session,
                                "SELECT FROM slackwater.chunk JOIN slackwater.copy"
                                " USING (migration, source) WHERE migration = $1"
                                " AND source = $2 AND lane = $3 AND number = $4 AND begun = $5",
                                5, values, err);
    if (r == NULL)
        return err_wrap(err, "looking for a chunk of %s", source);
    *has = PQntuples(r) == 1;
    PQclear(r);
    return true;
}

bool copy_record_has_chunks(struct session *session, const char *migration, const char *source,
                            bool *has, struct err *err)
{
    const char *values[] = {migration, source};
    PGresult *r = session_query(session,
                                "SELECT EXISTS (SELECT FROM slackwater.chunk"
                                "               WHERE migration = $1 AND source = $2)",
                                2, values, err);
    if (r != NULL)
        *has = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
}

/* ---- the end of a copy, and its beginning anew ---- */

bool copy_record_finish(struct session *session, const char *migration, const char *source,
                        struct err *err)
{
    return update_copy(session,
                       "UPDATE slackwater.copy SET finished_at = now()"
                       " WHERE migration = $1 AND source = $2",
                       2, (const char *[]){migration, source}, err);
}

bool copy_record_begin_anew(struct session *session, const char *migration, const char *source,
                            bool whole, struct err *err)
{
    const char *values[] = {migration, source, whole ? "t" : "f"};
    return run_query(session,
                     "DELETE FROM slackwater.chunk WHERE migration = $1 AND source = $2", 2,
                     values, err) &&
           run_query(session,
                     "DELETE FROM slackwater.lane WHERE migration = $1 AND source = $2", 2,
                     values, err) &&
           update_copy(
               session,
               "UPDATE slackwater.copy SET needed = true, plan_made = false, whole = $3,"
               " staged = false, bounds = NULL, begun = begun + 1, finished_at = NULL"
               " WHERE migration = $1 AND source = $2",
               3, values, err);
}

bool copy_record_note_change(struct session *session, const char *migration, const char *source,
                             struct err *err)
{
    return run_query(session,
                     "UPDATE slackwater.copy SET partitions = partitions || ' changed'"
                     " WHERE migration = $1 AND source = $2 AND partitions !~ ' changed$'",
                     2, (const char *[]){migration, source}, err);
}

bool copy_record_renew(struct session *session, const char *migration, const char *source,
                       const struct copy_renewal *renewal, struct err *err)
{
    char changed[32];
    snprintf(changed, sizeof changed, "%lld", (long long)renewal->updates_deletes);
    const char *values[] = {
        migration, source, renewal->covers, renewal->fingerprint, renewal->stats_reset,
        changed};
    return update_copy(session,
                       "UPDATE slackwater.copy SET covers = $3, partitions = $4,"
                       " stats_reset = $5, updates_deletes = $6::bigint"
                       " WHERE migration = $1 AND source = $2",
                       6, values, err);
}
