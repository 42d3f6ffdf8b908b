/* What a server's release means for a migration: which are supported, what only newer ones
 * have, and the settings of newer ones that could lose the slot. */
#ifndef POSTGRES_RELEASE_H
#define POSTGRES_RELEASE_H

#include "base/err.h"
#include "postgres/session.h"
#include "schema/catalog.h"
#include "schema/finding.h"

/* As server_version_num counts. */
#define RELEASE_OLDEST 140000        /* older ones are refused */
#define RELEASE_TRIED 190000         /* from here on: warned of */
#define RELEASE_TWO_PHASE 150000     /* pgoutput sends prepared transactions */
#define RELEASE_ORIGIN_FILTER 160000 /* START_REPLICATION ... (origin 'none') */
#define RELEASE_INFINITE_INTERVAL 170000
#define RELEASE_FAILOVER_SLOT 170000 /* CREATE_REPLICATION_SLOT ... (FAILOVER) */

/* Is the side's release supported? */
void release_check(const struct catalog *catalog, const char *side, struct findings *findings);
/* What the target's release may not be able to hold of the source's. */
void release_check_pair(const struct catalog *source, const struct catalog *target,
                        struct findings *findings);

struct release_wishes { /* what the configuration wants of the source */
    bool failover;      /* a slot that survives a failover */
    bool local_only;    /* no changes that came by another replication */
};

/* Wishes that the source cannot fulfil, and what its settings may do to the slot, which may be
 * there already or not. */
bool release_check_slot(struct session *source, const struct catalog *catalog, const char *slot,
                        const struct release_wishes *wishes, struct findings *findings,
                        struct err *err);

#endif
