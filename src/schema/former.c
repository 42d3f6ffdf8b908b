/* See former.h. */
#include "schema/former.h"

#include "base/mem.h"
#include "schema/ident.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MOST 100000 /* of trying; what is not clear by then is not clear */

void former_free(struct former *former)
{
    for (size_t i = 0; i < former->count; i++)
        free(former->names[i].name);
    free(former->names);
    *former = (struct former){0};
}

bool former_knows(const struct former *former, uint32_t table_oid)
{
    for (size_t i = 0; i < former->count; i++)
        if (former->names[i].table_oid == table_oid)
            return true;
    return false;
}

bool former_had_type(const struct former *former, uint32_t table_oid, int16_t number,
                     uint32_t type_oid, int32_t type_modifier)
{
    for (size_t i = 0; i < former->count; i++) {
        const struct former_name *name = &former->names[i];
        if (name->table_oid == table_oid && name->number == number &&
            name->type_oid == type_oid && name->type_modifier == type_modifier)
            return true;
    }
    return false;
}

bool former_is_steady(const struct former *former, uint32_t table_oid,
                      const struct catalog_column *column)
{
    bool from_the_begin = !former_knows(former, table_oid);
    for (size_t i = 0; i < former->count; i++) {
        const struct former_name *name = &former->names[i];
        if (name->table_oid != table_oid || name->number != column->number)
            continue;
        if (name->type_oid != column->type_oid ||
            name->type_modifier != catalog_shown_modifier(column))
            return false;
        from_the_begin |= name->there_at == LSN_NONE;
    }
    return from_the_begin;
}

const struct former_name *former_last(const struct former *former, uint32_t table_oid,
                                      const struct catalog_column *column)
{
    const struct former_name *last = NULL;
    for (size_t i = 0; i < former->count; i++)
        if (former->names[i].table_oid == table_oid &&
            former->names[i].number == column->number)
            last = &former->names[i];
    return last == NULL || strcmp(last->name, column->name) == 0 ? NULL : last;
}

/* ---- the columns that there are or were ---- */

/* One number of the table. */
struct slot {
    int16_t number;
    const struct catalog_column *column; /* NULL: gone since */
    bool needed;                         /* it was there before */
    bool gone;                           /* before */
};

/* A reading in the making: which slot each of the relation's columns is. */
struct reading {
    const struct former *former;
    const struct catalog_table *table;
    const struct relation *relation;
    lsn_t commit;
    size_t slot_count;
    struct slot *slots; /* by number */
    size_t *chosen;     /* by the relation's columns: the first one found */
    size_t *trying;
    bool by_name, by_type; /* which of them must be one that the column had */
    bool found;
    bool *unclear; /* another reading says otherwise */
    bool doubtful; /* any is, */
    bool lost;     /* or there are too many to try */
    size_t steps;
};

static struct slot *find_slot(struct reading *r, int16_t number)
{
    for (size_t i = 0; i < r->slot_count; i++)
        if (r->slots[i].number == number)
            return &r->slots[i];
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    return ((const struct slot *)a)->number - ((const struct slot *)b)->number;
}

static void add_present(struct reading *r)
{
    for (uint16_t i = 0; i < r->table->column_count; i++)
        if (!r->table->columns[i].generated)
            r->slots[r->slot_count++] = (struct slot){.number = r->table->columns[i].number,
                                                      .column = &r->table->columns[i]};
}

/* A generated column is none of the stream's, whatever it was called. */
static bool is_generated(const struct catalog_table *table, int16_t number)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return table->columns[i].generated;
    return false;
}

static void add_former(struct reading *r)
{
    for (size_t i = 0; i < r->former->count; i++) {
        const struct former_name *name = &r->former->names[i];
        if (name->table_oid != r->table->oid || name->number == FORMER_TABLE ||
            is_generated(r->table, name->number))
            continue;
        struct slot *slot = find_slot(r, name->number);
        if (slot == NULL) {
            slot = &r->slots[r->slot_count++];
            *slot = (struct slot){.number = name->number};
        }
        slot->needed |= name->there_at < r->commit;
        slot->gone |= name->gone_at != LSN_NONE && name->gone_at < r->commit;
    }
}

/* ---- readings ---- */

static bool was_called(const struct reading *r, const struct slot *slot, const char *name)
{
    if (slot->column != NULL && strcmp(slot->column->name, name) == 0)
        return true;
    for (size_t i = 0; i < r->former->count; i++)
        if (r->former->names[i].table_oid == r->table->oid &&
            r->former->names[i].number == slot->number &&
            strcmp(r->former->names[i].name, name) == 0)
            return true;
    return false;
}

static bool had_type(const struct reading *r, const struct slot *slot, uint32_t type_oid)
{
    if (slot->column != NULL && slot->column->type_oid == type_oid)
        return true;
    for (size_t i = 0; i < r->former->count; i++)
        if (r->former->names[i].table_oid == r->table->oid &&
            r->former->names[i].number == slot->number &&
            r->former->names[i].type_oid == type_oid)
            return true;
    return false;
}

static bool may_be(const struct reading *r, const struct slot *slot,
                   const struct column *column)
{
    return !slot->gone && (!r->by_name || was_called(r, slot, column->name)) &&
           (!r->by_type || had_type(r, slot, column->type_oid));
}

/* Whether the relation may be without the slots from..upto: gone ones, and where nothing stands
 * behind them, those that were added later. */
static bool may_lack(const struct reading *r, size_t from, size_t upto, bool at_end)
{
    for (size_t i = from; i < upto; i++)
        if (r->slots[i].column != NULL && (!at_end || r->slots[i].needed))
            return false;
    return true;
}

