/* What the backfill has to copy: the tables in the order to begin them, and the key of each that
 * its chunks go by. Made from the bound rules and both catalogs. */
#ifndef CLI_COPY_TASKS_H
#define CLI_COPY_TASKS_H

#include "backfill/copier.h"
#include "cli/migration.h"

#include <stdbool.h>
#include <stddef.h>

struct copy_tasks {
    size_t count;
    struct copy_task *tasks; /* in the order to begin them */
    struct copy_part *parts; /* by the chain's tables */
    struct copy_key *keys;   /* by source table */
    struct copy_key_column *key_columns;
};

/* The key columns of every source table, and the tasks for those that `wanted` says. */
void copy_tasks_make(const struct migration *migration, const bool *wanted,
                     struct copy_tasks *tasks);
void copy_tasks_free(struct copy_tasks *tasks);

#endif
