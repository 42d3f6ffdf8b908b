/* Several bound tables that write to one target table. A constant in the key (a discriminator)
 * that is another one in each keeps their rows apart; without it a row of one could overwrite
 * that of the other. */
#include "transforms/bind.h"

#include "schema/ident.h"
#include "schema/validation.h"
#include "transforms/spell.h"

#include <string.h>

static bool same_constant(const struct binding *binding, size_t a, uint16_t left, size_t b,
                          uint16_t right)
{
    const struct plan_column *one = &binding->chain->tables[a].columns[left];
    const struct plan_column *other = &binding->chain->tables[b].columns[right];

    return spell_may_be_equal(&binding->chain->arena, binding->rules->types, one->target,
                              one->rule->constant, other->rule->constant);
}

/* A column of the key, or any where there is none, that is a different constant in both. */
static bool told_apart(const struct binding *binding, size_t a, size_t b)
{
    const struct bound_table *one = &binding->bound[a], *other = &binding->bound[b];

    for (uint16_t i = 0; i < one->owner_count; i++)
        for (uint16_t j = 0; j < other->owner_count; j++) {
            uint16_t left = one->owner_columns[i], right = other->owner_columns[j];

            if (one->columns[left].target == other->columns[right].target &&
                !same_constant(binding, a, left, b, right))
                return true;
        }
    return false;
}

static bool same_key(const struct bound_table *a, const struct bound_table *b)
{
    const struct relation *left = a->target_relation, *right = b->target_relation;
    int count = 0;

    if (left->match != MATCH_KEY || right->match != MATCH_KEY)
        return false;
    for (uint16_t i = 0; i < left->column_count; i++) {
        int other = relation_column(right, left->columns[i].name);

        count += left->columns[i].key;
        if (left->columns[i].key && (other < 0 || !right->columns[other].key))
            return false;
    }
    for (uint16_t i = 0; i < right->column_count; i++)
        count -= right->columns[i].key;
    return count == 0;
}

#define DISCRIMINATOR                                                                          \
    "give both a column with another constant each, in the key: columns: { origin: { value: "  \
    "... } }"

static void refuse_pair(struct binding *binding, size_t a, size_t b, const char *why)
{
    const struct bound_table *one = &binding->bound[a], *other = &binding->bound[b];
    struct arena *arena = &binding->chain->arena;

    bind_refuse(
        binding, "merge.no_discriminator", binding->chain->tables[b].entry_where, DISCRIMINATOR,
        text_format(arena, "target table %s gets rows of %s and of %s, %s",
                    bind_table_text(arena, one->target), bind_table_text(arena, one->source),
                    bind_table_text(arena, other->source), why));
}

/* "id", "tenant"; or what they are compared by. */
static const char *key_list(struct binding *binding, size_t table, bool compared)
{
    const struct table_plan *plan = &binding->chain->tables[table];
    struct buf list = {0};

    for (uint16_t i = 0; i < plan->key_count; i++) {
        const struct catalog_column *column = plan->columns[plan->keys[i]].target;

        buf_append_text(&list, i ? ", " : "");
        if (compared)
            validation_compared(column, &list);
        else
            ident_append(&list, column->name);
    }
    return text_take(&binding->chain->arena, &list);
}

static bool is_member(const struct binding *binding, size_t table, size_t first)
{
    return binding->bound[table].target == binding->bound[first].target &&
           binding->bound[table].shares_rows;
}

/* A source's own keys are distinct: what comes twice comes from two. */
static const char *common_keys_sql(struct binding *binding, size_t first)
{
    const char *keys = key_list(binding, first, false), *separator = "";
    const char *compared = key_list(binding, first, true);
    struct buf sql = {0};

    buf_append_format(&sql, "SELECT %s FROM (", compared);
    for (size_t i = first; i < binding->chain->chain.table_count; i++) {
        if (!is_member(binding, i, first))
            continue;
        buf_append_format(&sql, "%sSELECT %s FROM (", separator, keys);
        bound_table_select(&binding->bound[i], &sql);
        buf_append_text(&sql, ") AS one");
        separator = " UNION ALL ";
    }
    buf_append_format(&sql, ") AS every GROUP BY %s HAVING count(*) > 1", compared);
    return text_take(&binding->chain->arena, &sql);
}

