/* What can be known of bound columns before a row is seen. */
#include "transforms/bind.h"

#include "schema/compatibility.h"
#include "schema/ident.h"
#include "schema/validation.h"

#include <stdlib.h>
#include <string.h>

static const char *place(struct binder *binder, const struct plan_column *column)
{
    if (column->rule->where)
        return column->rule->where;
    return text_format(binder->arena, "%s.%s", binder->target_text, column->target->name);
}

/* The statement's own place for what cannot be cast; else where values may be lost. */
static void report_incompatible(struct binder *binder, const struct plan_column *column,
                                struct report *report)
{
    const struct catalog_column *source = column->rule->plain->column;
    const struct catalog_column *target = column->target;

    report->severity = SEVERITY_BREAKING;
    report->fix = "change the target column's type, or make the value with another rule";
    binder_report(binder, report,
                  "type %s of source column %s.%s cannot be cast to %s, the type of target "
                  "column %s.%s",
                  source->type_name, binder->source_text, source->name, target->type_name,
                  binder->target_text, target->name);
}

/* How many rows stand in the way: condition is about a column of `rows`. */
static const char *count_in(struct binder *binder, const char *rows, const char *condition)
{
    char *query = validation_count(rows, condition);
    const char *text = text_copy(binder->arena, query);

    free(query);
    return text;
}

/* The same of the source's columns, in the rows that go to the target. */
static const char *count_rows(struct binder *binder, const char *condition)
{
    struct buf rows = {0};
    const char *query;

    plan_source_rows(binder->source, binder->where, binder->route, &rows);
    query = count_in(binder, buf_text(&rows), condition);
    buf_free(&rows);
    return query;
}

/* Neither form would tell: text goes by the fields' places alone. */
static void report_differing_fields(struct binder *binder, const struct plan_column *column)
{
    struct report report = {
        .id = "column.fields_differ",
        .severity = SEVERITY_BREAKING,
        .where = place(binder, column),
        .impact = "values would come into the wrong fields, or be refused",
        .fix = "give the target's type the same fields in the same order, or drop the column"};

    binder_report(binder, &report,
                  "source column %s.%s (%s) and target column %s.%s (%s) have composite types "
                  "that differ: %s",
                  binder->source_text, column->rule->plain->column->name,
                  column->rule->plain->column->type_name, binder->target_text,
                  column->target->name, column->target->type_name, column->passage.why);
}

static void check_type(struct binder *binder, const struct plan_column *column)
{
    const struct catalog_column *source = column->rule->plain->column;
    const struct catalog_column *target = column->target;
    const char *why;
    enum fit fit = type_fit(source, target, &why);
    struct report report = {.id = type_change_id(type_change(source, target, &why)),
                            .where = place(binder, column)};
    struct buf misfit = {0};

    if (fit == FIT_SAME)
        return;
    if (fit == FIT_NEVER) {
        report_incompatible(binder, column, &report);
        return;
    }
    report.severity =
        fit == FIT_PERHAPS ? SEVERITY_POTENTIALLY_BREAKING : SEVERITY_NON_BREAKING;
    report.impact = fit == FIT_PERHAPS ? "a row with such a value is refused, or changes" : "";
    if (fit == FIT_PERHAPS && validation_misfit(source, target, &misfit))
        report.validation_query = count_rows(binder, buf_text(&misfit));
    binder_report(binder, &report, "source column %s.%s is %s, target column %s.%s is %s: %s",
                  binder->source_text, source->name, source->type_name, binder->target_text,
                  target->name, target->type_name,
                  fit == FIT_ALWAYS ? "every value fits" : why);
    buf_free(&misfit);
}

/* --- domains --- */

/* The column's values as its domain sees them: as "value", of the base type. */
static const char *domain_rows(struct binder *binder, const struct plan_column *column)
{
    const struct catalog_column *target = column->target;
    const struct source_column *plain = column->rule->plain;
    bool built_in = strncmp(target->base_type, "pg_catalog.", 11) == 0;
    struct buf rows = {0};

    buf_append_text(&rows, built_in ? "(SELECT CAST(" : "(SELECT (");
    if (plain)
        ident_append(&rows, plain->column->name);
    else
        rule_sql(column->rule, &rows);
    if (built_in)
        buf_append_format(&rows, " AS pg_catalog.\"%s\"", target->base_type + 11);
    buf_append_text(&rows, ") AS value FROM ");
    plan_source_rows(binder->source, binder->where, binder->route, &rows);
    buf_append_text(&rows, " AS \"s\")");
    return text_take(binder->arena, &rows);
}

/* VALUE of the domain's constraints is then a column's name. */
static void check_domain(struct binder *binder, const struct plan_column *column)
{
    const struct catalog_column *target = column->target;
    const struct source_column *plain = column->rule->plain;
    struct report report = {.id = "column.domain",
                            .severity =
                                plain ? SEVERITY_POTENTIALLY_BREAKING : SEVERITY_NON_BREAKING,
                            .where = place(binder, column),
                            .impact = "a row with a value that the domain refuses is a bad row",
                            .fix = "mend such values first, or map them"};

    if (!target->domain ||
        (plain && plain->column->domain && strcmp(plain->column->domain, target->domain) == 0))
        return;
    if (!rule_no_sql(column->rule))
        report.validation_query =
            count_in(binder, domain_rows(binder, column),
                     text_format(binder->arena, "NOT (%s)", target->domain));
    binder_report(binder, &report, "target column %s.%s is of a domain: %s",
                  binder->target_text, target->name, target->domain);
}

