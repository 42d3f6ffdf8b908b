/* The spool: the backlog (pipeline/backlog.h) in a folder of segment files (spool/segment.h).
 *
 * A segment is closed and on the disk, with its name, before the next one is begun; so only the
 * last can be torn. It is removed when the target has flushed all that it holds.
 *
 * spool_open() recovers: frames count up to the first that is not whole, and of these all up to
 * the last that ends outside a transaction; what is behind is cut off, and comes from the slot
 * again if the slot still has it. */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "pipeline/backlog.h"
#include "spool/segment.h"

struct spool_config { /* borrowed for the call */
    const char *folder;
    struct spool_identity identity;
    uint64_t instance;  /* of this process */
    uint64_t max_bytes; /* of all segments */
    uint64_t min_free;  /* to be left on the disk */
    lsn_t applied;      /* what the target has: older bytes need not be right */
};

enum spool_state { SPOOL_EMPTY, SPOOL_IN_USE, SPOOL_FULL };

struct spool_picture {
    enum spool_state state;
    uint64_t bytes;
    uint64_t segments;
    uint64_t unread; /* batches */
    lsn_t floor;     /* LSN_NONE while it is empty, as the next two */
    lsn_t end;
    usec_t oldest_at; /* wall; when the oldest segment was begun */
};

struct spool;

/* ERR_CONFIG when another process has the folder, or it is another migration's; ERR_DISK.
 * *cut: bytes that did not count. */
bool spool_open(const struct spool_config *config, struct spool **spool, uint64_t *cut,
                struct err *err);
void spool_close(struct spool *spool); /* NULL is accepted */

/* Relations of the batches that it gives live until it is closed. */
struct backlog *spool_backlog(struct spool *spool);
/* Any thread. */
void spool_look(struct spool *spool, struct spool_picture *picture);

/* Removes the segments in a folder, if nobody uses it. Not the folder: it may be a mount. True
 * also when there is none. */
bool spool_remove(const char *folder, struct err *err);

#endif
