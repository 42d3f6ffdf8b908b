/* Whether the key of a target table is good: computable from the old values of the stream,
 * other for other source rows, never NULL, and covered by exactly one unique index at the
 * target. */
#include "transforms/key.h"

#include "schema/distinct.h"
#include "schema/ident.h"

#include <string.h>

const char *key_place(struct binder *binder)
{
    return binder->spec->key_where ? binder->spec->key_where : binder->target_text;
}

static bool in_key(const struct key *key, const struct plan_column *column)
{
    for (uint16_t i = 0; i < key->count; i++)
        if (key->columns[i] == column)
            return true;
    return false;
}

static bool key_reads(const struct key *key, const struct catalog_column *source)
{
    for (uint16_t i = 0; i < key->count; i++)
        if (plan_reads(key->columns[i], source))
            return true;
    return false;
}

bool key_index_has(const struct catalog_table *table, const struct catalog_index *index,
                   const struct catalog_column *column)
{
    for (uint16_t i = 0; i < index->column_count; i++)
        if (&table->columns[index->columns[i]] == column)
            return true;
    return false;
}

/* "id, tenant_id" for messages, or quoted for statements. */
static const char *key_list(struct binder *binder, const struct key *key, bool quoted)
{
    struct buf list = {0};

    for (uint16_t i = 0; i < key->count; i++) {
        buf_append_text(&list, i ? ", " : "");
        if (quoted)
            ident_append(&list, key->columns[i]->target->name);
        else
            buf_append_text(&list, key->columns[i]->target->name);
    }
    return text_take(binder->arena, &list);
}

bool key_reads_all(const struct binder *binder, const struct key *key,
                   const struct catalog_index *index)
{
    for (uint16_t i = 0; i < index->column_count; i++)
        if (!key_reads(key, &binder->source->columns[index->columns[i]]))
            return false;
    return true;
}

/* --- statements for findings --- */

static const char *alter_source(struct binder *binder, const char *action)
{
    struct buf sql = {0};

    buf_append_text(&sql, "ALTER TABLE ");
    ident_append_qualified(&sql, binder->source->schema, binder->source->name);
    buf_append_format(&sql, " %s;", action);
    return text_take(binder->arena, &sql);
}

static const char *identity_clause(struct binder *binder)
{
    const struct catalog_index *index = catalog_identity_index(binder->source);
    struct buf clause = {0};

    if (binder->source->replica_identity == 'n')
        return "REPLICA IDENTITY NOTHING";
    if (binder->source->replica_identity != 'i' || !index)
        return "REPLICA IDENTITY DEFAULT";
    buf_append_text(&clause, "REPLICA IDENTITY USING INDEX ");
    ident_append(&clause, index->name);
    return text_take(binder->arena, &clause);
}

void key_propose_full_identity(struct binder *binder, struct report *report)
{
    report->sql = alter_source(binder, "REPLICA IDENTITY FULL");
    report->rollback_sql = alter_source(binder, identity_clause(binder));
}

const struct catalog_index *key_primary_index(const struct catalog_table *table)
{
    for (uint16_t i = 0; i < table->index_count; i++)
        if (table->indexes[i].primary)
            return &table->indexes[i];
    return NULL;
}

/* A name for the new index: the table's, cut so that the whole has at most 63 bytes. */
static const char *index_name(struct binder *binder, const char *suffix)
{
    size_t size = strlen(binder->target->name);

    if (size > 63 - strlen(suffix))
        size = 63 - strlen(suffix);
    while (size && ((unsigned char)binder->target->name[size] & 0xc0) == 0x80)
        size--;
    return text_format(binder->arena, "%.*s%s", (int)size, binder->target->name, suffix);
}

/* Built without holding writers up, where the server can: not of a partitioned table. */
static const char *concurrently(const struct binder *binder)
{
    return binder->target->kind == 'p' ? "" : "CONCURRENTLY ";
}

static void append_unique_index(struct binder *binder, const struct key *key, const char *name,
                                struct buf *sql)
{
    buf_append_format(sql, "CREATE UNIQUE INDEX %s", concurrently(binder));
    ident_append(sql, name);
    buf_append_text(sql, " ON ");
    ident_append_qualified(sql, binder->target->schema, binder->target->name);
    buf_append_format(sql, " (%s);", key_list(binder, key, true));
}

static void propose_primary_key(struct binder *binder, const struct key *key,
                                struct report *report)
{
    struct buf alter = {0}, sql = {0}, rollback = {0};
    const char *name = index_name(binder, "_pkey");
    bool whole = binder->target->kind == 'p';

