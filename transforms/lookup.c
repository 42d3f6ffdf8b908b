/* lookup: the value that another table has for this key.
 *
 *     tenant_id: { from: owner_id, lookup: { table: public.users, key: id, value: tenant_id } }
 *     country:   { from: land, lookup: { query: "SELECT iso, name FROM ref.lands", key: name,
 *                  value: iso, side: target, on_miss: default, default: XX, cache: 500 } }
 *
 * The key's column reads the text of the value before; it should have an index and must not
 * find two rows. NULL stays NULL without asking. A key without a row does what on_miss says:
 * fail (the run stops), null, default, or keep (the value as it was).
 *
 * No SQL and no way back: the answer is in another table, which may have another one later. */
#include "transforms/rule.h"

#include "schema/ident.h"
#include "transforms/name.h"
#include "transforms/text.h"

#include <string.h>

#define DEFAULT_CACHE 10000
#define MOST_CACHE 10000000

enum on_miss { ON_MISS_FAIL, ON_MISS_NULL, ON_MISS_DEFAULT, ON_MISS_KEEP };
static const char *const on_miss_names[] = {"fail", "null", "default", "keep", NULL};
static const char *const side_names[] = {"source", "target", NULL};

struct lookup_rule {
    enum lookup_side side;
    bool by_query;
    struct table_name table;
    const char *query;
    struct name_spec key;
    struct name_spec value;
    enum on_miss on_miss;
    struct constant fallback;
    long cache;
    size_t number; /* of the request, once bound */
    const char *where;
};

/* --- loading --- */

static bool load_word(const struct yaml_node *node, const char *what, const char *const *words,
                      const char *expected, struct arena *arena, int *index, struct err *err)
{
    const char *word;

    if (!node)
        return true;
    if (yaml_is_null(node)) /* on_miss: null */
        word = "null";
    else if (!yaml_text(node, &word, err))
        return false;
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0) {
            *index = i;
            return true;
        }
    return yaml_error(node, err, "%s: found \"%s\", expected %s%s", what,
                      node->expanded ? "a text of the environment" : word, expected,
                      text_did_you_mean(arena, word, words));
}

static bool load_column(const struct yaml_node *value, const char *what, struct arena *arena,
                        struct name_spec *column, struct err *err)
{
    const struct yaml_node *node = yaml_get(value, what);
    const char *name;

    if (!node)
        return yaml_error(value, err,
                          "lookup: \"%s\" is missing; expected { table: schema.t, "
                          "key: column, value: column }",
                          what);
    if (!yaml_text(node, &name, err))
        return false;
    *column =
        (struct name_spec){.name = text_copy(arena, name), .where = text_position(arena, node)};
    return true;
}

static bool load_place(const struct yaml_node *value, struct arena *arena,
                       struct lookup_rule *lookup, struct err *err)
{
    const struct yaml_node *table = yaml_get(value, "table"), *query = yaml_get(value, "query");
    const char *text;

    if (!table == !query)
        return yaml_error(value, err, "lookup: expected one of table and query");
    lookup->by_query = query != NULL;
    if (table)
        return name_load(table, "table", arena, &lookup->table, err);
    if (!yaml_text(query, &text, err))
        return false;
    lookup->query = text_copy(arena, text);
    return true;
}

static bool load_miss(const struct yaml_node *value, struct arena *arena,
                      struct lookup_rule *lookup, struct err *err)
{
    const struct yaml_node *fallback = yaml_get(value, "default");
    int on_miss = ON_MISS_FAIL;

    if (!load_word(yaml_get(value, "on_miss"), "on_miss", on_miss_names,
                   "fail, null, default or keep", arena, &on_miss, err))
        return false;
    lookup->on_miss = (enum on_miss)on_miss;
    if ((on_miss == ON_MISS_DEFAULT) != (fallback != NULL))
        return yaml_error(fallback ? fallback : value, err,
                          "lookup: on_miss: default and default: VALUE go together");
    return !fallback || constant_load(fallback, "default", arena, &lookup->fallback, err);
}

static bool lookup_load(const struct yaml_node *value, const struct yaml_node *entry,
                        struct arena *arena, const void **state, struct err *err)
{
    static const char *const keys[] = {"table",   "query",   "side",  "key", "value",
                                       "on_miss", "default", "cache", NULL};
    struct lookup_rule *lookup = arena_alloc(arena, sizeof(*lookup));
    const struct yaml_node *cache = yaml_get(value, "cache");
    int side = LOOKUP_SOURCE;

    (void)entry;
    *lookup = (struct lookup_rule){.cache = DEFAULT_CACHE,
                                   .fallback = {.value = {.kind = VALUE_NULL}, .where = ""}};
    *state = lookup;
    if (!yaml_check_keys(value, "lookup", keys, err) ||
        !load_place(value, arena, lookup, err) ||
        !load_column(value, "key", arena, &lookup->key, err) ||
        !load_column(value, "value", arena, &lookup->value, err) ||
        !load_word(yaml_get(value, "side"), "side", side_names, "source or target", arena,
                   &side, err) ||
        !load_miss(value, arena, lookup, err))
        return false;
    lookup->side = (enum lookup_side)side;
    return !cache || yaml_int(cache, 0, MOST_CACHE, &lookup->cache, err);
}

/* --- binding --- */

