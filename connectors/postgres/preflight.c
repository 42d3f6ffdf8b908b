/* Preflight findings (preflight.h). */
#include "postgres/preflight.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/table_writer.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- source ---- */

static const char SETTINGS_SQL[] =
    "SELECT current_setting('wal_level'),"
    "       current_setting('max_replication_slots')::int"
    "         - (SELECT count(*) FROM pg_replication_slots),"
    "       current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),"
    "       pg_is_in_recovery(),"
    "       EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)";

static void check_wal_level(const char *level, struct findings *findings)
{
    if (strcmp(level, "logical") == 0)
        return;
    char what[128];
    snprintf(what, sizeof what, "wal_level is \"%s\", logical replication needs \"logical\"",
             level);
    findings_add(findings, "source.wal_level", SEVERITY_BREAKING, "source", what,
                 "no change can be read from the WAL",
                 "set wal_level = logical and restart the source",
                 "ALTER SYSTEM SET wal_level = 'logical'", "ALTER SYSTEM RESET wal_level");
}

static void check_headroom(const PGresult *r, bool slot_exists, struct findings *findings)
{
    if (!slot_exists && strtol(PQgetvalue(r, 0, 1), NULL, 10) < 1)
        findings_add(
            findings, "source.max_replication_slots", SEVERITY_BREAKING, "source",
            "every replication slot is taken", "",
            "raise max_replication_slots and restart, or drop a slot that is no longer "
            "used",
            "", "");
    if (strtol(PQgetvalue(r, 0, 2), NULL, 10) < 1)
        findings_add(findings, "source.max_wal_senders", SEVERITY_BREAKING, "source",
                     "every walsender is taken", "",
                     "raise max_wal_senders and restart the source", "", "");
}

static void check_replication_right(const struct catalog *catalog, struct findings *findings)
{
    struct buf what = {0};
    struct buf sql = {0};
    struct buf undo = {0};
    if (catalog->can_replicate)
        return;
    buf_append_format(&what, "role \"%s\" may not use replication", catalog->role);
    buf_append_text(&sql, "ALTER ROLE ");
    ident_append(&sql, catalog->role);
    buf_append(&undo, sql.data, sql.size);
    buf_append_text(&sql, " REPLICATION");
    buf_append_text(&undo, " NOREPLICATION");
    findings_add(findings, "source.replication_right", SEVERITY_BREAKING, "source", what.data,
                 "the slot cannot be created or read", "grant it", sql.data, undo.data);
    buf_free(&what);
    buf_free(&sql);
    buf_free(&undo);
}

static void check_create_right(const struct catalog *catalog, const char *id, const char *side,
                               const char *for_what, struct findings *findings)
{
    if (!catalog->can_create)
        findings_addf(findings, id, SEVERITY_BREAKING, side, "grant CREATE on the database",
                      "role \"%s\" may not CREATE in database \"%s\": %s", catalog->role,
                      catalog->database, for_what);
}

static void check_stray_slot(const struct preflight *p, bool exists, struct findings *findings)
{
    if (!p->fresh || !exists)
        return;
    findings_addf(
        findings, "source.slot_exists", SEVERITY_BREAKING, "source",
        "point slackwater at the target that this slot belongs to, or run `slackwater "
        "cleanup` to drop it",
        "slot %s exists, but the target knows nothing of this migration", p->slot);
}

static bool check_source(const struct preflight *p, struct findings *findings, struct err *err)
{
    PGresult *r = session_query(p->source, SETTINGS_SQL, 1, &p->slot, err);
    if (r == NULL)
        return err_wrap(err, "reading the source's settings");
    bool slot_exists = PQgetvalue(r, 0, 4)[0] == 't';
    release_check(p->source_catalog, "source", findings);
    check_wal_level(PQgetvalue(r, 0, 0), findings);
    check_headroom(r, slot_exists, findings);
    if (PQgetvalue(r, 0, 3)[0] == 't')
        findings_add(findings, "source.standby", SEVERITY_BREAKING, "source",
                     "the source is a standby", "publication and heartbeat need a primary",
                     "use the primary's DSN", "", "");
    check_replication_right(p->source_catalog, findings);
    check_create_right(p->source_catalog, "source.create_right", "source",
                       "the publication cannot be created", findings);
    check_stray_slot(p, slot_exists, findings);
    PQclear(r);
    return release_check_slot(p->source, p->source_catalog, p->slot, &p->wishes, findings, err);
}

