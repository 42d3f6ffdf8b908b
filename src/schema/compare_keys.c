/* Primary keys, unique constraints and indexes of one table before and after.
 *
 * A unique constraint and a unique index say the same of the rows, so only the columns count.
 * Rows that are unique in some columns are so in more of them: such a key cannot be broken. */
#include "schema/comparison.h"

#include "schema/distinct.h"
#include "schema/validation.h"

#include <string.h>

/* ---- which index is which ---- */

static bool has_column(const struct catalog_index *index, int column)
{
    for (uint16_t i = 0; i < index->column_count; i++)
        if (index->columns[i] == column)
            return true;
    return false;
}

static bool nulls_equal(const struct catalog_index *index)
{
    return index->definition && strstr(index->definition, " NULLS NOT DISTINCT");
}

/* Every column of the index of before is, as it is, a column of the index of after. */
static bool image_within(const struct table_pair *pair, const struct catalog_index *before,
                         const struct catalog_index *after)
{
    for (uint16_t i = 0; i < before->column_count; i++)
        if (!has_column(after, compare_image(pair, before->columns[i])))
            return false;
    return before->column_count > 0;
}

/* Two rows that the index of before tells apart are told apart by that of after. */
static bool stay_apart(const struct table_pair *pair, const struct catalog_index *before,
                       const struct catalog_index *after)
{
    bool stricter = nulls_equal(after) && !nulls_equal(before);
    for (uint16_t i = 0; i < before->column_count; i++) {
        const struct catalog_column *column = &pair->before->columns[before->columns[i]];
        int image = compare_image(pair, before->columns[i]);
        if (!distinct_kept(column, &pair->after->columns[image]) ||
            (stricter && !column->not_null))
            return false;
    }
    return true;
}

static bool same_columns(const struct table_pair *pair, const struct catalog_index *before,
                         const struct catalog_index *after)
{
    return before->column_count == after->column_count && image_within(pair, before, after);
}

/* "btree (lower(email)) WHERE ...": what two definitions have in common besides names. */
static const char *definition_tail(const struct catalog_index *index)
{
    const char *tail = index->definition ? strstr(index->definition, " USING ") : NULL;
    return tail ? tail : "";
}

static bool same_index(const struct table_pair *pair, const struct catalog_index *before,
                       const struct catalog_index *after)
{
    if (before->usable && after->usable)
        return same_columns(pair, before, after);
    return before->usable == after->usable && *definition_tail(before) &&
           compare_same_expression(pair, definition_tail(before), definition_tail(after));
}

static bool before_has(const struct table_pair *pair, const struct catalog_index *after,
                       bool unique)
{
    for (uint16_t i = 0; i < pair->before->index_count; i++)
        if ((!unique || pair->before->indexes[i].unique) &&
            same_index(pair, &pair->before->indexes[i], after))
            return true;
    return false;
}

static bool after_has(const struct table_pair *pair, const struct catalog_index *before,
                      bool unique)
{
    for (uint16_t i = 0; i < pair->after->index_count; i++)
        if ((!unique || pair->after->indexes[i].unique) &&
            same_index(pair, before, &pair->after->indexes[i]))
            return true;
    return false;
}

/* Some key of before makes it impossible that two rows clash in this one. */
static bool cannot_clash(const struct table_pair *pair, const struct catalog_index *after)
{
    for (uint16_t i = 0; after->usable && i < pair->before->index_count; i++) {
        const struct catalog_index *before = &pair->before->indexes[i];
        if (before->unique && before->usable && image_within(pair, before, after) &&
            stay_apart(pair, before, after))
            return true;
    }
    return false;
}

/* Rows that are carried may become equal on the way: what counts is what the rules do. */
static bool holds_already(const struct comparison *c, const struct table_pair *pair,
                          const struct catalog_index *after)
{
    return c->carried && after->usable ? cannot_clash(pair, after)
                                       : before_has(pair, after, true);
}

/* ---- words ---- */

static const char *index_columns(struct comparison *c, const struct catalog_table *table,
                                 const struct catalog_index *index)
{
    if (!index->usable && index->definition)
        return compare_say(c, "%s", definition_tail(index) + 7);
    return compare_say(c, "(%s)",
                       compare_columns_text(c, table, index->columns, index->column_count));
}

/* Of a partitioned table the server builds and drops no index concurrently. */
static const char *concurrently(const struct catalog_table *table)
{
    return table->kind == 'p' ? "" : "CONCURRENTLY ";
}

