/* The handoff from copy to stream (handoff.h). */
#include "backfill/handoff.h"

#include "backfill/asked_keys.h"
#include "backfill/chunk_key.h"
#include "backfill/known.h"
#include "backfill/lane.h"
#include "backfill/unseen.h"
#include "base/log.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A waiting apply thread looks at the stop so often. */
#define STOP_TICK (100 * USEC_PER_MS)

enum anew { ANEW_NOT, ANEW_CHUNKED, ANEW_WHOLE };

struct copied_table {
    const struct copy_key *key;
    const struct copy_parents *parents; /* NULL: none */
    struct lanes lanes;
    struct snapshot covers; /* what every chunk's snapshot must cover besides the slot's start */
    bool waits;         /* for another run */
    bool finished;      /* no copy is needed, or all of it is there and that is kept */
    bool planning;      /* a worker is at it */
    bool finishing;
    bool whole;         /* the next plan is to be one chunk */
    enum anew anew;     /* wanted; done in resume() */
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
    atomic_bool cut; /* a table, since the apply thread foresaw the keys to come */
    struct buf key;  /* owned by the apply thread: of the image being judged */

    pthread_mutex_t lock; /* guards lanes, flags and the unseen set */
    pthread_cond_t changed;
    struct unseen unseen;
    uint64_t compares; /* how often what is kept at the target was looked at */
    lsn_t reached;     /* all up to here is applied */
    lsn_t committed;   /* the target's position then, or before; less than reached if nothing was
                        * between them */
    uint32_t at_door[DOOR_AWAITING + 1]; /* lanes by door, those of DOOR_AWAY not */
    lsn_t awaited; /* the greatest position that a chunk has waited for */
    const struct batch *coming; /* owned by the apply thread: NULL, or what is being judged */
    bool given_up;
    bool reloading; /* the workers keep off every table */
};

static struct table_handoff *self(struct handoff *handoff)
{
    return (struct table_handoff *)(void *)handoff;
}

static void notify(struct table_handoff *h)
{
    pthread_cond_broadcast(&h->changed);
}

/* Lock held. False when the stop came. */
static bool wait_for_change(struct table_handoff *h, struct err *err)
{
    struct timespec until = clock_timespec(clock_monotonic() + STOP_TICK);
    if (h->given_up)
        return err_set(err, ERR_RETRY, "the copy has failed");
    (void)pthread_cond_timedwait(&h->changed, &h->lock, &until);
    return !stop_requested(h->config.stop) ||
           err_set(err, ERR_STOPPED, "stopped while a chunk was being copied");
}

/* The workers are to keep off the table. */
static bool is_barred(const struct table_handoff *h, const struct copied_table *t)
{
    return h->reloading || t->anew != ANEW_NOT;
}

bool handoff_is_barred(struct table_handoff *handoff, uint32_t table)
{
    pthread_mutex_lock(&handoff->lock);
    bool barred = is_barred(handoff, &handoff->tables[table]);
    pthread_mutex_unlock(&handoff->lock);
    return barred;
}

static bool anew_pending(const struct copied_table *t, uint32_t table, struct err *err)
{
    if (t->anew == ANEW_NOT)
        return false;
    err_set(err, ERR_RETRY, "the copy of table %u must begin anew", table);
    return true;
}

/* ---- judging: the apply thread ---- */

static bool table_passed(const struct handoff *handoff, uint32_t table)
{
    const struct table_handoff *h = (const struct table_handoff *)(const void *)handoff;
    return table >= h->count || atomic_load(&h->tables[table].passed);
}

static bool not_identified(const struct relation *relation, const struct copy_key_column *column,
                           struct err *err)
{
    return err_set(err, ERR_DATA,
                   "%s.%s is being copied by its key, and a change came that %s does "
                   "not identify",
                   relation->schema, relation->name, column->name);
}

static bool encode_image(struct table_handoff *h, const struct copied_table *t,
                         const struct relation *relation, const struct row *image,
                         struct err *err)
{
    buf_clear(&h->key);
    for (uint16_t i = 0; i < t->key->count; i++) {
        int column = relation_column(relation, t->key->columns[i].name);
        if (column < 0 || column >= image->count || !relation->columns[column].key ||
            !chunk_key_append(&t->key->columns[i], &image->values[column], &h->key))
            return not_identified(relation, &t->key->columns[i], err);
    }
    return true;
}

/* Lock held. The source tells the lane of a key. */
static bool is_asked(const struct copied_table *t)
{
    return t->lanes.count > 0 && !t->lanes.plan.whole && copy_key_is_asked(t->key);
}

/* The values of the key's columns that bounds are of. How many there are before one that the image
 * lacks. */
static uint16_t take_key(const struct copied_table *t, const struct relation *relation,
                         const struct row *image, struct value values[KEY_PLACES_COLUMNS],
                         uint16_t columns)
{
    for (uint16_t i = 0; i < columns; i++) {
        int column = relation_column(relation, t->key->columns[i].name);
        if (column < 0 || column >= image->count || !relation->columns[column].key)
            return i;
        values[i] = image->values[column];
        if (values[i].kind != VALUE_TEXT && values[i].kind != VALUE_BINARY)
            return i;
    }
    return columns;
}

