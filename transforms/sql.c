/* sql: an SQL expression over the source row that the target evaluates inside the write.
 *
 *     sort_name: { sql: "upper(last_name) || ', ' || left(first_name, 1)" }
 *     age_group: { sql: "width_bucket(age, 0, 100, 10)", type: integer }
 *
 * The way out where no other rule says it. Alone in its entry: the steps of other rules work on
 * values, and there is none until the row is written. For the same reason it is in no key, and no
 * rule reads its column.
 *
 * Faces: evaluating gives what the expression reads, as one value (the texts of the source columns
 * as a text[]; schema/formula.h), so that NULL, unchanged and absent values are treated as for
 * any other rule; what C cannot give is the result. The SQL is the expression itself over the
 * source's columns, where the source can evaluate it and it does not vary. There is no way
 * back. */
#include "transforms/rule.h"

#include "schema/formula.h"
#include "transforms/joint.h"
#include "transforms/text.h"

#include <string.h>

struct expression {
    const char *text;
    const char *where;
    bool hidden; /* holds text of the environment: not for the source's log, nor for messages */
};

struct bound_expression {
    struct expression expression;
    size_t count;
    const struct source_column **columns; /* what it reads */
    struct formula_input *inputs;         /* the same, as it sees them */
    const char *no_sql;
    struct formula formula;
};

/* --- loading --- */

static bool expression_load(const struct yaml_node *value, const struct yaml_node *entry,
                            struct arena *arena, const void **state, struct err *err)
{
    struct expression *expression = arena_alloc(arena, sizeof(*expression));
    const char *text;

    for (size_t i = 0; i < entry->count; i++)
        if (strcmp(entry->keys[i]->text, "sql") != 0 &&
            strcmp(entry->keys[i]->text, "type") != 0)
            return yaml_error(entry->keys[i], err,
                              "sql: the value is made by the target, in the write, so that "
                              "\"%s\" cannot work on it; say it in the expression",
                              entry->keys[i]->text);
    if (!yaml_text(value, &text, err))
        return false;
    if (!text[strspn(text, " \t\r\n")])
        return yaml_error(value, err,
                          "sql: expected an expression such as \"upper(last_name)\"");
    *expression = (struct expression){.text = text_copy(arena, text),
                                      .where = text_position(arena, value),
                                      .hidden = value->expanded};
    *state = expression;
    return true;
}

const char *expression_text(const void *loaded)
{
    return ((const struct expression *)loaded)->text;
}

/* --- binding --- */

static bool check_facts(struct binder *binder, const struct expression *expression,
                        const struct formula_facts *facts)
{
    static const char hidden[] = "the server refuses it; its message may hold text of the "
                                 "environment, and is not shown";

    if (facts->refusal)
        return binder_refuse(binder, "rule.sql", expression->where,
                             "write one SQL expression over the columns of the source table; "
                             "functions and tables outside pg_catalog with their schema",
                             "sql: %s", expression->hidden ? hidden : facts->refusal);
    if (facts->misfit)
        return binder_refuse(binder, "rule.sql_type", expression->where,
                             "cast the result in the expression, or change the column's type",
                             "sql: %s", expression->hidden ? hidden : facts->misfit);
    return true;
}

static void report_varies(struct binder *binder, const struct expression *expression)
{
    binder_warn(
        binder, "rule.sql_varies", SEVERITY_POTENTIALLY_BREAKING, expression->where,
        "the copy and the stream, and each later write of the row, give it another "
        "value; comparisons leave it out",
        "the expression is volatile: it may give another value each time; a function of "
        "your own that does not can be declared STABLE or IMMUTABLE");
}

/* The target evaluates with collations of its own. */
static void report_collation(struct binder *binder, const struct expression *expression,
                             const struct bound_expression *bound)
{
    for (size_t i = 0; i < bound->count; i++) {
        const struct catalog_column *column = bound->columns[i]->column;

        if (column->collation)
            binder_warn(
                binder, "rule.sql_collation", SEVERITY_NON_BREAKING, expression->where,
                "upper(), lower() and comparisons of it may give something else than at "
                "the source",
                text_format(binder_arena(binder),
                            "the expression sees \"%s\" with the target database's "
                            "collation, not with %s; write COLLATE where it matters",
                            column->name, column->collation));
    }
}

/* Which columns it reads, and as what types. */
static bool take_inputs(struct binder *binder, const struct formula_facts *facts,
                        const char *where, struct bound_expression *bound)
{
    const struct catalog_table *source = binder_source_table(binder);
    struct arena *arena = binder_arena(binder);
    size_t most = source->column_count + 1u;

    bound->columns = arena_alloc(arena, most * sizeof(struct source_column *));
    bound->inputs = arena_alloc(arena, most * sizeof(*bound->inputs));
    for (uint16_t i = 0; i < source->column_count; i++) {
        const char *name = source->columns[i].name;

        if (!facts->reads[i])
            continue;
        bound->columns[bound->count] = binder_source(binder, name, where);
        if (!bound->columns[bound->count])
            return false;
        bound->inputs[bound->count++] =
            (struct formula_input){.name = name, .type = facts->types[i]};
    }
    return true;
}

