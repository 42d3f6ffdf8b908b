/* Which shape of a relation holds: by its oid, as the server described it last.
 *
 * A transaction that is decoded later than it was sent (open_transactions.h) has a map of its own.
 * What that brings is merged afterwards, and there the shape counts that was sent last, for by that
 * the server goes when it leaves out a description. So each has the number of its arrival.
 *
 * Relations are borrowed. One thread. */
#ifndef POSTGRES_SHAPE_MAP_H
#define POSTGRES_SHAPE_MAP_H

#include "model/relation.h"

#include <stddef.h>
#include <stdint.h>

struct shape {
    uint32_t oid;
    const struct relation *relation;
    uint64_t arrival;
};

struct shape_map {        /* zeroed: empty */
    struct shape *shapes; /* sorted by oid */
    size_t count;
    size_t capacity;
};

/* NULL: it was never described. Valid until the next put or merge. */
const struct shape *shape_map_find(const struct shape_map *map, uint32_t oid);
/* In place of the one that was there. */
void shape_map_put(struct shape_map *map, struct shape shape);
/* Of each oid the shape that arrived later. */
void shape_map_merge(struct shape_map *into, const struct shape_map *from);
void shape_map_clear(struct shape_map *map); /* keeps the memory */
void shape_map_free(struct shape_map *map);

#endif
