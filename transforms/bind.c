/* Binding: rules and two catalogs become a chain, or findings that say why not. */
#include "transforms/bind.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- findings --- */

__attribute__((format(printf, 4, 0))) static void
add_finding(struct findings *findings, struct arena *arena, const struct report *report,
            const char *what, va_list arguments)
{
    va_list again;
    char *text;
    int size;

    va_copy(again, arguments);
    size = vsnprintf(NULL, 0, what, again);
    va_end(again);
    text = arena_alloc(arena, (size_t)(size < 0 ? 0 : size) + 1);
    text[0] = '\0';
    if (size > 0)
        vsnprintf(text, (size_t)size + 1, what, arguments);
    findings_add(findings, report->id, report->severity, report->where, text, report->impact,
                 report->fix, report->sql, report->rollback_sql);
}

void binder_report(struct binder *binder, const struct report *report, const char *what, ...)
{
    va_list arguments;

    va_start(arguments, what);
    add_finding(binder->findings, binder->arena, report, what, arguments);
    va_end(arguments);
    binder->failed |= report->severity == SEVERITY_BREAKING;
}

void bind_report(struct findings *findings, struct arena *arena, const struct report *report,
                 const char *what, ...)
{
    va_list arguments;

    va_start(arguments, what);
    add_finding(findings, arena, report, what, arguments);
    va_end(arguments);
}

const char *const *bind_column_names(struct arena *arena, const struct catalog_table *table)
{
    const char **names = arena_alloc(arena, (table->column_count + 1u) * sizeof(*names));

    for (uint16_t i = 0; i < table->column_count; i++)
        names[i] = table->columns[i].name;
    names[table->column_count] = NULL;
    return names;
}

const char *bind_table_text(struct arena *arena, const struct catalog_table *table)
{
    return text_format(arena, "%s.%s", table->schema, table->name);
}

/* A table of nearly this name in the same schema, or of this name in another one. */
static const char *table_did_you_mean(struct arena *arena, const struct catalog *catalog,
                                      const struct table_name *name)
{
    const char **names = arena_alloc(arena, (catalog->table_count + 1) * sizeof(*names));
    const char *schema = NULL, *nearest;
    size_t count = 0;

    for (size_t i = 0; i < catalog->table_count; i++) {
        const struct catalog_table *table = &catalog->tables[i];

        if (strcmp(table->schema, name->schema) == 0)
            names[count++] = table->name;
        else if (strcmp(table->name, name->name) == 0)
            schema = table->schema;
    }
    names[count] = NULL;
    nearest = schema ? name->name : yaml_nearest(name->name, names);
    if (!nearest)
        return "";
    return text_format(arena, "; did you mean \"%s.%s\"?", schema ? schema : name->schema,
                       nearest);
}

/* --- one table --- */

/* Everything that outlives no table but the whole of binding. */
struct binding {
    const struct catalog *source;
    const struct catalog *target;
    struct findings *findings;
    struct chain_plan *chain;
    struct bound_table *bound; /* chain->chain.tables, writable */
};

static void init_sources(struct binder *binder)
{
    uint16_t count = binder->source->column_count;

    binder->sources = arena_alloc(binder->arena, (count + 1u) * sizeof(*binder->sources));
    for (uint16_t i = 0; i < count; i++) {
        const struct catalog_column *column = &binder->source->columns[i];

        binder->sources[i] = (struct source_column){
            .column = column,
            .codec = type_codec_for(column),
            .blank_padded = strcmp(column->base_type, "pg_catalog.bpchar") == 0};
    }
}

static void init_columns(struct binder *binder)
{
    uint16_t count = binder->target->column_count;

    binder->columns = arena_alloc(binder->arena, (count + 1u) * sizeof(*binder->columns));
    for (uint16_t i = 0; i < count; i++)
        binder->columns[i] =
            (struct plan_column){.target = &binder->target->columns[i],
                                 .codec = type_codec_for(&binder->target->columns[i])};
}

