/* See condition.h. */
#include "transforms/condition.h"

#include "schema/ident.h"
#include "transforms/decimal.h"
#include "transforms/order.h"
#include "transforms/spell.h"
#include "transforms/text.h"

#include <string.h>

enum test_kind { TEST_LIST, TEST_NULL, TEST_ORDER };

/* One row for each key beside `column`. */
struct test {
    const char *key;
    enum test_kind kind;
    bool many;    /* takes a list */
    bool negated; /* list and null tests */
    int sign;     /* order tests: the comparison's result that is wanted */
    bool or_equal;
    const char *sql;
};

static const struct test tests[] = {
    {.key = "in", .kind = TEST_LIST, .many = true},
    {.key = "not_in", .kind = TEST_LIST, .many = true, .negated = true},
    {.key = "equals", .kind = TEST_LIST},
    {.key = "not_equals", .kind = TEST_LIST, .negated = true},
    {.key = "is_null", .kind = TEST_NULL},
    {.key = "is_not_null", .kind = TEST_NULL, .negated = true},
    {.key = "greater", .kind = TEST_ORDER, .sign = 1, .sql = ">"},
    {.key = "greater_or_equal", .kind = TEST_ORDER, .sign = 1, .or_equal = true, .sql = ">="},
    {.key = "less", .kind = TEST_ORDER, .sign = -1, .sql = "<"},
    {.key = "less_or_equal", .kind = TEST_ORDER, .sign = -1, .or_equal = true, .sql = "<="},
};
#define TEST_COUNT (sizeof(tests) / sizeof(tests[0]))

enum condition_kind { CONDITION_ALL, CONDITION_ANY, CONDITION_TEST };

struct condition {
    enum condition_kind kind;
    /* all, any */
    size_t part_count;
    const struct condition **parts;
    /* test */
    const struct test *test;
    const char *column;
    const char *where;
    bool negated;
    bool names_null; /* the list holds NULL */
    size_t count;
    struct constant *constants; /* without NULL */
    /* bound */
    const struct source_column *source;
    bool number;
    struct order order;           /* has a type where values are compared by their order keys */
    const struct order_key *keys; /* of the constants, then */
};

/* --- loading --- */

static const struct condition *join(struct arena *arena, enum condition_kind kind,
                                    const struct condition **parts, size_t count)
{
    struct condition *condition = arena_alloc(arena, sizeof(*condition));

    if (count == 1)
        return parts[0];
    *condition = (struct condition){.kind = kind, .part_count = count, .parts = parts};
    return condition;
}

static const struct condition *join_two(struct arena *arena, enum condition_kind kind,
                                        const struct condition *a, const struct condition *b)
{
    const struct condition **parts = arena_alloc(arena, 2 * sizeof(struct condition *));

    parts[0] = a;
    parts[1] = b;
    return join(arena, kind, parts, 2);
}

const struct condition *condition_all(struct arena *arena, const struct condition *a,
                                      const struct condition *b)
{
    return join_two(arena, CONDITION_ALL, a, b);
}

const struct condition *condition_any(struct arena *arena, const struct condition *a,
                                      const struct condition *b)
{
    return join_two(arena, CONDITION_ANY, a, b);
}

static void add_constant(struct condition *condition, const struct constant *constant)
{
    if (constant->value.kind == VALUE_NULL)
        condition->names_null = true;
    else
        condition->constants[condition->count++] = *constant;
}

const struct condition *condition_in(struct arena *arena, const char *column, const char *where,
                                     bool negated, const struct constant *constants,
                                     size_t count)
{
    struct condition *condition = arena_alloc(arena, sizeof(*condition));

    *condition = (struct condition){.kind = CONDITION_TEST,
                                    .test = &tests[0],
                                    .column = column,
                                    .where = where,
                                    .negated = negated};
    condition->constants = arena_alloc(arena, (count + 1) * sizeof(*constants));
    for (size_t i = 0; i < count; i++)
        add_constant(condition, &constants[i]);
    return condition;
}