    buf_append_text(&alter, "ALTER TABLE ");
    ident_append_qualified(&alter, binder->target->schema, binder->target->name);
    if (!whole) {
        append_unique_index(binder, key, name, &sql);
        buf_append_char(&sql, ' ');
    }
    buf_append_format(&sql, "%s ADD CONSTRAINT ", buf_text(&alter));
    ident_append(&sql, name);
    if (whole) {
        buf_append_format(&sql, " PRIMARY KEY (%s);", key_list(binder, key, true));
    } else {
        buf_append_text(&sql, " PRIMARY KEY USING INDEX ");
        ident_append(&sql, name);
        buf_append_char(&sql, ';');
    }
    buf_append_format(&rollback, "%s DROP CONSTRAINT ", buf_text(&alter));
    ident_append(&rollback, name);
    buf_append_text(&rollback, ";");
    buf_free(&alter);
    report->sql = text_take(binder->arena, &sql);
    report->rollback_sql = text_take(binder->arena, &rollback);
}

static void propose_unique_index(struct binder *binder, const struct key *key,
                                 struct report *report)
{
    struct buf sql = {0}, rollback = {0};
    const char *name = index_name(binder, "_slackwater_key");

    append_unique_index(binder, key, name, &sql);
    buf_append_format(&rollback, "DROP INDEX %s", concurrently(binder));
    ident_append_qualified(&rollback, binder->target->schema, name);
    buf_append_text(&rollback, ";");
    report->sql = text_take(binder->arena, &sql);
    report->rollback_sql = text_take(binder->arena, &rollback);
}

/* --- whether it is good --- */

/* The old values of an update or delete must suffice to compute the key. */
static bool check_computable(struct binder *binder, const struct plan_column *column)
{
    const struct catalog_index *identity = catalog_identity_index(binder->source);
    struct report report = {
        .id = "key.not_in_identity",
        .severity = SEVERITY_BREAKING,
        .where = column->rule->where ? column->rule->where : key_place(binder),
        .impact = "the row of an update or delete could not be found",
        .fix = "let the source send whole old rows (REPLICA IDENTITY FULL), "
               "or take the column out of the key"};

    if (binder->source->replica_identity == 'f')
        return true;
    key_propose_full_identity(binder, &report);
    for (uint16_t i = 0; i < column->input_count; i++)
        if (!key_index_has(binder->source, identity, column->inputs[i]->column)) {
            binder_report(binder, &report,
                          "key column %s.%s is made of source column \"%s\", which is not part "
                          "of the replica identity of %s",
                          binder->target_text, column->target->name,
                          column->inputs[i]->column->name, binder->source_text);
            return false;
        }
    return true;
}

static bool check_not_null(struct binder *binder, const struct plan_column *column)
{
    struct report report = {.id = "key.null",
                            .severity = SEVERITY_BREAKING,
                            .where =
                                column->rule->where ? column->rule->where : key_place(binder),
                            .fix = "give it a value"};

    if (!column->rule->constant || column->rule->constant->kind != VALUE_NULL)
        return true;
    binder_report(binder, &report, "key column %s.%s is always NULL", binder->target_text,
                  column->target->name);
    return false;
}

static bool is_unique_source(const struct binder *binder, const struct catalog_index *index)
{
    if (!index->unique || !index->immediate || !index->usable)
        return false;
    for (uint16_t i = 0; i < index->column_count; i++)
        if (!binder->source->columns[index->columns[i]].not_null)
            return false;
    return true;
}

/* A unique index of the source all of whose columns the key reads. */
static const struct catalog_index *unique_source(struct binder *binder, const struct key *key)
{
    for (uint16_t i = 0; i < binder->source->index_count; i++) {
        const struct catalog_index *index = &binder->source->indexes[i];

        if (is_unique_source(binder, index) && key_reads_all(binder, key, index))
            return index;
    }
    return NULL;
}

/* No text that the rule makes is another with blanks behind it. */
static bool makes_solid(const struct plan_column *column)
{
    if (column->rule->kind == &rule_hash || column->rule->kind == &rule_uuid5)
        return true;
    for (uint16_t i = 0; i < column->input_count; i++)
        if (!distinct_is_solid(column->inputs[i]->column))
            return false;
    return true;
}

/* Whether the type of the key's column tells apart what the rule does. */
static bool type_tells_apart(const struct plan_column *column)
{
    const struct source_column *plain = column->rule->plain;

    if (plain)
        return distinct_kept(plain->column, column->target);
    return distinct_texts_kept(column->target, makes_solid(column)) ||
           (column->rule->kind == &rule_uuid5 &&
            strcmp(column->target->base_type, "pg_catalog.uuid") == 0);
}

static bool rule_tells_apart(const struct plan_column *column)
{
    struct inverse inverse = rule_inverse(column->rule);

    buf_free(&inverse.steps);
    return inverse.one_to_one;
}

bool key_tells_apart(const struct table_plan *plan, const struct catalog_column *source)
{
    for (uint16_t i = 0; i < plan->key_count; i++) {
        const struct plan_column *column = &plan->columns[plan->keys[i]];

        if (plan_reads(column, source) && rule_tells_apart(column) && type_tells_apart(column))
            return true;
    }
    return false;
}

/* Why rows that differ in the source column only may get the same key: a clause; NULL: they
 * cannot. */
