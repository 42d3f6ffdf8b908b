/* Publications and slot at the source (slot.h). */
#include "postgres/slot.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/release.h"
#include "schema/ident.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DROP_DEADLINE (10 * USEC_PER_SEC)
#define DROP_PAUSE (100 * USEC_PER_MS)

/* FNV-1a: only to tell long names apart. */
static uint32_t name_hash(const char *text)
{
    uint32_t hash = 2166136261U;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619U;
    return hash;
}

void slot_name(const char *migration, char name[SLOT_NAME_SIZE])
{
    /* Room for "_insert_only" behind it within the server's 63 bytes. */
    enum { LONGEST = 50 };
    int used = snprintf(name, SLOT_NAME_SIZE, "slackwater_");
    bool exact = true;
    for (const char *at = migration; *at && used < LONGEST; at++) {
        unsigned char byte = (unsigned char)*at;
        bool plain = islower(byte) || isdigit(byte) || byte == '_';
        exact = exact && (plain || isupper(byte) || byte == '-');
        name[used++] = (char)(isupper(byte) ? tolower(byte) : plain ? byte : '_');
        if (used == LONGEST && at[1] != '\0')
            exact = false;
    }
    name[used] = '\0';
    if (!exact)
        snprintf(name + (used > LONGEST - 9 ? LONGEST - 9 : used), 10, "_%08x",
                 name_hash(migration));
}

void slot_insert_only_name(const char *slot, char name[SLOT_NAME_SIZE + 16])
{
    snprintf(name, SLOT_NAME_SIZE + 16, "%s_insert_only", slot);
}

/* ---- publications ---- */

static void append_publication(struct buf *sql, const char *name, const char *operations,
                               bool insert_only, size_t count, const struct slot_table *tables)
{
    const char *separator = " FOR TABLE ";
    buf_append_text(sql, "CREATE PUBLICATION ");
    ident_append(sql, name);
    for (size_t i = 0; i < count; i++) {
        if (tables[i].insert_only != insert_only)
            continue;
        buf_append_text(sql, separator);
        buf_append_text(sql, "ONLY ");
        ident_append_qualified(sql, tables[i].schema, tables[i].name);
        separator = ", ";
    }
    buf_append_format(sql, " WITH (publish = '%s', publish_via_partition_root = true)",
                      operations);
}

static void append_drops(struct buf *sql, const char *slot)
{
    char insert_only[SLOT_NAME_SIZE + 16];
    slot_insert_only_name(slot, insert_only);
    buf_append_text(sql, "DROP PUBLICATION IF EXISTS ");
    ident_append(sql, slot);
    buf_append_text(sql, "; DROP PUBLICATION IF EXISTS ");
    ident_append(sql, insert_only);
    buf_append_text(sql, "; ");
}

bool slot_create_publications(struct session *session, const char *slot, size_t count,
                              const struct slot_table *tables, struct err *err)
{
    char insert_only[SLOT_NAME_SIZE + 16];
    struct buf sql = {0};
    slot_insert_only_name(slot, insert_only);
    buf_append_text(&sql, "BEGIN; ");
    append_drops(&sql, slot);
    append_publication(&sql, slot, "insert, update, delete, truncate", false, count, tables);
    buf_append_text(&sql, "; ");
    append_publication(&sql, insert_only, "insert, truncate", true, count, tables);
    buf_append_text(&sql, "; COMMIT");
    bool ok = session_run(session, sql.data, err) || err_wrap(err, "creating the publication");
    buf_free(&sql);
    return ok;
}

static bool is_published(struct session *session, const char *publication,
                         const struct slot_table *table, bool *published, struct err *err)
{
    const char *values[] = {publication, table->schema, table->name};
    PGresult *r = session_query(session,
                                "SELECT FROM pg_publication_tables WHERE pubname = $1"
                                " AND schemaname = $2 AND tablename = $3",
                                3, values, err);
    *published = r != NULL && PQntuples(r) == 1;
    PQclear(r);
    return r != NULL;
}

