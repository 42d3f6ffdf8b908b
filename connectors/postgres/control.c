/* The control tables at the target (control.h). */
#include "postgres/control.h"

#include "postgres/copy_record.h"
#include "postgres/field.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_LAYOUT 5
#define COPIERS_PATIENCE (60 * USEC_PER_SEC)
#define COPIERS_PAUSE (50 * USEC_PER_MS)
#define ORIGIN_PATIENCE (10 * USEC_PER_SEC)
#define ORIGIN_PAUSE (50 * USEC_PER_MS)

/* The state words, by enum control_state. */
static const char *const STATES[] = {"none", "creating", "started"};

/* Several migrations may begin at once: IF NOT EXISTS alone would let them collide. */
#define INSTALL_LOCK "SELECT pg_advisory_xact_lock(hashtextextended('slackwater control', 0));"

static const char INSTALL_SQL[] =
    "BEGIN;" INSTALL_LOCK "CREATE SCHEMA IF NOT EXISTS slackwater;"
    "CREATE TABLE IF NOT EXISTS slackwater.layout (version int NOT NULL);"
    "DELETE FROM slackwater.layout; INSERT INTO slackwater.layout VALUES (5);"
    "CREATE TABLE IF NOT EXISTS slackwater.migration ("
    "  name text PRIMARY KEY,"
    "  state text NOT NULL,"
    "  system_identifier text NOT NULL,"
    "  timeline bigint NOT NULL,"
    "  source_database text NOT NULL,"
    "  initial_snapshot text,"
    "  consistent_lsn pg_lsn,"
    "  rules_digest text,"
    "  http_address text,"
    "  slot_restart pg_lsn,"                   /* continuity.h */
    "  paused boolean NOT NULL DEFAULT false," /* the backfill begins no new chunk */
    "  created_at timestamptz NOT NULL DEFAULT now());"
    "CREATE TABLE IF NOT EXISTS slackwater.progress ("
    "  migration text PRIMARY KEY REFERENCES slackwater.migration ON DELETE CASCADE,"
    "  lsn pg_lsn NOT NULL,"
    "  note text NOT NULL DEFAULT '',"
    "  commit_at timestamptz,"
    "  applied_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 10);"
    "CREATE TABLE IF NOT EXISTS slackwater.copy ("
    "  migration text NOT NULL REFERENCES slackwater.migration ON DELETE CASCADE,"
    "  source text NOT NULL,"
    "  needed boolean NOT NULL,"
    "  updates_deletes bigint NOT NULL DEFAULT 0,"
    "  stats_reset text NOT NULL,"
    "  partitions text NOT NULL," /* and of the publication: continuity.h */
    "  covers text,"              /* NULL: nothing besides the slot's start */
    "  plan_made boolean NOT NULL DEFAULT false,"
    "  whole boolean NOT NULL DEFAULT false,"
    "  staged boolean NOT NULL DEFAULT false,"
    "  bounds text[],"                /* arrays of texts, as text */
    "  begun int NOT NULL DEFAULT 0," /* anew, so often */
    "  key text NOT NULL DEFAULT ''," /* columns that bounds and chunks are of */
    "  finished_at timestamptz,"
    "  PRIMARY KEY (migration, source));"
    "CREATE TABLE IF NOT EXISTS slackwater.chunk ("
    "  migration text NOT NULL,"
    "  source text NOT NULL,"
    "  lane int NOT NULL,"
    "  number int NOT NULL,"
    "  upto text[]," /* NULL: the lane's end */
    "  snapshot text NOT NULL,"
    "  lsn pg_lsn NOT NULL,"
    "  rows bigint NOT NULL,"
    "  bytes bigint NOT NULL,"
    "  finished_at timestamptz NOT NULL DEFAULT now(),"
    "  PRIMARY KEY (migration, source, lane, number),"
    "  FOREIGN KEY (migration, source) REFERENCES slackwater.copy ON DELETE CASCADE);"
    "CREATE TABLE IF NOT EXISTS slackwater.lane (" /* one row for each that has a chunk */
    "  migration text NOT NULL,"
    "  source text NOT NULL,"
    "  lane int NOT NULL,"
    "  chunks int NOT NULL," /* how many rows chunk has of it */
    "  PRIMARY KEY (migration, source, lane),"
    "  FOREIGN KEY (migration, source) REFERENCES slackwater.copy ON DELETE CASCADE)"
    "  WITH (fillfactor = 10);"
    "CREATE TABLE IF NOT EXISTS slackwater.deferred_index ("
    "  migration text NOT NULL,"
    "  source text NOT NULL,"
    "  position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,"
    "  target text NOT NULL,"
    "  name text NOT NULL,"
    "  removal text NOT NULL,"
    "  definition text NOT NULL,"
    "  tablespace text NOT NULL,"
    "  attach text NOT NULL,"
    "  rest text NOT NULL,"
    "  beside boolean NOT NULL,"
    "  dropped_at timestamptz NOT NULL DEFAULT now(),"
    "  built_at timestamptz,"
    "  PRIMARY KEY (migration, name),"
    "  FOREIGN KEY (migration, source) REFERENCES slackwater.copy ON DELETE CASCADE);"
    "CREATE TABLE IF NOT EXISTS slackwater.claim ("
    "  migration text NOT NULL REFERENCES slackwater.migration ON DELETE CASCADE,"
    "  target text NOT NULL,"
    "  owner jsonb NOT NULL,"
    "  PRIMARY KEY (migration, target, owner));"
    "COMMIT";

