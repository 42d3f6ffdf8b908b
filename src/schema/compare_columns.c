/* The columns of one table before and after (comparison.h). */
#include "schema/comparison.h"

#include "schema/compatibility.h"
#include "schema/ident.h"
#include "schema/validation.h"

#include <string.h>

/* One column in both, being looked at. */
struct column_pair {
    struct comparison *c;
    const struct table_pair *tables;
    const struct catalog_column *before;
    const struct catalog_column *after;
    const char *object; /* "users.email" */
    const char *alter;  /* ALTER TABLE "users" ALTER COLUMN "email" */
};

static const char *alter_column(struct comparison *c, const struct catalog_table *table,
                                const struct catalog_column *column)
{
    return compare_say(c, "ALTER TABLE %s ALTER COLUMN %s", compare_table_sql(c, table),
                       compare_ident(c, column->name));
}

/* ---- type ---- */

static const struct {
    enum severity severity;
    const char *verb;
    const char *impact;
} type_words[TYPE_CHANGE_COUNT] = {
    [TYPE_WIDENED] = {SEVERITY_NON_BREAKING, "widens", ""},
    [TYPE_NARROWED] = {SEVERITY_POTENTIALLY_BREAKING, "narrows",
                       "a value that does not fit is refused"},
    [TYPE_LESS_PRECISE] = {SEVERITY_POTENTIALLY_BREAKING, "loses precision",
                           "values change without an error"},
    [TYPE_WITHOUT_ZONE] = {SEVERITY_POTENTIALLY_BREAKING, "loses its time zone",
                           "the same text means another moment"},
    [TYPE_CONVERTED] = {SEVERITY_POTENTIALLY_BREAKING, "becomes another kind of type",
                        "values and the type that clients see change"},
    [TYPE_INCOMPATIBLE] = {SEVERITY_BREAKING, "becomes a type that it cannot be cast to",
                           "values cannot be kept"},
};

static const char *retype(const struct column_pair *p, const struct catalog_column *to)
{
    return compare_say(p->c, "%s TYPE %s USING %s::%s;", p->alter, to->type_name,
                       compare_ident(p->c, to->name), to->type_name);
}

static const char *count_misfits(const struct column_pair *p)
{
    struct buf condition = {0};
    const char *query = NULL;
    if (validation_misfit(p->before, p->after, &condition))
        query = compare_keep(p->c, validation_count(p->tables->rows, buf_text(&condition)));
    buf_free(&condition);
    return query;
}

static void check_type(const struct column_pair *p)
{
    const char *why;
    enum type_change change = type_change(p->before, p->after, &why);
    if (change == TYPE_UNCHANGED)
        return;
    bool lossless = change == TYPE_WIDENED || change == TYPE_INCOMPATIBLE;
    findings_put(
        p->c->findings,
        &(struct finding){
            .id = type_change_id(change),
            .severity = type_words[change].severity,
            .object = p->object,
            .what = compare_say(p->c, "column %s %s: from %s to %s%s%s", p->object,
                                type_words[change].verb, p->before->type_name,
                                p->after->type_name, *why ? ": " : "", why),
            .impact = type_words[change].impact,
            .fix = lossless ? "" : "add a column of the new type, fill it, then change over",
            .sql = change == TYPE_INCOMPATIBLE ? "" : retype(p, p->after),
            .rollback_sql = change == TYPE_INCOMPATIBLE ? "" : retype(p, p->before),
            .validation_query = lossless ? NULL : count_misfits(p)});
}

static const struct catalog_enum *find_enum(struct comparison *c, const struct catalog *catalog,
                                            const char *qualified)
{
    const char *dot = strchr(qualified, '.');
    if (!dot)
        return NULL;
    return catalog_find_enum(catalog, compare_say(c, "%.*s", (int)(dot - qualified), qualified),
                             dot + 1);
}

