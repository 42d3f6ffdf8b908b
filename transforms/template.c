/* template: text with values in it.
 *
 *     pk: { template: "TENANT#{tenant_id}#USER#{id}" }
 *
 * {name} is the text of the source column `name`; where the source has no such column, of the
 * target column `name` that this table's `columns` make (before the target's type takes it).
 * The source comes first, as in `from`: so `id: { template: "U#{id}" }` reads the source's id,
 * and what {id} means elsewhere does not change with that rule. {"name"} quotes a name that
 * holds braces, with "" for a quote. {{ and }} are braces.
 *
 * In an entry whose source is a pattern, \1 is what the pattern's first group took.
 *
 * A NULL makes the whole NULL, as || does in SQL. Unchanged values make the whole unchanged
 * when nothing else in it can have changed; otherwise the row cannot be computed.
 *
 * No inverse in this version (nothing here takes a text apart), but it is known whether
 * different rows can yield the same text: "{a}{b}" may, "{a}#{b}" of numbers may not. */
#include "transforms/rule.h"

#include "schema/ident.h"
#include "transforms/joint.h"
#include "transforms/text.h"

#include <string.h>

/* As loaded: a literal or a name. As bound: a literal, a column, or another column's rule. */
struct part {
    const char *text; /* NULL once bound, unless a literal */
    uint32_t size;
    bool is_name;
    struct ingredient from;
};

struct template
{
    struct part *parts;
    size_t count;
    const char *where;
    bool hidden; /* holds text of the environment, or of another rule that may */
};

/* --- loading --- */

struct scan {
    const struct yaml_node *node;
    const char *at;
    struct arena *arena;
    struct template *template;
};

static void add_part(struct scan *scan, struct part part)
{
    scan->template->parts[scan->template->count++] = part;
}

static bool scan_literal(struct scan *scan, struct err *err)
{
    struct buf text = {0};
    struct part part = {0};

    for (; *scan->at; scan->at++) {
        if (*scan->at == '{' && scan->at[1] != '{')
            break;
        if (*scan->at == '}' && scan->at[1] != '}') {
            buf_free(&text);
            return yaml_error(scan->node, err,
                              "template: \"}\" without \"{\" before it; write }} for a brace");
        }
        if (*scan->at == '{' || *scan->at == '}')
            scan->at++;
        buf_append_char(&text, *scan->at);
    }
    part.size = (uint32_t)text.size;
    part.text = text_take(scan->arena, &text);
    if (part.size)
        add_part(scan, part);
    return true;
}

/* The name as it stands between the braces; scan->at is behind the "{". NULL: not closed. */
static const char *scan_bare_name(struct scan *scan)
{
    size_t size = strcspn(scan->at, "{}");
    const char *name = text_copy_sized(scan->arena, scan->at, size);

    if (scan->at[size] != '}')
        return NULL;
    scan->at += size + 1;
    return name;
}

static const char *scan_quoted_name(struct scan *scan)
{
    struct buf name = {0};
    const char *at = scan->at + 1;

    for (; *at && !(*at == '"' && at[1] != '"'); at++) {
        at += *at == '"';
        buf_append_char(&name, *at);
    }
    if (*at != '"' || at[1] != '}') {
        buf_free(&name);
        return NULL;
    }
    scan->at = at + 2;
    return text_take(scan->arena, &name);
}

static bool scan_name(struct scan *scan, struct err *err)
{
    const char *begin = scan->at++;
    const char *name = *scan->at == '"' ? scan_quoted_name(scan) : scan_bare_name(scan);

    if (!name)
        return yaml_error(scan->node, err,
                          "template: no \"}\" ends the name that begins at \"%.40s\"; write "
                          "{{ for a brace",
                          scan->node->expanded ? "{..." : begin);
    if (!*name)
        return yaml_error(scan->node, err, "template: {} holds no column name");
    add_part(scan,
             (struct part){.text = name, .size = (uint32_t)strlen(name), .is_name = true});
    return true;
}

static bool template_load(const struct yaml_node *value, const struct yaml_node *entry,
                          struct arena *arena, const void **state, struct err *err)
{
    struct scan scan = {.node = value, .arena = arena};
    size_t most = 2;

