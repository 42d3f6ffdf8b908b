/* The chain at work: rows of the source become rows of the target (pipeline/transform.h). What a
 * change means for each target is change.c's; here are truncations, the backfill's rows, and the
 * life of a transform. */
#include "transforms/change.h"
#include "transforms/evaluate.h"

#include "base/mem.h"

#include <stdlib.h>

struct rules_transform {
    struct transform transform;
    const struct chain_plan *chain;
    struct shapes shapes;
    const struct lookup_maker *maker;
    struct lookup **lookups; /* by chain.lookups; NULL without a maker */
    /* Room for one row of any table each, and for the decisions of any table. */
    struct value *source_new;
    struct value *source_old;
    struct value *target_old;
    struct decision *decisions;
};

static uint32_t rules_source(struct transform *base, const struct relation *from)
{
    const struct chain_plan *chain = ((struct rules_transform *)base)->chain;
    const struct bound_source *source = shape_source(chain, from);

    return source ? (uint32_t)(source - chain->chain.sources) : UINT32_MAX;
}

/* --- changes --- */

static bool refuse_truncate(const struct bound_table *table, struct err *err)
{
    err_set(err, ERR_DATA,
            "TRUNCATE of source table %s.%s: which rows of target table %s.%s were its own "
            "cannot be told, other source tables write there too",
            table->source->schema, table->source->name, table->target->schema,
            table->target->name);
    return err_remedy(err, "Give each of them a column with another constant in the key, then "
                           "begin the migration anew.");
}

/* Appends the targets of one truncated table. */
static bool truncate_source(const struct chain_plan *chain, const struct bound_source *source,
                            const struct relation **relations, uint16_t *count, struct err *err)
{
    for (uint32_t i = 0; i < source->table_count; i++) {
        const struct bound_table *table = &chain->chain.tables[source->first_table + i];

        if (table->shares_rows)
            return refuse_truncate(table, err);
        relations[(*count)++] = table->target_relation;
    }
    return true;
}

static bool list_truncated(const struct chain_plan *chain, const struct change *in,
                           const struct relation **relations, uint16_t *count, struct err *err)
{
    for (uint16_t i = 0; i < in->relation_count; i++) {
        const struct bound_source *source = shape_source(chain, in->relations[i]);

        if (source && (!shape_check_source(source, in->relations[i], err) ||
                       !truncate_source(chain, source, relations, count, err)))
            return false;
    }
    return true;
}

static enum transform_result change_truncate(struct rules_transform *transform,
                                             const struct change *in, struct batch *out,
                                             struct err *err)
{
    const struct relation **relations = arena_alloc(
        &out->arena, (transform->chain->chain.table_count + 1) * sizeof(struct relation *));
    struct change *change;
    uint16_t count = 0;

    if (!list_truncated(transform->chain, in, relations, &count, err))
        return TRANSFORM_FAILED;
    if (count == 0)
        return TRANSFORM_FILTERED;
    change = batch_add_change(out);
    change->kind = CHANGE_TRUNCATE;
    change->relation = relations[0];
    change->relations = relations;
    change->relation_count = count;
    change->truncate_restart_identity = in->truncate_restart_identity;
    change->lsn = in->lsn;
    change->transaction = in->transaction;
    return TRANSFORM_WRITTEN;
}

/* A row's failure: of its values, or of something that passes or is nobody's data. */
static enum transform_result refusal(const struct err *err)
{
    return err->class == ERR_DATA ? TRANSFORM_REFUSED : TRANSFORM_FAILED;
}

static enum transform_result rules_change(struct transform *base, const struct change *in,
                                          xid_t xid, struct batch *out, struct err *err)
{
    struct rules_transform *transform = (struct rules_transform *)base;
    uint32_t before = out->change_count;
    struct task task = {.in = in,
                        .xid = xid,
                        .out = out,
                        .reader = base->row_reader,
                        .lookups = transform->lookups,
                        .room_new = transform->source_new,
                        .room_old = transform->source_old,
                        .room_target = transform->target_old,
                        .decisions = transform->decisions};

    if (in->kind == CHANGE_TRUNCATE)
        return change_truncate(transform, in, out, err);
    if (!shapes_find(&transform->shapes, transform->chain, in->relation, &task.set, err))
        return TRANSFORM_FAILED;
    if (task.set->count == 0)
        return TRANSFORM_FILTERED;
    if (!change_transform(&task, err)) {
        out->change_count = before;
        return refusal(err);
    }
    return out->change_count == before ? TRANSFORM_FILTERED : TRANSFORM_WRITTEN;
}

/* --- rows of the backfill --- */

static bool refuse_format(const struct plan_column *column, struct err *err)
{
    return err_set(err, ERR_DATA, "the result is no value of type %s",
                   column->target->type_name);
}

/* The copy has one format for all values. */
static bool to_binary(const struct plan_column *column, struct arena *arena,
                      struct value *value, struct err *err)
{
    struct value text = *value;

