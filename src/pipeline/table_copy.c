/* What a table's copy owns (table_copy.h). */
#include "pipeline/table_copy.h"

#include "base/buf.h"

#include <stdlib.h>

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; texts != NULL && i < count; i++)
        free(texts[i]);
    free(texts);
}

char *copy_key_text(const struct copy_key *key)
{
    struct buf text = {0};
    buf_append_text(&text, "");
    for (uint16_t i = 0; i < key->count; i++) {
        const struct copy_key_column *column = &key->columns[i];
        buf_append_format(&text, "%s%s %s", i == 0 ? "" : ", ", column->name, column->type);
        if (column->collation != NULL)
            buf_append_format(&text, " COLLATE %s", column->collation);
        if (column->version != NULL)
            buf_append_format(&text, " %s", column->version);
    }
    return buf_steal(&text);
}

size_t copy_bound_size(const char *const *bound)
{
    size_t size = 0;
    while (bound[size] != NULL)
        size++;
    return size;
}

void copy_bound_free(char **bound)
{
    if (bound != NULL)
        free_texts(bound, copy_bound_size((const char *const *)bound));
}

void copy_plan_free(struct copy_plan *plan)
{
    free(plan->key);
    for (size_t i = 0; i < plan->bound_count; i++)
        copy_bound_free(plan->bounds[i]);
    free(plan->bounds);
    *plan = (struct copy_plan){0};
}

void chunk_record_free(struct chunk_record *record, uint16_t key_count)
{
    free_texts(record->upto, key_count);
    free(record->snapshot);
    *record = (struct chunk_record){0};
}

void table_copy_free(struct table_copy *copy)
{
    copy_plan_free(&copy->plan);
    free(copy->covers);
    for (size_t i = 0; i < copy->chunk_count; i++)
        chunk_record_free(&copy->chunks[i], copy->key_count);
    free(copy->chunks);
    *copy = (struct table_copy){0};
}
