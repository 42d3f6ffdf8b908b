/* Shapes by oid (shape_map.h). */
#include "postgres/shape_map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Where the oid is, or where it belongs. */
static size_t position_of(const struct shape_map *map, uint32_t oid)
{
    size_t low = 0;
    size_t high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->shapes[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct shape *shape_map_find(const struct shape_map *map, uint32_t oid)
{
    size_t at = position_of(map, oid);
    return at < map->count && map->shapes[at].oid == oid ? &map->shapes[at] : NULL;
}

static void make_room(struct shape_map *map, size_t at)
{
    if (map->count == map->capacity) {
        map->capacity = map->capacity > 0 ? map->capacity * 2 : 16;
        map->shapes = mem_grow(map->shapes, map->capacity, sizeof *map->shapes);
    }
    memmove(&map->shapes[at + 1], &map->shapes[at], (map->count - at) * sizeof *map->shapes);
    map->count++;
}

void shape_map_put(struct shape_map *map, struct shape shape)
{
    size_t at = position_of(map, shape.oid);
    if (at == map->count || map->shapes[at].oid != shape.oid)
        make_room(map, at);
    map->shapes[at] = shape;
}

void shape_map_merge(struct shape_map *into, const struct shape_map *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct shape *there = shape_map_find(into, from->shapes[i].oid);
        if (there == NULL || there->arrival < from->shapes[i].arrival)
            shape_map_put(into, from->shapes[i]);
    }
}

void shape_map_clear(struct shape_map *map)
{
    map->count = 0;
}

void shape_map_free(struct shape_map *map)
{
    free(map->shapes);
    *map = (struct shape_map){0};
}
