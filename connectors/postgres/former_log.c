/* See former_log.h. */
#include "postgres/former_log.h"

#include "base/buf.h"
#include "base/mem.h"
#include "schema/ident.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* The control schema is there; migrations of before this table get it now. */
#define INSTALL_SQL                                                                              \
    "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('slackwater control', 0));"            \
    "CREATE TABLE IF NOT EXISTS slackwater.former ("                                             \
    "  migration text NOT NULL REFERENCES slackwater.migration ON DELETE CASCADE,"               \
    "  table_oid oid NOT NULL,"                                                                  \
    "  number int NOT NULL," /* attnum; 0: the table */                                          \
    "  name text NOT NULL,"                                                                      \
    "  type_oid oid NOT NULL,"                                                                   \
    "  type_modifier int NOT NULL,"                                                              \
    "  there_at pg_lsn," /* NULL: from the begin */                                              \
    "  gone_at pg_lsn,"                                                                          \
    "  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),"                                  \
    "  PRIMARY KEY (migration, table_oid, number, name, type_oid, type_modifier)); COMMIT"

#define LOAD_SQL                                                                                 \
    "SELECT table_oid, number, name, there_at, gone_at, type_oid, type_modifier"                 \
    " FROM slackwater.former WHERE migration = $1"                                               \
    " ORDER BY table_oid, number, seen_at"

/* $2 the table, $3 what it has. A name that comes back is the newest again. */
#define NOTE_SQL                                                                                 \
    "INSERT INTO slackwater.former (migration, table_oid, number, name, type_oid, type_modifier,"\
    "                               there_at)"                                                   \
    " SELECT $1, $2::oid, now.number, now.name, now.type, now.modifier,"                         \
    "        CASE WHEN EXISTS (SELECT FROM slackwater.former WHERE migration = $1"               \
    "                                          AND table_oid = $2::oid) THEN $4::pg_lsn END"     \
    " FROM jsonb_to_recordset($3::jsonb) AS now(number int, name text, type oid, modifier int)"  \
    " ON CONFLICT ON CONSTRAINT former_pkey DO UPDATE SET seen_at = clock_timestamp()"

#define GONE_SQL                                                                                 \
    "UPDATE slackwater.former AS f SET gone_at = $4::pg_lsn"                                     \
    " WHERE migration = $1 AND table_oid = $2::oid AND gone_at IS NULL AND NOT EXISTS ("         \
    "   SELECT FROM jsonb_to_recordset($3::jsonb) AS now(number int)"                            \
    "   WHERE now.number = f.number)"

/* What is parked goes by the names of today: by them its keys are known, and it is made again.
 * Names may have been swapped, so all at once; and a column that is gone leaves its name to
 * another. */
#define RENAMED(object)                                                                          \
    "(SELECT jsonb_object_agg(coalesce(m.new, e.key), e.value) FROM jsonb_each(" object ") e"    \
    " LEFT JOIN map m ON m.old = e.key WHERE m.old IS NULL OR m.new IS NOT NULL)"
#define LETTERS_SQL                                                                              \
    "WITH now AS (SELECT * FROM jsonb_to_recordset($3::jsonb) AS now(number int, name text)),"   \
    " last AS (SELECT DISTINCT ON (number) number, name FROM slackwater.former"                  \
    "          WHERE migration = $1 AND table_oid = $2::oid AND number > 0 AND gone_at IS NULL"  \
    "          ORDER BY number, seen_at DESC),"                                                  \
    " map AS (SELECT last.name AS old, now.name AS new FROM last LEFT JOIN now USING (number)"   \
    "         WHERE now.name IS DISTINCT FROM last.name)"                                        \
    " UPDATE slackwater.dead_letter AS l SET key = coalesce(" RENAMED("l.key") ", '{}'),"        \
    "  new_key = " RENAMED("l.new_key") ", old_row = " RENAMED("l.old_row") ","                  \
    "  new_row = " RENAMED("l.new_row") ", not_sent = ARRAY("                                    \
    "   SELECT coalesce(m.new, c.name) FROM unnest(l.not_sent) AS c(name)"                       \
    "   LEFT JOIN map m ON m.old = c.name WHERE m.old IS NULL OR m.new IS NOT NULL)"             \
    " WHERE migration = $1 AND state = 'parked' AND EXISTS (SELECT FROM map)"                    \
    "  AND source = (SELECT name FROM now WHERE number = 0)"

static bool is_installed(struct session *session, bool *installed, struct err *err)
{
    PGresult *r =
        session_exec(session, "SELECT to_regclass('slackwater.former') IS NOT NULL", err);
    if (r != NULL)
        *installed = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
}

/* LSN_NONE where there is none. */
static lsn_t lsn_of(const PGresult *r, int row, int column)
{
    lsn_t lsn = LSN_NONE;
    if (!PQgetisnull(r, row, column))
        (void)lsn_parse(PQgetvalue(r, row, column), &lsn);
    return lsn;
}

