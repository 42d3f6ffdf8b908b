/* The shapes of both sides of a bound table, and the formats its values can travel in. */
#include "transforms/bind.h"

#include "transforms/condition.h"
#include "transforms/key.h"

#include <stdlib.h>
#include <string.h>

/* Numbers the source columns that rules read, in catalog order. */
static uint16_t number_sources(struct binder *binder)
{
    uint16_t count = 0;

    for (uint16_t i = 0; i < binder->source->column_count; i++)
        if (binder->sources[i].read)
            binder->sources[i].index = count++;
    return count;
}

static bool in_identity(const struct binder *binder, uint16_t column)
{
    const struct catalog_index *index = catalog_identity_index(binder->source);

    for (uint16_t i = 0; index && i < index->column_count; i++)
        if (index->columns[i] == column)
            return true;
    return false;
}

static struct column describe(const struct catalog_column *column, bool key)
{
    return (struct column){.name = column->name,
                           .type_oid = column->type_oid,
                           .type_modifier = catalog_shown_modifier(column),
                           .key = key};
}

static struct relation *source_relation(struct binder *binder, uint16_t count,
                                        struct table_plan *plan)
{
    struct column *columns = arena_alloc(binder->arena, (count + 1u) * sizeof(*columns));
    struct relation *relation;

    plan->sources = arena_alloc(binder->arena, (count + 1u) * sizeof(struct source_column *));
    for (uint16_t i = 0; i < binder->source->column_count; i++) {
        const struct source_column *source = &binder->sources[i];

        if (!source->read)
            continue;
        columns[source->index] = describe(source->column, in_identity(binder, i));
        plan->sources[source->index] = source;
    }
    relation = relation_create(binder->source->schema, binder->source->name, count, columns);
    relation->oid = binder->source->oid;
    relation->replica_identity = binder->source->replica_identity;
    relation->match = catalog_identity_index(binder->source)    ? MATCH_KEY
                      : binder->source->replica_identity == 'f' ? MATCH_ROW
                                                                : MATCH_NONE;
    return relation;
}

static struct relation *target_relation(struct binder *binder, const struct table_plan *plan,
                                        uint16_t count)
{
    struct column *columns = arena_alloc(binder->arena, (count + 1u) * sizeof(*columns));
    struct relation *relation;

    for (uint16_t i = 0; i < count; i++) {
        columns[i] = describe(plan->columns[i].target, plan->columns[i].key);
        columns[i].identity_always = plan->columns[i].target->identity == 'a';
        if (plan->columns[i].rule->formula) {
            columns[i].formula = (char *)(uintptr_t)plan->columns[i].rule->formula->opening;
            columns[i].formula_varies = plan->columns[i].rule->formula->varies;
        }
    }
    relation = relation_create(binder->target->schema, binder->target->name, count, columns);
    relation->oid = binder->target->oid;
    relation->match = binder->match;
    return relation;
}

/* --- formats --- */

const struct source_column *bind_keeps_stream_text(const struct plan_column *column)
{
    for (uint16_t i = 0; i < column->input_count && !column->passes; i++)
        if (!type_has_text(column->inputs[i]->codec) &&
            !source_comes_as_text(column->inputs[i]))
            return column->inputs[i];
    return NULL;
}

static bool inputs_have_text(const struct plan_column *column)
{
    for (uint16_t i = 0; i < column->input_count; i++)
        if (!type_has_text(column->inputs[i]->codec))
            return false;
    return true;
}

static bool can_be_binary(const struct plan_column *column)
{
    if (column->passes)
        return true;
    if (column->rule->formula)
        return false; /* texts are staged for it */
    if (column->rule->constant && column->rule->constant->kind == VALUE_NULL)
        return true;
    return type_has_binary(column->codec) && inputs_have_text(column);
}

static void prepare_column(struct binder *binder, struct plan_column *column)
{
    const struct value *constant = column->rule->constant;
    struct value binary;

    column->passes =
        column->passage.kind == PASSAGE_BINARY || column->passage.kind == PASSAGE_RECODED;
    if (!constant || constant->kind == VALUE_NULL)
        column->binary = constant;
    else if (column->codec && type_has_binary(column->codec) &&
             type_to_binary(column->codec, constant, binder->arena, &binary))
        column->binary = arena_copy(binder->arena, &binary, sizeof(binary));
}

/* --- columns of the plan --- */

static uint16_t take_columns(struct binder *binder, struct table_plan *plan)
{
    uint16_t count = 0, most = binder->target->column_count;

    plan->columns = arena_alloc(binder->arena, (most + 1u) * sizeof(*plan->columns));
    plan->keys = arena_alloc(binder->arena, (most + 1u) * sizeof(*plan->keys));
    plan->key_count = 0;
    for (uint16_t i = 0; i < most; i++) {
        if (binder->columns[i].state != PLAN_BOUND)
            continue;
        prepare_column(binder, &binder->columns[i]);
        if (binder->columns[i].key)
            plan->keys[plan->key_count++] = count;
        plan->columns[count++] = binder->columns[i];
    }
    return count;
}

