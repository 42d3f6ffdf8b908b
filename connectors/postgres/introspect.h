/* Reads a server's catalogs into a schema/catalog.h catalog. */
#ifndef POSTGRES_INTROSPECT_H
#define POSTGRES_INTROSPECT_H

#include "postgres/session.h"
#include "schema/catalog.h"

/* Everything outside the system schemas, extensions and our own control schema, as one
 * consistent picture (one repeatable-read transaction). The caller frees the catalog. */
bool introspect(struct session *session, struct catalog **catalog, struct err *err);

#endif
