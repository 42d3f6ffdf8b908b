/* Our own server processes, left behind (ghost.h). */
#include "postgres/ghost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END_PATIENCE (30 * USEC_PER_SEC)
#define END_PAUSE (20 * USEC_PER_MS)

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

/* A process leaves pg_stat_activity after its transaction (PostgreSQL: ShutdownPostgres runs
 * before_shmem_exit). */
bool ghost_end(struct session *session, const struct ghost *ghost, struct err *err)
{
    usec_t until = clock_monotonic() + END_PATIENCE;
    while (ghost->pid != 0 && ghost->started[0] != '\0') {
        PGresult *r = ask(session, "pg_terminate_backend(pid)", ghost, err);
        bool gone = r != NULL && PQntuples(r) == 0;
        PQclear(r);
        if (r == NULL || gone)
            return gone;
        if (clock_monotonic() > until)
            return err_set(err, ERR_RETRY,
                           "%s: the server process %d of our last connection "
                           "does not end",
                           session->side, ghost->pid);
        if (stop_wait(session->stop, clock_monotonic() + END_PAUSE))
            return err_set(err, ERR_STOPPED,
                           "stopped while waiting for a server process to end");
    }
    return true;
}

/* What moves with every message that arrives, and in COPY with every piece. */
static const char IS_WORKING[] =
    "state = 'active' AND wait_event_type IS DISTINCT FROM 'Client',"
    " concat_ws(' ', query_start, state_change, (SELECT p.bytes_processed"
    " FROM pg_stat_progress_copy p WHERE p.pid = pg_stat_activity.pid))";

bool ghost_is_working(struct session *session, struct ghost *ghost, bool *working,
                      struct err *err)
{
    PGresult *r = ask(session, IS_WORKING, ghost, err);
    if (r == NULL)
        return false;
    bool lives = PQntuples(r) == 1;
    const char *done = lives ? PQgetvalue(r, 0, 1) : "";
    *working = lives && (PQgetvalue(r, 0, 0)[0] == 't' || strcmp(done, ghost->done) != 0);
    snprintf(ghost->done, sizeof ghost->done, "%s", done);
    PQclear(r);
    return true;
}
