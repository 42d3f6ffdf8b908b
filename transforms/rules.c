/* Loading: the `tables` part of the file becomes a struct rules, or the first fault is told
 * with its position. Nothing of the YAML tree is kept. */
#include "transforms/rules.h"

#include "base/mem.h"
#include "transforms/condition.h"
#include "transforms/name.h"
#include "transforms/route.h"
#include "transforms/spec.h"
#include "transforms/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char *const table_keys[] = {"source", "target",  "key",   "columns", "drop",
                                         "where",  "exclude", "route", NULL};

/* Known keys of a column entry: what the kinds read. The most there can be. */
#define MOST_KEYS 64

static void list_column_keys(const char **keys)
{
    size_t count = 0;

    keys[count++] = "type";
    for (const struct rule_kind *const *kind = rule_kinds; *kind; kind++) {
        keys[count++] = (*kind)->key;
        for (const char *const *more = (*kind)->companions; *more; more++)
            keys[count++] = *more;
    }
    keys[count] = NULL;
}

static bool is_listed(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static bool load_names(const struct yaml_node *node, const char *what, struct arena *arena,
                       size_t *count, struct name_spec **names, struct err *err)
{
    if (node->kind != YAML_SEQUENCE || node->count == 0)
        return yaml_expected(node, what, "a list of columns such as [id, name]", err);
    *names = arena_alloc(arena, node->count * sizeof(**names));
    for (size_t i = 0; i < node->count; i++) {
        const char *name;

        if (!yaml_text(node->items[i], &name, err))
            return false;
        for (size_t j = 0; j < i; j++)
            if (strcmp((*names)[j].name, name) == 0)
                return yaml_error(node->items[i], err, "%s: \"%s\" is listed twice", what,
                                  name);
        (*names)[i] = (struct name_spec){.name = text_copy(arena, name),
                                         .where = text_position(arena, node->items[i])};
    }
    *count = node->count;
    return true;
}

static bool add_step(const struct rule_kind *kind, const struct yaml_node *value,
                     const struct yaml_node *entry, struct arena *arena,
                     struct column_spec *column, struct err *err)
{
    struct step_spec *step = &column->steps[column->step_count++];

    *step = (struct step_spec){.kind = kind, .where = text_position(arena, value)};
    return kind->load(value, entry, arena, &step->state, err);
}

/* A column without a beginning works on the source column of its own name. */
static void begin_with_same_name(struct arena *arena, struct column_spec *column)
{
    column->steps[column->step_count++] = (struct step_spec){
        .kind = &rule_from, .state = text_copy(arena, column->name), .where = column->where};
}

/* What stands under the kind's key, if the entry asks for this kind: NULL too where another
 * kind of the entry reads the key as its companion. */
static const struct yaml_node *asked(const struct yaml_node *entry,
                                     const struct rule_kind *kind)
{
    for (const struct rule_kind *const *other = rule_kinds; *other; other++)
        if (*other != kind && yaml_get(entry, (*other)->key) &&
            is_listed(kind->key, (*other)->companions))
            return NULL;
    return yaml_get(entry, kind->key);
}

static bool kind_begins(const struct rule_kind *kind, const struct yaml_node *value)
{
    return kind->begins && kind->begins(value);
}

static bool check_beginning(const struct yaml_node *entry, bool *begins, struct err *err)
{
    const char *first = NULL;

    for (const struct rule_kind *const *kind = rule_kinds; *kind; kind++) {
        const struct yaml_node *value = asked(entry, *kind);

        if (!value || !kind_begins(*kind, value))
            continue;
        if (first)
            return yaml_error(yaml_get(entry, (*kind)->key), err,
                              "columns: \"%s\" and \"%s\" both say where the value comes from; "
                              "keep one",
                              first, (*kind)->key);
        first = (*kind)->key;
    }
    *begins = first != NULL;
    return true;
}

static bool is_kind(const char *key)
{
    for (const struct rule_kind *const *kind = rule_kinds; *kind; kind++)
        if (strcmp((*kind)->key, key) == 0)
            return true;
    return false;
}

/* A companion without the kind that reads it would be ignored in silence. */
static bool check_companions(const struct yaml_node *entry, struct err *err)
{
    for (const struct rule_kind *const *kind = rule_kinds; *kind; kind++)
        for (const char *const *key = (*kind)->companions; *key; key++)
            if (yaml_get(entry, *key) && !yaml_get(entry, (*kind)->key) && !is_kind(*key))
                return yaml_error(yaml_get(entry, *key), err,
                                  "columns: \"%s\" is read by \"%s\", which is not here", *key,
                                  (*kind)->key);
    return true;
}

static bool load_steps(const struct yaml_node *entry, struct arena *arena,
                       struct column_spec *column, struct err *err)
{
    bool begins = false;

    if (!check_beginning(entry, &begins, err) || !check_companions(entry, err))
        return false;
    column->steps = arena_alloc(arena, (entry->count + 1) * sizeof(*column->steps));
    if (!begins)
        begin_with_same_name(arena, column);
    for (int beginning = 1; beginning >= 0; beginning--)
        for (const struct rule_kind *const *kind = rule_kinds; *kind; kind++) {
            const struct yaml_node *value = asked(entry, *kind);

            if (value && kind_begins(*kind, value) == beginning &&
                !add_step(*kind, value, entry, arena, column, err))
                return false;
        }
    return true;
}

/* The target column's type, for those who let `slackwater schema` make the table. It goes into a
 * statement as it is, so that it may hold nothing that ends a type's name. */
static bool load_type(const struct yaml_node *node, struct arena *arena,
                      struct column_spec *column, struct err *err)
{
    const char *type;

    if (!node)
        return true;
    if (!yaml_text(node, &type, err))
        return false;
    if (!*type || type[strspn(type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789_ .,()[]\"")])
        return yaml_expected(node, "type", "the name of a type such as bigint or numeric(12,2)",
                             err);
    column->type = text_copy(arena, type);
    return true;
}

static bool load_column(const struct yaml_node *key, const struct yaml_node *entry,
                        struct arena *arena, struct column_spec *column, struct err *err)
{
    const char *known[MOST_KEYS];
    char what[128];

    *column = (struct column_spec){.name = text_copy(arena, key->text),
                                   .where = text_position(arena, key)};
    snprintf(what, sizeof(what), "column \"%s\"", column->name);
    list_column_keys(known);
    if (entry->kind != YAML_MAPPING || entry->count == 0)
        return yaml_expected(entry, what, "a rule such as { from: name }", err);
    return yaml_check_keys(entry, what, known, err) &&
           load_type(yaml_get(entry, "type"), arena, column, err) &&
           load_steps(entry, arena, column, err);
}

static bool load_columns(const struct yaml_node *node, struct arena *arena,
                         struct table_spec *table, struct err *err)
{
    if (node->kind != YAML_MAPPING)
        return yaml_expected(
            node, "columns",
            "target columns with a rule each, such as full_name: { from: name }", err);
    table->columns = arena_alloc(arena, node->count * sizeof(*table->columns));
    table->column_count = node->count;
    for (size_t i = 0; i < node->count; i++)
        if (!load_column(node->keys[i], node->items[i], arena, &table->columns[i], err))
            return false;
    return true;
}

static bool load_excludes(const struct yaml_node *node, struct arena *arena,
                          struct table_spec *table, struct err *err)
{
    if (!table->source.is_pattern)
        return yaml_error(node, err,
                          "exclude: source names one table; exclude is for patterns");
    if (node->kind != YAML_SEQUENCE || node->count == 0)
        return yaml_expected(node, "exclude", "a list such as [public.log, \"*.tmp_*\"]", err);
    table->excludes = arena_alloc(arena, node->count * sizeof(*table->excludes));
    table->exclude_count = node->count;
    for (size_t i = 0; i < node->count; i++)
        if (!name_load_pattern(node->items[i], "exclude", arena, &table->excludes[i], err))
            return false;
    return true;
}

static size_t count_groups(const struct table_name *name)
{
    size_t count = 0;

    for (const char *c = name->schema_quoted ? "" : name->schema; *c; c++)
        count += *c == '(';
    for (const char *c = name->name_quoted ? "" : name->name; *c; c++)
        count += *c == '(';
    return count;
}

/* Where the rows go: `target`, `route`, or the source's own name. */
static bool load_target(const struct yaml_node *node, struct arena *arena,
                        struct table_spec *table, struct err *err)
{
    const struct yaml_node *target = yaml_get(node, "target");
    const struct yaml_node *route = yaml_get(node, "route");
    size_t groups = count_groups(&table->source);

    if (target && route)
        return yaml_error(route, err,
                          "\"target\" and \"route\" both say where rows go; keep one");
    table->route_where = route ? text_position(arena, route) : NULL;
    if (route)
        return route_load(route, groups, arena, &table->route, err);
    if (!target)
        return true;
    if (!name_load(target, "target", arena, &table->target, err))
        return false;
    return name_highest_reference(&table->target) <= groups ||
           yaml_error(target, err, "target: \\%zu, but the source's pattern has %zu group(s)",
                      name_highest_reference(&table->target), groups);
}

static bool load_source(const struct yaml_node *node, struct arena *arena,
                        struct table_spec *table, struct err *err)
{
    const struct yaml_node *source = yaml_get(node, "source");
    const struct yaml_node *exclude = yaml_get(node, "exclude");

    if (!source)
        return yaml_error(node, err,
                          "tables entry: \"source\" is missing; expected source: "
                          "schema.table");
    if (!name_load_pattern(source, "source", arena, &table->source, err))
        return false;
    if (count_groups(&table->source) > PATTERN_GROUPS)
        return yaml_error(source, err, "source: more than nine groups");
    table->has_target = yaml_get(node, "target") != NULL;
    if (!table->source.is_pattern)
        table->target = table->source;
    return !exclude || load_excludes(exclude, arena, table, err);
}

/* What stands there, without where it stands, and without what only the environment says. */
static void append_said(const struct yaml_node *node, struct buf *said)
{
    buf_append_format(said, "%d:%zu:", (int)node->kind, node->count);
    if (node->text && !node->expanded)
        buf_append(said, node->text, strlen(node->text) + 1);
    for (size_t i = 0; i < node->count; i++) {
        if (node->keys)
            append_said(node->keys[i], said);
        append_said(node->items[i], said);
    }
}

static uint64_t digest_said(const struct yaml_node *node)
{
    struct buf said = {0};

    append_said(node, &said);
    uint64_t digest = XXH3_64bits(said.data, said.size);
    buf_free(&said);
    return digest;
}

/* The node is a mapping with known keys only. */
static bool load_table(const struct yaml_node *node, struct arena *arena,
                       struct table_spec *table, struct err *err)
{
    const struct yaml_node *key = yaml_get(node, "key");
    const struct yaml_node *columns = yaml_get(node, "columns");
    const struct yaml_node *drop = yaml_get(node, "drop");
    const struct yaml_node *where = yaml_get(node, "where");

    *table = (struct table_spec){.said = digest_said(node)};
    if (!load_source(node, arena, table, err) || !load_target(node, arena, table, err))
        return false;
    if (key && !load_names(key, "key", arena, &table->key_count, &table->keys, err))
        return false;
    table->key_where = key ? text_position(arena, key) : NULL;
    return (!columns || load_columns(columns, arena, table, err)) &&
           (!drop || load_names(drop, "drop", arena, &table->drop_count, &table->drops, err)) &&
           (!where || condition_load(where, "where", arena, &table->where, err));
}

static bool load_tables(const struct yaml_node *tables, struct rules *rules, struct err *err)
{
    if (tables->kind != YAML_SEQUENCE || tables->count == 0)
        return yaml_expected(
            tables, "tables",
            "a list of entries such as - source: public.users; leave it out to "
            "carry every table unchanged",
            err);
    rules->table_count = tables->count;
    rules->tables = arena_alloc(&rules->arena, tables->count * sizeof(*rules->tables));
    for (size_t i = 0; i < tables->count; i++)
        if (!yaml_check_keys(tables->items[i], "tables entry", table_keys, err) ||
            !load_table(tables->items[i], &rules->arena, &rules->tables[i], err))
            return false;
    return true;
}

bool rules_load(const struct yaml_node *tables, struct rules **rules, struct err *err)
{
    struct rules *loaded = mem_zero(1, sizeof(*loaded));

    arena_init(&loaded->arena, 0);
    loaded->all_tables = !tables;
    if (tables && !load_tables(tables, loaded, err)) {
        rules_free(loaded);
        return false;
    }
    *rules = loaded;
    return true;
}

void rules_ask_types(struct rules *rules, const struct type_reader *types)
{
    rules->types = types;
}

void rules_know_former(struct rules *rules, const struct former *former, bool ignore_new)
{
    rules->former = former;
    rules->ignore_new = ignore_new;
}

void rules_keep_to(struct rules *rules, const struct chain *chain)
{
    rules->kept_to = chain;
}

void rules_free(struct rules *rules)
{
    if (!rules)
        return;
    arena_free(&rules->arena);
    free(rules);
}
