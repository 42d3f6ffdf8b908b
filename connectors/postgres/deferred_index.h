/* Secondary indexes that are dropped before a target table is copied, and built again after.
 *
 *   there --drop--> kept as definitions --build--> there
 *
 * What it takes to make an index again stands in slackwater.deferred_index, written in the
 * transaction that drops it, until it is built: no crash can forget one. Built is noted in the
 * transaction that completes it; what a killed build left behind is dropped and made again.
 *
 * Only plain tables that are empty lose indexes, and only those that nothing needs meanwhile: not
 * the primary key, not one that rows are found by, not the replica identity, none that a foreign
 * key or anything else depends on, none attached to a partitioned index, no invalid one. */
#ifndef POSTGRES_DEFERRED_INDEX_H
#define POSTGRES_DEFERRED_INDEX_H

#include "postgres/session.h"
#include "postgres/sink.h"

struct deferred_index {
    long position;    /* in the order to build them, above 0 */
    char *target;     /* "public.users", quoted where SQL needs it */
    char *name;       /* likewise */
    char *definition; /* the statement that makes it */
    char *tablespace; /* "" the database's */
    char *attach;     /* makes it a constraint's; "" it is none's */
    char *rest;       /* statements for comments, marks and statistics; "" none */
    bool beside;      /* it can be built beside writers */
};

/* Drops the table's, and keeps what they were. Does nothing where the table has rows or no key. */
bool deferred_index_drop(struct session *session, const char *migration, const char *source,
                         const struct pg_target_table *table, struct err *err);
/* Some index of the migration is still to be built. */
bool deferred_index_any(struct session *session, const char *migration, bool *any,
                        struct err *err);
/* The next one to build behind the position, of a source table or (NULL) of all; index->name NULL:
 * there is none. The caller frees. */
bool deferred_index_next(struct session *session, const char *migration, const char *source,
                         long behind, struct deferred_index *index, struct err *err);
/* Builds it. beside: others write to the table meanwhile: CREATE INDEX CONCURRENTLY where the
 * server has it for that kind. Changes settings of the session, which should be closed then.
 * When the table's rows or the disk do not allow it: ERR_DATA, with the statement in the remedy. */
bool deferred_index_build(struct session *session, const char *migration,
                          const struct deferred_index *index, bool beside, struct err *err);
void deferred_index_free(struct deferred_index *index);

#endif
