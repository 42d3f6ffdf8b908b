/* Timelines' histories (failover.h).
 *
 * Protocol: "Streaming Replication Protocol", TIMELINE_HISTORY: a row of the file's name and
 * its content, lines of `timeline <tab> LSN <tab> reason`, and comments. */
#include "postgres/failover.h"

#include "postgres/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lsn_t end_of(const char *history, uint32_t timeline)
{
    for (const char *line = history; line != NULL && *line != '\0';) {
        char position[LSN_TEXT_SIZE];
        unsigned of;
        lsn_t end;
        /* NOLINTNEXTLINE(cert-err34-c): a number that is too large is of no timeline */
        if (sscanf(line, "%u %19s", &of, position) == 2 && of == timeline &&
            lsn_parse(position, &end))
            return end;
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return LSN_NONE;
}

bool failover_branch(const char *dsn, const struct stop *stop, uint32_t from, uint32_t now,
                     lsn_t *end, struct err *err)
{
    struct session session = {0};
    char sql[48];
    if (!session_open(&session, "source", dsn, SESSION_REPLICATION, stop, err))
        return false;
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %u", now);
    PGresult *r = session_exec(&session, sql, err);
    if (r != NULL)
        *end = end_of(PQgetvalue(r, 0, 1), from);
    PQclear(r);
    session_close(&session);
    return r != NULL || err_wrap(err, "reading the history of timeline %u", now);
}
