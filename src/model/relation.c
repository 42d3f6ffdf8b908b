/* A table's shape: making, freeing and comparing it.
 *
 * The problem: row images of several threads refer to a shape that must not change under them.
 * The invariant: a relation owns all its texts and is not written after the code that made it
 * has handed it on. */
#include "model/relation.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct relation *relation_create(const char *schema, const char *name, uint16_t column_count,
                                 const struct column *columns)
{
    struct relation *relation = mem_zero(1, sizeof(*relation));
    relation->schema = mem_string(schema);
    relation->name = mem_string(name);
    relation->column_count = column_count;
    relation->columns = mem_zero(column_count, sizeof(*relation->columns));
    for (uint16_t i = 0; i < column_count; i++) {
        relation->columns[i] = columns[i];
        relation->columns[i].name = mem_string(columns[i].name);
        if (columns[i].formula)
            relation->columns[i].formula = mem_string(columns[i].formula);
    }
    return relation;
}

struct relation *relation_copy_sent(const struct relation *relation)
{
    if (relation->sent)
        relation = relation->sent;
    struct relation *copy = relation_create(relation->schema, relation->name,
                                            relation->column_count, relation->columns);
    copy->oid = relation->oid;
    copy->replica_identity = relation->replica_identity;
    copy->match = relation->match;
    return copy;
}

void relation_free(struct relation *relation)
{
    if (!relation)
        return;
    relation_free(relation->sent);
    for (uint16_t i = 0; relation->columns && i < relation->column_count; i++) {
        free(relation->columns[i].name);
        free(relation->columns[i].formula);
    }
    free(relation->columns);
    free(relation->name);
    free(relation->schema);
    free(relation);
}

static bool column_equal(const struct column *a, const struct column *b)
{
    return a->type_oid == b->type_oid && a->type_modifier == b->type_modifier &&
           a->key == b->key && a->identity_always == b->identity_always && a->gone == b->gone &&
           a->unclear == b->unclear && strcmp(a->name, b->name) == 0;
}

static bool sent_equal(const struct relation *a, const struct relation *b)
{
    return a == NULL || b == NULL ? a == b : relation_equal(a, b);
}

bool relation_equal(const struct relation *a, const struct relation *b)
{
    if (a->oid != b->oid || a->replica_identity != b->replica_identity ||
        a->match != b->match || a->strange != b->strange ||
        a->column_count != b->column_count || strcmp(a->schema, b->schema) != 0 ||
        strcmp(a->name, b->name) != 0)
        return false;
    for (uint16_t i = 0; i < a->column_count; i++)
        if (!column_equal(&a->columns[i], &b->columns[i]))
            return false;
    return sent_equal(a->sent, b->sent);
}

bool relation_has_formula(const struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].formula)
            return true;
    return false;
}

bool relation_key_is_clear(const struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].key && relation->columns[i].unclear)
            return false;
    return true;
}

int relation_column(const struct relation *relation, const char *name)
{
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (strcmp(relation->columns[i].name, name) == 0)
            return i;
    return -1;
}
