/* Parked keys (parked_keys.h): entries in the order they came, found by open addressing. An entry
 * whose chain is 0 is free to be used again by its own key; undoing never moves one. */
#include "pipeline/parked_keys.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 64

struct entry {
    char *bytes;
    size_t size;
    uint64_t hash;
    uint64_t chain; /* 0: not parked */
    uint32_t table;
};

struct deed {
    size_t entry;
    uint64_t chain; /* before it */
};

struct parked_keys {
    size_t table_count;
    size_t *counts; /* by table */
    struct entry *entries;
    size_t count, capacity;
    size_t *slots; /* index + 1; 0: free */
    size_t slot_count;
    struct deed *deeds;
    size_t deed_count, deed_capacity;
};

/* FNV-1a: keys are short, and few. */
static uint64_t hash_of(uint32_t table, const char *bytes, size_t size)
{
    uint64_t hash = 14695981039346656037ULL ^ table;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211ULL;
    return hash ^ hash >> 32;
}

struct parked_keys *parked_keys_create(size_t table_count)
{
    struct parked_keys *keys = mem_zero(1, sizeof *keys);
    keys->table_count = table_count;
    keys->counts = mem_zero(table_count + 1, sizeof *keys->counts);
    keys->slot_count = SLOTS_FIRST;
    keys->slots = mem_zero(keys->slot_count, sizeof *keys->slots);
    return keys;
}

void parked_keys_forget(struct parked_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        free(keys->entries[i].bytes);
    keys->count = keys->deed_count = 0;
    memset(keys->counts, 0, (keys->table_count + 1) * sizeof *keys->counts);
    memset(keys->slots, 0, keys->slot_count * sizeof *keys->slots);
}

void parked_keys_free(struct parked_keys *keys)
{
    if (keys == NULL)
        return;
    parked_keys_forget(keys);
    free(keys->counts);
    free(keys->entries);
    free(keys->slots);
    free(keys->deeds);
    free(keys);
}

/* The slot that has the key, or the free one where it belongs. */
static size_t slot_of(const struct parked_keys *keys, uint64_t hash, uint32_t table,
                      const void *bytes, size_t size)
{
    size_t slot = hash & (keys->slot_count - 1);
    for (; keys->slots[slot] != 0; slot = (slot + 1) & (keys->slot_count - 1)) {
        const struct entry *entry = &keys->entries[keys->slots[slot] - 1];
        if (entry->hash == hash && entry->table == table && entry->size == size &&
            memcmp(entry->bytes, bytes, size) == 0)
            break;
    }
    return slot;
}

uint64_t parked_keys_find(const struct parked_keys *keys, uint32_t table, const void *bytes,
                          size_t size)
{
    size_t slot = slot_of(keys, hash_of(table, bytes, size), table, bytes, size);
    return keys->slots[slot] == 0 ? 0 : keys->entries[keys->slots[slot] - 1].chain;
}

static void grow_slots(struct parked_keys *keys)
{
    free(keys->slots);
    keys->slot_count *= 2;
    keys->slots = mem_zero(keys->slot_count, sizeof *keys->slots);
    for (size_t i = 0; i < keys->count; i++) {
        const struct entry *entry = &keys->entries[i];
        keys->slots[slot_of(keys, entry->hash, entry->table, entry->bytes, entry->size)] =
            i + 1;
    }
}

static size_t new_entry(struct parked_keys *keys, uint64_t hash, uint32_t table,
                        const void *bytes, size_t size)
{
    if (keys->count == keys->capacity) {
        keys->capacity = keys->capacity == 0 ? 64 : 2 * keys->capacity;
        keys->entries = mem_grow(keys->entries, keys->capacity, sizeof *keys->entries);
    }
    struct entry *entry = &keys->entries[keys->count];
    *entry = (struct entry){.size = size, .hash = hash, .table = table};
    entry->bytes = mem_alloc(size + 1);
    memcpy(entry->bytes, bytes, size);
    return keys->count++;
}

static void set_chain(struct parked_keys *keys, size_t index, uint64_t chain)
{
    struct entry *entry = &keys->entries[index];
    keys->counts[entry->table] += (chain != 0) - (size_t)(entry->chain != 0);
    entry->chain = chain;
}

static void change_chain(struct parked_keys *keys, size_t index, uint64_t chain)
{
    if (keys->deed_count == keys->deed_capacity) {
        keys->deed_capacity = keys->deed_capacity == 0 ? 64 : 2 * keys->deed_capacity;
        keys->deeds = mem_grow(keys->deeds, keys->deed_capacity, sizeof *keys->deeds);
    }
    keys->deeds[keys->deed_count++] =
        (struct deed){.entry = index, .chain = keys->entries[index].chain};
    set_chain(keys, index, chain);
}

/* The key's entry, made where there is none. */
static size_t entry_of(struct parked_keys *keys, uint32_t table, const void *bytes, size_t size)
{
    uint64_t hash = hash_of(table, bytes, size);
    size_t slot = slot_of(keys, hash, table, bytes, size);
    if (keys->slots[slot] == 0) {
        keys->slots[slot] = new_entry(keys, hash, table, bytes, size) + 1;
        if (keys->count * 2 > keys->slot_count) {
            grow_slots(keys);
            slot = slot_of(keys, hash, table, bytes, size);
        }
    }
    return keys->slots[slot] - 1;
}

void parked_keys_add(struct parked_keys *keys, uint32_t table, const void *bytes, size_t size,
                     uint64_t chain)
{
    change_chain(keys, entry_of(keys, table, bytes, size), chain);
}

void parked_keys_put(struct parked_keys *keys, uint32_t table, const void *bytes, size_t size,
                     uint64_t chain)
{
    set_chain(keys, entry_of(keys, table, bytes, size), chain);
}

void parked_keys_join(struct parked_keys *keys, uint64_t from, uint64_t into)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->entries[i].chain == from)
            change_chain(keys, i, into);
}

void parked_keys_clear(struct parked_keys *keys, uint32_t table)
{
    for (size_t i = 0; i < keys->count && keys->counts[table] > 0; i++)
        if (keys->entries[i].table == table && keys->entries[i].chain != 0)
            change_chain(keys, i, 0);
}

size_t parked_keys_count(const struct parked_keys *keys, uint32_t table)
{
    return keys->counts[table];
}

size_t parked_keys_mark(const struct parked_keys *keys)
{
    return keys->deed_count;
}

void parked_keys_undo(struct parked_keys *keys, size_t mark)
{
    while (keys->deed_count > mark) {
        const struct deed *deed = &keys->deeds[--keys->deed_count];
        set_chain(keys, deed->entry, deed->chain);
    }
}

void parked_keys_keep(struct parked_keys *keys)
{
    keys->deed_count = 0;
}
