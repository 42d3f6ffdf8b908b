/* json: { build: ... }: see json.h. */
#include "transforms/json.h"

#include "schema/ident.h"
#include "transforms/joint.h"
#include "transforms/json_path.h"
#include "transforms/text.h"

#include <string.h>

#define MOST_KEYS 50 /* a function of PostgreSQL takes 100 arguments */

struct member {
    const char *key;
    const char *column; /* as loaded */
    const char *where;
    struct ingredient from; /* as bound */
    void (*append)(const struct value *value, struct buf *buf);
};

struct json_build {
    size_t count;
    struct member *members;
};

/* --- values --- */

static void append_string(const struct value *value, struct buf *buf)
{
    json_append_string(buf, value->data, value->size);
}

static void append_raw(const struct value *value, struct buf *buf)
{
    buf_append(buf, value->data, value->size);
}

/* NaN and the infinities are no JSON numbers. */
static void append_number(const struct value *value, struct buf *buf)
{
    if (json_is_number(value->data, value->size))
        append_raw(value, buf);
    else
        append_string(value, buf);
}

static void append_bool(const struct value *value, struct buf *buf)
{
    buf_append_text(buf, value->size && value->data[0] == 't' ? "true" : "false");
}

static const struct {
    const char *type;
    void (*append)(const struct value *value, struct buf *buf);
} native[] = {
    {"pg_catalog.int2", append_number},   {"pg_catalog.int4", append_number},
    {"pg_catalog.int8", append_number},   {"pg_catalog.float4", append_number},
    {"pg_catalog.float8", append_number}, {"pg_catalog.numeric", append_number},
    {"pg_catalog.bool", append_bool},     {"pg_catalog.json", append_raw},
    {"pg_catalog.jsonb", append_raw},
};

static void choose_append(struct member *member)
{
    const struct source_column *column =
        member->from.rule ? member->from.rule->plain : member->from.column;

    member->append = append_string;
    for (size_t i = 0; column && i < sizeof(native) / sizeof(native[0]); i++)
        if (strcmp(column->column->base_type, native[i].type) == 0) {
            member->from = (struct ingredient){.column = column};
            member->append = native[i].append;
        }
}

/* --- loading and binding --- */

static bool build_load(const struct yaml_node *value, const struct yaml_node *entry,
                       struct arena *arena, const void **state, struct err *err)
{
    struct json_build *build = arena_alloc(arena, sizeof(*build));

    (void)entry;
    if (value->kind != YAML_MAPPING || value->count == 0 || value->count > MOST_KEYS)
        return yaml_error(value, err,
                          "build: expected one to %d keys with a column each, such as "
                          "{ phone: phone, vip: is_vip }",
                          MOST_KEYS);
    *build = (struct json_build){.count = value->count,
                                 .members =
                                     arena_alloc(arena, value->count * sizeof(struct member))};
    for (size_t i = 0; i < value->count; i++) {
        const char *column;

        if (!yaml_text(value->items[i], &column, err))
            return false;
        build->members[i] = (struct member){.key = text_copy(arena, value->keys[i]->text),
                                            .column = text_copy(arena, column),
                                            .where = text_position(arena, value->items[i])};
    }
    *state = build;
    return true;
}

static bool build_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    const struct json_build *from = loaded;
    struct arena *arena = binder_arena(binder);
    struct json_build *build = arena_copy(arena, from, sizeof(*build));
    bool known = true;

    build->members = arena_copy(arena, from->members, from->count * sizeof(struct member));
    for (size_t i = 0; i < build->count; i++) {
        struct member *member = &build->members[i];

        member->key = text_copy(arena, member->key);
        member->where = text_copy(arena, member->where);
        if (binder_name(binder, from->members[i].column, member->where, &member->from.column,
                        &member->from.rule))
            choose_append(member);
        else
            known = false;
    }
    rule->state = build;
    return known;
}

/* --- the faces --- */

static void append_object(const struct json_build *build, const struct value *values,
                          struct buf *buf)
{
    for (size_t i = 0; i < build->count; i++) {
        const struct member *member = &build->members[i];

        buf_append_text(buf, i ? ", " : "{");
        json_append_string(buf, member->key, strlen(member->key));
        buf_append_text(buf, " : ");
        if (values[i].kind == VALUE_NULL)
            buf_append_text(buf, "null");
        else
            member->append(&values[i], buf);
    }
    buf_append_text(buf, "}");
}

/* At most six bytes for one, and what stands around. */
static bool give_object(const struct json_build *build, const struct value *values,
                        const struct joint *joint, struct arena *arena, struct value *out,
                        struct err *err)
{
    struct buf buf = {0};

    if (joint->size > UINT32_MAX / 8)
        return err_set(err, ERR_DATA, "the document would be larger than 1 GB");
    append_object(build, values, &buf);
    *out = (struct value){.data = arena_copy(arena, buf_text(&buf), buf.size),
                          .size = (uint32_t)buf.size,
                          .kind = VALUE_TEXT};
    buf_free(&buf);
    return true;
}

static bool build_evaluate(const struct rule *rule, const struct evaluation *in,
                           struct value *out, struct err *err)
{
    const struct json_build *build = rule->state;
    struct value *values = arena_alloc(in->arena, build->count * sizeof(*values));
    struct joint joint = {0};

    for (size_t i = 0; i < build->count; i++) {
        if (!ingredient_value(&build->members[i].from, in, &values[i], err))
            return false;
        joint_add(&joint, &build->members[i].from, in, &values[i]);
    }
    if (!joint.absent && !joint.unchanged)
        return give_object(build, values, &joint, in->arena, out, err);
    if (!joint.absent && joint.changed)
        return joint_refuse("the document", err);
    *out = (struct value){.kind = joint.absent ? VALUE_ABSENT : VALUE_UNCHANGED};
    return true;
}

static void build_sql(const struct rule *rule, struct buf *sql)
{
    const struct json_build *build = rule->state;

    buf_append_text(sql, "json_build_object(");
    for (size_t i = 0; i < build->count; i++) {
        const struct member *member = &build->members[i];

        buf_append_text(sql, i ? ", " : "");
        literal_append(sql, member->key, strlen(member->key));
        buf_append_text(sql, "::text, ");
        if (member->append != append_string)
            ident_append(sql, member->from.column->column->name);
        else if (member->from.column)
            source_text_sql(member->from.column, sql);
        else
            rule_sql(member->from.rule, sql);
    }
    buf_append_text(sql, ")::text");
}

static const char *build_no_sql(const struct rule *rule)
{
    const struct json_build *build = rule->state;
    const char *reason = NULL;

    for (size_t i = 0; i < build->count && !reason; i++)
        reason = ingredient_no_sql(&build->members[i].from);
    return reason;
}

static void build_inverse(const struct rule *rule, struct inverse *inverse)
{
    const struct json_build *build = rule->state;
    bool one_to_one = true;

    /* Values that rules make are not followed. */
    for (size_t i = 0; i < build->count; i++)
        one_to_one &= build->members[i].from.column != NULL;
    inverse_refuse(inverse, rule, one_to_one,
                   "a document goes back by one rule with pick for each of its columns");
}

const struct rule_kind json_build = {
    .key = "json",
    .begins = rule_always_begins,
    .load = build_load,
    .bind = build_bind,
    .evaluate = build_evaluate,
    .sql = build_sql,
    .no_sql = build_no_sql,
    .nulls = rule_makes_no_null,
    .inverse = build_inverse,
};
