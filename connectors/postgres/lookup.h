/* A lookup (pipeline/lookup.h) in a PostgreSQL database: a session of its own, a statement
 * prepared once, and the keys that were found lately. Keys that were missing are asked for
 * again: their row may come. */
#ifndef POSTGRES_LOOKUP_H
#define POSTGRES_LOOKUP_H

#include "base/stop.h"
#include "pipeline/lookup.h"

/* All borrowed; must outlive the lookup. */
struct pg_lookup_config {
    const char *source_dsn;
    const char *target_dsn;
    const struct stop *stop;
};

struct lookup *pg_lookup_create(const struct pg_lookup_config *config,
                                const struct lookup_request *request);

#endif
