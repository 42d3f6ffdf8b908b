/* Which way changes take (strategy.h). */
#include "postgres/strategy.h"

#include "postgres/statement.h"
#include "schema/catalog.h"

#include <string.h>

/* ---- costs ---- */

struct costs {
    uint32_t set_least;   /* changes of a batch */
    uint32_t group_least; /* net changes of one table and kind */
};

static const struct costs COSTS[] = {
    [ENGINE_AUTO] = {.set_least = 48, .group_least = 64},
    [ENGINE_ORDERED] = {.set_least = UINT32_MAX, .group_least = UINT32_MAX},
    [ENGINE_SET] = {.set_least = 1, .group_least = 2}, /* for tests: all ways are gone */
};

bool strategy_set(enum engine engine, uint32_t changes)
{
    return changes >= COSTS[engine].set_least;
}

bool strategy_group(enum engine engine, uint32_t rows)
{
    return rows >= COSTS[engine].group_least;
}

#define LEAVES_MOST 64 /* partitions of which a statement may lock all */

bool strategy_joins(const struct catalog_table *table)
{
    return table->leaf_count <= LEAVES_MOST;
}

/* ---- pace ---- */

void pace_failed(struct pace *pace)
{
    pace->pause = pace->next;
    pace->next = pace->next == 0 ? 1 : pace->next * 2;
    if (pace->next > PACE_MOST)
        pace->next = PACE_MOST;
}

void pace_passed(struct pace *pace)
{
    pace->next = 0;
}

bool pace_begin(struct pace *pace)
{
    if (pace->pause == 0)
        return true;
    pace->pause--;
    return false;
}

/* ---- tables ---- */

static bool is_firing(const struct catalog_table *table, bool replica)
{
    for (uint16_t i = 0; i < table->trigger_count; i++)
        if (table->triggers[i].enabled == 'A' ||
            table->triggers[i].enabled == (replica ? 'R' : 'O'))
            return true;
    return false;
}

/* A partition may have a trigger of its own; whose partition it is the catalog does not say. */
static bool partition_fires(const struct catalog *catalog, bool replica)
{
    for (size_t i = 0; i < catalog->table_count; i++)
        if (catalog->tables[i].is_partition && is_firing(&catalog->tables[i], replica))
            return true;
    return false;
}

static bool is_referenced(const struct catalog *catalog, const struct catalog_table *table)
{
    for (size_t i = 0; i < catalog->table_count; i++)
        for (uint16_t k = 0; k < catalog->tables[i].foreign_key_count; k++)
            if (catalog->tables[i].foreign_keys[k].parent_oid == table->oid)
                return true;
    return false;
}

/* Something at the target looks at other rows, or other tables, when one is written. */
static bool is_watched(const struct pg_sink_config *config, const struct relation *relation,
                       const struct catalog_table *table)
{
    bool replica = config->use_replica_role;
    if (relation_has_formula(relation) || is_firing(table, replica) ||
        (table->kind == 'p' && partition_fires(config->catalog, replica)))
        return true;
    return !replica && (table->foreign_key_count > 0 || is_referenced(config->catalog, table));
}

/* COPY does not ask a domain about the NULL of a column that it is not given; INSERT does. */
static bool copy_passes_domain(const struct relation *relation,
                               const struct catalog_table *table)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *column = &table->columns[i];
        bool domain = column->type != NULL && column->type->kind == 'd';
        if (domain && (column->not_null || column->domain != NULL) && !column->has_default &&
            !column->generated && relation_column(relation, column->name) < 0)
            return true;
    }
    return false;
}

/* Its rows can be told apart by their keys' bytes, and UPDATE may write all its columns. */
static bool can_fold(const struct relation *relation, const struct catalog_table *table)
{
    for (uint16_t i = 0; i < relation->column_count; i++) {
        const struct column *column = &relation->columns[i];
        int index = catalog_column_index(table, column->name);
        if (column->key && (index < 0 || !catalog_equal_is_same_bytes(&table->columns[index])))
            return false;
        if (column->identity_always && !column->key)
            return false;
    }
    return true;
}

enum table_way strategy_way(const struct pg_sink_config *config, uint32_t index)
{
    const struct pg_target_table *target = &config->tables[index];
    const struct relation *relation = target->relation;
    if (is_watched(config, relation, target->table))
        return TABLE_ALONE;
    if (target->format == VALUE_ABSENT || target->shared || relation->column_count == 0 ||
        target->table->row_security_active || target->table->is_partition ||
        copy_passes_domain(relation, target->table) ||
        (relation->match == MATCH_KEY && !can_fold(relation, target->table)))
        return TABLE_ORDERED;
    return TABLE_SET;
}
