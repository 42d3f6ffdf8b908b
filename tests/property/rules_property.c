/* Do the three faces of the rules agree?
 *
 *     rules_property --dsn DSN [--cases N] [--seed S]
 *
 * Draws tables, rules and rows, lets PostgreSQL evaluate bound_table_select() over the rows and
 * the rules evaluate the same rows here, and holds for every row and target column:
 *
 *  1. both give the same bytes, or NULL there and an error here (unless a step behind the one
 *     that fails fills NULL);
 *  2. with some values unchanged or absent the result is unchanged, absent, an error, or the
 *     same as with all of them known (NULL, where a part that is not known would fail);
 *  3. where the rule claims a way back, the rule of the way back, loaded from its YAML and
 *     bound, gives the source column's text again.
 *
 * Every kind that can be said in SQL must have been met. */
#include "world.h"

#include "schema/types.h"
#include "transforms/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES 8
#define COVERED_CASES 1000 /* so many meet every kind */
#define MOST_KINDS 32

/* What was held. */
static uint64_t without_sql, turned_back;
static uint64_t kinds_met[MOST_KINDS]; /* by kind_at() */

/* --- the drawn table --- */

/* How many columns of the source go over unchanged: the first ones. */
static uint32_t carried_count(const struct world *world)
{
    return world->column_count / 3;
}

static void draw_rules(struct world *world)
{
    struct buf *yaml = &world->yaml;

    buf_append_text(yaml, "tables:\n  - source: public.s\n    target: app.t\n    columns:\n");
    for (uint32_t i = 0; i < RULES; i++) {
        buf_append_format(yaml, "      r%u: ", i);
        draw_entry(&world->draw, world->columns, world->column_count, i, yaml);
        buf_append_char(yaml, '\n');
    }
    buf_append_text(yaml, "    drop: [");
    for (uint32_t i = carried_count(world); i < world->column_count; i++)
        buf_append_format(yaml, "%s%s", i == carried_count(world) ? "" : ", ",
                          world->columns[i].name);
    buf_append_text(yaml, "]\n");
}

static bool make_tables(struct world *world)
{
    struct buf target = {0};
    bool made;

    world_draw_columns(world);
    buf_append_text(&target, "CREATE TABLE app.t (id int8 PRIMARY KEY");
    world_declare(world, carried_count(world), &target);
    for (uint32_t i = 0; i < RULES; i++)
        buf_append_format(&target, ", r%u text", i);
    buf_append_text(&target, ");");
    draw_rules(world);
    made = world_make(world, buf_text(&target));
    buf_free(&target);
    return made;
}

/* --- reading both sides --- */

/* Everything that is read can be turned to text here. */
static bool all_have_text(const struct world *world)
{
    const struct bound_table *table = &world->chain->tables[0];

    for (uint16_t i = 0; i < table->source_relation->column_count; i++) {
        int index =
            catalog_column_index(table->source, table->source_relation->columns[i].name);

        if (!type_has_text(type_codec_for(&table->source->columns[index])))
            return false;
    }
    return true;
}

static bool read_sql(struct world *world)
{
    struct buf sql = {0};

    bound_table_select(&world->chain->tables[0], &sql);
    buf_append_text(&sql, " ORDER BY s.id");
    world->sql = world_ask(world, buf_text(&sql), 0);
    buf_free(&sql);
    return world->sql != NULL;
}

/* --- what is held --- */

static bool complain(struct world *world, int row, const struct bound_column *column,
                     const char *what, const struct value *wanted, const struct value *got)
{
    struct buf sql = {0};

    fprintf(stderr, "FAILED row %d, column %s: %s\n  wanted %s\n  got    %s\n", row,
            column->target->name, what, world_show(wanted), world_show(got));
    if (!column->no_sql)
        rule_sql(column->rule, &sql);
    fprintf(stderr, "  sql %s\n%s  replay: --seed %llu --cases 1\n", buf_text(&sql),
            buf_text(&world->yaml), (unsigned long long)world->seed);
    buf_free(&sql);
    return false;
}

/* PostgreSQL prints char(n) with its blanks, rules work without. */
static void trim(const struct bound_column *column, struct value *value)
{
    const struct source_column *plain = column->rule->plain;

    while (plain && plain->blank_padded && value->kind == VALUE_TEXT && value->size &&
           value->data[value->size - 1] == ' ')
        value->size--;
}

/* The template of this column names a column that another rule makes. */
static bool reads_made(const struct world *world, const struct bound_column *column)
{
    char key[80];
    const char *line, *end, *name;

    snprintf(key, sizeof(key), "\n      %s: ", column->target->name);
    line = strstr(buf_text(&world->yaml), key);
    end = line ? strchr(line + 1, '\n') : NULL;
    name = line ? strstr(line, "{r") : NULL;
    return name && end && name < end;
}

