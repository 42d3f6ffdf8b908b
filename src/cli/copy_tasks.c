/* What the backfill has to copy (copy_tasks.h). */
#include "cli/copy_tasks.h"

#include "base/mem.h"
#include "pipeline/key_places.h"

#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES (4 << 20)
#define NARROW_ROW 64 /* bytes that a short row takes in a page */

/* ---- keys ---- */

/* Types whose order is known here: the order of their default btree operators. */
static const struct {
    const char *type;
    enum key_order order;
} ORDERS[] = {
    {"pg_catalog.int2", KEY_SIGNED}, {"pg_catalog.int4", KEY_SIGNED},
    {"pg_catalog.int8", KEY_SIGNED}, {"pg_catalog.oid", KEY_UNSIGNED},
    {"pg_catalog.bool", KEY_BOOL},   {"pg_catalog.uuid", KEY_UUID},
    {"pg_catalog.text", KEY_BYTES},  {"pg_catalog.varchar", KEY_BYTES},
    {"pg_catalog.name", KEY_BYTES},
};

static bool is_c(const char *collation)
{
    return strcmp(collation, "C") == 0 || strcmp(collation, "POSIX") == 0 ||
           strcmp(collation, "pg_catalog.\"C\"") == 0 ||
           strcmp(collation, "pg_catalog.\"POSIX\"") == 0;
}

/* Encodings whose bytes are in the order of their code points, as those of UTF-8 are, in which
 * the values reach us. */
static bool keeps_byte_order(const char *encoding)
{
    return strcmp(encoding, "UTF8") == 0 || strcmp(encoding, "LATIN1") == 0 ||
           strcmp(encoding, "SQL_ASCII") == 0;
}

static bool is_default(const struct catalog_column *column)
{
    return column->order_collation != NULL &&
           strcmp(column->order_collation, "pg_catalog.\"default\"") == 0;
}

/* Text is ordered by its bytes only under collation C, which is that of the type name. */
static bool by_bytes(const struct catalog *catalog, const struct catalog_column *column)
{
    if (!keeps_byte_order(catalog->encoding) || column->order_collation == NULL)
        return false;
    return is_c(is_default(column) ? catalog->collation : column->order_collation);
}

static enum key_order order_of(const struct catalog *catalog,
                               const struct catalog_column *column)
{
    for (size_t i = 0; i < sizeof ORDERS / sizeof ORDERS[0]; i++)
        if (strcmp(column->base_type, ORDERS[i].type) == 0 && !column->array)
            return ORDERS[i].order != KEY_BYTES || by_bytes(catalog, column) ? ORDERS[i].order
                                                                             : KEY_NONE;
    return KEY_NONE;
}

/* Built-in types by their names: as SQL shows them some have a modifier (character). */
static const char *sql_type(const struct catalog_column *column)
{
    const struct catalog_type *type = catalog_beneath_domains(column->type);
    bool built_in = strncmp(column->base_type, "pg_catalog.", strlen("pg_catalog.")) == 0;
    return built_in ? column->base_type : type->shown;
}

/* Bounds and keys travel in arrays: an array of arrays is another thing, and unnest() takes
 * composites apart. */
static bool can_be_asked(const struct catalog_column *column)
{
    return !column->array && column->type_kind != 'c' && column->type != NULL;
}

static struct copy_key_column key_column(const struct catalog *catalog,
                                         const struct catalog_column *column,
                                         enum key_order order)
{
    struct copy_key_column key = {
        .name = column->name, .type = column->base_type, .order = order};
    if (order != KEY_ASKED)
        return key;
    key.type = sql_type(column);
    key.collation = column->order_collation;
    key.version = is_default(column) ? catalog->collation_version : column->order_version;
    key.type_oid = column->base_type_oid;
    return key;
}

/* All targets of the source are keyed by the column too, where they have a key. Else two chunks
 * could hold one key there, as of different times: the later one would overwrite the other's row,
 * and the change that made place for it, still in the stream, would delete it again. */
static bool keeps_apart(const struct migration *m, const struct bound_source *source,
                        const char *name)
{
    for (uint32_t i = 0; i < source->table_count; i++) {
        const struct bound_table *table = &m->chain->tables[source->first_table + i];
        int column = relation_column(table->source_relation, name);
        if (column < 0 ||
            (table->target_relation->match == MATCH_KEY && !table->key_reads[column]))
            return false;
    }
    return true;
}

