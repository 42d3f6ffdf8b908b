/* Tables that only one of two files has, and views and procedures.
 *
 * A table that is gone and one of the same columns that is new are probably one table with
 * another name: the statement then renames, and the finding says so. It stays breaking, since
 * whoever asks for the old name does not get it. */
#include "schema/comparison.h"

#include "schema/ident.h"

#include <string.h>

/* ---- new ones ---- */

static const char *create_table(struct comparison *c, const struct catalog_table *table)
{
    struct buf sql = {0};
    buf_append_format(&sql, "CREATE TABLE %s (", compare_table_sql(c, table));
    for (uint16_t i = 0; i < table->column_count; i++)
        buf_append_format(&sql, "%s%s", i ? ", " : "",
                          compare_column_definition(c, &table->columns[i]));
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        if (index->unique)
            buf_append_format(
                &sql, ", CONSTRAINT %s %s (%s)", compare_ident(c, index->name),
                index->primary ? "PRIMARY KEY" : "UNIQUE",
                compare_columns_sql(c, table, index->columns, index->column_count));
    }
    for (uint16_t i = 0; i < table->constraint_count; i++)
        buf_append_format(&sql, ", CONSTRAINT %s %s",
                          compare_ident(c, table->constraints[i].name),
                          table->constraints[i].definition);
    buf_append_text(&sql, ");");
    return compare_take(c, &sql);
}

/* Foreign keys and plain indexes come after all tables are there. */
static void add_what_follows(struct comparison *c, const struct catalog_table *table)
{
    const char *text = compare_table_text(c, table);
    for (uint16_t i = 0; i < table->foreign_key_count; i++)
        findings_put(c->findings,
                     &(struct finding){
                         .id = "foreign_key.of_new_table",
                         .severity = SEVERITY_ADDITIVE,
                         .object = text,
                         .what = compare_say(c, "new table %s has foreign key %s", text,
                                             table->foreign_keys[i].name),
                         .sql = compare_foreign_key_sql(c, table, &table->foreign_keys[i])});
    for (uint16_t i = 0; i < table->index_count; i++)
        if (!table->indexes[i].unique)
            findings_put(
                c->findings,
                &(struct finding){.id = "index.added",
                                  .severity = SEVERITY_ADDITIVE,
                                  .object = text,
                                  .what = compare_say(c, "new table %s has index %s", text,
                                                      table->indexes[i].name),
                                  .sql = compare_index_sql(c, table, &table->indexes[i])});
}

void compare_new_table(struct comparison *c, const struct catalog_table *table)
{
    const char *text = compare_table_text(c, table);
    findings_put(c->findings,
                 &(struct finding){.id = "table.added",
                                   .severity = SEVERITY_ADDITIVE,
                                   .object = text,
                                   .what = compare_say(c, "table %s is added", text),
                                   .sql = create_table(c, table),
                                   .rollback_sql = compare_say(c, "DROP TABLE %s;",
                                                               compare_table_sql(c, table))});
    add_what_follows(c, table);
}

/* ---- those that are gone ---- */

/* Of all columns of both, how many are the same by name and type, in percent. */
static int likeness(const struct catalog_table *a, const struct catalog_table *b)
{
    int same = 0, all = a->column_count + b->column_count;
    for (uint16_t i = 0; i < a->column_count; i++) {
        int j = catalog_column_index(b, a->columns[i].name);
        same += j >= 0 && strcmp(a->columns[i].base_type, b->columns[j].base_type) == 0;
    }
    return all ? 200 * same / all : 0;
}

/* The new table that this one has most likely become, or NULL. */
static const struct catalog_table *likely_name(const struct comparison *c,
                                               const struct catalog_table *gone)
{
    const struct catalog_table *best = NULL;
    int most = 69; /* percent */
    for (size_t i = 0; i < c->after->table_count; i++) {
        const struct catalog_table *table = &c->after->tables[i];
        int like = likeness(gone, table);
        if (like > most && !catalog_find(c->before, table->schema, table->name)) {
            best = table;
            most = like;
        }
    }
    return best;
}

static bool is_claimed(const struct comparison *c, const struct catalog_table *table)
{
    for (size_t i = 0; i < c->before->table_count; i++) {
        const struct catalog_table *gone = &c->before->tables[i];
        if (!catalog_find(c->after, gone->schema, gone->name) && likely_name(c, gone) == table)
            return true;
    }
    return false;
}