static bool check_column(struct binder *binder, const struct catalog_table *table,
                         const struct name_spec *column, const char *what)
{
    struct arena *arena = binder_arena(binder);
    const char **names = arena_alloc(arena, (table->column_count + 1u) * sizeof(*names));

    if (catalog_column_index(table, column->name) >= 0)
        return true;
    for (uint16_t i = 0; i < table->column_count; i++)
        names[i] = table->columns[i].name;
    names[table->column_count] = NULL;
    return binder_refuse(binder, "rule.lookup", column->where, "name a column of that table",
                         "lookup: %s: table %s.%s has no column \"%s\"%s", what, table->schema,
                         table->name, column->name,
                         text_did_you_mean(arena, column->name, names));
}

/* A view or a foreign table is no table here: a query can read it. */
static bool check_table(struct binder *binder, const struct lookup_rule *lookup)
{
    const struct catalog *catalog = binder_catalog(binder, lookup->side == LOOKUP_TARGET);
    const struct catalog_table *table;

    if (!catalog) /* the target is still to be made */
        return true;
    table = catalog_find(catalog, lookup->table.schema, lookup->table.name);
    if (!table)
        return binder_refuse(binder, "rule.lookup",
                             text_copy(binder_arena(binder), lookup->table.where),
                             "name a table that the role can see; a view is read by query: "
                             "\"SELECT ...\"",
                             "lookup: the %s has no table %s.%s%s", side_names[lookup->side],
                             lookup->table.schema, lookup->table.name,
                             binder_table_did_you_mean(binder, catalog, &lookup->table));
    return check_column(binder, table, &lookup->key, "key") &&
           check_column(binder, table, &lookup->value, "value");
}

static const char *make_sql(struct arena *arena, const struct lookup_rule *lookup)
{
    struct buf sql = {0};

    buf_append_text(&sql, "SELECT l.");
    ident_append(&sql, lookup->value.name);
    buf_append_text(&sql, " FROM ");
    if (lookup->by_query)
        buf_append_format(&sql, "(%s\n)", lookup->query);
    else
        ident_append_qualified(&sql, lookup->table.schema, lookup->table.name);
    buf_append_text(&sql, " AS l WHERE l.");
    ident_append(&sql, lookup->key.name);
    buf_append_text(&sql, " = $1 LIMIT 2");
    return text_take(arena, &sql);
}

static bool lookup_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct arena *arena = binder_arena(binder);
    struct lookup_rule *lookup = arena_copy(arena, loaded, sizeof(*lookup));

    if (!lookup->by_query &&
        (!binder_fill_name(binder, "lookup", &lookup->table) || !check_table(binder, lookup)))
        return false;
    lookup->fallback = constant_copy(arena, &lookup->fallback);
    if (!*lookup->fallback.where)
        lookup->fallback.where = rule->where;
    lookup->where = rule->where;
    lookup->number =
        binder_request(binder, &(struct lookup_request){.side = lookup->side,
                                                        .sql = make_sql(arena, lookup),
                                                        .cache = (size_t)lookup->cache,
                                                        .where = rule->where});
    rule->state = lookup;
    return (lookup->on_miss != ON_MISS_NULL && lookup->on_miss != ON_MISS_DEFAULT) ||
           binder_fits(binder, "lookup: on_miss", &lookup->fallback);
}

/* --- the faces --- */

static bool give_missing(const struct lookup_rule *lookup, const struct value *key,
                         struct value *out, struct err *err)
{
    switch (lookup->on_miss) {
    case ON_MISS_FAIL:
        break;
    case ON_MISS_NULL:
    case ON_MISS_DEFAULT:
        *out = lookup->fallback.value;
        return true;
    case ON_MISS_KEEP:
        *out = *key;
        return true;
    }
    err_set(err, ERR_DATA, "the lookup finds no row for the value of this row");
    return err_remedy(err,
                      "Add the row, or say on_miss: null, default or keep in the lookup at "
                      "%s.",
                      lookup->where);
}

static bool lookup_evaluate(const struct rule *rule, const struct evaluation *in,
                            struct value *out, struct err *err)
{
    const struct lookup_rule *lookup = rule->state;
    struct lookup *who = in->lookups ? in->lookups[lookup->number] : NULL;
    struct value key;

    if (!rule_text(rule->input, in, &key, err))
        return false;
    if (key.kind != VALUE_TEXT) {
        *out = key;
        return true;
    }
    if (!who)
        return err_set(err, ERR_BUG, "a lookup is evaluated without a connection");
    switch (who->ops->find(who, &key, in->arena, out, err)) {
    case LOOKUP_FOUND:
        return true;
    case LOOKUP_MISSING:
        return give_missing(lookup, &key, out, err);
    case LOOKUP_FAILED:
        break;
    }
    return err_wrap(err, "lookup at %s", lookup->where);
}

static const char *lookup_no_sql(const struct rule *rule)
{
    (void)rule;
    return "a lookup asks another table, which may give another answer when the statement runs";
}

static void lookup_inverse(const struct rule *rule, struct inverse *inverse)
{
    inverse_refuse(inverse, rule, false,
                   "a lookup goes back by a lookup the other way, where its values are unique");
}

const struct rule_kind rule_lookup = {
    .key = "lookup",
    .asks = true,
    .load = lookup_load,
    .bind = lookup_bind,
    .evaluate = lookup_evaluate,
    .no_sql = lookup_no_sql,
    .nulls = rule_makes_nulls,
    .inverse = lookup_inverse,
};