/* --- NULL --- */

/* Whether the rule may give NULL: the last step that does not keep NULL as it is decides. */
static bool may_be_null(const struct plan_column *column)
{
    for (const struct rule *rule = column->rule; rule; rule = rule->input) {
        enum nulls nulls = rule->kind->nulls ? rule->kind->nulls(rule) : NULLS_KEPT;

        if (nulls != NULLS_KEPT)
            return nulls == NULLS_MADE;
    }
    for (uint16_t i = 0; i < column->input_count; i++)
        if (!column->inputs[i]->column->not_null)
            return true;
    return false;
}

static void check_null(struct binder *binder, const struct plan_column *column)
{
    struct report report = {
        .id = "column.null",
        .severity = SEVERITY_POTENTIALLY_BREAKING,
        .where = place(binder, column),
        .impact = "a row with NULL there is refused",
        .fix = text_format(binder->arena,
                           "make the source column NOT NULL, let the target column be NULL, or "
                           "map it: columns: { %s: { from: %s, map: { ~: ... } } }",
                           column->target->name, column->rule->plain->column->name)};
    struct buf missing = {0};

    ident_append(&missing, column->rule->plain->column->name);
    buf_append_text(&missing, " IS NULL");
    report.validation_query = count_rows(binder, buf_text(&missing));
    buf_free(&missing);
    binder_report(binder, &report, "target column %s.%s %s, source column %s.%s may be NULL",
                  binder->target_text, column->target->name,
                  column->target->not_null ? "is NOT NULL" : "is in the key",
                  binder->source_text, column->rule->plain->column->name);
}

/* --- what rules make --- */

/* The rule's texts as the column "v", of the rows that go to the target. */
static const char *made_rows(struct binder *binder, const struct plan_column *column)
{
    struct buf rows = {0};

    buf_append_text(&rows, "(SELECT ");
    rule_sql(column->rule, &rows);
    buf_append_text(&rows, " AS \"v\" FROM ");
    plan_source_rows(binder->source, binder->where, binder->route, &rows);
    buf_append_text(&rows, " AS \"s\")");
    return text_take(binder->arena, &rows);
}

static void check_made_null(struct binder *binder, const struct plan_column *column)
{
    const char *no_sql = rule_no_sql(column->rule);
    struct report report = {
        .id = "column.null",
        .severity = no_sql ? SEVERITY_POTENTIALLY_BREAKING : SEVERITY_NON_BREAKING,
        .where = place(binder, column),
        .impact = "a row with NULL there is refused",
        .fix = text_format(binder->arena,
                           "give it a default: columns: { %s: { ..., default: ... } }",
                           column->target->name)};

    if (!no_sql)
        report.validation_query = count_in(binder, made_rows(binder, column), "\"v\" IS NULL");
    binder_report(binder, &report, "target column %s.%s %s, its rule may give NULL",
                  binder->target_text, column->target->name,
                  column->target->not_null ? "is NOT NULL" : "is in the key");
}

/* Whether the texts that a rule makes are values of the column, where a query can tell. What
 * the target evaluates has a type of its own, which the target was asked about. */
static void check_made_type(struct binder *binder, const struct plan_column *column)
{
    const struct catalog_column made = {.name = (char *)"v",
                                        .type_name = (char *)"text",
                                        .base_type = (char *)"pg_catalog.text",
                                        .type_kind = 'b',
                                        .type_modifier = -1};
    const char *why;
    struct report report = {.id = type_change_id(type_change(&made, column->target, &why)),
                            .severity = SEVERITY_NON_BREAKING,
                            .where = place(binder, column),
                            .impact = "a row with such a value is refused"};
    struct buf misfit = {0};

    if (report.id && column->rule->kind != &rule_formula && !rule_no_sql(column->rule) &&
        validation_misfit(&made, column->target, &misfit)) {
        report.validation_query =
            count_in(binder, made_rows(binder, column), buf_text(&misfit));
        binder_report(binder, &report,
                      "the rule of target column %s.%s makes text, the column is %s",
                      binder->target_text, column->target->name, column->target->type_name);
    }
    buf_free(&misfit);
}

static void check_required(struct binder *binder, const struct plan_column *column)
{
    const struct source_column *plain = column->rule->plain;

    if (column->rule->constant || !(column->target->not_null || column->key))
        return;
    if (plain && !plain->column->not_null)
        check_null(binder, column);
    else if (!plain && may_be_null(column))
        check_made_null(binder, column);
}

void bind_required(struct binder *binder)
{
    for (uint16_t i = 0; i < binder->target->column_count; i++)
        if (binder->columns[i].state == PLAN_BOUND)
            check_required(binder, &binder->columns[i]);
}

/* --- unchanged values --- */

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
        check_domain(binder, column);
        if (column->rule->plain) {
            if (column->passage.kind == PASSAGE_NONE)
                report_differing_fields(binder, column);
            else
                check_type(binder, column);
        } else if (!column->rule->constant) {
            check_made_type(binder, column);
            check_unchanged(binder, column);
        }
    }
    for (size_t i = 0; i < binder->spec->column_count; i++)
        check_overshadowed(binder, &binder->spec->columns[i]);
}
