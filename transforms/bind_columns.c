/* Which rule makes which target column. See rules.h and rule.h. */
#include "transforms/bind.h"

#include "schema/compatibility.h"
#include "transforms/name.h"
#include "transforms/spell.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- what kinds call --- */

struct arena *binder_arena(struct binder *binder)
{
    return binder->arena;
}

const struct catalog_table *binder_source_table(struct binder *binder)
{
    return binder->source;
}

const char *binder_object(struct binder *binder)
{
    return text_format(binder->arena, "%s.%s", binder->target_text,
                       binder->current->target->name);
}

const char *binder_table_did_you_mean(struct binder *binder, const struct catalog *catalog,
                                      const struct table_name *name)
{
    return bind_table_did_you_mean(binder->arena, catalog, name);
}

const struct catalog *binder_catalog(struct binder *binder, bool target)
{
    return target ? binder->target_catalog : binder->source_catalog;
}

/* A pattern's tables and the parts of a split ask the same: one session and one cache. */
static bool same_request(const struct lookup_request *a, const struct lookup_request *b)
{
    return a->side == b->side && a->cache == b->cache && strcmp(a->sql, b->sql) == 0;
}

size_t binder_request(struct binder *binder, const struct lookup_request *request)
{
    struct chain *chain = &binder->chain->chain;
    struct lookup_request *requests;

    for (size_t i = 0; i < chain->lookup_count; i++)
        if (same_request(&chain->lookups[i], request))
            return i;
    requests = arena_alloc(binder->arena, (chain->lookup_count + 1) * sizeof(*requests));

    if (chain->lookup_count)
        memcpy(requests, chain->lookups, chain->lookup_count * sizeof(*requests));
    requests[chain->lookup_count] = *request;
    chain->lookups = requests;
    return chain->lookup_count++;
}

/* Everything that the expression could name. */
static struct formula_request formula_request(struct binder *binder, const char *expression)
{
    uint16_t count = binder->source->column_count;
    const char **types = arena_alloc(binder->arena, (count + 1u) * sizeof(*types));

    for (uint16_t i = 0; i < count; i++)
        types[i] = binder->source->columns[i].type_name;
    return (struct formula_request){.expression = expression,
                                    .column_count = count,
                                    .names = bind_column_names(binder->arena, binder->source),
                                    .types = types,
                                    .schema = binder->target->schema,
                                    .table = binder->target->name,
                                    .column = binder->current->target->name};
}

bool binder_read_formula(struct binder *binder, const char *expression, const char *where,
                         struct formula_facts *facts)
{
    const struct formula_request request = formula_request(binder, expression);
    struct err err = {0};

    if (!binder->formulas)
        return binder_refuse(binder, "rule.sql", where, "bind it to two live databases",
                             "sql: there is no server here that could read the expression");
    if (binder->formulas->read(binder->formulas->context, &request, binder->arena, facts, &err))
        return true;
    binder->failed = true;
    *binder->lost = err;
    err_wrap(binder->lost, "%s", where);
    return false;
}

void binder_warn(struct binder *binder, const char *id, enum severity severity,
                 const char *where, const char *impact, const char *what)
{
    const struct report report = {
        .id = id, .severity = severity, .where = where, .impact = impact};

    binder_report(binder, &report, "%s: %s", binder_object(binder), what);
}

bool binder_refuse(struct binder *binder, const char *id, const char *where, const char *fix,
                   const char *what, ...)
{
    struct report report = {
        .id = id, .severity = SEVERITY_BREAKING, .where = where, .fix = fix};
    va_list arguments;
    char line[1024];

    va_start(arguments, what);
    vsnprintf(line, sizeof(line), what, arguments);
    va_end(arguments);
    if (!where)
        report.where = binder_object(binder);
    binder_report(binder, &report, "%s", line);
    return false;
}

static void note_input(struct binder *binder, const struct source_column *source)
{
    struct plan_column *column = binder->current;
    const struct source_column **inputs;

    if (plan_reads(column, source->column))
        return;
    inputs =
        arena_alloc(binder->arena, (column->input_count + 1u) * sizeof(struct source_column *));
    if (column->input_count)
        memcpy(inputs, column->inputs, column->input_count * sizeof(struct source_column *));
    inputs[column->input_count++] = source;
    column->inputs = inputs;
}

