/* map: one text for another.
 *
 *     status: { from: state, map: { a: active, d: deleted, ~: unknown }, default: null }
 *
 * Keys are text forms of the value before; for types that have one spelling here (numbers,
 * bool, uuid) `007` finds 7 and `true` finds t. NULL stays NULL unless there is a null key. A
 * value without an entry becomes the default; without a default the row fails: a guess would be
 * worse than a stop. The inverse is the map turned round, where no two entries have the same
 * result and there is no default. */
#include "transforms/rule.h"

#include "base/mem.h"
#include "schema/ident.h"
#include "transforms/text.h"

#include <stdlib.h>
#include <string.h>

struct map_entry {
    struct constant key;
    struct constant result;
};

struct map {
    struct map_entry *entries; /* sorted by key once bound */
    size_t count;
    bool has_null_key;
    struct constant null_result;
    bool has_default;
    struct constant fallback;
    const char *remedy; /* bound: what to do about a value without an entry */
};

static int value_order(const struct value *a, const struct value *b)
{
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return a->size ? memcmp(a->data, b->data, a->size) : 0;
}

static int entry_order(const void *a, const void *b)
{
    return value_order(&((const struct map_entry *)a)->key.value,
                       &((const struct map_entry *)b)->key.value);
}

static bool load_entry(const struct yaml_node *key, const struct yaml_node *value,
                       struct arena *arena, struct map *map, struct err *err)
{
    struct map_entry entry;

    if (!constant_load(key, "map key", arena, &entry.key, err) ||
        !constant_load(value, "map", arena, &entry.result, err))
        return false;
    if (entry.key.value.kind == VALUE_TEXT) {
        map->entries[map->count++] = entry;
        return true;
    }
    if (map->has_null_key)
        return yaml_error(key, err, "map: a second entry for null");
    map->has_null_key = true;
    map->null_result = entry.result;
    return true;
}

static bool map_load(const struct yaml_node *value, const struct yaml_node *entry,
                     struct arena *arena, const void **state, struct err *err)
{
    const struct yaml_node *fallback = yaml_get(entry, "default");
    struct map *map = arena_alloc(arena, sizeof(*map));

    if (value->kind != YAML_MAPPING || value->count == 0)
        return yaml_expected(value, "map", "entries such as { a: active, d: deleted }", err);
    *map = (struct map){.entries = arena_alloc(arena, value->count * sizeof(*map->entries))};
    for (size_t i = 0; i < value->count; i++)
        if (!load_entry(value->keys[i], value->items[i], arena, map, err))
            return false;
    *state = map;
    map->has_default = fallback != NULL;
    return !fallback || constant_load(fallback, "default", arena, &map->fallback, err);
}

static struct map *copy_map(struct arena *arena, const struct map *loaded)
{
    struct map *map = arena_copy(arena, loaded, sizeof(*map));

    map->entries = arena_alloc(arena, loaded->count * sizeof(*map->entries));
    for (size_t i = 0; i < map->count; i++) {
        map->entries[i].key = constant_copy(arena, &loaded->entries[i].key);
        map->entries[i].result = constant_copy(arena, &loaded->entries[i].result);
    }
    map->null_result = constant_copy(arena, &loaded->null_result);
    map->fallback = constant_copy(arena, &loaded->fallback);
    return map;
}

static bool refuse_repeated_keys(struct binder *binder, const struct map *map)
{
    for (size_t i = 1; i < map->count; i++)
        if (value_order(&map->entries[i - 1].key.value, &map->entries[i].key.value) == 0)
            return binder_refuse(binder, "rule.map_key", map->entries[i].key.where,
                                 "keep one of the two", "map: two entries for %s",
                                 constant_show(binder_arena(binder), &map->entries[i].key));
    return true;
}

static bool results_fit(struct binder *binder, const struct map *map)
{
    bool fits = true;

    for (size_t i = 0; i < map->count; i++)
        fits &= binder_fits(binder, "map", &map->entries[i].result);
    if (map->has_null_key)
        fits &= binder_fits(binder, "map", &map->null_result);
    if (map->has_default)
        fits &= binder_fits(binder, "default", &map->fallback);
    return fits;
}

static bool fill_results(struct binder *binder, struct map *map)
{
    for (size_t i = 0; i < map->count; i++)
        if (!binder_fill(binder, "map", &map->entries[i].result))
            return false;
    return (!map->has_null_key || binder_fill(binder, "map", &map->null_result)) &&
           (!map->has_default || binder_fill(binder, "default", &map->fallback));
}

static const char *make_remedy(struct binder *binder, const struct rule *rule)
{
    const struct catalog_table *table = binder_source_table(binder);
    struct buf text = {0};

    buf_append_format(&text, "Add the value, or a default, to the map at %s", rule->where);
    if (rule->input->plain) {
        buf_append_text(&text, "; all values: SELECT ");
        ident_append(&text, rule->input->plain->column->name);
        buf_append_text(&text, ", count(*) FROM ");
        ident_append_qualified(&text, table->schema, table->name);
        buf_append_text(&text, " GROUP BY 1");
    }
    return text_take(binder_arena(binder), &text);
}

static bool map_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct map *map = copy_map(binder_arena(binder), loaded);

    for (size_t i = 0; i < map->count; i++)
        if (!binder_spell(binder, "rule.map_key", "map: key", rule->input,
                          &map->entries[i].key))
            return false;
    qsort(map->entries, map->count, sizeof(*map->entries), entry_order);
    map->remedy = make_remedy(binder, rule);
    rule->state = map;
    return refuse_repeated_keys(binder, map) && fill_results(binder, map) &&
           results_fit(binder, map);
}

