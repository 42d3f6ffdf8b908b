/* Whether a source table still is as its catalog copy has it, within the caller's transaction. */
#ifndef POSTGRES_TABLE_SHAPE_H
#define POSTGRES_TABLE_SHAPE_H

#include "postgres/session.h"
#include "schema/catalog.h"

/* ERR_SHAPE when columns were added, dropped, renamed or are of other types. The table is locked. */
bool table_shape_check(struct session *session, const struct catalog_table *table,
                       struct err *err);

/* A name that the source does not know any more is a change of shape: then that is the class. */
void table_shape_suspect(struct err *err);

#endif