static void foresee(struct handoff *handoff, uint32_t table, const struct relation *relation,
                    const struct row *image)
{
    struct table_handoff *h = self(handoff);
    struct copied_table *t = &h->tables[table];
    struct value values[KEY_PLACES_COLUMNS];
    if (table_passed(handoff, table) || !copy_key_is_asked(t->key))
        return;
    pthread_mutex_lock(&h->lock);
    uint16_t columns = is_asked(t) ? t->lanes.bound_columns : 0;
    pthread_mutex_unlock(&h->lock);
    if (columns > 0 && take_key(t, relation, image, values, columns) == columns)
        asked_keys_expect(&t->asked, values, columns);
}

static bool foresees_more(struct handoff *handoff)
{
    struct table_handoff *h = self(handoff);
    return atomic_load(&h->cut) && atomic_exchange(&h->cut, false);
}

/* The lock is not held: the plan stays, for only this thread takes one away. */
static bool ask_place(struct table_handoff *h, uint32_t table, const struct relation *relation,
                      const struct row *image, struct err *err)
{
    struct copied_table *t = &h->tables[table];
    const struct key_division division = {
        .table = table,
        .columns = t->lanes.bound_columns,
        .key = t->key,
        .bound_count = t->lanes.plan.bound_count,
        .bounds = t->lanes.plan.bounds,
    };
    struct value values[KEY_PLACES_COLUMNS];
    uint32_t place = 0;
    uint16_t taken = take_key(t, relation, image, values, division.columns);
    if (taken < division.columns)
        return not_identified(relation, &t->key->columns[taken], err);
    if (!asked_keys_find(&t->asked, h->config.places, &division, values, &place, err))
        return err_wrap(err, "asking where a key of %s.%s lies", relation->schema,
                        relation->name);
    chunk_key_append_place(place, &h->key);
    return true;
}

/* What was told of the table's keys is of bounds that are no more. The source's session learns
 * that by tell_forgotten(). */
static void forget_places(struct copied_table *t)
{
    asked_keys_forget(&t->asked);
    t->forgets = copy_key_is_asked(t->key);
}

/* The lock is not held: a session may be closed. */
static void tell_forgotten(struct table_handoff *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->tables[i].forgets)
            h->config.places->ops->forget(h->config.places, i);
        h->tables[i].forgets = false;
    }
}

enum stand { STAND_COPIED, STAND_NEW, STAND_TO_COME, STAND_UNDECIDED };

/* Where a transaction stands towards the chunk that holds the key. */
static enum stand stand_of(struct copied_table *t, const struct buf *key, xid_t xid)
{
    if (t->lanes.count == 0)
        return STAND_TO_COME;
    const struct lane *lane = lanes_find(&t->lanes, key);
    const struct chunk *chunk = lane_find(lane, key);
    if (chunk != NULL)
        return chunk->judges && snapshot_sees_xid(&chunk->snapshot, xid) ? STAND_COPIED
                                                                         : STAND_NEW;
    switch (lane->state) {
    case LANE_REST:
        return STAND_TO_COME;
    case LANE_OPENING:
        return STAND_UNDECIDED;
    case LANE_READING:
        /* Seen or not, the chunk may fail, and then the next one must see it. */
        return snapshot_sees_xid(&lane->snapshot, xid) ? STAND_TO_COME : STAND_UNDECIDED;
    }
    return STAND_UNDECIDED;
}

/* True if no transaction that the chunk's snapshot sees is to come: S may be of a time just before
 * a commit that is already in the WAL. False also when that is not known. */
static bool sees_none_of(const struct snapshot *snapshot, const struct batch *coming, lsn_t upto)
{
    for (uint32_t i = 0; i < coming->transaction_count; i++)
        if (snapshot_sees_xid(snapshot, coming->transactions[i].xid))
            return false;
    return !coming->begins_open && coming->end_lsn >= upto;
}

/* Lock held. A change of this transaction is to wait for the lane's chunk. If that waits for the
 * stream, one of them goes first. True: what is before the transaction. */
static bool is_for_later(struct table_handoff *h, struct lane *lane, xid_t xid)
{
    if (lane->awaits == LSN_NONE || h->reached >= lane->awaits || h->coming == NULL)
        return false;
    if (h->coming->transactions[0].xid != xid)
        return true;
    if (sees_none_of(&lane->snapshot, h->coming, lane->awaits))
        lane->awaits = LSN_NONE;
    else
        lane->stuck = true;
    notify(h);
    return false;
}

/* Lock held. */
static bool judge_locked(struct table_handoff *h, uint32_t table, xid_t xid,
                         enum handoff_verdict *verdict, struct err *err)
{
    struct copied_table *t = &h->tables[table];
    for (;;) {
        if (anew_pending(t, table, err))
            return false;
        switch (stand_of(t, &h->key, xid)) {
        case STAND_COPIED:
            *verdict = HANDOFF_DROP;
            return true;
        case STAND_NEW:
            unseen_add(&h->unseen, xid); /* if the copy begins anew, it must hold this */
            *verdict = HANDOFF_APPLY;
            return true;
        case STAND_TO_COME:
            unseen_add(&h->unseen, xid);
            *verdict = HANDOFF_DROP;
            return true;
        case STAND_UNDECIDED:
            if (is_for_later(h, lanes_find(&t->lanes, &h->key), xid)) {
                *verdict = HANDOFF_LATER;
                return true;
            }
            if (!wait_for_change(h, err))
                return false;
        }
    }
}