static bool append_addition(struct session *session, const char *publication,
                            const struct slot_table *table, struct buf *sql, struct err *err)
{
    bool published;
    if (!is_published(session, publication, table, &published, err))
        return false;
    if (published)
        return true;
    buf_append_text(sql, "ALTER PUBLICATION ");
    ident_append(sql, publication);
    buf_append_text(sql, " ADD TABLE ONLY ");
    ident_append_qualified(sql, table->schema, table->name);
    buf_append_text(sql, "; ");
    return true;
}

bool slot_publish(struct session *session, const char *slot, size_t count,
                  const struct slot_table *tables, struct err *err)
{
    char insert_only[SLOT_NAME_SIZE + 16];
    struct buf sql = {0};
    bool ok = true;
    slot_insert_only_name(slot, insert_only);
    buf_append_text(&sql, "BEGIN; ");
    for (size_t i = 0; ok && i < count; i++)
        ok = append_addition(session, tables[i].insert_only ? insert_only : slot, &tables[i],
                             &sql, err);
    buf_append_text(&sql, "COMMIT");
    ok = (ok && session_run(session, buf_text(&sql), err)) ||
         err_wrap(err, "adding to the publication");
    buf_free(&sql);
    return ok;
}

bool slot_drop_publications(struct session *session, const char *slot, struct err *err)
{
    struct buf sql = {0};
    append_drops(&sql, slot);
    bool ok = session_run(session, sql.data, err) || err_wrap(err, "dropping the publication");
    buf_free(&sql);
    return ok;
}

/* "insert_only schema.table" lines of what is published, sorted, against what is wanted. */
static const char PUBLISHED_SQL[] =
    "WITH published AS ("
    "   SELECT schemaname, tablename, pubname = $2 AS insert_only FROM pg_publication_tables"
    "   WHERE pubname IN ($1, $2)),"
    " wanted AS ("
    "   SELECT w ->> 0 AS schemaname, w ->> 1 AS tablename, (w ->> 2)::bool AS insert_only"
    "   FROM jsonb_array_elements($3::jsonb) w)"
    " SELECT format('%s %I.%I', CASE WHEN p.tablename IS NULL THEN 'lacks'"
    "                                ELSE 'also has' END,"
    "               coalesce(w.schemaname, p.schemaname), coalesce(w.tablename, p.tablename))"
    " FROM wanted w FULL JOIN published p"
    "   ON w.schemaname = p.schemaname AND w.tablename = p.tablename"
    "  AND w.insert_only = p.insert_only"
    " WHERE w.tablename IS NULL OR p.tablename IS NULL ORDER BY 1 DESC LIMIT 1";

/* What they publish, and how. Row filters and column lists (15 and later) are seen by the
 * functions' own results: to_jsonb() makes columns that a release lacks null. */
static const char OPERATIONS_SQL[] =
    "SELECT 'does not publish what it was made for'"
    " FROM pg_publication p"
    " WHERE p.pubname = $1 AND NOT (pubinsert AND pubupdate AND pubdelete AND pubtruncate"
    "                               AND pubviaroot)"
    "    OR p.pubname = $2 AND NOT (pubinsert AND pubtruncate AND pubviaroot)"
    " UNION ALL "
    "SELECT 'has a row filter or a column list'"
    " FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
    " WHERE p.pubname IN ($1, $2)"
    "   AND (to_jsonb(r) ->> 'prqual' IS NOT NULL OR to_jsonb(r) ->> 'prattrs' IS NOT NULL)"
    " LIMIT 1";

static void append_json_text(struct buf *json, const char *text)
{
    buf_append_char(json, '"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == '"' || byte == '\\')
            buf_append_format(json, "\\u%04x", byte);
        else
            buf_append_char(json, (char)byte);
    }
    buf_append_char(json, '"');
}

