/* Copies the tables that are not copied yet, by several workers, a table each.
 *
 * A source table is one target transaction, whatever it goes to: rows and record come together, so a kill leaves it either
 * done or untouched, and a restart begins it again. Passing failures are retried with pauses;
 * others end the whole copy. The order is the caller's: largest first, or parents first. */
#ifndef BACKFILL_COPIER_H
#define BACKFILL_COPIER_H

#include "backfill/snapshot.h"
#include "base/err.h"
#include "base/stop.h"
#include "pipeline/progress.h"
#include "pipeline/table_copy.h"
#include "pipeline/transform.h"

/* One of the tables that a source table goes to. Borrowed. */
struct copy_part {
    const struct relation *source; /* the columns to read */
    const struct relation *target;
    bool binary;
};

/* A source table to copy. Borrowed. */
struct copy_task {
    uint32_t table; /* the run's index */
    size_t part_count; /* at least 1 */
    const struct copy_part *parts; /* in the order to load them */
};

struct copier {
    /* set by the caller */
    size_t task_count;
    const struct copy_task *tasks; /* in the order to begin them */
    struct copy_record *records;   /* by the run's table index; filled as tables are done */
    int workers;
    const struct snapshot *initial; /* what every copy's snapshot must cover */
    struct transform *transform;    /* cloned for each worker */
    struct progress *progress;      /* counters, failures */
    _Atomic int *states;            /* by table index: enum copier_state, for the view */
    const struct stop *stop;
    /* Make a reader and a writer for one worker; destroyed by the copier. */
    struct table_reader *(*make_reader)(void *context);
    struct table_writer *(*make_writer)(void *context);
    void *context;
};

enum copier_state { COPIER_WAITING, COPIER_COPYING, COPIER_DONE };

/* Blocks until all is copied, the stop, or a failure that does not pass. */
bool copier_run(struct copier *copier, struct err *err);

#endif
