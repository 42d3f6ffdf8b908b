/* Do conditions and routes say here what they say in PostgreSQL?
 *
 *     conditions_property --dsn DSN [--cases N] [--seed S]
 *
 * Draws tables, a `where`, mostly a `route`, and rows, and holds for every row and target:
 *
 *  1. the condition is as true here as its SQL is at the server, and never NULL there;
 *  2. the row goes to exactly the targets whose bound_table_select() yields it; a value that the
 *     route does not know is refused and stands in none of them;
 *  3. with some values missing the condition is unknown, or what it is with all of them. */
#include "world.h"

#include "schema/ident.h"
#include "transforms/condition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 3
#define COVERED_CASES 1000

static uint64_t truths[3]; /* by enum truth: rows judged */
static uint64_t unknown, refused, routed, binary_rows;

static bool has_route(const struct world *world)
{
    return strstr(buf_text(&world->yaml), "\n    route: ") != NULL;
}

static void draw_rules(struct world *world)
{
    struct buf *yaml = &world->yaml;
    const struct draw_column *column =
        &world->columns[draw_below(&world->draw, world->column_count)];

    buf_append_text(yaml, "tables:\n  - source: public.s\n");
    if (draw_chance(&world->draw, 60)) {
        buf_append_text(yaml, "    route: ");
        draw_route(&world->draw, column, yaml);
    } else {
        buf_append_text(yaml, "    target: app.a");
    }
    if (!has_route(world) || draw_chance(&world->draw, 60)) {
        buf_append_text(yaml, "\n    where: ");
        draw_condition(&world->draw, world->columns, world->column_count, DEPTH, yaml);
    }
    buf_append_text(yaml, "\n    drop: [");
    for (uint32_t i = 0; i < world->column_count; i++)
        buf_append_format(yaml, "%s%s", i ? ", " : "", world->columns[i].name);
    buf_append_text(yaml, "]\n");
}

/* --- what PostgreSQL says --- */

static bool complain(const struct world *world, int row, const char *what)
{
    fprintf(stderr, "FAILED row %d (%s): %s\n%s  replay: --seed %llu --cases 1\n", row,
            world->format ? "binary" : "text", what, buf_text(&world->yaml),
            (unsigned long long)world->seed);
    return false;
}

static void append_truth(const struct condition *condition, struct buf *sql)
{
    buf_append_text(sql, ", (");
    if (condition)
        condition_sql(condition, sql);
    else
        buf_append_text(sql, "true");
    buf_append_text(sql, ")::text");
}

/* For each row: for each target, `where`, `route`, and whether its SELECT yields the row. */
static bool ask_all(struct world *world)
{
    struct buf sql = {0};

    buf_append_text(&sql, "SELECT s.id");
    for (size_t i = 0; i < world->chain->table_count; i++) {
        const struct bound_table *table = &world->chain->tables[i];

        append_truth(table->where, &sql);
        append_truth(table->route, &sql);
        buf_append_text(&sql, ", (s.id IN (SELECT t.id FROM (");
        bound_table_select(table, &sql);
        buf_append_text(&sql, ") AS t))::text");
    }
    buf_append_text(&sql, " FROM public.s ORDER BY s.id");
    world->sql = world_ask(world, buf_text(&sql), 0);
    buf_free(&sql);
    return world->sql != NULL;
}

static bool is_true(const struct world *world, int row, size_t table, int part)
{
    return strcmp(PQgetvalue(world->sql, row, (int)table * 3 + part + 1), "true") == 0;
}

/* --- what is held --- */

static bool agrees(struct world *world, int row, const struct condition *condition, bool wanted)
{
    struct evaluation in = {.values = world_row(world, row), .arena = &world->arena};
    enum truth truth;
    struct err err = {0};

    if (!condition)
        return true;
    if (!condition_evaluate(condition, &in, &truth, &err))
        return complain(world, row, err.message);
    truths[truth]++;
    binary_rows += world->format;
    return truth == (wanted ? TRUTH_TRUE : TRUTH_FALSE) ||
           complain(world, row,
                    wanted ? "true in PostgreSQL, not here" : "false in PostgreSQL, not here");
}

