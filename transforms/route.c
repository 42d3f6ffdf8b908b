/* See route.h. */
#include "transforms/route.h"

#include "transforms/text.h"

#include <string.h>

struct route_entry {
    struct constant value; /* not of the default */
    bool drops;
    struct table_name target;
};

struct route_spec {
    const char *column;
    const char *where;
    size_t count;
    struct route_entry *entries;
    struct constant *values; /* of the entries */
    bool has_default;
    struct route_entry fallback;
};

/* --- loading --- */

static bool load_target(const struct yaml_node *node, size_t references, struct arena *arena,
                        struct route_entry *entry, struct err *err)
{
    const char *text;

    if (!yaml_text(node, &text, err))
        return false;
    entry->drops = strcmp(text, "drop") == 0;
    if (entry->drops)
        return true;
    if (!name_load(node, "route", arena, &entry->target, err))
        return false;
    return name_highest_reference(&entry->target) <= references ||
           yaml_error(node, err, "route: \\%zu, but the source's pattern has %zu group(s)",
                      name_highest_reference(&entry->target), references);
}

static bool load_entries(const struct yaml_node *map, size_t references, struct arena *arena,
                         struct route_spec *route, struct err *err)
{
    if (!map || map->kind != YAML_MAPPING || map->count == 0)
        return yaml_expected(map, "route: map", "{ value: schema.table, ... }", err);
    route->entries = arena_alloc(arena, map->count * sizeof(*route->entries));
    route->values = arena_alloc(arena, map->count * sizeof(*route->values));
    route->count = map->count;
    for (size_t i = 0; i < map->count; i++) {
        struct route_entry *entry = &route->entries[i];

        *entry = (struct route_entry){0};
        if (!constant_load(map->keys[i], "route", arena, &entry->value, err) ||
            !load_target(map->items[i], references, arena, entry, err))
            return false;
        route->values[i] = entry->value;
    }
    return true;
}

bool route_load(const struct yaml_node *node, size_t references, struct arena *arena,
                const struct route_spec **loaded, struct err *err)
{
    static const char *const keys[] = {"column", "map", "default", NULL};
    struct route_spec *route = arena_alloc(arena, sizeof(*route));
    const struct yaml_node *fallback;
    const char *column;

    *route = (struct route_spec){0};
    if (!yaml_check_keys(node, "route", keys, err))
        return false;
    if (!yaml_get(node, "column") || !yaml_get(node, "map"))
        return yaml_error(node, err,
                          "route: expected { column: name, map: { value: "
                          "schema.table, ... }, default: schema.table }");
    if (!yaml_text(yaml_get(node, "column"), &column, err))
        return false;
    route->column = text_copy(arena, column);
    route->where = text_position(arena, yaml_get(node, "column"));
    fallback = yaml_get(node, "default");
    route->has_default = fallback != NULL;
    *loaded = route;
    return load_entries(yaml_get(node, "map"), references, arena, route, err) &&
           (!fallback || load_target(fallback, references, arena, &route->fallback, err));
}

/* --- targets and their conditions --- */

static void add_target(const struct route_entry *entry, const struct captures *captures,
                       struct arena *arena, struct table_name *targets, size_t *count)
{
    struct table_name target;

    if (entry->drops)
        return;
    target = name_fill(&entry->target, captures, arena);
    for (size_t i = 0; i < *count; i++)
        if (name_equal(&targets[i], &target))
            return;
    targets[(*count)++] = target;
}

size_t route_targets(const struct route_spec *route, const struct captures *captures,
                     struct arena *arena, struct table_name **targets)
{
    size_t count = 0;

    *targets = arena_alloc(arena, (route->count + 1) * sizeof(**targets));
    for (size_t i = 0; i < route->count; i++)
        add_target(&route->entries[i], captures, arena, *targets, &count);
    if (route->has_default)
        add_target(&route->fallback, captures, arena, *targets, &count);
    return count;
}

static bool leads_to(const struct route_entry *entry, const struct table_name *target,
                     const struct captures *captures, struct arena *arena)
{
    struct table_name filled;

    if (entry->drops)
        return false;
    filled = name_fill(&entry->target, captures, arena);
    return name_equal(&filled, target);
}

const struct condition *route_condition(const struct route_spec *route,
                                        const struct table_name *target,
                                        const struct captures *captures, struct arena *arena)
{
    struct constant *values = arena_alloc(arena, (route->count + 1) * sizeof(*values));
    const struct condition *listed = NULL, *others = NULL;
    size_t count = 0;

    for (size_t i = 0; i < route->count; i++)
        if (leads_to(&route->entries[i], target, captures, arena))
            values[count++] = route->values[i];
    if (count)
        listed = condition_in(arena, route->column, route->where, false, values, count);
    if (route->has_default && leads_to(&route->fallback, target, captures, arena))
        others =
            condition_in(arena, route->column, route->where, true, route->values, route->count);
    return listed && others ? condition_any(arena, listed, others) : listed ? listed : others;
}

const struct condition *route_known(const struct route_spec *route, struct arena *arena)
{
    if (route->has_default)
        return NULL;
    return condition_in(arena, route->column, route->where, false, route->values, route->count);
}