static void take_names(const PGresult *r, struct former *former)
{
    size_t count = (size_t)PQntuples(r);
    former->names = mem_zero(count + 1, sizeof *former->names);
    former->count = count;
    for (size_t i = 0; i < count; i++)
        former->names[i] = (struct former_name){
            .table_oid = (uint32_t)strtoul(PQgetvalue(r, (int)i, 0), NULL, 10),
            .number = (int16_t)strtol(PQgetvalue(r, (int)i, 1), NULL, 10),
            .name = mem_string(PQgetvalue(r, (int)i, 2)),
            .there_at = lsn_of(r, (int)i, 3),
            .gone_at = lsn_of(r, (int)i, 4),
            .type_oid = (uint32_t)strtoul(PQgetvalue(r, (int)i, 5), NULL, 10),
            .type_modifier = (int32_t)strtol(PQgetvalue(r, (int)i, 6), NULL, 10),
        };
}

bool former_log_load(struct session *session, const char *migration, struct former *former,
                     struct err *err)
{
    bool installed = false;
    *former = (struct former){0};
    if (!is_installed(session, &installed, err))
        return false;
    if (!installed)
        return true;
    PGresult *r = session_query(session, LOAD_SQL, 1, &migration, err);
    if (r != NULL)
        take_names(r, former);
    PQclear(r);
    return r != NULL;
}

static json_t *describe_name(int number, const char *name, uint32_t type, int32_t modifier)
{
    return json_pack("{s:i, s:s, s:I, s:i}", "number", number, "name", name, "type",
                     (json_int_t)type, "modifier", (int)modifier);
}

/* The table and its columns, without generated ones, which are not in the stream. */
static char *describe(const struct catalog_table *table)
{
    json_t *names = json_array();
    char *own = ident_qualified(table->schema, table->name);
    json_array_append_new(names, describe_name(FORMER_TABLE, own, 0, -1));
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *column = &table->columns[i];
        if (!column->generated)
            json_array_append_new(names,
                                  describe_name(column->number, column->name, column->type_oid,
                                                catalog_shown_modifier(column)));
    }
    char *text = json_dumps(names, JSON_COMPACT);
    json_decref(names);
    free(own);
    return text;
}

static bool note_table(struct session *session, const char *migration, const char *at,
                       const struct catalog_table *table, struct err *err)
{
    char oid[16];
    char *names = describe(table);
    snprintf(oid, sizeof oid, "%u", table->oid);
    const char *values[] = {migration, oid, names, at};
    PGresult *renamed = session_query(session, LETTERS_SQL, 3, values, err);
    PGresult *noted = renamed == NULL ? NULL : session_query(session, NOTE_SQL, 4, values, err);
    PGresult *gone = noted == NULL ? NULL : session_query(session, GONE_SQL, 4, values, err);
    bool ok = gone != NULL;
    PQclear(renamed);
    PQclear(noted);
    PQclear(gone);
    free(names);
    return ok;
}

static bool note_tables(struct session *session, const char *migration, const char *at,
                        size_t table_count, const struct catalog_table *const *tables,
                        struct err *err)
{
    for (size_t i = 0; i < table_count; i++)
        if (!note_table(session, migration, at, tables[i], err))
            return false;
    return true;
}

/* One transaction: what is kept of a table is all of it. */
bool former_log_note(struct session *session, const char *migration, lsn_t at,
                     size_t table_count, const struct catalog_table *const *tables,
                     struct err *err)
{
    char position[LSN_TEXT_SIZE];
    struct err ignored = {0};
    bool installed = false;
    if (!is_installed(session, &installed, err) ||
        !(installed || session_run(session, INSTALL_SQL, err)) ||
        !session_run(session, "BEGIN", err))
        return err_wrap(err, "keeping the names of the source's columns");
    if (note_tables(session, migration, lsn_format(at, position), table_count, tables, err) &&
        session_run(session, "COMMIT", err))
        return true;
    (void)session_run(session, "ROLLBACK", &ignored);
    return err_wrap(err, "keeping the names of the source's columns");
}

/* Rows of other control tables refer to the copy's: a second one until they follow. */
static const char *const RENAME_SQL[] = {
    "INSERT INTO slackwater.copy"
    " SELECT (jsonb_populate_record(c, jsonb_build_object('source', $3::text))).*"
    " FROM slackwater.copy c WHERE migration = $1 AND source = $2",
    "UPDATE slackwater.chunk SET source = $3 WHERE migration = $1 AND source = $2",
    "UPDATE slackwater.lane SET source = $3 WHERE migration = $1 AND source = $2",
    "UPDATE slackwater.deferred_index SET source = $3 WHERE migration = $1 AND source = $2",
    "UPDATE slackwater.dead_letter SET source = $3 WHERE migration = $1 AND source = $2",
    "UPDATE slackwater.breaker SET source = $3 WHERE migration = $1 AND source = $2",
    "DELETE FROM slackwater.copy WHERE migration = $1 AND source = $2 AND source <> $3",
};

static bool run_rename(struct session *session, const char *const *values, struct err *err)
{
    for (size_t i = 0; i < sizeof RENAME_SQL / sizeof RENAME_SQL[0]; i++) {
        PGresult *r = session_query(session, RENAME_SQL[i], 3, values, err);
        PQclear(r);
        if (r == NULL)
            return false;
    }
    return true;
}

bool former_log_rename(struct session *session, const char *migration, const char *from,
                       const char *to, struct err *err)
{
    struct err ignored = {0};
    const char *values[] = {migration, from, to};
    if (session_run(session, "BEGIN", err) && run_rename(session, values, err) &&
        session_run(session, "COMMIT", err))
        return true;
    (void)session_run(session, "ROLLBACK", &ignored);
    return err_wrap(err, "source table %s is called %s by now", from, to);
}