/* Every chunk's snapshot sees it: so no key is needed, which it may not have. */
static bool is_covered(const struct copied_table *t, xid_t xid)
{
    return t->covers.xmax != 0 && snapshot_sees_xid(&t->covers, xid);
}

/* Lock held; released while the source is asked. The key stays empty where no lane is told from
 * another. */
static bool find_key(struct table_handoff *h, uint32_t table, const struct relation *relation,
                     const struct row *image, struct err *err)
{
    const struct copied_table *t = &h->tables[table];
    buf_clear(&h->key);
    if (t->lanes.count == 0 || t->lanes.plan.whole)
        return true;
    if (!is_asked(t))
        return encode_image(h, t, relation, image, err);
    pthread_mutex_unlock(&h->lock);
    bool ok = ask_place(h, table, relation, image, err);
    pthread_mutex_lock(&h->lock);
    return ok;
}

static bool judge(struct handoff *handoff, uint32_t table, xid_t xid,
                  const struct relation *relation, const struct row *image,
                  enum handoff_verdict *verdict, struct err *err)
{
    struct table_handoff *h = self(handoff);
    if (table_passed(handoff, table)) {
        *verdict = HANDOFF_APPLY;
        return true;
    }
    pthread_mutex_lock(&h->lock);
    if (is_covered(&h->tables[table], xid)) {
        *verdict = HANDOFF_DROP;
        pthread_mutex_unlock(&h->lock);
        return true;
    }
    bool ok = find_key(h, table, relation, image, err) &&
              judge_locked(h, table, xid, verdict, err);
    pthread_mutex_unlock(&h->lock);
    return ok;
}

struct truncation {
    bool spares;    /* some loaded chunk does not see it: its rows must go */
    bool keeps;     /* some chunk sees it or is to come */
    bool undecided; /* in flight under a snapshot that does not see it */
};

static bool is_undecided(const struct lane *lane, xid_t xid)
{
    return lane->state == LANE_OPENING ||
           (lane->state == LANE_READING && !snapshot_sees_xid(&lane->snapshot, xid));
}

static void weigh_lane(const struct lane *lane, xid_t xid, struct truncation *truncation)
{
    for (size_t i = 0; i < lane->chunk_count; i++) {
        const struct chunk *chunk = &lane->chunks[i];
        bool sees = chunk->judges && snapshot_sees_xid(&chunk->snapshot, xid);
        truncation->keeps |= sees;
        truncation->spares |= !sees;
    }
    truncation->keeps |= !lane->ended;
    truncation->undecided |= is_undecided(lane, xid);
}

static struct truncation weigh(const struct lanes *lanes, xid_t xid)
{
    struct truncation truncation = {0};
    for (size_t i = 0; i < lanes->count; i++)
        weigh_lane(&lanes->items[i], xid, &truncation);
    return truncation;
}

/* Lock held. */
static bool truncate_is_for_later(struct table_handoff *h, struct lanes *lanes, xid_t xid)
{
    bool later = false;
    for (size_t i = 0; i < lanes->count; i++)
        if (is_undecided(&lanes->items[i], xid))
            later |= is_for_later(h, &lanes->items[i], xid);
    return later;
}

/* Lock held. The target can only be emptied as a whole: where rows must go and others stay or
 * are to come, the copy begins anew. */
static bool truncate_locked(struct table_handoff *h, uint32_t table, xid_t xid,
                            enum handoff_verdict *verdict, struct err *err)
{
    struct copied_table *t = &h->tables[table];
    for (;;) {
        if (anew_pending(t, table, err))
            return false;
        struct truncation truncation = weigh(&t->lanes, xid);
        if (truncation.undecided) {
            if (truncate_is_for_later(h, &t->lanes, xid)) {
                *verdict = HANDOFF_LATER;
                return true;
            }
            if (!wait_for_change(h, err))
                return false;
            continue;
        }
        unseen_add(&h->unseen, xid);
        *verdict = truncation.spares ? HANDOFF_APPLY : HANDOFF_DROP;
        if (!truncation.spares || !truncation.keeps)
            return true;
        t->anew = ANEW_CHUNKED;
    }
}

static bool judge_truncate(struct handoff *handoff, uint32_t table, xid_t xid,
                           enum handoff_verdict *verdict, struct err *err)
{
    struct table_handoff *h = self(handoff);
    *verdict = HANDOFF_APPLY;
    if (table_passed(handoff, table))
        return true;
    pthread_mutex_lock(&h->lock);
    bool ok = truncate_locked(h, table, xid, verdict, err);
    pthread_mutex_unlock(&h->lock);
    return ok;
}

/* A row that is gone by the time it is read was moved or deleted by a change that follows; until
 * the stream has passed that, rows that move are written whole. */
static void read_again(struct handoff *handoff, uint32_t table, lsn_t seen)
{
    struct table_handoff *h = self(handoff);
    pthread_mutex_lock(&h->lock);
    if (seen > h->tables[table].read_to)
        h->tables[table].read_to = seen;
    pthread_mutex_unlock(&h->lock);
}

static const char *note(const struct handoff *handoff, struct arena *arena)
{
    struct table_handoff *h = self((struct handoff *)(uintptr_t)handoff);
    struct buf text = {0};
    if (atomic_load(&h->complete))
        return "";
    pthread_mutex_lock(&h->lock);
    unseen_append_text(&h->unseen, &text);
    pthread_mutex_unlock(&h->lock);
    const char *copy = arena_copy(arena, buf_text(&text), text.size + 1);
    buf_free(&text);
    return copy;
}