/* The first row's text, or NULL in *difference when there is none. */
static bool read_difference(struct session *session, const char *sql, int count,
                            const char *const *values, char **difference, struct err *err)
{
    PGresult *r = session_query(session, sql, count, values, err);
    if (r == NULL)
        return err_wrap(err, "reading the publication");
    *difference = PQntuples(r) == 0 ? NULL : mem_string(PQgetvalue(r, 0, 0));
    PQclear(r);
    return true;
}

bool slot_check_publications(struct session *session, const char *slot, size_t count,
                             const struct slot_table *tables, bool *same, char **difference,
                             struct err *err)
{
    char insert_only[SLOT_NAME_SIZE + 16];
    struct buf wanted = {0};
    slot_insert_only_name(slot, insert_only);
    buf_append_char(&wanted, '[');
    for (size_t i = 0; i < count; i++) {
        buf_append_text(&wanted, i == 0 ? "[" : ", [");
        append_json_text(&wanted, tables[i].schema);
        buf_append_text(&wanted, ", ");
        append_json_text(&wanted, tables[i].name);
        buf_append_format(&wanted, ", %s]", tables[i].insert_only ? "true" : "false");
    }
    buf_append_char(&wanted, ']');
    const char *values[] = {slot, insert_only, wanted.data};
    bool ok = read_difference(session, PUBLISHED_SQL, 3, values, difference, err) &&
              (*difference != NULL ||
               read_difference(session, OPERATIONS_SQL, 2, values, difference, err));
    buf_free(&wanted);
    *same = ok && *difference == NULL;
    return ok;
}

/* ---- slot ---- */

/* Reads under the exported snapshot what it contains, in a session of its own. */
static bool read_snapshot(const char *dsn, const char *exported, const struct stop *stop,
                          char **snapshot, struct err *err)
{
    struct session reader = {0};
    struct buf sql = {0};
    if (!session_open(&reader, "source", dsn, SESSION_SQL, stop, err))
        return false;
    buf_append_text(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                          " SET TRANSACTION SNAPSHOT ");
    literal_append(&sql, exported, strlen(exported));
    buf_append_text(&sql, "; SELECT pg_current_snapshot()");
    PGresult *r = session_exec(&reader, sql.data, err);
    if (r != NULL)
        *snapshot = mem_string(PQgetvalue(r, 0, 0));
    PQclear(r);
    buf_free(&sql);
    session_close(&reader);
    return r != NULL;
}

bool slot_create(const char *dsn, const char *slot, enum slot_kind kind,
                 const struct stop *stop, char **snapshot, lsn_t *consistent_lsn,
                 struct err *err)
{
    /* The second form is of 15 and later, its FAILOVER of 17. */
    static const char *const OPTIONS[] = {
        [SLOT_PLAIN] = "EXPORT_SNAPSHOT",
        [SLOT_FAILOVER] = "(SNAPSHOT 'export', FAILOVER)",
        [SLOT_TWO_PHASE] = "(SNAPSHOT 'export', TWO_PHASE)",
    };
    struct session walsender = {0};
    struct buf sql = {0};
    if (!session_open(&walsender, "source", dsn, SESSION_REPLICATION, stop, err))
        return false;
    buf_append_text(&sql, "CREATE_REPLICATION_SLOT ");
    ident_append(&sql, slot);
    buf_append_text(&sql, " LOGICAL pgoutput ");
    if (kind == SLOT_TWO_PHASE && PQserverVersion(walsender.conn) < RELEASE_TWO_PHASE)
        kind = SLOT_PLAIN;
    buf_append_text(&sql, OPTIONS[kind]);
    PGresult *r = session_exec(&walsender, sql.data, err);
    buf_free(&sql);
    bool ok = r != NULL && lsn_parse(PQgetvalue(r, 0, 1), consistent_lsn) &&
              read_snapshot(dsn, PQgetvalue(r, 0, 2), stop, snapshot, err);
    PQclear(r);
    session_close(&walsender);
    return ok || err_wrap(err, "creating slot %s", slot);
}

