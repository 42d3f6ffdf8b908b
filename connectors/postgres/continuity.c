/* Is the source still the one that the migration began with? (continuity.h) */
#include "postgres/continuity.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begin_again(struct err *err)
{
    return err_remedy(err,
                      "changes may be missing, so a new backfill is needed: run `slackwater "
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
    PGresult *r =
        session_exec(session,
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
        err_set(
            err, ERR_SOURCE_LOST,
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
        err_set(
            err, ERR_SOURCE_LOST,
            "gap: slot %s stands at %s, and what target and spool (%s) have ends at %s: the "
            "spool was removed or damaged, or somebody advanced or recreated the slot",
            known->slot, slot_at, known->spool, applied_to);
    } else {
        err_set(err, ERR_SOURCE_LOST,
                "gap: slot %s stands at %s, the target has only what is before %s; somebody "
                "advanced or recreated the slot, or the last run had a spool",
                known->slot, slot_at, applied_to);
    }
    return err_remedy(err,
                      "if the spool that belongs to it can be had, give its folder as "
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

/* Storage can be put back in time without a new timeline, and written on beyond what we applied. */
static bool check_not_restored(const struct continuity *known, const struct slot_state *state,
                               struct err *err)
{
    lsn_t restart = counter_get(known->slot_restart);
    char was[LSN_TEXT_SIZE];
    char now[LSN_TEXT_SIZE];
    if (state->restart == LSN_NONE || state->restart >= restart)
        return true;
    err_set(
        err, ERR_SOURCE_LOST,
        "replication slot %s needs WAL from %s on, and had needed it from %s on: the source was "
        "put back to an older state, and may lack what we applied",
        known->slot, lsn_format(state->restart, now), lsn_format(restart, was));
    return begin_again(err);
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
    if (!check_not_restored(known, &state, err))
        return false;
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

/* ---- fingerprints ---- */

/* "publication|partitions" of each table of an array. A table that is put back has a new entry; a
 * publication that is altered, and a partition that is attached anew, a new version of theirs. */
static const char FINGERPRINTS_SQL[] =
    "SELECT coalesce(("
    "   SELECT string_agg(r.oid || ':' || p.oid || ':' || p.xmin, ' ' ORDER BY r.oid)"
    "   FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
    "   WHERE r.prrelid = w.oid AND p.pubname IN ($2, $3)), '') || '|' ||"
    " CASE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = w.oid) THEN coalesce(("
    "   WITH RECURSIVE tree(oid, since) AS ("
    "      SELECT i.inhrelid, i.xmin::text FROM pg_inherits i WHERE i.inhparent = w.oid"
    "      UNION ALL"
    "      SELECT i.inhrelid, i.xmin::text FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
    "   SELECT string_agg(c.oid || ':' || c.relfilenode || ':' || t.since, ' ' ORDER BY c.oid)"
    "   FROM tree t JOIN pg_class c ON c.oid = t.oid WHERE c.relispartition), '') ELSE '' END"
    " FROM unnest($1::oid[]) WITH ORDINALITY AS w(oid, place) ORDER BY w.place";

static PGresult *read_fingerprints(struct session *session, const char *slot, size_t count,
                                   const uint32_t *oids, struct err *err)
{
    char insert_only[SLOT_NAME_SIZE + 16];
    struct buf array = {0};
    slot_insert_only_name(slot, insert_only);
    buf_append_char(&array, '{');
    for (size_t i = 0; i < count; i++)
        buf_append_format(&array, "%s%u", i == 0 ? "" : ",", oids[i]);
    buf_append_char(&array, '}');
    const char *values[] = {array.data, slot, insert_only};
    PGresult *r = session_query(session, FINGERPRINTS_SQL, 3, values, err);
    buf_free(&array);
    return r;
}

bool continuity_fingerprint(struct session *session, const struct continuity_place *place,
                            char **fingerprint, struct err *err)
{
    PGresult *r = read_fingerprints(session, place->slot, 1, &place->table_oid, err);
    if (r == NULL)
        return false;
    *fingerprint = mem_string(PQgetvalue(r, 0, 0));
    PQclear(r);
    return true;
}

static bool is_same(const char *now, const char *then)
{
    return then == NULL || then[0] == '\0' || strcmp(now, then) == 0;
}

static size_t publication_length(const char *fingerprint)
{
    return strcspn(fingerprint, "|");
}

static bool table_changed(const struct slot_table *table, const char *now, const char *then,
                          struct err *err)
{
    size_t length = publication_length(then);
    bool published = publication_length(now) == length && memcmp(now, then, length) == 0;
    err_set(err, ERR_SOURCE_LOST,
            published
                ? "partitions of %s.%s were truncated, attached, detached or rewritten by "
                  "themselves: the stream does not show that"
                : "the publication of %s.%s was altered, or left the table out for a while: "
                  "what was written meanwhile is not in the stream",
            table->schema, table->name);
    return begin_again(err);
}

/* The partitions that `now` has and `then` has not, as an array of oids; false if anything else
 * differs. Both have theirs by oid. */
static bool has_grown(const char *now, const char *then, struct buf *added)
{
    size_t published = publication_length(then) + 1;
    if (strncmp(now, then, published) != 0)
        return false;
    now += published;
    then += published;
    while (now[0] != '\0') {
        size_t size = strcspn(now, " ");
        size_t step = size + (now[size] == ' ');
        if (strncmp(now, then, size) == 0 && (then[size] == ' ' || then[size] == '\0'))
            then += size + (then[size] == ' ');
        else
            buf_append_format(added, "%c%.*s", added->size == 0 ? '{' : ',',
                              (int)strcspn(now, ":"), now);
        now += step;
    }
    buf_append_char(added, '}');
    return then[0] == '\0';
}

/* That no row is there now is not enough: there may have been some that the stream has brought, and
 * they may have gone by a TRUNCATE, or while the partition was detached. So its file has to be the
 * one that it was made with (which has the table's oid for its name), without a page, and nobody may
 * have counted a row. Of a foreign table, one that is not logged, or one that another access
 * method stores, this tells nothing. */
static const char NEVER_FILLED_SQL[] =
    "SELECT bool_and(coalesce(c.relpersistence = 'p' AND (c.relkind = 'p'"
    "   OR (c.relkind = 'r' AND m.amname = 'heap' AND c.relfilenode = c.oid"
    "       AND pg_stat_get_tuples_inserted(c.oid) = 0 AND pg_relation_size(c.oid) = 0)), false))"
    " FROM unnest($1::oid[]) AS added(oid) LEFT JOIN pg_class c USING (oid)"
    "   LEFT JOIN pg_am m ON m.oid = c.relam";

static bool were_never_filled(struct session *session, const struct buf *added, bool *never,
                              struct err *err)
{
    PGresult *r =
        session_query(session, NEVER_FILLED_SQL, 1, (const char *[]){added->data}, err);
    if (r != NULL)
        *never = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
}

static void take_in(const struct continuity *known, size_t table, const char *now)
{
    free(known->fingerprints[table]);
    known->fingerprints[table] = mem_string(now);
    free(atomic_exchange(&known->grown[table], mem_string(now)));
}

/* False: it cannot be told whether what differs is harmless. */
static bool look_at_difference(struct session *session, const struct continuity *known,
                               size_t table, const char *now, struct err *err)
{
    struct buf added = {0};
    bool harmless = false;
    bool told = !has_grown(now, known->fingerprints[table], &added) ||
                were_never_filled(session, &added, &harmless, err) ||
                err_wrap(err, "looking into the new partitions of %s.%s",
                         known->tables[table].schema, known->tables[table].name);
    buf_free(&added);
    if (told && harmless)
        take_in(known, table, now);
    else if (told)
        counter_set(&known->changed[table], CONTINUITY_CHANGED);
    return told;
}

/* Not a second time in vain in one look: each may take as long as a lock is waited for. */
bool continuity_check_tables(struct session *session, const struct continuity *known,
                             struct err *err)
{
    PGresult *r =
        read_fingerprints(session, known->slot, known->table_count, known->table_oids, err);
    bool same = r != NULL;
    bool told = true;
    struct err lost = {0};
    for (size_t i = 0; r != NULL && i < known->table_count; i++) {
        const char *now = PQgetvalue(r, (int)i, 0);
        const char *then = known->fingerprints[i];
        if (counter_get(&known->changed[i]) == CONTINUITY_SAME && !is_same(now, then) && told)
            told = look_at_difference(session, known, i, now, err);
        if (counter_get(&known->changed[i]) != CONTINUITY_SAME)
            same = table_changed(&known->tables[i], now, known->fingerprints[i], &lost);
    }
    PQclear(r);
    if (r != NULL && !same)
        *err = lost;
    return same && told;
}

char *continuity_take_grown(const struct continuity *known, size_t table)
{
    return atomic_exchange(&known->grown[table], NULL);
}

void continuity_give_back_grown(const struct continuity *known, size_t table, char *fingerprint)
{
    char *newer = NULL;
    if (!atomic_compare_exchange_strong(&known->grown[table], &newer, fingerprint))
        free(fingerprint);
}
