/* The contract of asking the source between which bounds keys lie, where only the source knows
 * their order: that of a collation, of numeric, of an extension's type. Never asked of the
 * target, whose libraries may order otherwise.
 *
 * One thread. Connects when first used. */
#ifndef PIPELINE_KEY_PLACES_H
#define PIPELINE_KEY_PLACES_H

#include "base/err.h"
#include "model/row.h"
#include "pipeline/table_copy.h"

#include <stddef.h>
#include <stdint.h>

#define KEY_PLACES_COLUMNS 2 /* that bounds may be of */

/* The bounds that divide a table's keys. Borrowed. */
struct key_division {
    uint32_t table;   /* the run's index */
    uint16_t columns; /* of the key, that some bound has a value of: 1 or 2 */
    const struct copy_key *key;
    size_t bound_count;
    char **const *bounds; /* as in copy_plan */
};

struct key_places;

struct key_places_ops {
    /* *found: for each key how many bounds are not above it. A key is the division's columns'
     * values; of each column they are all VALUE_TEXT or all VALUE_BINARY. A table is divided as
     * at the first call until forget(). ERR_RETRY when the source is away. */
    bool (*find)(struct key_places *places, const struct key_division *division, size_t count,
                 const struct value *const *keys, uint32_t *found, struct err *err);
    /* The table is divided otherwise from here on, or no more. */
    void (*forget)(struct key_places *places, uint32_t table);
    void (*destroy)(struct key_places *places);
};

struct key_places {
    const struct key_places_ops *ops;
};

#endif
