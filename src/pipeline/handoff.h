/* The contract between backfill and stream: which streamed changes does the copy hold already, or
 * will it hold when it gets there? Judged by the row's key and the top-level xid.
 *
 * Called from the apply thread, where nothing else is said. */
#ifndef PIPELINE_HANDOFF_H
#define PIPELINE_HANDOFF_H

#include "base/arena.h"
#include "base/err.h"
#include "model/batch.h"
#include "model/lsn.h"
#include "model/relation.h"
#include "model/row.h"

#include <stdbool.h>
#include <stdint.h>

enum handoff_verdict {
    HANDOFF_APPLY, /* the target must get the change */
    HANDOFF_DROP,  /* the copy holds it, or will */
    HANDOFF_LATER, /* what is before the change's transaction must be committed first: a chunk in
                      flight waits for that, and the change for the chunk */
};

struct handoff;

struct handoff_ops {
    /* Before each start of the stream: begins the copies anew that judging found must be. */
    bool (*resume)(struct handoff *handoff, struct err *err);
    /* True when nothing is left to judge for the table (the run's index). */
    bool (*passed_by)(const struct handoff *handoff, uint32_t table);
    /* While the stream runs: false, ERR_RETRY, when the copy of a table must begin anew, so that
     * the stream is to end and start again. */
    bool (*goes_on)(struct handoff *handoff, struct err *err);
    /* After the target was connected again, which may have become one that is behind: false when
     * it has lost chunks (ERR_RETRY; resume() sees to it), or when that cannot be found out. */
    bool (*still_kept)(struct handoff *handoff, struct err *err);
    /* Everything that the source committed up to this position is applied (LSN_NONE: as was said
     * before), and `coming` is about to be judged, or NULL; borrowed until the next call. */
    void (*reached)(struct handoff *handoff, lsn_t applied, const struct batch *coming);
    /* Any thread. True when more than what ends at this position should be told by reached() at
     * once: a chunk waits for the stream, or is about to, and whether it can be let in is told by
     * what comes up to there. */
    bool (*gathers)(struct handoff *handoff, lsn_t upto);
    /* The stream has ended: what is applied is not known until it begins again. */
    void (*ended)(struct handoff *handoff);
    /* judge() will be called for this image: what it takes to find the row's chunk can be got for
     * several at once. Those that are not foreseen are judged as well. */
    void (*foresee)(struct handoff *handoff, uint32_t table, const struct relation *relation,
                    const struct row *image);
    /* True, once, when more can be got for images that were foreseen before: a table has been cut
     * into chunks meanwhile. What is still to be judged is to be foreseen again. */
    bool (*foresees_more)(struct handoff *handoff);
    /* Judges what transaction xid did to the row of this image (the old image for where the row
     * was, the new one for where it is; its key must be known). While the row's chunk is in
     * flight under a snapshot that does not see xid, waits for the chunk's end. ERR_STOPPED;
     * ERR_RETRY when the table's copy must begin anew, in resume(), or the source, which is asked
     * about some keys, is away. LATER is never said of the first transaction that is coming. */
    bool (*judge)(struct handoff *handoff, uint32_t table, xid_t xid,
                  const struct relation *relation, const struct row *image,
                  enum handoff_verdict *verdict, struct err *err);
    /* The same for a TRUNCATE of the table. */
    bool (*judge_truncate)(struct handoff *handoff, uint32_t table, xid_t xid,
                           enum handoff_verdict *verdict, struct err *err);
    /* The target has refused a change of the table for a duplicate key. True if that may be
     * because chunks are of different times: the copy begins anew, as one, in resume(). */
    bool (*refused)(struct handoff *handoff, uint32_t table);
    /* A row of the table was read again at the source, as of this WAL position: what it then was
     * is in the target for what the stream has not passed yet. */
    void (*read_again)(struct handoff *handoff, uint32_t table, lsn_t seen);
    /* What must be kept at the target with the position that is about to be committed: the
     * transactions judged that no snapshot has been known to see. In the arena. */
    const char *(*note)(const struct handoff *handoff, struct arena *arena);
    /* The stream is durably applied up to here, and will not come back before it; and committed up
     * to `applied`, with nothing under way. */
    void (*passed)(struct handoff *handoff, lsn_t durable, lsn_t applied);
    /* The stream has passed the last snapshot of every table that this run copies. */
    bool (*complete)(const struct handoff *handoff);
};

struct handoff {
    const struct handoff_ops *ops;
};

#endif