/* ---- passing ---- */

static void reached(struct handoff *handoff, lsn_t applied, const struct batch *coming)
{
    struct table_handoff *h = self(handoff);
    if (h->config.parents == NULL || atomic_load(&h->complete))
        return;
    pthread_mutex_lock(&h->lock);
    if (applied != LSN_NONE)
        h->reached = applied;
    if (applied != LSN_NONE && coming == NULL)
        h->committed = applied;
    h->coming = coming;
    notify(h);
    pthread_mutex_unlock(&h->lock);
}

/* Lock held. */
static void stand_at(struct table_handoff *h, struct lane *lane, enum door door)
{
    h->at_door[lane->door] -= lane->door != DOOR_AWAY;
    h->at_door[door] += door != DOOR_AWAY;
    lane->door = door;
}

static bool gathers(struct handoff *handoff, lsn_t upto)
{
    struct table_handoff *h = self(handoff);
    if (h->config.parents == NULL || atomic_load(&h->complete))
        return false;
    pthread_mutex_lock(&h->lock);
    bool more = h->at_door[DOOR_OPENING] > 0 ||
                (h->at_door[DOOR_AWAITING] > 0 && upto < h->awaited);
    pthread_mutex_unlock(&h->lock);
    return more;
}

/* The stream may go back, and no chunk is to be ahead of it. */
static void ended(struct handoff *handoff)
{
    struct table_handoff *h = self(handoff);
    pthread_mutex_lock(&h->lock);
    h->reached = h->committed = LSN_NONE;
    h->coming = NULL;
    pthread_mutex_unlock(&h->lock);
}

/* Lock held. */
static bool is_passed(struct copied_table *t, lsn_t durable, lsn_t applied)
{
    bool there = lanes_pass(&t->lanes, durable) && t->finished && t->anew == ANEW_NOT;
    if (!there || t->behind == LSN_NONE) {
        t->behind = there ? applied : LSN_NONE;
        return false;
    }
    return durable > t->behind && durable >= t->read_to;
}

static void stream_passed(struct handoff *handoff, lsn_t durable, lsn_t applied)
{
    struct table_handoff *h = self(handoff);
    bool all = true;
    bool settled = true;
    if (atomic_load(&h->complete))
        return;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->count; i++) {
        struct copied_table *t = &h->tables[i];
        if (atomic_load(&t->passed))
            continue;
        if (is_passed(t, durable, applied)) {
            atomic_store(&t->passed, true);
            forget_places(t);
        }
        all = all && atomic_load(&t->passed);
        settled = settled && (t->waits || atomic_load(&t->passed));
    }
    atomic_store(&h->settled, settled);
    if (all) {
        atomic_store(&h->complete, true);
        log_event(LOG_INFO, "backfill complete", log_lsn("durable", durable));
    }
    pthread_mutex_unlock(&h->lock);
    tell_forgotten(h);
}

static bool is_settled(const struct handoff *handoff)
{
    return atomic_load(&self((struct handoff *)(uintptr_t)handoff)->settled);
}

/* ---- beginning anew ---- */

static bool is_parent_of(const struct copied_table *child, uint32_t table)
{
    for (size_t i = 0; child->parents != NULL && i < child->parents->count; i++)
        if (child->parents->tables[i] == table)
            return true;
    return false;
}

static bool any_loads(const struct lanes *lanes)
{
    for (size_t i = 0; i < lanes->count; i++)
        if (lanes->items[i].loaded > 0 || lanes->items[i].at_stream)
            return true;
    return false;
}

/* Lock held. Then the stream has passed all snapshots of this one. */
static bool has_children(const struct table_handoff *h, uint32_t table)
{
    for (size_t i = 0; i < h->count; i++)
        if (is_parent_of(&h->tables[i], table) && any_loads(&h->tables[i].lanes))
            return true;
    return false;
}

/* Lock held. Chunks of one time cannot clash, and rows that the application wrote must not go, nor
 * those that others refer to. */
static bool want_whole(struct table_handoff *h, uint32_t table)
{
    struct copied_table *t = &h->tables[table];
    if (t->anew != ANEW_NOT)
        return true;
    if (atomic_load(&t->passed) || t->lanes.count == 0 || t->lanes.plan.whole ||
        t->lanes.plan.staged || has_children(h, table))
        return false;
    t->anew = ANEW_WHOLE;
    notify(h);
    return true;
}

void handoff_met_rows(struct table_handoff *handoff, uint32_t table)
{
    pthread_mutex_lock(&handoff->lock);
    handoff->tables[table].lanes.plan.staged = true;
    pthread_mutex_unlock(&handoff->lock);
}

bool handoff_begin_anew(struct table_handoff *handoff, uint32_t table)
{
    pthread_mutex_lock(&handoff->lock);
    bool wanted = want_whole(handoff, table);
    pthread_mutex_unlock(&handoff->lock);
    return wanted;
}

static bool refused(struct handoff *handoff, uint32_t table)
{
    return table < self(handoff)->count && handoff_begin_anew(self(handoff), table);
}

/* A table that no change comes for must not wait for one. */
static bool goes_on(struct handoff *handoff, struct err *err)
{
    struct table_handoff *h = self(handoff);
    bool pending = false;
    if (atomic_load(&h->complete))
        return true;
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; !pending && i < h->count; i++)
        pending = anew_pending(&h->tables[i], i, err);
    pthread_mutex_unlock(&h->lock);
    return !pending;
}

