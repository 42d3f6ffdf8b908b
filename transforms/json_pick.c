/* json: { pick: ... }: see json.h. */
#include "transforms/json.h"

#include "schema/ident.h"
#include "transforms/json_path.h"
#include "transforms/text.h"

#include <string.h>

struct json_pick {
    struct json_path path;
    const char *document; /* "json" or "jsonb"; once bound */
};

/* --- the path --- */

struct path_text {
    const struct yaml_node *node;
    const char *at;
    struct arena *arena;
    struct json_path *path;
};

static bool add_step(struct path_text *text, const char *name, size_t size, struct err *err)
{
    struct json_path *path = text->path;

    if (path->count == JSON_PATH_MOST)
        return yaml_error(text->node, err, "pick: a path of more than %d steps",
                          JSON_PATH_MOST);
    path->steps[path->count++] = json_step(text_copy_sized(text->arena, name, size), size);
    return true;
}

static bool refuse_path(const struct path_text *text, struct err *err)
{
    return yaml_error(text->node, err,
                      "pick: cannot read the path at \"%.40s\"; expected \"$.a.b[0]\" or a "
                      "list such as [a, b, 0]",
                      text->node->expanded ? "..." : text->at);
}

/* [0], ["name"] or ['name'] */
static bool read_bracket(struct path_text *text, struct err *err)
{
    const char *start = text->at + 1, *end;
    char quote = *start;

    if (quote != '"' && quote != '\'') {
        end = start + strspn(start, "-0123456789");
        if (end == start || *end != ']')
            return refuse_path(text, err);
        text->at = end + 1;
        return add_step(text, start, (size_t)(end - start), err);
    }
    end = strchr(++start, quote);
    if (!end || end[1] != ']')
        return refuse_path(text, err);
    text->at = end + 2;
    return add_step(text, start, (size_t)(end - start), err);
}

static bool read_steps(struct path_text *text, struct err *err)
{
    if (*text->at++ != '$') {
        text->at--;
        return refuse_path(text, err);
    }
    while (*text->at) {
        size_t size;

        if (*text->at == '[') {
            if (!read_bracket(text, err))
                return false;
            continue;
        }
        size = *text->at == '.' ? strcspn(text->at + 1, ".[*?@") : 0;
        if (size == 0 || (text->at[1 + size] && !strchr(".[", text->at[1 + size])))
            return refuse_path(text, err);
        if (!add_step(text, text->at + 1, size, err))
            return false;
        text->at += 1 + size;
    }
    return text->path->count > 0 ||
           yaml_error(text->node, err, "pick: \"$\" is the whole document; use from");
}

static bool read_list(const struct yaml_node *node, struct path_text *text, struct err *err)
{
    for (size_t i = 0; i < node->count; i++) {
        const char *name;

        if (!yaml_text(node->items[i], &name, err) || !add_step(text, name, strlen(name), err))
            return false;
    }
    return node->count > 0 || yaml_error(node, err,
                                         "pick: an empty path is the whole "
                                         "document; use from");
}

static bool pick_load(const struct yaml_node *value, const struct yaml_node *entry,
                      struct arena *arena, const void **state, struct err *err)
{
    struct json_pick *pick = arena_alloc(arena, sizeof(*pick));
    struct path_text text = {.node = value, .arena = arena, .path = &pick->path};

    (void)entry;
    *pick = (struct json_pick){
        .path.steps = arena_alloc(arena, JSON_PATH_MOST * sizeof(struct json_step))};
    *state = pick;
    if (value->kind == YAML_SEQUENCE)
        return read_list(value, &text, err);
    return yaml_text(value, &text.at, err) && read_steps(&text, err);
}

/* --- the faces --- */