/* ---- target ---- */

static bool check_target(const struct preflight *p, struct findings *findings, struct err *err)
{
    const struct catalog *catalog = p->target_catalog;
    PGresult *r = session_exec(p->target,
                               "SELECT pg_is_in_recovery(),"
                               " to_regnamespace('slackwater') IS NOT NULL",
                               err);
    if (r == NULL)
        return err_wrap(err, "reading the target's settings");
    bool standby = PQgetvalue(r, 0, 0)[0] == 't';
    bool installed = PQgetvalue(r, 0, 1)[0] == 't';
    PQclear(r);
    release_check(catalog, "target", findings);
    release_check_pair(p->source_catalog, catalog, findings);
    if (standby)
        findings_add(findings, "target.standby", SEVERITY_BREAKING, "target",
                     "the target is a standby", "nothing can be written",
                     "use the primary's DSN", "", "");
    if (!installed)
        check_create_right(catalog, "target.create_right", "target",
                           "the control schema \"slackwater\" cannot be created", findings);
    if (!catalog->can_set_replica_role)
        findings_add(findings, "target.replica_role", SEVERITY_NON_BREAKING, "target",
                     "the role may not set session_replication_role",
                     "triggers and foreign keys at the target fire for replicated rows too; "
                     "tables are copied after those that they refer to, tables that refer to "
                     "themselves as one chunk, and not with --no-stream",
                     "grant it (15 and later), or use a superuser",
                     "GRANT SET ON PARAMETER session_replication_role TO current_user", "");
    if (!catalog->can_use_origins)
        findings_add(findings, "target.origin", SEVERITY_NON_BREAKING, "target",
                     "the role may not use replication origins",
                     "writes of slackwater are not marked, so another replication that reads "
                     "this target would send them on",
                     "grant EXECUTE on the pg_replication_origin_... functions", "", "");
    return true;
}

bool preflight_servers(const struct preflight *preflight, struct findings *findings,
                       struct err *err)
{
    return check_source(preflight, findings, err) && check_target(preflight, findings, err);
}

/* ---- tables ---- */

/* What is about to begin is looked at more closely. */
static bool is_new(const struct preflight *p, size_t source)
{
    return p->fresh || p->joining[source];
}

/* Before these releases a walsender that decodes a transaction which wrote to the table before and
 * after it was published could go on to leave the table out (invalidations were not given to
 * transactions in progress). */
static bool publishes_late(int version)
{
    static const int FIXED[] = {140018, 150013, 160009, 170005};
    for (size_t i = 0; i < sizeof FIXED / sizeof FIXED[0]; i++)
        if (version / 10000 == FIXED[i] / 10000)
            return version >= FIXED[i];
    return true;
}

static void check_joining(const struct preflight *p, struct findings *findings)
{
    int version = p->source_catalog->server_version;
    for (size_t i = 0; i < p->source_count; i++) {
        if (!p->joining[i])
            continue;
        char *name = ident_display(p->source_tables[i]->schema, p->source_tables[i]->name);
        if (!publishes_late(version))
            findings_addf(
                findings, "source.join_version", SEVERITY_BREAKING, name,
                "upgrade the source to its newest minor release",
                "PostgreSQL %d.%d may lose changes of a table that is published while "
                "it is written: it cannot join a migration under way",
                version / 10000, version % 10000);
        if (!p->backfill)
            findings_addf(
                findings, "source.join_without_copy", SEVERITY_BREAKING, name,
                "run without --no-backfill",
                "the table joins a migration under way, and needs a copy for what was "
                "written before it was published");
        free(name);
    }
}

static void check_source_table(const struct catalog_table *table, bool fresh,
                               struct findings *findings)
{
    char *name = ident_display(table->schema, table->name);
    if (!table->can_select)
        findings_addf(findings, "source.select_right", SEVERITY_BREAKING, name,
                      "grant SELECT to slackwater's role", "the role may not SELECT from it");
    if (fresh && !table->owned)
        findings_addf(findings, "source.owner", SEVERITY_BREAKING, name,
                      "use the owner's role, or a superuser",
                      "the role does not own the table, so it cannot publish it");
    if (table->row_security_active)
        findings_addf(findings, "source.row_security", SEVERITY_BREAKING, name,
                      "use a role with BYPASSRLS",
                      "row security hides rows from the role: they could not be read");
    free(name);
}

