/* Foreign keys, check and exclusion constraints of one table before and after. */
#include "schema/comparison.h"

#include "schema/validation.h"

#include <string.h>

static const char *drop_constraint(struct comparison *c, const struct catalog_table *table,
                                   const char *name)
{
    return compare_say(c, "ALTER TABLE %s DROP CONSTRAINT %s;", compare_table_sql(c, table),
                       compare_ident(c, name));
}

/* Held against new rows at once, against old ones without a lock. */
static const char *add_constraint(struct comparison *c, const struct catalog_table *table,
                                  const char *name, const char *definition)
{
    const char *text = compare_table_sql(c, table), *quoted = compare_ident(c, name);
    return compare_say(c,
                       "ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID; ALTER TABLE %s VALIDATE "
                       "CONSTRAINT %s;",
                       text, quoted, definition, text, quoted);
}

/* ---- foreign keys ---- */

static const char *action_name(char action)
{
    switch (action) {
    case 'r':
        return "RESTRICT";
    case 'c':
        return "CASCADE";
    case 'n':
        return "SET NULL";
    case 'd':
        return "SET DEFAULT";
    default:
        return "NO ACTION";
    }
}

static const char *reference(struct comparison *c, const struct catalog_table *table,
                             const struct catalog_foreign_key *key)
{
    const struct catalog_table parent = {.schema = key->parent_schema,
                                         .name = key->parent_name};
    struct buf text = {0};
    buf_append_format(&text, "FOREIGN KEY (%s) REFERENCES %s (",
                      compare_columns_sql(c, table, key->columns, key->column_count),
                      compare_table_sql(c, &parent));
    for (uint16_t i = 0; i < key->column_count; i++)
        buf_append_format(&text, "%s%s", i ? ", " : "",
                          compare_ident(c, key->parent_columns[i]));
    buf_append_char(&text, ')');
    if (key->on_delete != 'a')
        buf_append_format(&text, " ON DELETE %s", action_name(key->on_delete));
    if (key->on_update != 'a')
        buf_append_format(&text, " ON UPDATE %s", action_name(key->on_update));
    return compare_take(c, &text);
}

const char *compare_foreign_key_sql(struct comparison *c, const struct catalog_table *table,
                                    const struct catalog_foreign_key *key)
{
    return add_constraint(c, table, key->name, reference(c, table, key));
}

/* The parent of before's key becomes the parent of after's, column by column. */
static bool same_parent(const struct comparison *c, const struct catalog_foreign_key *before,
                        const struct catalog_foreign_key *after, uint16_t i, uint16_t j)
{
    const struct table_pair *parent =
        compare_pair_of(c, after->parent_schema, after->parent_name);
    int column, image;
    if (!parent || strcmp(parent->before->name, before->parent_name) != 0 ||
        strcmp(parent->before->schema, before->parent_schema) != 0)
        return false;
    column = catalog_column_index(parent->before, before->parent_columns[i]);
    image = column < 0 ? -1 : compare_image(parent, column);
    return image >= 0 &&
           strcmp(parent->after->columns[image].name, after->parent_columns[j]) == 0;
}

static bool same_column(const struct comparison *c, const struct table_pair *pair,
                        const struct catalog_foreign_key *before, uint16_t i,
                        const struct catalog_foreign_key *after, uint16_t j)
{
    return compare_image(pair, before->columns[i]) == after->columns[j] &&
           same_parent(c, before, after, i, j);
}

/* Child and parent hold the same constant there ("tenant 1"), so it does not tell rows apart.
 */
static bool is_common_constant(const struct comparison *c, const struct table_pair *pair,
                               const struct catalog_foreign_key *key, uint16_t j)
{
    const struct table_pair *parent = compare_pair_of(c, key->parent_schema, key->parent_name);
    const char *own = pair->constants ? pair->constants[key->columns[j]] : NULL;
    int column = parent ? catalog_column_index(parent->after, key->parent_columns[j]) : -1;
    return own && column >= 0 && parent->constants && parent->constants[column] &&
           strcmp(own, parent->constants[column]) == 0;
}