static const struct source_column *read_source(struct binder *binder, int index,
                                               const char *where)
{
    struct source_column *source = &binder->sources[index];

    if (source->column->generated) {
        binder_refuse(binder, "rule.source_generated", where,
                      "compute it at the target as well, or read the columns it is made of",
                      "source column %s.%s is generated: its values are not in the stream",
                      binder->source_text, source->column->name);
        return NULL;
    }
    source->read = true;
    note_input(binder, source);
    return source;
}

const struct source_column *binder_source(struct binder *binder, const char *name,
                                          const char *where)
{
    int index = catalog_column_index(binder->source, name);

    if (index >= 0)
        return read_source(binder, index, where);
    binder_refuse(binder, "rule.source_column", where, "name a column of the source table",
                  "source table %s has no column \"%s\"%s", binder->source_text, name,
                  text_did_you_mean(binder->arena, name,
                                    bind_column_names(binder->arena, binder->source)));
    return NULL;
}

static void bind_column(struct binder *binder, struct plan_column *column);

/* The rule of another target column, bound on the way; its inputs become inputs of this one. */
static const struct rule *other_rule(struct binder *binder, struct plan_column *other,
                                     const char *where)
{
    struct plan_column *current = binder->current;
    bool last_step = binder->last_step;

    if (other->state == PLAN_BINDING) {
        binder_refuse(binder, "rule.circle", where, "let one of them read source columns only",
                      "the rules of %s.%s and \"%s\" read each other", binder->target_text,
                      current->target->name, other->target->name);
        return NULL;
    }
    bind_column(binder, other);
    binder->current = current;
    binder->last_step = last_step;
    if (other->state != PLAN_BOUND)
        return NULL;
    if (other->rule->formula) {
        binder_refuse(binder, "rule.sql", where, "read the source columns that it is made of",
                      "\"%s\" is made by the target, in the write (sql): no rule can read it",
                      other->target->name);
        return NULL;
    }
    for (uint16_t i = 0; i < other->input_count; i++)
        note_input(binder, other->inputs[i]);
    return other->rule;
}

/* Columns of the source, and those of the target that `columns` make. */
static const char *const *readable_names(struct binder *binder)
{
    const char **names = arena_alloc(
        binder->arena,
        (binder->source->column_count + binder->spec->column_count + 1) * sizeof(*names));
    size_t count = 0;

    for (uint16_t i = 0; i < binder->source->column_count; i++)
        names[count++] = binder->source->columns[i].name;
    for (size_t i = 0; i < binder->spec->column_count; i++)
        names[count++] = binder->spec->columns[i].name;
    names[count] = NULL;
    return names;
}

/* The name means the source's column, though a rule makes a target column of the same name. */
static void note_ambiguous(struct binder *binder, const char *name, const char *where)
{
    struct report report = {
        .id = "rule.name_means_source", .severity = SEVERITY_NON_BREAKING, .where = where};

    binder_report(binder, &report,
                  "\"%s\" means the column of source table %s, not what the rule of target "
                  "column \"%s\" makes",
                  name, binder->source_text, name);
}

bool binder_name(struct binder *binder, const char *name, const char *where,
                 const struct source_column **column, const struct rule **rule)
{
    int source = catalog_column_index(binder->source, name);
    int target = catalog_column_index(binder->target, name);

    if (source >= 0) {
        if (target >= 0 && binder->columns[target].spec &&
            &binder->columns[target] != binder->current)
            note_ambiguous(binder, name, where);
        *column = read_source(binder, source, where);
        return *column != NULL;
    }
    if (target >= 0 && binder->columns[target].spec) {
        *rule = other_rule(binder, &binder->columns[target], where);
        return *rule != NULL;
    }
    return binder_refuse(
        binder, "rule.name", where,
        "name a column of the source table, or a target column that has a rule here",
        "\"%s\" is neither a column of source table %s nor a column made by a rule of this "
        "table%s",
        name, binder->source_text,
        text_did_you_mean(binder->arena, name, readable_names(binder)));
}

/* null_if lets through what it does not take away. */
static const struct source_column *passed_column(const struct rule *input)
{
    while (input->kind == &rule_null_if)
        input = input->input;
    return input->plain;
}

bool binder_spell(struct binder *binder, const char *id, const char *what,
                  const struct rule *input, struct constant *constant)
{
    const struct source_column *column = passed_column(input);
    struct value *value = &constant->value;
    const char *why;

    if (!column || value->kind != VALUE_TEXT)
        return true;
    if (!spell_value(binder, false, column->column, constant, &why))
        return binder_refuse(binder, id, constant->where,
                             "write it as the source's type prints it",
                             "%s %s is no value of source column \"%s\" (%s)%s", what,
                             constant_show(binder->arena, constant), column->column->name,
                             column->column->type_name, why);
    while (column->blank_padded && value->size && value->data[value->size - 1] == ' ')
        value->size--;
    return true;
}

