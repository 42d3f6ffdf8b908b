/* value: the same text, number, bool or NULL in every row.
 *
 *     tenant_id: { value: "00000000-0000-0000-0000-000000000001" }
 *
 * In an entry whose source is a pattern, \1 is what the pattern's first group took.
 * Kept as the text that stands in the file; the target's type reads it. A text that is no value
 * of that type is refused when the rules are bound, as far as the type is known here. It has
 * nothing to restore on the way back. */
#include "transforms/rule.h"

static bool value_load(const struct yaml_node *value, const struct yaml_node *entry,
                       struct arena *arena, const void **state, struct err *err)
{
    struct constant *constant = arena_alloc(arena, sizeof(*constant));

    (void)entry;
    *state = constant;
    return constant_load(value, "value", arena, constant, err);
}

static bool value_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct arena *arena = binder_arena(binder);
    struct constant *constant = arena_alloc(arena, sizeof(*constant));

    *constant = constant_copy(arena, loaded);
    rule->constant = &constant->value;
    return binder_fill(binder, "value", constant) && binder_fits(binder, "value", constant);
}

static bool value_evaluate(const struct rule *rule, const struct evaluation *in,
                           struct value *out, struct err *err)
{
    (void)in;
    (void)err;
    *out = *rule->constant;
    return true;
}

static void value_sql(const struct rule *rule, struct buf *sql)
{
    constant_sql(rule->constant, sql);
}

static void value_inverse(const struct rule *rule, struct inverse *inverse)
{
    (void)rule;
    inverse->source_column = NULL;
}

const struct rule_kind rule_value = {
    .key = "value",
    .begins = rule_always_begins,
    .load = value_load,
    .bind = value_bind,
    .evaluate = value_evaluate,
    .sql = value_sql,
    .inverse = value_inverse,
};
