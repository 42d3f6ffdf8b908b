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
    shapes->slots = mem_zero(FIRST_SLOTS, sizeof(struct shape *));
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
    const struct shape **old = shapes->slots;
    size_t count = shapes->slot_count;

    shapes->slot_count *= 2;
    shapes->slots = mem_zero(shapes->slot_count, sizeof(struct shape *));
    for (size_t i = 0; i < count; i++)
        if (old[i])
            shapes->slots[slot_of(shapes, old[i]->from)] = old[i];
    free(old);
}

/* --- what the table is --- */

static bool refuse_renamed(const struct table_plan *plan, const struct relation *from,
                           struct err *err)
{
    const struct catalog_table *source = plan->bound->source;

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

bool shape_table(const struct chain_plan *chain, const struct relation *from,
                 const struct table_plan **plan, struct err *err)
{
    *plan = NULL;
    for (size_t i = 0; i < chain->chain.table_count; i++) {
        const struct catalog_table *source = chain->tables[i].bound->source;
        bool same_oid = from->oid == source->oid;
        bool same_name =
            strcmp(from->name, source->name) == 0 && strcmp(from->schema, source->schema) == 0;

        if (!same_oid && !same_name)
            continue;
        *plan = &chain->tables[i];
        if (!same_name)
            return refuse_renamed(*plan, from, err);
        return same_oid || from->oid == 0 || source->oid == 0 ||
               refuse_made_anew(from, source->oid, err);
    }
    return true;
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
            table->columns[i].type_modifier == column->type_modifier)
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
static bool check_missing(const struct shape *shape, const struct source_column *source,
                          struct err *err)
{
    for (uint16_t i = 0; i < shape->plan->bound->column_count; i++) {
        const struct plan_column *column = &shape->plan->columns[i];

        if ((column->spec || column->key) && plan_reads(column, source->column))
            return refuse_shape(shape->plan->bound->source, shape->from, source->column->name,
                                "is gone, and a rule or the key reads it", err);
    }
    return true;
}

static bool place_column(struct shape *shape, uint16_t i, struct err *err)
{
    const struct source_column *source = shape->plan->sources[i];
    int place = relation_column(shape->from, source->column->name);
    const struct column *column = place < 0 ? NULL : &shape->from->columns[place];

    shape->places[i] = place < 0 ? SHAPE_MISSING : (uint16_t)place;
    shape->fixed[i] = column && column->key && shape->from->replica_identity != 'f';
    shape->direct &= place == i;
    if (!column)
        return check_missing(shape, source, err);
    if (column->type_oid != source->column->type_oid)
        return refuse_shape(shape->plan->bound->source, shape->from, column->name,
                            "is of another type", err);
    return true;
}

static bool key_is_sent(const struct shape *shape)
{
    const struct table_plan *plan = shape->plan;

    if (shape->from->replica_identity == 'f')
        return true;
    for (uint16_t i = 0; i < plan->key_count; i++) {
        const struct plan_column *column = &plan->columns[plan->keys[i]];

        for (uint16_t j = 0; j < column->input_count; j++)
            if (!shape->fixed[column->inputs[j]->index])
                return false;
    }
    return true;
}

static bool line_up(struct shapes *shapes, struct shape *shape, struct err *err)
{
    uint16_t count = shape->plan->bound->source_relation->column_count;

    shape->places = arena_alloc(&shapes->arena, (count + 1u) * sizeof(*shape->places));
    shape->fixed = arena_alloc(&shapes->arena, (count + 1u) * sizeof(*shape->fixed));
    shape->direct = count == shape->from->column_count;
    if (!check_known(shape->plan->bound->source, shape->from, err))
        return false;
    for (uint16_t i = 0; i < count; i++)
        if (!place_column(shape, i, err))
            return false;
    shape->identifies = key_is_sent(shape);
    return true;
}

static bool make_shape(struct shapes *shapes, const struct chain_plan *chain,
                       const struct relation *from, const struct shape **made, uint32_t *table,
                       struct err *err)
{
    struct shape *shape = arena_alloc(&shapes->arena, sizeof(*shape));

    *shape = (struct shape){.from = from};
    if (!shape_table(chain, from, &shape->plan, err)) {
        *table = shape->plan->bound->target_relation->table;
        return false;
    }
    if (shape->plan)
        *table = shape->plan->bound->target_relation->table;
    if (shape->plan && !line_up(shapes, shape, err))
        return false;
    if (++shapes->used * 2 > shapes->slot_count)
        grow(shapes);
    shapes->slots[slot_of(shapes, from)] = shape;
    *made = shape;
    return true;
}

bool shapes_find(struct shapes *shapes, const struct chain_plan *chain,
                 const struct relation *from, const struct shape **shape, uint32_t *table,
                 struct err *err)
{
    const struct shape *found = shapes->last;

    *table = UINT32_MAX;
    if (!found || found->from != from) {
        found = shapes->slots[slot_of(shapes, from)];
        if (!found && !make_shape(shapes, chain, from, &found, table, err))
            return false;
        shapes->last = found;
    }
    if (found->plan)
        *table = found->plan->bound->target_relation->table;
    *shape = found;
    return true;
}