static bool map_evaluate(const struct rule *rule, const struct evaluation *in,
                         struct value *out, struct err *err)
{
    const struct map *map = rule->state;
    struct map_entry wanted = {0};
    const struct map_entry *entry;

    if (!rule_text(rule->input, in, &wanted.key.value, err))
        return false;
    if (wanted.key.value.kind == VALUE_NULL && map->has_null_key) {
        *out = map->null_result.value;
        return true;
    }
    if (wanted.key.value.kind != VALUE_TEXT) {
        *out = wanted.key.value;
        return true;
    }
    entry = bsearch(&wanted, map->entries, map->count, sizeof(wanted), entry_order);
    if (entry || map->has_default) {
        *out = entry ? entry->result.value : map->fallback.value;
        return true;
    }
    err_set(err, ERR_DATA, "the map has no entry for the value of this row, and no default");
    return err_remedy(err, "%s", map->remedy);
}

static void append_when(const struct map_entry *entry, struct buf *sql)
{
    buf_append_text(sql, " WHEN ");
    literal_append(sql, entry->key.value.data, entry->key.value.size);
    buf_append_text(sql, " THEN ");
    constant_sql(&entry->result.value, sql);
}

/* For values that are not NULL. */
static void append_entries(const struct rule *rule, const struct map *map, struct buf *sql)
{
    const struct value null = {.kind = VALUE_NULL};

    if (map->count) {
        buf_append_text(sql, "CASE (");
        rule_sql(rule->input, sql);
        buf_append_text(sql, ") COLLATE \"C\"");
        for (size_t i = 0; i < map->count; i++)
            append_when(&map->entries[i], sql);
        buf_append_text(sql, " ELSE ");
    }
    constant_sql(map->has_default ? &map->fallback.value : &null, sql);
    if (map->count)
        buf_append_text(sql, " END");
}

/* CASE WHEN x IS NULL THEN n ELSE CASE x COLLATE "C" WHEN 'a' THEN 'b' ... ELSE d END END */
static void map_sql(const struct rule *rule, struct buf *sql)
{
    const struct map *map = rule->state;
    const struct value null = {.kind = VALUE_NULL};

    buf_append_text(sql, "CASE WHEN (");
    rule_sql(rule->input, sql);
    buf_append_text(sql, ") IS NULL THEN ");
    constant_sql(map->has_null_key ? &map->null_result.value : &null, sql);
    buf_append_text(sql, " ELSE ");
    append_entries(rule, map, sql);
    buf_append_text(sql, " END");
}

static int result_order(const void *a, const void *b)
{
    const struct value *x = *(const struct value *const *)a;
    const struct value *y = *(const struct value *const *)b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return value_order(x, y);
}

/* NULL gives NULL when no entry says otherwise: it counts as an entry of its own. */
static bool results_differ(const struct map *map)
{
    const struct value null = {.kind = VALUE_NULL};
    const struct value **results = mem_zero(map->count + 1, sizeof(struct value *));
    bool differ = true;

    for (size_t i = 0; i < map->count; i++)
        results[i] = &map->entries[i].result.value;
    results[map->count] = map->has_null_key ? &map->null_result.value : &null;
    qsort(results, map->count + 1, sizeof(struct value *), result_order);
    for (size_t i = 1; i <= map->count; i++)
        differ = differ && result_order(&results[i - 1], &results[i]) != 0;
    free(results);
    return differ;
}

/* A double-quoted YAML scalar, or a bare null. */
static void append_yaml(const struct value *value, struct buf *buf)
{
    if (value->kind == VALUE_NULL)
        buf_append_text(buf, "null");
    else
        text_append_yaml(buf, value->data, value->size);
}

static void append_reversed(const struct value *from, const struct value *to, struct buf *buf)
{
    append_yaml(from, buf);
    buf_append_text(buf, ": ");
    append_yaml(to, buf);
}

static void map_inverse(const struct rule *rule, struct inverse *inverse)
{
    const struct map *map = rule->state;
    const struct value null = {.kind = VALUE_NULL};

    if (map->has_default || !results_differ(map)) {
        inverse_refuse(inverse, rule, false,
                       map->has_default ? "a map with a default forgets what the value was"
                                        : "two entries of the map have the same result");
        return;
    }
    buf_append_text(&inverse->steps, ", map: {");
    for (size_t i = 0; i < map->count; i++) {
        buf_append_text(&inverse->steps, i ? ", " : "");
        append_reversed(&map->entries[i].result.value, &map->entries[i].key.value,
                        &inverse->steps);
    }
    if (map->has_null_key) {
        buf_append_text(&inverse->steps, ", ");
        append_reversed(&map->null_result.value, &null, &inverse->steps);
    }
    buf_append_text(&inverse->steps, "}");
    rule->input->kind->inverse(rule->input, inverse);
}

static enum nulls map_nulls(const struct rule *rule)
{
    const struct map *map = rule->state;

    if (!map->has_default || map->fallback.value.kind == VALUE_NULL)
        return NULLS_MADE;
    for (size_t i = 0; i < map->count; i++)
        if (map->entries[i].result.value.kind == VALUE_NULL)
            return NULLS_MADE;
    return map->has_null_key && map->null_result.value.kind != VALUE_NULL ? NULLS_NONE
                                                                          : NULLS_KEPT;
}

const struct rule_kind rule_map = {
    .key = "map",
    .companions = {"default"},
    .load = map_load,
    .bind = map_bind,
    .evaluate = map_evaluate,
    .sql = map_sql,
    .nulls = map_nulls,
    .inverse = map_inverse,
};
