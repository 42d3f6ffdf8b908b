/* A migration bound to its two live databases (migration.h). */
#include "cli/migration.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cli/accepted.h"
#include "cli/enforced.h"
#include "postgres/accepted_log.h"
#include "postgres/claim.h"
#include "postgres/former_log.h"
#include "postgres/formula.h"
#include "postgres/introspect.h"
#include "postgres/lookup.h"
#include "postgres/merge_check.h"
#include "postgres/preflight.h"
#include "postgres/probe.h"
#include "postgres/type_reader.h"
#include "postgres/validate.h"
#include "schema/ident.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* One of the two servers. */
struct side {
    const char *name;
    const char *dsn;
    const struct stop *stop;
    struct session *session;
    struct catalog **catalog;
    lsn_t *at; /* where it was before the catalog was read; NULL: not asked */
    struct err err;
    bool opened;
};

static void *open_side(void *argument)
{
    struct side *side = argument;
    side->opened = session_open(side->session, side->name, side->dsn, SESSION_SQL, side->stop,
                                &side->err) &&
                   (side->at == NULL || probe_position(side->session, side->at, &side->err)) &&
                   introspect(side->session, side->catalog, &side->err);
    return NULL;
}

/* Both at once: each has to be asked a dozen questions, and the stream waits for the answers. */
static bool open_sides(struct migration *m, struct err *err)
{
    struct side source = {.name = "source",
                          .dsn = m->config->source_dsn,
                          .stop = m->stop,
                          .session = &m->source,
                          .catalog = &m->source_catalog,
                          .at = &m->catalog_at};
    struct side target = {.name = "target",
                          .dsn = m->config->target_dsn,
                          .stop = m->stop,
                          .session = &m->target,
                          .catalog = &m->target_catalog};
    pthread_t beside;
    bool both = pthread_create(&beside, NULL, open_side, &source) == 0;
    if (!both)
        open_side(&source);
    open_side(&target);
    if (both)
        pthread_join(beside, NULL);
    if (!source.opened || !target.opened)
        *err = source.opened ? target.err : source.err;
    return source.opened && target.opened;
}

bool migration_open(struct migration *migration, const struct config *config,
                    const struct stop *stop, struct err *err)
{
    *migration = (struct migration){.config = config, .stop = stop};
    slot_name(config->migration, migration->slot);
    if (config_need_source(config, err) && config_need_target(config, err) &&
        open_sides(migration, err) &&
        control_load(&migration->target, config->migration, &migration->control, err) &&
        former_log_load(&migration->target, config->migration, &migration->former, err) &&
        accepted_log_load(&migration->target, config->migration, &migration->accepted, err))
        return true;
    migration_close(migration);
    return false;
}

bool migration_is_fresh(const struct migration *migration)
{
    return migration->control.state != CONTROL_STARTED;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; texts != NULL && i < count; i++)
        free(texts[i]);
    free(texts);
}

/* "tenant_id" = '...' AND ...; NULL when every row of the table is ours. */
static char *owner_condition(const struct bound_table *table)
{
    struct buf sql = {0};
    if (table->owner_count == 0)
        return NULL;
    for (uint16_t i = 0; i < table->owner_count; i++) {
        const char *value = table->owner_values[i];
        buf_append_text(&sql, i == 0 ? "" : " AND ");
        ident_append(&sql, table->target_relation->columns[table->owner_columns[i]].name);
        buf_append_text(&sql, " = ");
        literal_append(&sql, value, strlen(value));
    }
    return buf_steal(&sql);
}

static void describe_sources(struct migration *m)
{
    size_t count = m->chain->source_count;
    m->source_count = count;
    m->source_names = mem_zero(count + 1, sizeof *m->source_names);
    m->slot_tables = mem_zero(count + 1, sizeof *m->slot_tables);
    for (size_t i = 0; i < count; i++) {
        const struct bound_source *source = &m->chain->sources[i];
        m->source_names[i] = ident_qualified(source->table->schema, source->table->name);
        m->slot_tables[i] = (struct slot_table){.schema = source->table->schema,
                                                .name = source->table->name,
                                                .insert_only = source->insert_only};
        m->insert_only = m->insert_only || source->insert_only;
    }
}