static const char *member_names(struct binding *binding, size_t first)
{
    struct arena *arena = &binding->chain->arena;
    const char *separator = "";
    struct buf names = {0};

    for (size_t i = first; i < binding->chain->chain.table_count; i++) {
        if (!is_member(binding, i, first))
            continue;
        buf_append_format(&names, "%s%s", separator,
                          bind_table_text(arena, binding->bound[i].source));
        separator = ", ";
    }
    return text_take(arena, &names);
}

/* Why the keys cannot be counted at the source: a clause; NULL: they can. */
static const char *keys_no_sql(struct binding *binding, size_t first)
{
    const char *reason = NULL;

    for (size_t i = first; i < binding->chain->chain.table_count && !reason; i++) {
        const struct table_plan *plan = &binding->chain->tables[i];

        for (uint16_t k = 0; is_member(binding, i, first) && k < plan->key_count && !reason;
             k++)
            reason = bind_uncounted(&binding->chain->arena,
                                    &binding->bound[i].columns[plan->keys[k]]);
    }
    return reason;
}

static void note_merge(struct binding *binding, size_t first)
{
    struct arena *arena = &binding->chain->arena;
    struct chain_merge *merge = &binding->merges[binding->chain->chain.merge_count++];
    const char *target = bind_table_text(arena, binding->bound[first].target);
    const char *no_sql = keys_no_sql(binding, first);
    struct report report = {
        .id = "merge.no_discriminator",
        .severity = SEVERITY_POTENTIALLY_BREAKING,
        .where = target,
        .impact = "rows with the same key overwrite each other, and a TRUNCATE of one source "
                  "table stops the run",
        .fix = DISCRIMINATOR};

    *merge = (struct chain_merge){.target = binding->bound[first].target,
                                  .sources = member_names(binding, first),
                                  .keys_sql = no_sql ? NULL : common_keys_sql(binding, first)};
    if (no_sql) {
        bind_report(binding->findings, arena, &report,
                    "target table %s gets rows of %s, and no constant in the key tells them "
                    "apart; the keys that more than one has cannot be counted: %s",
                    target, merge->sources, no_sql);
        return;
    }
    report.sql = text_format(arena, "%s;", merge->keys_sql);
    bind_report(binding->findings, arena, &report,
                "target table %s gets rows of %s, and no constant in the key tells them apart; "
                "the statement, run at the source, gives the keys that more than one has",
                target, merge->sources);
}

/* False when a breaking finding was left. */
static bool check_pair(struct binding *binding, size_t a, size_t b)
{
    struct bound_table *one = &binding->bound[a], *other = &binding->bound[b];
    const char *why = NULL;

    if (one->target != other->target || told_apart(binding, a, b))
        return true;
    if (one->source == other->source)
        why = "the same source table, with the same keys";
    else if (one->target_relation->match != MATCH_KEY ||
             other->target_relation->match != MATCH_KEY)
        why = "and without a key nothing tells them apart";
    else if (!same_key(one, other))
        why = "with another key each";
    if (why)
        refuse_pair(binding, a, b, why);
    one->shares_rows = other->shares_rows = true;
    return !why;
}

static bool is_first_of_target(const struct binding *binding, size_t table)
{
    for (size_t i = 0; i < table; i++)
        if (is_member(binding, i, table))
            return false;
    return binding->bound[table].shares_rows;
}

void bind_merges(struct binding *binding)
{
    size_t tables = binding->chain->chain.table_count;
    bool good = true;

    binding->merges =
        arena_alloc(&binding->chain->arena, (tables + 1) * sizeof(*binding->merges));
    binding->chain->chain.merges = binding->merges;
    for (size_t a = 0; a < tables && good; a++)
        for (size_t b = a + 1; b < tables && good; b++)
            good = check_pair(binding, a, b);
    for (size_t i = 0; i < tables && good; i++)
        if (is_first_of_target(binding, i))
            note_merge(binding, i);
}