static bool is_at_work(const struct copied_table *t)
{
    return t->planning || t->finishing || lanes_any_claimed(&t->lanes);
}

/* ---- a target that has lost chunks ---- */

/* A copy by another key than the table has now cannot be judged or gone on with. One that the
 * stream is past has nothing left to judge. */
static bool check_key(struct copied_table *t, const struct table_copy *copy, lsn_t applied,
                      struct err *err)
{
    lsn_t last = LSN_NONE;
    char *key = copy_key_text(t->key);
    bool same = copy->plan.key == NULL || copy->plan.whole || strcmp(copy->plan.key, key) == 0;
    for (size_t i = 0; i < copy->chunk_count; i++)
        last = copy->chunks[i].lsn > last ? copy->chunks[i].lsn : last;
    atomic_store(&t->passed, !same && copy->finished && last <= applied);
    if (!same && !atomic_load(&t->passed)) {
        err_set(err, ERR_CONFIG, "the copy was begun by the key (%s), and the key is (%s) now",
                copy->plan.key, key);
        err_remedy(err, "restore the replica identity (or the library of its collation), or copy "
                        "the table again: run --redo");
    }
    free(key);
    return same || atomic_load(&t->passed);
}

/* Takes what is known of the table's copy. */
static bool load_table(struct copied_table *t, const struct copy_key *key,
                       struct table_copy *copy, lsn_t applied, struct err *err)
{
    t->key = key;
    t->finished = !copy->needed;
    t->whole = copy->plan.whole;
    t->begun = copy->begun;
    t->behind = LSN_NONE;
    atomic_store(&t->passed, !copy->needed);
    snapshot_free(&t->covers);
    if (copy->covers != NULL && !snapshot_parse(copy->covers, &t->covers, err))
        return false;
    if (!copy->needed || !copy->plan.made)
        return true;
    if (!check_key(t, copy, applied, err))
        return false;
    if (atomic_load(&t->passed)) {
        t->finished = true;
        return true;
    }
    if (!lanes_plan(&t->lanes, key, &copy->plan, err))
        return false;
    for (size_t i = 0; i < copy->chunk_count; i++)
        if (!lanes_add(&t->lanes, &copy->chunks[i], err))
            return false;
    /* It may have been said of a target that has lost chunks. */
    t->finished = copy->finished && lanes_all_ended(&t->lanes);
    return true;
}

static void free_copies(struct table_handoff *h, struct table_copy *copies)
{
    for (size_t i = 0; i < h->count; i++)
        table_copy_free(&copies[i]);
    free(copies);
}

/* The lock is released meanwhile. NULL with the error. */
static struct table_copy *load_kept(struct table_handoff *h, struct err *err)
{
    struct table_copy *copies = mem_zero(h->count + 1, sizeof *copies);
    pthread_mutex_unlock(&h->lock);
    bool ok = h->config.load(h->config.context, copies, err);
    pthread_mutex_lock(&h->lock);
    if (ok)
        return copies;
    free_copies(h, copies);
    return NULL;
}

/* Lock held. Everything is taken from what is kept, with no worker at any table. */
static bool reload(struct table_handoff *h, struct err *err)
{
    bool ok = true;
    h->reloading = true;
    for (size_t i = 0; ok && i < h->count; i++)
        while (ok && is_at_work(&h->tables[i]))
            ok = wait_for_change(h, err);
    struct table_copy *kept = ok ? load_kept(h, err) : NULL;
    for (size_t i = 0; kept != NULL && ok && i < h->count; i++) {
        struct copied_table *t = &h->tables[i];
        if (atomic_load(&t->passed))
            continue;
        lanes_free(&t->lanes);
        forget_places(t);
        h->config.reloaded(h->config.context, (uint32_t)i, &kept[i]);
        ok = load_table(t, t->key, &kept[i], LSN_NONE, err);
    }
    if (kept != NULL)
        free_copies(h, kept);
    h->reloading = false;
    notify(h);
    return ok && kept != NULL;
}

/* Lock held; released while the target is asked. False when it does not answer. */
static bool compare_kept(struct table_handoff *h, bool *lost, struct err *err)
{
    struct known *known = mem_zero(h->count + 1, sizeof *known);
    *lost = false;
    h->compares++;
    for (size_t i = 0; i < h->count; i++)
        known[i] = known_copy(h->tables[i].begun, h->tables[i].finished, &h->tables[i].lanes);
    struct table_copy *kept = load_kept(h, err);
    for (size_t i = 0; kept != NULL && i < h->count; i++)
        *lost = *lost || (!atomic_load(&h->tables[i].passed) &&
                          known_is_lost(&known[i], &kept[i]));
    for (size_t i = 0; i < h->count; i++)
        known_free(&known[i]);
    free(known);
    if (kept == NULL)
        return false;
    free_copies(h, kept);
    return true;
}

/* The batch in memory was judged by chunks that the target may not have any more. */
static bool still_kept(struct handoff *handoff, struct err *err)
{
    struct table_handoff *h = self(handoff);
    bool lost = false;
    if (atomic_load(&h->complete))
        return true;
    pthread_mutex_lock(&h->lock);
    bool ok = compare_kept(h, &lost, err);
    pthread_mutex_unlock(&h->lock);
    return ok && (!lost || err_set(err, ERR_RETRY, "the target is back without chunks that it "
                                                   "had committed"));
}

