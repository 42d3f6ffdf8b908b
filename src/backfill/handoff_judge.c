/* What becomes of a streamed change while its table is copied (handoff.h). */
#include "backfill/handoff_state.h"

#include "backfill/chunk_key.h"

bool handoff_passed_by(const struct handoff *handoff, uint32_t table)
{
    const struct table_handoff *h = (const struct table_handoff *)(const void *)handoff;
    return table >= h->count || atomic_load(&h->tables[table].passed);
}

static bool not_identified(const struct relation *relation,
                           const struct copy_key_column *column, struct err *err)
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

/* The values of the key's columns that bounds are of. How many there are before one that the
 * image lacks. */
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

void handoff_foresee(struct handoff *handoff, uint32_t table, const struct relation *relation,
                     const struct row *image)
{
    struct table_handoff *h = self(handoff);
    struct copied_table *t = &h->tables[table];
    struct value values[KEY_PLACES_COLUMNS];
    if (handoff_passed_by(handoff, table) || !copy_key_is_asked(t->key))
        return;
    pthread_mutex_lock(&h->lock);
    uint16_t columns = is_asked(t) ? t->lanes.bound_columns : 0;
    pthread_mutex_unlock(&h->lock);
    if (columns > 0 && take_key(t, relation, image, values, columns) == columns)
        asked_keys_expect(&t->asked, values, columns);
}

bool handoff_foresees_more(struct handoff *handoff)
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

/* True if no transaction that the chunk's snapshot sees is to come: S may be of a time just
 * before a commit that is already in the WAL. False also when that is not known. */
static bool sees_none_of(const struct snapshot *snapshot, const struct batch *coming,
                         lsn_t upto)
{
    for (uint32_t i = 0; i < coming->transaction_count; i++)
        if (snapshot_sees_xid(snapshot, coming->transactions[i].xid))
            return false;
    return !coming->begins_open && coming->end_lsn >= upto;
}

/* Lock held. A change of this transaction is to wait for the lane's chunk. If that waits for
 * the stream, one of them goes first. True: what is before the transaction. */
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
        if (handoff_anew_pending(t, table, err))
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
            if (!handoff_wait(h, err))
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

bool handoff_judge(struct handoff *handoff, uint32_t table, xid_t xid,
                   const struct relation *relation, const struct row *image,
                   enum handoff_verdict *verdict, struct err *err)
{
    struct table_handoff *h = self(handoff);
    if (handoff_passed_by(handoff, table)) {
        *verdict = HANDOFF_APPLY;
        return true;
    }
    pthread_mutex_lock(&h->lock);
    if (is_covered(&h->tables[table], xid)) {
        *verdict = HANDOFF_DROP;
        pthread_mutex_unlock(&h->lock);
        return true;
    }
    bool ok =
        find_key(h, table, relation, image, err) && judge_locked(h, table, xid, verdict, err);
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
        if (handoff_anew_pending(t, table, err))
            return false;
        struct truncation truncation = weigh(&t->lanes, xid);
        if (truncation.undecided) {
            if (truncate_is_for_later(h, &t->lanes, xid)) {
                *verdict = HANDOFF_LATER;
                return true;
            }
            if (!handoff_wait(h, err))
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

bool handoff_judge_truncate(struct handoff *handoff, uint32_t table, xid_t xid,
                            enum handoff_verdict *verdict, struct err *err)
{
    struct table_handoff *h = self(handoff);
    *verdict = HANDOFF_APPLY;
    if (handoff_passed_by(handoff, table))
        return true;
    pthread_mutex_lock(&h->lock);
    bool ok = truncate_locked(h, table, xid, verdict, err);
    pthread_mutex_unlock(&h->lock);
    return ok;
}

/* A row that is gone by the time it is read was moved or deleted by a change that follows;
 * until the stream has passed that, rows that move are written whole. */
void handoff_read_again(struct handoff *handoff, uint32_t table, lsn_t seen)
{
    struct table_handoff *h = self(handoff);
    pthread_mutex_lock(&h->lock);
    if (seen > h->tables[table].read_to)
        h->tables[table].read_to = seen;
    pthread_mutex_unlock(&h->lock);
}

const char *handoff_note(const struct handoff *handoff, struct arena *arena)
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
