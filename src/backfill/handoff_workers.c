/* What the copy's workers take from the handoff, and bring back (handoff.h). */
#include "backfill/handoff_state.h"

bool handoff_is_barred(struct table_handoff *handoff, uint32_t table)
{
    pthread_mutex_lock(&handoff->lock);
    bool barred = is_barred(handoff, &handoff->tables[table]);
    pthread_mutex_unlock(&handoff->lock);
    return barred;
}

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

/* Lock held. */
static void stand_at(struct table_handoff *h, struct lane *lane, enum door door)
{
    h->at_door[lane->door] -= lane->door != DOOR_AWAY;
    h->at_door[door] += door != DOOR_AWAY;
    lane->door = door;
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
        if (!handoff_wait(h, err))
            return STREAM_FAILED;
    }
    lane->awaits = LSN_NONE;
    stand_at(h, lane, DOOR_AWAY);
    lane->at_stream = may_begin(h, t);
    return lane->at_stream ? STREAM_THERE : STREAM_STUCK;
}

enum stream_verdict handoff_await(struct table_handoff *handoff, uint32_t table, uint32_t lane,
                                  lsn_t lsn, usec_t until, lsn_t *stands_on, struct err *err)
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
