/* See claim.h. */
#include "postgres/claim.h"

#include "base/failpoint.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* $1 migration, $2 claims */
#define CONFLICT_SQL                                                                           \
    "SELECT theirs.migration, theirs.target"                                                   \
    " FROM jsonb_to_recordset($2::jsonb) AS ours(target text, owner jsonb)"                    \
    " JOIN slackwater.claim theirs ON theirs.target = ours.target"                             \
    " WHERE theirs.migration <> $1 AND NOT EXISTS ("                                           \
    "   SELECT FROM jsonb_each_text(ours.owner) a JOIN jsonb_each_text(theirs.owner) b"        \
    "     ON a.key = b.key AND a.value <> b.value)"                                            \
    " ORDER BY theirs.migration, theirs.target LIMIT 1"

/* Both NULL when there is none. */
struct conflict {
    char *migration;
    char *target; /* "app.orders" */
};

static void conflict_free(struct conflict *conflict)
{
    free(conflict->migration);
    free(conflict->target);
}

static bool look(struct session *session, const char *migration, const char *claims,
                 struct conflict *conflict, struct err *err)
{
    PGresult *r =
        session_query(session, CONFLICT_SQL, 2, (const char *[]){migration, claims}, err);
    if (r != NULL && PQntuples(r) > 0)
        *conflict = (struct conflict){.migration = mem_string(PQgetvalue(r, 0, 0)),
                                      .target = mem_string(PQgetvalue(r, 0, 1))};
    PQclear(r);
    return r != NULL;
}

#define REMEDY                                                                                 \
    "give each migration another constant in the key (columns: { tenant: { value: ... } }), "  \
    "or end the other one with `slackwater cleanup`"

bool claim_check(struct session *session, const char *migration, const char *claims,
                 struct findings *findings, struct err *err)
{
    PGresult *r =
        session_exec(session, "SELECT to_regclass('slackwater.claim') IS NOT NULL", err);
    bool installed = r != NULL && PQgetvalue(r, 0, 0)[0] == 't';
    bool ok = r != NULL;
    struct conflict conflict = {0};
    PQclear(r);
    if (ok && installed)
        ok = look(session, migration, claims, &conflict, err);
    if (conflict.target != NULL)
        findings_addf(findings, "target.claimed", SEVERITY_BREAKING, conflict.target, REMEDY,
                      "migration \"%s\" writes the same rows of this table: no constant of the "
                      "key tells them apart",
                      conflict.migration);
    conflict_free(&conflict);
    return ok || err_wrap(err, "looking for other migrations of the target tables");
}

static bool refuse(const struct conflict *conflict, struct err *err)
{
    err_set(err, ERR_CONFIG,
            "target table %s: migration \"%s\" writes the same rows, no constant of the key "
            "tells them apart",
            conflict->target, conflict->migration);
    return err_remedy(err, "%s", REMEDY);
}

static bool replace(struct session *session, const char *migration, const char *claims,
                    struct err *err)
{
    PGresult *r = session_query(session, "DELETE FROM slackwater.claim WHERE migration = $1", 1,
                                &migration, err);
    if (r == NULL)
        return false;
    PQclear(r);
    r = session_query(session,
                      "INSERT INTO slackwater.claim (migration, target, owner)"
                      " SELECT DISTINCT $1, target, owner"
                      " FROM jsonb_to_recordset($2::jsonb) AS ours(target text, owner jsonb)",
                      2, (const char *[]){migration, claims}, err);
    PQclear(r);
    return r != NULL;
}

/* One at a time: of two that begin together, the second sees what the first has taken. */
static bool take_alone(struct session *session, const char *migration, const char *claims,
                       struct err *err)
{
    struct conflict conflict = {0};
    bool ok = session_run(session, "LOCK TABLE slackwater.claim IN EXCLUSIVE MODE", err) &&
              look(session, migration, claims, &conflict, err) &&
              (conflict.target == NULL || refuse(&conflict, err)) &&
              replace(session, migration, claims, err);
    conflict_free(&conflict);
    return ok;
}

bool claim_take(struct session *session, const char *migration, const char *claims,
                struct err *err)
{
    struct err ignored = {0};
    if (session_run(session, "BEGIN", err) && take_alone(session, migration, claims, err) &&
        failpoint(BEGIN_CLAIMING, err) && session_run(session, "COMMIT", err))
        return true;
    (void)session_run(session, "ROLLBACK", &ignored);
    return false;
}
