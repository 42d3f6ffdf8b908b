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
    r->any = true;
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

/* Nobody waits for a table that is copied. NULL: all are to be. */
static bool is_pending(const bool *pending, size_t table)
{
    return pending == NULL || pending[table];
}

/* The table's level, or -1 while that of a parent is not known. */
static int level_of(const struct references *r, const bool *pending, const int *levels,
                    size_t table)
{
    int deepest = -1;
    for (size_t i = 0; i < r->parents[table].count; i++) {
        uint32_t parent = r->parents[table].tables[i];
        int level = levels[parent];
        if (!is_pending(pending, parent))
            continue;
        if (level < 0)
            return -1;
        if (level > deepest)
            deepest = level;
    }
    return deepest + 1;
}

static void find_levels(const struct references *r, const bool *pending, int *levels)
{
    bool changed = true;
    for (size_t i = 0; i < r->count; i++)
        levels[i] = -1;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < r->count; i++) {
            if (levels[i] >= 0 || (levels[i] = level_of(r, pending, levels, i)) < 0)
                continue;
            changed = true;
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
    find_levels(r, NULL, r->levels);
    for (size_t i = 0; i < r->count; i++)
        if (r->levels[i] > r->deepest)
            r->deepest = r->levels[i];
}

static size_t parent_without_level(const struct references *r, const bool *pending,
                                   const int *levels, size_t table)
{
    const struct copy_parents *parents = &r->parents[table];
    size_t i = 0;
    while (levels[parents->tables[i]] >= 0 || !is_pending(pending, parents->tables[i]))
        i++;
    return parents->tables[i];
}

static void append_name(const struct migration *m, size_t table, struct buf *text)
{
    char *name = ident_display(m->slot_tables[table].schema, m->slot_tables[table].name);
    buf_append_text(text, name);
    free(name);
}

static char *name_circle(const struct migration *m, const bool *pending, const int *levels,
                         size_t table)
{
    const struct references *r = &m->references;
    struct buf text = {0};
    for (size_t i = 0; i < r->count; i++) /* so many steps up, and it is in the circle */
        table = parent_without_level(r, pending, levels, table);
    size_t first = table;
    append_name(m, table, &text);
    do {
        table = parent_without_level(r, pending, levels, table);
        buf_append_text(&text, " -> ");
        append_name(m, table, &text);
    } while (table != first);
    return buf_steal(&text);
}

char *references_circle(const struct migration *m, const bool *pending, size_t table)
{
    const struct references *r = &m->references;
    int *levels = mem_zero(r->count + 1, sizeof *levels);
    find_levels(r, pending, levels);
    char *circle = levels[table] >= 0 ? NULL : name_circle(m, pending, levels, table);
    free(levels);
    return circle;
}

static bool is_ours(const struct migration *m, const struct catalog_table *table)
{
    for (size_t i = 0; i < m->table_count; i++)
        if (m->targets[i].table == table)
            return true;
    return false;
}

static bool refers_to(const struct migration *m, const struct catalog_table *child,
                      size_t source)
{
    for (uint16_t k = 0; k < child->foreign_key_count; k++)
        for (size_t i = 0; i < m->table_count; i++)
            if (m->targets[i].source == source &&
                m->targets[i].table->oid == child->foreign_keys[k].parent_oid)
                return true;
    return false;
}

const struct catalog_table *references_from_outside(const struct migration *m, size_t table)
{
    const struct catalog *catalog = m->target_catalog;
    for (size_t i = 0; !catalog->can_set_replica_role && i < catalog->table_count; i++)
        if (!is_ours(m, &catalog->tables[i]) && refers_to(m, &catalog->tables[i], table))
            return &catalog->tables[i];
    return NULL;
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
