/* Columns of the source that are new, or called otherwise, since the table became part of the
 * migration (schema/former.h). */
#include "transforms/bind.h"

#include "schema/ident.h"

#include <string.h>

bool bind_is_new(const struct binder *binder, const struct catalog_column *source)
{
    const struct former *former = binder->former;

    if (!former || !former_knows(former, binder->source->oid))
        return false;
    for (size_t i = 0; i < former->count; i++)
        if (former->names[i].table_oid == binder->source->oid &&
            former->names[i].number == source->number && former->names[i].there_at == LSN_NONE)
            return false;
    return true;
}

static void list_ignored(struct binder *binder, const char *column)
{
    struct chain *chain = &binder->chain->chain;
    const char **all = arena_alloc(binder->arena, (chain->ignored_count + 1) * sizeof(*all));

    for (size_t i = 0; i < chain->ignored_count; i++) {
        all[i] = chain->ignored[i];
        if (strcmp(all[i], column) == 0)
            return; /* of another target of the table */
    }
    all[chain->ignored_count++] = column;
    chain->ignored = all;
}

void bind_ignore(struct binder *binder, const struct catalog_column *source)
{
    const char *column = text_format(binder->arena, "%s.%s", binder->source_text, source->name);
    struct report report = {
        .id = "source.column_ignored",
        .severity = SEVERITY_POTENTIALLY_BREAKING,
        .where = column,
        .impact = "its values do not reach the target, and the gate schema is NO-GO",
        .fix =
            "give it a rule, drop it in the file, or set apply.on_new_column: carry and copy the "
            "table again"};

    list_ignored(binder, column);
    binder_report(binder, &report,
                  "source column %s came after the migration began, and is left out "
                  "(apply.on_new_column: ignore)",
                  column);
}

/* --- renamed --- */

/* Which target column has what was carried so far, or -1: as it is kept, or else that of the former
 * name. */
static int find_carried(const struct binder *binder, const struct former_name *before)
{
    if (before->target_oid != binder->target->oid)
        return catalog_column_index(binder->target, before->name);
    for (uint16_t i = 0; i < binder->target->column_count; i++)
        if (binder->target->columns[i].number == before->target_number)
            return i;
    return -1;
}

static const char *renaming(struct binder *binder, const char *before, const char *name)
{
    struct buf sql = {0};

    buf_append_text(&sql, "ALTER TABLE ");
    ident_append_qualified(&sql, binder->target->schema, binder->target->name);
    buf_append_text(&sql, " DROP COLUMN ");
    ident_append(&sql, name);
    buf_append_text(&sql, "; ALTER TABLE ");
    ident_append_qualified(&sql, binder->target->schema, binder->target->name);
    buf_append_text(&sql, " RENAME COLUMN ");
    ident_append(&sql, before);
    buf_append_text(&sql, " TO ");
    ident_append(&sql, name);
    return text_take(binder->arena, &sql);
}

/* One column of the target has what was carried so far, and another would get what comes. Where
 * nobody fills the one any more, the other is the spare one; else names were traded. */
static void report_renamed(struct binder *binder, const struct catalog_column *source,
                           const char *before, int carried)
{
    const char *there = binder->target->columns[carried].name;
    bool spare = binder->columns[carried].state == PLAN_UNFILLED;
    struct report report = {
        .id = "source.column_renamed",
        .severity = SEVERITY_BREAKING,
        .where = text_format(binder->arena, "%s.%s", binder->source_text, source->name),
        .fix =
            spare
                ? text_format(binder->arena,
                              "drop target column \"%s\" and give \"%s\" its name; or give one "
                              "of them a rule under columns:",
                              source->name, there)
                : "rename the columns at the target as they were at the source, or give them "
                  "rules under columns:",
        .sql = spare ? renaming(binder, there, source->name) : NULL};

    binder_report(
        binder, &report,
        "source column %s.%s was called \"%s\": what was carried so far stands in target "
        "column %s.%s, and what comes would go to \"%s\"",
        binder->source_text, source->name, before, binder->target_text, there, source->name);
}

/* Also at a start, which need not be one by hand: a name that trades places would mix values. */
static void check_renamed(struct binder *binder, const struct catalog_column *source)
{
    const struct former_name *before = former_last(binder->former, binder->source->oid, source);
    int old = before ? find_carried(binder, before) : -1;
    int new = catalog_column_index(binder->target, source->name);

    if (old < 0 || new < 0 || old == new || binder->columns[new].spec ||
        binder->columns[new].state == PLAN_UNFILLED)
        return;
    if (before->target_oid == binder->target->oid ||
        binder->columns[old].state == PLAN_UNFILLED)
        report_renamed(binder, source, before->name, old);
}

