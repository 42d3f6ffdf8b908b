/* Indexes that are dropped for a copy and built after it (deferred_index.h). */
#include "postgres/deferred_index.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/control.h"
#include "postgres/table_writer.h"
#include "postgres/text_array.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* While an exclusive lock is waited for, the application's readers stand behind it. */
#define LOCK_PATIENCE "2s"
/* Behind a build that would be lost. */
#define LOCK_PATIENCE_BUILT "60s"

static const char DISK_FULL[] = "53100";

/* ---- dropping ---- */

/* $1 migration, $2 source, $3 the table's oid, $4 the columns that rows are found by. A unique
 * constraint is built as its index, which is then attached; one that is deferrable, and an
 * exclusion, cannot be built beside writers. */
static const char KEEP_SQL[] =
    "INSERT INTO slackwater.deferred_index (migration, source, target, name, removal, definition,"
    "                                       tablespace, attach, rest, beside)"
    " SELECT $1, $2, the_table, the_index,"
    "   CASE WHEN contype IS NULL THEN 'DROP INDEX ' || the_index"
    "        ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', the_table, conname) END,"
    "   CASE WHEN contype = 'x' THEN format('ALTER TABLE %s ADD CONSTRAINT %I %s', the_table,"
    "                                       conname, pg_get_constraintdef(con))"
    "        ELSE pg_get_indexdef(index) END,"
    "   tablespace,"
    "   CASE WHEN contype = 'u' THEN"
    "     format('ALTER TABLE %s ADD CONSTRAINT %I UNIQUE USING INDEX %I%s%s', the_table, conname,"
    "            relname, CASE WHEN condeferrable THEN ' DEFERRABLE' ELSE '' END,"
    "            CASE WHEN condeferred THEN ' INITIALLY DEFERRED' ELSE '' END) ELSE '' END,"
    "   concat_ws('; ',"
    "     'COMMENT ON INDEX ' || the_index || ' IS '"
    "       || quote_literal(obj_description(index, 'pg_class')),"
    "     'COMMENT ON CONSTRAINT ' || quote_ident(conname) || ' ON ' || the_table || ' IS '"
    "       || quote_literal(obj_description(con, 'pg_constraint')),"
    "     CASE WHEN clustered THEN format('ALTER TABLE %s CLUSTER ON %I', the_table, relname) END,"
    "     (SELECT string_agg(format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', the_index,"
    "                               a.attnum, a.attstattarget), '; ' ORDER BY a.attnum)"
    "      FROM pg_attribute a WHERE a.attrelid = index AND a.attstattarget >= 0)),"
    "   contype IS NULL OR contype = 'u' AND NOT condeferrable"
    " FROM (SELECT i.indexrelid AS index, c.relname, i.indisclustered AS clustered, con.oid AS con,"
    "         con.conname, con.contype, con.condeferrable, con.condeferred,"
    "         format('%I.%I', tn.nspname, t.relname) AS the_table,"
    "         format('%I.%I', n.nspname, c.relname) AS the_index,"
    "         coalesce(s.spcname, '') AS tablespace"
    "       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    "       JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class t ON t.oid = i.indrelid"
    "       JOIN pg_namespace tn ON tn.oid = t.relnamespace"
    "       LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace"
    "       LEFT JOIN pg_constraint con ON con.conindid = c.oid AND con.conrelid = t.oid"
    "                                  AND con.contype IN ('u', 'x')"
    "       WHERE t.oid = $3::oid AND t.relkind = 'r' AND c.relkind = 'i'"
    "         AND i.indisvalid AND i.indisready AND i.indislive"
    "         AND NOT i.indisprimary AND NOT i.indisreplident"
    "         AND pg_has_role(t.relowner, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE')"
    "         AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid)"
    "         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'n'"
    "                         AND (d.refclassid, d.refobjid) IN"
    "                             (('pg_class'::regclass, c.oid),"
    "                              ('pg_constraint'::regclass, con.oid)))"
    "         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
    "                         AND d.objid = c.oid AND d.deptype IN ('e', 'x'))"
    "         AND NOT (i.indisunique AND"
    "                  (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE \"C\")"
    "                   FROM unnest(i.indkey) WITH ORDINALITY k(attnum, place)"
    "                   LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum"
    "                   WHERE k.place <= i.indnkeyatts)"
    "                  = (SELECT array_agg(k ORDER BY k COLLATE \"C\")"
    "                     FROM unnest($4::text[]) k))"
    "       ORDER BY c.oid) found"
    " ON CONFLICT (migration, name) DO UPDATE SET definition = EXCLUDED.definition,"
    "   tablespace = EXCLUDED.tablespace, attach = EXCLUDED.attach, rest = EXCLUDED.rest,"
    "   beside = EXCLUDED.beside, removal = EXCLUDED.removal, built_at = NULL"
    " RETURNING removal";

