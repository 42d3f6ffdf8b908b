/* Indexes and the constraints that are not foreign keys. A unique one of a table that holds the
 * rows of others too (outline_owner) is unique beside them: their columns go first. */
#include "schema/ddl_inside.h"

#include <string.h>

struct parts {
    struct buf keys;
    struct buf included;
    size_t key_count;
    const char *predicate; /* NULL: none */
};

static void add_key(struct parts *parts, const char *expression, const char *suffix)
{
    buf_append_format(&parts->keys, "%s%s%s", parts->keys.size ? ", " : "", expression, suffix);
    parts->key_count++;
}

static bool is_part(struct planner *planner, const struct ddl_table *table,
                    const struct definition_index *index, const char *column)
{
    const char *quoted = planner_ident(planner, column);

    for (size_t i = 0; i < index->part_count; i++) {
        struct buf renamed = {0};
        const char *missing;
        bool same = expression_rename(index->parts[i].expression, table->names,
                                      table->name_count, &renamed, &missing) &&
                    strcmp(buf_text(&renamed), quoted) == 0;

        buf_free(&renamed);
        if (same)
            return true;
    }
    return false;
}

static void add_owners(struct planner *planner, const struct ddl_table *table,
                       const struct definition_index *index, struct parts *parts)
{
    const struct outline_table *outline = table->root ? &table->root->outline : &table->outline;
    const struct outline_column *owner;

    for (size_t i = 0; index->unique && (owner = outline_owner(outline, i)); i++)
        if (!is_part(planner, table, index, owner->name))
            add_key(parts, planner_ident(planner, owner->name), "");
}

/* Plain columns may change their type; expressions over them may then not hold. */
static const char *rename_part(struct planner *planner, const struct ddl_table *table,
                               const char *expression, const char **missing)
{
    bool plain = expression[0] != '(' && !strchr(expression, '(');
    struct buf renamed = {0};

    if (!plain)
        return planner_expression(planner, table, expression, missing);
    if (expression_rename(expression, table->names, table->name_count, &renamed, missing))
        return planner_take(planner, &renamed);
    buf_free(&renamed);
    return NULL;
}

static bool add_parts(struct planner *planner, const struct ddl_table *table,
                      const struct definition_index *index, struct parts *parts,
                      const char **missing)
{
    if (index->predicate) {
        parts->predicate = planner_expression(planner, table, index->predicate, missing);
        if (!parts->predicate)
            return false;
    }
    add_owners(planner, table, index, parts);
    for (size_t i = 0; i < index->part_count; i++) {
        const struct definition_part *part = &index->parts[i];
        const char *renamed = rename_part(planner, table, part->expression, missing);

        if (!renamed)
            return false;
        if (part->included)
            buf_append_format(&parts->included, "%s%s", parts->included.size ? ", " : "",
                              renamed);
        else
            add_key(parts, renamed, part->suffix);
    }
    return true;
}

static void append_list(const struct definition_index *index, const struct parts *parts,
                        bool of_constraint, struct buf *sql)
{
    const char *nulls = index->nulls_not_distinct ? " NULLS NOT DISTINCT" : "";

    buf_append_format(sql, "%s (%s)", of_constraint ? nulls : "", buf_text(&parts->keys));
    if (parts->included.size)
        buf_append_format(sql, " INCLUDE (%s)", buf_text(&parts->included));
    if (!of_constraint)
        buf_append_text(sql, nulls);
    if (index->options)
        buf_append_format(sql, " WITH (%s)", index->options);
}

static void append_deferral(const struct definition_index *index, struct buf *sql)
{
    if (index->deferrable)
        buf_append_format(sql, " DEFERRABLE INITIALLY %s",
                          index->deferred ? "DEFERRED" : "IMMEDIATE");
}

static const char *kind_of(const struct definition_index *index)
{
    return index->constraint ? "unique constraint" : index->unique ? "unique index" : "index";
}

/* The name, or one of its own where another object of the target has it, with a note. */
static const char *own_name(struct planner *planner, const struct ddl_table *table,
                            enum ddl_phase phase, const char *word, const char *name)
{
    const char *own = planner_new_name(planner, table, table->outline.schema, name);

    if (strcmp(own, name) != 0)
        planner_note(planner, phase, "%s %s of %s is called %s at %s", word, name,
                     planner_source(planner, table), own, planner_name(planner, table));
    return own;
}