static bool same_foreign_key(const struct comparison *c, const struct table_pair *pair,
                             const struct catalog_foreign_key *before,
                             const struct catalog_foreign_key *after)
{
    uint16_t matched = 0;
    for (uint16_t j = 0; j < after->column_count; j++) {
        bool found = is_common_constant(c, pair, after, j);
        for (uint16_t i = 0; !found && i < before->column_count; i++) {
            found = same_column(c, pair, before, i, after, j);
            matched += found;
        }
        if (!found)
            return false;
    }
    return matched == before->column_count;
}

/* The parents may come from several tables of the source. */
static const char *parent_rows(struct comparison *c, const struct catalog_foreign_key *key)
{
    const struct table_pair *parent = compare_pair_of(c, key->parent_schema, key->parent_name);
    uint16_t *columns = arena_alloc(&c->arena, (key->column_count + 1u) * sizeof *columns);
    for (uint16_t i = 0; i < key->column_count; i++) {
        int column = parent ? catalog_column_index(parent->after, key->parent_columns[i]) : -1;
        if (column < 0)
            return NULL;
        columns[i] = (uint16_t)column;
    }
    return parent ? compare_rows_of(c, parent->after, columns, key->column_count) : NULL;
}

static const char *count_orphans(struct comparison *c, const struct table_pair *pair,
                                 const struct catalog_foreign_key *key)
{
    const char *parents = parent_rows(c, key);
    for (uint16_t i = 0; i < key->column_count; i++)
        if (!compare_is_said(pair, key->columns[i]))
            return NULL;
    if (!parents || !pair->rows)
        return NULL;
    return compare_keep(c, validation_orphans(pair->rows, pair->after, key, parents));
}

static void report_foreign_key(struct comparison *c, const struct table_pair *pair,
                               const struct catalog_foreign_key *key)
{
    const char *text = compare_table_text(c, pair->after);
    findings_put(
        c->findings,
        &(struct finding){.id = "foreign_key.added",
                          .severity = SEVERITY_POTENTIALLY_BREAKING,
                          .object = text,
                          .what = compare_say(c, "table %s gets foreign key %s: %s", text,
                                              key->name, reference(c, pair->after, key)),
                          .impact = "a row whose parent is not there is refused, and so is the "
                                    "deletion of a parent that is in use",
                          .fix = "remove rows without a parent first",
                          .sql = c->carried ? "" : compare_foreign_key_sql(c, pair->after, key),
                          .rollback_sql = drop_constraint(c, pair->after, key->name),
                          .validation_query = count_orphans(c, pair, key)});
}

/* The reference holds at the source, but a parent may be left out on the way. */
static void report_filtered_parent(struct comparison *c, const struct table_pair *pair,
                                   const struct catalog_foreign_key *key)
{
    const struct table_pair *parent = compare_pair_of(c, key->parent_schema, key->parent_name);
    const char *text = compare_table_text(c, pair->after);
    if (!parent || !parent->filtered)
        return;
    findings_put(c->findings,
                 &(struct finding){
                     .id = "foreign_key.filtered",
                     .severity = SEVERITY_NON_BREAKING,
                     .object = text,
                     .what = compare_say(c,
                                         "table %s refers to %s by foreign key %s, and not "
                                         "every row of %s goes there",
                                         text, compare_table_text(c, parent->after), key->name,
                                         compare_table_text(c, parent->before)),
                     .impact = "a row whose parent is left out is refused, or refers to "
                               "nothing where foreign keys are not enforced",
                     .fix = "give the table a condition that leaves the same rows out",
                     .rollback_sql = drop_constraint(c, pair->after, key->name),
                     .validation_query = count_orphans(c, pair, key)});
}

static void report_action(struct comparison *c, const struct table_pair *pair,
                          const struct catalog_foreign_key *before,
                          const struct catalog_foreign_key *after)
{
    const char *text = compare_table_text(c, pair->after);
    findings_put(
        c->findings,
        &(struct finding){
            .id = "foreign_key.changed",
            .severity = SEVERITY_POTENTIALLY_BREAKING,
            .object = text,
            .what = compare_say(c,
                                "foreign key %s of table %s: ON DELETE %s ON UPDATE %s becomes "
                                "ON DELETE %s ON UPDATE %s",
                                after->name, text, action_name(before->on_delete),
                                action_name(before->on_update), action_name(after->on_delete),
                                action_name(after->on_update)),
            .impact = "the deletion of a parent does something else to its children",
            .sql = c->carried
                       ? ""
                       : compare_say(c, "%s %s", drop_constraint(c, pair->before, before->name),
                                     compare_foreign_key_sql(c, pair->after, after)),
            .rollback_sql =
                c->carried
                    ? ""
                    : compare_say(c, "%s %s", drop_constraint(c, pair->after, after->name),
                                  compare_foreign_key_sql(c, pair->before, before))});
}