static char *key_columns(const struct relation *relation)
{
    const char **names = mem_zero((size_t)relation->column_count + 1, sizeof *names);
    struct buf text = {0};
    size_t count = 0;
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].key)
            names[count++] = relation->columns[i].name;
    text_array_append(&text, names, count);
    free(names);
    return buf_steal(&text);
}

static bool keep_and_drop(struct session *session, const char *migration, const char *source,
                          const struct pg_target_table *table, struct err *err)
{
    char oid[16];
    char *key = key_columns(table->relation);
    snprintf(oid, sizeof oid, "%u", table->table->oid);
    PGresult *r =
        session_query(session, KEEP_SQL, 4, (const char *[]){migration, source, oid, key}, err);
    bool ok = r != NULL;
    for (int i = 0; ok && i < PQntuples(r); i++)
        ok = session_run(session, PQgetvalue(r, i, 0), err);
    PQclear(r);
    free(key);
    return ok;
}

/* Definitions name all that is not of pg_catalog with its schema. */
static bool begin(struct session *session, const char *migration, struct err *err)
{
    struct buf sql = {0};
    buf_append_format(&sql, "BEGIN; SET LOCAL lock_timeout = '%s'; ", LOCK_PATIENCE);
    control_append_copier_lock(&sql, migration);
    buf_append_text(&sql, "; SET LOCAL search_path = pg_catalog");
    bool ok = session_run(session, sql.data, err);
    buf_free(&sql);
    return ok;
}

bool deferred_index_drop(struct session *session, const char *migration, const char *source,
                         const struct pg_target_table *table, struct err *err)
{
    struct pg_target_table whole = *table;
    bool has_rows = true;
    whole.owner_condition = NULL; /* whoever's they are: somebody uses the indexes */
    if (table->relation->match != MATCH_KEY || table->table->kind != 'r')
        return true;
    if (!pg_table_has_rows(session, &whole, &has_rows, err))
        return false;
    return has_rows ||
           (begin(session, migration, err) &&
            keep_and_drop(session, migration, source, table, err) &&
            session_run(session, "COMMIT", err)) ||
           err_wrap(err, "dropping the indexes of %s.%s for its copy", table->table->schema,
                    table->table->name);
}

/* ---- what is to be built ---- */

bool deferred_index_any(struct session *session, const char *migration, bool *any,
                        struct err *err)
{
    struct deferred_index index;
    if (!deferred_index_next(session, migration, NULL, 0, &index, err))
        return false;
    *any = index.name != NULL;
    deferred_index_free(&index);
    return true;
}

bool deferred_index_next(struct session *session, const char *migration, const char *source,
                         long behind, struct deferred_index *index, struct err *err)
{
    char position[24];
    snprintf(position, sizeof position, "%ld", behind);
    PGresult *r = session_query(session,
                                "SELECT position, target, name, definition, tablespace, attach,"
                                " rest, beside FROM slackwater.deferred_index"
                                " WHERE migration = $1 AND ($2::text IS NULL OR source = $2)"
                                "   AND position > $3::bigint AND built_at IS NULL"
                                " ORDER BY position LIMIT 1",
                                3, (const char *[]){migration, source, position}, err);
    if (r == NULL)
        return err_wrap(err, "reading the indexes to build");
    *index = (struct deferred_index){0};
    if (PQntuples(r) == 1)
        *index = (struct deferred_index){
            .position = strtol(PQgetvalue(r, 0, 0), NULL, 10),
            .target = mem_string(PQgetvalue(r, 0, 1)),
            .name = mem_string(PQgetvalue(r, 0, 2)),
            .definition = mem_string(PQgetvalue(r, 0, 3)),
            .tablespace = mem_string(PQgetvalue(r, 0, 4)),
            .attach = mem_string(PQgetvalue(r, 0, 5)),
            .rest = mem_string(PQgetvalue(r, 0, 6)),
            .beside = PQgetvalue(r, 0, 7)[0] == 't',
        };
    PQclear(r);
    return true;
}

void deferred_index_free(struct deferred_index *index)
{
    free(index->target);
    free(index->name);
    free(index->definition);
    free(index->tablespace);
    free(index->attach);
    free(index->rest);
    *index = (struct deferred_index){0};
}

/* ---- building ---- */

/* The copiers' lock is held by the session: a build has several transactions. */
static bool prepare(struct session *session, const char *migration,
                    const struct deferred_index *index, struct err *err)
{
    static const char SQL[] =
        "SELECT pg_advisory_lock_shared(hashtextextended('slackwater-copy:' || $1, 0)),"
        " set_config('search_path', 'pg_catalog', false),"
        " set_config('default_tablespace', $2, false),"
        " set_config('lock_timeout', '0', false),"
        " set_config('statement_timeout', '0', false),"
        " set_config('maintenance_work_mem', greatest(setting::bigint, 262144)::text, false)"
        " FROM pg_settings WHERE name = 'maintenance_work_mem'";
    PGresult *r =
        session_query(session, SQL, 2, (const char *[]){migration, index->tablespace}, err);
    PQclear(r);
    return r != NULL;
}

