/* Readings of the source (probe.h). */
#include "postgres/probe.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static bool ask_position(struct session *session, const char *sql, lsn_t *lsn, struct err *err)
{
    PGresult *r = session_exec(session, sql, err);
    bool ok = r != NULL && lsn_parse(PQgetvalue(r, 0, 0), lsn);
    PQclear(r);
    if (r != NULL && !ok)
        return err_set(err, ERR_BUG, "source: unexpected answer to the WAL position question");
    return ok;
}

bool probe_position(struct session *session, lsn_t *lsn, struct err *err)
{
    return ask_position(session,
                        "SELECT CASE WHEN pg_is_in_recovery()"
                        " THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END",
                        lsn, err);
}

bool probe_insert_position(struct session *session, lsn_t *lsn, struct err *err)
{
    return ask_position(session, "SELECT pg_current_wal_insert_lsn()", lsn, err);
}

bool probe_visible(struct session *session, char **snapshot, lsn_t *inserted, lsn_t *flushed,
                   struct err *err)
{
    PGresult *r = session_exec(session,
                               "SELECT pg_current_snapshot(), pg_current_wal_insert_lsn(),"
                               " pg_current_wal_flush_lsn()",
                               err);
    if (r == NULL)
        return err_wrap(err, "taking a snapshot at the source");
    bool ok =
        lsn_parse(PQgetvalue(r, 0, 1), inserted) && lsn_parse(PQgetvalue(r, 0, 2), flushed);
    if (ok)
        *snapshot = mem_string(PQgetvalue(r, 0, 0));
    PQclear(r);
    return ok || err_set(err, ERR_BUG, "source: unexpected answer to the snapshot question");
}

bool probe_begun(struct session *session, char **snapshot, struct err *err)
{
    PGresult *r = session_exec(session,
                               "SELECT n || ':' || n || ':'"
                               " FROM (SELECT pg_current_xact_id()::text AS n OFFSET 0) now",
                               err);
    if (r == NULL)
        return err_wrap(err, "taking a transaction's number at the source");
    *snapshot = mem_string(PQgetvalue(r, 0, 0));
    PQclear(r);
    return true;
}

bool probe_emit(struct session *session, const char *prefix, const char *content,
                struct err *err)
{
    PGresult *r = session_query(session, "SELECT pg_logical_emit_message(true, $1, $2)", 2,
                                (const char *[]){prefix, content}, err);
    PQclear(r);
    return r != NULL;
}

/* Ages in microseconds. Our own sessions and the servers' helpers do not count. */
static const char TRANSACTIONS_SQL[] =
    "WITH open AS ("
    "   SELECT extract(epoch FROM clock_timestamp() - xact_start) * 1000000 AS age,"
    "          usesysid IS NOT NULL AND NOT pg_has_role(usesysid, 'USAGE')"
    "          AND NOT pg_has_role('pg_read_all_stats', 'USAGE') AS hidden"
    "   FROM pg_stat_activity"
    /* Of sessions that it may not look at, the role does not learn the type either. */
    "   WHERE datname = current_database()"
    "     AND coalesce(backend_type, 'client backend') = 'client backend'"
    "     AND pid <> pg_backend_pid() AND application_name <> 'slackwater')"
    " SELECT (SELECT coalesce(bool_or(hidden), false) FROM open),"
    "        (SELECT count(*) FROM open WHERE age > $1::bigint),"
    "        (SELECT coalesce(max(age), 0)::bigint FROM open),"
    "        (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()),"
    "        (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - prepared) * 1000000),"
    "                0)::bigint FROM pg_prepared_xacts WHERE database = current_database())";

bool probe_transactions(struct session *session, usec_t threshold,
                        struct probe_transactions *found, struct err *err)
{
    char limit[24];
    snprintf(limit, sizeof limit, "%lld", (long long)threshold);
    PGresult *r = session_query(session, TRANSACTIONS_SQL, 1, (const char *[]){limit}, err);
    if (r == NULL)
        return false;
    *found = (struct probe_transactions){
        .hidden = PQgetvalue(r, 0, 0)[0] == 't',
        .open_longer = strtoll(PQgetvalue(r, 0, 1), NULL, 10),
        .oldest_open = strtoll(PQgetvalue(r, 0, 2), NULL, 10),
        .prepared = strtoll(PQgetvalue(r, 0, 3), NULL, 10),
        .oldest_prepared = strtoll(PQgetvalue(r, 0, 4), NULL, 10),
    };
    PQclear(r);
    return true;
}

