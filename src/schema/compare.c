/* The two comparisons (compare.h): pairs of tables, then the files by noun. */
#include "schema/compare.h"

#include "schema/comparison.h"

/* Columns by name: how the tables of two files belong together. */
static const int *origins_by_name(struct comparison *c, const struct catalog_table *before,
                                  const struct catalog_table *after)
{
    int *origins = arena_alloc(&c->arena, (after->column_count + 1u) * sizeof *origins);
    for (uint16_t i = 0; i < after->column_count; i++)
        origins[i] = catalog_column_index(before, after->columns[i].name);
    return origins;
}

static void pair_by_name(struct comparison *c)
{
    struct table_pair *pairs =
        arena_alloc(&c->arena, (c->after->table_count + 1) * sizeof *pairs);
    for (size_t i = 0; i < c->after->table_count; i++) {
        const struct catalog_table *after = &c->after->tables[i];
        const struct catalog_table *before =
            catalog_find(c->before, after->schema, after->name);
        if (before)
            pairs[c->pair_count++] =
                (struct table_pair){.before = before,
                                    .after = after,
                                    .origins = origins_by_name(c, before, after),
                                    .rows = compare_table_sql(c, before)};
    }
    c->pairs = pairs;
}

static void compare_pairs(struct comparison *c)
{
    for (size_t i = 0; i < c->pair_count; i++) {
        const struct table_pair *pair = &c->pairs[i];
        compare_inheritance(c, pair);
        compare_columns(c, pair);
        compare_keys(c, pair);
        compare_indexes(c, pair);
        compare_foreign_keys(c, pair);
        compare_constraints(c, pair);
    }
}

void compare_files(const struct catalog *before, const struct catalog *after,
                   struct findings *findings)
{
    struct comparison c = {.before = before, .after = after, .findings = findings};
    arena_init(&c.arena, 0);
    pair_by_name(&c);
    compare_tables(&c);
    compare_pairs(&c);
    compare_objects(&c);
    arena_free(&c.arena);
}

void compare_carried(const struct catalog *source, const struct catalog *target,
                     const struct table_pair *pairs, size_t count, struct findings *findings)
{
    struct comparison c = {.before = source,
                           .after = target,
                           .pairs = pairs,
                           .pair_count = count,
                           .carried = true,
                           .findings = findings};
    arena_init(&c.arena, 0);
    compare_pairs(&c);
    compare_databases(&c);
    arena_free(&c.arena);
}
