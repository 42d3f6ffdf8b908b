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

/* What is read back. What the source described is stored as it came, for its meaning may be
 * another one by then. */
struct spool_reading {
    /* What the relation means that a transaction brought which is committed there; to_text:
     * what came in binary is to be made text. */
    void (*relation)(void *context, lsn_t commit, bool to_text, struct relation *relation);
    /* Makes text of the values of changes from that on. */
    bool (*to_text)(void *context, struct batch *batch, uint32_t from, struct err *err);
    void *context;
};

struct spool_config { /* borrowed for the call */
    const char *folder;
    struct spool_identity identity;
    uint64_t instance;            /* of this process */
    uint64_t max_bytes;           /* of all segments */
    uint64_t min_free;            /* to be left on the disk */
    lsn_t applied;                /* what the target has: older bytes need not be right */
    bool text;                    /* values come as text */
    struct spool_reading reading; /* zeroed: all means what it says */
};

enum spool_state { SPOOL_EMPTY, SPOOL_IN_USE, SPOOL_FULL };

struct spool_picture {
    enum spool_state state;
    uint64_t bytes;
    uint64_t segments;
    uint64_t unread; /* batches */
    uint64_t cut;    /* bytes that did not count when it was opened */
    lsn_t floor;     /* LSN_NONE while it is empty, as the next two */
    lsn_t end;
    usec_t oldest_at; /* wall; when the oldest segment was begun */
    bool text;        /* some values came as text */
    uint32_t older; /* the newest timeline of before, and where what came of it ends; 0: none */
    lsn_t older_end;
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

/* The source is on another timeline from here on. Before anything is put. */
void spool_follow(struct spool *spool, uint32_t timeline);

/* Whether some values in a folder, that may be anything, came as text. */
bool spool_holds_text(const char *folder);
/* Removes the segments in a folder, if nobody uses it, and none is another migration's
 * (ERR_CONFIG). Not the folder: it may be a mount. True also when there is none. Of the
 * identity migration and slot count. */
bool spool_remove(const char *folder, const struct spool_identity *identity, struct err *err);

#endif
