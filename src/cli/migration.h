/* A migration bound to its two live databases: sessions, catalogs, compiled rules, names, and
 * what the preflight found. The common ground of `run` and `check`; where the concrete
 * connectors are named.
 *
 *   migration_open -> migration_bind -> ... -> migration_close
 *
 * Nothing is created or written up to here. */
#ifndef CLI_MIGRATION_H
#define CLI_MIGRATION_H

#include "base/err.h"
#include "base/stop.h"
#include "cli/config.h"
#include "cli/options.h"
#include "cli/references.h"
#include "postgres/control.h"
#include "postgres/session.h"
#include "postgres/sink.h"
#include "postgres/slot.h"
#include "schema/catalog.h"
#include "schema/finding.h"
#include "transforms/rules.h"

#include <jansson.h>

struct migration {
    const struct config *config;
    const struct stop *stop;
    char slot[SLOT_NAME_SIZE]; /* also of publication and origin */
    struct session source;
    struct session target;
    struct catalog *source_catalog;
    struct catalog *target_catalog;
    struct control_migration control;
    struct former former;                /* what the source's columns were called */
    json_t *accepted;                    /* cli/accepted.h */
    lsn_t catalog_at;                    /* the source's catalog was read after this */
    const struct chain *kept_to;         /* rules_keep_to(); set before binding, as the next */
    const struct option_tables *renewed; /* these tables are copied anew; NULL: none */
    struct rules *rules;
    struct pg_type_reader *types; /* whom the rules ask */
    struct chain *chain;          /* NULL when the rules do not bind: see findings */
    struct findings findings;

    /* by the chain's source index */
    size_t source_count;
    char **source_names; /* quoted and qualified: the copy records' names */
    struct slot_table *slot_tables;
    bool *joining; /* the migration has started without it */
    size_t joining_count;
    char **known_as; /* under which the copy records have it; NULL: its name */
    /* by the chain's table index */
    size_t table_count;
    struct pg_target_table *targets;
    char **owner_conditions;
    char *claims;     /* of the target's rows (postgres/claim.h) */
    bool insert_only; /* some table is */
    struct references references;
};

/* Connects to both sides and reads the catalogs and the control tables. */
bool migration_open(struct migration *migration, const struct config *config,
                    const struct stop *stop, struct err *err);

/* Loads and binds the rules and runs the preflight; `backfill`: tables will be copied. True
 * unless asking failed; whether the migration may run is in the findings. */
bool migration_bind(struct migration *migration, bool backfill, struct err *err);

/* Binds the loaded rules alone, with both servers to read expressions and constants. */
bool migration_bind_rules(struct migration *migration, struct err *err);

/* After binding: the stream is to come as text (chain_take_text()). */
void migration_take_text(struct migration *migration, const char *reason);

/* True if this migration was never started at this target. */
bool migration_is_fresh(const struct migration *migration);

/* Makes the lookups of the chain's rules, over sessions of their own. */
struct lookup_maker migration_lookups(struct migration *migration);

/* What a sink of this migration needs to know of it; counters, apply, engine and letters are the
 * caller's. Borrows from the migration. */
struct pg_sink_config migration_sink_config(const struct migration *migration);

void migration_close(struct migration *migration);

#endif