/* --- new, with a default --- */

/* Nothing was bound to it yet. */
static bool is_unseen(const struct binder *binder, const struct catalog_column *source)
{
    const struct former *former = binder->former;

    for (size_t i = 0; i < former->count; i++)
        if (former->names[i].table_oid == binder->source->oid &&
            former->names[i].number == source->number)
            return false;
    return former_knows(former, binder->source->oid);
}

static const char *defaulting(struct binder *binder, const struct catalog_column *source)
{
    struct buf sql = {0};

    buf_append_text(&sql, "UPDATE ");
    ident_append_qualified(&sql, binder->target->schema, binder->target->name);
    buf_append_text(&sql, " SET ");
    ident_append(&sql, source->name);
    buf_append_format(&sql, " = %s; ALTER TABLE ", source->expression);
    ident_append_qualified(&sql, binder->target->schema, binder->target->name);
    buf_append_text(&sql, " ALTER COLUMN ");
    ident_append(&sql, source->name);
    buf_append_format(&sql, " SET DEFAULT %s", source->expression);
    return text_take(binder->arena, &sql);
}

/* Rows that were there before have the default, which no stream tells. */
static void check_default(struct binder *binder, const struct catalog_column *source)
{
    int new = catalog_column_index(binder->target, source->name);
    const struct plan_column *column = new < 0 ? NULL : &binder->columns[new];
    struct report report = {
        .id = "source.column_default",
        .severity = SEVERITY_BREAKING,
        .where = text_format(binder->arena, "%s.%s", binder->source_text, source->name),
        .fix =
            "see that the target's rows of before have what the source's have, and that it has the "
            "default (of one that is no constant: run --redo afterwards); or give the column a rule "
            "under columns:, which carries it as it is"};

    if (!source->expression || source->generated || !is_unseen(binder, source) || !column ||
        column->spec || column->state == PLAN_UNFILLED ||
        (column->target->expression &&
         strcmp(column->target->expression, source->expression) == 0))
        return;
    report.sql = defaulting(binder, source);
    binder_report(
        binder, &report,
        "new source column %s.%s has a default, and target column \"%s\" not the same: rows "
        "of before may differ",
        binder->source_text, source->name, source->name);
}

void bind_altered(struct binder *binder)
{
    for (uint16_t i = 0; binder->former && i < binder->source->column_count; i++) {
        check_renamed(binder, &binder->source->columns[i]);
        check_default(binder, &binder->source->columns[i]);
    }
}

/* --- statements --- */

/* Renamed where the target has the column under its former name: else what stands there would stay
 * behind. */
static const char *rename_statement(struct binder *binder, const struct catalog_column *source,
                                    struct buf *sql)
{
    const struct former_name *last =
        binder->former ? former_last(binder->former, binder->source->oid, source) : NULL;
    const char *before = last ? last->name : NULL;

    if (!before || catalog_column_index(binder->target, before) < 0)
        return NULL;
    buf_append_text(sql, " RENAME COLUMN ");
    ident_append(sql, before);
    buf_append_text(sql, " TO ");
    ident_append(sql, source->name);
    return before;
}

/* One that the target can have as well: the sequence of a serial column is the source's. */
static bool has_plain_default(const struct catalog_column *source)
{
    return source->expression && !strstr(source->expression, "nextval(");
}

const char *bind_addition(struct binder *binder, const struct catalog_column *source)
{
    struct buf sql = {0};

    buf_append_text(&sql, "ALTER TABLE ");
    ident_append_qualified(&sql, binder->target->schema, binder->target->name);
    if (!rename_statement(binder, source, &sql)) {
        buf_append_text(&sql, " ADD COLUMN ");
        ident_append(&sql, source->name);
        buf_append_format(&sql, " %s", source->type_name);
        if (source->identity)
            buf_append_text(&sql, " GENERATED BY DEFAULT AS IDENTITY");
        else if (has_plain_default(source))
            buf_append_format(&sql, " DEFAULT %s", source->expression);
        if (source->not_null && (has_plain_default(source) || source->identity))
            buf_append_text(&sql, " NOT NULL");
    }
    return text_take(binder->arena, &sql);
}
