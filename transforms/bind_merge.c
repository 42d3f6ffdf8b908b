/* Several bound tables that write to one target table. A constant in the key (a discriminator)
 * that is another one in each keeps their rows apart; without it a row of one could overwrite
 * that of the other. */
#include "transforms/bind.h"

#include "schema/ident.h"

#include <string.h>

/* A column of the key, or any where there is none, that is a different constant in both. */
static bool told_apart(const struct bound_table *a, const struct bound_table *b)
{
    for (uint16_t i = 0; i < a->owner_count; i++)
        for (uint16_t j = 0; j < b->owner_count; j++) {
            const struct catalog_column *left = a->columns[a->owner_columns[i]].target;
            const struct catalog_column *right = b->columns[b->owner_columns[j]].target;

            if (left == right && strcmp(a->owner_values[i], b->owner_values[j]) != 0)
                return true;
        }
    return false;
}

static void append_side(const struct bound_table *table, const struct table_plan *plan,
                        struct buf *sql)
{
    struct buf rows = {0};

    bound_table_select(table, &rows);
    buf_append_text(sql, "SELECT ");
    for (uint16_t i = 0; i < plan->key_count; i++) {
        buf_append_text(sql, i ? ", " : "");
        ident_append(sql, table->columns[plan->keys[i]].target->name);
    }
    buf_append_format(sql, " FROM (%s) AS rows", buf_text(&rows));
    buf_free(&rows);
}

/* The keys that both tables have. */
static const char *common_keys_sql(struct binding *binding, size_t a, size_t b)
{
    struct buf sql = {0};

    append_side(&binding->bound[a], &binding->chain->tables[a], &sql);
    buf_append_text(&sql, " INTERSECT ");
    append_side(&binding->bound[b], &binding->chain->tables[b], &sql);
    return text_take(&binding->chain->arena, &sql);
}

static bool same_key(const struct bound_table *a, const struct bound_table *b)
{
    const struct relation *left = a->target_relation, *right = b->target_relation;
    int count = 0;

    if (left->match != MATCH_KEY || right->match != MATCH_KEY)
        return false;
    for (uint16_t i = 0; i < left->column_count; i++) {
        int other = relation_column(right, left->columns[i].name);

        count += left->columns[i].key;
        if (left->columns[i].key && (other < 0 || !right->columns[other].key))
            return false;
    }
    for (uint16_t i = 0; i < right->column_count; i++)
        count -= right->columns[i].key;
    return count == 0;
}

#define DISCRIMINATOR                                                                          \
    "give both a column with another constant each, in the key: columns: { origin: { value: " \
    "... } }"

static void refuse_pair(struct binding *binding, size_t a, size_t b, const char *why)
{
    const struct bound_table *one = &binding->bound[a], *other = &binding->bound[b];
    struct arena *arena = &binding->chain->arena;

    bind_refuse(binding, "merge.no_discriminator", bind_table_text(arena, one->target),
                DISCRIMINATOR,
                text_format(arena, "target table %s gets rows of %s and of %s, %s",
                            bind_table_text(arena, one->target),
                            bind_table_text(arena, one->source),
                            bind_table_text(arena, other->source), why));
}

static void note_merge(struct binding *binding, size_t a, size_t b)
{
    struct arena *arena = &binding->chain->arena;
    struct chain_merge *merge = &binding->merges[binding->chain->chain.merge_count++];
    const struct bound_table *one = &binding->bound[a], *other = &binding->bound[b];
    struct report report = {
        .id = "merge.no_discriminator",
        .severity = SEVERITY_POTENTIALLY_BREAKING,
        .where = bind_table_text(arena, one->target),
        .impact = "rows with the same key overwrite each other, and a TRUNCATE of one source "
                  "table stops the run",
        .fix = DISCRIMINATOR};

    binding->bound[a].shares_rows = binding->bound[b].shares_rows = true;
    *merge = (struct chain_merge){.a = one, .b = other,
                                  .keys_sql = common_keys_sql(binding, a, b)};
    report.sql = text_format(arena, "%s;", merge->keys_sql);
    bind_report(binding->findings, arena, &report,
                "target table %s gets rows of %s and of %s, and no constant in the key tells "
                "them apart; the statement, run at the source, gives the keys that both have",
                bind_table_text(arena, one->target), bind_table_text(arena, one->source),
                bind_table_text(arena, other->source));
}

static void check_pair(struct binding *binding, size_t a, size_t b)
{
    const struct bound_table *one = &binding->bound[a], *other = &binding->bound[b];

    if (told_apart(one, other))
        return;
    if (one->source == other->source)
        refuse_pair(binding, a, b, "the same source table, with the same keys");
    else if (one->target_relation->match != MATCH_KEY ||
             other->target_relation->match != MATCH_KEY)
        refuse_pair(binding, a, b, "and without a key nothing tells them apart");
    else if (!same_key(one, other))
        refuse_pair(binding, a, b, "with another key each");
    else
        note_merge(binding, a, b);
}

static size_t count_pairs(const struct binding *binding)
{
    size_t tables = binding->chain->chain.table_count, count = 0;

    for (size_t a = 0; a < tables; a++)
        for (size_t b = a + 1; b < tables; b++)
            count += binding->bound[a].target == binding->bound[b].target;
    return count;
}

void bind_merges(struct binding *binding)
{
    size_t tables = binding->chain->chain.table_count;

    binding->merges = arena_alloc(&binding->chain->arena,
                                  (count_pairs(binding) + 1) * sizeof(*binding->merges));
    binding->chain->chain.merges = binding->merges;
    for (size_t a = 0; a < tables; a++)
        for (size_t b = a + 1; b < tables; b++)
            if (binding->bound[a].target == binding->bound[b].target)
                check_pair(binding, a, b);
}