    (void)entry;
    if (!yaml_text(value, &scan.at, err))
        return false;
    for (const char *at = scan.at; *at; at++)
        most += *at == '{' ? 2 : 0;
    scan.template = arena_alloc(arena, sizeof(*scan.template));
    *scan.template = (struct template){.parts = arena_alloc(arena, most * sizeof(struct part)),
                                       .where = text_position(arena, value),
                                       .hidden = value->expanded};
    while (*scan.at)
        if (!(*scan.at == '{' && scan.at[1] != '{' ? scan_name(&scan, err)
                                                   : scan_literal(&scan, err)))
            return false;
    *state = scan.template;
    return true;
}

/* --- binding --- */

static void bind_literal(struct arena *arena, struct template *bound, const char *text,
                         uint32_t size)
{
    struct part *last = bound->count ? &bound->parts[bound->count - 1] : NULL;

    if (last && last->text) {
        last->text =
            text_format(arena, "%.*s%.*s", (int)last->size, last->text, (int)size, text);
        last->size += size;
        return;
    }
    bound->parts[bound->count++] =
        (struct part){.text = text_copy_sized(arena, text, size), .size = size};
}

/* With what the groups of the source's pattern took for \1: that is text, not a {name}. */
static bool bind_text(struct binder *binder, struct template *bound, const struct part *part)
{
    struct constant text = {
        .value = {.data = part->text, .size = part->size, .kind = VALUE_TEXT},
        .where = bound->where};

    if (!binder_fill(binder, "template", &text))
        return false;
    bind_literal(binder_arena(binder), bound, text.value.data, text.value.size);
    return true;
}

/* False when the name is unknown. *null: it stands for a constant NULL. */
static bool bind_name(struct binder *binder, struct template *bound, const struct part *loaded,
                      bool *null)
{
    struct part part = {0};

    if (!binder_name(binder, loaded->text, bound->where, &part.from.column, &part.from.rule))
        return false;
    if (!part.from.rule || !part.from.rule->constant) {
        bound->parts[bound->count++] = part;
        return true;
    }
    bound->hidden = true;
    if (part.from.rule->constant->kind == VALUE_NULL)
        *null = true;
    else
        bind_literal(binder_arena(binder), bound, part.from.rule->constant->data,
                     part.from.rule->constant->size);
    return true;
}

static const struct value *find_constant(struct arena *arena, const struct template *bound,
                                         bool null)
{
    struct value value = {.kind = VALUE_NULL};

    if (!null && bound->count == 0)
        value = (struct value){.data = "", .kind = VALUE_TEXT};
    else if (!null && bound->count == 1 && bound->parts[0].text)
        value = (struct value){
            .data = bound->parts[0].text, .size = bound->parts[0].size, .kind = VALUE_TEXT};
    else if (!null)
        return NULL;
    return arena_copy(arena, &value, sizeof(value));
}

static bool constant_fits(struct binder *binder, const struct template *bound,
                          const struct value *value)
{
    struct constant constant = {
        .value = *value, .where = bound->where, .hidden = bound->hidden};

    return binder_fits(binder, "template", &constant);
}

static bool template_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    const struct template *template = loaded;
    struct arena *arena = binder_arena(binder);
    struct template *bound = arena_alloc(arena, sizeof(*bound));
    bool null = false, known = true;

    *bound =
        (struct template){.parts = arena_alloc(arena, template->count * sizeof(*bound->parts)),
                          .where = text_copy(arena, template->where),
                          .hidden = template->hidden};
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];

        known &= part->is_name ? bind_name(binder, bound, part, &null)
                               : bind_text(binder, bound, part);
    }
    rule->state = bound;
    rule->constant = known ? find_constant(arena, bound, null) : NULL;
    return known && (!rule->constant || constant_fits(binder, bound, rule->constant));
}

/* --- evaluation --- */

static bool part_value(const struct part *part, const struct evaluation *in,
                       struct value *value, struct err *err)
{
    if (part->text) {
        *value = (struct value){.data = part->text, .size = part->size, .kind = VALUE_TEXT};
        return true;
    }
    return ingredient_value(&part->from, in, value, err);
}

static bool join_parts(const struct value *values, size_t count, uint64_t size,
                       struct arena *arena, struct value *out, struct err *err)
{
    char *data, *at;

    if (size > UINT32_MAX / 4)
        return err_set(err, ERR_DATA, "the template's result is larger than 1 GB");
    at = data = arena_alloc(arena, size);
    for (size_t i = 0; i < count; i++) {
        if (values[i].size)
            memcpy(at, values[i].data, values[i].size);
        at += values[i].size;
    }
    *out = (struct value){.data = data, .size = (uint32_t)size, .kind = VALUE_TEXT};
    return true;
}