const char *compare_index_sql(struct comparison *c, const struct catalog_table *table,
                              const struct catalog_index *index)
{
    return compare_say(c, "CREATE %sINDEX %s%s ON %s (%s);", index->unique ? "UNIQUE " : "",
                       concurrently(table), compare_ident(c, index->name),
                       compare_table_sql(c, table),
                       compare_columns_sql(c, table, index->columns, index->column_count));
}

/* Built without a lock, then made a constraint; of a partitioned table at once. */
static const char *add_key(struct comparison *c, const struct catalog_table *table,
                           const struct catalog_index *index)
{
    const char *name = compare_ident(c, index->name);
    const char *words = index->primary ? "PRIMARY KEY" : "UNIQUE";
    if (table->kind == 'p')
        return compare_say(c, "ALTER TABLE %s ADD CONSTRAINT %s %s (%s);",
                           compare_table_sql(c, table), name, words,
                           compare_columns_sql(c, table, index->columns, index->column_count));
    return compare_say(c, "%s ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s;",
                       compare_index_sql(c, table, index), compare_table_sql(c, table), name,
                       words, name);
}

static const char *drop_key(struct comparison *c, const struct catalog_table *table,
                            const struct catalog_index *index)
{
    if (index->constraint || index->primary)
        return compare_say(c, "ALTER TABLE %s DROP CONSTRAINT %s;", compare_table_sql(c, table),
                           compare_ident(c, index->name));
    return compare_say(c, "DROP INDEX %s%s%s%s;", concurrently(table),
                       *table->schema ? compare_ident(c, table->schema) : "",
                       *table->schema ? "." : "", compare_ident(c, index->name));
}

/* A GROUP BY at the source finds the values that are equal in the target's columns. */
static bool can_group(const struct comparison *c, const struct catalog_table *table,
                      const struct catalog_index *index)
{
    for (size_t i = 0; i < c->pair_count; i++)
        for (uint16_t j = 0; c->pairs[i].after == table && j < index->column_count; j++) {
            int origin = c->pairs[i].origins[index->columns[j]];
            if (!distinct_can_group(origin < 0 ? NULL : &c->pairs[i].before->columns[origin],
                                    &table->columns[index->columns[j]]))
                return false;
        }
    return true;
}

static const char *count_equal_elements(struct comparison *c, const struct table_pair *pair,
                                        const struct catalog_index *index)
{
    struct index_text text;
    const char *rows;
    if (!index->definition || !index_text_parse(index->definition, &c->arena, &text))
        return NULL;
    rows = compare_rows_of_text(c, pair->after, &text);
    return rows ? compare_keep(c, validation_equal_elements(rows, &text, nulls_equal(index)))
                : NULL;
}

/* Duplicates can be looked for when all that the key is made of comes from the source's rows. */
static const char *count_duplicates(struct comparison *c, const struct table_pair *pair,
                                    const struct catalog_index *index)
{
    const char *rows;
    if (!index->usable)
        return count_equal_elements(c, pair, index);
    rows = can_group(c, pair->after, index)
               ? compare_rows_of(c, pair->after, index->columns, index->column_count)
               : NULL;
    return rows
               ? compare_keep(c, validation_duplicates(rows, pair->after, index->columns,
                                                       index->column_count, nulls_equal(index)))
               : NULL;
}

/* ---- several tables that become one ---- */

/* A column of the key in which each of the two has a constant of its own. */
static bool told_apart(const struct table_pair *a, const struct table_pair *b,
                       const struct catalog_index *index)
{
    for (uint16_t i = 0; a->constants && b->constants && i < index->column_count; i++) {
        const char *one = a->constants[index->columns[i]];
        const char *other = b->constants[index->columns[i]];
        if (one && other && strcmp(one, other) != 0)
            return true;
    }
    return false;
}

/* Rows of different source tables may get the same key, which no key of the source rules out.
 */
static bool may_meet(const struct comparison *c, const struct catalog_table *table,
                     const struct catalog_index *index)
{
    for (size_t i = 0; i < c->pair_count; i++)
        for (size_t j = 0; c->pairs[i].after == table && j < i; j++)
            if (c->pairs[j].after == table && !told_apart(&c->pairs[i], &c->pairs[j], index))
                return true;
    return false;
}