    if (value->kind == VALUE_BINARY || value->kind == VALUE_NULL)
        return true;
    if (column->rule->constant && column->binary) {
        *value = *column->binary;
        return true;
    }
    return (value->kind == VALUE_TEXT && column->codec &&
            type_to_binary(column->codec, &text, arena, value)) ||
           refuse_format(column, err);
}

static bool to_text(const struct plan_column *column, struct arena *arena, struct value *value,
                    struct err *err)
{
    struct value binary = *value;

    if (value->kind == VALUE_TEXT || value->kind == VALUE_NULL)
        return true;
    return (value->kind == VALUE_BINARY && column->codec && type_has_text(column->codec) &&
            type_to_text(column->codec, &binary, arena, value)) ||
           refuse_format(column, err);
}

static bool copy_row(const struct table_plan *plan, const struct evaluation *in,
                     struct value *out, struct err *err)
{
    bool binary = plan->bound->copy_binary;

    for (uint16_t i = 0; i < plan->bound->column_count; i++) {
        const struct plan_column *column = &plan->columns[i];

        if (!evaluate_column(plan, column, in, &out[i], err))
            return false;
        if (!(binary ? to_binary : to_text)(column, in->arena, &out[i], err))
            return evaluate_wrap(plan, column, err);
    }
    return evaluate_check_key(plan, out, err);
}

static enum transform_result rules_row(struct transform *base, const struct relation *target,
                                       const struct row *in, struct arena *arena,
                                       struct row *out, struct err *err)
{
    struct rules_transform *transform = (struct rules_transform *)base;
    const struct table_plan *plan = &transform->chain->tables[target->table];
    struct evaluation evaluation = {
        .values = in->values, .arena = arena, .lookups = transform->lookups};
    enum truth member;
    struct row row;

    if (!change_check_count(plan->bound->source_relation, in, err) ||
        !evaluate_membership(plan, &evaluation, true, &member, err))
        return refusal(err);
    if (member != TRUTH_TRUE)
        return TRANSFORM_FILTERED;
    row.count = plan->bound->column_count;
    row.values = arena_alloc(arena, row.count * sizeof(*row.values));
    if (!copy_row(plan, &evaluation, row.values, err))
        return refusal(err);
    *out = row;
    return TRANSFORM_WRITTEN;
}

/* --- life --- */

static void rules_destroy(struct transform *base)
{
    struct rules_transform *transform = (struct rules_transform *)base;

    for (size_t i = 0; transform->lookups && i < transform->chain->chain.lookup_count; i++)
        transform->lookups[i]->ops->destroy(transform->lookups[i]);
    free(transform->lookups);
    shapes_free(&transform->shapes);
    free(transform->source_new);
    free(transform->source_old);
    free(transform->target_old);
    free(transform->decisions);
    free(transform);
}

static struct transform *rules_clone(const struct transform *base)
{
    const struct rules_transform *transform = (const struct rules_transform *)base;

    return chain_transform_asking(&transform->chain->chain, transform->maker);
}

static const struct transform_ops rules_ops = {
    .source = rules_source,
    .change = rules_change,
    .row = rules_row,
    .clone = rules_clone,
    .destroy = rules_destroy,
};

static size_t most_columns(const struct chain *chain)
{
    size_t most = 1;

    for (size_t i = 0; i < chain->table_count; i++) {
        if (chain->tables[i].column_count > most)
            most = chain->tables[i].column_count;
        if (chain->tables[i].source_relation->column_count > most)
            most = chain->tables[i].source_relation->column_count;
    }
    return most;
}

static void make_lookups(struct rules_transform *transform, const struct chain *chain)
{
    if (!transform->maker || chain->lookup_count == 0)
        return;
    transform->transform.asks = true;
    transform->lookups = mem_zero(chain->lookup_count, sizeof(struct lookup *));
    for (size_t i = 0; i < chain->lookup_count; i++)
        transform->lookups[i] =
            transform->maker->make(transform->maker->context, &chain->lookups[i]);
}

struct transform *chain_transform(const struct chain *chain)
{
    return chain_transform_asking(chain, NULL);
}

const struct catalog_column *bound_column_source(const struct bound_column *column)
{
    return column->rule->plain ? column->rule->plain->column : NULL;
}

bool chain_condition_reads(const struct chain *chain, size_t table,
                           const struct catalog_column *column)
{
    const struct chain_plan *plan = (const struct chain_plan *)chain;
    return plan_reads(&plan->tables[table].conditions, column);
}

struct transform *chain_transform_asking(const struct chain *chain,
                                         const struct lookup_maker *maker)
{
    struct rules_transform *transform = mem_zero(1, sizeof(*transform));
    size_t most = most_columns(chain);

    transform->transform.ops = &rules_ops;
    transform->chain = (const struct chain_plan *)chain;
    shapes_init(&transform->shapes);
    transform->source_new = mem_zero(most, sizeof(struct value));
    transform->source_old = mem_zero(most, sizeof(struct value));
    transform->target_old = mem_zero(most, sizeof(struct value));
    transform->decisions = mem_zero(chain->table_count + 1, sizeof(struct decision));
    transform->maker = maker;
    make_lookups(transform, chain);
    return &transform->transform;
}