static bool pick_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    const struct json_pick *from = loaded;
    struct arena *arena = binder_arena(binder);
    struct json_pick *pick = arena_copy(arena, from, sizeof(*pick));
    const struct source_column *plain = rule->input->plain;
    const char *type = plain ? plain->column->base_type : "";

    pick->path.steps =
        arena_copy(arena, from->path.steps, from->path.count * sizeof(struct json_step));
    for (size_t i = 0; i < pick->path.count; i++)
        pick->path.steps[i].name =
            text_copy_sized(arena, from->path.steps[i].name, from->path.steps[i].size);
    if (strcmp(type, "pg_catalog.json") == 0)
        pick->document = "json";
    if (strcmp(type, "pg_catalog.jsonb") == 0)
        pick->document = "jsonb";
    rule->state = pick;
    return pick->document ||
           binder_refuse(binder, "rule.json", rule->where,
                         "name a json or jsonb column of the source with from",
                         "json: pick reads a column of type json or jsonb, and %s%s is %s",
                         plain ? "source column " : "what stands before it",
                         plain ? plain->column->name : "",
                         plain ? plain->column->type_name : "made by a rule");
}

static bool pick_evaluate(const struct rule *rule, const struct evaluation *in,
                          struct value *out, struct err *err)
{
    const struct json_pick *pick = rule->state;
    struct value document;

    if (!rule_text(rule->input, in, &document, err))
        return false;
    if (document.kind != VALUE_TEXT) {
        *out = document;
        return true;
    }
    if (json_pick_text(&pick->path, &document, in->arena, out))
        return true;
    err_set(err, ERR_DATA,
            "the document of this row holds an escape that no text can hold "
            "(\\u0000, or half of a surrogate pair)");
    return err_remedy(err, "Mend the document at the source; jsonb would have refused it.");
}

static void append_path(const struct json_pick *pick, const char *column, struct buf *sql)
{
    ident_append(sql, column);
    buf_append_format(sql, "::%s #>> ARRAY[", pick->document);
    for (size_t i = 0; i < pick->path.count; i++) {
        buf_append_text(sql, i ? ", " : "");
        literal_append(sql, pick->path.steps[i].name, pick->path.steps[i].size);
    }
    buf_append_text(sql, "]::text[]");
}

/* json keeps escapes that #>> then refuses, wherever in the document they stand: such a
 * document gives NULL, as a row that fails does. */
#define GOOD_ESCAPES                                                                           \
    "^([^\\\\]|\\\\[^u]|\\\\u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}"                            \
    "|\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2})*$"

static void pick_sql(const struct rule *rule, struct buf *sql)
{
    const struct json_pick *pick = rule->state;
    const char *column = rule->input->plain->column->name;
    bool guarded = strcmp(pick->document, "json") == 0;

    buf_append_text(sql, "(");
    if (guarded) {
        buf_append_text(sql, "CASE WHEN strpos(");
        ident_append(sql, column);
        buf_append_text(sql, "::text, ");
        literal_append(sql, "\\u", 2);
        buf_append_text(sql, ") = 0 OR ");
        ident_append(sql, column);
        buf_append_text(sql, "::text ~ ");
        literal_append(sql, GOOD_ESCAPES, strlen(GOOD_ESCAPES));
        buf_append_text(sql, " THEN ");
    }
    append_path(pick, column, sql);
    buf_append_text(sql, guarded ? " END)" : ")");
}

/* PostgreSQL counts a negative index from the end of the first array that stands as deep in a json
 * document, on the path or not (get_array_start() in jsonfuncs.c); only the outermost is alone. */
static const char *pick_no_sql(const struct rule *rule)
{
    const struct json_pick *pick = rule->state;

    for (size_t i = 1; i < pick->path.count && strcmp(pick->document, "json") == 0; i++)
        if (pick->path.steps[i].name[0] == '-')
            return "PostgreSQL miscounts a negative index inside a json document";
    return NULL;
}

static void pick_inverse(const struct rule *rule, struct inverse *inverse)
{
    inverse_refuse(inverse, rule, false, "a part of a document does not give the whole");
}

const struct rule_kind json_pick = {
    .key = "json",
    .load = pick_load,
    .bind = pick_bind,
    .evaluate = pick_evaluate,
    .sql = pick_sql,
    .no_sql = pick_no_sql,
    .nulls = rule_makes_nulls,
    .inverse = pick_inverse,
};
