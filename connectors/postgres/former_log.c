/* See former_log.h. */
#include "postgres/former_log.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/field.h"
#include "schema/ident.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* The control schema is there; migrations of before this table get it now. */
#define INSTALL_SQL                                                                            \
    "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('slackwater control', 0));"          \
    "CREATE TABLE IF NOT EXISTS slackwater.former ("                                           \
    "  migration text NOT NULL REFERENCES slackwater.migration ON DELETE CASCADE,"             \
    "  table_oid oid NOT NULL,"                                                                \
    "  number int NOT NULL," /* attnum; 0: the table */                                        \
    "  name text NOT NULL,"                                                                    \
    "  type_oid oid NOT NULL,"                                                                 \
    "  type_modifier int NOT NULL,"                                                            \
    "  there_at pg_lsn," /* NULL: from the begin */                                            \
    "  gone_at pg_lsn,"                                                                        \
    "  target_oid oid," /* the column that its values went to as they were; NULL: none */      \
    "  target_number int,"                                                                     \
    "  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),"                                \
    "  PRIMARY KEY (migration, table_oid, number, name, type_oid, type_modifier)); COMMIT"

#define LOAD_SQL                                                                               \
    "SELECT table_oid, number, name, there_at, gone_at, type_oid, type_modifier,"              \
    "       coalesce(target_oid, 0), coalesce(target_number, 0)"                               \
    " FROM slackwater.former WHERE migration = $1"                                             \
    " ORDER BY table_oid, number, seen_at"

/* $2 what there is, $3 where the source was. A name that comes back is the newest again. */
#define NOTE_SQL                                                                                  \
    "INSERT INTO slackwater.former (migration, table_oid, number, name, type_oid, type_modifier," \
    "                               there_at, target_oid, target_number)"                         \
    " SELECT $1, now.of, now.number, now.name, now.type, now.modifier,"                           \
    "        CASE WHEN EXISTS (SELECT FROM slackwater.former AS f WHERE f.migration = $1"         \
    "                                          AND f.table_oid = now.of) THEN $3::pg_lsn END,"    \
    "        now.target, now.place"                                                               \
    " FROM jsonb_to_recordset($2::jsonb) AS now(of oid, number int, name text, type oid,"         \
    "                                           modifier int, target oid, place int)"             \
    " ON CONFLICT ON CONSTRAINT former_pkey DO UPDATE SET seen_at = clock_timestamp(),"           \
    "    target_oid = excluded.target_oid, target_number = excluded.target_number"

/* Of the tables that there are: another's columns are not asked for. */
#define GONE_SQL                                                                               \
    "WITH now AS (SELECT * FROM jsonb_to_recordset($2::jsonb) AS now(of oid, number int))"     \
    "UPDATE slackwater.former AS f SET gone_at = $3::pg_lsn"                                   \
    " WHERE migration = $1 AND gone_at IS NULL AND table_oid IN (SELECT of FROM now)"          \
    "   AND NOT EXISTS (SELECT FROM now WHERE now.of = f.table_oid AND now.number = f.number)"

/* What is parked goes by the names of today: by them its keys are known, and it is made again.
 * Names may have been swapped, so all at once; and a column that is gone leaves its name to
 * another. */
#define RENAMED(object)                                                                        \
    "(SELECT jsonb_object_agg(coalesce(m.new, e.key), e.value) FROM jsonb_each(" object ") e"  \
    " LEFT JOIN map m ON m.source = l.source AND m.old = e.key"                                \
    " WHERE m.old IS NULL OR m.new IS NOT NULL)"
#define LETTERS_SQL                                                                                                       \
    "WITH now AS (SELECT * FROM jsonb_to_recordset($2::jsonb) AS now(of oid, number int,"                                 \
    "                                                                name text)),"                                        \
    " last AS (SELECT DISTINCT ON (table_oid, number) table_oid, number, name"                                            \
    "          FROM slackwater.former WHERE migration = $1 AND number > 0 AND gone_at IS NULL"                            \
    "          AND table_oid IN (SELECT of FROM now)"                                                                     \
    "          ORDER BY table_oid, number, seen_at DESC),"                                                                \
    " map AS (SELECT own.name AS source, last.name AS old, now.name AS new FROM last"                                     \
    "         JOIN now AS own ON own.of = last.table_oid AND own.number = 0"                                              \
    "         LEFT JOIN now ON now.of = last.table_oid AND now.number = last.number"                                      \
    "         WHERE now.name IS DISTINCT FROM last.name)"                                                                 \
    " UPDATE slackwater.dead_letter AS l SET key = coalesce(" RENAMED(                                                    \
        "l.key") ", '{}'),"                                                                                               \
                 "  new_key = " RENAMED("l.new_key") ", old_row = " RENAMED(                                              \
                     "l.old_row") ","                                                                                     \
                                  "  new_row = " RENAMED(                                                                 \
                                      "l.new_row") ", not_sent = ARRAY("                                                  \
                                                   "   SELECT coalesce(m.new, c.name) FROM unnest(l.not_sent) AS c(name)" \
                                                   "   LEFT JOIN map m ON m.source = l.source AND m.old = c.name"         \
                                                   "   WHERE m.old IS NULL OR m.new IS NOT NULL)"                         \
                                                   " WHERE migration = $1 AND state = 'parked' AND l.source IN (SELECT source FROM map)"