static bool is_among(const char *name, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* A table that was renamed is the same one. */
static bool find_former_record(struct migration *m, size_t source, char *const *names,
                               size_t count)
{
    uint32_t oid = m->chain->sources[source].table->oid;
    for (size_t i = 0; i < m->former.count; i++) {
        const struct former_name *name = &m->former.names[i];
        if (name->table_oid == oid && name->number == FORMER_TABLE &&
            is_among(name->name, names, count)) {
            free(m->known_as[source]);
            m->known_as[source] = mem_string(name->name);
        }
    }
    return m->known_as[source] != NULL;
}

static bool is_known_as(const struct migration *m, const char *name)
{
    for (size_t i = 0; i < m->source_count; i++)
        if (m->known_as[i] != NULL && strcmp(m->known_as[i], name) == 0)
            return true;
    return false;
}

static void refuse_removal(struct migration *m, const char *name)
{
    if (is_among(name, m->source_names, m->source_count) || is_known_as(m, name))
        return;
    findings_addf(
        &m->findings, "migration.table_removed", SEVERITY_BREAKING, name,
        "restore its rule (a table cannot be taken out), or run `slackwater cleanup`, "
        "empty the target tables, and begin again",
        "the table takes part in the migration, and no rule reads it any more");
}

/* Tables that the rules name and a migration under way does not know, and the other way round. */
static bool find_joining(struct migration *m, struct err *err)
{
    char **names = NULL;
    size_t count = 0;
    m->joining = mem_zero(m->source_count + 1, sizeof *m->joining);
    m->known_as = mem_zero(m->source_count + 1, sizeof *m->known_as);
    if (migration_is_fresh(m))
        return true;
    if (!copy_record_sources(&m->target, m->config->migration, &names, &count, err))
        return false;
    for (size_t i = 0; i < m->source_count; i++) {
        m->joining[i] = !is_among(m->source_names[i], names, count) &&
                        !find_former_record(m, i, names, count);
        m->joining_count += m->joining[i];
    }
    for (size_t i = 0; i < count; i++)
        refuse_removal(m, names[i]);
    free_texts(names, count);
    return true;
}

/* Values of a binary stream are mixed where a column has no binary form. */
static enum value_kind stream_format(const struct chain *chain, const struct bound_table *table)
{
    if (!chain->stream_binary)
        return VALUE_TEXT;
    return table->copy_binary ? VALUE_BINARY : VALUE_ABSENT;
}

static void describe_targets(struct migration *m)
{
    size_t count = m->chain->table_count;
    m->table_count = count;
    m->targets = mem_zero(count + 1, sizeof *m->targets);
    m->owner_conditions = mem_zero(count + 1, sizeof *m->owner_conditions);
    for (size_t i = 0; i < count; i++) {
        const struct bound_table *table = &m->chain->tables[i];
        m->owner_conditions[i] = owner_condition(table);
        m->targets[i] = (struct pg_target_table){.relation = table->target_relation,
                                                 .table = table->target,
                                                 .source = table->source_index,
                                                 .format = stream_format(m->chain, table),
                                                 .shared = table->shares_rows,
                                                 .owner_condition = m->owner_conditions[i]};
    }
}

void migration_take_text(struct migration *migration, const char *reason)
{
    chain_take_text(migration->chain, reason);
    for (size_t i = 0; i < migration->table_count; i++)
        migration->targets[i].format =
            stream_format(migration->chain, &migration->chain->tables[i]);
}

/* No table of a circle can be the first: each chunk is a transaction, and constraints are deferred
 * to its end at most. A copy that is complete has no more to fear. */
static void look_at_circles(struct migration *m, bool backfill)
{
    const bool *pending = migration_is_fresh(m) ? NULL : m->joining;
    bool reported = false;
    for (size_t i = 0; !reported && i < m->source_count; i++) {
        char *circle = backfill && (pending == NULL || pending[i])
                           ? references_circle(m, pending, i)
                           : NULL;
        reported = circle != NULL;
        if (reported)
            findings_addf(
                &m->findings, "target.reference_circle", SEVERITY_BREAKING, m->source_names[i],
                REFERENCES_CIRCLE_FIX,
                "foreign keys of the target are enforced for replicated rows and go in a "
                "circle: %s",
                circle);
        free(circle);
    }
}

static json_t *claim_of(const struct bound_table *table)
{
    char *target = ident_display(table->target->schema, table->target->name);
    json_t *owner = json_object();
    for (uint16_t i = 0; i < table->owner_count; i++)
        json_object_set_new(owner,
                            table->target_relation->columns[table->owner_columns[i]].name,
                            json_string(table->owner_values[i]));
    json_t *claim = json_pack("{s:s, s:o}", "target", target, "owner", owner);
    free(target);
    return claim;
}

static void describe_claims(struct migration *m)
{
    json_t *claims = json_array();
    for (size_t i = 0; i < m->chain->table_count; i++)
        json_array_append_new(claims, claim_of(&m->chain->tables[i]));
    m->claims = json_dumps(claims, JSON_COMPACT);
    json_decref(claims);
}

/* What the backfill is to be held back by must be seen. */
static bool look_at_limits(struct migration *m, struct err *err)
{
    struct probe_standbys standbys = {0};
    struct probe_load load = {0};
    if ((m->config->max_replica_lag > 0 && !probe_standbys(&m->source, &standbys, err)) ||
        (m->config->max_source_load > 0 && !probe_load(&m->source, &load, err)))
        return false;
    if (standbys.hidden || load.hidden)
        findings_addf(&m->findings, "source.pressure_hidden", SEVERITY_POTENTIALLY_BREAKING,
                      "source", "GRANT pg_monitor to the role, or leave the limit out",
                      "backfill.%s cannot be measured by this role: the copy is held back",
                      standbys.hidden ? "max_replica_lag" : "max_source_load");
    return true;
}

static bool look_at_tables(struct migration *m, const struct preflight *servers,
                           struct err *err)
{
    struct preflight preflight = *servers;
    const struct catalog_table **sources = mem_zero(m->source_count + 1, sizeof *sources);
    for (size_t i = 0; i < m->source_count; i++)
        sources[i] = m->chain->sources[i].table;
    preflight.source_count = m->source_count;
    preflight.source_tables = sources;
    preflight.joining = m->joining;
    preflight.table_count = m->table_count;
    preflight.target_tables = m->targets;
    bool ok = preflight_tables(&preflight, &m->findings, err);
    free(sources);
    return ok;
}

/* Merged tables that nothing tells apart: counted before anything runs. */
static bool look_at_merges(struct migration *m, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < m->chain->merge_count; i++) {
        const struct chain_merge *merge = &m->chain->merges[i];
        if (merge->keys_sql == NULL)
            continue;
        char *target = ident_display(merge->target->schema, merge->target->name);
        ok = merge_check(&m->source,
                         &(struct merge){.target = target,
                                         .sources = merge->sources,
                                         .keys_sql = merge->keys_sql},
                         &m->findings, err);
        free(target);
    }
    return ok;
}