static const char *why_no_sql(const struct expression *expression,
                              const struct formula_facts *facts)
{
    if (facts->varies)
        return "a volatile expression gives another value each time";
    if (expression->hidden)
        return "the expression holds text of the environment, which the source's log would show";
    return facts->at_source ? NULL : "the source cannot evaluate the expression";
}

static bool expression_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct arena *arena = binder_arena(binder);
    struct bound_expression *bound = arena_alloc(arena, sizeof(*bound));
    struct expression expression = *(const struct expression *)loaded;
    struct formula_facts facts = {0};
    struct buf opening = {0};

    expression.text = text_copy(arena, expression.text);
    expression.where = text_copy(arena, expression.where);
    *bound = (struct bound_expression){.expression = expression};
    if (!binder_read_formula(binder, expression.text, expression.where, &facts) ||
        !check_facts(binder, &expression, &facts) ||
        !take_inputs(binder, &facts, expression.where, bound))
        return false;
    if (facts.varies)
        report_varies(binder, &expression);
    report_collation(binder, &expression, bound);
    formula_open(&opening, expression.text, bound->inputs, bound->count);
    bound->formula =
        (struct formula){.opening = text_take(arena, &opening), .varies = facts.varies};
    bound->no_sql = why_no_sql(&expression, &facts);
    rule->state = bound;
    rule->formula = &bound->formula;
    return true;
}

/* --- the faces --- */

/* "text" with backslashes, as array_in reads it. */
static void append_element(const struct value *value, struct buf *buf)
{
    if (value->kind == VALUE_NULL) {
        buf_append_text(buf, "NULL");
        return;
    }
    buf_append_char(buf, '"');
    for (uint32_t i = 0; i < value->size; i++) {
        if (value->data[i] == '"' || value->data[i] == '\\')
            buf_append_char(buf, '\\');
        buf_append_char(buf, value->data[i]);
    }
    buf_append_char(buf, '"');
}

static bool give_array(const struct bound_expression *bound, const struct value *values,
                       const struct joint *joint, struct arena *arena, struct value *out,
                       struct err *err)
{
    struct buf buf = {0};

    if (joint->size > UINT32_MAX / 8)
        return err_set(err, ERR_DATA, "the expression would read more than 512 MB");
    buf_append_char(&buf, '{');
    for (size_t i = 0; i < bound->count; i++) {
        buf_append_text(&buf, i ? "," : "");
        append_element(&values[i], &buf);
    }
    buf_append_char(&buf, '}');
    *out = (struct value){.data = arena_copy(arena, buf_text(&buf), buf.size),
                          .size = (uint32_t)buf.size,
                          .kind = VALUE_TEXT};
    buf_free(&buf);
    return true;
}

static bool expression_evaluate(const struct rule *rule, const struct evaluation *in,
                                struct value *out, struct err *err)
{
    const struct bound_expression *bound = rule->state;
    struct value *values = arena_alloc(in->arena, (bound->count + 1) * sizeof(*values));
    struct joint joint = {0};

    for (size_t i = 0; i < bound->count; i++) {
        const struct ingredient column = {.column = bound->columns[i]};

        if (!ingredient_value(&column, in, &values[i], err))
            return false;
        joint_add(&joint, &column, in, &values[i]);
    }
    if (!joint.absent && !joint.unchanged)
        return give_array(bound, values, &joint, in->arena, out, err);
    if (!joint.absent && joint.changed)
        return joint_refuse("the expression", err);
    *out = (struct value){.kind = joint.absent ? VALUE_ABSENT : VALUE_UNCHANGED};
    return true;
}

static void expression_sql(const struct rule *rule, struct buf *sql)
{
    const struct bound_expression *bound = rule->state;

    formula_append_plain(sql, bound->expression.text, bound->inputs, bound->count);
}

static const char *expression_no_sql(const struct rule *rule)
{
    return ((const struct bound_expression *)rule->state)->no_sql;
}

static void expression_inverse(const struct rule *rule, struct inverse *inverse)
{
    inverse_refuse(inverse, rule, false,
                   "an SQL expression is not taken apart; the way back needs an expression of "
                   "its own, over columns that hold what this one reads");
}

const struct rule_kind rule_formula = {
    .key = "sql",
    .begins = rule_always_begins,
    .load = expression_load,
    .bind = expression_bind,
    .evaluate = expression_evaluate,
    .sql = expression_sql,
    .no_sql = expression_no_sql,
    .nulls = rule_makes_nulls,
    .inverse = expression_inverse,
};
