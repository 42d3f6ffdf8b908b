/* default: what stands where the value is NULL.
 *
 *     country: { default: CH }
 *     country: { from: land, null_if: "", default: CH }
 *
 * The last step of an entry: it also fills what null_if, cast and lookup left NULL. In an entry
 * with a map it is the map's, for values that are not in the map. */
#include "transforms/rule.h"

static bool default_load(const struct yaml_node *value, const struct yaml_node *entry,
                         struct arena *arena, const void **state, struct err *err)
{
    struct constant *constant = arena_alloc(arena, sizeof(*constant));

    (void)entry;
    *state = constant;
    if (!constant_load(value, "default", arena, constant, err))
        return false;
    if (constant->value.kind == VALUE_NULL)
        return yaml_error(value, err, "default: NULL for NULL changes nothing; leave it out");
    return true;
}

static bool default_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct arena *arena = binder_arena(binder);
    struct constant *constant = arena_alloc(arena, sizeof(*constant));

    *constant = constant_copy(arena, loaded);
    rule->state = constant;
    return binder_fill(binder, "default", constant) && binder_fits(binder, "default", constant);
}

static bool default_evaluate(const struct rule *rule, const struct evaluation *in,
                             struct value *out, struct err *err)
{
    const struct constant *constant = rule->state;

    if (!rule_text(rule->input, in, out, err))
        return false;
    if (out->kind == VALUE_NULL)
        *out = constant->value;
    return true;
}

static void default_sql(const struct rule *rule, struct buf *sql)
{
    const struct constant *constant = rule->state;

    buf_append_text(sql, "COALESCE(");
    rule_sql(rule->input, sql);
    buf_append_text(sql, ", ");
    constant_sql(&constant->value, sql);
    buf_append_text(sql, ")");
}

static void default_inverse(const struct rule *rule, struct inverse *inverse)
{
    inverse_refuse(inverse, rule, false,
                   "a default hides which values were NULL; carry the column as well, or "
                   "accept the default on the way back");
}

const struct rule_kind rule_default = {
    .key = "default",
    .load = default_load,
    .bind = default_bind,
    .evaluate = default_evaluate,
    .sql = default_sql,
    .nulls = rule_makes_no_null,
    .inverse = default_inverse,
};