static void report_foreign_key_lost(struct comparison *c, const struct table_pair *pair,
                                    const struct catalog_foreign_key *key)
{
    const char *text = compare_table_text(c, pair->before);
    findings_put(
        c->findings,
        &(struct finding){.id = "foreign_key.removed",
                          .severity = SEVERITY_NON_BREAKING,
                          .object = text,
                          .what = compare_say(c, "foreign key %s of table %s is removed: %s",
                                              key->name, text, reference(c, pair->before, key)),
                          .impact = "rows without a parent are no longer refused",
                          .sql = c->carried ? "" : drop_constraint(c, pair->before, key->name),
                          .rollback_sql =
                              c->carried ? "" : compare_foreign_key_sql(c, pair->before, key)});
}

void compare_foreign_keys(struct comparison *c, const struct table_pair *pair)
{
    const struct catalog_table *before = pair->before, *after = pair->after;
    for (uint16_t i = 0; i < after->foreign_key_count; i++) {
        const struct catalog_foreign_key *match = NULL;
        for (uint16_t j = 0; !match && j < before->foreign_key_count; j++)
            if (same_foreign_key(c, pair, &before->foreign_keys[j], &after->foreign_keys[i]))
                match = &before->foreign_keys[j];
        if (!match)
            report_foreign_key(c, pair, &after->foreign_keys[i]);
        else if (match->on_delete != after->foreign_keys[i].on_delete ||
                 match->on_update != after->foreign_keys[i].on_update)
            report_action(c, pair, match, &after->foreign_keys[i]);
        if (match)
            report_filtered_parent(c, pair, &after->foreign_keys[i]);
    }
    for (uint16_t j = 0; j < before->foreign_key_count; j++) {
        bool kept = false;
        for (uint16_t i = 0; i < after->foreign_key_count; i++)
            kept |=
                same_foreign_key(c, pair, &before->foreign_keys[j], &after->foreign_keys[i]);
        if (!kept)
            report_foreign_key_lost(c, pair, &before->foreign_keys[j]);
    }
}

/* ---- check and exclusion ---- */

static bool same_constraint(const struct table_pair *pair,
                            const struct catalog_constraint *before,
                            const struct catalog_constraint *after)
{
    return before->kind == after->kind &&
           compare_same_expression(pair,
                                   before->expression ? before->expression : before->definition,
                                   after->expression ? after->expression : after->definition);
}

static const struct catalog_constraint *find_named(const struct catalog_table *table,
                                                   const struct catalog_constraint *like)
{
    for (uint16_t i = 0; i < table->constraint_count; i++)
        if (table->constraints[i].kind == like->kind &&
            strcmp(table->constraints[i].name, like->name) == 0)
            return &table->constraints[i];
    return NULL;
}

/* True if some constraint of the other table says the same. `after` is of pair->after. */
static bool said_before(const struct table_pair *pair, const struct catalog_constraint *after)
{
    for (uint16_t i = 0; i < pair->before->constraint_count; i++)
        if (same_constraint(pair, &pair->before->constraints[i], after))
            return true;
    return false;
}

/* Of several tables each may keep to an exclusion by itself. */
static bool holds_already(const struct comparison *c, const struct table_pair *pair,
                          const struct catalog_constraint *after)
{
    return said_before(pair, after) &&
           (after->kind == 'c' || !compare_is_merged(c, pair->after));
}

static bool said_after(const struct table_pair *pair, const struct catalog_constraint *before)
{
    for (uint16_t i = 0; i < pair->after->constraint_count; i++)
        if (same_constraint(pair, before, &pair->after->constraints[i]))
            return true;
    return false;
}