static struct ddl_statement *add(struct planner *planner, enum ddl_phase phase,
                                 enum ddl_kind kind, const struct ddl_table *table,
                                 const char *name, struct buf *sql)
{
    struct ddl_statement *statement =
        planner_add(planner, phase, kind, table->outline.schema, name);

    statement->table = table->outline.name;
    statement->sql = planner_take(planner, sql);
    return statement;
}

/* --- as an index --- */

static bool is_concurrent(const struct planner *planner, const struct ddl_table *table,
                          enum ddl_phase phase)
{
    return planner->live && phase == DDL_AFTER && !table->partitioned;
}

static const char *index_body(struct planner *planner, const struct definition_index *index,
                              const struct parts *parts)
{
    struct buf body = {0};

    buf_append_format(&body, "USING %s", index->method);
    append_list(index, parts, false, &body);
    if (parts->predicate)
        buf_append_format(&body, " WHERE %s", parts->predicate);
    return planner_take(planner, &body);
}

static void plan_index(struct planner *planner, const struct ddl_table *table,
                       const struct definition_index *index, enum ddl_phase phase,
                       const struct parts *parts, const char *name)
{
    bool concurrent = is_concurrent(planner, table, phase);
    const char *body = index_body(planner, index, parts);
    struct ddl_statement *statement;
    struct buf sql = {0};

    buf_append_format(&sql, "CREATE %sINDEX %s%s ON %s %s", index->unique ? "UNIQUE " : "",
                      concurrent ? "CONCURRENTLY " : "", planner_ident(planner, name),
                      planner_name(planner, table), body);
    statement = add(planner, phase, DDL_INDEX, table, name, &sql);
    statement->body = body;
    statement->unique = index->unique;
    statement->waits = concurrent;
}

/* --- as a constraint --- */

static const char *unique_body(struct planner *planner, const struct definition_index *index,
                               const struct parts *parts)
{
    struct buf body = {0};

    buf_append_text(&body, "UNIQUE");
    append_list(index, parts, true, &body);
    append_deferral(index, &body);
    return planner_take(planner, &body);
}

static void plan_unique(struct planner *planner, const struct ddl_table *table,
                        const struct definition_index *index, enum ddl_phase phase,
                        const struct parts *parts, const char *name)
{
    const char *body = unique_body(planner, index, parts);
    struct buf sql = {0};

    buf_append_format(&sql, "ALTER TABLE %s ADD CONSTRAINT %s ", planner_name(planner, table),
                      planner_ident(planner, name));
    if (is_concurrent(planner, table, phase)) {
        plan_index(planner, table, index, phase, parts, name);
        buf_append_format(&sql, "UNIQUE USING INDEX %s", planner_ident(planner, name));
        append_deferral(index, &sql);
    } else {
        buf_append_text(&sql, body);
    }
    add(planner, phase, DDL_CONSTRAINT, table, name, &sql)->body = body;
}

static void comment_on(struct planner *planner, const struct ddl_table *table,
                       enum ddl_phase phase, const struct definition_index *index,
                       const char *name)
{
    struct buf what = {0};
    struct buf schema = {0};

    if (index->constraint) {
        buf_append_format(&what, "CONSTRAINT %s ON %s", planner_ident(planner, name),
                          planner_name(planner, table));
    } else {
        buf_append_text(&schema, planner_ident(planner, table->outline.schema));
        buf_append_format(&what, "INDEX %s.%s", buf_text(&schema),
                          planner_ident(planner, name));
    }
    planner_comment(planner, phase, table, buf_text(&what), index->comment);
    buf_free(&what);
    buf_free(&schema);
}

/* The primary key has the same columns, and nothing is said of them that it does not say. */
static bool key_covers(struct planner *planner, const struct ddl_table *table,
                       const struct definition_index *index, const struct parts *parts)
{
    if (!index->unique || index->predicate || parts->key_count != table->key_count ||
        table->root)
        return false;
    for (size_t i = 0; i < table->key_count; i++) {
        const struct outline_column *column = outline_column(&table->outline, table->keys[i]);

        if (!is_part(planner, table, index, table->keys[i]) && !(column && column->constant))
            return false;
    }
    return true;
}