static bool agrees_in_part(struct world *world, int row, const struct condition *condition,
                           bool whole)
{
    struct value *values = world_row(world, row);
    struct evaluation in = {.values = values, .arena = &world->arena};
    enum truth truth;
    struct err err = {0};

    for (int i = 0; i < PQnfields(world->source); i++)
        if (draw_chance(&world->draw, 50))
            values[i].kind = draw_chance(&world->draw, 50) ? VALUE_ABSENT : VALUE_UNCHANGED;
    if (!condition)
        return true;
    if (!condition_evaluate(condition, &in, &truth, &err))
        return complain(world, row, err.message);
    unknown += truth == TRUTH_UNKNOWN;
    return truth == TRUTH_UNKNOWN || truth == (whole ? TRUTH_TRUE : TRUTH_FALSE) ||
           complain(world, row, "decided otherwise when some values are not known");
}

/* No target has it, although the condition holds: the route's `drop`, or what it refuses. */
static bool stands_nowhere(const struct world *world, int row)
{
    for (size_t i = 0; i < world->chain->table_count; i++)
        if (is_true(world, row, i, 2))
            return false;
    return true;
}

static bool goes_where_it_should(struct world *world, struct transform *transform, int row,
                                 size_t table)
{
    const struct bound_table *bound = &world->chain->tables[table];
    const struct row in = {.count = bound->source_relation->column_count,
                           .values = world_row(world, row)};
    struct row out;
    struct err err = {0};

    switch (transform->ops->row(transform, bound->target_relation, &in, &world->arena, &out,
                                &err)) {
    case TRANSFORM_WRITTEN:
        routed++;
        return is_true(world, row, table, 2) || complain(world, row, "should not be there");
    case TRANSFORM_FILTERED:
        return !is_true(world, row, table, 2) || complain(world, row, "is missing");
    case TRANSFORM_FAILED:
        break;
    case TRANSFORM_REFUSED:
        refused++;
        return (has_route(world) && !strstr(buf_text(&world->yaml), "default: ") &&
                is_true(world, row, table, 0) && stands_nowhere(world, row)) ||
               complain(world, row, err.message);
    }
    return false;
}

static bool check_row(struct world *world, struct transform *transform, int row)
{
    for (size_t i = 0; i < world->chain->table_count; i++) {
        const struct bound_table *table = &world->chain->tables[i];
        bool where = is_true(world, row, i, 0), route = is_true(world, row, i, 1);

        if (!agrees(world, row, table->where, where) ||
            !agrees(world, row, table->route, route) ||
            !agrees_in_part(world, row, table->where, where) ||
            !agrees_in_part(world, row, table->route, route) ||
            !goes_where_it_should(world, transform, row, i))
            return false;
    }
    return true;
}

static bool check_world(struct world *world, uint64_t *cases)
{
    struct transform *transform;
    bool holds = true;

    world_draw_columns(world);
    draw_rules(world);
    if (!world_make(world, "CREATE TABLE app.a (id int8 PRIMARY KEY);"
                           "CREATE TABLE app.b (id int8 PRIMARY KEY);"
                           "CREATE TABLE app.c (id int8 PRIMARY KEY)"))
        return false;
    if (!world_bind_drawn(world))
        return true;
    if (!world_read(world, world->chain->stream_binary) || !ask_all(world))
        return false;
    transform = chain_transform(world->chain);
    for (int row = 0; row < PQntuples(world->source) && holds; row++) {
        holds = check_row(world, transform, row);
        world->property->passed += holds;
        *cases -= *cases > 0;
    }
    transform->ops->destroy(transform);
    return holds;
}

static bool sum_up(uint64_t cases)
{
    bool met = truths[TRUTH_TRUE] && truths[TRUTH_FALSE] && unknown && refused && routed &&
               binary_rows;

    printf("%llu true, %llu false, %llu in binary; %llu unknown in part; %llu rows to targets, "
           "%llu refused by a route\n",
           (unsigned long long)truths[TRUTH_TRUE], (unsigned long long)truths[TRUTH_FALSE],
           (unsigned long long)binary_rows, (unsigned long long)unknown,
           (unsigned long long)routed, (unsigned long long)refused);
    if (!met && cases >= COVERED_CASES)
        fprintf(stderr, "FAILED: something that conditions can be was never met (draw.c)\n");
    return met || cases < COVERED_CASES;
}

int main(int argc, char **argv)
{
    return world_main(argc, argv, "conditions_property", check_world, sum_up);
}
