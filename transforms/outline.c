/* See outline.h. The columns of a target table stand in this order:
 *
 *     key columns that no source column is behind     (tenant_id)
 *     the source's columns in their order, each under its new name, or what a rule makes of it
 *     whatever else the rules make */
#include "transforms/outline.h"

#include "base/mem.h"
#include "transforms/bind.h"

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

/* --- one table: names first --- */

struct drawing {
    struct arena *arena;
    const struct table_spec *spec;
    struct outline_table *table;
    const struct column_spec **entries; /* by column; NULL: carried over unnamed */
};

static void add_column(struct drawing *drawing, const struct column_spec *entry,
                       const struct catalog_column *source)
{
    struct outline_table *table = drawing->table;

    drawing->entries[table->column_count] = entry;
    table->columns[table->column_count++] =
        (struct outline_column){.name = entry ? entry->name : source->name,
                                .type = entry ? entry->type : NULL,
                                .source = source};
}

static void add_entries(struct drawing *drawing, int place, bool of_key)
{
    const struct table_spec *spec = drawing->spec;

    for (size_t i = 0; i < spec->column_count; i++) {
        const struct column_spec *column = &spec->columns[i];

        if (place_of(drawing->table->source, column) == place &&
            (place >= 0 || in_key(spec, column->name) == of_key))
            add_column(drawing, column, NULL);
    }
}

static void add_source_columns(struct drawing *drawing)
{
    const struct catalog_table *source = drawing->table->source;

    for (uint16_t i = 0; i < source->column_count; i++) {
        const char *name = source->columns[i].name;

        if (!is_dropped(drawing->spec, name) && !has_entry(drawing->spec, name))
            add_column(drawing, NULL, &source->columns[i]);
        add_entries(drawing, i, false);
    }
}

static void name_columns(struct drawing *drawing)
{
    struct outline_table *table = drawing->table;
    size_t most = table->source->column_count + drawing->spec->column_count + 1;

    table->columns = arena_alloc(drawing->arena, most * sizeof(*table->columns));
    drawing->entries = arena_alloc(drawing->arena, most * sizeof(*drawing->entries));
    add_entries(drawing, -1, true);
    add_source_columns(drawing);
    add_entries(drawing, -1, false);
}

/* --- then what the rules make of them --- */

/* A target with these columns, of types that nothing is known of: enough to bind the rules. */
static const struct catalog_table *imagine(const struct drawing *drawing)
{
    static char unknown[] = "";
    const struct outline_table *table = drawing->table;
    struct catalog_table *target = arena_alloc(drawing->arena, sizeof(*target));
    size_t count = table->column_count;

    *target = (struct catalog_table){.schema = (char *)table->schema,
                                     .name = (char *)table->name,
                                     .column_count = (uint16_t)count};
    target->columns = arena_alloc(drawing->arena, (count + 1) * sizeof(*target->columns));
    for (size_t i = 0; i < count; i++)
        target->columns[i] = (struct catalog_column){
            .name = (char *)table->columns[i].name, .type_name = unknown, .base_type = unknown};
    return target;
}

static void take_rules(struct drawing *drawing, const struct binder *binder)
{
    for (size_t i = 0; i < drawing->table->column_count; i++) {
        struct outline_column *column = &drawing->table->columns[i];
        const struct rule *rule = binder->columns[i].rule;

        if (!drawing->entries[i] || !rule)
            continue;
        column->source = rule->plain ? rule->plain->column : NULL;
        column->constant = rule->constant != NULL;
        if (rule->formula)
            column->expression = expression_text(drawing->entries[i]->steps[0].state);
        if (rule->constant && rule->constant->kind == VALUE_TEXT)
            column->value =
                text_copy_sized(drawing->arena, rule->constant->data, rule->constant->size);
    }
}

static const char *const *column_names(const struct drawing *drawing)
{
    const struct outline_table *table = drawing->table;
    const char **names =
        arena_alloc(drawing->arena, (table->column_count + 1) * sizeof(*names));

    for (size_t i = 0; i < table->column_count; i++)
        names[i] = table->columns[i].name;
    names[table->column_count] = NULL;
    return names;
}

static bool take_key(struct drawing *drawing, struct err *err)
{
    const struct table_spec *spec = drawing->spec;
    struct outline_table *table = drawing->table;

    table->keys = arena_alloc(drawing->arena, (spec->key_count + 1) * sizeof(*table->keys));
    for (size_t i = 0; i < spec->key_count; i++) {
        if (!outline_column(table, spec->keys[i].name))
            return err_set(
                err, ERR_CONFIG,
                "%s: key: \"%s\" is neither made by a rule of this table nor a "
                "column of %s.%s that is carried%s",
                spec->keys[i].where, spec->keys[i].name, table->source->schema,
                table->source->name,
                text_did_you_mean(drawing->arena, spec->keys[i].name, column_names(drawing)));
        table->keys[table->key_count++] = spec->keys[i].name;
    }
    return true;
}

static bool draw_pair(struct binding *binding, struct pair *pair, struct outline_table *table,
                      struct err *err)
{
    const struct table_spec *spec = pair->spec;
    struct drawing drawing = {.arena = &binding->chain->arena, .spec = spec, .table = table};
    struct binder binder;

    *table = (struct outline_table){.source = pair->source,
                                    .schema = pair->name.schema,
                                    .name = pair->name.name,
                                    .where = spec->source.where,
                                    .partial = spec->where || spec->route};
    name_columns(&drawing);
    pair->target = imagine(&drawing);
    binder = bind_open(binding, pair);
    bind_conditions(&binder);
    bind_columns(&binder);
    take_rules(&drawing, &binder);
    return take_key(&drawing, err);
}

/* --- the whole --- */

/* What an expression reads matters to those who write rows; its type is asked by who needs it. */
static bool read_nothing(void *context, const struct formula_request *request,
                         struct arena *arena, struct formula_facts *facts, struct err *err)
{
    bool *reads = arena_alloc(arena, (request->column_count + 1u) * sizeof(*reads));

    (void)context;
    (void)err;
    for (uint16_t i = 0; i <= request->column_count; i++)
        reads[i] = false;
    *facts = (struct formula_facts){.reads = reads};
    return true;
}

static bool draw_all(struct binding *binding, struct outline *outline, struct err *err)
{
    bind_tables(binding);
    if (!bind_verdict(binding->findings, 0, err))
        return false;
    outline->tables = arena_alloc(&binding->chain->arena,
                                  (binding->pair_count + 1) * sizeof(*outline->tables));
    for (size_t i = 0; i < binding->pair_count; i++)
        if (!draw_pair(binding, &binding->pairs[i], &outline->tables[outline->table_count++],
                       err))
            return false;
    return bind_verdict(binding->findings, 0, err);
}

/* The arena that the rules are bound in is the outline's: what it says of them lives there. */
bool rules_outline(const struct rules *rules, const struct catalog *source,
                   struct outline **outline, struct err *err)
{
    struct outline *drawn = mem_zero(1, sizeof(*drawn));
    struct chain_plan plan = {0};
    struct findings findings = {0};
    const struct formula_reader unasked = {.read = read_nothing};
    struct binding binding = {.rules = rules,
                              .source = source,
                              .formulas = &unasked,
                              .findings = &findings,
                              .chain = &plan};
    bool ok;

    arena_init(&plan.arena, 0);
    ok = draw_all(&binding, drawn, err);
    findings_free(&findings);
    drawn->arena = plan.arena;
    if (ok)
        *outline = drawn;
    else
        outline_free(drawn);
    return ok;
}