/* Lock held. */
static bool check_kept(struct table_handoff *h, struct err *err)
{
    bool lost = false;
    if (!compare_kept(h, &lost, err))
        return false;
    if (!lost)
        return true;
    log_event(LOG_WARN, "the target is back without chunks that it had committed",
              log_text("then", "they are copied again"));
    return reload(h, err);
}

/* Lock held; released while the target is emptied: the workers keep off a table whose copy is
 * to begin anew. */
static bool begin_anew(struct table_handoff *h, uint32_t table, struct err *err)
{
    struct copied_table *t = &h->tables[table];
    bool whole = t->anew == ANEW_WHOLE;
    while (is_at_work(t))
        if (!wait_for_change(h, err))
            return false;
    pthread_mutex_unlock(&h->lock);
    bool ok = h->config.reset(h->config.context, table, whole, err);
    pthread_mutex_lock(&h->lock);
    struct table_copy *kept = ok ? load_kept(h, err) : NULL;
    if (kept == NULL)
        return false;
    log_event(LOG_WARN, "the copy of a table begins anew", log_uint("table", table),
              log_text("as", whole ? "one chunk" : "chunks"));
    lanes_free(&t->lanes);
    forget_places(t);
    t->finished = false;
    t->whole = whole;
    t->anew = ANEW_NOT;
    t->begun = kept[table].begun; /* a reset whose reply was lost counts too */
    free_copies(h, kept);
    notify(h);
    return true;
}

static bool resume(struct handoff *handoff, struct err *err)
{
    struct table_handoff *h = self(handoff);
    if (atomic_load(&h->complete))
        return true;
    pthread_mutex_lock(&h->lock);
    bool ok = check_kept(h, err);
    for (uint32_t i = 0; ok && i < h->count; i++)
        if (h->tables[i].anew != ANEW_NOT)
            ok = begin_anew(h, i, err);
    pthread_mutex_unlock(&h->lock);
    tell_forgotten(h);
    return ok;
}

/* ---- the copy's workers ---- */

static enum claim claim_lane(struct lanes *lanes, uint32_t *found)
{
    bool all_ended = true;
    for (uint32_t i = 0; i < lanes->count; i++) {
        struct lane *lane = &lanes->items[i];
        all_ended = all_ended && lane->ended;
        if (lane->ended || lane->claimed)
            continue;
        lane->claimed = true;
        *found = i;
        return CLAIM_LANE;
    }
    return all_ended && !lanes_any_claimed(lanes) ? CLAIM_LAST : CLAIM_BUSY;
}

/* Lock held. */
static bool is_loaded(const struct copied_table *t)
{
    return t->anew == ANEW_NOT && (t->finished || lanes_all_ended(&t->lanes));
}

/* Lock held. */
static bool may_begin(const struct table_handoff *h, const struct copied_table *t)
{
    for (size_t i = 0; t->parents != NULL && i < t->parents->count; i++)
        if (!is_loaded(&h->tables[t->parents->tables[i]]))
            return false;
    return !is_barred(h, t);
}

/* Lock held. */
static enum claim claim_locked(const struct table_handoff *h, struct copied_table *t,
                               uint32_t *lane)
{
    if (is_barred(h, t) || t->planning || t->finishing)
        return CLAIM_BUSY;
    if (t->finished)
        return CLAIM_DONE;
    if (!may_begin(h, t))
        return CLAIM_BUSY;
    if (t->lanes.count == 0) {
        t->planning = true;
        return CLAIM_PLAN;
    }
    enum claim claim = claim_lane(&t->lanes, lane);
    t->finishing = claim == CLAIM_LAST;
    return claim;
}

enum claim handoff_claim(struct table_handoff *handoff, uint32_t table, uint32_t *lane)
{
    pthread_mutex_lock(&handoff->lock);
    enum claim claim = claim_locked(handoff, &handoff->tables[table], lane);
    pthread_mutex_unlock(&handoff->lock);
    return claim;
}

void handoff_release(struct table_handoff *handoff, uint32_t table, enum claim claim,
                     uint32_t lane)
{
    struct copied_table *t = &handoff->tables[table];
    pthread_mutex_lock(&handoff->lock);
    if (claim == CLAIM_LANE)
        t->lanes.items[lane].claimed = false;
    else if (claim == CLAIM_PLAN)
        t->planning = false;
    else if (claim == CLAIM_LAST)
        t->finishing = false;
    notify(handoff);
    pthread_mutex_unlock(&handoff->lock);
}

lsn_t handoff_last(struct table_handoff *handoff, uint32_t table)
{
    pthread_mutex_lock(&handoff->lock);
    lsn_t last = handoff->tables[table].lanes.last;
    pthread_mutex_unlock(&handoff->lock);
    return last;
}

bool handoff_must_be_whole(struct table_handoff *handoff, uint32_t table)
{
    pthread_mutex_lock(&handoff->lock);
    bool whole = handoff->tables[table].whole;
    pthread_mutex_unlock(&handoff->lock);
    return whole;
}

bool handoff_planned(struct table_handoff *handoff, uint32_t table, struct copy_plan *plan,
                     struct err *err)
{
    struct copied_table *t = &handoff->tables[table];
    pthread_mutex_lock(&handoff->lock);
    bool ok = lanes_plan(&t->lanes, t->key, plan, err);
    t->planning = false;
    if (is_asked(t))
        atomic_store(&handoff->cut, true);
    notify(handoff);
    pthread_mutex_unlock(&handoff->lock);
    return ok;
}