static size_t count_characters(const struct value *value)
{
    size_t count = 0;

    for (uint32_t i = 0; i < value->size; i++)
        count += ((unsigned char)value->data[i] & 0xc0) != 0x80;
    return count;
}

static bool is_too_long(const struct catalog_column *target, const struct value *value,
                        int *limit)
{
    return type_length_limit(target, limit) && count_characters(value) > (size_t)*limit;
}

bool binder_fits(struct binder *binder, const char *what, const struct constant *constant)
{
    const struct catalog_column *target = binder->current->target;
    const struct value *value = &constant->value;
    struct constant spelled = *constant;
    const char *why;
    int limit;

    if (!binder->last_step)
        return true;
    if (value->kind == VALUE_NULL && target->not_null)
        return binder_refuse(binder, "rule.null", constant->where, "give a value",
                             "%s: null, but target column %s is NOT NULL", what,
                             binder_object(binder));
    if (value->kind != VALUE_TEXT)
        return true;
    if (!spell_value(binder, true, target, &spelled, &why))
        return binder_refuse(binder, "rule.value", constant->where,
                             "write a value of the column's type",
                             "%s: %s is no %s, the type of target column %s%s", what,
                             constant_show(binder->arena, constant), target->type_name,
                             binder_object(binder), why);
    if (is_too_long(target, value, &limit))
        return binder_refuse(
            binder, "rule.value", constant->where, "shorten it, or widen the column",
            "%s: %s is longer than %d characters, the limit of target column %s", what,
            constant_show(binder->arena, constant), limit, binder_object(binder));
    return true;
}

static bool has_groups(struct binder *binder, const char *what, const char *where,
                       size_t reference)
{
    size_t groups = binder->captures->count;

    return reference <= groups ||
           binder_refuse(binder, "rule.value", where,
                         "put parentheses around what it is to take, as in tenant_(*).orders",
                         "%s: \\%zu, but the source's pattern has %zu group(s)", what,
                         reference, groups);
}

bool binder_fill(struct binder *binder, const char *what, struct constant *constant)
{
    const char *text = constant->value.data;

    if (!binder->spec->source.is_pattern || constant->value.kind != VALUE_TEXT)
        return true;
    if (!has_groups(binder, what, constant->where, pattern_highest_reference(text)))
        return false;
    constant->value.data = pattern_fill(text, binder->captures, binder->arena);
    constant->value.size = (uint32_t)strlen(constant->value.data);
    return true;
}

bool binder_fill_name(struct binder *binder, const char *what, struct table_name *name)
{
    if (!binder->spec->source.is_pattern)
        return true;
    if (!has_groups(binder, what, name->where, name_highest_reference(name)))
        return false;
    *name = name_fill(name, binder->captures, binder->arena);
    return true;
}

/* --- one column --- */

/* A made-up constant that the target's type does not take. Its text is not shown: it may come
 * from the environment, by way of the steps before. */
static bool check_made_constant(struct binder *binder, const struct rule *rule)
{
    const struct catalog_column *target = binder->current->target;
    struct constant spelled = {.value = *rule->constant, .where = rule->where, .hidden = true};
    const char *why;
    int limit;

    if (!binder->last_step || spelled.value.kind != VALUE_TEXT ||
        (spell_value(binder, true, target, &spelled, &why) &&
         !is_too_long(target, rule->constant, &limit)))
        return true;
    return binder_refuse(binder, "rule.value", rule->where, "make a value of the column's type",
                         "%s: what it makes of the constant before it is no %s, the type of "
                         "target column %s",
                         rule->kind->key, target->type_name, binder_object(binder));
}

/* A step over a constant makes a constant: worked out once, and known to whoever asks which
 * columns mark the rows of this migration. */
static bool fold_constant(struct binder *binder, struct rule *rule)
{
    struct evaluation in = {.arena = binder->arena};
    struct value result;
    struct err err = {0};

    if (!rule->input || !rule->input->constant || rule->constant || rule->kind->asks)
        return true;
    if (!rule->kind->evaluate(rule, &in, &result, &err))
        return binder_refuse(binder, "rule.value", rule->where, "mend the value or the rule",
                             "%s: over a constant: %s", rule->kind->key, err.message);
    if (result.kind == VALUE_TEXT)
        result.data = text_copy_sized(binder->arena, result.data, result.size);
    rule->constant = arena_copy(binder->arena, &result, sizeof(result));
    return check_made_constant(binder, rule);
}

