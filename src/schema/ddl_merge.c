/* Several sources of one target (a merge). Each may have the same index, check or foreign key,
 * under this name or that: it is made once. What forbids rows (a check, a unique key, a
 * reference) is made only where every source has it: else it would refuse the rows of those that
 * have it not. */
#include "schema/ddl_inside.h"

#include <string.h>

typedef const char *object_says(struct planner *planner, const struct ddl_table *table,
                                size_t i);

static object_says *const words[DDL_OBJECT_COUNT] = {[DDL_OBJECT_CHECK] = constraint_says,
                                                     [DDL_OBJECT_INDEX] = index_says,
                                                     [DDL_OBJECT_REFERENCE] = reference_says};

static size_t count_of(const struct ddl_table *table, enum ddl_object object)
{
    if (!table->definition)
        return 0;
    switch (object) {
    case DDL_OBJECT_CHECK:
        return table->definition->constraint_count;
    case DDL_OBJECT_INDEX:
        return table->definition->index_count;
    case DDL_OBJECT_REFERENCE:
        return table->definition->reference_count;
    case DDL_OBJECT_COUNT:
        break;
    }
    return 0;
}

/* Asked once: a merge may have a thousand sources. */
static const char *const *says(struct planner *planner, const struct ddl_table *table,
                               enum ddl_object object)
{
    struct ddl_table *writable = &planner->tables[table - planner->tables];
    size_t count = count_of(table, object);

    if (!writable->says[object]) {
        const char **said = arena_alloc(planner->arena, (count + 1) * sizeof(*said));

        for (size_t i = 0; i < count; i++)
            said[i] = words[object](planner, table, i);
        writable->says[object] = said;
    }
    return writable->says[object];
}

static bool has(struct planner *planner, const struct ddl_table *table, enum ddl_object object,
                const char *what)
{
    const char *const *said = says(planner, table, object);

    for (size_t i = 0; i < count_of(table, object); i++)
        if (strcmp(said[i], what) == 0)
            return true;
    return false;
}

bool merge_repeats(struct planner *planner, const struct ddl_table *table,
                   enum ddl_object object, size_t i)
{
    const char *what;

    if (!table->merged)
        return false;
    what = says(planner, table, object)[i];
    for (const struct ddl_table *other = table->first; other < table; other++)
        if (other->first == table->first && has(planner, other, object, what))
            return true;
    return false;
}

const struct ddl_table *merge_lacking(struct planner *planner, const struct ddl_table *table,
                                      enum ddl_object object, size_t i)
{
    const struct ddl_table *end = planner->tables + planner->table_count;
    const char *what;

    if (!table->merged)
        return NULL;
    what = says(planner, table, object)[i];
    for (const struct ddl_table *other = table->first; other < end; other++)
        if (other->first == table->first && !has(planner, other, object, what))
            return other;
    return NULL;
}