static const struct bound_column *show_columns(struct binder *binder,
                                               const struct table_plan *plan, uint16_t count)
{
    struct bound_column *columns = arena_alloc(binder->arena, (count + 1u) * sizeof(*columns));

    for (uint16_t i = 0; i < count; i++)
        columns[i] = (struct bound_column){
            .target = plan->columns[i].target,
            .rule = plan->columns[i].rule,
            .passes = plan->columns[i].passes,
            .travels = plan->columns[i].passage.kind,
            .why = plan->columns[i].passage.why,
            .keeps_stream_text = bind_keeps_stream_text(&plan->columns[i]) != NULL,
            .no_sql = rule_no_sql(plan->columns[i].rule)};
    return columns;
}

static const bool *find_key_reads(struct binder *binder, const struct table_plan *plan,
                                  uint16_t source_count)
{
    bool *reads = arena_alloc(binder->arena, (source_count + 1u) * sizeof(*reads));

    memset(reads, 0, (source_count + 1u) * sizeof(*reads));
    for (uint16_t i = 0; i < plan->key_count; i++) {
        const struct plan_column *column = &plan->columns[plan->keys[i]];

        for (uint16_t j = 0; j < column->input_count; j++)
            reads[column->inputs[j]->index] = true;
    }
    return reads;
}

static const bool *find_key_tells(struct binder *binder, const struct table_plan *plan,
                                  const struct relation *source)
{
    bool *tells = arena_alloc(binder->arena, (source->column_count + 1u) * sizeof(*tells));

    for (uint16_t i = 0; i < source->column_count; i++) {
        int column = catalog_column_index(binder->source, source->columns[i].name);

        tells[i] = key_tells_apart(plan, &binder->source->columns[column]);
    }
    return tells;
}

/* A constant that tells the rows of this migration from others: in the key, or anywhere when
 * there is no key. */
static bool is_owner(const struct binder *binder, const struct plan_column *column)
{
    return column->rule->constant && column->rule->constant->kind == VALUE_TEXT &&
           (column->key || binder->match != MATCH_KEY);
}

/* As its type prints it, where that is known here: who compares claims compares texts. */
static const char *constant_text(struct binder *binder, const struct plan_column *column)
{
    struct value text = *column->rule->constant;

    if (column->binary && column->codec && type_has_text(column->codec))
        (void)type_to_text(column->codec, column->binary, binder->arena, &text);
    return text_copy_sized(binder->arena, text.data, text.size);
}

static void find_owners(struct binder *binder, const struct table_plan *plan,
                        struct bound_table *bound)
{
    uint16_t *columns =
        arena_alloc(binder->arena, (bound->column_count + 1u) * sizeof(*columns));
    const char **values =
        arena_alloc(binder->arena, (bound->column_count + 1u) * sizeof(*values));

    bound->owner_count = 0;
    for (uint16_t i = 0; i < bound->column_count; i++) {
        const struct plan_column *column = &plan->columns[i];

        if (!is_owner(binder, column))
            continue;
        columns[bound->owner_count] = i;
        values[bound->owner_count++] = constant_text(binder, column);
    }
    bound->owner_columns = columns;
    bound->owner_values = values;
}

void bind_layout(struct binder *binder, uint32_t table, struct table_plan *plan)
{
    struct bound_table *bound = plan->bound;
    uint16_t source_count = number_sources(binder);
    uint16_t count = take_columns(binder, plan);
    struct relation *source = source_relation(binder, source_count, plan);
    struct relation *target = target_relation(binder, plan, count);

    source->table = target->table = table;
    *bound = (struct bound_table){.source = binder->source,
                                  .target = binder->target,
                                  .source_relation = source,
                                  .target_relation = target,
                                  .column_count = count,
                                  .columns = show_columns(binder, plan, count),
                                  .key_reads = find_key_reads(binder, plan, source_count),
                                  .key_tells = find_key_tells(binder, plan, source),
                                  .insert_only = binder->insert_only,
                                  .said = binder->spec->said,
                                  .where = binder->where,
                                  .route = binder->route,
                                  .copy_binary = !condition_textless(binder->where, false) &&
                                                 !condition_textless(binder->route, false)};
    if (!bound->copy_binary)
        bound->copy_text_reason = "a condition reads a column that has no text form here";
    for (uint16_t i = 0; i < count; i++)
        if (bound->copy_binary && !can_be_binary(&plan->columns[i])) {
            bound->copy_binary = false;
            bound->copy_text_reason =
                text_format(binder->arena, "column %s (%s: %s)", plan->columns[i].target->name,
                            plan->columns[i].target->type_name, plan->columns[i].passage.why);
        }
    plan->conditions = binder->conditions;
    plan->known = binder->known;
    plan->entry_where = text_copy(binder->arena, binder->spec->source.where);
    plan->known_where =
        binder->known ? text_copy(binder->arena, binder->spec->route_where) : NULL;
    find_owners(binder, plan, bound);
}

void bind_layout_free(struct table_plan *plan)
{
    relation_free((struct relation *)plan->bound->source_relation);
    relation_free((struct relation *)plan->bound->target_relation);
}