/* A walsender of logical decoding has a slot, and is no standby. Without the right to see them the
 * details of walsenders are null, so also the state. */
static const char STANDBYS_SQL[] =
    "WITH sender AS ("
    "   SELECT r.state, r.replay_lsn, r.replay_lag, r.application_name"
    "   FROM pg_stat_replication r"
    "   WHERE NOT EXISTS (SELECT FROM pg_replication_slots s"
    "                     WHERE s.active_pid = r.pid AND s.slot_type = 'logical')"
    " ), standby AS (SELECT * FROM sender WHERE replay_lsn IS NOT NULL),"
    " at AS (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
    "                    ELSE pg_current_wal_lsn() END AS position)"
    " SELECT (SELECT coalesce(bool_or(state IS NULL), false) FROM sender),"
    "        (SELECT count(*) FROM standby), at.position,"
    "        coalesce((SELECT min(replay_lsn) FROM standby), '0/0'),"
    "        (SELECT coalesce(max(extract(epoch FROM replay_lag) * 1000000), 0)::bigint"
    "         FROM standby WHERE replay_lsn < at.position),"
    "        coalesce((SELECT application_name FROM standby ORDER BY replay_lsn LIMIT 1), '')"
    " FROM at";

bool probe_standbys(struct session *session, struct probe_standbys *found, struct err *err)
{
    struct probe_standbys s = {0};
    PGresult *r = session_exec(session, STANDBYS_SQL, err);
    if (r == NULL)
        return false;
    s.hidden = PQgetvalue(r, 0, 0)[0] == 't';
    s.count = strtoll(PQgetvalue(r, 0, 1), NULL, 10);
    s.lag = strtoll(PQgetvalue(r, 0, 4), NULL, 10);
    snprintf(s.name, sizeof s.name, "%s", PQgetvalue(r, 0, 5));
    bool ok = lsn_parse(PQgetvalue(r, 0, 2), &s.position) &&
              lsn_parse(PQgetvalue(r, 0, 3), &s.replayed);
    PQclear(r);
    if (!ok)
        return err_set(err, ERR_BUG, "source: unexpected answer to the standby question");
    *found = s;
    return true;
}

/* A session of another role is shown without its state to who may not look at it. */
static const char LOAD_SQL[] =
    "SELECT coalesce(bool_or(state IS NULL AND usesysid IS NOT NULL"
    "                        AND NOT pg_has_role(usesysid, 'USAGE')"
    "                        AND NOT pg_has_role('pg_read_all_stats', 'USAGE')), false),"
    "       count(*) FILTER (WHERE state IN ('active', 'fastpath function call'))"
    " FROM pg_stat_activity"
    " WHERE coalesce(backend_type, 'client backend') = 'client backend'"
    "   AND pid <> pg_backend_pid() AND application_name <> 'slackwater'";

bool probe_load(struct session *session, struct probe_load *found, struct err *err)
{
    PGresult *r = session_exec(session, LOAD_SQL, err);
    if (r == NULL)
        return false;
    *found = (struct probe_load){.hidden = PQgetvalue(r, 0, 0)[0] == 't',
                                 .active = strtoll(PQgetvalue(r, 0, 1), NULL, 10)};
    PQclear(r);
    return true;
}

/* A crash throws a database's statistics away and says so only of the server's own: of the archiver's,
 * which hardly anybody resets. */
bool probe_stats_reset(struct session *session, char **reset, struct err *err)
{
    PGresult *r = session_exec(session,
                               "SELECT concat_ws(' ', d.stats_reset, a.stats_reset)"
                               " FROM pg_stat_database d CROSS JOIN pg_stat_archiver a"
                               " WHERE d.datname = current_database()",
                               err);
    if (r == NULL)
        return false;
    *reset = mem_string(PQntuples(r) == 1 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    return true;
}

bool probe_updates_deletes(struct session *session, uint32_t table_oid, int64_t *count,
                           struct err *err)
{
    char oid[16];
    snprintf(oid, sizeof oid, "%u", table_oid);
    PGresult *r = session_query(
        session,
        "SELECT coalesce(sum(pg_stat_get_tuples_updated(l) + pg_stat_get_tuples_deleted(l)), 0)"
        " FROM (WITH RECURSIVE tree(l) AS (" /* pg_partition_tree() would wait for locks */
        "         SELECT $1::oid UNION ALL"
        "         SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.l"
        "           JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition)"
        "       SELECT l FROM tree) leaf",
        1, (const char *[]){oid}, err);
    if (r == NULL)
        return false;
    *count = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return true;
}
