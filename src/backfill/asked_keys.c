/* What the source has told of a table's keys (asked_keys.h). */
#include "backfill/asked_keys.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* uthash says so when memory is exhausted, as mem.h does. */
#define uthash_malloc(size) mem_alloc(size)
#include <uthash.h>

#define KEPT_BYTES (4U << 20)  /* what is kept from batch to batch */
#define MOST_BYTES (32U << 20) /* a batch's keys are within it */

struct asked_key {
    UT_hash_handle hh;
    bool waits;
    uint32_t place;
    struct value value; /* of the bytes below, without the first */
    char bytes[];       /* the kind, then the key */
};

void asked_keys_forget(struct asked_keys *keys)
{
    struct asked_key *key, *next;
    HASH_ITER(hh, keys->known, key, next)
    {
        HASH_DELETE(hh, keys->known, key);
        free(key);
    }
    free(keys->waiting);
    *keys = (struct asked_keys){0};
}

static struct asked_key *make_key(const struct value *value)
{
    struct asked_key *key = mem_alloc(sizeof *key + 1 + value->size);
    *key = (struct asked_key){.waits = true};
    key->bytes[0] = (char)value->kind;
    if (value->size > 0)
        memcpy(key->bytes + 1, value->data, value->size);
    key->value = (struct value){key->bytes + 1, value->size, value->kind};
    return key;
}

static void make_room(struct asked_keys *keys)
{
    if (keys->bytes > MOST_BYTES || (keys->bytes > KEPT_BYTES && keys->waiting_count == 0))
        asked_keys_forget(keys);
}

/* The key as it is remembered; waiting, if it was not known. */
static struct asked_key *recall(struct asked_keys *keys, const struct value *value)
{
    struct asked_key *made = make_key(value);
    struct asked_key *key = NULL;
    HASH_FIND(hh, keys->known, made->bytes, 1U + value->size, key);
    if (key != NULL) {
        free(made);
        return key;
    }
    make_room(keys);
    HASH_ADD_KEYPTR(hh, keys->known, made->bytes, 1U + value->size, made);
    keys->bytes += sizeof *made + sizeof made + 1 + value->size;
    keys->waiting = mem_grow(keys->waiting, keys->waiting_count + 1, sizeof *keys->waiting);
    keys->waiting[keys->waiting_count++] = made;
    return made;
}

void asked_keys_expect(struct asked_keys *keys, const struct value *key)
{
    (void)recall(keys, key);
}

/* Those of one kind. What waits stays so when there is no answer. */
static bool ask(struct asked_keys *keys, struct key_places *places,
                const struct key_division *division, enum value_kind kind, struct err *err)
{
    const struct value **values = mem_zero(keys->waiting_count + 1, sizeof *values);
    struct asked_key **asked = mem_zero(keys->waiting_count + 1, sizeof *asked);
    uint32_t *found = mem_zero(keys->waiting_count + 1, sizeof *found);
    size_t count = 0;
    for (size_t i = 0; i < keys->waiting_count; i++) {
        if (keys->waiting[i]->value.kind != kind)
            continue;
        asked[count] = keys->waiting[i];
        values[count++] = &keys->waiting[i]->value;
    }
    bool ok = count == 0 || places->ops->find(places, division, count, values, found, err);
    for (size_t i = 0; ok && i < count; i++) {
        asked[i]->waits = false;
        asked[i]->place = found[i];
    }
    free(values);
    free(asked);
    free(found);
    return ok;
}

bool asked_keys_find(struct asked_keys *keys, struct key_places *places,
                     const struct key_division *division, const struct value *value,
                     uint32_t *place, struct err *err)
{
    struct asked_key *key = recall(keys, value);
    if (key->waits) {
        if (!ask(keys, places, division, VALUE_TEXT, err) ||
            !ask(keys, places, division, VALUE_BINARY, err))
            return false;
        keys->waiting_count = 0;
    }
    *place = key->place;
    return true;
}
