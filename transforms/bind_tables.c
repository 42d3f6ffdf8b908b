/* Which source table goes to which target table, as pairs: entries that name tables, patterns
 * that take what no entry names, or every table unchanged. */
#include "transforms/bind.h"

#include "base/mem.h"
#include "transforms/name.h"
#include "transforms/route.h"

#include <stdlib.h>
#include <string.h>

/* --- one table --- */

static bool is_near(const char *word, const char *candidate)
{
    const char *const candidates[] = {candidate, NULL};

    return strcmp(word, candidate) == 0 || yaml_nearest(word, candidates);
}

/* A table of nearly this name in the same schema, of this name in another one, or else one both
 * of whose parts are near. */
const char *bind_table_did_you_mean(struct arena *arena, const struct catalog *catalog,
                                    const struct table_name *name)
{
    const char **names = arena_alloc(arena, (catalog->table_count + 1) * sizeof(*names));
    const struct catalog_table *elsewhere = NULL, *near = NULL;
    const char *nearest;
    size_t count = 0;

    for (size_t i = 0; i < catalog->table_count; i++) {
        const struct catalog_table *table = &catalog->tables[i];

        if (strcmp(table->schema, name->schema) == 0)
            names[count++] = table->name;
        else if (strcmp(table->name, name->name) == 0)
            elsewhere = table;
        else if (is_near(name->schema, table->schema) && is_near(name->name, table->name))
            near = table;
    }
    names[count] = NULL;
    nearest = elsewhere ? NULL : yaml_nearest(name->name, names);
    if (nearest)
        return text_format(arena, "; did you mean \"%s.%s\"?", name->schema, nearest);
    near = elsewhere ? elsewhere : near;
    return near ? text_format(arena, "; did you mean \"%s.%s\"?", near->schema, near->name)
                : "";
}

static const char *unlogged_text(const struct catalog_table *table)
{
    return table->kind == 'p' ? "has an unlogged partition" : "is unlogged";
}

static const struct catalog_table *find_source(struct binding *binding,
                                               const struct table_spec *spec)
{
    struct arena *arena = &binding->chain->arena;
    const struct catalog_table *table =
        catalog_find(binding->source, spec->source.schema, spec->source.name);
    const char *name = text_format(arena, "%s.%s", spec->source.schema, spec->source.name);

    if (!table)
        bind_refuse(
            binding, "source.table_missing", spec->source.where,
            "name a table of the source that the role can see",
            text_format(arena, "source table %s does not exist%s", name,
                        bind_table_did_you_mean(arena, binding->source, &spec->source)));
    else if (table->is_partition)
        bind_refuse(binding, "source.partition", spec->source.where,
                    "name the partitioned table: its partitions come with it",
                    text_format(arena, "source table %s is a partition", name));
    else if (table->persistence != 'p')
        bind_refuse(
            binding, "source.unlogged", spec->source.where,
            "ALTER TABLE ... SET LOGGED at the source, or leave the table out",
            text_format(arena, "source table %s %s: its changes are not in the WAL", name,
                        table->persistence == 'u' ? unlogged_text(table) : "is temporary"));
    else
        return table;
    return NULL;
}

static const struct catalog_table *
find_target(struct binding *binding, const struct table_name *target, const char *from)
{
    struct arena *arena = &binding->chain->arena;
    const struct catalog_table *table =
        catalog_find(binding->target, target->schema, target->name);
    const char *name = text_format(arena, "%s.%s", target->schema, target->name);

    if (!table)
        bind_refuse(
            binding, "target.table_missing", target->where ? target->where : name,
            "create it at the target first: `slackwater schema --apply --phase before` makes the "
            "tables of the rules; or list the tables to carry under tables:",
            text_format(arena, "target table %s does not exist (for source table %s)%s", name,
                        from, bind_table_did_you_mean(arena, binding->target, target)));
    return table;
}

/* --- pairs --- */

static void add_pair(struct binding *binding, const struct pair *pair)
{
    binding->pairs = mem_grow(binding->pairs, binding->pair_count + 1, sizeof(*pair));
    binding->pairs[binding->pair_count++] = *pair;
}

static void add_target(struct binding *binding, struct pair pair,
                       const struct table_name *target)
{
    struct arena *arena = &binding->chain->arena;
    const struct table_name *name = &pair.spec->source;
    const char *from = pair.source ? bind_table_text(arena, pair.source)
                                   : text_format(arena, "%s.%s", name->schema, name->name);

    pair.name = *target;
    pair.target = binding->target ? find_target(binding, target, from) : NULL;
    if (pair.source && (pair.target || !binding->target))
        add_pair(binding, &pair);
}