/* Where the first column's order is not known the source is asked, about the second's too. */
static enum key_order order_in_key(const struct catalog *catalog,
                                   const struct catalog_column *column,
                                   const struct copy_key *key)
{
    enum key_order order = order_of(catalog, column);
    bool asked = key->count == 0 ? order == KEY_NONE : copy_key_is_asked(key);
    if (!asked)
        return order;
    return key->count < KEY_PLACES_COLUMNS && can_be_asked(column) ? KEY_ASKED : KEY_NONE;
}

/* The leading columns of the identity that tell the targets' rows apart, whose order is known
 * or can be asked for, and that an index gives in order, or each chunk would sort all that is
 * to come: a prefix of a key bounds chunks as well as a whole one. Every change in the stream
 * brings them. */
static void find_key(const struct migration *m, const struct bound_source *source,
                     struct copy_key_column *columns, struct copy_key *key)
{
    const struct catalog_table *table = source->table;
    const struct catalog_index *index = catalog_identity_index(table);
    *key = (struct copy_key){.columns = columns};
    if (index == NULL || source->insert_only)
        return;
    uint16_t ordered = catalog_ordered_columns(table, index);
    for (uint16_t i = 0; i < ordered; i++) {
        const struct catalog_column *column = &table->columns[index->columns[i]];
        enum key_order order = order_in_key(m->source_catalog, column, key);
        if (order == KEY_NONE || !keeps_apart(m, source, column->name))
            return;
        columns[key->count++] = key_column(m->source_catalog, column, order);
    }
}

static size_t widest_index(const struct catalog_table *table)
{
    const struct catalog_index *index = catalog_identity_index(table);
    return index == NULL ? 0 : index->column_count;
}

static void find_keys(const struct migration *m, struct copy_tasks *tasks)
{
    size_t columns = 0;
    for (size_t i = 0; i < m->source_count; i++)
        columns += widest_index(m->chain->sources[i].table);
    tasks->keys = mem_zero(m->source_count + 1, sizeof *tasks->keys);
    tasks->key_columns = mem_zero(columns + 1, sizeof *tasks->key_columns);
    struct copy_key_column *next = tasks->key_columns;
    for (size_t i = 0; i < m->source_count; i++) {
        find_key(m, &m->chain->sources[i], next, &tasks->keys[i]);
        next += widest_index(m->chain->sources[i].table);
    }
}

/* ---- order ---- */

/* How deep below tables without parents each target table is; cycles end at the count. */
static void find_levels(const struct migration *m, int *levels)
{
    size_t count = m->table_count;
    bool changed = true;
    for (size_t round = 0; changed && round < count; round++) {
        changed = false;
        for (size_t child = 0; child < count; child++) {
            const struct catalog_table *table = m->targets[child].table;
            for (size_t parent = 0; parent < count; parent++) {
                for (uint16_t k = 0; k < table->foreign_key_count; k++) {
                    if (parent == child ||
                        table->foreign_keys[k].parent_oid != m->targets[parent].table->oid ||
                        levels[child] > levels[parent])
                        continue;
                    levels[child] = levels[parent] + 1;
                    changed = true;
                }
            }
        }
    }
}

/* A source table is as deep as the deepest table it goes to. */
static int level_of(const struct migration *m, uint32_t source, const int *levels)
{
    const struct bound_source *s = &m->chain->sources[source];
    int deepest = 0;
    for (uint32_t i = 0; i < s->table_count; i++)
        if (levels[s->first_table + i] > deepest)
            deepest = levels[s->first_table + i];
    return deepest;
}

/* Insertion sort: by level, then by size. */
static void order_tasks(const struct migration *m, const int *levels, struct copy_task *tasks,
                        size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct copy_task task = tasks[i];
        size_t at = i;
        for (; at > 0; at--) {
            uint32_t before = tasks[at - 1].table;
            int level = level_of(m, before, levels) - level_of(m, task.table, levels);
            int64_t bytes = m->chain->sources[task.table].table->bytes -
                            m->chain->sources[before].table->bytes;
            if (level < 0 || (level == 0 && bytes <= 0))
                break;
            tasks[at] = tasks[at - 1];
        }
        tasks[at] = task;
    }
}