static bool load_list(const struct yaml_node *node, struct arena *arena,
                      struct condition *condition, struct err *err)
{
    const char *key = condition->test->key;
    bool many = condition->test->many;

    if (many && (node->kind != YAML_SEQUENCE || node->count == 0))
        return yaml_error(node, err, "%s: expected a list of values such as [a, b]", key);
    condition->constants =
        arena_alloc(arena, (node->count + 1) * sizeof(*condition->constants));
    for (size_t i = 0; i < (many ? node->count : 1); i++) {
        struct constant constant;

        if (!constant_load(many ? node->items[i] : node, key, arena, &constant, err))
            return false;
        add_constant(condition, &constant);
    }
    return true;
}

static bool load_order(const struct yaml_node *node, struct arena *arena,
                       struct condition *condition, struct err *err)
{
    struct constant constant;

    if (!constant_load(node, condition->test->key, arena, &constant, err))
        return false;
    if (constant.value.kind != VALUE_TEXT)
        return yaml_error(node, err, "%s: found %s, expected a value to compare with",
                          condition->test->key, constant_show(arena, &constant));
    condition->constants = arena_copy(arena, &constant, sizeof(constant));
    condition->count = 1;
    return true;
}

static bool load_null(const struct yaml_node *node, struct condition *condition,
                      struct err *err)
{
    bool wanted;

    if (!yaml_bool(node, &wanted, err))
        return false;
    condition->negated ^= !wanted;
    return true;
}

static bool load_test(const struct test *test, const struct yaml_node *node, const char *column,
                      struct arena *arena, const struct condition **loaded, struct err *err)
{
    struct condition *condition = arena_alloc(arena, sizeof(*condition));

    *condition = (struct condition){.kind = CONDITION_TEST,
                                    .test = test,
                                    .column = column,
                                    .where = text_position(arena, node),
                                    .negated = test->negated};
    *loaded = condition;
    switch (test->kind) {
    case TEST_LIST:
        return load_list(node, arena, condition, err);
    case TEST_NULL:
        return load_null(node, condition, err);
    case TEST_ORDER:
        return load_order(node, arena, condition, err);
    }
    return false;
}

/* { column: n, greater: 5, less: 9 }: all of them. */
static bool load_tests(const struct yaml_node *node, const char *what, struct arena *arena,
                       const struct condition **condition, struct err *err)
{
    const struct condition **parts = arena_alloc(arena, TEST_COUNT * sizeof(*parts));
    const char *column;
    size_t count = 0;

    if (!yaml_text(yaml_get(node, "column"), &column, err))
        return false;
    column = text_copy(arena, column);
    for (size_t i = 0; i < TEST_COUNT; i++) {
        const struct yaml_node *value = yaml_get(node, tests[i].key);

        if (value && !load_test(&tests[i], value, column, arena, &parts[count++], err))
            return false;
    }
    if (count == 0)
        return yaml_error(node, err,
                          "%s: no test of column \"%s\"; expected one such as in: [a, b]", what,
                          column);
    *condition = join(arena, CONDITION_ALL, parts, count);
    return true;
}

static bool load_parts(enum condition_kind kind, const struct yaml_node *node, const char *what,
                       struct arena *arena, const struct condition **condition, struct err *err)
{
    const struct condition **parts;

    if (node->kind != YAML_SEQUENCE || node->count == 0)
        return yaml_error(node, err,
                          "%s: expected a list of conditions such as "
                          "[{ column: state, in: [a, b] }]",
                          what);
    parts = arena_alloc(arena, node->count * sizeof(*parts));
    for (size_t i = 0; i < node->count; i++)
        if (!condition_load(node->items[i], what, arena, &parts[i], err))
            return false;
    *condition = join(arena, kind, parts, node->count);
    return true;
}

