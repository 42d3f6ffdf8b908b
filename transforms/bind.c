/* Binding: rules and two catalogs become a chain, or findings that say why not. */
#include "transforms/bind.h"

#include "base/mem.h"
#include "transforms/condition.h"

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
    findings_put(findings, &(struct finding){.id = report->id,
                                             .severity = report->severity,
                                             .object = report->where,
                                             .what = text,
                                             .impact = report->impact,
                                             .fix = report->fix,
                                             .sql = report->sql,
                                             .rollback_sql = report->rollback_sql,
                                             .validation_query = report->validation_query});
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

void bind_refuse(struct binding *binding, const char *id, const char *where, const char *fix,
                 const char *what)
{
    struct report report = {
        .id = id, .severity = SEVERITY_BREAKING, .where = where, .fix = fix};

    bind_report(binding->findings, &binding->chain->arena, &report, "%s", what);
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

/* --- one table --- */

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

struct binder bind_open(struct binding *binding, const struct pair *pair)
{
    struct chain_plan *chain = binding->chain;
    struct binder binder = {.arena = &chain->arena,
                            .chain = chain,
                            .source_catalog = binding->source,
                            .target_catalog = binding->target,
                            .types = binding->rules->types,
                            .former = binding->rules->former,
                            .ignore_new = binding->rules->ignore_new,
                            .findings = binding->findings,
                            .formulas = binding->formulas,
                            .lost = &binding->lost,
                            .spec = pair->spec,
                            .source = pair->source,
                            .target = pair->target,
                            .source_text = bind_table_text(&chain->arena, pair->source),
                            .target_text = bind_table_text(&chain->arena, pair->target),
                            .captures = pair->captures,
                            .destination = pair->destination};

    init_sources(&binder);
    init_columns(&binder);
    return binder;
}

static void bind_pair(struct binding *binding, const struct pair *pair)
{
    struct chain_plan *chain = binding->chain;
    uint32_t table = (uint32_t)chain->chain.table_count;
    struct binder binder = bind_open(binding, pair);

    bind_columns(&binder);
    bind_conditions(&binder);
    bind_check(&binder);
    if (!binder.failed)
        bind_key(&binder);
    bind_required(&binder);
    if (!binder.failed)
        bind_rows(&binder);
    if (binder.failed)
        return;
    chain->tables[table].bound = &binding->bound[table];
    bind_layout(&binder, table, &chain->tables[table]);
    bind_collision(&binder, &chain->tables[table]);
    chain->chain.table_count++;
}

/* Bound tables of one source stand beside each other, as their pairs do. */
static void number_sources(struct binding *binding)
{
    struct chain *chain = &binding->chain->chain;

    for (size_t i = 0; i < chain->table_count; i++) {
        struct bound_table *table = &binding->bound[i];
        struct bound_source *source = &binding->sources[chain->source_count];

        if (i == 0 || table->source != table[-1].source) {
            chain->source_count++;
            *source = (struct bound_source){.table = table->source, .first_table = (uint32_t)i};
        } else {
            source--;
        }
        source->table_count++;
        source->insert_only |= table->insert_only;
        table->source_index = (uint32_t)(source - binding->sources);
    }
}

/* --- the whole --- */

/* Why the stream cannot be binary, in the making. */
struct text_reasons {
    struct arena *arena;
    size_t count;
    const char *first;
};

static void note_text(struct text_reasons *reasons, const struct bound_table *table,
                      const struct source_column *input, const char *why)
{
    if (reasons->count++ == 0)
        reasons->first = text_format(reasons->arena, "%s.%s.%s (%s: %s)", table->source->schema,
                                     table->source->name, input->column->name,
                                     input->column->type_name, why);
}

static void find_text_reasons(struct text_reasons *reasons, const struct table_plan *plan)
{
    const struct source_column *input = condition_textless(plan->bound->where, true);

    for (uint16_t i = 0; i < plan->bound->column_count; i++) {
        const struct plan_column *column = &plan->columns[i];
        const struct source_column *textless = bind_keeps_stream_text(column);

        if (textless)
            note_text(reasons, plan->bound, textless,
                      column->rule->plain ? column->passage.why : "a rule reads its text");
    }
    if (!input)
        input = condition_textless(plan->bound->route, true);
    if (input)
        note_text(reasons, plan->bound, input, "a condition reads its text");
}

static void choose_stream_format(struct chain_plan *chain)
{
    struct text_reasons reasons = {.arena = &chain->arena};

    for (size_t i = 0; i < chain->chain.table_count; i++)
        find_text_reasons(&reasons, &chain->tables[i]);
    chain->chain.stream_binary = reasons.count == 0;
    chain->chain.stream_text_reason =
        reasons.count < 2 ? reasons.first
                          : text_format(&chain->arena, "%s and %zu more column(s)",
                                        reasons.first, reasons.count - 1);
}

bool bind_verdict(const struct findings *findings, size_t first, struct err *err)
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

static struct chain_plan *create_chain(void)
{
    struct chain_plan *chain = mem_zero(1, sizeof(*chain));

    arena_init(&chain->arena, 0);
    return chain;
}

static void bind_all_pairs(struct binding *binding)
{
    struct arena *arena = &binding->chain->arena;
    size_t most = binding->pair_count + 1;

    binding->bound = arena_alloc(arena, most * sizeof(*binding->bound));
    binding->sources = arena_alloc(arena, most * sizeof(*binding->sources));
    binding->chain->tables = arena_alloc(arena, most * sizeof(*binding->chain->tables));
    binding->chain->chain.tables = binding->bound;
    binding->chain->chain.sources = binding->sources;
    for (size_t i = 0; i < binding->pair_count && binding->lost.class == ERR_NONE; i++)
        bind_pair(binding, &binding->pairs[i]);
    number_sources(binding);
    bind_merges(binding);
}

static bool bind_or_refuse(struct binding *binding, size_t first, struct err *err)
{
    bind_tables(binding);
    bind_all_pairs(binding);
    if (binding->lost.class == ERR_NONE)
        return bind_verdict(binding->findings, first, err);
    *err = binding->lost;
    return false;
}

bool rules_bind(const struct rules *rules, const struct catalog *source,
                const struct catalog *target, struct findings *findings, struct chain **chain,
                struct err *err)
{
    return rules_bind_asking(rules, source, target, NULL, findings, chain, err);
}

bool rules_bind_asking(const struct rules *rules, const struct catalog *source,
                       const struct catalog *target, const struct formula_reader *formulas,
                       struct findings *findings, struct chain **chain, struct err *err)
{
    size_t first = findings->count;
    struct binding binding = {.rules = rules,
                              .source = source,
                              .target = target,
                              .formulas = formulas,
                              .findings = findings,
                              .chain = create_chain()};

    if (!bind_or_refuse(&binding, first, err)) {
        chain_free(&binding.chain->chain);
        return false;
    }
    choose_stream_format(binding.chain);
    binding.chain->former = rules->former;
    *chain = &binding.chain->chain;
    return true;
}

void chain_take_text(struct chain *chain, const char *reason)
{
    struct chain_plan *plan = (struct chain_plan *)chain;

    plan->any_type = true;
    chain->stream_binary = false;
    chain->stream_text_reason = text_copy(&plan->arena, reason);
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
