/* A PostgreSQL snapshot as a set of transactions: which ones does it see?
 *
 * Source: "pg_snapshot Components", documentation 9.27. Text form xmin:xmax:xip,xip,...;
 * everything below xmin and not in the list has ended; xmax and above had not begun. Of the
 * ended ones those that committed are seen: whoever asks about a transaction that came through
 * the replication stream knows that it committed. */
#ifndef BACKFILL_SNAPSHOT_H
#define BACKFILL_SNAPSHOT_H

#include "base/err.h"
#include "model/lsn.h"

#include <stdbool.h>
#include <stddef.h>

struct snapshot {
    xid64_t xmin, xmax; /* xmin <= xmax */
    size_t in_progress_count;
    xid64_t *in_progress; /* sorted */
};

/* ERR_CORRUPT when the text is not a snapshot. The caller frees with snapshot_free(). */
bool snapshot_parse(const char *text, struct snapshot *snapshot, struct err *err);
void snapshot_free(struct snapshot *snapshot);

/* True if a committed transaction is visible in it. */
bool snapshot_sees(const struct snapshot *snapshot, xid64_t xid);
/* The same for a 32-bit xid of the stream: the 64-bit xid meant is the one nearest to xmax
 * (less than 2^31 away; older ones cannot be running). */
bool snapshot_sees_xid(const struct snapshot *snapshot, xid_t xid);

/* Transactions in their order, which goes on where xids wrap; both ends belong to it. */
struct xid_range {
    xid_t first, last;
};

/* False if all within the range are seen. Else a first part of those that are not; between
 * the range's beginning and that all are seen. */
bool snapshot_unseen_within(const struct snapshot *snapshot, struct xid_range within,
                            struct xid_range *unseen);

/* True if every transaction that `older` sees is seen by `newer`. A snapshot taken later may
 * lack one for a moment: its commit was in the WAL, and so in the older one, before it became
 * visible to ordinary snapshots (it may wait for a synchronous standby). */
bool snapshot_covers(const struct snapshot *newer, const struct snapshot *older);

#endif