bool condition_load(const struct yaml_node *node, const char *what, struct arena *arena,
                    const struct condition **condition, struct err *err)
{
    const char *known[TEST_COUNT + 4] = {"column", "all", "any"};
    const struct yaml_node *all, *any;

    for (size_t i = 0; i < TEST_COUNT; i++)
        known[3 + i] = tests[i].key;
    if (!yaml_check_keys(node, what, known, err))
        return false;
    all = yaml_get(node, "all");
    any = yaml_get(node, "any");
    if ((all != NULL) + (any != NULL) + (yaml_get(node, "column") != NULL) != 1 ||
        ((all || any) && node->count != 1))
        return yaml_error(node, err,
                          "%s: expected one of { column: name, in: [a, b] }, "
                          "{ all: [...] } and { any: [...] }",
                          what);
    if (!all && !any)
        return load_tests(node, what, arena, condition, err);
    return load_parts(all ? CONDITION_ALL : CONDITION_ANY, all ? all : any, what, arena,
                      condition, err);
}

/* --- binding --- */

static bool is_number(const struct catalog_column *column)
{
    static const char *const numbers[] = {"int2",    "int4",   "int8",   "oid",
                                          "numeric", "float4", "float8", NULL};

    if (strncmp(column->base_type, "pg_catalog.", 11) != 0 || column->array)
        return false;
    for (const char *const *name = numbers; *name; name++)
        if (strcmp(column->base_type + 11, *name) == 0)
            return true;
    return false;
}

static void trim_padding(const struct source_column *source, struct value *value)
{
    while (source->blank_padded && value->size && value->data[value->size - 1] == ' ')
        value->size--;
}

/* Makes the constant what values are compared with. */
static bool spell(struct binder *binder, const struct condition *condition,
                  struct constant *constant, struct order_key *key)
{
    const struct source_column *source = condition->source;
    struct arena *arena = binder_arena(binder);
    const char *why = "";
    bool fits;

    if (condition->number)
        fits = decimal_is_valid(constant->value.data, constant->value.size);
    else if (condition->order.type)
        fits = order_key(&condition->order, &constant->value, arena, key);
    else
        fits = spell_value(binder, false, source->column, constant, &why);
    trim_padding(source, &constant->value);
    return fits ||
           binder_refuse(binder, "rule.condition_value", constant->where,
                         condition->order.type
                             ? text_format(arena, "write %s", order_expected(&condition->order))
                             : "write a value as the source's type prints it",
                         "%s: %s is no value of source column \"%s\" (%s)%s",
                         condition->test->key, constant_show(arena, constant),
                         source->column->name, source->column->type_name, why);
}

/* Every value of the column is below, equal to or above every other in the same way here as at
 * the source. */
static bool check_order(struct binder *binder, const struct condition *condition)
{
    const struct catalog_column *column = condition->source->column;
    bool text = order_is_of_collation(column);

    if (condition->test->kind != TEST_ORDER || condition->number || condition->order.type ||
        order_of_bytes(column))
        return true;
    return binder_refuse(
        binder, "rule.condition_type", condition->where,
        "compare numbers, dates, times, moments, uuid, bytea or bool, or list the values with in",
        text ? "%s: the order of source column \"%s\" (%s) is its collation's, which only "
               "PostgreSQL knows; it can be compared here where the column has COLLATE \"C\""
             : "%s: values of source column \"%s\" (%s) have no order that is known here",
        condition->test->key, column->name, column->type_name);
}

static bool bind_constants(struct binder *binder, const struct condition *loaded,
                           struct condition *condition)
{
    struct arena *arena = binder_arena(binder);
    struct order_key *keys = arena_alloc(arena, (loaded->count + 1) * sizeof(*keys));

    condition->constants = arena_alloc(arena, (loaded->count + 1) * sizeof(struct constant));
    condition->keys = keys;
    for (size_t i = 0; i < loaded->count; i++) {
        condition->constants[i] = constant_copy(arena, &loaded->constants[i]);
        if (!spell(binder, condition, &condition->constants[i], &keys[i]))
            return false;
    }
    return true;
}

