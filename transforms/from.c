/* from: a source column's value.
 *
 *     full_name: { from: name }
 *
 * Alone it passes the value on as it is; where the target's type is another, as text. Its
 * inverse is a `from` the other way. */
#include "transforms/rule.h"

#include "transforms/text.h"

static bool from_load(const struct yaml_node *value, const struct yaml_node *entry,
                      struct arena *arena, const void **state, struct err *err)
{
    const char *name;

    (void)entry;
    if (!yaml_text(value, &name, err))
        return false;
    if (!*name)
        return yaml_error(value, err, "from: expected the name of a source column");
    *state = text_copy(arena, name);
    return true;
}

static bool from_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    rule->plain = binder_source(binder, loaded, rule->where);
    rule->state = rule->plain;
    return rule->plain != NULL;
}

static bool from_evaluate(const struct rule *rule, const struct evaluation *in,
                          struct value *out, struct err *err)
{
    return source_text(rule->plain, in, out, err);
}

static void from_sql(const struct rule *rule, struct buf *sql)
{
    source_text_sql(rule->plain, sql);
}

static void from_inverse(const struct rule *rule, struct inverse *inverse)
{
    inverse->source_column = rule->plain->column->name;
}

const struct rule_kind rule_from = {
    .key = "from",
    .begins = rule_always_begins,
    .load = from_load,
    .bind = from_bind,
    .evaluate = from_evaluate,
    .sql = from_sql,
    .inverse = from_inverse,
};