static bool bind_step(struct binder *binder, const struct step_spec *step,
                      const struct rule *input, const struct rule **bound)
{
    struct rule *rule = arena_alloc(binder->arena, sizeof(*rule));

    *rule = (struct rule){
        .kind = step->kind, .input = input, .where = text_copy(binder->arena, step->where)};
    if (!step->kind->bind(binder, step->state, rule) || !fold_constant(binder, rule))
        return false;
    *bound = rule;
    return true;
}

const struct rule *binder_before(struct binder *binder, const struct rule_kind *kind,
                                 const void *loaded, const char *where)
{
    const struct step_spec step = {.kind = kind, .state = loaded, .where = where};
    const struct rule *rule = NULL;
    bool last_step = binder->last_step;

    binder->last_step = false;
    if (!bind_step(binder, &step, NULL, &rule))
        rule = NULL;
    binder->last_step = last_step;
    return rule;
}

static bool bind_steps(struct binder *binder, const struct column_spec *spec,
                       const struct rule **rule)
{
    for (size_t i = 0; i < spec->step_count; i++) {
        binder->last_step = i + 1 == spec->step_count;
        if (!bind_step(binder, &spec->steps[i], *rule, rule))
            return false;
    }
    return true;
}

static bool bind_carried(struct binder *binder, const struct rule **rule)
{
    struct step_spec step = {.kind = &rule_from, .state = binder->current->target->name};

    binder->last_step = true;
    return bind_step(binder, &step, NULL, rule);
}

static struct passage passage_of(struct binder *binder, const struct plan_column *column)
{
    if (column->rule->plain)
        return passage_between(column->rule->plain->column, column->target, binder->arena);
    return (struct passage){PASSAGE_MADE,
                            column->rule->formula    ? "sql: made by the target"
                            : column->rule->constant ? "a constant"
                                                     : "a rule makes it",
                            NULL};
}

static void bind_column(struct binder *binder, struct plan_column *column)
{
    const struct rule *rule = NULL;
    bool bound;

    if (column->state != PLAN_WAITING)
        return;
    column->state = PLAN_BINDING;
    binder->current = column;
    bound =
        column->spec ? bind_steps(binder, column->spec, &rule) : bind_carried(binder, &rule);
    column->rule = rule;
    column->state = bound ? PLAN_BOUND : PLAN_FAILED;
    if (bound)
        column->passage = passage_of(binder, column);
}

/* --- which columns have a rule --- */

static const char *column_object(struct binder *binder, const char *table, const char *column)
{
    return text_format(binder->arena, "%s.%s", table, column);
}

static void take_entry(struct binder *binder, const struct column_spec *spec)
{
    struct report report = {.severity = SEVERITY_BREAKING, .where = spec->where};
    int index = catalog_column_index(binder->target, spec->name);

    if (index < 0) {
        report.id = "target.column_missing";
        report.fix = "add the column at the target, or mend the name";
        binder_report(binder, &report, "target table %s has no column \"%s\"%s",
                      binder->target_text, spec->name,
                      text_did_you_mean(binder->arena, spec->name,
                                        bind_column_names(binder->arena, binder->target)));
        return;
    }
    if (binder->target->columns[index].generated) {
        report.id = "target.column_generated";
        report.fix = "remove the rule: the target computes the column itself";
        binder_report(binder, &report, "target column %s.%s is generated and cannot be written",
                      binder->target_text, spec->name);
        return;
    }
    binder->columns[index].spec = spec;
    binder->columns[index].state = PLAN_WAITING;
}

static bool is_dropped(const struct binder *binder, const char *name)
{
    for (size_t i = 0; i < binder->spec->drop_count; i++)
        if (strcmp(binder->spec->drops[i].name, name) == 0)
            return true;
    return false;
}

static bool has_entry(const struct binder *binder, const char *name)
{
    for (size_t i = 0; i < binder->spec->column_count; i++)
        if (strcmp(binder->spec->columns[i].name, name) == 0)
            return true;
    return false;
}