static void compare_merged(struct comparison *c, const struct table_pair *pair)
{
    const char *text = compare_table_text(c, pair->after);
    if (!c->carried || compare_pair_of(c, pair->after->schema, pair->after->name) != pair)
        return; /* once for each table */
    for (uint16_t i = 0; i < pair->after->index_count; i++) {
        const struct catalog_index *index = &pair->after->indexes[i];
        if (!index->unique || !may_meet(c, pair->after, index))
            continue;
        findings_put(
            c->findings,
            &(struct finding){
                .id = "unique.merged",
                .severity = SEVERITY_POTENTIALLY_BREAKING,
                .object = text,
                .what = compare_say(c,
                                    "rows of several source tables meet in table %s, "
                                    "where %s must be unique (%s)",
                                    text, index_columns(c, pair->after, index), index->name),
                .impact = "one of two rows with the same key is refused, or overwrites "
                          "the other",
                .fix = "put a constant that tells the source tables apart into the key",
                .validation_query = count_duplicates(c, pair, index)});
    }
}

/* ---- primary keys ---- */

static void report_key_lost(struct comparison *c, const struct table_pair *pair,
                            const struct catalog_index *key)
{
    const char *text = compare_table_text(c, pair->after);
    findings_put(
        c->findings,
        &(struct finding){.id = "primary_key.removed",
                          .severity = SEVERITY_BREAKING,
                          .object = text,
                          .what = compare_say(c, "table %s loses its primary key %s", text,
                                              index_columns(c, pair->before, key)),
                          .impact = "rows are no longer told apart, and cannot be replicated",
                          .sql = drop_key(c, pair->before, key),
                          .rollback_sql = add_key(c, pair->before, key)});
}

static const char *change_key(struct comparison *c, const struct table_pair *pair,
                              const struct catalog_index *before,
                              const struct catalog_index *after)
{
    if (c->carried)
        return "";
    return compare_say(c, "%s%s%s", before ? drop_key(c, pair->before, before) : "",
                       before ? " " : "", add_key(c, pair->after, after));
}

static void report_key_new(struct comparison *c, const struct table_pair *pair,
                           const struct catalog_index *before,
                           const struct catalog_index *after)
{
    const char *text = compare_table_text(c, pair->after);
    const char *columns = index_columns(c, pair->after, after);
    findings_put(
        c->findings,
        &(struct finding){
            .id = before ? "primary_key.changed" : "primary_key.added",
            .severity =
                before && !c->carried ? SEVERITY_BREAKING : SEVERITY_POTENTIALLY_BREAKING,
            .object = text,
            .what = !before ? compare_say(c, "table %s gets the primary key %s", text, columns)
                    : same_columns(pair, before, after)
                        ? compare_say(c,
                                      "the primary key %s of table %s may hold values that "
                                      "differ at the source for equal",
                                      columns, text)
                        : compare_say(c, "the primary key of table %s changes from %s to %s",
                                      text, index_columns(c, pair->before, before), columns),
            .impact = "a row whose key another one has is refused",
            .sql = change_key(c, pair, before, after),
            .rollback_sql = c->carried ? "" : drop_key(c, pair->after, after),
            .validation_query = count_duplicates(c, pair, after)});
}

static void compare_primary_key(struct comparison *c, const struct table_pair *pair)
{
    const struct catalog_index *before = catalog_primary_key(pair->before);
    const struct catalog_index *after = catalog_primary_key(pair->after);
    if (c->carried && after && cannot_clash(pair, after))
        return;
    if (!c->carried && before && after && same_columns(pair, before, after))
        return;
    if (after)
        report_key_new(c, pair, before, after);
    else if (before && !after && !c->carried)
        report_key_lost(c, pair, before);
}

/* ---- unique ---- */

static void report_unique_new(struct comparison *c, const struct table_pair *pair,
                              const struct catalog_index *index)
{
    const char *text = compare_table_text(c, pair->after);
    findings_put(c->findings,
                 &(struct finding){
                     .id = "unique.added",
                     .severity = SEVERITY_POTENTIALLY_BREAKING,
                     .object = text,
                     .what = compare_say(c, "table %s: %s must be unique now (%s)", text,
                                         index_columns(c, pair->after, index), index->name),
                     .impact = "a row that repeats another's values is refused",
                     .fix = "remove duplicates first",
                     .sql = c->carried ? "" : add_key(c, pair->after, index),
                     .rollback_sql = drop_key(c, pair->after, index),
                     .validation_query = count_duplicates(c, pair, index)});
}

static void report_unique_lost(struct comparison *c, const struct table_pair *pair,
                               const struct catalog_index *index)
{
    const char *text = compare_table_text(c, pair->after);
    findings_put(
        c->findings,
        &(struct finding){
            .id = "unique.removed",
            .severity = SEVERITY_NON_BREAKING,
            .object = text,
            .what = compare_say(c, "table %s: %s need not be unique any more (%s)", text,
                                index_columns(c, pair->before, index), index->name),
            .impact = "duplicates are no longer refused",
            .sql = c->carried ? "" : drop_key(c, pair->before, index),
            .rollback_sql = c->carried ? "" : add_key(c, pair->before, index)});
}

