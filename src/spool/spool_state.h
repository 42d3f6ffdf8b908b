/* The spool's own things, as its parts see them: spool.c, which puts and trims, and spool_take.c,
 * which takes. For them alone.
 *
 * The problem: one thread writes at the end while another reads further back, and what was
 * written may be on the disk, or not yet, or damaged. The invariants: `segments` tells what was
 * written whole, so a reader never looks at bytes in the making; files go only from the ends of
 * the row; what was told to be synced is never shortened but where a reader finds it damaged. */
#ifndef SPOOL_SPOOL_STATE_H
#define SPOOL_SPOOL_STATE_H

#include "spool/recovery.h"
#include "spool/spool.h"

#include <pthread.h>

struct place {
    uint64_t number; /* of a segment; 0: none */
    uint64_t offset;
    uint64_t frames; /* of the segment, that are before it */
};

struct spool {
    struct backlog backlog;

    /* set at open */
    struct spool_config config; /* its texts are owned */
    struct folder folder;
    uint64_t segment_bytes;
    uint64_t cut; /* bytes that did not count */

    /* the putting thread's */
    struct frame_packer *packer;
    int put_fd;            /* the last segment's; -1: none is open */
    uint64_t synced_bytes; /* of that file */
    bool unsynced;
    int sync_error;   /* errno; 0: none failed */
    lsn_t next_floor; /* of a spool that is empty */

    /* the taking thread's */
    struct frame_unpacker *unpacker;
    struct interner interner;
    struct buf bytes;
    int take_fd;
    uint64_t take_number; /* of that file */
    uint64_t take_instance;
    bool take_text;
    int take_error; /* errno of the read that failed; 0: none did */
    lsn_t applied;  /* what ends at or before it need not be given */

    pthread_mutex_t lock;
    /* guarded by lock */
    struct segments segments;
    struct place at;      /* of the next frame to be taken */
    struct place damaged; /* number 0: none was found */
    uint64_t next_number; /* none is used twice */
    bool full;
};

static inline struct spool *spool_self(struct backlog *backlog)
{
    return (struct spool *)(void *)backlog;
}

/* ERR_DISK. error: errno. Returns false. */
bool spool_disk_failed(const struct spool *spool, const char *what, int error, struct err *err);

/* ---- spool_take.c ---- */

/* As backlog_ops. */
enum backlog_result spool_take(struct backlog *backlog, struct batch *batch, struct err *err);
uint64_t spool_unread(struct backlog *backlog);

uint64_t spool_count_unread(const struct spool *spool); /* lock held */
void spool_close_take(struct spool *spool);

#endif
