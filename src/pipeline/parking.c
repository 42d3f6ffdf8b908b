/* Parking (parking.h). */
#include "pipeline/parking.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void parking_init(struct parking *parking, struct quarantine *quarantine,
                  struct transform *transform, size_t table_count)
{
    *parking = (struct parking){
        .quarantine = quarantine, .transform = transform, .table_count = table_count};
}

void parking_free(struct parking *parking)
{
    free(parking->letters.items);
    free(parking->letters.joins);
    free(parking->letters.emptied);
    free(parking->parked);
    free(parking->rests);
    free(parking->truncations);
    free(parking->counted_good);
    buf_free(&parking->old_key);
    buf_free(&parking->new_key);
}

/* ---- a batch ---- */

static void forget_batch(struct parking *p)
{
    p->letters.count = p->letters.join_count = p->letters.emptied_count = 0;
    p->rest_count = p->counted = p->truncation_count = 0;
    p->any_parked = false;
    free(p->counted_good);
    p->counted_good = NULL;
}

void parking_begin(struct parking *p, const struct batch *batch, struct batch *writes,
                   struct table_counters *tally)
{
    if (p->quarantine == NULL)
        return;
    if (p->begun) /* it is made again */
        quarantine_undo(p->quarantine, p->mark);
    forget_batch(p);
    p->mark = quarantine_mark(p->quarantine);
    p->begun = true;
    p->batch = batch;
    p->writes = writes;
    p->tally = tally;
}

/* The good ones that were not counted yet, of all tables. */
static bool count_rest(struct parking *p, struct err *err)
{
    for (uint32_t table = 0; table < p->table_count; table++) {
        const struct table_counters *tally = &p->tally[table];
        uint64_t good = counter_get(&tally->applied) + counter_get(&tally->filtered);
        uint64_t counted = p->counted_good == NULL ? 0 : p->counted_good[table];
        if (good > counted &&
            !quarantine_count(p->quarantine, table, good - counted, 0, NULL, err))
            return false;
    }
    return true;
}

/* Once a batch: how many, and why the first of them. */
static void tell(const struct letters *letters)
{
    const struct letter *first = letters->items;
    if (letters->count == 0)
        return;
    log_event(
        LOG_WARN, "changes are parked", log_uint("letters", letters->count),
        log_uint("first", first->id), log_text("schema", first->change->relation->schema),
        log_text("table", first->change->relation->name), log_lsn("lsn", first->change->lsn),
        log_text("error", first->why == NULL ? "its key is parked" : first->why->message));
}

bool parking_done(struct parking *p, struct err *err)
{
    if (p->quarantine == NULL)
        return true;
    p->begun = false;
    tell(&p->letters);
    quarantine_keep(p->quarantine, &p->letters);
    return count_rest(p, err);
}

