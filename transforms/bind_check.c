/* What can be known of bound columns before a row is seen. */
#include "transforms/bind.h"

#include "schema/compatibility.h"

#include <string.h>

static const char *place(struct binder *binder, const struct plan_column *column)
{
    if (column->rule->where)
        return column->rule->where;
    return text_format(binder->arena, "%s.%s", binder->target_text, column->target->name);
}

struct fit_words {
    const char *id;
    enum severity severity;
    const char *what; /* after "source column X (type) -> target column Y (type)" */
};

static const struct fit_words fit_words[] = {
    [FIT_ALWAYS] = {"column.type_changed", SEVERITY_NON_BREAKING, ": every value fits"},
    [FIT_PERHAPS] = {"column.type_may_not_fit", SEVERITY_POTENTIALLY_BREAKING, ": "},
    [FIT_NEVER] = {"column.type_cannot_cast", SEVERITY_BREAKING, NULL},
};

static void check_type(struct binder *binder, const struct plan_column *column)
{
    const struct catalog_column *source = column->rule->plain->column;
    const struct catalog_column *target = column->target;
    const char *why;
    enum fit fit = type_fit(source, target, &why);
    struct report report = {.id = fit_words[fit].id,
                            .severity = fit_words[fit].severity,
                            .where = place(binder, column)};

    if (fit == FIT_SAME)
        return;
    if (fit == FIT_NEVER) {
        report.fix = "change the target column's type, or make the value with another rule";
        binder_report(binder, &report,
                      "type %s of source column %s.%s cannot be cast to %s, the type of target "
                      "column %s.%s",
                      source->type_name, binder->source_text, source->name, target->type_name,
                      binder->target_text, target->name);
        return;
    }
    report.impact =
        fit == FIT_PERHAPS ? "a row with such a value stops the run, or changes" : "";
    binder_report(binder, &report, "source column %s.%s is %s, target column %s.%s is %s%s%s",
                  binder->source_text, source->name, source->type_name, binder->target_text,
                  target->name, target->type_name, fit_words[fit].what, why);
}

static void check_null(struct binder *binder, const struct plan_column *column)
{
    struct report report = {
        .id = "column.null",
        .severity = SEVERITY_POTENTIALLY_BREAKING,
        .where = place(binder, column),
        .impact = "a row with NULL there stops the run",
        .fix = text_format(binder->arena,
                           "make the source column NOT NULL, let the target column be NULL, or "
                           "map it: columns: { %s: { from: %s, map: { ~: ... } } }",
                           column->target->name, column->rule->plain->column->name)};

    if (!column->target->not_null || column->rule->plain->column->not_null)
        return;
    binder_report(binder, &report,
                  "target column %s.%s is NOT NULL, source column %s.%s may be NULL",
                  binder->target_text, column->target->name, binder->source_text,
                  column->rule->plain->column->name);
}

static bool is_identity(const struct binder *binder, const struct catalog_column *column)
{
    const struct catalog_index *index = catalog_identity_index(binder->source);

    for (uint16_t i = 0; index && i < index->column_count; i++)
        if (&binder->source->columns[index->columns[i]] == column)
            return true;
    return false;
}

/* Values below about 2 kB are never left out of an update. */
static bool may_be_toasted(const struct catalog_column *column)
{
    int longest = type_max_length(column);

    return longest == 0 || longest > 500;
}

/* A template of a long value and others: an update that changes only the others arrives without
 * the long one. */
static void check_unchanged(struct binder *binder, const struct plan_column *column)
{
    const struct catalog_column *toasted = NULL;
    int variable = 0;
    struct report report = {
        .id = "rule.partly_unchanged",
        .severity = SEVERITY_NON_BREAKING,
        .where = place(binder, column),
        .impact = "an update that leaves such a value as it is reads the row at the source "
                  "again: a round trip each (docs/delivery.md)",
        .fix = "set REPLICA IDENTITY FULL where values are that long"};

    if (binder->source->replica_identity == 'f')
        return;
    for (uint16_t i = 0; i < column->input_count; i++) {
        const struct catalog_column *input = column->inputs[i]->column;

        variable += !is_identity(binder, input);
        if (may_be_toasted(input) && !is_identity(binder, input))
            toasted = input;
    }
    if (toasted && variable > 1)
        binder_report(
            binder, &report,
            "the rule of %s.%s joins \"%s\" with other columns; values above 2 kB are "
            "not sent when they do not change",
            binder->target_text, column->target->name, toasted->name);
}

/* A source column whose name an entry takes, and which nothing reads. */
static void check_overshadowed(struct binder *binder, const struct column_spec *spec)
{
    int index = catalog_column_index(binder->source, spec->name);
    struct report report = {
        .id = "rule.source_unread", .severity = SEVERITY_NON_BREAKING, .where = spec->where};

    if (index < 0 || binder->sources[index].read)
        return;
    for (size_t i = 0; i < binder->spec->drop_count; i++)
        if (strcmp(binder->spec->drops[i].name, spec->name) == 0)
            return;
    binder_report(binder, &report,
                  "source column %s.%s goes nowhere: the target column of its name has a rule "
                  "that does not read it",
                  binder->source_text, spec->name);
}

void bind_check(struct binder *binder)
{
    for (uint16_t i = 0; i < binder->target->column_count; i++) {
        const struct plan_column *column = &binder->columns[i];

        if (column->state != PLAN_BOUND)
            continue;
        if (column->rule->plain) {
            check_type(binder, column);
            check_null(binder, column);
        } else if (!column->rule->constant) {
            check_unchanged(binder, column);
        }
    }
    for (size_t i = 0; i < binder->spec->column_count; i++)
        check_overshadowed(binder, &binder->spec->columns[i]);
}