/* Labels that the target's enum lacks: ', '-separated literals, NULL when it has all. */
static const char *missing_labels(const struct column_pair *p,
                                  const struct catalog_enum *before,
                                  const struct catalog_enum *after, const char **add)
{
    struct buf missing = {0}, sql = {0};
    for (size_t i = 0; i < before->label_count; i++) {
        const char *label = before->labels[i];
        bool found = false;
        for (size_t j = 0; j < after->label_count; j++)
            found |= strcmp(after->labels[j], label) == 0;
        if (found)
            continue;
        buf_append_text(&missing, missing.size ? ", " : "");
        literal_append(&missing, label, strlen(label));
        buf_append_text(&sql, "ALTER TYPE ");
        ident_append_qualified(&sql, after->schema, after->name);
        buf_append_text(&sql, " ADD VALUE ");
        literal_append(&sql, label, strlen(label));
        buf_append_text(&sql, "; ");
    }
    *add = compare_take(p->c, &sql);
    return missing.size ? compare_take(p->c, &missing) : NULL;
}

/* NULL where nothing says how the target's rows are made. */
static const char *count_rows(const struct column_pair *p, const char *condition)
{
    if (!p->tables->rows)
        return NULL;
    return compare_keep(p->c, validation_count(p->tables->rows, condition));
}

/* An enum may be met several times within one column. */
static bool is_said(const struct column_pair *p, const char *what)
{
    for (size_t i = 0; i < p->c->findings->count; i++)
        if (strcmp(p->c->findings->items[i].what, what) == 0)
            return true;
    return false;
}

/* `whole`: the column's values are the enum's; else they only hold some, which no query counts. */
static void check_enum(const struct column_pair *p, const char *before_name,
                       const char *after_name, bool whole)
{
    const struct catalog_enum *before = find_enum(p->c, p->c->before, before_name);
    const struct catalog_enum *after = find_enum(p->c, p->c->after, after_name);
    const char *add, *missing = before && after ? missing_labels(p, before, after, &add) : NULL;
    if (!missing)
        return;
    const char *condition =
        compare_say(p->c, "%s::text IN (%s)", compare_ident(p->c, p->after->name), missing);
    struct finding finding = {.id = "column.enum_labels",
                              .severity = SEVERITY_POTENTIALLY_BREAKING,
                              .object = p->object,
                              .what = compare_say(p->c, "enum %s of column %s lacks %s",
                                                  after_name, p->object, missing),
                              .impact = "a row with such a value is refused",
                              .fix = "add the labels",
                              .sql = add,
                              .validation_query = whole ? count_rows(p, condition) : NULL};
    if (!is_said(p, finding.what))
        findings_put(p->c->findings, &finding);
}

/* Enums that both types are made of, at the same places. */
static void check_enums_within(const struct column_pair *p, const struct catalog_type *before,
                               const struct catalog_type *after, bool whole)
{
    before = catalog_beneath_domains(before);
    after = catalog_beneath_domains(after);
    if (!before || !after || before->kind != after->kind)
        return;
    if (before->kind == 'e')
        check_enum(p, before->name, after->name, whole);
    else if (before->kind != 'c')
        check_enums_within(p, before->inner, after->inner, false);
    for (uint16_t i = 0; i < before->field_count && i < after->field_count; i++)
        check_enums_within(p, before->fields[i].type, after->fields[i].type, false);
}

static void check_labels(const struct column_pair *p)
{
    if (p->before->type && p->after->type)
        check_enums_within(p, p->before->type, p->after->type, true);
    else if (p->before->type_kind == 'e' && p->after->type_kind == 'e')
        check_enum(p, p->before->base_type, p->after->base_type, true);
}

/* ---- NULL ---- */

static void check_null(const struct column_pair *p)
{
    const char *set = compare_say(p->c, "%s SET NOT NULL;", p->alter);
    const char *drop = compare_say(p->c, "%s DROP NOT NULL;", p->alter);
    bool required = p->after->not_null;
    if (p->before->not_null == required)
        return;
    const char *condition =
        compare_say(p->c, "%s IS NULL", compare_ident(p->c, p->before->name));
    findings_put(
        p->c->findings,
        &(struct finding){
            .id = required ? "column.made_required" : "column.made_nullable",
            .severity = required ? SEVERITY_BREAKING : SEVERITY_NON_BREAKING,
            .object = p->object,
            .what = compare_say(p->c, "column %s %s", p->object,
                                required ? "may no longer be NULL" : "may be NULL now"),
            .impact = required ? "a write without a value is refused"
                               : "readers may meet a NULL where there was none",
            .fix = required ? "fill the NULLs and make every writer give a value first" : "",
            .sql = required ? set : drop,
            .rollback_sql = required ? drop : set,
            .validation_query =
                required ? compare_keep(p->c, validation_count(p->tables->rows, condition))
                         : NULL});
}

