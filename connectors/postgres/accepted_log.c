/* See accepted_log.h. */
#include "postgres/accepted_log.h"

#include <stdlib.h>

/* The control schema is there; migrations of before this table get it now. */
#define INSTALL_SQL                                                                            \
    "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('slackwater control', 0));"          \
    "CREATE TABLE IF NOT EXISTS slackwater.accepted ("                                         \
    "  migration text NOT NULL REFERENCES slackwater.migration ON DELETE CASCADE,"             \
    "  table_oid oid NOT NULL,"                                                                \
    "  shape jsonb NOT NULL,"                                                                  \
    "  accepted_at timestamptz NOT NULL DEFAULT now(),"                                        \
    "  PRIMARY KEY (migration, table_oid)); COMMIT"

#define LOAD_SQL                                                                               \
    "SELECT coalesce(jsonb_object_agg(table_oid, shape), '{}') FROM slackwater.accepted"       \
    " WHERE migration = $1"

/* What is the same is left alone: most starts change nothing. */
#define KEEP_SQL                                                                                    \
    "INSERT INTO slackwater.accepted AS a (migration, table_oid, shape)"                            \
    " SELECT $1, key::oid, value FROM jsonb_each($2::jsonb)"                                        \
    " ON CONFLICT (migration, table_oid) DO UPDATE SET shape = excluded.shape, accepted_at = now()" \
    " WHERE a.shape <> excluded.shape"

static bool is_installed(struct session *session, bool *installed, struct err *err)
{
    PGresult *r =
        session_exec(session, "SELECT to_regclass('slackwater.accepted') IS NOT NULL", err);
    if (r != NULL)
        *installed = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
}

bool accepted_log_load(struct session *session, const char *migration, json_t **accepted,
                       struct err *err)
{
    bool installed = false;
    if (!is_installed(session, &installed, err))
        return false;
    if (!installed) {
        *accepted = json_object();
        return true;
    }
    PGresult *r = session_query(session, LOAD_SQL, 1, &migration, err);
    if (r != NULL)
        *accepted = json_loads(PQgetvalue(r, 0, 0), 0, NULL);
    PQclear(r);
    return r != NULL;
}

bool accepted_log_keep(struct session *session, const char *migration, const json_t *accepted,
                       struct err *err)
{
    char *text = json_dumps(accepted, JSON_COMPACT);
    bool installed = false;
    bool ok = is_installed(session, &installed, err) &&
              (installed || session_run(session, INSTALL_SQL, err));
    PGresult *r =
        ok ? session_query(session, KEEP_SQL, 2, (const char *[]){migration, text}, err) : NULL;
    ok = r != NULL;
    PQclear(r);
    free(text);
    return ok || err_wrap(err, "keeping what the tables are like");
}