static void free_parts(struct parts *parts)
{
    buf_free(&parts->keys);
    buf_free(&parts->included);
}

/* NULL: it can be made. */
static const char *why_not(struct planner *planner, const struct ddl_table *table,
                           const struct definition_index *index, struct parts *parts)
{
    const char *missing = NULL;
    struct buf why = {0};

    if (!add_parts(planner, table, index, parts, &missing))
        buf_append_format(&why, "%s is not carried as it is", missing);
    else if (key_covers(planner, table, index, parts))
        buf_append_text(&why, "the primary key has these columns");
    return why.size ? planner_take(planner, &why) : NULL;
}

const char *index_says(struct planner *planner, const struct ddl_table *table, size_t i)
{
    const struct definition_index *index = &table->definition->indexes[i];
    struct parts parts = {0};
    const char *why = why_not(planner, table, index, &parts);
    struct buf text = {0};

    if (why) {
        buf_append_format(&text, "- %s: %s", index->name, why);
    } else {
        buf_append_format(&text, "%s USING %s", kind_of(index), index->method);
        append_list(index, &parts, false, &text);
        append_deferral(index, &text);
        buf_append_format(&text, " WHERE %s", parts.predicate ? parts.predicate : "");
    }
    free_parts(&parts);
    return planner_take(planner, &text);
}

static void note_left_out(struct planner *planner, const struct ddl_table *table,
                          enum ddl_phase phase, const struct definition_index *index,
                          const char *why)
{
    planner_note(planner, phase, "left out: %s %s of %s: %s", kind_of(index), index->name,
                 planner_source(planner, table), why);
}

/* Uniqueness that not every source of the target has. */
static const char *why_not_shared(struct planner *planner, const struct ddl_table *table,
                                  size_t i)
{
    const struct ddl_table *other = merge_lacking(planner, table, DDL_OBJECT_INDEX, i);
    struct buf why = {0};

    if (!other || !table->definition->indexes[i].unique)
        return NULL;
    buf_append_format(&why, "%s goes to %s too, and has none like it",
                      planner_source(planner, other), planner_name(planner, table));
    return planner_take(planner, &why);
}

/* The name that it is made under, or NULL. */
static const char *plan_one(struct planner *planner, const struct ddl_table *table, size_t i,
                            enum ddl_phase phase)
{
    const struct definition_index *index = &table->definition->indexes[i];
    struct parts parts = {0};
    const char *why, *name = NULL;

    if (merge_repeats(planner, table, DDL_OBJECT_INDEX, i))
        return NULL;
    why = why_not(planner, table, index, &parts);
    why = why ? why : why_not_shared(planner, table, i);
    if (!why)
        name = own_name(planner, table, phase, kind_of(index), index->name);
    if (why)
        note_left_out(planner, table, phase, index, why);
    else if (index->constraint)
        plan_unique(planner, table, index, phase, &parts, name);
    else
        plan_index(planner, table, index, phase, &parts, name);
    if (name)
        comment_on(planner, table, phase, index, name);
    free_parts(&parts);
    return name;
}

bool index_is_made(struct planner *planner, const struct ddl_table *table, const char *name)
{
    for (size_t i = 0; table->definition && i < table->definition->index_count; i++) {
        struct parts parts = {0};
        bool made;

        if (strcmp(table->definition->indexes[i].name, name) != 0)
            continue;
        made = !why_not(planner, table, &table->definition->indexes[i], &parts) &&
               !why_not_shared(planner, table, i);
        free_parts(&parts);
        return made;
    }
    return true; /* nothing is known of it */
}

static void identify_by(struct planner *planner, const struct ddl_table *table,
                        const char *name)
{
    struct buf sql = {0};

    buf_append_format(&sql, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s",
                      planner_name(planner, table), planner_ident(planner, name));
    add(planner, DDL_BEFORE, DDL_SETTING, table, name, &sql);
}

/* Without a primary key it is what the sink finds rows by. */
void plan_identity_index(struct planner *planner, const struct ddl_table *table)
{
    for (size_t i = 0; table->definition && i < table->definition->index_count; i++) {
        const struct definition_index *index = &table->definition->indexes[i];
        const char *name;

        if (!index->identity || index->primary)
            continue;
        name = plan_one(planner, table, i, DDL_BEFORE);
        if (name)
            identify_by(planner, table, name);
    }
}

