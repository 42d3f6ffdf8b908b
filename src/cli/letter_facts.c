/* What parking must know of a migration (letter_facts.h). */
#include "cli/letter_facts.h"

#include "base/mem.h"

#include <stdlib.h>

/* Whole rows are compared by what every rule of the table reads: the copy reads no more. */
static bool all_read(const struct chain *chain, const struct bound_source *source,
                     const char *column)
{
    for (uint32_t i = 0; i < source->table_count; i++)
        if (relation_column(chain->tables[source->first_table + i].source_relation, column) < 0)
            return false;
    return true;
}

static void know_row(const struct chain *chain, const struct bound_source *source,
                     struct parked_identity *identity, const char **columns)
{
    for (uint16_t i = 0; i < source->table->column_count; i++)
        if (all_read(chain, source, source->table->columns[i].name))
            columns[identity->count++] = source->table->columns[i].name;
}

static void know_key(const struct catalog_table *table, const struct catalog_index *index,
                     struct parked_identity *identity, const char **columns)
{
    for (uint16_t i = 0; i < index->column_count; i++)
        columns[identity->count++] = table->columns[index->columns[i]].name;
}

static struct parked_identity identity_of(const struct chain *chain,
                                          const struct bound_source *source)
{
    const struct catalog_index *index = catalog_identity_index(source->table);
    const char **columns = mem_zero(source->table->column_count + 1U, sizeof *columns);
    struct parked_identity identity = {.columns = columns};
    if (index != NULL)
        know_key(source->table, index, &identity, columns);
    else
        know_row(chain, source, &identity, columns);
    return identity;
}

void letter_facts_make(const struct migration *m, struct letter_facts *facts)
{
    facts->tables = mem_zero(m->source_count + 1, sizeof *facts->tables);
    facts->identities = mem_zero(m->source_count + 1, sizeof *facts->identities);
    for (size_t i = 0; i < m->source_count; i++) {
        facts->tables[i] = m->chain->sources[i].table;
        facts->identities[i] = identity_of(m->chain, &m->chain->sources[i]);
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
    for (size_t i = 0; facts->identities != NULL && i < facts->config.table_count; i++)
        free((void *)(uintptr_t)facts->identities[i].columns);
    free(facts->identities);
    free(facts->tables);
    *facts = (struct letter_facts){0};
}