/* The server reads what rules will ask, so that a query with a fault is known now. */
static bool try_lookups(struct migration *m, struct err *err)
{
    for (size_t i = 0; i < m->chain->lookup_count; i++) {
        const struct lookup_request *lookup = &m->chain->lookups[i];
        struct session *session = lookup->side == LOOKUP_TARGET ? &m->target : &m->source;
        if (session_prepare(session, "", lookup->sql, err))
            continue;
        if (err->class == ERR_RETRY || err->class == ERR_STOPPED)
            return false;
        findings_addf(&m->findings, "rule.lookup", SEVERITY_BREAKING, lookup->where,
                      "name tables with their schema, and columns as they are there",
                      "lookup: %s", err->message);
        err_clear(err);
    }
    return true;
}

bool migration_bind_rules(struct migration *migration, struct err *err)
{
    struct pg_formulas formulas = {.source = &migration->source, .target = &migration->target};
    const struct formula_reader reader = pg_formula_reader(&formulas);
    migration->types = pg_type_reader_create(&migration->source, &migration->target);
    rules_ask_types(migration->rules, pg_type_reader_contract(migration->types));
    rules_know_former(migration->rules, &migration->former,
                      migration->config->on_new_column == NEW_COLUMN_IGNORE);
    rules_keep_to(migration->rules, migration->kept_to);
    return rules_bind_asking(migration->rules, migration->source_catalog,
                             migration->target_catalog, &reader, &migration->findings,
                             &migration->chain, err);
}

