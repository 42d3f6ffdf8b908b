/* The handoff from copy to stream, by visibility.
 *
 * A chunk of a table is copied under a snapshot S, which is stored with its rows. A streamed
 * change whose row lies in a loaded chunk is in the copy exactly if its transaction is visible
 * in S: then it is dropped, else applied. In a chunk that is not loaded yet it is dropped, and
 * the chunk's later S must see it; until some snapshot is known to, its transaction stands in
 * the unseen set (unseen.h). While a chunk is in flight, a change that its S does not see waits
 * until the chunk is committed at the target. Nothing is guessed from times or positions.
 *
 * The order that makes it exact: a worker opens a chunk (from here on changes of its lane
 * wait), copying the unseen set; then takes S; then S is held against that copy. A transaction
 * is seen by every later snapshot once one has seen it, so the S of any chunk prunes the unseen
 * set; but only once the chunk is loaded: before, S may see what a crash of the source takes
 * back, and that gives its xid to another.
 *
 * A TRUNCATE is judged by all chunks of its table at once. Where it would have to spare some,
 * and where chunks of different times clash in a unique index of the target, the table's copy
 * begins anew: between two runs of the stream, with no transaction open and no worker at the
 * table.
 *
 * A target that comes back without chunks it had committed (a failover to a standby that was
 * behind) is taken at its word: before each run of the stream what is known here is held
 * against what is kept there.
 *
 * A copy that begins when the stream has long passed the table (a copy made again, a table that
 * waited or joined) must also see what was applied, or was not even published, before any of
 * that was judged. Such a transaction may be in the WAL and not be visible yet. So, with the
 * stream at rest, an xid N is taken at the source, and every snapshot of the copy must cover
 * "N:N:": all transactions before N have ended in it. One whose commit the stream has read had
 * its xid before that commit, so before N. It is kept with the copy, for a restart. Its price
 * is the slot's own: it waits for the transactions that are open at the source.
 *
 * Where the target enforces foreign keys (`parents`), no chunk of a table is opened before all
 * chunks of its parents are loaded, and it is read and loaded when the stream has applied exactly
 * what its S sees: then its rows and their parents are of one time, for a change of its rows that
 * S does not see waits for the chunk. A chunk that waits for the stream, and a stream that waits
 * for the chunk, would wait for ever: so the transactions before the change are committed first
 * (LATER), and if S sees a later one, the chunk gives way and takes a new S.
 *
 * A table is passed when all chunks are loaded and the stream is durably past the last S, by a
 * commit that came behind the last chunk: a target that comes back without the chunk comes back
 * without that commit, and is behind what the source was told. The
 * backfill is complete when the last table is. docs/spec/ has the model.
 *
 * Where only the source knows the order of a table's keys it is asked which lane a change's key
 * lies in (asked_keys.h), for the changes of a batch at once, and not under the lock: bounds are
 * taken away by nobody but the apply thread, which asks.
 *
 * Functions of the workers may be called from any thread; those of the contract (handoff.h of
 * the pipeline) from the apply thread. */
#ifndef BACKFILL_HANDOFF_H
#define BACKFILL_HANDOFF_H

#include "backfill/snapshot.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/stop.h"
#include "pipeline/handoff.h"
#include "pipeline/key_places.h"
#include "pipeline/table_copy.h"

struct table_handoff;

/* The tables that must be copied before a table. */
struct copy_parents {
    size_t count;
    uint32_t *tables; /* owned */
};

struct handoff_config {
    size_t table_count;
    const struct copy_key *keys;    /* by table; borrowed */
    struct table_copy *copies;      /* by table; plans and chunks are taken */
    const char *note;               /* as kept with the position; "" none */
    const struct snapshot *initial; /* what every chunk's snapshot must cover; borrowed */
    lsn_t applied;                  /* the target's position: the stream begins there */
    /* The source's position now: the last run has read no row again past it. */
    lsn_t started_at;
    const bool *waits; /* by table: not to be copied in this run; NULL: none; borrowed */
    const struct copy_parents *parents; /* by table; NULL: none; borrowed */
    struct key_places *places; /* the apply thread's; NULL: no key's order is asked; borrowed */
    const struct stop *stop;
    /* Called in resume(). Empties the table at the target (table_writer_ops.reset). */
    bool (*reset)(void *context, uint32_t table, bool whole, struct err *err);
    /* Called in resume() and still_kept(). Reads what is kept at the target: a copy for each
     * table, which the caller frees. */
    bool (*load)(void *context, struct table_copy *copies, struct err *err);
    /* Called in resume(), with no worker at any table: the target has lost chunks, and this is
     * what there is of the table's copy now. */
    void (*reloaded)(void *context, uint32_t table, const struct table_copy *copy);
    void *context;
};

bool handoff_create(const struct handoff_config *config, struct table_handoff **handoff,
                    struct err *err);
void handoff_destroy(struct table_handoff *handoff); /* NULL is accepted */

/* The contract that the apply loop calls; lives as long as the handoff. */
struct handoff *handoff_contract(struct table_handoff *handoff);
/* True when the stream has passed every table's last snapshot. Any thread. */
bool handoff_is_complete(const struct table_handoff *handoff);
/* The same, of the tables that do not wait. */
bool handoff_is_settled(const struct table_handoff *handoff);
/* True when the copy of every table that does not wait is there. Any thread. */
bool handoff_all_copied(struct table_handoff *handoff);
/* Some session at the source has taken this snapshot: every later one sees what it sees, so
 * what must be kept of the transactions judged becomes less, also while no chunk is read. Any
 * thread. */
