/* Copies the tables that are not copied yet, chunk by chunk, by several workers, also inside
 * one table, beside the stream or without it.
 *
 * A worker claims a lane of the first table in the caller's order that has work left, and
 * copies its chunks one after the other, each in a read-only transaction of its own at the
 * source and a transaction at the target that also keeps the chunk's record. So a kill loses at
 * most the chunks in flight, and no transaction at the source is older than one chunk. The size
 * of chunks follows the time they take, but where only the source knows the order of keys:
 * those chunks are bounded when the table is planned, by what is usual. Limits slow the reading
 * between rows (throttle.h); pressure and a pause hold back the begin of new chunks (brake.h).
 *
 * Passing failures are retried with pauses. A duplicate key in a chunk that went straight into
 * its table makes it go by a stage and an upsert (the application writes both sides); one in a
 * stage is a secondary key that chunks of different times clash in: the stream is let pass the
 * chunk's snapshot, and the chunk is read again. What repeats makes the table's copy begin anew
 * as one chunk (handoff.h). Other failures end the whole copy.
 *
 * Where the target enforces foreign keys a chunk waits for its parents' copies, and for the
 * stream to come to its snapshot (handoff.h); a row that is refused all the same has no parent.
 */
#ifndef BACKFILL_COPIER_H
#define BACKFILL_COPIER_H

#include "backfill/brake.h"
#include "backfill/handoff.h"
#include "backfill/throttle.h"
#include "base/err.h"
#include "base/stop.h"
#include "pipeline/progress.h"
#include "pipeline/quarantine.h"
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
    const struct copy_key *key;
    bool chunked;     /* false: whole, however large */
    bool has_parents; /* its chunks are loaded when the stream has come to their snapshots */
    uint64_t rows;    /* about; 0: not known */
    uint64_t bytes;
    size_t part_count;             /* at least 1 */
    const struct copy_part *parts; /* in the order to load them */
};

struct copier_config { /* borrowed; outlives the copier */
    size_t task_count;
    const struct copy_task *tasks; /* in the order to begin them */
    struct table_handoff *handoff;
    bool beside_stream; /* the stream runs meanwhile */
    bool
        builds_indexes; /* a table is finished when the stream has passed its snapshots: only then
                            are its rows of one time, and its unique indexes can be built */
    lsn_t build_from;   /* and this position: what the source held when the run began */
    int workers;
    uint64_t chunk_rows;           /* of a lane's first chunk */
    usec_t chunk_time;             /* that a chunk should take */
    struct quarantine *quarantine; /* NULL: a bad row ends the copy */
    struct transform *transform;   /* cloned for each worker */
    struct progress *progress;     /* counters, failures; how far the stream is */
    _Atomic int *states;           /* by table index: enum copier_state, for the view */
    const struct stop *stop;
    struct throttle *throttle; /* NULL: as fast as it goes */
    const struct brake *brake; /* NULL: nothing holds it back */
    /* Make a reader and a writer for one worker; destroyed by the copier. */
    struct table_reader *(*make_reader)(void *context);
    struct table_writer *(*make_writer)(void *context);
    void *context;
};

/* COPIER_HELD: the copier has no task for it. */
enum copier_state {
    COPIER_WAITING,
    COPIER_COPYING,
    COPIER_DONE,
    COPIER_HELD,
    COPIER_INDEXING,
};

struct copier;

/* Starts the workers. */
bool copier_start(const struct copier_config *config, struct copier **copier, struct err *err);
/* True when all workers are done, with or without failure. Any thread. */
bool copier_is_done(const struct copier *copier);
/* True, with the first failure that does not pass, when there was one. Any thread. */
bool copier_has_failed(struct copier *copier, struct err *err);
/* Waits for the workers (the caller has requested their stop, or lets them finish) and frees.
 * NULL is accepted. */
void copier_join(struct copier *copier);

#endif
