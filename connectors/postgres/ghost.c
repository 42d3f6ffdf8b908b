/* Our own server processes, left behind (ghost.h). */
#include "postgres/ghost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ghost_note(struct session *session, struct ghost *ghost, struct err *err)
{
    PGresult *r = session_exec(session,
                               "SELECT backend_start FROM pg_stat_activity"
                               " WHERE pid = pg_backend_pid()",
                               err);
    if (r == NULL)
        return false;
    *ghost = (struct ghost){.pid = PQbackendPID(session->conn)};
    if (PQntuples(r) == 1)
        snprintf(ghost->started, sizeof ghost->started, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    return true;
}

/* The statement is run without parameters, for a walsender takes none; both texts came from the
 * server. */
static PGresult *ask(struct session *session, const char *what, const struct ghost *ghost,
                     struct err *err)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "SELECT %s FROM pg_stat_activity WHERE pid = %d"
             " AND backend_start = '%s'::timestamptz",
             what, ghost->pid, ghost->started);
    return session_exec(session, sql, err);
}

bool ghost_evict(struct session *session, const struct ghost *ghost, struct err *err)
{
    if (ghost->pid == 0 || ghost->started[0] == '\0')
        return true;
    PGresult *r = ask(session, "pg_terminate_backend(pid)", ghost, err);
    PQclear(r);
    return r != NULL;
}

bool ghost_is_working(struct session *session, const struct ghost *ghost, bool *working,
                      struct err *err)
{
    PGresult *r = ask(session, "state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'",
                      ghost, err);
    if (r == NULL)
        return false;
    *working = PQntuples(r) == 1 && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return true;
}
