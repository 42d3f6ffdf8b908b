/* One net change a key (fold.h). */
#include "postgres/fold.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SLOTS_LEAST 256
#define ARENA_KEEP (8 << 20)

/* ---- life ---- */

void fold_init(struct fold *fold)
{
    *fold = (struct fold){.slot_count = SLOTS_LEAST};
    fold->slots = mem_zero(fold->slot_count, sizeof *fold->slots);
    arena_init(&fold->arena, ARENA_KEEP);
}

void fold_free(struct fold *fold)
{
    arena_free(&fold->arena);
    free(fold->nets);
    free(fold->slots);
}

/* A few are taken out one by one: short stretches must not pay for the longest. */
void fold_clear(struct fold *fold)
{
    if (fold->count > fold->slot_count / 16)
        memset(fold->slots, 0, fold->slot_count * sizeof *fold->slots);
    else
        for (uint32_t i = 0; i < fold->count; i++)
            if (fold->nets[i].key != NULL)
                fold->slots[fold->nets[i].slot] = 0;
    fold->count = fold->merged = 0;
    arena_reset(&fold->arena);
}

/* ---- finding ---- */

static uint64_t hash_of(const struct relation *relation, const struct value *key)
{
    uint64_t hash = (uintptr_t)relation;
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].key)
            hash = XXH3_64bits_withSeed(key[i].data, key[i].size, hash);
    return hash;
}

static bool same_key(const struct relation *relation, const struct value *a,
                     const struct value *b)
{
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].key && !value_equal(&a[i], &b[i]))
            return false;
    return true;
}

/* Where the key is, or would be. */
static uint32_t slot_of(const struct fold *fold, const struct relation *relation,
                        const struct value *key, uint64_t hash)
{
    uint32_t mask = fold->slot_count - 1;
    uint32_t slot = (uint32_t)hash & mask;
    for (; fold->slots[slot] != 0; slot = (slot + 1) & mask) {
        const struct net *net = &fold->nets[fold->slots[slot] - 1];
        if (net->hash == hash && net->relation == relation && same_key(relation, net->key, key))
            break;
    }
    return slot;
}

static struct net *find(const struct fold *fold, const struct relation *relation,
                        const struct value *key)
{
    uint32_t at = fold->slots[slot_of(fold, relation, key, hash_of(relation, key))];
    return at == 0 ? NULL : &fold->nets[at - 1];
}

/* ---- adding ---- */

static void widen(struct fold *fold)
{
    if (fold->count == fold->capacity) {
        fold->capacity = fold->capacity == 0 ? SLOTS_LEAST : 2 * fold->capacity;
        fold->nets = mem_grow(fold->nets, fold->capacity, sizeof *fold->nets);
    }
    if (fold->count < fold->slot_count / 2)
        return;
    fold->slot_count *= 2;
    free(fold->slots);
    fold->slots = mem_zero(fold->slot_count, sizeof *fold->slots);
    for (uint32_t i = 0; i < fold->count; i++) {
        struct net *net = &fold->nets[i];
        if (net->key == NULL)
            continue;
        net->slot = slot_of(fold, net->relation, net->key, net->hash);
        fold->slots[net->slot] = i + 1;
    }
}

static struct net *append(struct fold *fold, const struct relation *relation)
{
    widen(fold);
    struct net *net = &fold->nets[fold->count++];
    *net = (struct net){.relation = relation, .was = WAS_ABSENT};
    return net;
}

static struct net *find_or_append(struct fold *fold, const struct relation *relation,
                                  const struct value *key, enum net_was was)
{
    uint64_t hash = hash_of(relation, key);
    widen(fold);
    uint32_t slot = slot_of(fold, relation, key, hash);
    if (fold->slots[slot] != 0)
        return &fold->nets[fold->slots[slot] - 1];
    struct net *net = append(fold, relation);
    net->key = key;
    net->hash = hash;
    net->slot = slot;
    net->was = was;
    fold->slots[slot] = fold->count;
    return net;
}

/* ---- changes ---- */

struct image {
    const struct value *values; /* all of the table's format */
    bool whole;                 /* all are known */
};

static bool settle(struct fold *fold, const struct fold_table *table, uint16_t column,
                   struct value *value)
{
    struct value text = *value;
    const struct type_codec *codec = table->codecs[column];
    return text.kind == VALUE_TEXT && table->format == VALUE_BINARY && codec != NULL &&
           type_has_binary(codec) && type_to_binary(codec, &text, &fold->arena, value);
}

/* False when a value cannot be had in the table's format, or one of the key is not known. Of a
 * key's image only the key is looked at. */