/* Which of two columns that are gone it is makes no difference. */
static void compare_readings(struct reading *r)
{
    for (uint16_t i = 0; i < r->relation->column_count; i++) {
        if (r->trying[i] == r->chosen[i] ||
            (r->slots[r->trying[i]].column == NULL && r->slots[r->chosen[i]].column == NULL))
            continue;
        r->unclear[i] = r->doubtful = true;
    }
}

static void note_reading(struct reading *r)
{
    if (r->found)
        compare_readings(r);
    else
        memcpy(r->chosen, r->trying, r->relation->column_count * sizeof *r->trying);
    r->found = true;
}

static void try_column(struct reading *r, uint16_t column, size_t from)
{
    r->lost |= ++r->steps > STEPS_MOST;
    if (r->lost)
        return;
    if (column == r->relation->column_count) {
        if (may_lack(r, from, r->slot_count, true))
            note_reading(r);
        return;
    }
    for (size_t i = from; i < r->slot_count && may_lack(r, from, i, false); i++) {
        if (!may_be(r, &r->slots[i], &r->relation->columns[column]))
            continue;
        r->trying[column] = i;
        try_column(r, (uint16_t)(column + 1), i + 1);
    }
}

/* A name that went from one column to another may have done so unseen, too. */
static bool names_have_moved(const struct reading *r)
{
    for (uint16_t i = 0; i < r->relation->column_count; i++) {
        size_t owners = 0;
        for (size_t j = 0; j < r->slot_count; j++)
            owners += was_called(r, &r->slots[j], r->relation->columns[i].name);
        if (owners > 1)
            return true;
    }
    return false;
}

static void take_reading(const struct reading *r, struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++) {
        const struct slot *slot = &r->slots[r->chosen[i]];
        relation->columns[i].unclear = r->unclear[i];
        if (r->unclear[i] || (relation->strange && !relation->columns[i].key))
            continue;
        relation->columns[i].gone = slot->column == NULL;
        if (slot->column == NULL || strcmp(slot->column->name, relation->columns[i].name) == 0)
            continue;
        free(relation->columns[i].name);
        relation->columns[i].name = mem_string(slot->column->name);
    }
}

static void mark_strange(struct relation *relation)
{
    relation->strange = true;
    for (uint16_t i = 0; i < relation->column_count; i++)
        relation->columns[i].unclear = true;
}

static bool try_by(struct reading *r, bool name, bool type)
{
    r->by_name = name;
    r->by_type = type;
    try_column(r, 0, 0);
    return r->found;
}

/* Names that were never seen leave places, by which rows may still be told from each other. */
static void read_columns(struct reading *r, struct relation *relation)
{
    add_present(r);
    add_former(r);
    qsort(r->slots, r->slot_count, sizeof *r->slots, by_number);
    bool seen = try_by(r, true, true) || try_by(r, true, false);
    if (!seen || names_have_moved(r))
        (void)try_by(r, false, true);
    if (!r->found || r->lost) {
        mark_strange(relation);
        return;
    }
    relation->strange = !seen || r->doubtful;
    take_reading(r, relation);
}

/* ---- the table's own name ---- */

static bool table_was_called(const struct former *former, const struct catalog_table *table,
                             const struct relation *relation)
{
    char *name = ident_qualified(relation->schema, relation->name);
    bool was = strcmp(relation->schema, table->schema) == 0 &&
               strcmp(relation->name, table->name) == 0;
    for (size_t i = 0; i < former->count && !was; i++)
        was = former->names[i].table_oid == table->oid &&
              former->names[i].number == FORMER_TABLE &&
              strcmp(former->names[i].name, name) == 0;
    free(name);
    return was;
}

static void rename_table(const struct catalog_table *table, struct relation *relation)
{
    free(relation->schema);
    free(relation->name);
    relation->schema = mem_string(table->schema);
    relation->name = mem_string(table->name);
}

/* ---- newer ones ---- */

static bool is_column(const struct column *column, const struct catalog_column *now)
{
    return strcmp(column->name, now->name) == 0 && column->type_oid == now->type_oid &&
           column->type_modifier == catalog_shown_modifier(now);
}

static bool is_as_now(const struct catalog_table *table, const struct relation *relation)
{
    uint16_t count = 0;
    if (strcmp(relation->schema, table->schema) != 0 ||
        strcmp(relation->name, table->name) != 0)
        return false;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].generated)
            continue;
        if (count == relation->column_count ||
            !is_column(&relation->columns[count++], &table->columns[i]))
            return false;
    }
    return count == relation->column_count;
}

static void read_older(const struct former *former, const struct catalog_table *table,
                       lsn_t commit, struct relation *relation)
{
    struct reading r = {
        .former = former, .table = table, .relation = relation, .commit = commit};
    r.slots = mem_zero(table->column_count + former->count + 1U, sizeof *r.slots);
    r.chosen = mem_zero(relation->column_count + 1U, sizeof *r.chosen);
    r.trying = mem_zero(relation->column_count + 1U, sizeof *r.trying);
    r.unclear = mem_zero(relation->column_count + 1U, sizeof *r.unclear);
    read_columns(&r, relation);
    rename_table(table, relation);
    free(r.slots);
    free(r.chosen);
    free(r.trying);
    free(r.unclear);
}

void former_read(const struct former *former, const struct catalog *catalog, lsn_t commit,
                 bool older, struct relation *relation)
{
    const struct catalog_table *table = catalog_find_oid(catalog, relation->oid);
    if (table == NULL || (!older && is_as_now(table, relation)))
        return;
    if (older && table_was_called(former, table, relation))
        read_older(former, table, commit, relation);
    else
        mark_strange(relation);
}
