/* See shape.h. */
#include "transforms/shape.h"

#include "base/mem.h"
#include "transforms/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 64

void shapes_init(struct shapes *shapes)
{
    *shapes = (struct shapes){.slot_count = FIRST_SLOTS};
    arena_init(&shapes->arena, 0);
    shapes->slots = mem_zero(FIRST_SLOTS, sizeof(struct shape_set *));
}

void shapes_free(struct shapes *shapes)
{
    free(shapes->slots);
    arena_free(&shapes->arena);
}

static size_t slot_of(const struct shapes *shapes, const struct relation *from)
{
    uint64_t hash = (uint64_t)(uintptr_t)from * 0x9e3779b97f4a7c15u;
    size_t mask = shapes->slot_count - 1;
    size_t slot = (size_t)(hash >> 32) & mask;

    while (shapes->slots[slot] && shapes->slots[slot]->from != from)
        slot = (slot + 1) & mask;
    return slot;
}

static void grow(struct shapes *shapes)
{
    const struct shape_set **old = shapes->slots;
    size_t count = shapes->slot_count;

    shapes->slot_count *= 2;
    shapes->slots = mem_zero(shapes->slot_count, sizeof(struct shape_set *));
    for (size_t i = 0; i < count; i++)
        if (old[i])
            shapes->slots[slot_of(shapes, old[i]->from)] = old[i];
    free(old);
}

/* --- what the table is --- */

static bool refuse_renamed(const struct catalog_table *source, const struct relation *from,
                           struct err *err)
{
    err_set(err, ERR_DATA, "source table %s.%s is called %s.%s in the stream", source->schema,
            source->name, from->schema, from->name);
    return err_remedy(err, "Name it back, or mend the rules and the target and run again.");
}

static bool refuse_made_anew(const struct relation *from, uint32_t oid, struct err *err)
{
    err_set(err, ERR_DATA,
            "source table %s.%s is not the one the rules were bound to: its OID is %u in the "
            "stream and was %u",
            from->schema, from->name, from->oid, oid);
    return err_remedy(err, "The table was dropped and made anew. Copy it again: clean up and "
                           "run the migration from the start.");
}

static bool has_name(const struct catalog_table *table, const struct relation *from)
{
    return strcmp(from->name, table->name) == 0 && strcmp(from->schema, table->schema) == 0;
}

const struct bound_source *shape_source(const struct chain_plan *chain,
                                        const struct relation *from)
{
    for (size_t i = 0; i < chain->chain.source_count; i++) {
        const struct bound_source *source = &chain->chain.sources[i];

        if (from->oid == source->table->oid || has_name(source->table, from))
            return source;
    }
    return NULL;
}

bool shape_check_source(const struct bound_source *source, const struct relation *from,
                        struct err *err)
{
    uint32_t oid = source->table->oid;

    if (!has_name(source->table, from))
        return refuse_renamed(source->table, from, err);
    return from->oid == oid || from->oid == 0 || oid == 0 || refuse_made_anew(from, oid, err);
}

/* --- whether its columns fit --- */

static void list_bound(const struct catalog_table *table, struct buf *text)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        buf_append_format(text, "%s%s %s", i ? ", " : "", table->columns[i].name,
                          table->columns[i].type_name);
}

/* Types of the stream are OIDs: named where the bound table has a column of the type. */
static const char *type_text(const struct catalog_table *table, const struct column *column,
                             char *number, size_t size)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (table->columns[i].type_oid == column->type_oid &&
            catalog_shown_modifier(&table->columns[i]) == column->type_modifier)
            return table->columns[i].type_name;
    snprintf(number, size, "type %u", column->type_oid);
    return number;
}

static void list_streamed(const struct catalog_table *table, const struct relation *from,
                          struct buf *text)
{
    char number[32];

    for (uint16_t i = 0; i < from->column_count; i++)
        buf_append_format(text, "%s%s %s", i ? ", " : "", from->columns[i].name,
                          type_text(table, &from->columns[i], number, sizeof(number)));
}

static bool refuse_shape(const struct catalog_table *table, const struct relation *from,
                         const char *column, const char *what, struct err *err)
{
    struct buf bound = {0}, streamed = {0};

    list_bound(table, &bound);
    list_streamed(table, from, &streamed);
    err_set(err, ERR_DATA,
            "source table %s.%s has changed: column \"%s\" %s; bound: (%.350s); in the stream: "
            "(%.350s)",
            table->schema, table->name, column, what, buf_text(&bound), buf_text(&streamed));
    buf_free(&bound);
    buf_free(&streamed);
    return err_remedy(err, "Mend the target table and the rules to fit the new shape, then run "
                           "again; nothing after this change was applied.");
}

