/* Merged tables whose rows nothing tells apart: do they have keys in common today? */
#ifndef POSTGRES_MERGE_CHECK_H
#define POSTGRES_MERGE_CHECK_H

#include "postgres/session.h"
#include "schema/finding.h"

/* Source tables that are merged into one. */
struct merge {
    const char *target;   /* for people */
    const char *sources;  /* for people: "a, b" */
    const char *keys_sql; /* the keys that more than one has, at the source */
};

/* Counts on the source, in a read-only transaction with a time limit, and leaves a breaking
 * finding where there are collisions, a note where there are none or it took too long. False
 * only when the session is lost. */
bool merge_check(struct session *source, const struct merge *merge, struct findings *findings,
                 struct err *err);

#endif
