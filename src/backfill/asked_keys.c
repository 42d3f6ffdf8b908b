/* What the source has told of a table's keys (asked_keys.h). */
#include "backfill/asked_keys.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* uthash says so when memory is exhausted, as mem.h does. */
#define uthash_malloc(size) mem_alloc(size)
#include <uthash.h>

#define KEPT_BYTES (4U << 20)  /* what is kept when others are expected */
#define MOST_BYTES (32U << 20) /* those that are expected together are within it */

struct asked_key {
    UT_hash_handle hh;
    bool waits;
    uint32_t place;
    struct value values[KEY_PLACES_COLUMNS]; /* of the bytes below */
    size_t size;
    char bytes[]; /* of each value the kind, the size and the bytes */
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

static size_t size_of(const struct value *values, uint16_t columns)
{
    size_t size = 0;
    for (uint16_t i = 0; i < columns; i++)
        size += 1 + sizeof values[i].size + values[i].size;
    return size;
}

static struct asked_key *make_key(const struct value *values, uint16_t columns)
{
    size_t size = size_of(values, columns);
    struct asked_key *key = mem_alloc(sizeof *key + size);
    char *at = key->bytes;
    *key = (struct asked_key){.waits = true, .size = size};
    for (uint16_t i = 0; i < columns; i++) {
        *at++ = (char)values[i].kind;
        memcpy(at, &values[i].size, sizeof values[i].size);
        at += sizeof values[i].size;
        if (values[i].size > 0)
            memcpy(at, values[i].data, values[i].size);
        key->values[i] = (struct value){at, values[i].size, values[i].kind};
        at += values[i].size;
    }
    return key;
}

/* The key as it is remembered; waiting, if it was not known. */
static struct asked_key *recall(struct asked_keys *keys, const struct value *values,
                                uint16_t columns)
{
    struct asked_key *made = make_key(values, columns);
    struct asked_key *key = NULL;
    HASH_FIND(hh, keys->known, made->bytes, made->size, key);
    if (key != NULL) {
        free(made);
        return key;
    }
    if (keys->bytes > MOST_BYTES)
        asked_keys_forget(keys);
    HASH_ADD_KEYPTR(hh, keys->known, made->bytes, made->size, made);
    keys->bytes += sizeof *made + sizeof made + made->size;
    keys->waiting = mem_grow(keys->waiting, keys->waiting_count + 1, sizeof *keys->waiting);
    keys->waiting[keys->waiting_count++] = made;
    return made;
}

void asked_keys_expect(struct asked_keys *keys, const struct value *key, uint16_t columns)
{
    if (keys->found && keys->bytes > KEPT_BYTES)
        asked_keys_forget(keys); /* those that were expected before are found, or not wanted */
    keys->found = false;
    (void)recall(keys, key, columns);
}

static bool same_kinds(const struct asked_key *a, const struct asked_key *b)
{
    for (int i = 0; i < KEY_PLACES_COLUMNS; i++)
        if (a->values[i].kind != b->values[i].kind)
            return false;
    return true;
}

/* Asks for those that are of the kinds of the last one, which wait no more then. */
static bool ask(struct asked_keys *keys, struct key_places *places,
                const struct key_division *division, struct err *err)
{
    size_t waiting = keys->waiting_count;
    const struct asked_key *last = keys->waiting[waiting - 1];
    const struct value **values = mem_zero(waiting, sizeof *values);
    struct asked_key **asked = mem_zero(waiting, sizeof *asked);
    uint32_t *found = mem_zero(waiting, sizeof *found);
    size_t count = 0;
    for (size_t i = 0; i < waiting; i++) {
        if (!same_kinds(keys->waiting[i], last))
            continue;
        asked[count] = keys->waiting[i];
        values[count++] = keys->waiting[i]->values;
    }
    bool ok = places->ops->find(places, division, count, values, found, err);
    for (size_t i = 0; ok && i < count; i++) {
        asked[i]->waits = false;
        asked[i]->place = found[i];
    }
    free(values);
    free(asked);
    free(found);
    return ok;
}

static void keep_waiting(struct asked_keys *keys)
{
    size_t count = 0;
    for (size_t i = 0; i < keys->waiting_count; i++)
        if (keys->waiting[i]->waits)
            keys->waiting[count++] = keys->waiting[i];
    keys->waiting_count = count;
}

bool asked_keys_find(struct asked_keys *keys, struct key_places *places,
                     const struct key_division *division, const struct value *values,
                     uint32_t *place, struct err *err)
{
    struct asked_key *key = recall(keys, values, division->columns);
    while (key->waits) {
        if (!ask(keys, places, division, err))
            return false;
        keep_waiting(keys);
    }
    *place = key->place;
    keys->found = true;
    return true;
}
