/* Is the source still the one that the migration began with? (continuity.h) */
#include "postgres/continuity.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begin_again(struct err *err)
{
    return err_remedy(err, "changes may be missing, so a new backfill is needed: run `slackwater "
                           "cleanup`, empty the target tables, then run again");
}

static bool restart(struct err *err)
{
    return err_remedy(err, "start `slackwater run` again: it goes on if the standby that was "
                           "promoted lacks nothing of what was applied (source.failover)");
}

static bool check_identity(struct session *session, const struct continuity *known,
                           lsn_t applied, struct err *err)
{
    PGresult *r = session_exec(session,
                               "SELECT s.system_identifier, " CONTINUITY_TIMELINE ", current_database(),"
                               " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                               "      ELSE pg_current_wal_insert_lsn() END"
                               " FROM pg_control_system() s",
                               err);
    lsn_t position = LSN_NONE;
    if (r == NULL)
        return false;
    uint32_t timeline = (uint32_t)strtoul(PQgetvalue(r, 0, 1), NULL, 10);
    (void)lsn_parse(PQgetvalue(r, 0, 3), &position);
    bool same_system = strcmp(PQgetvalue(r, 0, 0), known->system_identifier) == 0 &&
                       strcmp(PQgetvalue(r, 0, 2), known->database) == 0;
    if (!same_system) {
        err_set(err, ERR_SOURCE_LOST,
                "the source is not the one this migration began with: system %s database %s, "
                "then system %s database %s",
                PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 2), known->system_identifier,
                known->database);
        err_remedy(err, "check the source DSN");
    } else if (timeline != known->timeline || position < applied) {
        err_set(err, ERR_SOURCE_LOST,
                "the source is on timeline %u at %s, the migration began on timeline %u: it was "
                "promoted or restored, and may lack what we applied",
                timeline, PQgetvalue(r, 0, 3), known->timeline);
        (void)(known->failover ? restart(err) : begin_again(err));
    }
    PQclear(r);
    return same_system && timeline == known->timeline && position >= applied;
}

static bool slot_lost(const struct continuity *known, const char *what, struct err *err)
{
    err_set(err, ERR_SOURCE_LOST, "replication slot %s %s", known->slot, what);
    return begin_again(err);
}

static bool gap(const struct continuity *known, const char *slot_at, const char *applied_to,
                struct err *err)
{
    if (known->spool != NULL) {
        err_set(err, ERR_SOURCE_LOST,
                "gap: slot %s stands at %s, and what target and spool (%s) have ends at %s: the "
                "spool was removed or damaged, or somebody advanced or recreated the slot",
                known->slot, slot_at, known->spool, applied_to);
    } else {
        err_set(err, ERR_SOURCE_LOST,
                "gap: slot %s stands at %s, the target has only what is before %s; somebody "
                "advanced or recreated the slot, or the last run had a spool",
                known->slot, slot_at, applied_to);
    }
    return err_remedy(err, "if the spool that belongs to it can be had, give its folder as "
                           "spool.dir. Else changes may be missing, so a new backfill is needed: "
                           "run `slackwater cleanup`, empty the target tables, then run again");
}

static bool slot_invalidated(const struct continuity *known, const struct slot_state *state,
                             struct err *err)
{
    char what[160];
    snprintf(what, sizeof what, "was invalidated: %s", slot_loss(state));
    return slot_lost(known, what, err);
}

static bool check_slot(struct session *session, const struct continuity *known, lsn_t applied,
                       struct err *err)
{
    struct slot_state state;
    char slot_at[LSN_TEXT_SIZE];
    char applied_to[LSN_TEXT_SIZE];
    if (!slot_state(session, known->slot, &state, err))
        return false;
    if (!state.exists)
        return slot_lost(known, "is gone from the source", err);
    if (!state.ours)
        return slot_lost(known, "is not pgoutput's for this database", err);
    if (strcmp(state.wal_status, "lost") == 0)
        return slot_invalidated(known, &state, err);
    if (applied == LSN_NONE || state.confirmed_flush <= applied)
        return true;
    return gap(known, lsn_format(state.confirmed_flush, slot_at),
               lsn_format(applied, applied_to), err);
}

static bool check_publications(struct session *session, const struct continuity *known,
                               struct err *err)
{
    bool same = false;
    char *difference = NULL;
    if (!slot_check_publications(session, known->slot, known->table_count, known->tables, &same,
                                 &difference, err))
        return false;
    if (same)
        return true;
    err_set(err, ERR_CONFIG, "publication %s is not what the rules need: it %s", known->slot,
            difference);
    free(difference);
    return err_remedy(err, "changes may be missing if it was altered while it was in use. A "
                           "table that is to join is added by `slackwater run` itself. Run "
                           "`slackwater cleanup`, empty the target tables, and begin again");
}

bool continuity_check_source(struct session *session, const struct continuity *known,
                             lsn_t applied, struct err *err)
{
    return check_identity(session, known, applied, err) &&
           check_slot(session, known, applied, err);
}

bool continuity_check(struct session *session, const struct continuity *known, lsn_t applied,
                      struct err *err)
{
    return continuity_check_source(session, known, applied, err) &&
           check_publications(session, known, err);
}

bool continuity_fingerprint(struct session *session, uint32_t table_oid, char **fingerprint,
                            struct err *err)
{
    static const char SQL[] =
        "WITH RECURSIVE tree(oid) AS ("
        "   SELECT $1::oid UNION ALL"
        "   SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
        " SELECT coalesce(string_agg(c.oid || ':' || c.relfilenode, ' ' ORDER BY c.oid), '')"
        " FROM tree t JOIN pg_class c ON c.oid = t.oid"
        " WHERE c.relispartition AND c.relkind = 'r'";
    char oid[16];
    snprintf(oid, sizeof oid, "%u", table_oid);
    PGresult *r = session_query(session, SQL, 1, (const char *[]){oid}, err);
    if (r == NULL)
        return false;
    *fingerprint = mem_string(PQgetvalue(r, 0, 0));
    PQclear(r);
    return true;
}

bool continuity_check_partitions(struct session *session, const struct continuity *known,
                                 struct err *err)
{
    for (size_t i = 0; i < known->table_count; i++) {
        char *now = NULL;
        if (known->partitions[i] == NULL || known->partitions[i][0] == '\0')
            continue;
        if (!continuity_fingerprint(session, known->table_oids[i], &now, err))
            return false;
        bool same = strcmp(now, known->partitions[i]) == 0;
        free(now);
        if (same)
            continue;
        err_set(err, ERR_SOURCE_LOST,
                "partitions of %s.%s were truncated, attached, detached or rewritten by "
                "themselves: the stream does not show that",
                known->tables[i].schema, known->tables[i].name);
        return begin_again(err);
    }
    return true;
}