static void bind_pair(struct binding *binding, const struct table_spec *spec,
                      const struct catalog_table *source, const struct catalog_table *target)
{
    struct chain_plan *chain = binding->chain;
    uint32_t table = (uint32_t)chain->chain.table_count;
    struct binder binder = {.arena = &chain->arena,
                            .chain = chain,
                            .source_catalog = binding->source,
                            .target_catalog = binding->target,
                            .findings = binding->findings,
                            .spec = spec,
                            .source = source,
                            .target = target,
                            .source_text = bind_table_text(&chain->arena, source),
                            .target_text = bind_table_text(&chain->arena, target)};

    init_sources(&binder);
    init_columns(&binder);
    bind_columns(&binder);
    bind_check(&binder);
    if (!binder.failed)
        bind_key(&binder);
    if (binder.failed)
        return;
    chain->tables[table].bound = &binding->bound[table];
    bind_layout(&binder, table, &chain->tables[table]);
    chain->chain.table_count++;
}

/* --- which tables --- */

static void breaking(struct binding *binding, const char *id, const char *where,
                     const char *fix, const char *what)
{
    struct report report = {
        .id = id, .severity = SEVERITY_BREAKING, .where = where, .fix = fix};

    bind_report(binding->findings, &binding->chain->arena, &report, "%s", what);
}

static const struct catalog_table *find_source(struct binding *binding,
                                               const struct table_spec *spec)
{
    struct arena *arena = &binding->chain->arena;
    const struct catalog_table *table =
        catalog_find(binding->source, spec->source.schema, spec->source.name);
    const char *name = text_format(arena, "%s.%s", spec->source.schema, spec->source.name);

    if (!table)
        breaking(binding, "source.table_missing", spec->source.where,
                 "name a table of the source that the role can see",
                 text_format(arena, "source table %s does not exist%s", name,
                             table_did_you_mean(arena, binding->source, &spec->source)));
    else if (table->is_partition)
        breaking(binding, "source.partition", spec->source.where,
                 "name the partitioned table: its partitions come with it",
                 text_format(arena, "source table %s is a partition", name));
    else if (table->persistence != 'p')
        breaking(binding, "source.unlogged", spec->source.where,
                 "ALTER TABLE ... SET LOGGED at the source, or leave the table out",
                 text_format(arena, "source table %s is %s: its changes are not in the WAL",
                             name, table->persistence == 'u' ? "unlogged" : "temporary"));
    else
        return table;
    return NULL;
}

static const struct catalog_table *find_target(struct binding *binding,
                                               const struct table_spec *spec)
{
    struct arena *arena = &binding->chain->arena;
    const struct catalog_table *table =
        catalog_find(binding->target, spec->target.schema, spec->target.name);
    const char *name = text_format(arena, "%s.%s", spec->target.schema, spec->target.name);
    const char *from = text_format(arena, "%s.%s", spec->source.schema, spec->source.name);

    if (!table)
        breaking(
            binding, "target.table_missing", spec->target.where ? spec->target.where : name,
            "create it at the target first, for instance from pg_dump --schema-only of the "
            "source, or list the tables to carry under tables:",
            text_format(arena, "target table %s does not exist (for source table %s)%s", name,
                        from, table_did_you_mean(arena, binding->target, &spec->target)));
    return table;
}

static bool same_name(const struct table_name *a, const struct table_name *b)
{
    return strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}

/* One rule for each source and each target table, in this version. */
static bool check_first_use(struct binding *binding, const struct table_spec *specs, size_t i)
{
    struct arena *arena = &binding->chain->arena;

    for (size_t j = 0; j < i; j++) {
        if (same_name(&specs[j].source, &specs[i].source)) {
            breaking(binding, "rule.source_twice", specs[i].source.where,
                     "keep one entry for it",
                     text_format(arena,
                                 "source table %s.%s is named a second time; this version "
                                 "does not split a table yet",
                                 specs[i].source.schema, specs[i].source.name));
            return false;
        }
        if (same_name(&specs[j].target, &specs[i].target)) {
            breaking(binding, "rule.target_twice", specs[i].target.where,
                     "give each source table a target table of its own",
                     text_format(arena,
                                 "target table %s.%s is written by a second entry; this "
                                 "version does not merge tables yet",
                                 specs[i].target.schema, specs[i].target.name));
            return false;
        }
    }
    return true;
}

static void bind_named(struct binding *binding, const struct rules *rules)
{
    for (size_t i = 0; i < rules->table_count; i++) {
        const struct table_spec *spec = &rules->tables[i];
        const struct catalog_table *source = find_source(binding, spec);
        const struct catalog_table *target = find_target(binding, spec);

        if (check_first_use(binding, rules->tables, i) && source && target)
            bind_pair(binding, spec, source, target);
    }
}