const struct change *parking_change(const struct parking *p, uint32_t index)
{
    uint32_t low = 0;
    uint32_t high = p->rest_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->rests[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < p->rest_count && p->rests[low].index == index;
    return found ? p->rests[low].change : &p->batch->changes[index];
}

static void note_rest(struct parking *p, uint32_t index, const struct change *change)
{
    if (p->rest_count == p->rest_capacity) {
        p->rest_capacity = p->rest_capacity == 0 ? 64 : 2 * p->rest_capacity;
        p->rests = mem_grow(p->rests, p->rest_capacity, sizeof *p->rests);
    }
    p->rests[p->rest_count++] =
        (struct parking_rest){index, arena_copy(&p->writes->arena, change, sizeof *change)};
}

/* ---- keys ---- */

/* The keys that a change is of, and the chains that they wait in; an insert has no old one, a
 * delete no new one: they are the same then, as where the key does not change. False when the
 * change does not tell them. */
static bool find_keys(struct parking *p, uint32_t table, const struct change *change,
                      uint64_t *old_chain, uint64_t *new_chain)
{
    const struct row *new = change->kind == CHANGE_DELETE ? &change->old : &change->new;
    const struct row *old = change->old_image == OLD_NONE ? new : &change->old;
    buf_clear(&p->old_key);
    buf_clear(&p->new_key);
    bool known =
        quarantine_append_key(p->quarantine, table, change->relation, old, NULL, &p->old_key) &&
        quarantine_append_key(p->quarantine, table, change->relation, new, &change->old,
                              &p->new_key);
    *old_chain = quarantine_find(p->quarantine, table, &p->old_key);
    *new_chain = quarantine_find(p->quarantine, table, &p->new_key);
    return known;
}

/* Letters of this batch that were of the one chain are of the other too. */
static void join_chains(struct parking *p, uint64_t from, uint64_t into)
{
    struct letters *letters = &p->letters;
    quarantine_join(p->quarantine, from, into);
    for (uint32_t i = 0; i < letters->count; i++)
        if (letters->items[i].chain == from)
            letters->items[i].chain = into;
    if (letters->join_count == letters->join_capacity) {
        letters->join_capacity = letters->join_capacity == 0 ? 16 : 2 * letters->join_capacity;
        letters->joins =
            mem_grow(letters->joins, letters->join_capacity, sizeof *letters->joins);
    }
    letters->joins[letters->join_count++] = (struct letter_join){from, into};
}

/* The chain of both keys: the older one, or that of the letter itself. */
static uint64_t choose_chain(struct parking *p, uint64_t old_chain, uint64_t new_chain,
                             uint64_t id)
{
    if (old_chain == 0 || new_chain == 0 || old_chain == new_chain)
        return old_chain != 0 ? old_chain : new_chain != 0 ? new_chain : id;
    uint64_t into = old_chain < new_chain ? old_chain : new_chain;
    join_chains(p, old_chain < new_chain ? new_chain : old_chain, into);
    return into;
}

/* ---- letters ---- */

static void mark_parked(struct parking *p, uint32_t index)
{
    if (!p->any_parked) {
        if (p->parked_capacity < p->batch->change_count) {
            p->parked_capacity = p->batch->change_count;
            p->parked = mem_grow(p->parked, p->parked_capacity, sizeof *p->parked);
        }
        memset(p->parked, 0, p->batch->change_count * sizeof *p->parked);
        p->any_parked = true;
    }
    p->parked[index] = true;
}

bool parking_is_parked(const struct parking *p, uint32_t index)
{
    return p->any_parked && p->parked[index];
}

static struct letter *add_letter(struct parking *p)
{
    struct letters *letters = &p->letters;
    if (letters->count == letters->capacity) {
        letters->capacity = letters->capacity == 0 ? 64 : 2 * letters->capacity;
        letters->items = mem_grow(letters->items, letters->capacity, sizeof *letters->items);
    }
    p->writes->letters = letters;
    return &letters->items[letters->count++];
}

/* A row of before a truncation in the same batch, found to be bad only after that was seen. */
static bool is_moot(const struct parking *p, uint32_t index, uint32_t table)
{
    for (uint32_t i = 0; i < p->truncation_count; i++)
        if (p->truncations[i].table == table && p->truncations[i].index > index)
            return true;
    return false;
}

/* The keys are found. why: in the arena, or NULL. */
static void park(struct parking *p, uint32_t index, uint32_t table, const struct change *change,
                 uint64_t old_chain, uint64_t new_chain, const struct err *why)
{
    const struct transaction *transaction = &p->batch->transactions[change->transaction];
    uint64_t id = quarantine_next_id(p->quarantine);
    bool moot = is_moot(p, index, table);
    uint64_t chain = moot ? id : choose_chain(p, old_chain, new_chain, id);
    if (!moot) {
        quarantine_park(p->quarantine, table, &p->old_key, chain);
        quarantine_park(p->quarantine, table, &p->new_key, chain);
    }
    *add_letter(p) = (struct letter){.id = id,
                                     .chain = chain,
                                     .change = change,
                                     .table = table,
                                     .xid = transaction->xid,
                                     .commit_lsn = transaction->commit_lsn,
                                     .commit_time = transaction->commit_time,
                                     .moot = moot,
                                     .why = why};
    counter_tally(&p->tally[table].quarantined);
    mark_parked(p, index);
}

bool parking_follow(struct parking *p, uint32_t index, uint32_t table)
{
    uint64_t old_chain = 0;
    uint64_t new_chain = 0;
    const struct change *change = parking_change(p, index);
    if (table == UINT32_MAX || change->kind == CHANGE_TRUNCATE ||
        !quarantine_holds_any(p->quarantine, table))
        return false;
    (void)find_keys(p, table, change, &old_chain, &new_chain);
    if ((old_chain == 0 && new_chain == 0) || is_moot(p, index, table))
        return false;
    park(p, index, table, change, old_chain, new_chain, NULL);
    return true;
}

/* The handoff may have left something of it out. */
static bool is_as_it_came(const struct change *change, const struct change *came)
{
    return change->kind == came->kind && change->old_image == came->old_image &&
           change->unsure == came->unsure && change->old.values == came->old.values &&
           change->new.values == came->new.values && change->relations == came->relations &&
           change->relation_count == came->relation_count;
}

bool parking_consider(struct parking *p, uint32_t index, uint32_t table,
                      const struct change *change)
{
    if (p->quarantine == NULL || table == UINT32_MAX)
        return false;
    if (!is_as_it_came(change, &p->batch->changes[index]))
        note_rest(p, index, change);
    return parking_follow(p, index, table);
}

/* The breaker sees the rows in their order. Those behind a parked one are neither good nor bad. */
static bool count_before(struct parking *p, uint32_t index, struct err *err)
{
    if (p->counted_good == NULL)
        p->counted_good = mem_zero(p->table_count + 1, sizeof *p->counted_good);
    for (; p->counted < index; p->counted++) {
        const struct change *change = &p->batch->changes[p->counted];
        uint32_t table = p->transform->ops->source(p->transform, change->relation);
        if (table == UINT32_MAX || parking_is_parked(p, p->counted))
            continue;
        p->counted_good[table]++;
        if (!quarantine_count(p->quarantine, table, 1, 0, NULL, err))
            return false;
    }
    return true;
}

bool parking_refuse(struct parking *p, uint32_t index, const struct err *why, struct err *err)
{
    uint64_t old_chain = 0;
    uint64_t new_chain = 0;
    const struct change *change = parking_change(p, index);
    uint32_t table = p->transform->ops->source(p->transform, change->relation);
    if (!count_before(p, index, err) || !quarantine_count(p->quarantine, table, 0, 1, why, err))
        return false;
    if (!find_keys(p, table, change, &old_chain, &new_chain)) {
        *err = *why;
        return err_wrap(err, "it cannot be parked, for its key was not sent");
    }
    park(p, index, table, change, old_chain, new_chain,
         arena_copy(&p->writes->arena, why, sizeof *why));
    return true;
}

static void note_truncation(struct parking *p, uint32_t index, uint32_t table)
{
    if (p->truncation_count == p->truncation_capacity) {
        p->truncation_capacity = p->truncation_capacity == 0 ? 16 : 2 * p->truncation_capacity;
        p->truncations =
            mem_grow(p->truncations, p->truncation_capacity, sizeof *p->truncations);
    }
    p->truncations[p->truncation_count++] = (struct parking_truncation){table, index};
}

static void add_emptied(struct letters *letters, uint32_t table, uint64_t before)
{
    if (letters->emptied_count == letters->emptied_capacity) {
        letters->emptied_capacity =
            letters->emptied_capacity == 0 ? 16 : 2 * letters->emptied_capacity;
        letters->emptied =
            mem_grow(letters->emptied, letters->emptied_capacity, sizeof *letters->emptied);
    }
    letters->emptied[letters->emptied_count++] = (struct letter_emptying){table, before};
}

void parking_truncate(struct parking *p, uint32_t index, uint32_t table)
{
    struct letters *letters = &p->letters;
    if (p->quarantine == NULL || table == UINT32_MAX)
        return;
    note_truncation(p, index, table);
    if (!quarantine_holds_any(p->quarantine, table))
        return;
    quarantine_empty(p->quarantine, table);
    for (uint32_t i = 0; i < letters->count; i++)
        letters->items[i].moot = letters->items[i].moot || letters->items[i].table == table;
    add_emptied(letters, table, quarantine_next_id(p->quarantine));
    p->writes->letters = letters;
}
