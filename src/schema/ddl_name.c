/* Names of what is to be made. A split, a route or a pattern can bring several objects of one
 * name into one schema; the first has it, the others get one with their table's in it. */
#include "schema/ddl_inside.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES 63 /* the server's NAMEDATALEN - 1 */

static bool is_taken(const struct planner *planner, const char *schema, const char *name)
{
    for (const struct ddl_name *taken = planner->names; taken; taken = taken->next)
        if (strcmp(taken->name, name) == 0 && strcmp(taken->schema, schema) == 0)
            return true;
    return false;
}

void planner_reserve(struct planner *planner, const char *schema, const char *name)
{
    struct ddl_name *taken = arena_alloc(planner->arena, sizeof(*taken));

    *taken = (struct ddl_name){.schema = schema, .name = name, .next = planner->names};
    planner->names = taken;
}

/* Where `name` begins with the source table's name it begins with the target's instead, else
 * that is put in front: orders_user_idx of orders_eu is orders_eu_user_idx. */
static void append_derived(const struct ddl_table *table, const char *name, struct buf *derived)
{
    const char *source = table->outline.source->name;
    size_t size = strlen(source);
    bool begins = strncmp(name, source, size) == 0;

    buf_append_text(derived, table->outline.name);
    buf_append_text(derived, begins ? "" : "_");
    buf_append_text(derived, begins ? name + size : name);
}

/* Not in the middle of a character. */
static size_t cut(const char *text, size_t size, size_t most)
{
    if (size <= most)
        return size;
    while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    return most;
}

static const char *numbered(struct planner *planner, const struct buf *derived, unsigned number)
{
    char suffix[16] = "";
    struct buf name = {0};

    if (number > 1)
        snprintf(suffix, sizeof(suffix), "_%u", number);
    buf_append(&name, derived->data,
               cut(derived->data, derived->size, NAME_BYTES - strlen(suffix)));
    buf_append_text(&name, suffix);
    return planner_take(planner, &name);
}

const char *planner_new_name(struct planner *planner, const struct ddl_table *table,
                             const char *schema, const char *name)
{
    struct buf derived = {0};

    append_derived(table, name, &derived);
    for (unsigned number = 1; is_taken(planner, schema, name); number++)
        name = numbered(planner, &derived, number);
    buf_free(&derived);
    planner_reserve(planner, schema, name);
    return name;
}