static void report_unlogged(struct binding *binding, const struct catalog_table *table)
{
    struct arena *arena = &binding->chain->arena;
    struct report report = {.id = "source.unlogged",
                            .severity = SEVERITY_POTENTIALLY_BREAKING,
                            .where = bind_table_text(arena, table),
                            .impact = "its rows do not reach the target",
                            .fix = "ALTER TABLE ... SET LOGGED at the source to carry it"};

    bind_report(binding->findings, arena, &report,
                "source table %s.%s is unlogged and left out: its changes are not in the WAL",
                table->schema, table->name);
}

static void bind_unchanged(struct binding *binding, const struct catalog_table *source)
{
    struct table_spec *spec = arena_alloc(&binding->chain->arena, sizeof(*spec));
    const struct catalog_table *target;

    *spec = (struct table_spec){.source = {.schema = source->schema, .name = source->name},
                                .target = {.schema = source->schema, .name = source->name}};
    target = find_target(binding, spec);
    if (target)
        bind_pair(binding, spec, source, target);
}

static void bind_all(struct binding *binding)
{
    size_t count = 0;

    for (size_t i = 0; i < binding->source->table_count; i++) {
        const struct catalog_table *table = &binding->source->tables[i];

        if (table->is_partition || table->persistence == 't')
            continue;
        if (table->persistence == 'u') {
            report_unlogged(binding, table);
            continue;
        }
        count++;
        bind_unchanged(binding, table);
    }
    if (count == 0)
        breaking(binding, "source.no_tables", "source",
                 "check the database name and the role's rights",
                 "the source has no table to carry");
}

/* --- the whole --- */

/* The first column that keeps the stream in text, if any. */
static const struct source_column *text_column(const struct table_plan *plan)
{
    for (uint16_t i = 0; i < plan->bound->column_count; i++) {
        const struct plan_column *column = &plan->columns[i];

        for (uint16_t j = 0; !column->passes && j < column->input_count; j++)
            if (!column->inputs[j]->codec || !type_has_text(column->inputs[j]->codec))
                return column->inputs[j];
    }
    return NULL;
}

static void choose_stream_format(struct chain_plan *chain)
{
    chain->chain.stream_binary = true;
    for (size_t i = 0; i < chain->chain.table_count; i++) {
        const struct source_column *column = text_column(&chain->tables[i]);

        if (!column)
            continue;
        chain->chain.stream_binary = false;
        chain->chain.stream_text_reason = text_format(
            &chain->arena, "%s.%s.%s (type %s)", chain->chain.tables[i].source->schema,
            chain->chain.tables[i].source->name, column->column->name,
            column->column->type_name);
        return;
    }
}

static bool refuse_binding(const struct findings *findings, size_t first, struct err *err)
{
    for (size_t i = first; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];

        if (finding->severity != SEVERITY_BREAKING)
            continue;
        err_set(err, ERR_CONFIG, "%s: %s", finding->object, finding->what);
        return finding->sql[0] ? err_remedy(err, "%s: %s", finding->fix, finding->sql)
                               : err_remedy(err, "%s", finding->fix);
    }
    return true;
}

static struct chain_plan *create_chain(size_t most_tables)
{
    struct chain_plan *chain = mem_zero(1, sizeof(*chain));

    arena_init(&chain->arena, 0);
    chain->tables = arena_alloc(&chain->arena, (most_tables + 1) * sizeof(*chain->tables));
    return chain;
}

bool rules_bind(const struct rules *rules, const struct catalog *source,
                const struct catalog *target, struct findings *findings, struct chain **chain,
                struct err *err)
{
    size_t first = findings->count;
    size_t most = rules->all_tables ? source->table_count : rules->table_count;
    struct binding binding = {
        .source = source, .target = target, .findings = findings, .chain = create_chain(most)};

    binding.bound = arena_alloc(&binding.chain->arena, (most + 1) * sizeof(*binding.bound));
    binding.chain->chain.tables = binding.bound;
    if (rules->all_tables)
        bind_all(&binding);
    else
        bind_named(&binding, rules);
    if (!refuse_binding(findings, first, err)) {
        chain_free(&binding.chain->chain);
        return false;
    }
    choose_stream_format(binding.chain);
    *chain = &binding.chain->chain;
    return true;
}

void chain_free(struct chain *chain)
{
    struct chain_plan *plan = (struct chain_plan *)chain;

    if (!plan)
        return;
    for (size_t i = 0; i < chain->table_count; i++)
        bind_layout_free(&plan->tables[i]);
    arena_free(&plan->arena);
    free(plan);
}
