/* What changes between two schemas, as findings.
 *
 * Two uses share it. Two schema files: `before` is what applications know, `after` is what they
 * will meet, tables and columns are matched by name. Two live databases: `before` is the
 * source, `after` the target, and the pairs say which rules carry rows from one to the other;
 * what the binding of rules reports already (transforms/bind.h: missing and unfilled columns,
 * types, NOT NULL) is not reported again.
 *
 * Statements in findings change `after`'s side where they demand less, and lead from before to
 * after between files. Where a constraint is new, the finding has a query for the source that
 * counts the rows which would break it. */
#ifndef SCHEMA_COMPARE_H
#define SCHEMA_COMPARE_H

#include "schema/catalog.h"
#include "schema/finding.h"

#include <stddef.h>

#define ORIGIN_NONE (-1)   /* nothing makes this column */
#define ORIGIN_RULE (-2)   /* a rule makes it of something */
#define ORIGIN_UNSAID (-3) /* the same, but no SQL says what: it is NULL in `rows` */

/* A table and what becomes of it. Borrowed. */
struct table_pair {
    const struct catalog_table *before;
    const struct catalog_table *after;
    const int *origins; /* for each column of after: the column of before whose value it holds
                           as it is, or one of the above */
    const char *const
        *constants;   /* for each column of after: the text of the value that it holds
                                     in every row (schema/distinct.h), or NULL; NULL: none has
                                     one */
    const char *rows; /* what stands after FROM at the source to get after's columns: a quoted
                         table or a SELECT in parentheses */
    bool filtered;    /* not all rows of before go there */
    bool without_key; /* rows are found by all their values (replica identity FULL, no key) */
};

void compare_files(const struct catalog *before, const struct catalog *after,
                   struct findings *findings);
void compare_carried(const struct catalog *source, const struct catalog *target,
                     const struct table_pair *pairs, size_t count, struct findings *findings);

#endif