void handoff_finished(struct table_handoff *handoff, uint32_t table)
{
    struct copied_table *t = &handoff->tables[table];
    pthread_mutex_lock(&handoff->lock);
    t->finished = true;
    t->finishing = false;
    notify(handoff);
    pthread_mutex_unlock(&handoff->lock);
}

static void describe_place(struct lanes *lanes, uint32_t index, struct chunk_place *place)
{
    const struct lane *lane = &lanes->items[index];
    *place = (struct chunk_place){.number = lane->loaded,
                                  .whole = lanes->plan.whole,
                                  .to_end = lanes->plan.whole || copy_key_is_asked(lanes->key),
                                  .staged = lanes->plan.staged};
    place->range.after = (const char *const *)lane->after;
    if (lane->after == NULL && index > 0)
        place->range.from = (const char *const *)lanes->plan.bounds[index - 1];
    if (index < lanes->plan.bound_count)
        place->range.below = (const char *const *)lanes->plan.bounds[index];
}

bool handoff_open(struct table_handoff *handoff, uint32_t table, uint32_t lane,
                  struct chunk_place *place)
{
    struct copied_table *t = &handoff->tables[table];
    pthread_mutex_lock(&handoff->lock);
    const struct lane *l = &t->lanes.items[lane];
    bool open = may_begin(handoff, t) && !l->ended && l->state == LANE_REST;
    if (open) {
        t->lanes.items[lane].state = LANE_OPENING;
        if (t->parents != NULL && t->parents->count > 0)
            stand_at(handoff, &t->lanes.items[lane], DOOR_OPENING);
        unseen_copy(&handoff->unseen, &t->lanes.items[lane].required);
        describe_place(&t->lanes, lane, place);
        place->begun = t->begun;
    }
    pthread_mutex_unlock(&handoff->lock);
    return open;
}

/* Lock held. */
static void close_chunk(struct table_handoff *h, struct lane *lane)
{
    lane->state = LANE_REST;
    lane->awaits = LSN_NONE;
    lane->stuck = lane->at_stream = false;
    stand_at(h, lane, DOOR_AWAY);
    snapshot_free(&lane->snapshot);
    unseen_clear(&lane->required);
    notify(h);
}

static enum snapshot_verdict weigh_snapshot(const struct table_handoff *h,
                                            const struct copied_table *t,
                                            const struct lane *lane,
                                            const struct snapshot *snapshot)
{
    if (!snapshot_covers(snapshot, &t->covers))
        return SNAPSHOT_HAS_OPEN;
    return snapshot_covers(snapshot, h->config.initial) &&
                   unseen_is_covered(&lane->required, snapshot)
               ? SNAPSHOT_TAKEN
               : SNAPSHOT_TOO_OLD;
}

enum snapshot_verdict handoff_read(struct table_handoff *handoff, uint32_t table, uint32_t lane,
                                   const char *snapshot, struct err *err)
{
    const struct copied_table *t = &handoff->tables[table];
    struct lane *l = &t->lanes.items[lane];
    struct snapshot parsed;
    if (!snapshot_parse(snapshot, &parsed, err))
        return SNAPSHOT_BAD;
    pthread_mutex_lock(&handoff->lock);
    enum snapshot_verdict verdict = weigh_snapshot(handoff, t, l, &parsed);
    if (verdict == SNAPSHOT_TAKEN) {
        l->snapshot = parsed;
        l->compares = handoff->compares;
        l->state = LANE_READING;
        notify(handoff);
    } else {
        snapshot_free(&parsed);
        close_chunk(handoff, l);
    }
    pthread_mutex_unlock(&handoff->lock);
    return verdict;
}

/* Lock held. */
static enum stream_verdict await_locked(struct table_handoff *h, const struct copied_table *t,
                                        struct lane *lane, usec_t until, struct err *err)
{
    while (lane->awaits != LSN_NONE && h->reached < lane->awaits) {
        if (lane->stuck || !may_begin(h, t))
            return STREAM_STUCK;
        if (clock_monotonic() >= until)
            return STREAM_BEHIND;
        if (!wait_for_change(h, err))
            return STREAM_FAILED;
    }
    lane->awaits = LSN_NONE;
    stand_at(h, lane, DOOR_AWAY);
    lane->at_stream = may_begin(h, t);
    return lane->at_stream ? STREAM_THERE : STREAM_STUCK;
}

enum stream_verdict handoff_await(struct table_handoff *handoff, uint32_t table, uint32_t lane,
                                  lsn_t lsn, usec_t until, lsn_t *stands_on,
                                  struct err *err)
{
    struct copied_table *t = &handoff->tables[table];
    pthread_mutex_lock(&handoff->lock);
    t->lanes.items[lane].awaits = lsn;
    stand_at(handoff, &t->lanes.items[lane], DOOR_AWAITING);
    handoff->awaited = lsn > handoff->awaited ? lsn : handoff->awaited;
    notify(handoff); /* a change may wait for it already */
    enum stream_verdict verdict = await_locked(handoff, t, &t->lanes.items[lane], until, err);
    if (verdict == STREAM_THERE)
        *stands_on = handoff->committed;
    pthread_mutex_unlock(&handoff->lock);
    return verdict;
}