bool slot_drop(struct session *session, const char *slot, struct err *err)
{
    usec_t until = clock_monotonic() + DROP_DEADLINE;
    for (;;) {
        PGresult *r = session_query(session,
                                    "SELECT pg_drop_replication_slot(slot_name)"
                                    " FROM pg_replication_slots WHERE slot_name = $1",
                                    1, &slot, err);
        PQclear(r);
        if (r != NULL)
            return true;
        bool in_use = strcmp(err->sqlstate, "55006") == 0;
        if (!in_use || clock_monotonic() > until)
            return err_wrap(err, "dropping slot %s", slot);
        if (stop_wait(session->stop, clock_monotonic() + DROP_PAUSE))
            return err_set(err, ERR_STOPPED, "stopped while dropping slot %s", slot);
    }
}

/* Columns that a release lacks are null in to_jsonb(), as is a setting that it does not know. */
static const char STATE_SQL[] =
    "SELECT slot_type = 'logical' AND plugin = 'pgoutput' AND database = current_database(),"
    "       active, coalesce(wal_status, ''), confirmed_flush_lsn, restart_lsn,"
    "       coalesce(safe_wal_size, -1),"
    "       coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()"
    "                     ELSE pg_current_wal_lsn() END - restart_lsn, 0)::bigint,"
    "       coalesce(to_jsonb(s) ->> 'invalidation_reason', ''),"
    "       coalesce((to_jsonb(s) ->> 'failover')::bool, false),"
    "       coalesce(CASE WHEN NOT active AND idle.seconds > 0 THEN greatest(0, idle.seconds -"
    "          extract(epoch FROM now() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)) END,"
    "          -1)::bigint"
    " FROM pg_replication_slots s CROSS JOIN (SELECT extract(epoch FROM"
    "    current_setting('idle_replication_slot_timeout', true)::interval)) AS idle(seconds)"
    " WHERE slot_name = $1";

bool slot_state(struct session *session, const char *slot, struct slot_state *state,
                struct err *err)
{
    PGresult *r = session_query(session, STATE_SQL, 1, &slot, err);
    if (r == NULL)
        return err_wrap(err, "reading slot %s", slot);
    *state =
        (struct slot_state){.exists = PQntuples(r) == 1, .safe_wal_size = -1, .idle_left = -1};
    if (state->exists) {
        state->ours = PQgetvalue(r, 0, 0)[0] == 't';
        state->active = PQgetvalue(r, 0, 1)[0] == 't';
        snprintf(state->wal_status, sizeof state->wal_status, "%s", PQgetvalue(r, 0, 2));
        (void)lsn_parse(PQgetvalue(r, 0, 3), &state->confirmed_flush);
        (void)lsn_parse(PQgetvalue(r, 0, 4), &state->restart);
        state->safe_wal_size = strtoll(PQgetvalue(r, 0, 5), NULL, 10);
        state->retained_bytes = strtoll(PQgetvalue(r, 0, 6), NULL, 10);
        snprintf(state->invalidation, sizeof state->invalidation, "%s", PQgetvalue(r, 0, 7));
        state->failover = PQgetvalue(r, 0, 8)[0] == 't';
        state->idle_left = strtoll(PQgetvalue(r, 0, 9), NULL, 10);
    }
    PQclear(r);
    return true;
}

const char *slot_loss(const struct slot_state *state)
{
    static const struct {
        const char *reason;
        const char *words;
    } LOSSES[] = {
        {"wal_removed", "the source has removed WAL that it needs (max_slot_wal_keep_size)"},
        {"rows_removed", "the source has removed catalog rows that it needs"},
        {"wal_level_insufficient", "the source's wal_level was lowered"},
        {"idle_timeout",
         "nobody read from it for as long as idle_replication_slot_timeout says"},
    };
    for (size_t i = 0; i < sizeof LOSSES / sizeof LOSSES[0]; i++)
        if (strcmp(LOSSES[i].reason, state->invalidation) == 0)
            return LOSSES[i].words;
    return "the source has removed what it needs";
}
