/* See json.h: chooses between the two forms by what stands under the key. */
#include "transforms/json.h"

struct json {
    const struct rule_kind *form;
    const void *state;
};

static bool json_load(const struct yaml_node *value, const struct yaml_node *entry,
                      struct arena *arena, const void **state, struct err *err)
{
    static const char *const keys[] = {"pick", "build", NULL};
    struct json *json = arena_alloc(arena, sizeof(*json));
    const struct yaml_node *build = yaml_get(value, "build");

    if (!yaml_check_keys(value, "json", keys, err))
        return false;
    if (value->count != 1)
        return yaml_error(value, err,
                          "json: expected { pick: $.a.b } or { build: { key: column } }");
    json->form = build ? &json_build : &json_pick;
    *state = json;
    return json->form->load(build ? build : yaml_get(value, "pick"), entry, arena, &json->state,
                            err);
}

static bool json_begins(const struct yaml_node *value)
{
    return yaml_get(value, "build") != NULL;
}

/* From here on the rule is one of its form. */
static bool json_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    const struct json *json = loaded;

    rule->kind = json->form;
    return json->form->bind(binder, json->state, rule);
}

const struct rule_kind rule_json = {
    .key = "json",
    .begins = json_begins,
    .load = json_load,
    .bind = json_bind,
};