void compare_keys(struct comparison *c, const struct table_pair *pair)
{
    compare_primary_key(c, pair);
    compare_merged(c, pair);
    for (uint16_t i = 0; i < pair->after->index_count; i++) {
        const struct catalog_index *index = &pair->after->indexes[i];
        if (index->unique && !index->primary && !holds_already(c, pair, index))
            report_unique_new(c, pair, index);
    }
    for (uint16_t i = 0; i < pair->before->index_count; i++) {
        const struct catalog_index *index = &pair->before->indexes[i];
        if (index->unique && !index->primary && !after_has(pair, index, true))
            report_unique_lost(c, pair, index);
    }
}

/* ---- plain indexes, and those that slackwater needs ---- */

static void report_index(struct comparison *c, const struct catalog_table *table,
                         const struct catalog_index *index, const char *id,
                         enum severity severity, const char *verb, const char *impact)
{
    const char *text = compare_table_text(c, table);
    bool added = severity == SEVERITY_ADDITIVE;
    const char *create = index->usable ? compare_index_sql(c, table, index) : "";
    findings_put(
        c->findings,
        &(struct finding){.id = id,
                          .severity = severity,
                          .object = text,
                          .what = compare_say(c, "index %s on %s %s is %s", index->name, text,
                                              index_columns(c, table, index), verb),
                          .impact = impact,
                          .sql = c->carried ? ""
                                 : added    ? create
                                            : drop_key(c, table, index),
                          .rollback_sql = c->carried ? ""
                                          : added    ? drop_key(c, table, index)
                                                     : create});
}

/* Without a key every update and delete looks its row up by all columns. */
static void check_lookup(struct comparison *c, const struct table_pair *pair)
{
    const char *text = compare_table_text(c, pair->after);
    for (uint16_t i = 0; i < pair->after->index_count; i++)
        if (pair->after->indexes[i].usable)
            return;
    if (!pair->without_key)
        return;
    findings_put(
        c->findings,
        &(struct finding){.id = "target.lookup_index",
                          .severity = SEVERITY_NON_BREAKING,
                          .object = text,
                          .what = compare_say(c, "table %s has no key and no index", text),
                          .impact = "each update and delete of a row reads the whole table",
                          .fix = "create an index on a column that tells most rows apart"});
}

static bool leads_with(const struct catalog_index *index, const uint16_t *columns,
                       uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        bool found = false;
        for (uint16_t j = 0; j < count && j < index->column_count; j++)
            found |= index->columns[j] == columns[i];
        if (!found)
            return false;
    }
    return index->usable;
}

/* A parent's delete or key change looks for its children. */
static void check_reference(struct comparison *c, const struct table_pair *pair,
                            const struct catalog_foreign_key *key)
{
    const struct catalog_table *table = pair->after;
    const char *text = compare_table_text(c, table);
    const char *columns = compare_columns_sql(c, table, key->columns, key->column_count);
    for (uint16_t i = 0; i < table->index_count; i++)
        if (leads_with(&table->indexes[i], key->columns, key->column_count))
            return;
    findings_put(
        c->findings,
        &(struct finding){
            .id = "target.reference_index",
            .severity = SEVERITY_NON_BREAKING,
            .object = text,
            .what = compare_say(c, "no index serves foreign key %s (%s)", key->name, columns),
            .impact = "where foreign keys are enforced, a delete of a parent reads the "
                      "whole table",
            .sql = compare_say(c, "CREATE INDEX %sON %s (%s);", concurrently(table),
                               compare_table_sql(c, table), columns)});
}

void compare_indexes(struct comparison *c, const struct table_pair *pair)
{
    for (uint16_t i = 0; i < pair->after->index_count; i++) {
        const struct catalog_index *index = &pair->after->indexes[i];
        if (!index->unique && !before_has(pair, index, false))
            report_index(c, pair->after, index, "index.added", SEVERITY_ADDITIVE, "added", "");
    }
    for (uint16_t i = 0; i < pair->before->index_count; i++) {
        const struct catalog_index *index = &pair->before->indexes[i];
        if (!index->unique && !after_has(pair, index, false))
            report_index(c, pair->before, index, "index.removed", SEVERITY_NON_BREAKING,
                         "removed", "queries that used it become slower");
    }
    if (!c->carried)
        return;
    check_lookup(c, pair);
    for (uint16_t i = 0; i < pair->after->foreign_key_count; i++)
        check_reference(c, pair, &pair->after->foreign_keys[i]);
}