/* ---- what fills it when nobody does ---- */

/* A counter is an identity or a sequence's nextval(). */
static bool is_counter(const struct catalog_column *column)
{
    return column->identity ||
           (column->expression && strncasecmp(column->expression, "nextval(", 8) == 0);
}

static const char *set_default(const struct column_pair *p, const struct catalog_column *from)
{
    if (from->identity)
        return compare_say(p->c, "%s ADD GENERATED %s AS IDENTITY;", p->alter,
                           from->identity == 'a' ? "ALWAYS" : "BY DEFAULT");
    if (from->expression)
        return compare_say(p->c, "%s SET DEFAULT %s;", p->alter, from->expression);
    return compare_say(p->c, "%s DROP %s;", p->alter,
                       p->before->identity || p->after->identity ? "IDENTITY" : "DEFAULT");
}

static void report_default(const struct column_pair *p, const char *id, enum severity severity,
                           const char *what, const char *impact)
{
    findings_put(p->c->findings,
                 &(struct finding){.id = id,
                                   .severity = severity,
                                   .object = p->object,
                                   .what = what,
                                   .impact = impact,
                                   .sql = set_default(p, p->c->carried ? p->before : p->after),
                                   .rollback_sql =
                                       set_default(p, p->c->carried ? p->after : p->before)});
}

static void check_lost_default(const struct column_pair *p)
{
    bool required = p->after->not_null;
    report_default(p, "column.default_removed",
                   required ? SEVERITY_POTENTIALLY_BREAKING : SEVERITY_NON_BREAKING,
                   compare_say(p->c, "column %s no longer has a default (%s)", p->object,
                               p->before->expression ? p->before->expression : "identity"),
                   required ? "an INSERT that leaves it out is refused"
                            : "an INSERT that leaves it out gives NULL");
}

static void check_default(const struct column_pair *p)
{
    if (p->before->generated || p->after->generated ||
        (is_counter(p->before) && is_counter(p->after)))
        return;
    if (p->before->has_default && !p->after->has_default) {
        check_lost_default(p);
    } else if (!p->before->has_default && p->after->has_default) {
        report_default(p, "column.default_added", SEVERITY_ADDITIVE,
                       compare_say(p->c, "column %s has a default now", p->object), "");
    } else if (p->before->expression && p->after->expression &&
               !compare_same_expression(p->tables, p->before->expression,
                                        p->after->expression)) {
        report_default(p, "column.default_changed", SEVERITY_NON_BREAKING,
                       compare_say(p->c, "the default of column %s changes from %s to %s",
                                   p->object, p->before->expression, p->after->expression),
                       "an INSERT that leaves it out gets another value");
    } else if (!p->before->identity != !p->after->identity && p->before->has_default) {
        report_default(p, "column.default_changed", SEVERITY_NON_BREAKING,
                       compare_say(p->c, "column %s %s", p->object,
                                   p->after->identity ? "counts by itself now"
                                                      : "no longer counts by itself"),
                       "an INSERT that leaves it out gets another value");
    }
}

static void check_identity(const struct column_pair *p)
{
    bool always = p->after->identity == 'a';
    if (!is_counter(p->before) || !is_counter(p->after) ||
        p->before->identity == p->after->identity)
        return;
    if (p->c->carried && !always && p->before->identity != 'a')
        return; /* serial or identity: both count */
    findings_put(
        p->c->findings,
        &(struct finding){.id = "column.identity_changed",
                          .severity = always && !p->c->carried ? SEVERITY_POTENTIALLY_BREAKING
                                                               : SEVERITY_NON_BREAKING,
                          .object = p->object,
                          .what = compare_say(p->c, "column %s is %s now", p->object,
                                              always ? "GENERATED ALWAYS AS IDENTITY"
                                                     : "a counter whose value may be given"),
                          .impact = always ? "an INSERT that gives a value is refused" : ""});
}

