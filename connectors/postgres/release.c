/* Findings about releases and the slot's settings (release.h). */
#include "postgres/release.h"

#include "base/buf.h"
#include "postgres/slot.h"

#include <string.h>

void release_check(const struct catalog *catalog, const char *side, struct findings *findings)
{
    int major = catalog->server_version / 10000;
    if (catalog->server_version < RELEASE_OLDEST)
        findings_addf(findings, "server.version", SEVERITY_BREAKING, side,
                      "upgrade to a supported release first",
                      "PostgreSQL %d is too old: 14 is the oldest supported", major);
    if (catalog->server_version >= RELEASE_TRIED)
        findings_addf(findings, "server.version", SEVERITY_POTENTIALLY_BREAKING, side,
                      "rehearse the migration, or use a release of slackwater that knows it",
                      "PostgreSQL %d is newer than what slackwater was tried with: 14 to 18",
                      major);
}

/* What a release brought that a table or a value may need. */
static const struct gain {
    int since;
    const char *what;
} GAINS[] = {
    {150000,
     "numeric scales below zero or above the precision, NULLS NOT DISTINCT, SET NULL of "
     "some columns of a foreign key, ICU as a database's collation"},
    {160000, "ICU rules of a collation"},
    {170000, "the builtin collations, infinite intervals"},
    {180000,
     "virtual generated columns, constraints NOT ENFORCED, WITHOUT OVERLAPS and PERIOD, "
     "pg_unicode_fast"},
};

void release_check_pair(const struct catalog *source, const struct catalog *target,
                        struct findings *findings)
{
    struct buf lacks = {0};
    for (size_t i = 0; i < sizeof GAINS / sizeof GAINS[0]; i++)
        if (target->server_version < GAINS[i].since && GAINS[i].since <= source->server_version)
            buf_append_format(&lacks, "%s%s", lacks.size ? ", " : "", GAINS[i].what);
    if (lacks.size > 0)
        findings_addf(
            findings, "target.older", SEVERITY_NON_BREAKING, "target",
            "see what the findings about tables say; what uses none of these is fine",
            "PostgreSQL %d at the target is older than the source's %d, and lacks: %s",
            target->server_version / 10000, source->server_version / 10000, lacks.data);
    buf_free(&lacks);
}

/* ---- the slot ---- */

static void check_wish(bool wanted, const struct catalog *catalog, int since, const char *id,
                       const char *key, struct findings *findings)
{
    if (wanted && catalog->server_version < since)
        findings_addf(findings, id, SEVERITY_BREAKING, "source", "leave the key out",
                      "%s needs PostgreSQL %d or later at the source, which is %d", key,
                      since / 10000, catalog->server_version / 10000);
}

/* The slot is made once: a key that was changed later does not change it. */
static void check_existing(const struct slot_state *state, const char *slot, bool failover,
                           struct findings *findings)
{
    if (state->exists && state->ours && state->failover != failover)
        findings_addf(
            findings, "source.failover", SEVERITY_NON_BREAKING, "source",
            "stop the run, send ALTER_REPLICATION_SLOT over a replication connection, "
            "and set the key alike",
            "slot %s was made %s failover, source.failover says otherwise", slot,
            state->failover ? "with" : "without");
}

static void check_keep_size(const char *keep, struct findings *findings)
{
    if (strcmp(keep, "-1") == 0)
        findings_add(
            findings, "source.max_slot_wal_keep_size", SEVERITY_NON_BREAKING, "source",
            "max_slot_wal_keep_size is unlimited",
            "while slackwater is away the slot keeps all WAL and can fill the disk",
            "watch slackwater_slot_retained_bytes, or set a limit that your disk can hold", "",
            "");
    else
        findings_addf(
            findings, "source.slot_wal_limit", SEVERITY_NON_BREAKING, "source",
            "make sure that it holds what is written while slackwater is away; gate "
            "\"slot\" foresees the loss",
            "max_slot_wal_keep_size is %s: with more WAL behind, the slot is lost, and "
            "a new backfill is needed",
            keep);
}

static void check_idle_timeout(const char *timeout, struct findings *findings)
{
    if (timeout[0] != '\0' && strcmp(timeout, "0") != 0)
        findings_addf(
            findings, "source.slot_idle_timeout", SEVERITY_NON_BREAKING, "source",
            "do not stop slackwater for so long, or set it to 0 for the migration",
            "idle_replication_slot_timeout is %s: a slot that nobody reads for so long "
            "is lost, and a new backfill is needed",
            timeout);
}

/* Where standbys are waited for, the stream is as late as the slowest of them. */
static void check_standby_slots(const char *standbys, bool failover, struct findings *findings)
{
    if (failover && standbys[0] == '\0')
        findings_add(findings, "source.failover", SEVERITY_NON_BREAKING, "source",
                     "synchronized_standby_slots is empty",
                     "the target may be ahead of the standby that is promoted; then the run "
                     "refuses to go on, and a new backfill is needed",
                     "name the slots of the standbys that may be promoted", "", "");
}

bool release_check_slot(struct session *source, const struct catalog *catalog, const char *slot,
                        const struct release_wishes *wishes, struct findings *findings,
                        struct err *err)
{
    struct slot_state state;
    check_wish(wishes->failover, catalog, RELEASE_FAILOVER_SLOT, "source.failover",
               "source.failover", findings);
    check_wish(wishes->local_only, catalog, RELEASE_ORIGIN_FILTER, "source.origin",
               "source.origin: none", findings);
    if (!slot_state(source, slot, &state, err))
        return false;
    check_existing(&state, slot, wishes->failover, findings);
    PGresult *r = session_exec(source,
                               "SELECT current_setting('max_slot_wal_keep_size'),"
                               " current_setting('idle_replication_slot_timeout', true),"
                               " current_setting('synchronized_standby_slots', true)",
                               err);
    if (r == NULL)
        return err_wrap(err, "reading the source's settings");
    check_keep_size(PQgetvalue(r, 0, 0), findings);
    check_idle_timeout(PQgetvalue(r, 0, 1), findings);
    check_standby_slots(PQgetvalue(r, 0, 2),
                        wishes->failover && catalog->server_version >= RELEASE_FAILOVER_SLOT,
                        findings);
    PQclear(r);
    return true;
}