static void check_target_rights(const struct catalog_table *table, const char *name,
                                struct findings *findings)
{
    const struct {
        bool granted;
        const char *right;
    } rights[] = {
        {table->can_select, "SELECT"},
        {table->can_insert, "INSERT"},
        {table->can_update, "UPDATE"},
        {table->can_delete, "DELETE"},
    };
    for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++)
        if (!rights[i].granted)
            findings_addf(findings, "target.table_right", SEVERITY_BREAKING, name,
                          "grant it to slackwater's role", "the role may not %s",
                          rights[i].right);
    if (!table->can_truncate)
        findings_addf(findings, "target.truncate_right", SEVERITY_POTENTIALLY_BREAKING, name,
                      "grant TRUNCATE to slackwater's role",
                      "the role may not TRUNCATE: a TRUNCATE at the source would stop the run");
}

/* Whether it fires for what slackwater writes, with and without the replica role. */
static bool fires(const struct catalog_trigger *trigger, bool replica)
{
    return trigger->enabled == 'A' || trigger->enabled == (replica ? 'R' : 'O');
}

/* "a, b": the triggers (or rules) that fire; how many. Caller frees the text. */
static int firing_names(const struct catalog_table *table, bool rules, bool replica,
                        char **names)
{
    struct buf text = {0};
    int count = 0;
    for (uint16_t i = 0; i < table->trigger_count; i++)
        if (table->triggers[i].rule == rules && fires(&table->triggers[i], replica))
            buf_append_format(&text, "%s%s", count++ ? ", " : "", table->triggers[i].name);
    *names = buf_steal(&text);
    return count;
}

static void check_firing(const struct catalog_table *table, bool rules, bool replica,
                         const char *name, struct findings *findings)
{
    char *names;
    int count = firing_names(table, rules, replica, &names);
    if (count > 0)
        findings_addf(findings, rules ? "target.rules" : "target.triggers",
                      SEVERITY_POTENTIALLY_BREAKING, name,
                      "disable them for the migration, or make sure that they may fire for "
                      "replicated rows",
                      "%d %s would fire for replicated rows: %s", count,
                      rules ? "rewrite rule(s)" : "trigger(s)", names);
    free(names);
}

static void check_triggers(const struct preflight *p, const struct catalog_table *table,
                           const char *name, struct findings *findings)
{
    bool replica = p->target_catalog->can_set_replica_role;
    check_firing(table, false, replica, name, findings);
    check_firing(table, true, replica, name, findings);
    if (!replica && table->foreign_key_count > 0)
        findings_addf(findings, "target.foreign_keys", SEVERITY_NON_BREAKING, name, "",
                      "foreign keys are enforced for replicated rows: a row without its parent "
                      "is refused");
    if (table->row_security_active)
        findings_addf(findings, "target.row_security", SEVERITY_BREAKING, name,
                      "use a role with BYPASSRLS or the table's owner",
                      "row security holds for the role: its statements would be refused");
}

/* The position that says what is applied would outlive the rows. */
static void check_persistence(const struct catalog_table *table, const char *name,
                              struct findings *findings)
{
    if (table->persistence == 'u')
        findings_addf(findings, "target.unlogged", SEVERITY_BREAKING, name,
                      "ALTER TABLE ... SET LOGGED at the target",
                      "%s unlogged: a crash of the target would empty it, and what was applied "
                      "would not come again",
                      table->kind == 'p' ? "a partition of the table is" : "the table is");
}

static int count_unique(const struct catalog_table *table, bool immediate)
{
    int count = 0;
    for (uint16_t i = 0; i < table->index_count; i++)
        count += table->indexes[i].unique && table->indexes[i].immediate == immediate;
    return count;
}