/* Lock held. */
static enum loaded_verdict loaded_locked(struct table_handoff *h, struct lanes *lanes,
                                         const struct chunk_record *record, struct err *err)
{
    struct lane *lane = &lanes->items[record->lane];
    if (lane->compares != h->compares) {
        lane->compares = h->compares;
        return CHUNK_TO_ASK;
    }
    if (!lanes_add(lanes, record, err))
        return CHUNK_BAD;
    lanes->plan.staged = lanes->plan.staged || record->met > 0;
    unseen_prune(&h->unseen, &lane->snapshot);
    close_chunk(h, lane);
    return CHUNK_IS_LOADED;
}

enum loaded_verdict handoff_loaded(struct table_handoff *handoff, uint32_t table,
                                   const struct chunk_record *record, struct err *err)
{
    pthread_mutex_lock(&handoff->lock);
    enum loaded_verdict verdict =
        loaded_locked(handoff, &handoff->tables[table].lanes, record, err);
    pthread_mutex_unlock(&handoff->lock);
    return verdict;
}

void handoff_failed(struct table_handoff *handoff, uint32_t table, uint32_t lane)
{
    pthread_mutex_lock(&handoff->lock);
    close_chunk(handoff, &handoff->tables[table].lanes.items[lane]);
    pthread_mutex_unlock(&handoff->lock);
}

void handoff_give_up(struct table_handoff *handoff)
{
    pthread_mutex_lock(&handoff->lock);
    handoff->given_up = true;
    notify(handoff);
    pthread_mutex_unlock(&handoff->lock);
}

/* ---- life cycle ---- */

bool handoff_create(const struct handoff_config *config, struct table_handoff **handoff,
                    struct err *err)
{
    static const struct handoff_ops OPS = {
        .resume = resume,
        .goes_on = goes_on,
        .still_kept = still_kept,
        .reached = reached,
        .gathers = gathers,
        .ended = ended,
        .passed_by = table_passed,
        .foresee = foresee,
        .foresees_more = foresees_more,
        .judge = judge,
        .judge_truncate = judge_truncate,
        .refused = refused,
        .read_again = read_again,
        .note = note,
        .passed = stream_passed,
        .complete = is_settled,
    };
    struct table_handoff *h = mem_zero(1, sizeof *h);
    h->handoff.ops = &OPS;
    h->config = *config;
    h->count = config->table_count;
    h->tables = mem_zero(h->count + 1, sizeof *h->tables);
    pthread_mutex_init(&h->lock, NULL);
    clock_condition_init(&h->changed);
    bool ok = unseen_parse(config->note, &h->unseen, err);
    for (size_t i = 0; ok && i < h->count; i++) {
        h->tables[i].read_to = config->started_at;
        h->tables[i].waits = config->waits != NULL && config->waits[i];
        h->tables[i].parents = config->parents == NULL ? NULL : &config->parents[i];
        ok = load_table(&h->tables[i], &config->keys[i], &config->copies[i], config->applied,
                        err) ||
             err_wrap(err, "what is kept of table %zu's copy", i);
    }
    if (!ok) {
        handoff_destroy(h);
        return false;
    }
    stream_passed(&h->handoff, LSN_NONE, LSN_NONE); /* complete at once when no copy was needed */
    *handoff = h;
    return true;
}

void handoff_destroy(struct table_handoff *handoff)
{
    if (handoff == NULL)
        return;
    for (size_t i = 0; i < handoff->count; i++) {
        lanes_free(&handoff->tables[i].lanes);
        asked_keys_forget(&handoff->tables[i].asked);
        snapshot_free(&handoff->tables[i].covers);
    }
    unseen_free(&handoff->unseen);
    buf_free(&handoff->key);
    pthread_cond_destroy(&handoff->changed);
    pthread_mutex_destroy(&handoff->lock);
    free(handoff->tables);
    free(handoff);
}

struct handoff *handoff_contract(struct table_handoff *handoff)
{
    return &handoff->handoff;
}

bool handoff_is_complete(const struct table_handoff *handoff)
{
    return atomic_load(&((struct table_handoff *)(uintptr_t)handoff)->complete);
}

bool handoff_is_settled(const struct table_handoff *handoff)
{
    return is_settled(&handoff->handoff);
}

bool handoff_seen(struct table_handoff *handoff, const char *snapshot, struct err *err)
{
    struct snapshot parsed;
    if (!snapshot_parse(snapshot, &parsed, err))
        return false;
    pthread_mutex_lock(&handoff->lock);
    unseen_prune(&handoff->unseen, &parsed);
    pthread_mutex_unlock(&handoff->lock);
    snapshot_free(&parsed);
    return true;
}

bool handoff_all_copied(struct table_handoff *handoff)
{
    bool all = true;
    pthread_mutex_lock(&handoff->lock);
    for (size_t i = 0; i < handoff->count; i++) {
        const struct copied_table *t = &handoff->tables[i];
        all = all && (t->waits || (t->finished && t->anew == ANEW_NOT));
    }
    pthread_mutex_unlock(&handoff->lock);
    return all;
}

int64_t handoff_expected_rows(struct table_handoff *handoff, uint32_t table, int64_t expected)
{
    pthread_mutex_lock(&handoff->lock);
    int64_t rows = lanes_expected_rows(&handoff->tables[table].lanes, expected);
    pthread_mutex_unlock(&handoff->lock);
    return rows;
}