static void check_generated(const struct column_pair *p)
{
    bool before = p->before->generated, after = p->after->generated;
    const char *what;
    if (!before && !after)
        return;
    if (before && after &&
        (!p->before->expression || !p->after->expression ||
         compare_same_expression(p->tables, p->before->expression, p->after->expression)))
        return;
    if (before != after && p->c->carried)
        return; /* the binding says so */
    what = !before ? "is generated now"
           : after ? "is generated in another way"
                   : "is no longer generated";
    findings_put(p->c->findings,
                 &(struct finding){.id = "column.generated_changed",
                                   .severity = before ? SEVERITY_POTENTIALLY_BREAKING
                                                      : SEVERITY_BREAKING,
                                   .object = p->object,
                                   .what = compare_say(p->c, "column %s %s", p->object, what),
                                   .impact = before ? "readers get other values"
                                                    : "a write that gives a value is refused"});
}

/* ---- the rest ---- */

static void check_collation(const struct column_pair *p)
{
    const char *before = p->before->collation ? p->before->collation : "the default";
    const char *after = p->after->collation ? p->after->collation : "the default";
    if (strcmp(before, after) == 0)
        return;
    findings_put(
        p->c->findings,
        &(struct finding){.id = "column.collation_changed",
                          .severity = SEVERITY_NON_BREAKING,
                          .object = p->object,
                          .what = compare_say(p->c, "column %s: collation %s becomes %s",
                                              p->object, before, after),
                          .impact = "texts are ordered, and may be equal, otherwise"});
}

static void check_comment(const struct column_pair *p)
{
    const char *before = p->before->comment ? p->before->comment : "";
    const char *after = p->after->comment ? p->after->comment : "";
    struct buf sql = {0};
    if (strcmp(before, after) == 0)
        return;
    buf_append_format(&sql, "COMMENT ON COLUMN %s.%s IS ",
                      compare_table_sql(p->c, p->tables->after),
                      compare_ident(p->c, p->after->name));
    literal_append(&sql, after, strlen(after));
    buf_append_char(&sql, ';');
    findings_put(p->c->findings,
                 &(struct finding){
                     .id = "column.comment_changed",
                     .severity = SEVERITY_NON_BREAKING,
                     .object = p->object,
                     .what = compare_say(p->c, "the comment of column %s changes", p->object),
                     .sql = compare_take(p->c, &sql)});
}

static const struct {
    void (*check)(const struct column_pair *pair);
    bool carried; /* also where rules carry the rows */
} column_checks[] = {
    {check_type, false},     {check_labels, true},   {check_null, false},
    {check_default, true},   {check_identity, true}, {check_generated, true},
    {check_collation, true}, {check_comment, false},
};

static void compare_column(struct comparison *c, const struct table_pair *pair, uint16_t i)
{
    const struct column_pair columns = {
        .c = c,
        .tables = pair,
        .before = &pair->before->columns[pair->origins[i]],
        .after = &pair->after->columns[i],
        .object = compare_column_text(c, pair->after, &pair->after->columns[i]),
        .alter = alter_column(c, pair->after, &pair->after->columns[i])};
    for (size_t k = 0; k < sizeof column_checks / sizeof column_checks[0]; k++)
        if (!c->carried || column_checks[k].carried)
            column_checks[k].check(&columns);
}

/* ---- columns that only one of them has (between files) ---- */

/* Names so near, and types so alike, that one became the other: half of the longer is in both
 * from the start or the end, or one holds the other. */
static bool alike(const struct catalog_column *a, const struct catalog_column *b)
{
    size_t x = strlen(a->name), y = strlen(b->name), head = 0, tail = 0;
    size_t longer = x > y ? x : y, shorter = x > y ? y : x;
    if (strcmp(a->base_type, b->base_type) != 0)
        return false;
    while (head < shorter && a->name[head] == b->name[head])
        head++;
    while (tail < shorter - head && a->name[x - 1 - tail] == b->name[y - 1 - tail])
        tail++;
    return 2 * (head + tail) >= longer ||
           (shorter >= 3 && (strstr(a->name, b->name) || strstr(b->name, a->name)));
}

