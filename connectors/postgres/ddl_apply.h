/* Runs a plan of DDL (schema/ddl.h) at the target. */
#ifndef POSTGRES_DDL_APPLY_H
#define POSTGRES_DDL_APPLY_H

#include "postgres/session.h"
#include "schema/ddl.h"

/* The target as it was before. */
struct ddl_target {
    struct session *session;
    struct catalog *catalog;
    struct definitions *definitions;
};

/* Told once for each statement: "made table app.users", "there already: ...", "left out: ...".
 */
typedef void (*ddl_told)(const char *line, void *context);

/* Runs the phase's statements one by one: those before the data in one transaction, so that a
 * failure leaves nothing; those after it each by itself, since some build indexes concurrently.
 * What is there already is left alone, so that a phase may be run again; but what has the same
 * name and is not the one meant is refused (ERR_CONFIG) before anything runs (ddl_compare.h).
 * A statement after the data that does not get its lock at once is tried again for a while,
 * and told as "... waits for a lock, which is held: ...". */
bool ddl_apply(const struct ddl_target *target, const struct ddl *ddl, enum ddl_phase phase,
               ddl_told told, void *context, struct err *err);

#endif
