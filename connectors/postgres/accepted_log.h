/* What of each source table a migration was last let go on with (cli/accepted.h): table
 * slackwater.accepted at the target, a row a table. */
#ifndef POSTGRES_ACCEPTED_LOG_H
#define POSTGRES_ACCEPTED_LOG_H

#include "postgres/session.h"

#include <jansson.h>

/* {"16385": {...}} by the table's oid; an empty object where nothing is kept. The caller's. */
bool accepted_log_load(struct session *session, const char *migration, json_t **accepted,
                       struct err *err);
/* In place of what is kept of these tables; others' stays. The same form. */
bool accepted_log_keep(struct session *session, const char *migration, const json_t *accepted,
                       struct err *err);

#endif
