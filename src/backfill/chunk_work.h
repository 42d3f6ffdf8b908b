/* A chunk in work, as its parts see it: copy_chunk.c, which tries it and knows what came of that,
 * chunk_open.c, which takes its snapshot, and chunk_rows.c, which copies its rows. For them alone. */
#ifndef BACKFILL_CHUNK_WORK_H
#define BACKFILL_CHUNK_WORK_H

#include "backfill/copy_worker.h"

struct chunk_work {
    const struct copy_task *task;
    uint32_t lane;
    struct chunk_place place;
    struct chunk_record record;
    uint64_t counted_rows, counted_bytes; /* what the view has been told of it */
    usec_t began;
    bool committing; /* COMMIT was sent, and no answer read */
    bool staged;
    bool sifts; /* the target has refused a row: which, is to be found */
    bool told;  /* of the rows that are parked with it */
    int clashes, orphans;
};

/* ---- chunk_open.c ---- */

enum chunk_opened { CHUNK_OPENED, CHUNK_OPEN_NOT, CHUNK_OPEN_FAILED };

/* Opens the lane's next chunk and takes a snapshot that sees all it must: the reader's transaction
 * is open then, and `place` and the record's snapshot are set. NOT: the lane is at its end, or the
 * copy is held back. */
enum chunk_opened chunk_open(struct worker *worker, struct chunk_work *work, struct err *err);
/* The stream is to pass the chunk's snapshot, which is not held meanwhile. ERR_STOPPED. */
bool chunk_let_stream_pass(struct worker *worker, const struct chunk_work *work,
                           struct err *err);

/* ---- chunk_rows.c ---- */

/* The range once for each target, all under the snapshot that was taken. The record is given its
 * rows, bytes and end. */
bool chunk_rows_copy(struct worker *worker, struct chunk_work *work, struct err *err);
/* What was copied by now, for the counters. */
void chunk_rows_count(struct worker *worker, struct chunk_work *work);
/* The chunk did not come to be. */
void chunk_rows_uncount(struct worker *worker, struct chunk_work *work);

#endif
