/* Which tables are copied before which (references.h). */
#include "cli/references.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cli/migration.h"
#include "schema/ident.h"

#include <stdlib.h>

static bool is_parent(const struct copy_parents *parents, uint32_t table)
{
    for (size_t i = 0; i < parents->count; i++)
        if (parents->tables[i] == table)
            return true;
    return false;
}

static void add_parent(struct references *r, uint32_t child, uint32_t parent)
{
    struct copy_parents *parents = &r->parents[child];
    if (is_parent(parents, parent))
        return;
    parents->tables = mem_grow(parents->tables, parents->count + 1, sizeof *parents->tables);
    parents->tables[parents->count++] = parent;
}

/* Of a table that several sources go to, the rows of each refer to its own: they would wait for
 * each other else. */
static void follow_key(const struct migration *m, const struct pg_target_table *child,
                       uint32_t parent_oid, struct references *r)
{
    bool same_table = parent_oid == child->table->oid;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct pg_target_table *parent = &m->targets[i];
        if (parent->table->oid != parent_oid)
            continue;
        if (parent->source == child->source)
            r->own[child->source] = true;
        else if (!same_table)
            add_parent(r, child->source, parent->source);
    }
}

/* The table's level, or -1 while that of a parent is not known. */
static int level_of(const struct references *r, size_t table)
{
    int deepest = -1;
    for (size_t i = 0; i < r->parents[table].count; i++) {
        int level = r->levels[r->parents[table].tables[i]];
        if (level < 0)
            return -1;
        if (level > deepest)
            deepest = level;
    }
    return deepest + 1;
}

static void find_levels(struct references *r)
{
    bool changed = true;
    for (size_t i = 0; i < r->count; i++)
        r->levels[i] = -1;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < r->count; i++) {
            if (r->levels[i] >= 0 || (r->levels[i] = level_of(r, i)) < 0)
                continue;
            changed = true;
            if (r->levels[i] > r->deepest)
                r->deepest = r->levels[i];
        }
    }
}

void references_make(const struct migration *m, struct references *r)
{
    *r = (struct references){
        .count = m->source_count,
        .parents = mem_zero(m->source_count + 1, sizeof *r->parents),
        .own = mem_zero(m->source_count + 1, sizeof *r->own),
        .levels = mem_zero(m->source_count + 1, sizeof *r->levels),
    };
    for (size_t i = 0; !m->target_catalog->can_set_replica_role && i < m->table_count; i++)
        for (uint16_t k = 0; k < m->targets[i].table->foreign_key_count; k++)
            follow_key(m, &m->targets[i], m->targets[i].table->foreign_keys[k].parent_oid, r);
    find_levels(r);
}

static size_t parent_without_level(const struct references *r, size_t table)
{
    const struct copy_parents *parents = &r->parents[table];
    size_t i = 0;
    while (r->levels[parents->tables[i]] >= 0)
        i++;
    return parents->tables[i];
}

static void append_name(const struct migration *m, size_t table, struct buf *text)
{
    char *name = ident_display(m->slot_tables[table].schema, m->slot_tables[table].name);
    buf_append_text(text, name);
    free(name);
}

char *references_circle(const struct migration *m, size_t table)
{
    const struct references *r = &m->references;
    struct buf text = {0};
    if (r->levels[table] >= 0)
        return NULL;
    for (size_t i = 0; i < r->count; i++) /* so many steps up, and it is in the circle */
        table = parent_without_level(r, table);
    size_t first = table;
    append_name(m, table, &text);
    do {
        table = parent_without_level(r, table);
        buf_append_text(&text, " -> ");
        append_name(m, table, &text);
    } while (table != first);
    return buf_steal(&text);
}

void references_free(struct references *r)
{
    for (size_t i = 0; r->parents != NULL && i < r->count; i++)
        free(r->parents[i].tables);
    free(r->parents);
    free(r->own);
    free(r->levels);
    *r = (struct references){0};
}
