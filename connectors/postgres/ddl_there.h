/* Is an object of the plan (schema/ddl.h) there already? */
#ifndef POSTGRES_DDL_THERE_H
#define POSTGRES_DDL_THERE_H

#include "postgres/session.h"
#include "schema/ddl.h"

/* Looks for one of that kind and name; an index or a constraint at its table. Never there: what
 * is no object (notes, settings). False also for an index whose building failed (ERR_CONFIG). */
bool ddl_is_there(struct session *session, const struct ddl_statement *statement, bool *there,
                  struct err *err);

/* "table app.users", "constraint users_fk of app.users". The caller frees. */
char *ddl_describe(const struct ddl_statement *statement);

#endif
