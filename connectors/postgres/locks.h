/* Who holds a lock that we waited for in vain, for messages. */
#ifndef POSTGRES_LOCKS_H
#define POSTGRES_LOCKS_H

#include "postgres/session.h"

/* True if the statement failed because lock_timeout ran out. */
bool locks_refused(const struct err *err);

/* "public.a by pid 123 (psql, idle in transaction, for 00:01:00)", or "somebody". `table` and
 * `parent` are quoted and qualified; with a parent (a foreign key is added) readers do not count,
 * without a table only holders of whole tables do. Not within a failed transaction. The caller
 * frees. */
char *locks_holders(struct session *session, const char *table, const char *parent);

/* Rolls the failed transaction back; where a lock was refused, says who has it. Returns false. */
bool locks_explain(struct session *session, struct err *err);

#endif
