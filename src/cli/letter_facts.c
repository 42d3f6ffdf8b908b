/* What parking must know of a migration (letter_facts.h). */
#include "cli/letter_facts.h"

#include "base/mem.h"

#include <stdlib.h>

/* Whole rows are compared by what every rule of the table reads: the copy reads no more; and as they
 * are written, for so the target finds them. */
static bool all_read(const struct chain *chain, const struct bound_source *source,
                     const char *column)
{
    for (uint32_t i = 0; i < source->table_count; i++)
        if (relation_column(chain->tables[source->first_table + i].source_relation, column) < 0)
            return false;
    return true;
}

/* A row that was parked before a column came has no value of it, and one of before another type was
 * written otherwise: such a column tells nothing. */
static void know_row(const struct migration *m, const struct bound_source *source,
                     struct parked_identity *identity, const char **columns)
{
    const struct catalog_table *table = source->table;
    enum parked_compare *compares = mem_zero(table->column_count + 1U, sizeof *compares);
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (!all_read(m->chain, source, table->columns[i].name))
            continue;
        compares[identity->count] = former_is_steady(&m->former, table->oid, &table->columns[i])
                                        ? PARKED_AS_WRITTEN
                                        : PARKED_NOT;
        columns[identity->count++] = table->columns[i].name;
    }
    identity->compares = compares;
}

/* Each target finds rows by a key that is another for another value of the column. */
static bool all_tell(const struct chain *chain, const struct bound_source *source,
                     const char *column)
{
    for (uint32_t i = 0; i < source->table_count; i++) {
        const struct bound_table *table = &chain->tables[source->first_table + i];
        int read = relation_column(table->source_relation, column);
        if (table->target_relation->match == MATCH_KEY && (read < 0 || !table->key_tells[read]))
            return false;
    }
    return true;
}

#define NUMERIC_OID 1700
#define BPCHAR_OID 1042

static enum parked_compare compare_of(const struct catalog_column *column)
{
    bool plain = column->type_kind == 'b' && !column->array && !column->loose;
    if (catalog_equal_is_same_bytes(column))
        return PARKED_AS_WRITTEN;
    if (plain && column->base_type_oid == NUMERIC_OID)
        return PARKED_NUMERIC;
    return plain && column->base_type_oid == BPCHAR_OID ? PARKED_PADDED : PARKED_NOT;
}

static void know_key(const struct chain *chain, const struct bound_source *source,
                     const struct catalog_index *index, struct parked_identity *identity,
                     const char **columns)
{
    enum parked_compare *compares = mem_zero(index->column_count + 1U, sizeof *compares);
    for (uint16_t i = 0; i < index->column_count; i++) {
        const struct catalog_column *column = &source->table->columns[index->columns[i]];
        compares[identity->count] =
            all_tell(chain, source, column->name) ? compare_of(column) : PARKED_NOT;
        columns[identity->count++] = column->name;
    }
    identity->compares = compares;
}

static struct parked_identity identity_of(const struct migration *m,
                                          const struct bound_source *source)
{
    const struct catalog_index *index = catalog_identity_index(source->table);
    const char **columns = mem_zero(source->table->column_count + 1U, sizeof *columns);
    struct parked_identity identity = {.columns = columns};
    if (index != NULL)
        know_key(m->chain, source, index, &identity, columns);
    else
        know_row(m, source, &identity, columns);
    return identity;
}

void letter_facts_make(const struct migration *m, struct letter_facts *facts)
{
    facts->tables = mem_zero(m->source_count + 1, sizeof *facts->tables);
    facts->identities = mem_zero(m->source_count + 1, sizeof *facts->identities);
    for (size_t i = 0; i < m->source_count; i++) {
        facts->tables[i] = m->chain->sources[i].table;
        facts->identities[i] = identity_of(m, &m->chain->sources[i]);
    }
    facts->config = (struct dead_letter_config){
        .source_dsn = m->config->source_dsn,
        .target_dsn = m->config->target_dsn,
        .migration = m->config->migration,
        .source = m->source_catalog,
        .table_count = m->source_count,
        .tables = facts->tables,
        .sources = (const char *const *)m->source_names,
        .identities = facts->identities,
        .stream_binary = m->chain->stream_binary,
        .stop = m->stop,
    };
}

void letter_facts_free(struct letter_facts *facts)
{
    for (size_t i = 0; facts->identities != NULL && i < facts->config.table_count; i++) {
        free((void *)(uintptr_t)facts->identities[i].columns);
        free((void *)(uintptr_t)facts->identities[i].compares);
    }
    free(facts->identities);
    free(facts->tables);
    *facts = (struct letter_facts){0};
}