static bool reads_unsaid(const struct table_pair *pair, const char *expression)
{
    for (uint16_t i = 0; i < pair->after->column_count; i++)
        if (!compare_is_said(pair, i) && compare_reads(pair->after, i, expression))
            return true;
    return false;
}

static const char *count_refused(struct comparison *c, const struct table_pair *pair,
                                 const struct catalog_constraint *constraint)
{
    if (!constraint->expression || !pair->rows || reads_unsaid(pair, constraint->expression))
        return NULL;
    return compare_keep(
        c, validation_count(pair->rows, compare_say(c, "NOT (%s)", constraint->expression)));
}

/* Rows of all tables that go there: those of two may exclude each other. */
static const char *count_excluded(struct comparison *c, const struct table_pair *pair,
                                  const struct catalog_constraint *constraint)
{
    struct index_text index;
    const char *rows;
    if (!index_text_parse(constraint->definition, &c->arena, &index))
        return NULL;
    rows = compare_rows_of_text(c, pair->after, &index);
    return rows ? compare_keep(c, validation_excluded(rows, &index)) : NULL;
}

static void report_constraint(struct comparison *c, const struct table_pair *pair,
                              const struct catalog_constraint *constraint)
{
    const char *text = compare_table_text(c, pair->after);
    const struct catalog_constraint *old = find_named(pair->before, constraint);
    bool check = constraint->kind == 'c';
    bool replaces = old && !said_after(pair, old) && check;
    const char *add =
        check ? add_constraint(c, pair->after, constraint->name, constraint->definition)
              : compare_say(c, "ALTER TABLE %s ADD CONSTRAINT %s %s;",
                            compare_table_sql(c, pair->after),
                            compare_ident(c, constraint->name), constraint->definition);
    const char *drop = drop_constraint(c, pair->after, constraint->name);
    findings_put(
        c->findings,
        &(struct finding){
            .id = !check     ? "exclusion.added"
                  : replaces ? "check.changed"
                             : "check.added",
            .severity = SEVERITY_POTENTIALLY_BREAKING,
            .object = text,
            .what = compare_say(c, "table %s: constraint %s is %s: %s", text, constraint->name,
                                replaces ? "changed" : "added", constraint->definition),
            .impact = "a row that does not satisfy it is refused",
            .fix = "mend the rows that are in its way first",
            .sql = c->carried ? ""
                   : replaces ? compare_say(c, "%s %s", drop, add)
                              : add,
            .rollback_sql =
                replaces && !c->carried
                    ? compare_say(c, "%s %s", drop,
                                  add_constraint(c, pair->before, old->name, old->definition))
                    : drop,
            .validation_query = check ? count_refused(c, pair, constraint)
                                      : count_excluded(c, pair, constraint)});
}

static void report_constraint_lost(struct comparison *c, const struct table_pair *pair,
                                   const struct catalog_constraint *constraint)
{
    const char *text = compare_table_text(c, pair->before);
    const struct catalog_constraint *now = find_named(pair->after, constraint);
    if (now && !said_before(pair, now) && constraint->kind == 'c')
        return; /* reported as changed */
    findings_put(
        c->findings,
        &(struct finding){
            .id = constraint->kind == 'c' ? "check.removed" : "exclusion.removed",
            .severity = SEVERITY_NON_BREAKING,
            .object = text,
            .what = compare_say(c, "table %s: constraint %s is removed: %s", text,
                                constraint->name, constraint->definition),
            .impact = "rows that it refused are accepted",
            .sql = c->carried ? "" : drop_constraint(c, pair->before, constraint->name),
            .rollback_sql = c->carried ? ""
                                       : add_constraint(c, pair->before, constraint->name,
                                                        constraint->definition)});
}

void compare_constraints(struct comparison *c, const struct table_pair *pair)
{
    for (uint16_t i = 0; i < pair->after->constraint_count; i++)
        if (!holds_already(c, pair, &pair->after->constraints[i]))
            report_constraint(c, pair, &pair->after->constraints[i]);
    for (uint16_t i = 0; i < pair->before->constraint_count; i++)
        if (!said_after(pair, &pair->before->constraints[i]))
            report_constraint_lost(c, pair, &pair->before->constraints[i]);
}