static bool check_known(const struct catalog_table *table, const struct relation *from,
                        struct err *err)
{
    for (uint16_t i = 0; i < from->column_count; i++)
        if (catalog_column_index(table, from->columns[i].name) < 0)
            return refuse_shape(table, from, from->columns[i].name, "is new", err);
    return true;
}

/* A column that is gone is left out of the writes, unless a rule of the file or the key reads
 * it. */
static bool check_missing(const struct shape *shape, const struct relation *from,
                          const struct source_column *source, struct err *err)
{
    bool read = plan_reads(&shape->plan->conditions, source->column);

    for (uint16_t i = 0; i < shape->plan->bound->column_count; i++) {
        const struct plan_column *column = &shape->plan->columns[i];

        read |= (column->spec || column->key) && plan_reads(column, source->column);
    }
    return !read || refuse_shape(shape->plan->bound->source, from, source->column->name,
                                 "is gone, and a rule or the key reads it", err);
}

static bool place_column(struct shape *shape, const struct relation *from, uint16_t i,
                         struct err *err)
{
    const struct source_column *source = shape->plan->sources[i];
    int place = relation_column(from, source->column->name);
    const struct column *column = place < 0 ? NULL : &from->columns[place];

    shape->places[i] = place < 0 ? SHAPE_MISSING : (uint16_t)place;
    shape->fixed[i] = column && column->key && from->replica_identity != 'f';
    shape->direct &= place == i;
    if (!column)
        return check_missing(shape, from, source, err);
    if (column->type_oid != source->column->type_oid)
        return refuse_shape(shape->plan->bound->source, from, column->name,
                            "is of another type", err);
    return true;
}

static bool key_is_sent(const struct shape *shape, const struct relation *from)
{
    const struct table_plan *plan = shape->plan;

    if (from->replica_identity == 'f')
        return true;
    for (uint16_t i = 0; i < plan->key_count; i++) {
        const struct plan_column *column = &plan->columns[plan->keys[i]];

        for (uint16_t j = 0; j < column->input_count; j++)
            if (!shape->fixed[column->inputs[j]->index])
                return false;
    }
    return true;
}

static bool line_up(struct shapes *shapes, const struct relation *from, struct shape *shape,
                    struct err *err)
{
    uint16_t count = shape->plan->bound->source_relation->column_count;

    shape->places = arena_alloc(&shapes->arena, (count + 1u) * sizeof(*shape->places));
    shape->fixed = arena_alloc(&shapes->arena, (count + 1u) * sizeof(*shape->fixed));
    shape->direct = count == from->column_count;
    if (!check_known(shape->plan->bound->source, from, err))
        return false;
    for (uint16_t i = 0; i < count; i++)
        if (!place_column(shape, from, i, err))
            return false;
    shape->identifies = key_is_sent(shape, from);
    return true;
}

static bool make_set(struct shapes *shapes, const struct chain_plan *chain,
                     const struct relation *from, const struct shape_set **made,
                     struct err *err)
{
    struct shape_set *set = arena_alloc(&shapes->arena, sizeof(*set));
    const struct bound_source *source = shape_source(chain, from);

    *set = (struct shape_set){.from = from, .count = source ? source->table_count : 0};
    if (source && !shape_check_source(source, from, err))
        return false;
    set->shapes = arena_alloc(&shapes->arena, (set->count + 1) * sizeof(*set->shapes));
    for (size_t i = 0; i < set->count; i++) {
        set->shapes[i] = (struct shape){.plan = &chain->tables[source->first_table + i]};
        if (!line_up(shapes, from, &set->shapes[i], err))
            return false;
    }
    if (++shapes->used * 2 > shapes->slot_count)
        grow(shapes);
    shapes->slots[slot_of(shapes, from)] = set;
    *made = set;
    return true;
}

bool shapes_find(struct shapes *shapes, const struct chain_plan *chain,
                 const struct relation *from, const struct shape_set **set, struct err *err)
{
    const struct shape_set *found = shapes->last;

    if (!found || found->from != from) {
        found = shapes->slots[slot_of(shapes, from)];
        if (!found && !make_set(shapes, chain, from, &found, err))
            return false;
        shapes->last = found;
    }
    *set = found;
    return true;
}
