/* The handoff from copy to stream (handoff.h). */
#include "backfill/handoff_state.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

/* A waiting apply thread looks at the stop so often. */
#define STOP_TICK (100 * USEC_PER_MS)

/* ---- what its parts share ---- */

bool handoff_wait(struct table_handoff *h, struct err *err)
{
    struct timespec until = clock_timespec(clock_monotonic() + STOP_TICK);
    if (h->given_up)
        return err_set(err, ERR_RETRY, "the copy has failed");
    (void)pthread_cond_timedwait(&h->changed, &h->lock, &until);
    return !stop_requested(h->config.stop) ||
           err_set(err, ERR_STOPPED, "stopped while a chunk was being copied");
}

bool handoff_anew_pending(const struct copied_table *t, uint32_t table, struct err *err)
{
    if (t->anew == ANEW_NOT)
        return false;
    err_set(err, ERR_RETRY, "the copy of table %u must begin anew", table);
    return true;
}

void handoff_forget_places(struct copied_table *t)
{
    asked_keys_forget(&t->asked);
    t->forgets = copy_key_is_asked(t->key);
}

void handoff_tell_forgotten(struct table_handoff *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->tables[i].forgets)
            h->config.places->ops->forget(h->config.places, i);
        h->tables[i].forgets = false;
    }
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

static bool gathers(struct handoff *handoff, lsn_t upto)
{
    struct table_handoff *h = self(handoff);
    if (h->config.parents == NULL || atomic_load(&h->complete))
        return false;
    pthread_mutex_lock(&h->lock);
    bool more =
        h->at_door[DOOR_OPENING] > 0 || (h->at_door[DOOR_AWAITING] > 0 && upto < h->awaited);
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
            handoff_forget_places(t);
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
    handoff_tell_forgotten(h);
}

static bool is_settled(const struct handoff *handoff)
{
    return atomic_load(&self((struct handoff *)(uintptr_t)handoff)->settled);
}

/* ---- life cycle ---- */

bool handoff_create(const struct handoff_config *config, struct table_handoff **handoff,
                    struct err *err)
{
    static const struct handoff_ops OPS = {
        .resume = handoff_resume,
        .goes_on = handoff_goes_on,
        .still_kept = handoff_still_kept,
        .reached = reached,
        .gathers = gathers,
        .ended = ended,
        .passed_by = handoff_passed_by,
        .foresee = handoff_foresee,
        .foresees_more = handoff_foresees_more,
        .judge = handoff_judge,
        .judge_truncate = handoff_judge_truncate,
        .refused = handoff_refused,
        .read_again = handoff_read_again,
        .note = handoff_note,
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
        ok = handoff_load_table(&h->tables[i], &config->keys[i], &config->copies[i],
                                config->applied, err) ||
             err_wrap(err, "what is kept of table %zu's copy", i);
    }
    if (!ok) {
        handoff_destroy(h);
        return false;
    }
    stream_passed(&h->handoff, LSN_NONE,
                  LSN_NONE); /* complete at once when no copy was needed */
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
