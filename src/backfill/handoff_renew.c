/* Copies that begin anew, and what a target has lost of one (handoff.h). */
#include "backfill/handoff_state.h"

#include "backfill/known.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

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

/* Lock held. Chunks of one time cannot clash, and rows that the application wrote must not go,
 * nor those that others refer to. */
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

bool handoff_refused(struct handoff *handoff, uint32_t table)
{
    return table < self(handoff)->count && handoff_begin_anew(self(handoff), table);
}

/* A table that no change comes for must not wait for one. */
bool handoff_goes_on(struct handoff *handoff, struct err *err)
{
    struct table_handoff *h = self(handoff);
    bool pending = false;
    if (atomic_load(&h->complete))
        return true;
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; !pending && i < h->count; i++)
        pending = handoff_anew_pending(&h->tables[i], i, err);
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
        err_remedy(err,
                   "restore the replica identity (or the library of its collation), or copy "
                   "the table again: run --redo");
    }
    free(key);
    return same || atomic_load(&t->passed);
}

/* Takes what is known of the table's copy. */
bool handoff_load_table(struct copied_table *t, const struct copy_key *key,
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
            ok = handoff_wait(h, err);
    struct table_copy *kept = ok ? load_kept(h, err) : NULL;
    for (size_t i = 0; kept != NULL && ok && i < h->count; i++) {
        struct copied_table *t = &h->tables[i];
        if (atomic_load(&t->passed))
            continue;
        lanes_free(&t->lanes);
        handoff_forget_places(t);
        h->config.reloaded(h->config.context, (uint32_t)i, &kept[i]);
        ok = handoff_load_table(t, t->key, &kept[i], LSN_NONE, err);
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
        *lost =
            *lost || (!atomic_load(&h->tables[i].passed) && known_is_lost(&known[i], &kept[i]));
    for (size_t i = 0; i < h->count; i++)
        known_free(&known[i]);
    free(known);
    if (kept == NULL)
        return false;
    free_copies(h, kept);
    return true;
}

/* The batch in memory was judged by chunks that the target may not have any more. */
bool handoff_still_kept(struct handoff *handoff, struct err *err)
{
    struct table_handoff *h = self(handoff);
    bool lost = false;
    if (atomic_load(&h->complete))
        return true;
    pthread_mutex_lock(&h->lock);
    bool ok = compare_kept(h, &lost, err);
    pthread_mutex_unlock(&h->lock);
    return ok && (!lost || err_set(err, ERR_RETRY,
                                   "the target is back without chunks that it "
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
        if (!handoff_wait(h, err))
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
    handoff_forget_places(t);
    t->finished = false;
    t->whole = whole;
    t->anew = ANEW_NOT;
    t->begun = kept[table].begun; /* a reset whose reply was lost counts too */
    free_copies(h, kept);
    notify(h);
    return true;
}

bool handoff_resume(struct handoff *handoff, struct err *err)
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
    handoff_tell_forgotten(h);
    return ok;
}
