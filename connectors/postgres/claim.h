/* Which rows of which target tables a migration writes, among several migrations of one target.
 *
 * A claim is a target table and the constants of its key that mark the migration's rows (none:
 * all rows). Two claims on a table exclude each other unless a column has another constant in
 * each: then a row, or a TRUNCATE, of one could not reach those of the other. Claims stand in
 * the control schema (control.h) from a migration's begin until its cleanup, whether it runs or
 * not: it may resume any time. */
#ifndef POSTGRES_CLAIM_H
#define POSTGRES_CLAIM_H

#include "postgres/session.h"
#include "schema/finding.h"

#include <stdbool.h>

/* `claims` is JSON: [{"target": "app.orders", "owner": {"tenant": "7"}}, ...], with values as
 * their types print them. A finding for another migration that claims the same rows. Looks
 * without writing; also where no control schema is installed. */
bool claim_check(struct session *session, const char *migration, const char *claims,
                 struct findings *findings, struct err *err);
/* Makes these the migration's claims, in place of any it had. ERR_CONFIG, and nothing changed,
 * on a conflict. The migration is registered (control_begin). */
bool claim_take(struct session *session, const char *migration, const char *claims,
                struct err *err);

#endif
