/* The rule kinds, and what is common to them. Adding one: its file, and its line here. */
#include "transforms/rule.h"

#include "schema/ident.h"
#include "transforms/text.h"

#include <string.h>

const struct rule_kind *const rule_kinds[] = {
    &rule_from,   &rule_value,   &rule_template, &rule_json, &rule_null_if,
    &rule_lookup, &rule_map,     &rule_cast,     &rule_mask, &rule_hash,
    &rule_uuid5,  &rule_default, &rule_formula,  NULL,
};

/* Types whose cast to text yields what their output function yields (char(n): without the
 * trailing blanks, as rules want it). */
static const char *const cast_is_output[] = {
    "int2",  "int4",   "int8",  "oid",    "text",     "varchar",   "bpchar",      "uuid",
    "json",  "jsonb",  "name",  "float4", "float8",   "numeric",   "date",        "time",
    "money", "timetz", "bytea", "xml",    "interval", "timestamp", "timestamptz", NULL};

static bool cast_yields_output(const struct catalog_column *column)
{
    const char *name = column->base_type;

    if (column->type_kind == 'e' && !column->array)
        return true;
    if (strncmp(name, "pg_catalog.", 11) != 0)
        return false;
    for (const char *const *known = cast_is_output; *known; known++)
        if (strcmp(name + 11, *known) == 0)
            return true;
    return false;
}

/* concat() calls the output function, but makes an empty text of NULL; IS NULL would also hold
 * for a row of NULLs. */
void source_text_sql(const struct source_column *column, struct buf *sql)
{
    if (cast_yields_output(column->column)) {
        ident_append(sql, column->column->name);
        buf_append_text(sql, "::text");
        return;
    }
    buf_append_text(sql, "CASE WHEN num_nulls(");
    ident_append(sql, column->column->name);
    buf_append_text(sql, ") = 0 THEN concat(");
    ident_append(sql, column->column->name);
    buf_append_text(sql, ") END");
}

bool constant_load(const struct yaml_node *node, const char *what, struct arena *arena,
                   struct constant *constant, struct err *err)
{
    if (node->kind != YAML_SCALAR)
        return yaml_expected(node, what, "a text, a number, a bool or null", err);
    *constant = (struct constant){.value = {.kind = VALUE_NULL},
                                  .where = text_position(arena, node),
                                  .hidden = node->expanded};
    if (!yaml_is_null(node))
        constant->value = (struct value){.data = text_copy(arena, node->text),
                                         .size = (uint32_t)strlen(node->text),
                                         .kind = VALUE_TEXT};
    return true;
}

struct constant constant_copy(struct arena *arena, const struct constant *constant)
{
    struct constant copy = *constant;

    if (copy.value.kind == VALUE_TEXT)
        copy.value.data = text_copy_sized(arena, copy.value.data, copy.value.size);
    copy.where = text_copy(arena, constant->where);
    return copy;
}

const char *constant_show(struct arena *arena, const struct constant *constant)
{
    if (constant->hidden)
        return "a text of the environment";
    if (constant->value.kind == VALUE_NULL)
        return "null";
    return text_format(arena, "\"%.*s\"", (int)constant->value.size, constant->value.data);
}

void constant_sql(const struct value *value, struct buf *sql)
{
    if (value->kind == VALUE_NULL)
        buf_append_text(sql, "NULL");
    else
        literal_append(sql, value->data, value->size);
    buf_append_text(sql, "::text");
}

enum nulls rule_makes_nulls(const struct rule *rule)
{
    (void)rule;
    return NULLS_MADE;
}

enum nulls rule_makes_no_null(const struct rule *rule)
{
    (void)rule;
    return NULLS_NONE;
}

bool rule_always_begins(const struct yaml_node *value)
{
    (void)value;
    return true;
}

void rule_sql(const struct rule *rule, struct buf *sql)
{
    if (rule->constant)
        constant_sql(rule->constant, sql);
    else
        rule->kind->sql(rule, sql);
}

const char *rule_no_sql(const struct rule *rule)
{
    const char *reason = NULL;

    for (; rule && !rule->constant && !reason; rule = rule->input)
        reason = rule->kind->no_sql ? rule->kind->no_sql(rule) : NULL;
    return reason;
}

void rule_sql_open(struct buf *sql)
{
    buf_append_text(sql, "(SELECT ");
}

void rule_sql_close(const struct rule *input, struct buf *sql)
{
    buf_append_text(sql, " FROM (SELECT (");
    rule_sql(input, sql);
    buf_append_text(sql, ") COLLATE \"C\" AS v) AS s)");
}

static void trim_blanks(struct value *value)
{
    while (value->size && value->data[value->size - 1] == ' ')
        value->size--;
}

bool source_text(const struct source_column *column, const struct evaluation *in,
                 struct value *out, struct err *err)
{
    struct value value = in->values[column->index];

    if (value.kind == VALUE_BINARY) {
        const struct catalog_column *meta = column->column;
        struct value binary = value;

        if (!column->codec || !type_has_text(column->codec))
            return err_set(err, ERR_BUG,
                           "source column \"%s\": a rule needs its text, but it came in the "
                           "binary form of type %s",
                           meta->name, meta->type_name);
        if (!type_to_text(column->codec, &binary, in->arena, &value))
            return err_set(err, ERR_DATA,
                           "source column \"%s\": %u bytes are no binary value of type %s",
                           meta->name, binary.size, meta->type_name);
    }
    if (column->blank_padded && value.kind == VALUE_TEXT)
        trim_blanks(&value);
    *out = value;
    return true;
}

bool rule_text(const struct rule *rule, const struct evaluation *in, struct value *out,
               struct err *err)
{
    if (rule->constant) {
        *out = *rule->constant;
        return true;
    }
    if (rule->plain)
        return source_text(rule->plain, in, out, err);
    return rule->kind->evaluate(rule, in, out, err);
}

struct inverse rule_inverse(const struct rule *rule)
{
    struct inverse inverse = {.one_to_one = true};

    rule->kind->inverse(rule, &inverse);
    return inverse;
}

void inverse_refuse(struct inverse *inverse, const struct rule *rule, bool one_to_one,
                    const char *reason)
{
    if (rule->input)
        rule->input->kind->inverse(rule->input, inverse);
    inverse->one_to_one &= one_to_one;
    inverse->source_column = NULL;
    inverse->reason = reason;
}