/* Rows that swap their keys in one statement do so one after the other at the target. */
static void check_deferrable(const struct catalog_table *source,
                             const struct pg_target_table *target, const char *name,
                             struct findings *findings)
{
    if (count_unique(source, false) > count_unique(target->table, false) &&
        count_unique(target->table, true) > 0)
        findings_addf(findings, "target.unique_not_deferrable", SEVERITY_POTENTIALLY_BREAKING,
                      name, "make the target's constraint DEFERRABLE as well",
                      "the source has a deferrable unique key, the target's unique keys are "
                      "immediate: a statement that swaps keys would be refused");
}

static bool check_emptiness(const struct preflight *p, size_t i, const char *name,
                            struct findings *findings, struct err *err)
{
    const struct pg_target_table *table = &p->target_tables[i];
    bool has_rows = false;
    if (!is_new(p, table->source) || !p->backfill || !table->table->can_select)
        return true;
    if (!pg_table_has_rows(p->target, table, &has_rows, err))
        return false;
    if (has_rows && table->relation->match == MATCH_KEY)
        findings_addf(findings, "target.not_empty", SEVERITY_POTENTIALLY_BREAKING, name,
                      "empty it first, unless the application already writes both sides",
                      "the target table holds rows: those with a key of the source are "
                      "overwritten, others stay");
    else if (has_rows)
        findings_addf(findings, "target.not_empty_without_key", SEVERITY_BREAKING, name,
                      "empty it first",
                      "the target table holds rows and rows have no key: copying would double "
                      "them");
    return true;
}

/* A table that an earlier index has already was looked at then. */
static bool is_first(const struct preflight *p, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (p->target_tables[j].table == p->target_tables[i].table)
            return false;
    return true;
}

static void check_deferring(const struct preflight *p, const struct pg_target_table *table,
                            const char *name, struct findings *findings)
{
    if (p->defer_indexes && is_new(p, table->source) && !table->table->owned)
        findings_addf(findings, "target.defer_indexes", SEVERITY_NON_BREAKING, name,
                      "use the owner's role, or a superuser",
                      "the role does not own the table, so its indexes stay during the copy");
}

static bool check_target_table(const struct preflight *p, size_t i, struct findings *findings,
                               struct err *err)
{
    const struct catalog_table *target = p->target_tables[i].table;
    char *name = ident_display(target->schema, target->name);
    bool ok = true;
    if (is_first(p, i)) {
        check_target_rights(target, name, findings);
        check_triggers(p, target, name, findings);
        check_persistence(target, name, findings);
        check_deferring(p, &p->target_tables[i], name, findings);
    }
    check_deferrable(p->source_tables[p->target_tables[i].source], &p->target_tables[i], name,
                     findings);
    if (is_first(p, i) || p->target_tables[i].owner_condition != NULL)
        ok = check_emptiness(p, i, name, findings, err);
    free(name);
    return ok;
}

static bool stages(const struct preflight *p)
{
    bool formula = false;
    for (size_t i = 0; i < p->table_count; i++)
        formula = formula || (is_new(p, p->target_tables[i].source) &&
                              relation_has_formula(p->target_tables[i].relation));
    return formula && p->backfill;
}

/* Tables with columns that the target makes are copied through a temporary one. */
static bool check_temporary_right(const struct preflight *p, struct findings *findings,
                                  struct err *err)
{
    if (!stages(p))
        return true;
    PGresult *r = session_exec(
        p->target, "SELECT has_database_privilege(current_database(), 'TEMPORARY')", err);
    if (r != NULL && PQgetvalue(r, 0, 0)[0] == 'f')
        findings_addf(findings, "target.temporary_right", SEVERITY_BREAKING, "target",
                      "grant TEMPORARY on the database to slackwater's role",
                      "the role may not make temporary tables, through which tables with sql "
                      "rules are copied");
    PQclear(r);
    return r != NULL;
}

bool preflight_tables(const struct preflight *preflight, struct findings *findings,
                      struct err *err)
{
    bool ok = true;
    for (size_t i = 0; i < preflight->source_count; i++)
        check_source_table(preflight->source_tables[i], is_new(preflight, i), findings);
    check_joining(preflight, findings);
    for (size_t i = 0; ok && i < preflight->table_count; i++)
        ok = check_target_table(preflight, i, findings, err);
    ok = ok && check_temporary_right(preflight, findings, err);
    return ok || err_wrap(err, "looking at the target tables");
}