static const char LOAD_SQL[] =
    "SELECT m.state, m.system_identifier, m.timeline, m.source_database, m.initial_snapshot,"
    "       m.consistent_lsn, p.lsn, m.http_address, coalesce(p.note, ''), m.paused,"
    "       m.slot_restart"
    " FROM slackwater.migration m LEFT JOIN slackwater.progress p ON p.migration = m.name"
    " WHERE m.name = $1";

/* *version 0: nothing is installed. */
static bool read_layout(struct session *session, long *version, struct err *err)
{
    PGresult *r =
        session_exec(session, "SELECT to_regclass('slackwater.layout') IS NOT NULL", err);
    if (r == NULL)
        return false;
    bool installed = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    *version = 0;
    if (!installed)
        return true;
    r = session_exec(session, "SELECT max(version) FROM slackwater.layout", err);
    if (r == NULL)
        return false;
    *version = strtol(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    if (*version == CONTROL_LAYOUT)
        return true;
    err_set(err, ERR_CONFIG, "target: schema slackwater has layout %ld, this program knows %d",
            *version, CONTROL_LAYOUT);
    return err_remedy(err, "run the slackwater version that created it, at least its cleanup");
}

bool control_install(struct session *session, struct err *err)
{
    long version = 0;
    if (!read_layout(session, &version, err))
        return false;
    if (version == CONTROL_LAYOUT || session_run(session, INSTALL_SQL, err))
        return true;
    return err_wrap(err, "creating the control schema");
}

static enum control_state parse_state(const char *text)
{
    for (size_t i = 0; i < sizeof STATES / sizeof STATES[0]; i++)
        if (strcmp(text, STATES[i]) == 0)
            return (enum control_state)i;
    return CONTROL_NONE;
}

bool control_load(struct session *session, const char *migration,
                  struct control_migration *found, struct err *err)
{
    long version = 0;
    if (!read_layout(session, &version, err))
        return err_wrap(err, "reading the control schema");
    *found = (struct control_migration){.state = CONTROL_NONE};
    if (version == 0)
        return true;
    PGresult *r = session_query(session, LOAD_SQL, 1, &migration, err);
    if (r == NULL)
        return err_wrap(err, "reading the control schema");
    if (PQntuples(r) == 1)
        *found = (struct control_migration){
            .state = parse_state(PQgetvalue(r, 0, 0)),
            .system_identifier = field_text(r, 0, 1),
            .timeline = (uint32_t)strtoul(PQgetvalue(r, 0, 2), NULL, 10),
            .source_database = field_text(r, 0, 3),
            .initial_snapshot = field_text(r, 0, 4),
            .consistent_lsn = field_lsn(r, 0, 5),
            .applied = field_lsn(r, 0, 6),
            .http_address = field_text(r, 0, 7),
            .note = field_text(r, 0, 8),
            .paused = field_flag(r, 0, 9),
            .slot_restart = field_lsn(r, 0, 10),
        };
    PQclear(r);
    return true;
}

void control_migration_free(struct control_migration *migration)
{
    free(migration->system_identifier);
    free(migration->source_database);
    free(migration->initial_snapshot);
    free(migration->http_address);
    free(migration->note);
    *migration = (struct control_migration){.state = CONTROL_NONE};
}

bool control_lock(struct session *session, const char *migration, bool *taken, struct err *err)
{
    PGresult *r = session_query(
        session, "SELECT pg_try_advisory_lock(hashtextextended('slackwater:' || $1, 0))", 1,
        &migration, err);
    if (r == NULL)
        return err_wrap(err, "taking the migration's lock");
    *taken = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return true;
}

void control_append_copier_lock(struct buf *sql, const char *migration)
{
    buf_append_text(sql, "SELECT pg_advisory_xact_lock_shared("
                         "hashtextextended('slackwater-copy:' || ");
    literal_append(sql, migration, strlen(migration));
    buf_append_text(sql, ", 0))");
}

/* Takes the copiers' lock for a moment; while another has it, ends who it is, unless it is
 * another role. An advisory lock's key is shown in two halves (documentation, pg_locks). */
static bool end_copiers(struct session *session, const char *migration, bool *gone,
                        struct err *err)
{
    static const char TRY_SQL[] =
        "SELECT CASE WHEN pg_try_advisory_lock(key) THEN pg_advisory_unlock(key)"
        "            ELSE false END"
        " FROM hashtextextended('slackwater-copy:' || $1, 0) key";
    static const char END_SQL[] =
        "SELECT pg_terminate_backend(l.pid)"
        " FROM hashtextextended('slackwater-copy:' || $1, 0) key, pg_locks l, pg_database d,"
        "      pg_stat_activity a"
        " WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.database = d.oid"
        "   AND d.datname = current_database()"
        "   AND l.classid::bigint = (key >> 32) & 4294967295"
        "   AND l.objid::bigint = key & 4294967295"
        "   AND a.pid = l.pid AND a.usename = session_user";
    PGresult *r = session_query(session, TRY_SQL, 1, &migration, err);
    if (r == NULL)
        return false;
    *gone = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    if (*gone)
        return true;
    r = session_query(session, END_SQL, 1, &migration, err);
    PQclear(r);
    return r != NULL;
}

bool control_end_copiers(struct session *session, const char *migration, struct err *err)
{
    usec_t until = clock_monotonic() + COPIERS_PATIENCE;
    for (;;) {
        bool gone = false;
        if (!end_copiers(session, migration, &gone, err))
            return err_wrap(err, "ending the last run's copies");
        if (gone)
            return true;
        if (clock_monotonic() > until) {
            err_set(err, ERR_RETRY,
                    "target: a transaction of the last run's copy does not end");
            return err_remedy(err,
                              "end the sessions that hold slackwater's advisory lock there "
                              "(pg_locks, pg_terminate_backend)");
        }
        if (stop_wait(session->stop, clock_monotonic() + COPIERS_PAUSE))
            return err_set(err, ERR_STOPPED, "stopped while waiting for the last run's copies");
    }
}

static bool run_query(struct session *session, const char *sql, int count,
                      const char *const *values, struct err *err)
{
    PGresult *r = session_query(session, sql, count, values, err);
    PQclear(r);
    return r != NULL;
}

bool control_begin(struct session *session, const char *migration,
                   const struct control_migration *facts, struct err *err)
{
    char timeline[16];
    snprintf(timeline, sizeof timeline, "%u", facts->timeline);
    const char *values[] = {migration, STATES[CONTROL_CREATING], facts->system_identifier,
                            timeline, facts->source_database};
    return run_query(session,
                     "INSERT INTO slackwater.migration"
                     " (name, state, system_identifier, timeline, source_database)"
                     " VALUES ($1, $2, $3, $4, $5)"
                     " ON CONFLICT (name) DO UPDATE SET state = EXCLUDED.state,"
                     "   system_identifier = EXCLUDED.system_identifier,"
                     "   timeline = EXCLUDED.timeline,"
                     "   source_database = EXCLUDED.source_database, slot_restart = NULL",
                     5, values, err) ||
           err_wrap(err, "registering the migration");
}

bool control_set_timeline(struct session *session, const char *migration, uint32_t timeline,
                          struct err *err)
{
    char number[16];
    snprintf(number, sizeof number, "%u", timeline);
    return run_query(session,
                     "UPDATE slackwater.migration SET timeline = $2, slot_restart = NULL"
                     " WHERE name = $1",
                     2, (const char *[]){migration, number}, err) ||
           err_wrap(err, "noting the source's timeline");
}

bool control_note_slot(struct session *session, const char *migration, lsn_t slot_restart,
                       struct err *err)
{
    char lsn[LSN_TEXT_SIZE];
    return run_query(session,
                     "UPDATE slackwater.migration SET slot_restart = $2 WHERE name = $1", 2,
                     (const char *[]){migration, lsn_format(slot_restart, lsn)}, err) ||
           err_wrap(err, "noting where the slot is");
}

static bool record_start(struct session *session, const char *migration, const char *snapshot,
                         lsn_t consistent_lsn, struct err *err)
{
    char lsn[LSN_TEXT_SIZE];
    const char *values[] = {migration, STATES[CONTROL_STARTED], snapshot,
                            lsn_format(consistent_lsn, lsn)};
    return run_query(session,
                     "UPDATE slackwater.migration"
                     " SET state = $2, initial_snapshot = $3, consistent_lsn = $4::pg_lsn"
                     " WHERE name = $1",
                     4, values, err) &&
           run_query(session,
                     "INSERT INTO slackwater.progress (migration, lsn) VALUES ($1, $2::pg_lsn)",
                     2, (const char *[]){migration, lsn}, err);
}

bool control_started(struct session *session, const char *migration, const char *snapshot,
                     lsn_t consistent_lsn, size_t copy_count, const struct copy_record *copies,
                     struct err *err)
{
    bool ok = session_run(session, "BEGIN", err) &&
              record_start(session, migration, snapshot, consistent_lsn, err);
    for (size_t i = 0; ok && i < copy_count; i++)
        ok = copy_record_insert(session, migration, &copies[i], err);
    if (ok && session_run(session, "COMMIT", err))
        return true;
    return err_wrap(err, "recording the migration's start");
}

bool control_note_rules(struct session *session, const char *migration, const char *rules,
                        bool *same, struct err *err)
{
    PGresult *r = session_query(session,
                                "WITH before AS (SELECT rules_digest FROM slackwater.migration"
                                "                WHERE name = $1)"
                                " UPDATE slackwater.migration m SET rules_digest = md5($2)"
                                " FROM before WHERE m.name = $1"
                                " RETURNING coalesce(before.rules_digest, md5($2)) = md5($2)",
                                2, (const char *[]){migration, rules}, err);
    if (r == NULL)
        return err_wrap(err, "comparing the rules with those of the last run");
    *same = PQntuples(r) == 1 && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return true;
}

bool control_set_http_address(struct session *session, const char *migration,
                              const char *address, struct err *err)
{
    return run_query(session,
                     "UPDATE slackwater.migration SET http_address = $2 WHERE name = $1", 2,
                     (const char *[]){migration, address}, err);
}

static bool no_migration(const char *migration, struct err *err)
{
    err_set(err, ERR_CONFIG, "no migration \"%s\" was begun at this target", migration);
    return err_remedy(err, "begin it with `slackwater run`, or name the right one");
}

bool control_set_paused(struct session *session, const char *migration, bool paused,
                        bool *changed, struct err *err)
{
    PGresult *r = session_query(session,
                                "UPDATE slackwater.migration m SET paused = $2::boolean"
                                " FROM (SELECT paused FROM slackwater.migration"
                                "       WHERE name = $1 FOR UPDATE) before"
                                " WHERE m.name = $1 RETURNING before.paused <> m.paused",
                                2, (const char *[]){migration, paused ? "t" : "f"}, err);
    if (r == NULL)
        return err_wrap(err, "recording the pause");
    bool found = PQntuples(r) == 1;
    if (found)
        *changed = field_flag(r, 0, 0);
    PQclear(r);
    return found || no_migration(migration, err);
}

bool control_read_paused(struct session *session, const char *migration, bool *paused,
                         struct err *err)
{
    PGresult *r = session_query(
        session, "SELECT paused FROM slackwater.migration WHERE name = $1", 1, &migration, err);
    if (r == NULL)
        return err_wrap(err, "reading whether the backfill is paused");
    bool found = PQntuples(r) == 1;
    if (found)
        *paused = field_flag(r, 0, 0);
    PQclear(r);
    return found || no_migration(migration, err);
}

/* Two steps: the right to call the function is asked for even if it would not be called. */
static bool drop_origin(struct session *session, const char *origin, struct err *err)
{
    PGresult *r = session_query(session, "SELECT FROM pg_replication_origin WHERE roname = $1",
                                1, &origin, err);
    bool exists = r != NULL && PQntuples(r) == 1;
    PQclear(r);
    if (r != NULL && exists) {
        r = session_query(session, "SELECT pg_replication_origin_drop($1)", 1, &origin, err);
        PQclear(r);
    }
    return r != NULL;
}

bool control_drop_origin(struct session *session, const char *origin, struct err *err)
{
    usec_t until = clock_monotonic() + ORIGIN_PATIENCE;
    for (;;) {
        if (drop_origin(session, origin, err))
            return true;
        if (strcmp(err->sqlstate, "55006") != 0 || clock_monotonic() > until)
            return err_wrap(err, "dropping replication origin %s", origin);
        if (stop_wait(session->stop, clock_monotonic() + ORIGIN_PAUSE))
            return err_set(err, ERR_STOPPED, "stopped while dropping replication origin %s",
                           origin);
    }
}

/* In a transaction, so that no migration that begins meanwhile loses the schema under its feet.
 */
static bool remove_rows(struct session *session, const char *migration, struct err *err)
{
    if (!session_run(session, INSTALL_LOCK, err) ||
        !run_query(session, "DELETE FROM slackwater.migration WHERE name = $1", 1, &migration,
                   err))
        return false;
    PGresult *r = session_exec(session, "SELECT count(*) FROM slackwater.migration", err);
    if (r == NULL)
        return false;
    bool last = strcmp(PQgetvalue(r, 0, 0), "0") == 0;
    PQclear(r);
    return !last || session_run(session, "DROP SCHEMA slackwater CASCADE", err);
}

bool control_remove(struct session *session, const char *migration, struct err *err)
{
    struct err ignored = {0};
    long version = 0;
    if (!read_layout(session, &version, err))
        return false;
    if (version == 0)
        return true;
    if (session_run(session, "BEGIN", err) && remove_rows(session, migration, err) &&
        session_run(session, "COMMIT", err))
        return true;
    (void)session_run(session, "ROLLBACK", &ignored);
    return false;
}