/* The tables that a source goes to, parents first. */
static void list_parts(const struct migration *m, const struct bound_source *source,
                       const int *levels, struct copy_part *parts)
{
    for (uint32_t i = 0; i < source->table_count; i++) {
        const struct bound_table *table = &m->chain->tables[source->first_table + i];
        uint32_t at = i;
        for (; at > 0; at--) {
            if (levels[parts[at - 1].target->table] <= levels[table->target_relation->table])
                break;
            parts[at] = parts[at - 1];
        }
        parts[at] = (struct copy_part){.source = table->source_relation,
                                       .target = table->target_relation,
                                       .binary = table->copy_binary};
    }
}

/* What goes through a limit while a chunk should take; `most` where that is less. */
static int64_t within(int64_t per_second, usec_t time, int64_t most)
{
    double through = (double)per_second * (double)time / USEC_PER_SEC;
    return per_second > 0 && through < (double)most ? (int64_t)through : most;
}

static uint64_t rows_about(const struct catalog_table *table)
{
    return table->estimated_rows < 0 ? 0 : (uint64_t)table->estimated_rows;
}

/* How many rows a table has is an estimate, old or missing; how many bytes is known. Under a limit
 * a small table is one that is not read for long. */
static bool is_large(const struct migration *m, const struct catalog_table *table)
{
    const struct config *config = m->config;
    int64_t rows =
        table->estimated_rows < 0 ? table->bytes / NARROW_ROW : table->estimated_rows;
    return table->bytes >
               within(config->max_bytes_per_second, config->chunk_time, LARGE_BYTES) ||
           rows > within(config->max_rows_per_second, config->chunk_time, config->chunk_rows);
}

/* Small tables and those without a usable key go whole. So do those whose rows refer to rows of
 * their own, where that is enforced: no order of chunks would have every parent in time, but keys
 * are checked at the end of a statement, and one COPY brings them all. */
static bool goes_in_chunks(const struct migration *m, const struct copy_tasks *tasks, size_t i)
{
    return copy_key_usable(&tasks->keys[i]) && !m->references.own[i] &&
           is_large(m, m->chain->sources[i].table);
}

/* Parts have the indexes of the chain's tables. */
static void list_tasks(const struct migration *m, const bool *wanted, const int *levels,
                       struct copy_tasks *tasks)
{
    for (size_t i = 0; i < m->source_count; i++) {
        const struct bound_source *source = &m->chain->sources[i];
        if (!wanted[i])
            continue;
        list_parts(m, source, levels, &tasks->parts[source->first_table]);
        tasks->tasks[tasks->count++] =
            (struct copy_task){.table = (uint32_t)i,
                               .key = &tasks->keys[i],
                               .chunked = goes_in_chunks(m, tasks, i),
                               .has_parents = m->references.parents[i].count > 0,
                               .rows = rows_about(source->table),
                               .bytes = (uint64_t)source->table->bytes,
                               .part_count = source->table_count,
                               .parts = &tasks->parts[source->first_table]};
    }
    order_tasks(m, levels, tasks->tasks, tasks->count);
}

void copy_tasks_make(const struct migration *migration, const bool *wanted,
                     struct copy_tasks *tasks)
{
    int *levels = mem_zero(migration->table_count + 1, sizeof *levels);
    *tasks = (struct copy_tasks){
        .tasks = mem_zero(migration->source_count + 1, sizeof *tasks->tasks),
        .parts = mem_zero(migration->table_count + 1, sizeof *tasks->parts),
    };
    find_keys(migration, tasks);
    if (!migration->target_catalog->can_set_replica_role ||
        migration->config->backfill_order == COPY_PARENTS_FIRST)
        find_levels(migration, levels);
    list_tasks(migration, wanted, levels, tasks);
    free(levels);
}

void copy_tasks_free(struct copy_tasks *tasks)
{
    free(tasks->tasks);
    free(tasks->parts);
    free(tasks->keys);
    free(tasks->key_columns);
    *tasks = (struct copy_tasks){0};
}
