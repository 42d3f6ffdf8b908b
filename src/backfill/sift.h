/* Rows of a chunk that cannot be copied: they are parked (pipeline/quarantine.h), and the others
 * of the chunk are loaded.
 *
 * A row that the rules refuse is left out on the way. Which row it is that the target refuses it
 * does not say: then the chunk is read again and *sifted*: loaded in blocks, each behind a
 * savepoint, and a block that is refused in halves, down to the row.
 *
 *     [block][..x.....] -> [..x.][....] -> [..][x.] -> x is parked
 *
 * A table that goes to several targets is read once for each. A row that one of them refuses is
 * left out of all: where an earlier one had it already, the chunk begins again and knows of it.
 *
 * The letters are kept here until the chunk's transaction is about to be committed. One worker's. */
#ifndef BACKFILL_SIFT_H
#define BACKFILL_SIFT_H

#include "backfill/copier.h"
#include "base/arena.h"
#include "pipeline/parked_keys.h"
#include "pipeline/quarantine.h"

#define SIFT_BLOCK 256

struct exclusion {
    uint64_t id;
    bool met; /* in this attempt, for one target or another */
    const struct err *why;
};

struct sift {
    struct quarantine *quarantine; /* NULL: nothing is parked */
    struct table_writer *writer;
    struct transform *transform;
    struct copied_letters copied;

    /* of a chunk's attempts */
    const struct copy_task *task;
    bool parks_clashes, parks_orphans; /* duplicate keys and missing parents had their time */
    struct parked_keys *excluded; /* of a split: rows known to be bad, by key: letters' ids */
    struct exclusion *exclusions;
    size_t exclusion_count;
    struct arena reasons;

    /* of the attempt */
    struct arena arena; /* letters and their rows */
    struct letter *letters;
    size_t letter_count, letter_capacity;
    uint64_t parked;    /* rows; of a split each may have several letters */
    uint64_t rows;      /* loaded */
    uint64_t uncounted; /* of these, that the breaker has not seen */
    bool again; /* the chunk must begin again: an earlier target has what is excluded now */

    /* the block */
    struct arena block;
    struct row *in, *out; /* of the source, and for the target */
    uint32_t count;
    struct buf key;
};

void sift_init(struct sift *sift, struct quarantine *quarantine, struct table_writer *writer,
               struct transform *transform);
void sift_free(struct sift *sift);

/* A chunk, of whose rows nothing is known. */
void sift_chunk(struct sift *sift, const struct copy_task *task);
/* One more attempt at it. */
void sift_attempt(struct sift *sift);

/* The row was refused before, for another target too: it is left out, and its letter is told the
 * columns that this target reads. */
bool sift_leaves_out(struct sift *sift, size_t part, const struct row *row);
/* The row is refused for *why. False (ERR_DATA) when it cannot be parked. */
bool sift_refuse(struct sift *sift, size_t part, const struct row *row, const struct err *why,
                 struct err *err);
/* A row for a part that is sifted, and the part's end. False too for what may be a matter of time,
 * and had none yet. */
bool sift_take(struct sift *sift, size_t part, const struct row *row, struct err *err);
bool sift_end(struct sift *sift, size_t part, struct err *err);

/* Before the commit: the letters, and what the breaker has not seen. */
bool sift_settle(struct sift *sift, struct err *err);
/* They are at the target, with the chunk, as it seems; they are not, after all or at all; the chunk is
 * loaded, and they with it. */
void sift_told(struct sift *sift);
void sift_lost(struct sift *sift);
void sift_loaded(struct sift *sift);

#endif
