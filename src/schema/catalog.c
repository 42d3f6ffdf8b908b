/* A copy of a database's catalogs: freeing it and finding things in it.
 *
 * The problem: rules, checks and the backfill ask the same questions of both databases, and
 * must get the same answer for the whole run. The invariant: a catalog owns everything it
 * points to and is not written after it was filled. The searches walk the tables: they run at
 * start and at a change of schema, never by row, and need no order that a collation breaks. */
#include "schema/catalog.h"

#include <stdlib.h>
#include <string.h>

static void column_clear(struct catalog_column *column)
{
    free(column->name);
    free(column->type_name);
    free(column->base_type);
    free(column->base_name);
    free(column->expression);
    free(column->collation);
    free(column->order_collation);
    free(column->order_version);
    free(column->domain);
    free(column->comment);
}

static void index_clear(struct catalog_index *index)
{
    free(index->name);
    free(index->columns);
    free(index->definition);
}

static void foreign_key_clear(struct catalog_foreign_key *key)
{
    for (uint16_t i = 0; key->parent_columns && i < key->column_count; i++)
        free(key->parent_columns[i]);
    free(key->parent_columns);
    free(key->parent_schema);
    free(key->parent_name);
    free(key->columns);
    free(key->name);
}

static void constraint_clear(struct catalog_constraint *constraint)
{
    free(constraint->name);
    free(constraint->definition);
    free(constraint->expression);
}

static void table_clear(struct catalog_table *table)
{
    for (uint16_t i = 0; table->columns && i < table->column_count; i++)
        column_clear(&table->columns[i]);
    for (uint16_t i = 0; table->indexes && i < table->index_count; i++)
        index_clear(&table->indexes[i]);
    for (uint16_t i = 0; table->foreign_keys && i < table->foreign_key_count; i++)
        foreign_key_clear(&table->foreign_keys[i]);
    for (uint16_t i = 0; table->constraints && i < table->constraint_count; i++)
        constraint_clear(&table->constraints[i]);
    for (uint16_t i = 0; table->triggers && i < table->trigger_count; i++)
        free(table->triggers[i].name);
    free(table->columns);
    free(table->indexes);
    free(table->foreign_keys);
    free(table->constraints);
    free(table->triggers);
    free(table->inherits);
    free(table->schema);
    free(table->name);
}

static void enum_clear(struct catalog_enum *type)
{
    for (size_t i = 0; type->labels && i < type->label_count; i++)
        free(type->labels[i]);
    free(type->labels);
    free(type->schema);
    free(type->name);
}

static void type_clear(struct catalog_type *type)
{
    for (uint16_t i = 0; type->fields && i < type->field_count; i++)
        free(type->fields[i].name);
    free(type->fields);
    free(type->name);
    free(type->shown);
    free(type->extension);
}

static void clear_besides_tables(struct catalog *catalog)
{
    for (size_t i = 0; catalog->sequences && i < catalog->sequence_count; i++) {
        free(catalog->sequences[i].schema);
        free(catalog->sequences[i].name);
    }
    for (size_t i = 0; catalog->extensions && i < catalog->extension_count; i++) {
        free(catalog->extensions[i].name);
        free(catalog->extensions[i].version);
    }
    for (size_t i = 0; catalog->enums && i < catalog->enum_count; i++)
        enum_clear(&catalog->enums[i]);
    for (size_t i = 0; catalog->objects && i < catalog->object_count; i++) {
        free(catalog->objects[i].name);
        free(catalog->objects[i].definition);
    }
    for (size_t i = 0; catalog->types && i < catalog->type_count; i++)
        type_clear(&catalog->types[i]);
    free(catalog->types);
    free(catalog->sequences);
    free(catalog->extensions);
    free(catalog->enums);
    free(catalog->objects);
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    for (size_t i = 0; catalog->tables && i < catalog->table_count; i++)
        table_clear(&catalog->tables[i]);
    clear_besides_tables(catalog);
    free(catalog->tables);
    free(catalog->database);
    free(catalog->role);
    free(catalog->encoding);
    free(catalog->collation);
    free(catalog->collation_version);
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

int32_t catalog_shown_modifier(const struct catalog_column *column)
{
    return column->type_oid == column->base_type_oid ? column->type_modifier : -1;
}

bool catalog_equal_is_same_bytes(const struct catalog_column *column)
{
    static const uint32_t EXACT[] = {
        16 /* bool */,        17 /* bytea */,         18 /* "char" */, 19 /* name */,
        20 /* int8 */,        21 /* int2 */,          23 /* int4 */,   25 /* text */,
        26 /* oid */,         1043 /* varchar */,     1082 /* date */, 1083 /* time */,
        1114 /* timestamp */, 1184 /* timestamptz */, 2950 /* uuid */,
    };
    if (column->loose || column->array)
        return false;
    if (column->type_kind == 'e')
        return true;
    for (size_t i = 0; i < sizeof EXACT / sizeof EXACT[0]; i++)
        if (column->base_type_oid == EXACT[i])
            return column->type_kind == 'b';
    return false;
}

const struct catalog_index *catalog_primary_key(const struct catalog_table *table)
{
    for (uint16_t i = 0; i < table->index_count; i++)
        if (table->indexes[i].primary)
            return &table->indexes[i];
    return NULL;
}

const struct catalog_enum *catalog_find_enum(const struct catalog *catalog, const char *schema,
                                             const char *name)
{
    for (size_t i = 0; i < catalog->enum_count; i++)
        if (strcmp(catalog->enums[i].name, name) == 0 &&
            strcmp(catalog->enums[i].schema, schema) == 0)
            return &catalog->enums[i];
    return NULL;
}

const struct catalog_type *catalog_find_type(const struct catalog *catalog, uint32_t oid)
{
    size_t low = 0, high = catalog->type_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog->types[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < catalog->type_count && catalog->types[low].oid == oid ? &catalog->types[low]
                                                                       : NULL;
}

const struct catalog_type *catalog_beneath_domains(const struct catalog_type *type)
{
    while (type && type->kind == 'd')
        type = type->inner;
    return type;
}

static const char *short_name(const char *qualified)
{
    const char *dot = strrchr(qualified, '.');
    return dot ? dot + 1 : qualified;
}

bool catalog_same_type_name(const struct catalog_type *a, const struct catalog_type *b)
{
    if (a->extension && b->extension && strcmp(a->extension, b->extension) == 0)
        return strcmp(short_name(a->name), short_name(b->name)) == 0;
    return strcmp(a->name, b->name) == 0;
}

void catalog_link_types(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->type_count; i++) {
        struct catalog_type *type = &catalog->types[i];
        type->inner = catalog_find_type(catalog, type->inner_oid);
        for (uint16_t j = 0; j < type->field_count; j++)
            type->fields[j].type = catalog_find_type(catalog, type->fields[j].type_oid);
    }
    for (size_t i = 0; i < catalog->table_count; i++)
        for (uint16_t j = 0; j < catalog->tables[i].column_count; j++) {
            struct catalog_column *column = &catalog->tables[i].columns[j];
            column->type = catalog_find_type(catalog, column->type_oid);
        }
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

uint16_t catalog_ordered_columns(const struct catalog_table *table,
                                 const struct catalog_index *index)
{
    uint16_t most = 0;
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *other = &table->indexes[i];
        uint16_t same = 0;
        while (other->usable && same < other->ordered_count && same < index->column_count &&
               other->columns[same] == index->columns[same])
            same++;
        most = same > most ? same : most;
    }
    return most;
}