/* A failure is NULL in SQL, unless a step behind it makes something of NULL. */
static bool keeps_null(const struct world *world, const struct bound_column *column)
{
    for (const struct rule *rule = column->rule; rule; rule = rule->input)
        if (rule->kind == &rule_default || rule->kind == &rule_map)
            return false;
    return !reads_made(world, column);
}

static bool same_as_sql(struct world *world, int row, int index, const struct value *got,
                        bool good, const struct err *err)
{
    const struct bound_column *column = &world->chain->tables[0].columns[index];
    struct value wanted = world_value(world->sql, row, index, VALUE_TEXT);

    if (column->no_sql) {
        without_sql++;
        return true;
    }
    trim(column, &wanted);
    if (good ? value_equal(&wanted, got)
             : wanted.kind == VALUE_NULL || !keeps_null(world, column))
        return true;
    return complain(world, row, column, good ? "other in SQL" : err->message, &wanted, got);
}

/* Some values are not known: unchanged in an update, absent in an old key. */
static bool holds_when_less_is_known(struct world *world, int row, int index,
                                     const struct value *values, const struct value *whole,
                                     bool good)
{
    const struct bound_column *column = &world->chain->tables[0].columns[index];
    int count = PQnfields(world->source);
    struct value *less = arena_copy(&world->arena, values, (size_t)count * sizeof(*less));
    bool *fixed = arena_alloc(&world->arena, (size_t)count);
    enum value_kind gap = draw_chance(&world->draw, 50) ? VALUE_UNCHANGED : VALUE_ABSENT;
    struct evaluation in = {.values = less, .arena = &world->arena};
    struct value got;
    struct err err = {0};

    for (int i = 0; i < count; i++) {
        fixed[i] = strcmp(PQfname(world->source, i), "id") == 0;
        if (!fixed[i] && draw_chance(&world->draw, 50))
            less[i] = (struct value){.kind = gap};
    }
    in.fixed = gap == VALUE_UNCHANGED ? fixed : NULL;
    if (!rule_text(column->rule, &in, &got, &err))
        return true;
    if (got.kind == gap || (good ? value_equal(&got, whole)
                                 : got.kind == VALUE_NULL || !keeps_null(world, column)))
        return true;
    return complain(world, row, column, "other when some values are not known", whole, &got);
}

static bool check_row(struct world *world, int row, struct value *made)
{
    const struct bound_table *table = &world->chain->tables[0];
    const struct value *values = world_row(world, row);
    struct evaluation in = {.values = values, .arena = &world->arena};
    bool holds = true;

    for (int i = 0; i < table->column_count && holds; i++) {
        struct err err = {0};
        bool good;

        made[i] = (struct value){.kind = VALUE_ABSENT};
        good = rule_text(table->columns[i].rule, &in, &made[i], &err);
        holds = same_as_sql(world, row, i, &made[i], good, &err) &&
                holds_when_less_is_known(world, row, i, values, &made[i], good);
    }
    return holds;
}

/* --- the way back --- */

struct way_back {
    struct chain *chain;
    const char *source[RULES + MOST_COLUMNS + 1]; /* by target column; NULL: none */
};

static bool is_taken(const struct way_back *back, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (back->source[i] && strcmp(back->source[i], name) == 0)
            return true;
    return false;
}

/* The rules that the inverses say, one for each source column. */
static bool bind_back(struct world *world, struct way_back *back)
{
    const struct bound_table *table = &world->chain->tables[0];
    struct buf yaml = {0}, drop = {0};
    struct err err = {0};

    buf_append_text(&yaml, "tables:\n  - source: app.t\n    target: public.s\n    columns:\n");
    for (int i = 0; i < table->column_count; i++) {
        const char *name = table->columns[i].target->name;
        struct inverse inverse = rule_inverse(table->columns[i].rule);

        buf_append_format(&drop, "%s%s", i ? ", " : "", name);
        if (!inverse.reason && inverse.source_column &&
            !is_taken(back, i, inverse.source_column)) {
            back->source[i] = inverse.source_column;
            buf_append_format(&yaml, "      %s: { from: %s%s }\n", inverse.source_column, name,
                              buf_text(&inverse.steps));
        }
        buf_free(&inverse.steps);
    }
    buf_append_format(&yaml, "    drop: [%s]\n", buf_text(&drop));
    back->chain = world_bind(world, buf_text(&yaml), &err);
    if (!back->chain)
        fprintf(stderr,
                "FAILED: the way back does not bind: %s\n%s%s  replay: --seed %llu "
                "--cases 1\n",
                err.message, buf_text(&yaml), buf_text(&world->yaml),
                (unsigned long long)world->seed);
    buf_free(&yaml);
    buf_free(&drop);
    return back->chain != NULL;
}