void plan_indexes(struct planner *planner, const struct ddl_table *table)
{
    for (size_t i = 0; table->definition && i < table->definition->index_count; i++) {
        const struct definition_index *index = &table->definition->indexes[i];

        if (!index->primary && !index->identity)
            plan_one(planner, table, i, DDL_AFTER);
    }
}

/* --- exclusion constraints, and checks that were never validated --- */

/* The name that it is made under, or NULL. An exclusion has an index of its name. */
static const char *plan_constraint(struct planner *planner, const struct ddl_table *table,
                                   const struct definition_constraint *constraint)
{
    const char *missing, *name = constraint->name;
    const char *renamed = planner_expression(planner, table, constraint->definition, &missing);
    struct buf sql = {0};

    if (!renamed) {
        planner_note(
            planner, DDL_AFTER,
            "left out: constraint %s of %s: it reads %s, which is not carried as it is",
            constraint->name, planner_source(planner, table), missing);
        return NULL;
    }
    if (constraint->kind != 'c')
        name = own_name(planner, table, DDL_AFTER, "constraint", name);
    buf_append_format(&sql, "ALTER TABLE %s ADD CONSTRAINT %s %s", planner_name(planner, table),
                      planner_ident(planner, name), renamed);
    add(planner, DDL_AFTER, DDL_CONSTRAINT, table, name, &sql)->body = renamed;
    return name;
}

const char *constraint_says(struct planner *planner, const struct ddl_table *table, size_t i)
{
    const struct definition_constraint *constraint = &table->definition->constraints[i];
    const char *missing;
    const char *renamed = planner_expression(planner, table, constraint->definition, &missing);
    struct buf text = {0};

    if (renamed)
        return renamed;
    buf_append_format(&text, "- %s: %s", constraint->name, missing);
    return planner_take(planner, &text);
}

bool constraint_is_shared(struct planner *planner, const struct ddl_table *table, size_t i,
                          enum ddl_phase phase)
{
    const struct ddl_table *other;

    if (merge_repeats(planner, table, DDL_OBJECT_CHECK, i))
        return false;
    other = merge_lacking(planner, table, DDL_OBJECT_CHECK, i);
    if (!other)
        return true;
    planner_note(planner, phase,
                 "left out: constraint %s of %s: %s goes to %s too, and has none like it",
                 table->definition->constraints[i].name, planner_source(planner, table),
                 planner_source(planner, other), planner_name(planner, table));
    return false;
}

static bool is_in_table(const struct ddl_table *table,
                        const struct definition_constraint *constraint)
{
    return constraint->kind == 'c' && constraint->validated && !table->root;
}

/* The name that the table was made with, or NULL: it was left out. */
static const char *name_in_table(struct planner *planner, const struct ddl_table *table,
                                 size_t i)
{
    const struct definition_constraint *constraint = &table->definition->constraints[i];
    const char *missing;

    if (merge_repeats(planner, table, DDL_OBJECT_CHECK, i) ||
        merge_lacking(planner, table, DDL_OBJECT_CHECK, i))
        return NULL;
    return planner_expression(planner, table, constraint->definition, &missing)
               ? constraint->name
               : NULL;
}

static void comment_on_constraint(struct planner *planner, const struct ddl_table *table,
                                  const struct definition_constraint *constraint,
                                  const char *name)
{
    struct buf what = {0};

    buf_append_format(&what, "CONSTRAINT %s ON %s", planner_ident(planner, name),
                      planner_name(planner, table));
    planner_comment(planner, is_in_table(table, constraint) ? DDL_BEFORE : DDL_AFTER, table,
                    buf_text(&what), constraint->comment);
    buf_free(&what);
}

void plan_constraints(struct planner *planner, const struct ddl_table *table)
{
    for (size_t i = 0; table->definition && i < table->definition->constraint_count; i++) {
        const struct definition_constraint *constraint = &table->definition->constraints[i];
        const char *name = NULL;

        if (is_in_table(table, constraint))
            name = name_in_table(planner, table, i);
        else if (constraint_is_shared(planner, table, i, DDL_AFTER))
            name = plan_constraint(planner, table, constraint);
        if (name)
            comment_on_constraint(planner, table, constraint, name);
    }
}
