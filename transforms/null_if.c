/* null_if: values that mean "nothing" become NULL.
 *
 *     phone: { null_if: "" }
 *     phone: { from: tel, null_if: ["", n/a, "-"] }
 *
 * By the value's text, byte for byte; for types that have one spelling here (numbers, bool,
 * uuid) 007 finds 7, as in a map. What was NULL and what became NULL cannot be told apart
 * afterwards, so there is no way back. */
#include "transforms/rule.h"

#include "schema/ident.h"
#include "transforms/text.h"

#include <string.h>

struct null_if {
    struct constant *values;
    size_t count;
};

static bool load_value(const struct yaml_node *node, struct arena *arena,
                       struct null_if *null_if, struct err *err)
{
    struct constant *value = &null_if->values[null_if->count++];

    if (!constant_load(node, "null_if", arena, value, err))
        return false;
    if (value->value.kind == VALUE_TEXT)
        return true;
    return yaml_error(node, err,
                      "null_if: NULL is NULL already; name the values that are to "
                      "become NULL");
}

static bool null_if_load(const struct yaml_node *value, const struct yaml_node *entry,
                         struct arena *arena, const void **state, struct err *err)
{
    struct null_if *null_if = arena_alloc(arena, sizeof(*null_if));
    bool list = value->kind == YAML_SEQUENCE;

    (void)entry;
    if (value->kind == YAML_MAPPING || (list && value->count == 0))
        return yaml_expected(value, "null_if", "a value or a list such as [\"\", n/a]", err);
    *null_if = (struct null_if){
        .values = arena_alloc(arena, (value->count + 1) * sizeof(*null_if->values))};
    *state = null_if;
    if (!list)
        return load_value(value, arena, null_if, err);
    for (size_t i = 0; i < value->count; i++)
        if (!load_value(value->items[i], arena, null_if, err))
            return false;
    return true;
}

static bool null_if_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    const struct null_if *from = loaded;
    struct arena *arena = binder_arena(binder);
    struct null_if *null_if = arena_alloc(arena, sizeof(*null_if));
    const struct constant null = {.value = {.kind = VALUE_NULL}, .where = rule->where};

    null_if->count = from->count;
    null_if->values = arena_alloc(arena, from->count * sizeof(*null_if->values));
    for (size_t i = 0; i < from->count; i++) {
        null_if->values[i] = constant_copy(arena, &from->values[i]);
        if (!binder_spell(binder, "rule.null_if", "null_if:", rule->input, &null_if->values[i]))
            return false;
    }
    rule->state = null_if;
    return binder_fits(binder, "null_if", &null);
}

static bool is_listed(const struct null_if *null_if, const struct value *value)
{
    for (size_t i = 0; i < null_if->count; i++)
        if (value_equal(&null_if->values[i].value, value))
            return true;
    return false;
}

static bool null_if_evaluate(const struct rule *rule, const struct evaluation *in,
                             struct value *out, struct err *err)
{
    if (!rule_text(rule->input, in, out, err))
        return false;
    if (out->kind == VALUE_TEXT && is_listed(rule->state, out))
        *out = (struct value){.kind = VALUE_NULL};
    return true;
}

static void null_if_sql(const struct rule *rule, struct buf *sql)
{
    const struct null_if *null_if = rule->state;

    rule_sql_open(sql);
    buf_append_text(sql, "CASE WHEN v IN (");
    for (size_t i = 0; i < null_if->count; i++) {
        buf_append_text(sql, i ? ", " : "");
        constant_sql(&null_if->values[i].value, sql);
    }
    buf_append_text(sql, ") THEN NULL ELSE v END");
    rule_sql_close(rule->input, sql);
}

static void null_if_inverse(const struct rule *rule, struct inverse *inverse)
{
    inverse_refuse(inverse, rule, false, "a value that became NULL is forgotten");
}

const struct rule_kind rule_null_if = {
    .key = "null_if",
    .load = null_if_load,
    .bind = null_if_bind,
    .evaluate = null_if_evaluate,
    .sql = null_if_sql,
    .nulls = rule_makes_nulls,
    .inverse = null_if_inverse,
};
