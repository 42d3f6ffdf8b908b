/* See evaluate.h. */
#include "transforms/evaluate.h"

bool evaluate_wrap(const struct table_plan *plan, const struct plan_column *column,
                   struct err *err)
{
    const struct relation *relation = plan->bound->target_relation;

    err_column(err, column->target->name);
    return err_wrap(err, "target column %s.%s.%s", relation->schema, relation->name,
                    column->target->name);
}

bool evaluate_recode(const struct table_plan *plan, const struct plan_column *column,
                     struct arena *arena, struct value *value, struct err *err)
{
    char *copy = arena_copy(arena, value->data, value->size);

    if (recoder_apply(column->passage.recoder, copy, value->size)) {
        value->data = copy;
        return true;
    }
    err_set(err, ERR_DATA, "%u bytes are no value of type %s as it was when the run began",
            value->size, column->rule->plain->column->type_name);
    err_remedy(err,
               "If the type was changed at the source, change it at the target too and run "
               "again.");
    return evaluate_wrap(plan, column, err);
}

bool evaluate_row(const struct table_plan *plan, const struct evaluation *in, struct value *out,
                  struct err *err)
{
    for (uint16_t i = 0; i < plan->bound->column_count; i++)
        if (!evaluate_column(plan, &plan->columns[i], in, &out[i], err))
            return false;
    return true;
}

static bool reads_unsent(const struct plan_column *column, const struct evaluation *in)
{
    for (uint16_t i = 0; i < column->input_count; i++)
        if (in->values[column->inputs[i]->index].kind == VALUE_UNCHANGED)
            return true;
    return false;
}

bool evaluate_known_part(const struct table_plan *plan, const struct evaluation *in,
                         struct value *out, struct err *err)
{
    for (uint16_t i = 0; i < plan->bound->column_count; i++) {
        if (evaluate_column(plan, &plan->columns[i], in, &out[i], err))
            continue;
        if (!reads_unsent(&plan->columns[i], in))
            return false;
        err_clear(err);
        out[i] = (struct value){.kind = VALUE_UNCHANGED};
    }
    return true;
}

bool evaluate_key(const struct table_plan *plan, const struct evaluation *in, struct value *out,
                  struct err *err)
{
    for (uint16_t i = 0; i < plan->bound->column_count; i++)
        out[i] = (struct value){.kind = VALUE_ABSENT};
    for (uint16_t i = 0; i < plan->key_count; i++) {
        uint16_t key = plan->keys[i];

        if (!evaluate_column(plan, &plan->columns[key], in, &out[key], err))
            return false;
    }
    return true;
}

bool evaluate_check_key(const struct table_plan *plan, const struct value *row, struct err *err)
{
    for (uint16_t i = 0; i < plan->key_count; i++) {
        const struct value *value = &row[plan->keys[i]];

        if (value->kind == VALUE_TEXT || value->kind == VALUE_BINARY)
            continue;
        err_set(err, ERR_DATA, "%s",
                value->kind == VALUE_NULL ? "the key is NULL"
                : value->kind == VALUE_UNCHANGED
                    ? "the key was not sent (unchanged TOAST value)"
                    : "the key was not sent");
        err_remedy(err, "Make the key of columns that are never NULL, or set REPLICA IDENTITY "
                        "FULL at the source so that it sends them.");
        return evaluate_wrap(plan, &plan->columns[plan->keys[i]], err);
    }
    return true;
}

bool evaluate_keys_equal(const struct table_plan *plan, const struct value *a,
                         const struct value *b)
{
    for (uint16_t i = 0; i < plan->key_count; i++)
        if (!value_equal(&a[plan->keys[i]], &b[plan->keys[i]]))
            return false;
    return true;
}

static bool refuse_unrouted(const struct table_plan *plan, struct err *err)
{
    const struct catalog_table *source = plan->bound->source;

    err_set(err, ERR_DATA,
            "source table %s.%s: the route has no entry for the value of this row, and no "
            "default",
            source->schema, source->name);
    return err_remedy(err, "Add the value, or a default (a table or drop), to the route at %s.",
                      plan->known_where);
}

bool evaluate_membership(const struct table_plan *plan, const struct evaluation *in,
                         bool is_new, enum truth *member, struct err *err)
{
    enum truth known = TRUTH_TRUE, routed = TRUTH_TRUE;

    *member = TRUTH_TRUE;
    if (plan->bound->where && !condition_evaluate(plan->bound->where, in, member, err))
        return false;
    if (*member == TRUTH_FALSE || !plan->bound->route)
        return true;
    if (is_new && plan->known && !condition_evaluate(plan->known, in, &known, err))
        return false;
    if (known == TRUTH_FALSE && *member == TRUTH_TRUE)
        return refuse_unrouted(plan, err);
    if (!condition_evaluate(plan->bound->route, in, &routed, err))
        return false;
    if (routed != TRUTH_TRUE)
        *member = routed;
    return true;
}
