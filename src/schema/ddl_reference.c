/* Foreign keys. One whose parent's key gained columns (outline_owner) becomes composite, where
 * the child has the same constants: (tenant_id, user_id) REFERENCES users (tenant_id, id). */
#include "schema/ddl_inside.h"

#include <string.h>

struct reference {
    const struct definition_reference *definition;
    const struct ddl_table *child;
    const struct ddl_table *parent;
    struct buf columns;
    struct buf parent_columns;
    size_t owner_count;
    const char *parent_names[2 * DEFINITION_KEY_COLUMNS];
    size_t count;
    struct buf why; /* it is left out */
};

static const char *name_of(const struct catalog_table *table, int16_t number)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return table->columns[i].name;
    return "?";
}

static void add_pair(struct planner *planner, struct reference *reference, const char *column,
                     const char *parent_column)
{
    const char *separator = reference->count ? ", " : "";

    buf_append_format(&reference->columns, "%s%s", separator, planner_ident(planner, column));
    buf_append_format(&reference->parent_columns, "%s%s", separator,
                      planner_ident(planner, parent_column));
    reference->parent_names[reference->count++] = parent_column;
}

static bool same_value(const struct outline_column *a, const struct outline_column *b)
{
    return a->constant && b->constant && a->value && b->value &&
           strcmp(a->value, b->value) == 0;
}

/* The child's column with the owner's constant, one of the same name first. */
static const struct outline_column *counterpart(const struct outline_table *child,
                                                const struct outline_column *owner)
{
    const struct outline_column *same = outline_column(child, owner->name);

    if (same && same_value(same, owner))
        return same;
    for (size_t i = 0; i < child->column_count; i++)
        if (same_value(&child->columns[i], owner))
            return &child->columns[i];
    return NULL;
}

static bool pair_owners(struct planner *planner, struct reference *reference)
{
    const struct outline_column *owner;

    for (size_t i = 0; (owner = outline_owner(&reference->parent->outline, i)); i++) {
        const struct outline_column *column = counterpart(&reference->child->outline, owner);

        if (!column) {
            buf_append_format(&reference->why,
                              "the key of its parent gained %s, and it has no such column",
                              owner->name);
            return false;
        }
        add_pair(planner, reference, column->name, owner->name);
        reference->owner_count++;
    }
    return true;
}

static bool pair_columns(struct planner *planner, struct reference *reference)
{
    const struct definition_reference *definition = reference->definition;

    for (size_t i = 0; i < definition->column_count; i++) {
        const char *name = name_of(reference->child->outline.source, definition->columns[i]);
        const char *parent_name =
            name_of(reference->parent->outline.source, definition->parent_columns[i]);
        const struct outline_column *column = outline_heir(&reference->child->outline, name);
        const struct outline_column *parent_column =
            outline_heir(&reference->parent->outline, parent_name);

        if (!column || !parent_column) {
            buf_append_format(&reference->why, "%s of the %s is not carried as it is",
                              column ? parent_name : name, column ? "parent" : "child");
            return false;
        }
        add_pair(planner, reference, column->name, parent_column->name);
    }
    return true;
}

/* --- is there a unique key to refer to? --- */

static bool names_column(const struct reference *reference, const char *name)
{
    for (size_t i = 0; i < reference->count; i++)
        if (strcmp(reference->parent_names[i], name) == 0)
            return true;
    return false;
}

static bool is_primary_key(const struct reference *reference)
{
    const struct ddl_table *parent = reference->parent;

    if (parent->key_count != reference->count)
        return false;
    for (size_t i = 0; i < parent->key_count; i++)
        if (!names_column(reference, parent->keys[i]))
            return false;
    return true;
}

static bool is_of(const struct definition_reference *definition,
                  const struct catalog_table *parent, const struct catalog_index *index)
{
    if (index->primary || !index->unique || !index->usable || !index->immediate ||
        index->column_count != definition->column_count)
        return false;
    for (uint16_t i = 0; i < index->column_count; i++) {
        bool found = false;

        for (size_t j = 0; j < definition->column_count; j++)
            found |= parent->columns[index->columns[i]].number == definition->parent_columns[j];
        if (!found)
            return false;
    }
    return true;
}