static const char *why_may_collide(struct binder *binder, const struct key *key,
                                   const struct catalog_column *source)
{
    const struct plan_column *coarse = NULL;

    for (uint16_t i = 0; i < key->count; i++) {
        const struct plan_column *column = key->columns[i];

        if (!plan_reads(column, source) || !rule_tells_apart(column))
            continue;
        if (type_tells_apart(column))
            return NULL;
        coarse = column;
    }
    if (!coarse)
        return text_format(binder->arena,
                           "the rules may make the same key of different values of source "
                           "column \"%s\"",
                           source->name);
    return text_format(binder->arena,
                       "different values of source column \"%s\" (%s) may be one value of "
                       "target column \"%s\" (%s%s)",
                       source->name, source->type_name, coarse->target->name,
                       coarse->target->type_name,
                       coarse->target->loose ? ", its collation is not deterministic" : "");
}

static bool check_distinct(struct binder *binder, const struct key *key)
{
    const struct catalog_index *index = unique_source(binder, key);
    struct report report = {.id = "key.not_unique",
                            .severity = SEVERITY_BREAKING,
                            .where = key_place(binder),
                            .impact = "rows with the same key would overwrite each other",
                            .fix =
                                "let the key read every column of a unique key of the source"};

    if (!index) {
        binder_report(binder, &report,
                      "key (%s) of target table %s does not read a whole unique key of source "
                      "table %s",
                      key_list(binder, key, false), binder->target_text, binder->source_text);
        return false;
    }
    for (uint16_t i = 0; i < index->column_count && !binder->collision; i++)
        binder->collision =
            why_may_collide(binder, key, &binder->source->columns[index->columns[i]]);
    return true;
}

static bool covers(const struct binder *binder, const struct catalog_index *index,
                   const struct key *key)
{
    if (!index->unique || !index->immediate || !index->usable ||
        index->column_count != key->count)
        return false;
    for (uint16_t i = 0; i < index->column_count; i++)
        if (!in_key(key, &binder->columns[index->columns[i]]))
            return false;
    return true;
}

static bool check_target_index(struct binder *binder, const struct key *key)
{
    struct report report = {.id = "target.key_index",
                            .severity = SEVERITY_BREAKING,
                            .where = key_place(binder),
                            .impact = "rows could be written twice and not be found",
                            .fix = "create it, or name the columns of an existing unique index "
                                   "as key: [...]"};

    for (uint16_t i = 0; i < binder->target->index_count; i++)
        if (covers(binder, &binder->target->indexes[i], key))
            return true;
    if (key_primary_index(binder->target))
        propose_unique_index(binder, key, &report);
    else
        propose_primary_key(binder, key, &report);
    binder_report(binder, &report,
                  "target table %s has no unique index on exactly (%s) that is valid, not "
                  "partial and not deferrable",
                  binder->target_text, key_list(binder, key, false));
    return false;
}

/* Rows are found by the key, which must be known before the write. */
static bool check_known(struct binder *binder, const struct plan_column *column)
{
    struct report report = {.id = "key.sql",
                            .severity = SEVERITY_BREAKING,
                            .where = key_place(binder),
                            .fix = "make the key with the other rules (template, map, cast, "
                                   "hash, uuid5)"};

    if (column->rule->formula)
        binder_report(binder, &report,
                      "key column %s.%s is made by the target, in the write (sql): its old "
                      "value is not known when a row is to be found",
                      binder->target_text, column->target->name);
    return !column->rule->formula;
}

bool key_check(struct binder *binder, const struct key *key)
{
    bool good = true;

    for (uint16_t i = 0; i < key->count; i++)
        good &= check_known(binder, key->columns[i]) &&
                check_computable(binder, key->columns[i]) &&
                check_not_null(binder, key->columns[i]);
    return good && check_distinct(binder, key) && check_target_index(binder, key);
}

/* PostgreSQL refuses to update such a column; the sink leaves key columns alone. */
void key_check_identity_always(struct binder *binder)
{
    for (uint16_t i = 0; i < binder->target->column_count; i++) {
        const struct plan_column *column = &binder->columns[i];
        struct report report = {.id = "target.identity_always",
                                .severity = SEVERITY_POTENTIALLY_BREAKING,
                                .where = text_format(binder->arena, "%s.%s",
                                                     binder->target_text, column->target->name),
                                .impact = "an update of the row is refused",
                                .fix = "set it to GENERATED BY DEFAULT for the migration"};
        struct buf sql = {0};

        if (column->state != PLAN_BOUND || column->target->identity != 'a' || column->key ||
            binder->match == MATCH_NONE)
            continue;
        buf_append_text(&sql, "ALTER TABLE ");
        ident_append_qualified(&sql, binder->target->schema, binder->target->name);
        buf_append_text(&sql, " ALTER COLUMN ");
        ident_append(&sql, column->target->name);
        report.sql = text_format(binder->arena, "%s SET GENERATED BY DEFAULT;", buf_text(&sql));
        report.rollback_sql =
            text_format(binder->arena, "%s SET GENERATED ALWAYS;", buf_text(&sql));
        buf_free(&sql);
        binder_report(binder, &report,
                      "target column %s.%s is GENERATED ALWAYS AS IDENTITY and not in the key",
                      binder->target_text, column->target->name);
    }
}