/* The new column that a removed one has most likely become, or -1. */
static int likely_column(const struct table_pair *pair, uint16_t removed)
{
    for (uint16_t i = 0; i < pair->after->column_count; i++)
        if (pair->origins[i] == ORIGIN_NONE &&
            alike(&pair->before->columns[removed], &pair->after->columns[i]))
            return i;
    return -1;
}

static void report_removed(struct comparison *c, const struct table_pair *pair, uint16_t i)
{
    const struct catalog_column *column = &pair->before->columns[i];
    const char *text = compare_column_text(c, pair->before, column);
    const char *table = compare_table_sql(c, pair->before);
    const char *name = compare_ident(c, column->name);
    int now = likely_column(pair, i);
    struct finding finding = {.id = now < 0 ? "column.removed" : "column.renamed",
                              .severity = SEVERITY_BREAKING,
                              .object = text,
                              .impact = "whoever reads or writes it by this name fails"};
    if (now < 0) {
        finding.what = compare_say(c, "column %s is removed", text);
        finding.fix = "stop using it everywhere first, and drop it last";
        finding.sql = compare_say(c, "ALTER TABLE %s DROP COLUMN %s;", table, name);
        finding.rollback_sql = compare_say(c, "ALTER TABLE %s ADD COLUMN %s;", table,
                                           compare_column_definition(c, column));
    } else {
        const char *other = compare_ident(c, pair->after->columns[now].name);
        finding.what = compare_say(c, "column %s is removed; it is probably %s now", text,
                                   pair->after->columns[now].name);
        finding.fix = "write both for a while; or rename it when nobody asks for the old name";
        finding.sql =
            compare_say(c, "ALTER TABLE %s RENAME COLUMN %s TO %s;", table, name, other);
        finding.rollback_sql =
            compare_say(c, "ALTER TABLE %s RENAME COLUMN %s TO %s;", table, other, name);
    }
    findings_put(c->findings, &finding);
}

/* True if the statement for a removed column makes this one already. */
static bool is_renamed(const struct table_pair *pair, uint16_t added)
{
    for (uint16_t i = 0; i < pair->before->column_count; i++)
        if (compare_image(pair, i) < 0 && likely_column(pair, i) == added)
            return true;
    return false;
}

static void report_added(struct comparison *c, const struct table_pair *pair, uint16_t i)
{
    const struct catalog_column *column = &pair->after->columns[i];
    const char *text = compare_column_text(c, pair->after, column);
    const char *table = compare_table_sql(c, pair->after);
    bool required = column->not_null && !column->has_default && !column->generated;
    bool renamed = is_renamed(pair, i);
    struct catalog_column fillable = *column; /* it must stay empty until it is filled */
    fillable.not_null = column->not_null && !required;
    findings_put(
        c->findings,
        &(struct finding){
            .id = required ? "column.added_required" : "column.added",
            .severity = required ? SEVERITY_BREAKING : SEVERITY_ADDITIVE,
            .object = text,
            .what = compare_say(c, "column %s is added%s", text,
                                required           ? ", required and without a default"
                                : column->not_null ? ", required, with a default"
                                                   : ""),
            .impact = required ? "an INSERT that does not name it is refused" : "",
            .fix = required
                       ? "add it with a default; or let it be NULL, fill it, and require it "
                         "when every writer gives a value"
                       : "",
            .sql = renamed ? ""
                           : compare_say(c, "ALTER TABLE %s ADD COLUMN %s;", table,
                                         compare_column_definition(c, &fillable)),
            .rollback_sql = renamed ? ""
                                    : compare_say(c, "ALTER TABLE %s DROP COLUMN %s;", table,
                                                  compare_ident(c, column->name))});
}

void compare_columns(struct comparison *c, const struct table_pair *pair)
{
    for (uint16_t i = 0; !c->carried && i < pair->before->column_count; i++)
        if (compare_image(pair, i) < 0)
            report_removed(c, pair, i);
    for (uint16_t i = 0; i < pair->after->column_count; i++) {
        if (pair->origins[i] >= 0)
            compare_column(c, pair, i);
        else if (!c->carried)
            report_added(c, pair, i);
    }
}