/* A unique index of the source is carried with the owners in front, as the reference is. */
static bool has_unique_key(struct planner *planner, struct reference *reference)
{
    const struct catalog_table *parent = reference->parent->outline.source;

    if (is_primary_key(reference))
        return true;
    for (uint16_t i = 0; i < parent->index_count; i++)
        if (is_of(reference->definition, parent, &parent->indexes[i]) &&
            index_is_made(planner, reference->parent, parent->indexes[i].name))
            return true;
    buf_append_text(&reference->why, "the rules give its parent another key");
    return false;
}

/* --- the statement --- */

static const char *action_words(char action)
{
    static const struct {
        char action;
        const char *words;
    } actions[] = {
        {'r', "RESTRICT"}, {'c', "CASCADE"}, {'n', "SET NULL"}, {'d', "SET DEFAULT"}};

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (actions[i].action == action)
            return actions[i].words;
    return NULL;
}

/* The owner's columns are not to be reset with the others (PostgreSQL 15 and later). */
static void append_reset(struct planner *planner, const struct reference *reference,
                         struct buf *sql)
{
    const struct definition_reference *definition = reference->definition;
    bool some = definition->reset_count > 0;
    size_t count = some ? definition->reset_count : definition->column_count;
    const int16_t *numbers = some ? definition->reset_columns : definition->columns;

    if ((definition->on_delete != 'n' && definition->on_delete != 'd') ||
        (!some && reference->owner_count == 0))
        return;
    for (size_t i = 0; i < count; i++) {
        const char *name = name_of(reference->child->outline.source, numbers[i]);
        const struct outline_column *column = outline_heir(&reference->child->outline, name);

        buf_append_format(sql, "%s%s", i ? ", " : " (",
                          planner_ident(planner, column ? column->name : name));
    }
    buf_append_text(sql, ")");
}

/* In the order of pg_get_constraintdef(). */
static void append_actions(struct planner *planner, const struct reference *reference,
                           struct buf *sql)
{
    const struct definition_reference *definition = reference->definition;
    const char *on_delete = action_words(definition->on_delete);
    const char *on_update = action_words(definition->on_update);

    buf_append_text(sql, definition->match == 'f' ? " MATCH FULL" : "");
    if (on_update)
        buf_append_format(sql, " ON UPDATE %s", on_update);
    if (on_delete) {
        buf_append_format(sql, " ON DELETE %s", on_delete);
        append_reset(planner, reference, sql);
    }
    if (definition->deferrable)
        buf_append_format(sql, " DEFERRABLE%s",
                          definition->deferred ? " INITIALLY DEFERRED" : "");
}

static struct ddl_statement *add_statement(struct planner *planner,
                                           const struct reference *reference,
                                           enum ddl_kind kind, struct buf *sql)
{
    struct ddl_statement *statement =
        planner_add(planner, DDL_AFTER, kind, reference->child->outline.schema,
                    reference->definition->name);

    statement->table = reference->child->outline.name;
    statement->sql = planner_take(planner, sql);
    return statement;
}

static void plan_validation(struct planner *planner, const struct reference *reference)
{
    struct buf sql = {0};

    buf_append_format(&sql, "ALTER TABLE %s VALIDATE CONSTRAINT %s",
                      planner_name(planner, reference->child),
                      planner_ident(planner, reference->definition->name));
    add_statement(planner, reference, DDL_SETTING, &sql)->waits = true;
}

static const char *reference_body(struct planner *planner, const struct reference *reference)
{
    struct buf body = {0};

    buf_append_format(&body, "FOREIGN KEY (%s) REFERENCES %s (%s)",
                      buf_text(&reference->columns), planner_name(planner, reference->parent),
                      buf_text(&reference->parent_columns));
    append_actions(planner, reference, &body);
    return planner_take(planner, &body);
}

static void comment_on(struct planner *planner, const struct reference *reference)
{
    struct buf what = {0};

    buf_append_format(&what, "CONSTRAINT %s ON %s",
                      planner_ident(planner, reference->definition->name),
                      planner_name(planner, reference->child));
    planner_comment(planner, DDL_AFTER, reference->child, buf_text(&what),
                    reference->definition->comment);
    buf_free(&what);
}

