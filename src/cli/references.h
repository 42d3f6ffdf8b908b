/* Which source tables must be copied before which: what the target's foreign keys ask for where
 * they are enforced for what slackwater writes. By source table; made from the bound rules and
 * the target's catalog. Empty where they do not fire. */
#ifndef CLI_REFERENCES_H
#define CLI_REFERENCES_H

#include "backfill/handoff.h"

#include <stdbool.h>
#include <stddef.h>

struct migration;

#define REFERENCES_CIRCLE_FIX                                                                     \
    "let the target's role set session_replication_role, or drop one of these constraints until " \
    "the copy is complete"

struct references {
    size_t count;
    struct copy_parents *parents; /* a table is none of its own */
    bool *own;                    /* rows refer to rows of the same source table */
    int *levels; /* below tables without parents; -1: in a circle, or below one */
    int deepest;
    bool any; /* some table has parents */
};

void references_make(const struct migration *migration, struct references *references);
/* "a -> b -> a": a circle that the migration's source table is in or below, among the tables that
 * are still to be copied (NULL: all). NULL: none. The caller frees. */
char *references_circle(const struct migration *migration, const bool *pending, size_t table);
/* A table of the target that is none of the migration's and refers to one that the source table
 * goes to, where that is enforced: emptying this one would take its rows along, or be refused.
 * NULL: none. */
const struct catalog_table *references_from_outside(const struct migration *migration,
                                                    size_t table);
void references_free(struct references *references);

#endif