static bool template_evaluate(const struct rule *rule, const struct evaluation *in,
                              struct value *out, struct err *err)
{
    const struct template *template = rule->state;
    struct value *values = arena_alloc(in->arena, template->count * sizeof(*values));
    struct joint sum = {0};

    for (size_t i = 0; i < template->count; i++) {
        if (!part_value(&template->parts[i], in, &values[i], err))
            return false;
        if (template->parts[i].text)
            sum.size += values[i].size;
        else
            joint_add(&sum, &template->parts[i].from, in, &values[i]);
    }
    if (!sum.absent && !sum.null && !sum.unchanged)
        return join_parts(values, template->count, sum.size, in->arena, out, err);
    if (!sum.absent && !sum.null && sum.changed)
        return joint_refuse("the template", err);
    *out = (struct value){.kind = sum.absent ? VALUE_ABSENT
                                  : sum.null ? VALUE_NULL
                                             : VALUE_UNCHANGED};
    return true;
}

/* --- SQL and inverse --- */

static void template_sql(const struct rule *rule, struct buf *sql)
{
    const struct template *template = rule->state;

    if (rule->constant) {
        constant_sql(rule->constant, sql);
        return;
    }
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];
        struct value literal = {.data = part->text, .size = part->size, .kind = VALUE_TEXT};

        buf_append_text(sql, i ? " || (" : "(");
        if (part->text)
            constant_sql(&literal, sql);
        else if (part->from.column)
            source_text_sql(part->from.column, sql);
        else
            rule_sql(part->from.rule, sql);
        buf_append_text(sql, ")");
    }
    if (template->count == 1)
        buf_append_text(sql, "::text");
}

static const char *template_no_sql(const struct rule *rule)
{
    const struct template *template = rule->state;
    const char *reason = NULL;

    for (size_t i = 0; i < template->count && !reason; i++)
        reason = ingredient_no_sql(&template->parts[i].from);
    return reason;
}

/* The bytes that the text forms of a type can hold, NULL when they can be any. */
static const char *bytes_of(const struct source_column *column)
{
    static const char *const sets[][2] = {
        {"pg_catalog.int2", "-0123456789"},
        {"pg_catalog.int4", "-0123456789"},
        {"pg_catalog.int8", "-0123456789"},
        {"pg_catalog.oid", "0123456789"},
        {"pg_catalog.bool", "tf"},
        {"pg_catalog.uuid", "-0123456789abcdef"},
        {"pg_catalog.date", "-0123456789 BCinfty"},
    };

    for (size_t i = 0; column && i < sizeof(sets) / sizeof(sets[0]); i++)
        if (strcmp(column->column->base_type, sets[i][0]) == 0)
            return sets[i][1];
    return NULL;
}

static const struct source_column *part_column(const struct part *part)
{
    return part->from.rule ? part->from.rule->plain : part->from.column;
}

/* True if the text at the part ends where a byte outside its set stands. */
static bool is_bounded(const struct template *template, size_t i, bool from_left)
{
    const char *set = bytes_of(part_column(&template->parts[i]));
    size_t beside = from_left ? i + 1 : i - 1;
    const struct part *literal = beside < template->count ? &template->parts[beside] : NULL;

    if (!literal)
        return true;
    if (!set || !literal->text)
        return false;
    return !strchr(set, from_left ? literal->text[0] : literal->text[literal->size - 1]);
}

/* A reader takes bounded values off the left up to the one that can hold any text, then off
 * the right down to it. */
static bool is_one_to_one(const struct template *template)
{
    size_t open = template->count;

    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];

        if (part->text)
            continue;
        if (!part_column(part))
            return false; /* made by another rule: not followed */
        if (open == template->count && !bytes_of(part_column(part)))
            open = i;
        else if (!is_bounded(template, i, open == template->count))
            return false;
    }
    return true;
}

static void template_inverse(const struct rule *rule, struct inverse *inverse)
{
    if (rule->constant)
        return;
    inverse->one_to_one = is_one_to_one(rule->state);
    inverse->reason = "no rule of this version takes a text apart; carry the columns of the "
                      "template as well";
}

const struct rule_kind rule_template = {
    .key = "template",
    .begins = rule_always_begins,
    .load = template_load,
    .bind = template_bind,
    .evaluate = template_evaluate,
    .sql = template_sql,
    .no_sql = template_no_sql,
    .inverse = template_inverse,
};
