/* A stretch (stretch.h). */
#include "postgres/stretch.h"

#include "base/mem.h"

#include <stdlib.h>

void stretch_init(struct stretch *stretch, size_t tables, uint16_t columns)
{
    *stretch = (struct stretch){0};
    fold_init(&stretch->fold);
    groups_init(&stretch->groups, tables, columns);
}

void stretch_free(struct stretch *stretch)
{
    groups_free(&stretch->groups);
    fold_free(&stretch->fold);
    free(stretch->later);
}

void stretch_clear(struct stretch *stretch)
{
    groups_clear(&stretch->groups);
    fold_clear(&stretch->fold);
    stretch->later_count = 0;
    stretch->grouped = false;
}

void stretch_keep_for_later(struct stretch *stretch, uint32_t index)
{
    if (stretch->later_count == stretch->later_capacity) {
        stretch->later_capacity =
            stretch->later_capacity == 0 ? 256 : 2 * stretch->later_capacity;
        stretch->later =
            mem_grow(stretch->later, stretch->later_capacity, sizeof *stretch->later);
    }
    stretch->later[stretch->later_count++] = index;
}

void stretch_group(struct stretch *stretch)
{
    if (!stretch->grouped)
        groups_make(&stretch->groups, &stretch->fold);
    stretch->grouped = true;
}