static bool is_installed(struct session *session, bool *installed, struct err *err)
{
    PGresult *r =
        session_exec(session, "SELECT to_regclass('slackwater.former') IS NOT NULL", err);
    if (r != NULL)
        *installed = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
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
            .there_at = field_lsn(r, (int)i, 3),
            .gone_at = field_lsn(r, (int)i, 4),
            .type_oid = (uint32_t)strtoul(PQgetvalue(r, (int)i, 5), NULL, 10),
            .type_modifier = (int32_t)strtol(PQgetvalue(r, (int)i, 6), NULL, 10),
            .target_oid = (uint32_t)strtoul(PQgetvalue(r, (int)i, 7), NULL, 10),
            .target_number = (int16_t)strtol(PQgetvalue(r, (int)i, 8), NULL, 10),
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

static json_t *describe_name(uint32_t table, int number, const char *name, uint32_t type,
                             int32_t modifier)
{
    return json_pack("{s:I, s:i, s:s, s:I, s:i}", "of", (json_int_t)table, "number", number,
                     "name", name, "type", (json_int_t)type, "modifier", (int)modifier);
}

static json_t *describe_column(uint32_t table, const struct catalog_column *column,
                               const struct former_place *place)
{
    json_t *text = describe_name(table, column->number, column->name, column->type_oid,
                                 catalog_shown_modifier(column));
    if (place->table_oid != 0) {
        json_object_set_new(text, "target", json_integer(place->table_oid));
        json_object_set_new(text, "place", json_integer(place->number));
    }
    return text;
}

/* The table and its columns, without generated ones, which are not in the stream. */
static void describe(const struct former_table *former, json_t *names)
{
    const struct catalog_table *table = former->table;
    char *own = ident_qualified(table->schema, table->name);
    json_array_append_new(names, describe_name(table->oid, FORMER_TABLE, own, 0, -1));
    for (uint16_t i = 0; i < table->column_count; i++)
        if (!table->columns[i].generated)
            json_array_append_new(
                names, describe_column(table->oid, &table->columns[i], &former->places[i]));
    free(own);
}

static char *describe_all(size_t table_count, const struct former_table *tables)
{
    json_t *names = json_array();
    for (size_t i = 0; i < table_count; i++)
        describe(&tables[i], names);
    char *text = json_dumps(names, JSON_COMPACT);
    json_decref(names);
    return text;
}

/* One transaction: what is kept of a table is all of it. And one question for all tables: the stream
 * waits for the answer. */
static bool note_tables(struct session *session, const char *const *values, struct err *err)
{
    if (!session_run(session, "BEGIN", err))
        return false;
    PGresult *renamed = session_query(session, LETTERS_SQL, 2, values, err);
    PGresult *noted = renamed == NULL ? NULL : session_query(session, NOTE_SQL, 3, values, err);
    PGresult *gone = noted == NULL ? NULL : session_query(session, GONE_SQL, 3, values, err);
    bool ok = gone != NULL && session_run(session, "COMMIT", err);
    PQclear(renamed);
    PQclear(noted);
    PQclear(gone);
    if (!ok)
        (void)session_run(session, "ROLLBACK", &(struct err){0});
    return ok;
}

bool former_log_note(struct session *session, const char *migration, lsn_t at,
                     size_t table_count, const struct former_table *tables, struct err *err)
{
    char position[LSN_TEXT_SIZE];
    char *names = describe_all(table_count, tables);
    const char *values[] = {migration, names, lsn_format(at, position)};
    bool installed = false;
    bool ok = is_installed(session, &installed, err) &&
              (installed || session_run(session, INSTALL_SQL, err)) &&
              note_tables(session, values, err);
    free(names);
    return ok || err_wrap(err, "keeping the names of the source's columns");
}

/* Rows of other control tables refer to the copy's: a second one until they follow. */
static const char *const RENAME_SQL[] = {
    /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one statement, in three lines */
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
