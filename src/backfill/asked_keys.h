/* Where the keys of one table lie, as the source has told it (pipeline/key_places.h): what was
 * told is remembered, and keys that will be looked for soon are asked for together, one round
 * trip for all.
 *
 *   expect* -> find* ... forget, and so on -> forget
 *
 * One thread. Memory is bounded: when much is remembered, all is forgotten, but not between the
 * finds of what was expected together, unless it is very much. */
#ifndef BACKFILL_ASKED_KEYS_H
#define BACKFILL_ASKED_KEYS_H

#include "base/err.h"
#include "model/row.h"
#include "pipeline/key_places.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct asked_key;

struct asked_keys {          /* zeroed: nothing is known */
    struct asked_key *known; /* a hash by kinds and bytes; of those that wait too */
    struct asked_key **waiting;
    size_t waiting_count;
    size_t bytes;
    bool found; /* some key, since the last was expected */
};

/* The key, of so many values, will be looked for. */
void asked_keys_expect(struct asked_keys *keys, const struct value *key, uint16_t columns);
/* *place: how many bounds are not above the key. Asks for all that wait when it must ask. */
bool asked_keys_find(struct asked_keys *keys, struct key_places *places,
                     const struct key_division *division, const struct value *key,
                     uint32_t *place, struct err *err);
void asked_keys_forget(struct asked_keys *keys);

#endif