static bool see(struct fold *fold, const struct fold_table *table,
                const struct relation *relation, const struct value *values, bool key_only,
                struct image *image)
{
    struct value *settled = NULL;
    *image = (struct image){.values = values, .whole = true};
    for (uint16_t i = 0; i < relation->column_count; i++) {
        bool key = relation->columns[i].key;
        enum value_kind kind = values[i].kind;
        if (kind == table->format || (kind == VALUE_NULL && !key) || (key_only && !key))
            continue;
        if (!value_is_known(&values[i]) && !key) {
            image->whole = false;
            continue;
        }
        if (settled == NULL)
            image->values = settled =
                arena_copy(&fold->arena, values, relation->column_count * sizeof *settled);
        if (!settle(fold, table, i, &settled[i]))
            return false;
    }
    return true;
}

/* In order such a row is deleted and written anew, so that columns no change fills have their
 * defaults; but if somebody else wrote it before, what comes of the net change, one upsert,
 * would keep them. */
static bool would_keep_columns(const struct fold_table *table, const struct net *net)
{
    return table->moves && net->anew && net->was == WAS_ABSENT;
}

static bool take_insert(struct fold *fold, const struct fold_table *table,
                        const struct change *change, const struct value *row, uint32_t index)
{
    const struct relation *relation = change->relation;
    struct net *net;
    if (relation->match != MATCH_KEY) {
        net = append(fold, relation);
    } else {
        net = find_or_append(fold, relation, row, change->blind ? WAS_ANY : WAS_ABSENT);
        if ((net->row != NULL && !change->blind) || would_keep_columns(table, net))
            return false;
    }
    net->row = row;
    net->change = index;
    return true;
}

/* The new values, and the earlier ones where there are none. */
static const struct value *merge(struct fold *fold, const struct relation *relation,
                                 const struct value *before, const struct value *after)
{
    struct value *row = arena_copy(&fold->arena, after, relation->column_count * sizeof *row);
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (!value_is_known(&row[i]))
            row[i] = before[i];
    return row;
}

static bool take_update(struct fold *fold, const struct change *change, const struct image *new,
                        uint32_t index)
{
    uint32_t before = fold->count;
    struct net *net = find_or_append(fold, change->relation, new->values, WAS_PRESENT);
    bool is_new = fold->count != before;
    if (!is_new && net->row == NULL)
        return false;
    net->row = is_new || new->whole ? new->values
                                    : merge(fold, change->relation, net->row, new->values);
    net->change = index;
    return true;
}

static bool take_delete(struct fold *fold, const struct change *change, const struct value *key,
                        uint32_t index)
{
    uint32_t before = fold->count;
    struct net *net =
        find_or_append(fold, change->relation, key, change->blind ? WAS_ANY : WAS_PRESENT);
    if (fold->count == before && net->row == NULL)
        return change->blind; /* known to be gone: nothing is left to do */
    net->row = NULL;
    net->anew = true;
    net->change = index;
    return true;
}

/* The old key goes, and a whole row comes under the new one. */
static bool take_move(struct fold *fold, const struct fold_table *table,
                      const struct change *change, const struct value *key,
                      const struct value *row, uint32_t index)
{
    const struct net *from = find(fold, change->relation, key);
    const struct net *to = find(fold, change->relation, row);
    if ((from != NULL && from->row == NULL) || (to != NULL && to->row != NULL))
        return false;
    return take_delete(fold, change, key, index) &&
           take_insert(fold, table, change, row, index);
}

static bool take(struct fold *fold, const struct fold_table *table, const struct change *change,
                 uint32_t index)
{
    const struct relation *relation = change->relation;
    struct image old = {0}, new = {0};
    if (relation->match != MATCH_KEY && change->kind != CHANGE_INSERT)
        return false;
    if (change->old_image != OLD_NONE &&
        !see(fold, table, relation, change->old.values, true, &old))
        return false;
    if (change->kind == CHANGE_DELETE)
        return take_delete(fold, change, old.values, index);
    if (!see(fold, table, relation, change->new.values, false, &new))
        return false;
    if (change->kind == CHANGE_INSERT)
        return new.whole &&take_insert(fold, table, change, new.values, index);
    if (old.values == NULL || same_key(relation, old.values, new.values))
        return take_update(fold, change, &new, index);
    return new.whole &&
           !table->moves &&take_move(fold, table, change, old.values, new.values, index);
}

bool fold_take(struct fold *fold, const struct fold_table *table, const struct change *change,
               uint32_t index)
{
    uint32_t before = fold->count;
    bool taken = take(fold, table, change, index);
    fold->merged += taken && fold->count == before;
    return taken;
}
