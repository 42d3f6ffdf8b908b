/* Whether a target table's columns still are of the types that rows were bound to. The binary forms
 * of two types may both be eight bytes: a COPY would take one for the other without a word. */
#ifndef POSTGRES_TARGET_TYPES_H
#define POSTGRES_TARGET_TYPES_H

#include "base/buf.h"
#include "model/relation.h"
#include "postgres/session.h"

/* Locks the table as COPY does, so that no ALTER TABLE comes in between. SQL, appended. */
void target_types_lock_sql(struct buf *sql, const struct relation *target);
/* A query that fails where they are not. */
void target_types_guard_sql(struct buf *sql, const struct relation *target);

/* Both, in the session's transaction: ERR_SHAPE where they are not. */
bool target_types_check(struct session *session, const struct relation *target,
                        struct err *err);

#endif