static const struct condition *bind_test(struct binder *binder, const struct condition *loaded)
{
    struct arena *arena = binder_arena(binder);
    struct condition *condition = arena_copy(arena, loaded, sizeof(*loaded));

    condition->where = text_copy(arena, loaded->where);
    condition->source = binder_source(binder, loaded->column, condition->where);
    if (!condition->source)
        return NULL;
    condition->column = condition->source->column->name;
    condition->number = is_number(condition->source->column);
    condition->order = order_for(condition->source->column);
    if (!check_order(binder, condition) || !bind_constants(binder, loaded, condition))
        return NULL;
    return condition;
}

const struct condition *condition_bind(struct binder *binder, const struct condition *loaded)
{
    struct arena *arena = binder_arena(binder);
    const struct condition **parts;

    if (loaded->kind == CONDITION_TEST)
        return bind_test(binder, loaded);
    parts = arena_alloc(arena, loaded->part_count * sizeof(*parts));
    for (size_t i = 0; i < loaded->part_count; i++) {
        parts[i] = condition_bind(binder, loaded->parts[i]);
        if (!parts[i])
            return NULL;
    }
    return join(arena, loaded->kind, parts, loaded->part_count);
}

/* --- evaluation --- */

/* A value of a row, as its condition compares it. */
struct operand {
    bool null;
    struct value text;    /* of numbers and texts */
    struct order_key key; /* of the others */
};

static int compare(const struct condition *condition, const struct operand *operand, size_t i)
{
    const struct value *value = &operand->text, *constant = &condition->constants[i].value;
    const struct order_key text = {.data = value->data, .size = value->size};
    const struct order_key limit = {.data = constant->data, .size = constant->size};

    if (condition->number)
        return decimal_compare(value->data, value->size, constant->data, constant->size);
    return condition->order.type ? order_compare(&operand->key, &condition->keys[i])
                                 : order_compare(&text, &limit);
}

static bool is_listed(const struct condition *condition, const struct operand *operand)
{
    for (size_t i = 0; i < condition->count; i++)
        if (compare(condition, operand, i) == 0)
            return true;
    return false;
}

static bool is_ordered(const struct condition *condition, const struct operand *operand)
{
    int order = compare(condition, operand, 0);

    return order == 0 ? condition->test->or_equal : (order > 0) == (condition->test->sign > 0);
}

static bool holds(const struct condition *condition, const struct operand *operand)
{
    switch (condition->test->kind) {
    case TEST_LIST:
        return condition->negated ^
               (operand->null ? condition->names_null : is_listed(condition, operand));
    case TEST_NULL:
        return condition->negated ^ operand->null;
    case TEST_ORDER:
        return !operand->null && is_ordered(condition, operand);
    }
    return false;
}

static bool read_operand(const struct condition *condition, const struct evaluation *in,
                         struct operand *operand, struct err *err)
{
    const struct value *value = &in->values[condition->source->index];
    const struct catalog_column *column = condition->source->column;

    *operand = (struct operand){.null = value->kind == VALUE_NULL};
    if (operand->null || condition->test->kind == TEST_NULL)
        return true;
    if (!condition->order.type)
        return source_text(condition->source, in, &operand->text, err);
    return order_key(&condition->order, value, in->arena, &operand->key) ||
           err_set(err, ERR_DATA, "source column \"%s\": %u bytes are no value of type %s",
                   column->name, value->size, column->type_name);
}

static bool evaluate_test(const struct condition *condition, const struct evaluation *in,
                          enum truth *truth, struct err *err)
{
    struct operand operand;

    *truth = TRUTH_UNKNOWN;
    if (!value_is_known(&in->values[condition->source->index]))
        return true;
    if (!read_operand(condition, in, &operand, err))
        return false;
    *truth = holds(condition, &operand) ? TRUTH_TRUE : TRUTH_FALSE;
    return true;
}