/* One pair, or one for each table of the route. */
static void add_entry(struct binding *binding, const struct table_spec *spec,
                      const struct catalog_table *source, const struct captures *captures)
{
    struct arena *arena = &binding->chain->arena;
    struct pair pair = {.spec = spec, .source = source, .captures = captures};
    struct table_name *targets;
    size_t count;

    if (!spec->route) {
        struct table_name target = {0};

        if (spec->has_target)
            target = name_fill(&spec->target, captures, arena);
        else if (source)
            target = (struct table_name){
                .schema = source->schema, .name = source->name, .where = spec->source.where};
        else
            target = spec->target;
        add_target(binding, pair, &target);
        return;
    }
    count = route_targets(spec->route, captures, arena, &targets);
    for (size_t i = 0; i < count; i++) {
        pair.destination = &targets[i];
        add_target(binding, pair, &targets[i]);
    }
}

static const struct captures *no_captures(struct binding *binding)
{
    struct captures none = {0};

    return arena_copy(&binding->chain->arena, &none, sizeof(none));
}

/* --- patterns --- */

static void report_unlogged(struct binding *binding, const struct catalog_table *table)
{
    struct arena *arena = &binding->chain->arena;
    struct report report = {.id = "source.unlogged",
                            .severity = SEVERITY_POTENTIALLY_BREAKING,
                            .where = bind_table_text(arena, table),
                            .impact = "its rows do not reach the target",
                            .fix = "ALTER TABLE ... SET LOGGED at the source to carry it"};

    bind_report(binding->findings, arena, &report,
                "source table %s.%s %s and left out: its changes are not in the WAL",
                table->schema, table->name, unlogged_text(table));
}

/* In whose place `table` is, if that is not there any more. */
static bool is_made_anew(const struct binding *binding, const struct catalog_table *table,
                         const struct catalog_table *before)
{
    return strcmp(before->schema, table->schema) == 0 &&
           strcmp(before->name, table->name) == 0 &&
           !catalog_find_oid(binding->source, before->oid);
}

static bool is_kept_to(const struct binding *binding, const struct catalog_table *table)
{
    const struct chain *chain = binding->rules->kept_to;

    for (size_t i = 0; chain && i < chain->source_count; i++)
        if (chain->sources[i].table->oid == table->oid ||
            is_made_anew(binding, table, chain->sources[i].table))
            return true;
    return !chain;
}

/* What patterns and "every table" take: tables with a life of their own. */
static bool can_be_taken(const struct binding *binding, const struct catalog_table *table)
{
    return !table->is_partition && table->persistence != 't' && is_kept_to(binding, table);
}

/* An entry that names the table wins over every pattern. */
static bool is_named(const struct binding *binding, const struct catalog_table *table)
{
    for (size_t i = 0; i < binding->rules->table_count; i++) {
        const struct table_name *name = &binding->rules->tables[i].source;

        if (!name->is_pattern && strcmp(name->schema, table->schema) == 0 &&
            strcmp(name->name, table->name) == 0)
            return true;
    }
    return false;
}

static bool is_excluded(const struct table_spec *spec, const char *schema, const char *name,
                        struct arena *arena)
{
    struct captures ignored;

    for (size_t i = 0; i < spec->exclude_count; i++)
        if (name_matches(&spec->excludes[i], schema, name, arena, &ignored))
            return true;
    return false;
}

static bool pattern_takes(const struct table_spec *spec, const char *schema, const char *name,
                          struct arena *arena, struct captures *captures)
{
    return spec->source.is_pattern &&
           name_matches(&spec->source, schema, name, arena, captures) &&
           !is_excluded(spec, schema, name, arena);
}

static bool takes(struct binding *binding, const struct table_spec *spec,
                  const struct catalog_table *table, struct captures *captures)
{
    return pattern_takes(spec, table->schema, table->name, &binding->chain->arena, captures);
}

bool rules_take(const struct rules *rules, const char *schema, const char *name)
{
    struct arena arena;
    struct captures ignored;
    bool taken = rules->all_tables;

    arena_init(&arena, 0);
    for (size_t i = 0; !taken && i < rules->table_count; i++)
        taken = pattern_takes(&rules->tables[i], schema, name, &arena, &ignored);
    arena_free(&arena);
    return taken;
}

