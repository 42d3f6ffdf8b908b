/* See outline.h. The columns of a target table stand in this order:
 *
 *     key columns that no source column is behind     (tenant_id)
 *     the source's columns in their order, each under its new name, or what a rule makes of it
 *     whatever else the rules make */
#include "transforms/outline.h"

#include "base/mem.h"
#include "transforms/spec.h"
#include "transforms/text.h"

#include <string.h>

static bool is_dropped(const struct table_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->drop_count; i++)
        if (strcmp(spec->drops[i].name, name) == 0)
            return true;
    return false;
}

static bool has_entry(const struct table_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->column_count; i++)
        if (strcmp(spec->columns[i].name, name) == 0)
            return true;
    return false;
}

static bool in_key(const struct table_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->key_count; i++)
        if (strcmp(spec->keys[i].name, name) == 0)
            return true;
    return false;
}

/* The source column that an entry begins with. */
static const char *beginning(const struct column_spec *spec)
{
    return spec->steps[0].kind == &rule_from ? spec->steps[0].state : NULL;
}

/* Where among the source's columns an entry stands; -1: nowhere. */
static int place_of(const struct catalog_table *source, const struct column_spec *spec)
{
    const char *name = beginning(spec);

    return catalog_column_index(source, name ? name : spec->name);
}

static bool outline_entry(const struct catalog_table *source, const struct column_spec *spec,
                          struct outline_column *column, struct err *err)
{
    const char *name = beginning(spec);
    int index = name ? catalog_column_index(source, name) : -1;
    bool alone = spec->step_count == 1;

    *column = (struct outline_column){.name = spec->name, .type = spec->type};
    if (name && index < 0)
        return err_set(err, ERR_CONFIG, "%s: source table %s.%s has no column \"%s\"",
                       spec->where, source->schema, source->name, name);
    if (name && alone)
        column->source = &source->columns[index];
    if (alone && spec->steps[0].kind == &rule_value) {
        const struct constant *constant = spec->steps[0].state;

        column->constant = true;
        column->value = constant->value.kind == VALUE_NULL ? NULL : constant->value.data;
    }
    if (spec->steps[0].kind == &rule_formula)
        column->expression = expression_text(spec->steps[0].state);
    return true;
}

/* --- one table --- */

struct drawing {
    const struct table_spec *spec;
    struct outline_table *table;
    struct err *err;
};

static bool add_entries(struct drawing *drawing, int place, bool of_key)
{
    const struct table_spec *spec = drawing->spec;
    struct outline_table *table = drawing->table;

    for (size_t i = 0; i < spec->column_count; i++) {
        const struct column_spec *column = &spec->columns[i];

        if (place_of(table->source, column) != place ||
            (place < 0 && in_key(spec, column->name) != of_key))
            continue;
        if (!outline_entry(table->source, column, &table->columns[table->column_count++],
                           drawing->err))
            return false;
    }
    return true;
}

static bool add_source_columns(struct drawing *drawing)
{
    struct outline_table *table = drawing->table;

    for (uint16_t i = 0; i < table->source->column_count; i++) {
        const struct catalog_column *column = &table->source->columns[i];

        if (!is_dropped(drawing->spec, column->name) && !has_entry(drawing->spec, column->name))
            table->columns[table->column_count++] =
                (struct outline_column){.name = column->name, .source = column};
        if (!add_entries(drawing, i, false))
            return false;
    }
    return true;
}

static bool take_key(struct drawing *drawing, struct arena *arena)
{
    const struct table_spec *spec = drawing->spec;
    struct outline_table *table = drawing->table;

    table->keys = arena_alloc(arena, (spec->key_count + 1) * sizeof(*table->keys));
    for (size_t i = 0; i < spec->key_count; i++) {
        if (!outline_column(table, spec->keys[i].name))
            return err_set(drawing->err, ERR_CONFIG,
                           "%s: key: \"%s\" is neither made by a rule of this table nor a "
                           "column of %s.%s that is carried",
                           spec->keys[i].where, spec->keys[i].name, table->source->schema,
                           table->source->name);
        table->keys[table->key_count++] = spec->keys[i].name;
    }
    return true;
}

static bool draw_table(const struct table_spec *spec, const struct catalog_table *source,
                       struct arena *arena, struct outline_table *table, struct err *err)
{
    struct drawing drawing = {.spec = spec, .table = table, .err = err};
    size_t most = source->column_count + spec->column_count + 1;

    *table = (struct outline_table){
        .source = source,
        .schema = spec->target.schema,
        .name = spec->target.name,
        .columns = arena_alloc(arena, most * sizeof(struct outline_column)),
    };
    return add_entries(&drawing, -1, true) && add_source_columns(&drawing) &&
           add_entries(&drawing, -1, false) && take_key(&drawing, arena);
}

/* --- which tables --- */

static bool draw_named(const struct rules *rules, const struct catalog *source,
                       struct outline *outline, struct err *err)
{
    for (size_t i = 0; i < rules->table_count; i++) {
        const struct table_spec *spec = &rules->tables[i];
        const struct catalog_table *table =
            catalog_find(source, spec->source.schema, spec->source.name);

        if (!table)
            return err_set(err, ERR_CONFIG, "%s: source table %s.%s does not exist",
                           spec->source.where, spec->source.schema, spec->source.name);
        if (!draw_table(spec, table, &outline->arena, &outline->tables[outline->table_count++],
                        err))
            return false;
    }
    return true;
}

/* As rules_bind() does without `tables`. */
static bool draw_all(const struct catalog *source, struct outline *outline, struct err *err)
{
    for (size_t i = 0; i < source->table_count; i++) {
        const struct catalog_table *table = &source->tables[i];
        struct table_spec spec = {.target = {.schema = table->schema, .name = table->name}};

        if (!table->is_partition && table->persistence == 'p' &&
            !draw_table(&spec, table, &outline->arena, &outline->tables[outline->table_count++],
                        err))
            return false;
    }
    return true;
}

bool rules_outline(const struct rules *rules, const struct catalog *source,
                   struct outline **outline, struct err *err)
{
    struct outline *drawn = mem_zero(1, sizeof(*drawn));
    size_t most = rules->all_tables ? source->table_count : rules->table_count;

    arena_init(&drawn->arena, 0);
    drawn->tables = arena_alloc(&drawn->arena, (most + 1) * sizeof(*drawn->tables));
    if (!(rules->all_tables ? draw_all(source, drawn, err)
                            : draw_named(rules, source, drawn, err))) {
        outline_free(drawn);
        return false;
    }
    *outline = drawn;
    return true;
}
