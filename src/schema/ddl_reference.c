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
static bool has_unique_key(struct reference *reference)
{
    const struct catalog_table *parent = reference->parent->outline.source;

    if (is_primary_key(reference))
        return true;
    for (uint16_t i = 0; i < parent->index_count; i++)
        if (is_of(reference->definition, parent, &parent->indexes[i]))
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
        buf_append_format(sql, " DEFERRABLE INITIALLY %s",
                          definition->deferred ? "DEFERRED" : "IMMEDIATE");
}

static void add_statement(struct planner *planner, const struct reference *reference,
                          enum ddl_kind kind, struct buf *sql)
{
    struct ddl_statement *statement =
        planner_add(planner, DDL_AFTER, kind, reference->child->outline.schema,
                    reference->definition->name);

    statement->table = reference->child->outline.name;
    statement->sql = planner_take(planner, sql);
}

static void plan_validation(struct planner *planner, const struct reference *reference)
{
    struct buf sql = {0};

    buf_append_format(&sql, "ALTER TABLE %s VALIDATE CONSTRAINT %s",
                      planner_name(planner, reference->child),
                      planner_ident(planner, reference->definition->name));
    add_statement(planner, reference, DDL_SETTING, &sql);
}

static void plan_statement(struct planner *planner, const struct reference *reference)
{
    const struct definition_reference *definition = reference->definition;
    /* The server cannot add one NOT VALID to a partitioned table. */
    bool may_wait = !reference->child->partitioned;
    bool not_valid = may_wait && (planner->live || !definition->validated);
    struct buf sql = {0};

    buf_append_format(
        &sql, "ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s)",
        planner_name(planner, reference->child), planner_ident(planner, definition->name),
        buf_text(&reference->columns), planner_name(planner, reference->parent),
        buf_text(&reference->parent_columns));
    append_actions(planner, reference, &sql);
    buf_append_text(&sql, not_valid ? " NOT VALID" : "");
    add_statement(planner, reference, DDL_CONSTRAINT, &sql);
    if (not_valid && definition->validated)
        plan_validation(planner, reference);
    if (definition->comment) {
        struct buf what = {0};

        buf_append_format(&what, "CONSTRAINT %s ON %s",
                          planner_ident(planner, definition->name),
                          planner_name(planner, reference->child));
        planner_comment(planner, DDL_AFTER, reference->child, buf_text(&what),
                        definition->comment);
        buf_free(&what);
    }
}

static const struct ddl_table *find_parent(const struct planner *planner, uint32_t oid)
{
    for (size_t i = 0; i < planner->table_count; i++)
        if (planner->tables[i].outline.source->oid == oid)
            return &planner->tables[i];
    return NULL;
}

static void plan_reference(struct planner *planner, const struct ddl_table *table,
                           const struct definition_reference *definition)
{
    struct reference reference = {.definition = definition,
                                  .child = table,
                                  .parent = find_parent(planner, definition->parent)};

    if (!reference.parent)
        buf_append_text(&reference.why, "no rule carries its parent");
    else if (pair_owners(planner, &reference) && pair_columns(planner, &reference) &&
             has_unique_key(&reference))
        plan_statement(planner, &reference);
    if (reference.why.size)
        planner_note(planner, DDL_AFTER, "left out: foreign key %s of %s: %s", definition->name,
                     planner_source(planner, table), buf_text(&reference.why));
    buf_free(&reference.columns);
    buf_free(&reference.parent_columns);
    buf_free(&reference.why);
}

void plan_references(struct planner *planner, const struct ddl_table *table)
{
    for (size_t i = 0; table->definition && i < table->definition->reference_count; i++)
        plan_reference(planner, table, &table->definition->references[i]);
}
