/* See definitions.h. The searches walk: they run once for each statement that is planned. */
#include "schema/definitions.h"

#include <stdlib.h>
#include <string.h>

const struct definition_table *definitions_table(const struct definitions *definitions,
                                                 uint32_t oid)
{
    for (size_t i = 0; i < definitions->table_count; i++)
        if (definitions->tables[i].oid == oid)
            return &definitions->tables[i];
    return NULL;
}

const struct definition_column *definitions_column(const struct definition_table *table,
                                                   int16_t number)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return &table->columns[i];
    return NULL;
}

const struct definition_type *definitions_type(const struct definitions *definitions,
                                               uint32_t oid)
{
    for (size_t i = 0; i < definitions->type_count; i++)
        if (definitions->types[i].oid == oid)
            return &definitions->types[i];
    return NULL;
}

const struct definition_type *definitions_type_named(const struct definitions *definitions,
                                                     const char *schema, const char *name)
{
    for (size_t i = 0; i < definitions->type_count; i++)
        if (strcmp(definitions->types[i].name, name) == 0 &&
            strcmp(definitions->types[i].schema, schema) == 0)
            return &definitions->types[i];
    return NULL;
}

const struct definition_sequence *definitions_sequence(const struct definitions *definitions,
                                                       uint32_t oid)
{
    for (size_t i = 0; i < definitions->sequence_count; i++)
        if (definitions->sequences[i].oid == oid)
            return &definitions->sequences[i];
    return NULL;
}

const struct definition_extension *definitions_extension(const struct definitions *definitions,
                                                         uint32_t oid)
{
    for (size_t i = 0; i < definitions->extension_count; i++)
        if (definitions->extensions[i].oid == oid)
            return &definitions->extensions[i];
    return NULL;
}

const struct definition_sequence *definitions_identity(const struct definitions *definitions,
                                                       uint32_t table, int16_t column)
{
    for (size_t i = 0; i < definitions->sequence_count; i++) {
        const struct definition_sequence *sequence = &definitions->sequences[i];

        if (sequence->identity && sequence->owner == table && sequence->owner_column == column)
            return sequence;
    }
    return NULL;
}

void definitions_free(struct definitions *definitions)
{
    if (!definitions)
        return;
    arena_free(&definitions->arena);
    free(definitions);
}