static const struct bound_column *column_named(const struct bound_table *table,
                                               const char *name)
{
    for (int i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].target->name, name) == 0)
            return &table->columns[i];
    return NULL;
}

/* What the rules made, in the order in which the way back reads it. */
static struct value *line_up(struct world *world, const struct bound_table *back,
                             const struct value *made)
{
    const struct bound_table *table = &world->chain->tables[0];
    const struct relation *relation = back->source_relation;
    struct value *values =
        arena_alloc(&world->arena, (relation->column_count + 1u) * sizeof(*values));

    for (uint16_t i = 0; i < relation->column_count; i++)
        values[i] = made[column_named(table, relation->columns[i].name) - table->columns];
    return values;
}

static bool source_column_text(struct world *world, int row, const char *name,
                               struct value *value)
{
    const struct relation *relation = world->chain->tables[0].source_relation;
    int index = relation_column(relation, name);
    const struct catalog_table *table = world->chain->tables[0].source;
    const struct catalog_column *meta = &table->columns[catalog_column_index(table, name)];
    struct source_column column = {.column = meta,
                                   .codec = type_codec_for(meta),
                                   .blank_padded =
                                       strcmp(meta->base_type, "pg_catalog.bpchar") == 0,
                                   .index = (uint16_t)index};
    struct evaluation in = {.values = world_row(world, row), .arena = &world->arena};
    struct err err = {0};

    return source_text(&column, &in, value, &err);
}

static bool comes_back(struct world *world, const struct way_back *back, int row,
                       const struct value *made)
{
    const struct bound_table *table = &back->chain->tables[0];
    struct evaluation in = {.values = line_up(world, table, made), .arena = &world->arena};

    for (int i = 0; i < world->chain->tables[0].column_count; i++) {
        const char *name = back->source[i];
        struct value wanted, got = {.kind = VALUE_ABSENT};
        struct err err = {0};

        if (!name || made[i].kind == VALUE_ABSENT ||
            !source_column_text(world, row, name, &wanted))
            continue;
        turned_back++;
        if (!rule_text(column_named(table, name)->rule, &in, &got, &err) ||
            !value_equal(&wanted, &got))
            return complain(world, row, &world->chain->tables[0].columns[i],
                            "its inverse does not give the source's value", &wanted, &got);
    }
    return true;
}

/* --- worlds --- */

static bool check_rows(struct world *world, uint64_t *cases)
{
    struct way_back back = {0};
    struct value made[RULES + MOST_COLUMNS + 1];
    bool holds = bind_back(world, &back);

    for (int row = 0; row < PQntuples(world->source) && holds; row++) {
        holds = check_row(world, row, made) && comes_back(world, &back, row, made);
        world->property->passed += holds;
        *cases -= *cases > 0;
    }
    chain_free(back.chain);
    return holds;
}

/* The kinds of the table, and the forms that a kind turns into; NULL behind the last. */
static const struct rule_kind *kind_at(size_t index)
{
    static const struct rule_kind *const forms[] = {&json_pick, &json_build, NULL};
    size_t count = 0;

    while (rule_kinds[count])
        count++;
    return index < count ? rule_kinds[index] : forms[index - count];
}

static void note_kinds(const struct bound_table *table)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        for (const struct rule *rule = table->columns[i].rule; rule; rule = rule->input)
            for (size_t kind = 0; kind_at(kind); kind++)
                kinds_met[kind] += kind_at(kind) == rule->kind;
}

/* Rules that do not bind (a map over a constant that has no entry for it) are drawn again with
 * the next world. */
static bool check_world(struct world *world, uint64_t *cases)
{
    if (!make_tables(world))
        return false;
    if (!world_bind_drawn(world))
        return true;
    note_kinds(&world->chain->tables[0]);
    return world_read(world, all_have_text(world)) && read_sql(world) &&
           check_rows(world, cases);
}

/* What the target alone evaluates has nothing here to be held against its SQL. */
static bool is_held(const struct rule_kind *kind)
{
    return kind->sql && kind != &rule_formula;
}

static bool sum_up(uint64_t cases)
{
    bool all = true;

    printf("%llu values without SQL, %llu back by an inverse; steps:",
           (unsigned long long)without_sql, (unsigned long long)turned_back);
    for (size_t kind = 0; kind_at(kind); kind++) {
        printf(" %s %llu", kind_at(kind)->key, (unsigned long long)kinds_met[kind]);
        all &= !is_held(kind_at(kind)) || kinds_met[kind] > 0 || cases < COVERED_CASES;
    }
    printf("\n");
    if (!all)
        fprintf(stderr, "FAILED: a kind that can be said in SQL was never drawn (draw.c)\n");
    return all;
}

int main(int argc, char **argv)
{
    return world_main(argc, argv, "rules_property", check_world, sum_up);
}
