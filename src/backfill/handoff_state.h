/* What the handoff's parts share: what is known of the copies, and the lock that guards it. For
 * them alone:
 *
 *     handoff.c          its life, and what the stream has passed
 *     handoff_judge.c    what becomes of a change: the apply thread
 *     handoff_renew.c    copies that begin anew, and a target that has lost some of one
 *     handoff_workers.c  what the copy's workers take and bring back */
#ifndef BACKFILL_HANDOFF_STATE_H
#define BACKFILL_HANDOFF_STATE_H

#include "backfill/asked_keys.h"
#include "backfill/handoff.h"
#include "backfill/lane.h"
#include "backfill/snapshot.h"
#include "backfill/unseen.h"
#include "base/buf.h"

#include <pthread.h>
#include <stdatomic.h>

enum anew { ANEW_NOT, ANEW_CHUNKED, ANEW_WHOLE };

struct copied_table {
    const struct copy_key *key;
    const struct copy_parents *parents; /* NULL: none */
    struct lanes lanes;
    struct snapshot
        covers;    /* what every chunk's snapshot must cover besides the slot's start */
    bool waits;    /* for another run */
    bool finished; /* no copy is needed, or all of it is there and that is kept */
    bool planning; /* a worker is at it */
    bool finishing;
    bool whole;         /* the next plan is to be one chunk */
    enum anew anew;     /* wanted; done in handoff_resume() */
    uint32_t begun;     /* how often it was done */
    lsn_t read_to;      /* rows were read again up to here */
    lsn_t behind;       /* what is committed past this came behind the last chunk; LSN_NONE: not
                         * all is there */
    atomic_bool passed; /* nothing is left to judge */
    struct asked_keys asked; /* owned by the apply thread */
    bool forgets;            /* the same: its places, before they are asked for again */
};

struct table_handoff {
    struct handoff handoff;
    struct handoff_config config; /* set at creation */
    size_t count;
    struct copied_table *tables;
    atomic_bool complete; /* all tables are passed */
    atomic_bool settled;  /* those that do not wait are */
    atomic_bool cut;      /* a table, since the apply thread foresaw the keys to come */
    struct buf key;       /* owned by the apply thread: of the image being judged */

    pthread_mutex_t lock; /* guards lanes, flags and the unseen set */
    pthread_cond_t changed;
    struct unseen unseen;
    uint64_t compares; /* how often what is kept at the target was looked at */
    lsn_t reached;     /* all up to here is applied */
    lsn_t committed; /* the target's position then, or before; less than reached if nothing was
                      * between them */
    uint32_t at_door[DOOR_AWAITING + 1]; /* lanes by door, those of DOOR_AWAY not */
    lsn_t awaited;                       /* the greatest position that a chunk has waited for */
    const struct batch *coming; /* owned by the apply thread: NULL, or what is being judged */
    bool given_up;
    bool reloading; /* the workers keep off every table */
};

static inline struct table_handoff *self(struct handoff *handoff)
{
    return (struct table_handoff *)(void *)handoff;
}

static inline void notify(struct table_handoff *h)
{
    pthread_cond_broadcast(&h->changed);
}

/* The workers are to keep off the table. */
static inline bool is_barred(const struct table_handoff *h, const struct copied_table *t)
{
    return h->reloading || t->anew != ANEW_NOT;
}

/* Lock held. The source tells the lane of a key. */
static inline bool is_asked(const struct copied_table *t)
{
    return t->lanes.count > 0 && !t->lanes.plan.whole && copy_key_is_asked(t->key);
}

/* Lock held, and released meanwhile. ERR_STOPPED when the stop came, ERR_RETRY when the copy
 * was given up. */
bool handoff_wait(struct table_handoff *h, struct err *err);
/* True, ERR_RETRY, when the table's copy must begin anew first. Lock held. */
bool handoff_anew_pending(const struct copied_table *t, uint32_t table, struct err *err);
/* What was told of the table's keys is of bounds that are no more. Lock held; the source's
 * session learns it by the next. */
void handoff_forget_places(struct copied_table *t);
/* The lock is not held: a session may be closed. */
void handoff_tell_forgotten(struct table_handoff *h);

/* handoff_judge.c: of the contract (pipeline/handoff.h). */
bool handoff_passed_by(const struct handoff *handoff, uint32_t table);
void handoff_foresee(struct handoff *handoff, uint32_t table, const struct relation *relation,
                     const struct row *image);
bool handoff_foresees_more(struct handoff *handoff);
bool handoff_judge(struct handoff *handoff, uint32_t table, xid_t xid,
                   const struct relation *relation, const struct row *image,
                   enum handoff_verdict *verdict, struct err *err);
bool handoff_judge_truncate(struct handoff *handoff, uint32_t table, xid_t xid,
                            enum handoff_verdict *verdict, struct err *err);
void handoff_read_again(struct handoff *handoff, uint32_t table, lsn_t seen);
const char *handoff_note(const struct handoff *handoff, struct arena *arena);

/* handoff_renew.c: of the contract, but for the last, which takes what is kept of a copy. */
bool handoff_resume(struct handoff *handoff, struct err *err);
bool handoff_goes_on(struct handoff *handoff, struct err *err);
bool handoff_still_kept(struct handoff *handoff, struct err *err);
bool handoff_refused(struct handoff *handoff, uint32_t table);
bool handoff_load_table(struct copied_table *t, const struct copy_key *key,
                        struct table_copy *copy, lsn_t applied, struct err *err);

#endif