bool condition_evaluate(const struct condition *condition, const struct evaluation *in,
                        enum truth *truth, struct err *err)
{
    enum truth decides = condition->kind == CONDITION_ALL ? TRUTH_FALSE : TRUTH_TRUE;
    enum truth result = condition->kind == CONDITION_ALL ? TRUTH_TRUE : TRUTH_FALSE;

    if (condition->kind == CONDITION_TEST)
        return evaluate_test(condition, in, truth, err);
    for (size_t i = 0; i < condition->part_count && result != decides; i++) {
        enum truth part;

        if (!condition_evaluate(condition->parts[i], in, &part, err))
            return false;
        if (part == decides || part == TRUTH_UNKNOWN)
            result = part;
    }
    *truth = result;
    return true;
}

const struct source_column *condition_textless(const struct condition *condition, bool stream)
{
    const struct source_column *found = NULL;

    if (!condition)
        return NULL;
    for (size_t i = 0; i < condition->part_count && !found; i++)
        found = condition_textless(condition->parts[i], stream);
    if (condition->kind != CONDITION_TEST || condition->test->kind == TEST_NULL ||
        condition->order.type || type_has_text(condition->source->codec) ||
        (stream && source_comes_as_text(condition->source)))
        return found;
    return condition->source;
}

/* --- SQL --- */

/* A domain's values are compared as its base type's. */
static void operand_sql(const struct condition *condition, struct buf *sql)
{
    if (condition->order.type) {
        ident_append(sql, condition->column);
        buf_append_format(sql, "::%s", order_type_sql(&condition->order));
        return;
    }
    buf_append_text(sql, "(");
    source_text_sql(condition->source, sql);
    buf_append_text(sql, condition->number ? ")::numeric" : ") COLLATE \"C\"");
}

static void value_sql(const struct condition *condition, size_t i, struct buf *sql)
{
    const struct value *value = &condition->constants[i].value;

    literal_append(sql, value->data, value->size);
    if (condition->order.type)
        buf_append_format(sql, "::%s", order_type_sql(&condition->order));
    else if (condition->number)
        buf_append_text(sql, "::numeric");
}

static void list_sql(const struct condition *condition, struct buf *sql)
{
    buf_append_text(sql, condition->negated ? "NOT coalesce(" : "coalesce(");
    operand_sql(condition, sql);
    buf_append_text(sql, " IN (");
    for (size_t i = 0; i < condition->count; i++) {
        buf_append_text(sql, i ? ", " : "");
        value_sql(condition, i, sql);
    }
    buf_append_text(sql, condition->names_null ? "), true)" : "), false)");
}

static void null_sql(const struct condition *condition, bool negated, struct buf *sql)
{
    buf_append_text(sql, "num_nulls(");
    ident_append(sql, condition->column);
    buf_append_text(sql, negated ? ") = 0" : ") = 1");
}

static void order_sql(const struct condition *condition, struct buf *sql)
{
    buf_append_text(sql, "coalesce(");
    operand_sql(condition, sql);
    buf_append_format(sql, " %s ", condition->test->sql);
    value_sql(condition, 0, sql);
    buf_append_text(sql, ", false)");
}

static void test_sql(const struct condition *condition, struct buf *sql)
{
    switch (condition->test->kind) {
    case TEST_LIST:
        if (condition->count == 0)
            null_sql(condition, condition->negated, sql);
        else
            list_sql(condition, sql);
        return;
    case TEST_NULL:
        null_sql(condition, condition->negated, sql);
        return;
    case TEST_ORDER:
        order_sql(condition, sql);
        return;
    }
}

void condition_sql(const struct condition *condition, struct buf *sql)
{
    if (condition->kind == CONDITION_TEST) {
        test_sql(condition, sql);
        return;
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        if (i)
            buf_append_text(sql, condition->kind == CONDITION_ALL ? " AND " : " OR ");
        buf_append_text(sql, "(");
        condition_sql(condition->parts[i], sql);
        buf_append_text(sql, ")");
    }
}
