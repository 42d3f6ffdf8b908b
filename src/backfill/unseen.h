/* The transactions of tables under copy that the stream has judged and no snapshot has been known
 * to see yet.
 *
 * A commit reaches the WAL reader before new snapshots see it (it may wait for a synchronous
 * standby). A change that is dropped because its chunk is still to be copied must be in that
 * chunk's snapshot; so its transaction stands here until some snapshot has seen it: snapshots
 * only grow, and every later one sees it too. The set travels with the position at the target,
 * so that a restart cannot slip between.
 *
 * Kept as ranges: what comes in one after the other, as most do, takes the room of one, and so
 * does a range that is read, however long. As text: 32-bit xids in their order, "740-752,760".
 * Not locked. */
#ifndef BACKFILL_UNSEEN_H
#define BACKFILL_UNSEEN_H

#include "backfill/snapshot.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct unseen {
    struct xid_range *ranges; /* ascending, as xids do: modulo 2^32; never side by side */
    size_t count;             /* of ranges */
    size_t capacity;
};

void unseen_free(struct unseen *unseen);
void unseen_clear(struct unseen *unseen);
void unseen_add(struct unseen *unseen, xid_t xid); /* one that is there already is accepted */
/* Takes out what the snapshot sees. */
void unseen_prune(struct unseen *unseen, const struct snapshot *snapshot);
/* True if the snapshot sees all of them. */
bool unseen_is_covered(const struct unseen *unseen, const struct snapshot *snapshot);
void unseen_copy(const struct unseen *from, struct unseen *to);

void unseen_append_text(const struct unseen *unseen, struct buf *out);
/* Into an empty set. ERR_CORRUPT when the text is no such set: also when it is out of order, or
 * longer than xids can be compared over (2^31). */
bool unseen_parse(const char *text, struct unseen *unseen, struct err *err);

#endif
