/* See outline.h. */
#include "schema/outline.h"

#include <stdlib.h>
#include <string.h>

const struct outline_column *outline_column(const struct outline_table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return &table->columns[i];
    return NULL;
}

const struct outline_column *outline_heir(const struct outline_table *table,
                                          const char *source_name)
{
    const struct outline_column *same = outline_column(table, source_name);

    if (same && same->source && !same->borrowed && strcmp(same->source->name, source_name) == 0)
        return same;
    for (size_t i = 0; i < table->column_count; i++)
        if (table->columns[i].source && !table->columns[i].borrowed &&
            strcmp(table->columns[i].source->name, source_name) == 0)
            return &table->columns[i];
    return NULL;
}

const struct outline_column *outline_owner(const struct outline_table *table, size_t i)
{
    for (size_t key = 0; key < table->key_count; key++) {
        const struct outline_column *column = outline_column(table, table->keys[key]);

        if (column && column->constant && i-- == 0)
            return column;
    }
    return NULL;
}

void outline_free(struct outline *outline)
{
    if (!outline)
        return;
    arena_free(&outline->arena);
    free(outline);
}
