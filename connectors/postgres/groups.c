/* Net changes by what is to be done with them (groups.h). */
#include "postgres/groups.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PATTERNS_MOST 8 /* sets of known columns of a table's updates that get a group each */

/* ---- life ---- */

void groups_init(struct groups *groups, size_t tables, uint16_t columns)
{
    *groups = (struct groups){.first = mem_zero(tables + 1, sizeof *groups->first),
                              .mask = mem_zero(columns, sizeof *groups->mask)};
}

void groups_free(struct groups *groups)
{
    for (uint32_t i = 0; i < groups->capacity; i++)
        free(groups->items[i].items);
    free(groups->items);
    free(groups->first);
    free(groups->mask);
}

void groups_clear(struct groups *groups)
{
    for (uint32_t i = 0; i < groups->count; i++)
        groups->first[groups->items[i].relation->table] = 0;
    groups->count = 0;
}

/* ---- finding ---- */

static struct group *add_group(struct groups *groups, const struct relation *relation,
                               enum operation operation)
{
    uint32_t *first = &groups->first[relation->table];
    if (groups->count == groups->capacity) {
        uint32_t capacity = groups->capacity + 16;
        groups->items = mem_grow(groups->items, capacity, sizeof *groups->items);
        memset(groups->items + groups->capacity, 0, 16 * sizeof *groups->items);
        groups->capacity = capacity;
    }
    struct group *group = &groups->items[groups->count++];
    *group = (struct group){.relation = relation,
                            .operation = operation,
                            .items = group->items,
                            .capacity = group->capacity,
                            .next = *first};
    *first = groups->count;
    return group;
}

static struct group *find_group(struct groups *groups, const struct relation *relation,
                                enum operation operation)
{
    for (uint32_t i = groups->first[relation->table]; i != 0; i = groups->items[i - 1].next)
        if (groups->items[i - 1].operation == operation)
            return &groups->items[i - 1];
    return add_group(groups, relation, operation);
}

static void fill_mask(struct groups *groups, const struct relation *relation,
                      const struct value *row)
{
    for (uint16_t i = 0; i < relation->column_count; i++)
        groups->mask[i] = value_is_known(&row[i]);
}

/* The group of updates that know the columns of the mask; of rare patterns, that of all others.
 */
static struct group *find_pattern(struct groups *groups, struct fold *fold,
                                  const struct relation *relation)
{
    size_t size = relation->column_count * sizeof *groups->mask;
    struct group *others = NULL;
    uint32_t patterns = 0;
    for (uint32_t i = groups->first[relation->table]; i != 0; i = groups->items[i - 1].next) {
        struct group *group = &groups->items[i - 1];
        if (group->operation != UPDATE_ROWS)
            continue;
        if (group->known == NULL)
            others = group;
        else if (memcmp(group->known, groups->mask, size) == 0)
            return group;
        else
            patterns++;
    }
    if (patterns >= PATTERNS_MOST)
        return others != NULL ? others : add_group(groups, relation, UPDATE_ROWS);
    struct group *group = add_group(groups, relation, UPDATE_ROWS);
    group->known = arena_copy(&fold->arena, groups->mask, size);
    return group;
}

static uint64_t prefix_of(const struct net *net)
{
    uint64_t prefix = 0;
    for (uint16_t i = 0; net->key != NULL && i < net->relation->column_count; i++) {
        if (!net->relation->columns[i].key)
            continue;
        const struct value *value = &net->key[i];
        for (uint32_t at = 0; at < sizeof prefix; at++)
            prefix = prefix << 8 | (at < value->size ? (uint8_t)value->data[at] : 0);
        break;
    }
    return prefix;
}

static void add_item(const struct fold *fold, struct group *group, uint32_t index)
{
    if (group->count == group->capacity) {
        group->capacity = group->capacity == 0 ? 64 : 2 * group->capacity;
        group->items = mem_grow(group->items, group->capacity, sizeof *group->items);
    }
    group->items[group->count++] =
        (struct item){.prefix = prefix_of(&fold->nets[index]), .net = index};
}

static enum operation deletion_of(const struct net *net)
{
    static const enum operation BY_WAS[] = {
        [WAS_PRESENT] = DELETE_ROWS, [WAS_ABSENT] = DELETE_NONE, [WAS_ANY] = DELETE_ANY};
    return BY_WAS[net->was];
}

static void sort_net(struct groups *groups, struct fold *fold, uint32_t index)
{
    const struct net *net = &fold->nets[index];
    bool anew = net->anew && net->was != WAS_ABSENT;
    if (net->row == NULL || anew)
        add_item(fold, find_group(groups, net->relation, deletion_of(net)), index);
    if (net->row == NULL)
        return;
    if (anew || net->was == WAS_ABSENT) {
        add_item(fold, find_group(groups, net->relation, INSERT_ROWS), index);
    } else if (net->was == WAS_ANY) {
        add_item(fold, find_group(groups, net->relation, UPSERT_ANY), index);
    } else {
        fill_mask(groups, net->relation, net->row);
        add_item(fold, find_pattern(groups, fold, net->relation), index);
    }
}

/* Rows of a stage go in the order of their keys: the target's pages are then met one after the
 * other. */
static int compare_items(const void *a, const void *b, void *context)
{
    const struct item *one = a, *other = b;
    const struct net *nets = context;
    if (one->prefix != other->prefix)
        return one->prefix < other->prefix ? -1 : 1;
    const struct net *left = &nets[one->net], *right = &nets[other->net];
    for (uint16_t i = 0; i < left->relation->column_count; i++) {
        if (!left->relation->columns[i].key)
            continue;
        const struct value *x = &left->key[i], *y = &right->key[i];
        int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
        if (order == 0 && x->size != y->size)
            order = x->size < y->size ? -1 : 1;
        if (order != 0)
            return order;
    }
    return 0;
}

void group_sort(struct group *group, const struct fold *fold)
{
    if (!group->sorted)
        qsort_r(group->items, group->count, sizeof *group->items, compare_items, fold->nets);
    group->sorted = true;
}

void groups_make(struct groups *groups, struct fold *fold)
{
    for (uint32_t i = 0; i < fold->count; i++)
        sort_net(groups, fold, i);
}

const bool *groups_mask(struct groups *groups, const struct relation *relation,
                        const struct value *row)
{
    fill_mask(groups, relation, row);
    return groups->mask;
}
