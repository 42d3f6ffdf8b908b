/* Reads a server's catalogs into a schema/catalog.h catalog. */
#ifndef POSTGRES_INTROSPECT_H
#define POSTGRES_INTROSPECT_H

#include "postgres/session.h"
#include "schema/catalog.h"

/* Tables that can take part: ours to see, not temporary, not an extension's. */
#define INTROSPECT_OF_INTEREST                                                                 \
    " c.relkind IN ('r', 'p') AND c.relpersistence <> 't'"                                     \
    " AND n.nspname NOT IN ('information_schema', 'slackwater')"                               \
    " AND n.nspname !~ '^pg_'"                                                                 \
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"                                      \
    "                 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"            \
    "                   AND d.objid = c.oid AND d.deptype = 'e')"

/* Everything outside the system schemas, extensions and our own control schema, as one
 * consistent picture (one repeatable-read transaction). The caller frees the catalog. */
bool introspect(struct session *session, struct catalog **catalog, struct err *err);

#endif