/* Two patterns for one table would be a split that nobody asked for. */
static bool check_only_pattern(struct binding *binding, size_t entry,
                               const struct catalog_table *table)
{
    struct captures ignored;
    const struct table_spec *specs = binding->rules->tables;

    for (size_t i = 0; i < entry; i++) {
        if (!takes(binding, &specs[i], table, &ignored))
            continue;
        bind_refuse(binding, "rule.pattern_twice", specs[entry].source.where,
                    "exclude it from one of them, or give it an entry of its own",
                    text_format(&binding->chain->arena,
                                "source table %s is taken by this pattern and by that at %s",
                                bind_table_text(&binding->chain->arena, table),
                                specs[i].source.where));
        return false;
    }
    return true;
}

/* For the part of a pattern that is a plain name. */
static const char *pattern_did_you_mean(struct binding *binding, const struct table_name *name)
{
    struct arena *arena = &binding->chain->arena;
    bool of_schema = !pattern_is(name->schema, strlen(name->schema));
    const char **names =
        arena_alloc(arena, (binding->source->table_count + 1) * sizeof(*names));
    const char *part = of_schema ? name->schema : name->name;

    if (!of_schema && pattern_is(name->name, strlen(name->name)))
        return "";
    for (size_t i = 0; i < binding->source->table_count; i++) {
        names[i] =
            of_schema ? binding->source->tables[i].schema : binding->source->tables[i].name;
        if (strcmp(names[i], part) == 0)
            return "";
    }
    names[binding->source->table_count] = NULL;
    return text_did_you_mean(arena, part, names);
}

static void expand_pattern(struct binding *binding, size_t entry)
{
    const struct table_spec *spec = &binding->rules->tables[entry];
    struct arena *arena = &binding->chain->arena;
    size_t count = 0;

    for (size_t i = 0; i < binding->source->table_count; i++) {
        const struct catalog_table *table = &binding->source->tables[i];
        struct captures captures;

        if (!can_be_taken(binding, table) || is_named(binding, table) ||
            !takes(binding, spec, table, &captures))
            continue;
        count++;
        if (table->persistence == 'u')
            report_unlogged(binding, table);
        else if (check_only_pattern(binding, entry, table))
            add_entry(binding, spec, table, arena_copy(arena, &captures, sizeof(captures)));
    }
    if (count == 0)
        bind_refuse(binding, "source.pattern_empty", spec->source.where,
                    "mend the pattern, or remove the entry",
                    text_format(arena,
                                "no source table that other entries leave matches %s.%s%s",
                                spec->source.schema, spec->source.name,
                                pattern_did_you_mean(binding, &spec->source)));
}

/* --- every table --- */

static void take_all(struct binding *binding)
{
    struct table_spec *spec = arena_alloc(&binding->chain->arena, sizeof(*spec));
    size_t count = 0;

    *spec = (struct table_spec){0};
    for (size_t i = 0; i < binding->source->table_count; i++) {
        const struct catalog_table *table = &binding->source->tables[i];

        if (!can_be_taken(binding, table))
            continue;
        if (table->persistence == 'u') {
            report_unlogged(binding, table);
            continue;
        }
        count++;
        add_entry(binding, spec, table, no_captures(binding));
    }
    if (count == 0)
        bind_refuse(binding, "source.no_tables", "source",
                    "check the database name and the role's rights",
                    "the source has no table to carry");
}

/* --- the whole --- */

/* In the order in which the sources come first. */
static void gather_by_source(struct binding *binding)
{
    struct pair *sorted =
        arena_alloc(&binding->chain->arena, (binding->pair_count + 1) * sizeof(*sorted));
    size_t count = 0;

    for (size_t i = 0; i < binding->pair_count; i++) {
        const struct catalog_table *source = binding->pairs[i].source;
        bool taken = false;

        for (size_t j = 0; j < i && !taken; j++)
            taken = binding->pairs[j].source == source;
        for (size_t j = i; j < binding->pair_count && !taken; j++)
            if (binding->pairs[j].source == source)
                sorted[count++] = binding->pairs[j];
    }
    free(binding->pairs);
    binding->pairs = sorted;
}

void bind_tables(struct binding *binding)
{
    const struct rules *rules = binding->rules;

    if (rules->all_tables)
        take_all(binding);
    for (size_t i = 0; i < rules->table_count; i++) {
        const struct table_spec *spec = &rules->tables[i];

        if (spec->source.is_pattern)
            expand_pattern(binding, i);
        else
            add_entry(binding, spec, find_source(binding, spec), no_captures(binding));
    }
    gather_by_source(binding);
}