/* Once the target has what it lacks, cli/accepted.h asks about it. */
static void warn_of_word(struct migration *m)
{
    if (!migration_is_fresh(m) && m->config->on_new_column == NEW_COLUMN_STOP)
        findings_fix_too(&m->findings, "target.column_missing",
                         "a column that is added needs `slackwater accept` as well, for "
                         "apply.on_new_column is stop");
}

bool migration_bind(struct migration *migration, bool backfill, struct err *err)
{
    struct migration *m = migration;
    struct err binding = {0};
    const struct preflight servers = {
        .source = &m->source,
        .target = &m->target,
        .source_catalog = m->source_catalog,
        .target_catalog = m->target_catalog,
        .slot = m->slot,
        .wishes = {.failover = m->config->failover, .local_only = m->config->local_only},
        .fresh = migration_is_fresh(m) && m->control.state == CONTROL_NONE,
        .backfill = backfill,
        .defer_indexes = m->config->defer_indexes,
    };
    if (!rules_load(m->config->tables, &m->rules, err))
        return false;
    if (!preflight_servers(&servers, &m->findings, err) || !look_at_limits(m, err))
        return false;
    if (!migration_bind_rules(m, &binding)) {
        m->chain = NULL;
        warn_of_word(m);
        if (binding.class == ERR_CONFIG)
            return true; /* the findings say why */
        *err = binding;
        return false;
    }
    describe_sources(m);
    describe_targets(m);
    describe_claims(m);
    references_make(m, &m->references);
    if (!find_joining(m, err))
        return false;
    accepted_check(m);
    look_at_circles(m, backfill);
    enforced_check(m);
    return try_lookups(m, err) &&
           claim_check(&m->target, m->config->migration, m->claims, &m->findings, err) &&
           look_at_tables(m, &servers, err) &&
           (!(migration_is_fresh(m) || m->joining_count > 0) ||
            (look_at_merges(m, err) && validate_keys(&m->source, &m->findings, err)));
}

static struct lookup *make_lookup(void *context, const struct lookup_request *request)
{
    const struct migration *m = context;
    return pg_lookup_create(&(struct pg_lookup_config){.source_dsn = m->config->source_dsn,
                                                       .target_dsn = m->config->target_dsn,
                                                       .stop = m->stop},
                            request);
}

struct lookup_maker migration_lookups(struct migration *migration)
{
    return (struct lookup_maker){.make = make_lookup, .context = migration};
}

struct pg_sink_config migration_sink_config(const struct migration *m)
{
    return (struct pg_sink_config){
        .dsn = m->config->target_dsn,
        .migration = m->config->migration,
        .origin = m->slot,
        .use_origin = m->target_catalog->can_use_origins,
        .use_replica_role = m->target_catalog->can_set_replica_role,
        .catalog = m->target_catalog,
        .tables = m->targets,
        .table_count = m->table_count,
        .stop = m->stop,
    };
}

void migration_close(struct migration *migration)
{
    free_texts(migration->owner_conditions, migration->table_count);
    free_texts(migration->source_names, migration->source_count);
    free_texts(migration->known_as, migration->source_count);
    former_free(&migration->former);
    free(migration->claims);
    references_free(&migration->references);
    free(migration->targets);
    free(migration->slot_tables);
    free(migration->joining);
    if (migration->chain != NULL)
        chain_free(migration->chain);
    if (migration->rules != NULL)
        rules_free(migration->rules);
    pg_type_reader_destroy(migration->types);
    findings_free(&migration->findings);
    json_decref(migration->accepted);
    control_migration_free(&migration->control);
    catalog_free(migration->source_catalog);
    catalog_free(migration->target_catalog);
    session_close(&migration->source);
    session_close(&migration->target);
    /* Closed by migration_open() too, when it fails. */
    *migration = (struct migration){.config = migration->config, .stop = migration->stop};
}
