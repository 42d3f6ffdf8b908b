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
    err_set(err, ERR_SHAPE, "source table %s.%s is called %s.%s in the stream", source->schema,
            source->name, from->schema, from->name);
    return err_remedy(err,
                      "Name it back, or mend the rules and the target and run again; nothing "
                      "after this change was applied.");
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

/* Of pg_type: the built-in ones that columns are altered to and from. */
static const struct {
    uint32_t oid;
    const char *name;
} common_types[] = {
    {16, "boolean"},
    {17, "bytea"},
    {20, "bigint"},
    {21, "smallint"},
    {23, "integer"},
    {25, "text"},
    {114, "json"},
    {700, "real"},
    {701, "double precision"},
    {1042, "character"},
    {1043, "character varying"},
    {1082, "date"},
    {1083, "time without time zone"},
    {1114, "timestamp without time zone"},
    {1184, "timestamp with time zone"},
    {1700, "numeric"},
    {2950, "uuid"},
    {3802, "jsonb"},
};

/* Types of the stream are OIDs: named where the bound table has a column of the type. */
static const char *type_text(const struct catalog_table *table, const struct column *column,
                             char *number, size_t size)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (table->columns[i].type_oid == column->type_oid &&
            catalog_shown_modifier(&table->columns[i]) == column->type_modifier)
            return table->columns[i].type_name;
    for (size_t i = 0; i < sizeof(common_types) / sizeof(*common_types); i++)
        if (common_types[i].oid == column->type_oid)
            return common_types[i].name;
    snprintf(number, size, "type %u", column->type_oid);
    return number;
}

/* "-": the stream has it no more; "~": it is of another type there; "+": it is new there. */
static const char *bound_mark(const struct catalog_column *column, const struct relation *from)
{
    int place = relation_column(from, column->name);

    if (column->generated)
        return "";
    return place < 0 ? "-" : from->columns[place].type_oid != column->type_oid ? "~" : "";
}

static void list_bound(const struct catalog_table *table, const struct relation *from,
                       struct buf *text)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        buf_append_format(text, "%s%s%s %s", i ? ", " : "",
                          bound_mark(&table->columns[i], from), table->columns[i].name,
                          table->columns[i].type_name);
}

static const char *streamed_mark(const struct catalog_table *table, const struct column *column)
{
    int place = catalog_column_index(table, column->name);

    return place < 0 ? "+" : table->columns[place].type_oid != column->type_oid ? "~" : "";
}

static void list_streamed(const struct catalog_table *table, const struct relation *from,
                          struct buf *text)
{
    char number[32];

    for (uint16_t i = 0; i < from->column_count; i++)
        buf_append_format(text, "%s%s%s %s", i ? ", " : "",
                          streamed_mark(table, &from->columns[i]), from->columns[i].name,
                          type_text(table, &from->columns[i], number, sizeof(number)));
}

static bool refuse_shape(const struct catalog_table *table, const struct relation *from,
                         const char *what, struct err *err)
{
    struct buf bound = {0}, streamed = {0};

    list_bound(table, from, &bound);
    list_streamed(table, from, &streamed);
    err_set(err, ERR_SHAPE,
            "source table %s.%s has changed: %s; bound: (%.350s); in the stream: (%.350s)",
            table->schema, table->name, what, buf_text(&bound), buf_text(&streamed));
    buf_free(&bound);
    buf_free(&streamed);
    return err_remedy(
        err,
        "Mend the target table and the rules to fit the new shape, then run again: "
        "nothing after this change was applied. If the source has changed once more "
        "since: `slackwater run --redo %s.%s` copies the table anew.",
        table->schema, table->name);
}

static bool refuse_column(const struct catalog_table *table, const struct relation *from,
                          const char *column, const char *what, struct err *err)
{
    struct buf text = {0};

    buf_append_format(&text, "column \"%s\" %s", column, what);
    refuse_shape(table, from, buf_text(&text), err);
    buf_free(&text);
    return false;
}

static bool check_known(const struct catalog_table *table, const struct relation *from,
                        struct err *err)
{
    for (uint16_t i = 0; i < from->column_count; i++)
        if (!from->columns[i].gone && catalog_column_index(table, from->columns[i].name) < 0)
            return refuse_column(table, from, from->columns[i].name, "is new", err);
    return !from->strange ||
           refuse_shape(table, from, "which column is which cannot be told", err);
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
    return !read || refuse_column(shape->plan->bound->source, from, source->column->name,
                                  "is not there, and a rule or the key reads it", err);
}

/* A column that is gone may have the name of one that there is. */
static int find_place(const struct relation *from, const char *name)
{
    for (uint16_t i = 0; i < from->column_count; i++)
        if (!from->columns[i].gone && strcmp(from->columns[i].name, name) == 0)
            return i;
    return -1;
}

/* Of a type that the column had before, a value is read as what it has become by now: from its
 * text, if the type is another one and not only its length or precision. */
static bool type_passes(const struct shape *shape, const struct source_column *source,
                        const struct column *column)
{
    bool same = column->type_oid == source->column->type_oid;

    if (!shape->former)
        return same;
    if (same && column->type_modifier == catalog_shown_modifier(source->column))
        return true;
    return (same || shape->any_type) &&
           former_had_type(shape->former, shape->plan->bound->source->oid,
                           source->column->number, column->type_oid, column->type_modifier);
}

static bool place_column(struct shape *shape, const struct relation *from, uint16_t i,
                         struct err *err)
{
    const struct source_column *source = shape->plan->sources[i];
    int place = find_place(from, source->column->name);
    const struct column *column = place < 0 ? NULL : &from->columns[place];

    shape->places[i] = place < 0 ? SHAPE_MISSING : (uint16_t)place;
    shape->fixed[i] = column && column->key && from->replica_identity != 'f';
    shape->direct &= place == i;
    if (!column)
        return check_missing(shape, from, source, err);
    return type_passes(shape, source, column) ||
           refuse_column(shape->plan->bound->source, from, column->name, "is of another type",
                         err);
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
        set->shapes[i] = (struct shape){.plan = &chain->tables[source->first_table + i],
                                        .former = chain->former,
                                        .any_type = chain->any_type};
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