bool handoff_seen(struct table_handoff *handoff, const char *snapshot, struct err *err);

/* How many rows the table's copy will have, corrected by what is loaded (lane.h). Any thread.
 */
int64_t handoff_expected_rows(struct table_handoff *handoff, uint32_t table, int64_t expected);

/* ---- for the copy's workers ---- */

enum claim {
    CLAIM_LANE, /* the lane is the caller's until handoff_release() */
    CLAIM_PLAN, /* the table is to be planned by the caller: handoff_planned(), or release */
    CLAIM_LAST, /* all lanes are at their end: the caller finishes: handoff_finished(), or
                   release */
    CLAIM_BUSY, /* others are at all that is left */
    CLAIM_DONE, /* nothing is left */
};

/* What there is to do at the table; *lane for CLAIM_LANE. */
enum claim handoff_claim(struct table_handoff *handoff, uint32_t table, uint32_t *lane);
/* The plan that is to be made must be whole. */
bool handoff_must_be_whole(struct table_handoff *handoff, uint32_t table);
/* Takes the plan. */
bool handoff_planned(struct table_handoff *handoff, uint32_t table, struct copy_plan *plan,
                     struct err *err);
void handoff_finished(struct table_handoff *handoff, uint32_t table);
/* The greatest position of the table's snapshots so far. */
lsn_t handoff_last(struct table_handoff *handoff, uint32_t table);
void handoff_release(struct table_handoff *handoff, uint32_t table, enum claim claim,
                     uint32_t lane);

/* What the next chunk of a claimed lane is. The texts are the handoff's and hold until the
 * chunk is loaded. */
struct chunk_place {
    uint32_t number;
    uint32_t begun; /* of the chunk's record */
    bool whole;     /* the lane's end is the table's: no order, no bounds */
    bool to_end;    /* it reaches the lane's end */
    bool staged;
    struct copy_range range; /* most_rows is the caller's to set */
};

/* Opens the next chunk: a snapshot is about to be taken. False when the lane is to be released:
 * it has ended, the table's copy begins anew, or what came of its last chunk is not known. */
bool handoff_open(struct table_handoff *handoff, uint32_t table, uint32_t lane,
                  struct chunk_place *place);
enum snapshot_verdict {
    SNAPSHOT_TAKEN,
    SNAPSHOT_TOO_OLD,  /* it lacks commits that the stream has brought, or the slot skips */
    SNAPSHOT_HAS_OPEN, /* transactions are open in it that must have ended before the copy */
    SNAPSHOT_BAD,
};
/* The chunk is read under this snapshot (pg_snapshot text). TOO_OLD, HAS_OPEN: the chunk is
 * closed again, and a newer one is needed. BAD: err is set. */
enum snapshot_verdict handoff_read(struct table_handoff *handoff, uint32_t table, uint32_t lane,
                                   const char *snapshot, struct err *err);
/* Waits until the stream has applied all that the chunk's snapshot sees, that is all up to lsn,
 * and no later than `until`. THERE: *stands_on is the position that the target then had (of the
 * chunk's record); a target that has crashed since may be behind it. STUCK: it cannot come
 * there, or the table is not to be copied now: the caller lets go of the chunk
 * (handoff_failed()). */
enum stream_verdict { STREAM_THERE, STREAM_BEHIND, STREAM_STUCK, STREAM_FAILED };
enum stream_verdict handoff_await(struct table_handoff *handoff, uint32_t table, uint32_t lane,
                                  lsn_t lsn, usec_t until, lsn_t *stands_on, struct err *err);
/* The chunk is committed at the target, or surely not. While that is not known neither is said,
 * and changes of its rows wait; so they do when loaded() fails.
 *
 * CHUNK_TO_ASK: what is kept at the target was compared since the chunk's snapshot was taken,
 * and perhaps the target that had committed it was gone by then: its record is to be looked
 * for, and loaded() or failed() to be said after that. */
enum loaded_verdict { CHUNK_IS_LOADED, CHUNK_TO_ASK, CHUNK_BAD };
enum loaded_verdict handoff_loaded(struct table_handoff *handoff, uint32_t table,
                                   const struct chunk_record *record, struct err *err);
void handoff_failed(struct table_handoff *handoff, uint32_t table, uint32_t lane);

/* True while the workers are to keep off the table: whoever waits at it for the stream waits in
 * vain, and lets go. */
bool handoff_is_barred(struct table_handoff *handoff, uint32_t table);

/* The copy has failed for good: the apply thread waits for it no longer. */
void handoff_give_up(struct table_handoff *handoff);

/* A chunk has met rows that are not the copy's: the table is not emptied to begin anew. */
void handoff_met_rows(struct table_handoff *handoff, uint32_t table);
/* The target has again and again refused a chunk for a duplicate key: the copy shall begin
 * anew, as one. False when it is one already, or rows that are not the copy's would go. */
bool handoff_begin_anew(struct table_handoff *handoff, uint32_t table);

#endif