static void report_gone(struct comparison *c, const struct catalog_table *table)
{
    const char *text = compare_table_text(c, table);
    const struct catalog_table *now = likely_name(c, table);
    struct finding finding = {.id = now ? "table.renamed" : "table.removed",
                              .severity = SEVERITY_BREAKING,
                              .object = text,
                              .impact = "whoever reads or writes it by this name fails"};
    if (now) {
        const char *name = compare_table_text(c, now);
        finding.what = compare_say(c, "table %s is gone; it is probably %s now", text, name);
        finding.fix = "keep a view of the old name until nobody uses it";
        finding.sql = compare_say(c, "ALTER TABLE %s RENAME TO %s;",
                                  compare_table_sql(c, table), compare_ident(c, now->name));
        finding.rollback_sql =
            compare_say(c, "ALTER TABLE %s RENAME TO %s;", compare_table_sql(c, now),
                        compare_ident(c, table->name));
    } else {
        finding.what = compare_say(c, "table %s is removed", text);
        finding.fix = "drop it when nobody uses it any more, and after a backup";
        finding.sql = compare_say(c, "DROP TABLE %s;", compare_table_sql(c, table));
        finding.rollback_sql = create_table(c, table);
    }
    findings_put(c->findings, &finding);
}

void compare_tables(struct comparison *c)
{
    for (size_t i = 0; i < c->before->table_count; i++) {
        const struct catalog_table *table = &c->before->tables[i];
        if (!catalog_find(c->after, table->schema, table->name))
            report_gone(c, table);
    }
    for (size_t i = 0; i < c->after->table_count; i++) {
        const struct catalog_table *table = &c->after->tables[i];
        if (catalog_find(c->before, table->schema, table->name))
            continue;
        if (!is_claimed(c, table))
            compare_new_table(c, table);
        else
            findings_put(c->findings, &(struct finding){
                                          .id = "table.added",
                                          .severity = SEVERITY_ADDITIVE,
                                          .object = compare_table_text(c, table),
                                          .what = "the table's name is new, the table probably "
                                                  "is not"});
    }
}

void compare_inheritance(struct comparison *c, const struct table_pair *pair)
{
    const char *text = compare_table_text(c, pair->after);
    if (!pair->before->inherits || pair->after->inherits)
        return;
    findings_put(
        c->findings,
        &(struct finding){
            .id = "table.not_inherited",
            .severity = SEVERITY_POTENTIALLY_BREAKING,
            .object = text,
            .what = compare_say(c, "table %s inherits from %s, at the target from none", text,
                                pair->before->inherits),
            .impact = "who reads the parent does not see its rows at the target",
            .fix = "ALTER TABLE ... INHERIT at the target, once it holds the data"});
}

/* ---- views and procedures ---- */

static const struct catalog_object *find_object(const struct catalog *catalog,
                                                const struct catalog_object *wanted)
{
    for (size_t i = 0; i < catalog->object_count; i++)
        if (strcmp(catalog->objects[i].kind, wanted->kind) == 0 &&
            strcmp(catalog->objects[i].name, wanted->name) == 0)
            return &catalog->objects[i];
    return NULL;
}

static void report_object(struct comparison *c, const struct catalog_object *object,
                          const char *id, enum severity severity, const char *what,
                          const char *impact)
{
    findings_put(c->findings,
                 &(struct finding){
                     .id = id,
                     .severity = severity,
                     .object = object->name,
                     .what = compare_say(c, "%s %s is %s", object->kind, object->name, what),
                     .impact = impact});
}

void compare_objects(struct comparison *c)
{
    for (size_t i = 0; i < c->before->object_count; i++) {
        const struct catalog_object *before = &c->before->objects[i];
        const struct catalog_object *after = find_object(c->after, before);
        if (!after)
            report_object(c, before, "object.removed", SEVERITY_BREAKING, "removed",
                          "whoever uses it fails");
        else if (strcmp(before->definition, after->definition) != 0)
            report_object(c, before, "object.changed", SEVERITY_POTENTIALLY_BREAKING, "changed",
                          "whoever uses it may get something else");
    }
    for (size_t i = 0; i < c->after->object_count; i++)
        if (!find_object(c->before, &c->after->objects[i]))
            report_object(c, &c->after->objects[i], "object.added", SEVERITY_ADDITIVE, "added",
                          "");
}