static void plan_statement(struct planner *planner, const struct reference *reference)
{
    const struct definition_reference *definition = reference->definition;
    /* The server cannot add one NOT VALID to a partitioned table. */
    bool may_wait = !reference->child->partitioned;
    bool not_valid = may_wait && (planner->live || !definition->validated);
    const char *body = reference_body(planner, reference);
    struct ddl_statement *statement;
    struct buf sql = {0};

    buf_append_format(
        &sql, "ALTER TABLE %s ADD CONSTRAINT %s %s%s", planner_name(planner, reference->child),
        planner_ident(planner, definition->name), body, not_valid ? " NOT VALID" : "");
    statement = add_statement(planner, reference, DDL_CONSTRAINT, &sql);
    statement->body = body;
    statement->parent = planner_name(planner, reference->parent);
    if (not_valid && definition->validated)
        plan_validation(planner, reference);
    comment_on(planner, reference);
}

/* --- which table is the parent --- */

static void forget(struct reference *reference)
{
    buf_free(&reference->columns);
    buf_free(&reference->parent_columns);
    buf_free(&reference->why);
}

/* Rows that are not carried are missing as parents. */
static bool holds_all(struct reference *reference)
{
    if (!reference->parent->outline.partial)
        return true;
    buf_append_text(&reference->why,
                    "its parent gets some of the rows only (where, route); add it yourself if "
                    "those that it refers to are among them");
    return false;
}

static bool resolve_with(struct planner *planner, const struct ddl_table *parent,
                         struct reference *reference)
{
    *reference = (struct reference){
        .definition = reference->definition, .child = reference->child, .parent = parent};
    return holds_all(reference) && pair_owners(planner, reference) &&
           pair_columns(planner, reference) && has_unique_key(planner, reference);
}

/* The first table made of the parent's rows that can be referred to; else reference->why is what
 * the first of them lacks. */
static bool resolve(struct planner *planner, const struct ddl_table *child,
                    const struct definition_reference *definition, struct reference *found)
{
    struct reference first = {.definition = definition, .child = child};

    for (size_t i = 0; i < planner->table_count; i++) {
        struct reference reference = {.definition = definition, .child = child};

        if (planner->tables[i].outline.source->oid != definition->parent)
            continue;
        if (resolve_with(planner, &planner->tables[i], &reference)) {
            forget(&first);
            *found = reference;
            return true;
        }
        if (!first.parent)
            first = reference;
        else
            forget(&reference);
    }
    if (!first.parent)
        buf_append_text(&first.why, "no rule carries its parent");
    *found = first;
    return false;
}

const char *reference_says(struct planner *planner, const struct ddl_table *table, size_t i)
{
    struct reference reference;
    struct buf text = {0};

    if (resolve(planner, table, &table->definition->references[i], &reference)) {
        buf_append_text(&text, reference_body(planner, &reference));
    } else {
        buf_append_format(&text, "- %s: %s", reference.definition->name,
                          buf_text(&reference.why));
    }
    forget(&reference);
    return planner_take(planner, &text);
}

static void plan_reference(struct planner *planner, const struct ddl_table *table, size_t i)
{
    const struct definition_reference *definition = &table->definition->references[i];
    const struct ddl_table *other;
    struct reference reference;

    if (merge_repeats(planner, table, DDL_OBJECT_REFERENCE, i))
        return;
    other = merge_lacking(planner, table, DDL_OBJECT_REFERENCE, i);
    if (resolve(planner, table, definition, &reference) && other)
        buf_append_format(&reference.why, "%s goes to %s too, and has none like it",
                          planner_source(planner, other), planner_name(planner, table));
    if (reference.why.size)
        planner_note(planner, DDL_AFTER, "left out: foreign key %s of %s: %s", definition->name,
                     planner_source(planner, table), buf_text(&reference.why));
    else
        plan_statement(planner, &reference);
    forget(&reference);
}

void plan_references(struct planner *planner, const struct ddl_table *table)
{
    for (size_t i = 0; table->definition && i < table->definition->reference_count; i++)
        plan_reference(planner, table, i);
}
