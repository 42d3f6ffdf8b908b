/* Who holds a lock that we waited for in vain (locks.h). */
#include "postgres/locks.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LOCK_NOT_AVAILABLE "55P03"

/* The oldest first. A foreign key lets readers be; reading waits for nobody else than those who
 * have the table for themselves. */
static const char HOLDERS_SQL[] =
    "SELECT string_agg(format('%s by pid %s (%s, %s, for %s)', what, pid, who, state, since),"
    " '; ') FROM (SELECT DISTINCT l.relation::regclass::text AS what, a.pid,"
    " coalesce(nullif(a.application_name, ''), a.usename) AS who, a.state,"
    " date_trunc('second', clock_timestamp() - a.xact_start) AS since"
    " FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation"
    " WHERE l.granted AND a.datname = current_database() AND a.pid <> pg_backend_pid()"
    " AND c.relkind IN ('r', 'p')"
    " AND CASE WHEN $1::text IS NULL THEN l.mode = 'AccessExclusiveLock'"
    "          ELSE l.relation IN (to_regclass($1), to_regclass($2)) END"
    " AND ($2::text IS NULL OR l.mode NOT IN ('AccessShareLock', 'RowShareLock'))"
    " ORDER BY since DESC LIMIT 3) AS holders";

bool locks_refused(const struct err *err)
{
    return strcmp(err->sqlstate, LOCK_NOT_AVAILABLE) == 0;
}

char *locks_holders(struct session *session, const char *table, const char *parent)
{
    const char *values[] = {table, parent};
    struct err ignored = {0};
    PGresult *result = session_query(session, HOLDERS_SQL, 2, values, &ignored);
    bool known = result != NULL && !PQgetisnull(result, 0, 0);
    char *text = mem_string(known ? PQgetvalue(result, 0, 0) : "somebody");
    PQclear(result);
    return text;
}

bool locks_explain(struct session *session, struct err *err)
{
    struct err ignored = {0};
    if (!locks_refused(err) || !session_run(session, "ROLLBACK", &ignored))
        return false;
    char *who = locks_holders(session, NULL, NULL);
    err_wrap(err, "locked: %s", who);
    err_remedy(err, "let that transaction end, and run this again");
    free(who);
    return false;
}
