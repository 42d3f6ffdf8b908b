/* A copy of a database's catalogs: freeing it and finding things in it.
 *
 * The problem: rules, checks and the backfill ask the same questions of both databases, and
 * must get the same answer for the whole run. The invariant: a catalog owns everything it
 * points to and is not written after it was filled. The searches walk the tables: they run at
 * start and at a change of schema, never by row, and need no order that a collation breaks. */
#include "schema/catalog.h"

#include <stdlib.h>
#include <string.h>

static void table_clear(struct catalog_table *table)
{
    for (uint16_t i = 0; table->columns && i < table->column_count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].type_name);
        free(table->columns[i].base_type);
    }
    for (uint16_t i = 0; table->indexes && i < table->index_count; i++) {
        free(table->indexes[i].name);
        free(table->indexes[i].columns);
    }
    for (uint16_t i = 0; table->foreign_keys && i < table->foreign_key_count; i++)
        free(table->foreign_keys[i].name);
    free(table->columns);
    free(table->indexes);
    free(table->foreign_keys);
    free(table->schema);
    free(table->name);
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    for (size_t i = 0; catalog->tables && i < catalog->table_count; i++)
        table_clear(&catalog->tables[i]);
    free(catalog->tables);
    free(catalog->database);
    free(catalog->role);
    free(catalog->encoding);
    free(catalog->system_identifier);
    free(catalog);
}

const struct catalog_table *catalog_find(const struct catalog *catalog, const char *schema,
                                         const char *name)
{
    for (size_t i = 0; i < catalog->table_count; i++) {
        const struct catalog_table *table = &catalog->tables[i];
        if (strcmp(table->name, name) == 0 && strcmp(table->schema, schema) == 0)
            return table;
    }
    return NULL;
}

const struct catalog_table *catalog_find_oid(const struct catalog *catalog, uint32_t oid)
{
    for (size_t i = 0; i < catalog->table_count; i++)
        if (catalog->tables[i].oid == oid)
            return &catalog->tables[i];
    return NULL;
}

int catalog_column_index(const struct catalog_table *table, const char *name)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return i;
    return -1;
}

/* An index that the server itself takes as an identity is always immediate; one that was
 * dropped and left the setting behind is no longer in the list. */
const struct catalog_index *catalog_identity_index(const struct catalog_table *table)
{
    bool by_primary_key = table->replica_identity == 'd' || table->replica_identity == 'f';
    bool by_choice = table->replica_identity == 'i';
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        if ((by_primary_key && index->primary && index->immediate) ||
            (by_choice && index->replica_identity))
            return index;
    }
    return NULL;
}
