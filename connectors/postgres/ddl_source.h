/* Reads a server's own definitions of its objects (schema/definitions.h). */
#ifndef POSTGRES_DDL_SOURCE_H
#define POSTGRES_DDL_SOURCE_H

#include "postgres/session.h"
#include "schema/catalog.h"
#include "schema/definitions.h"

/* Of the catalog's tables and all types outside the system, in one repeatable-read transaction.
 * The caller frees the definitions. */
bool ddl_source_read(struct session *session, const struct catalog *catalog,
                     struct definitions **definitions, struct err *err);

#endif