static void check_drops(struct binder *binder)
{
    for (size_t i = 0; i < binder->spec->drop_count; i++) {
        const struct name_spec *drop = &binder->spec->drops[i];
        struct report report = {.id = "rule.drop",
                                .severity = SEVERITY_BREAKING,
                                .where = drop->where,
                                .fix = "name a column of the source table, or remove it here"};

        if (catalog_column_index(binder->source, drop->name) < 0)
            binder_report(binder, &report, "drop: source table %s has no column \"%s\"%s",
                          binder->source_text, drop->name,
                          text_did_you_mean(binder->arena, drop->name,
                                            bind_column_names(binder->arena, binder->source)));
    }
}

/* A generated column of the source is not in the stream. */
static void report_generated(struct binder *binder, const struct catalog_column *source,
                             const struct catalog_column *target)
{
    bool plain = target && !target->generated;
    struct report report = {
        .id = "source.column_generated",
        .severity = plain ? SEVERITY_POTENTIALLY_BREAKING : SEVERITY_NON_BREAKING,
        .where = column_object(binder, binder->source_text, source->name),
        .impact = plain ? "the target column keeps its default in every row" : NULL,
        .fix = plain ? "make the target column generated, or give it a rule" : NULL};

    binder_report(binder, &report, "source column %s.%s is generated and not carried%s",
                  binder->source_text, source->name,
                  plain ? ", and the target column is a plain one" : "");
}

static void report_missing(struct binder *binder, const struct catalog_column *source)
{
    const char *name = source->name;
    struct report report = {
        .sql = bind_addition(binder, source),
        .id = "target.column_missing",
        .severity = SEVERITY_BREAKING,
        .where = column_object(binder, binder->source_text, name),
        .fix =
            text_format(binder->arena,
                        "add the column at the target; or carry it under another name with "
                        "columns: { new_name: { from: %s } } and drop: [%s]; or only drop it",
                        name, name)};

    binder_report(binder, &report, "source column %s.%s has no column at the target (%s)%s",
                  binder->source_text, name, binder->target_text,
                  text_did_you_mean(binder->arena, name,
                                    bind_column_names(binder->arena, binder->target)));
}

static void report_target_computes(struct binder *binder, const char *name)
{
    struct report report = {.id = "target.column_generated",
                            .severity = SEVERITY_POTENTIALLY_BREAKING,
                            .where = column_object(binder, binder->target_text, name),
                            .impact = "its values may differ from the source's",
                            .fix =
                                "drop the column here, or make it a plain one at the target"};

    binder_report(binder, &report,
                  "target column %s.%s is generated: the source's values are not carried",
                  binder->target_text, name);
}

/* A column that is neither dropped nor made by an entry goes to the column of its name. */
static void carry(struct binder *binder, const struct catalog_column *source)
{
    int index = catalog_column_index(binder->target, source->name);
    struct plan_column *column = index < 0 ? NULL : &binder->columns[index];

    if (source->generated)
        report_generated(binder, source, column ? column->target : NULL);
    else if (binder->ignore_new && bind_is_new(binder, source))
        bind_ignore(binder, source);
    else if (!column)
        report_missing(binder, source);
    else if (column->target->generated)
        report_target_computes(binder, source->name);
    else
        column->state = PLAN_WAITING;
}

static void check_unfilled(struct binder *binder, const struct catalog_column *target)
{
    struct report report = {
        .id = "target.column_unfilled",
        .severity = SEVERITY_BREAKING,
        .where = column_object(binder, binder->target_text, target->name),
        .fix = text_format(binder->arena,
                           "give it a rule, such as columns: { %s: { value: ... } }, or a "
                           "default at the target",
                           target->name)};

    if (!target->not_null || target->has_default || target->generated || target->identity)
        return;
    binder_report(binder, &report,
                  "target column %s.%s is NOT NULL without a default, and no rule fills it",
                  binder->target_text, target->name);
}

void bind_columns(struct binder *binder)
{
    for (size_t i = 0; i < binder->spec->column_count; i++)
        take_entry(binder, &binder->spec->columns[i]);
    check_drops(binder);
    for (uint16_t i = 0; i < binder->source->column_count; i++) {
        const struct catalog_column *source = &binder->source->columns[i];

        if (!is_dropped(binder, source->name) && !has_entry(binder, source->name))
            carry(binder, source);
    }
    for (uint16_t i = 0; i < binder->target->column_count; i++)
        bind_column(binder, &binder->columns[i]);
    bind_altered(binder);
    for (uint16_t i = 0; i < binder->target->column_count; i++)
        if (binder->columns[i].state == PLAN_UNFILLED)
            check_unfilled(binder, binder->columns[i].target);
}
