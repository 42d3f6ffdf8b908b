/* What must be right at both servers before anything is created, as findings. */
#ifndef POSTGRES_PREFLIGHT_H
#define POSTGRES_PREFLIGHT_H

#include "postgres/release.h"
#include "postgres/session.h"
#include "postgres/sink.h"
#include "postgres/slot.h"
#include "schema/finding.h"

struct preflight {
    struct session *source;
    struct session *target;
    const struct catalog *source_catalog;
    const struct catalog *target_catalog;
    const char *slot;
    struct release_wishes wishes;
    bool fresh;          /* nothing of this migration exists yet */
    const bool *joining; /* by source table: it joins a migration that has started */
    bool backfill;       /* tables will be copied */
    bool defer_indexes;  /* ... without their secondary indexes */
    size_t source_count;
    const struct catalog_table *const *source_tables;
    size_t table_count; /* of targets; a table may be there several times */
    const struct pg_target_table *target_tables;
};

/* Settings and rights of the source that do not depend on the tables; to be asked before the
 * rules are bound. */
bool preflight_servers(const struct preflight *preflight, struct findings *findings,
                       struct err *err);
/* The tables that take part. */
bool preflight_tables(const struct preflight *preflight, struct findings *findings,
                      struct err *err);

#endif