struct found_index {
    bool there, valid, same, attached;
};

static bool find_index(struct session *session, const struct deferred_index *index,
                       struct found_index *found, struct err *err)
{
    static const char SQL[] =
        "SELECT i.indisvalid, pg_get_indexdef(i.indexrelid) = $2,"
        "       EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid"
        "               AND c.conrelid = i.indrelid AND c.contype IN ('u', 'x'))"
        " FROM pg_index i WHERE i.indexrelid = to_regclass($1)";
    PGresult *r =
        session_query(session, SQL, 2, (const char *[]){index->name, index->definition}, err);
    if (r == NULL)
        return false;
    *found = (struct found_index){.there = PQntuples(r) == 1};
    if (found->there) {
        found->valid = PQgetvalue(r, 0, 0)[0] == 't';
        found->same = PQgetvalue(r, 0, 1)[0] == 't';
        found->attached = PQgetvalue(r, 0, 2)[0] == 't';
    }
    PQclear(r);
    return true;
}

static bool is_exclusion(const struct deferred_index *index)
{
    return index->attach[0] == '\0' && !index->beside;
}

/* What is there under its name: left by a killed build, made by hand, or another. */
static bool clear_the_way(struct session *session, const struct deferred_index *index,
                          struct found_index *found, struct err *err)
{
    struct buf sql = {0};
    if (!found->there)
        return true;
    if (found->valid)
        return found->same || (is_exclusion(index) && found->attached) ||
               err_set(err, ERR_DATA, "another index of that name is there");
    buf_append_format(&sql, "DROP INDEX CONCURRENTLY %s", index->name);
    found->there = false;
    bool ok = session_run(session, sql.data, err);
    buf_free(&sql);
    return ok;
}

/* CREATE [UNIQUE] INDEX [CONCURRENTLY] ... */
static bool create_beside(struct session *session, const struct deferred_index *index,
                          struct err *err)
{
    static const char WORD[] = " INDEX ";
    struct buf sql = {0};
    const char *at = strstr(index->definition, WORD);
    size_t before = (size_t)(at - index->definition) + strlen(WORD);
    buf_append(&sql, index->definition, before);
    buf_append_format(&sql, "CONCURRENTLY %s", index->definition + before);
    bool ok = session_run(session, buf_text(&sql), err);
    buf_free(&sql);
    return ok;
}

static bool run_given(struct session *session, const char *sql, struct err *err)
{
    return sql[0] == '\0' || session_run(session, sql, err);
}

/* An exclusion constraint locks its table first and is built then: nothing would be lost. */
static bool complete(struct session *session, const char *migration,
                     const struct deferred_index *index, const struct found_index *found,
                     bool create, struct err *err)
{
    char position[24];
    snprintf(position, sizeof position, "%ld", index->position);
    if (!session_run(session,
                     create && !is_exclusion(index)
                         ? "BEGIN; SET LOCAL lock_timeout = '" LOCK_PATIENCE_BUILT "'"
                         : "BEGIN; SET LOCAL lock_timeout = '" LOCK_PATIENCE "'",
                     err) ||
        (create && !session_run(session, index->definition, err)) ||
        (!found->attached && !run_given(session, index->attach, err)) ||
        !run_given(session, index->rest, err))
        return false;
    PGresult *r = session_query(session,
                                "UPDATE slackwater.deferred_index SET built_at = now()"
                                " WHERE migration = $1 AND position = $2::bigint",
                                2, (const char *[]){migration, position}, err);
    PQclear(r);
    return r != NULL && session_run(session, "COMMIT", err);
}

static bool build(struct session *session, const char *migration,
                  const struct deferred_index *index, bool beside, struct err *err)
{
    struct found_index found;
    if (!prepare(session, migration, index, err) || !find_index(session, index, &found, err) ||
        !clear_the_way(session, index, &found, err))
        return false;
    bool create = !found.there;
    if (create && beside && index->beside) {
        create = false;
        if (!create_beside(session, index, err))
            return false;
    }
    return complete(session, migration, index, &found, create, err);
}

bool deferred_index_build(struct session *session, const char *migration,
                          const struct deferred_index *index, bool beside, struct err *err)
{
    if (build(session, migration, index, beside, err))
        return true;
    if (strcmp(err->sqlstate, DISK_FULL) == 0)
        err->class = ERR_DATA; /* it would fail so again and again */
    err_wrap(err, "building index %s of %s again", index->name, index->target);
    return err->class == ERR_RETRY || err->class == ERR_STOPPED
               ? false
               : err_remedy(err,
                            "mend that (duplicates in the middle of a copy go by themselves "
                            "when the stream runs) and run again; the statement is: %s%s%s",
                            index->definition, index->attach[0] ? "; " : "", index->attach);
}
