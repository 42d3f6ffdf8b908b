/* Tables to make: with key, checks and partitions, and the sequences that they need. */
#include "schema/ddl_inside.h"

#include "schema/ident.h"

#include <stdlib.h>
#include <string.h>

/* --- collecting --- */

static const struct renaming *rename_columns(struct planner *planner,
                                             const struct ddl_table *table, bool inside)
{
    const struct catalog_table *source = table->outline.source;
    struct renaming *names =
        arena_alloc(planner->arena, (source->column_count + 1u) * sizeof(*names));

    for (uint16_t i = 0; i < source->column_count; i++) {
        const struct outline_column *heir =
            outline_heir(&table->outline, source->columns[i].name);
        bool goes_on = heir && (!inside || column_keeps_family(heir));

        names[i] = (struct renaming){source->columns[i].name, goes_on ? heir->name : NULL};
    }
    return names;
}

static void rename_all(struct planner *planner, struct ddl_table *table)
{
    table->name_count = table->outline.source->column_count;
    table->names = rename_columns(planner, table, false);
    table->inside = rename_columns(planner, table, true);
}

/* A generated column whose expression reads what is no more cannot be made. */
static bool can_be_made(struct planner *planner, const struct ddl_table *table,
                        const struct outline_column *column)
{
    const struct definition_column *definition;
    const char *missing;

    if (!column->source || !column->source->generated || !table->definition)
        return true;
    definition = definitions_column(table->definition, column->source->number);
    if (!definition || !definition->expression ||
        planner_expression(planner, table, definition->expression, &missing))
        return true;
    planner_note(planner, DDL_BEFORE,
                 "left out: generated column %s.%s: it reads %s, which is not carried as it is",
                 planner_source(planner, table), column->source->name, missing);
    return false;
}

static void leave_out_columns(struct planner *planner, struct ddl_table *table)
{
    struct outline_column *kept =
        arena_alloc(planner->arena, (table->outline.column_count + 1) * sizeof(*kept));
    size_t count = 0;

    for (size_t i = 0; i < table->outline.column_count; i++)
        if (can_be_made(planner, table, &table->outline.columns[i]))
            kept[count++] = table->outline.columns[i];
    table->outline.columns = kept;
    table->outline.column_count = count;
}

/* --- the primary key --- */

static const struct definition_index *source_key(const struct ddl_table *table)
{
    for (size_t i = 0; table->definition && i < table->definition->index_count; i++)
        if (table->definition->indexes[i].primary)
            return &table->definition->indexes[i];
    return NULL;
}

static void note_lost_key(struct planner *planner, const struct ddl_table *table,
                          const char *column)
{
    planner_note(
        planner, DDL_BEFORE,
        "left out: the primary key of %s: column %s is not carried; give the rule a key:",
        planner_source(planner, table), column);
}

/* Through renames; a column that a rule makes under the old name is taken for it. */
static void carry_key(struct planner *planner, struct ddl_table *table)
{
    const struct catalog_table *source = table->outline.source;
    const struct catalog_index *index = NULL;

    for (uint16_t i = 0; i < source->index_count; i++)
        if (source->indexes[i].primary)
            index = &source->indexes[i];
    for (uint16_t i = 0; index && i < index->column_count; i++) {
        const char *name = source->columns[index->columns[i]].name;
        const struct outline_column *column = outline_heir(&table->outline, name);

        if (!column)
            column = outline_column(&table->outline, name);
        if (!column) {
            note_lost_key(planner, table, name);
            table->key_count = 0;
            return;
        }
        table->keys[table->key_count++] = column->name;
    }
}

static void choose_key(struct planner *planner, struct ddl_table *table)
{
    const struct definition_index *index = source_key(table);
    struct buf name = {0};
    size_t most = table->outline.key_count + table->outline.source->column_count + 1;

    table->keys = arena_alloc(planner->arena, most * sizeof(*table->keys));
    for (size_t i = 0; i < table->outline.key_count; i++)
        table->keys[table->key_count++] = table->outline.keys[i];
    if (table->key_count == 0)
        carry_key(planner, table);
    buf_append_text(&name, index ? index->name : table->outline.name);
    buf_append_text(&name, index ? "" : "_pkey");
    table->key_name =
        planner_new_name(planner, table, table->outline.schema, planner_take(planner, &name));
}

/* --- partitions --- */

static void choose_partitioning(struct planner *planner, struct ddl_table *table)
{
    const char *key = table->definition ? table->definition->partition_key : NULL;
    const char *missing = NULL;
    const char *renamed = key ? planner_expression(planner, table, key, &missing) : NULL;
    struct buf clause = {0};

    table->partition_by = "";
    if (key && !renamed)
        planner_note(planner, DDL_BEFORE,
                     "left out: the partitions of %s: their key reads %s, which is not carried "
                     "as it is",
                     planner_source(planner, table), missing);
    if (!renamed)
        return;
    buf_append_format(&clause, " PARTITION BY %s", renamed);
    table->partition_by = planner_take(planner, &clause);
    table->partitioned = true;
}

static struct ddl_table *add_table(struct planner *planner, const struct outline_table *outline)
{
    struct ddl_table *table = &planner->tables[planner->table_count++];

    *table = (struct ddl_table){
        .outline = *outline,
        .first = table,
        .definition = definitions_table(planner->definitions, outline->source->oid)};
    rename_all(planner, table);
    return table;
}

/* The partition's columns are its root's, by name. */
static void add_partition(struct planner *planner, size_t root, size_t parent,
                          const struct catalog_table *source)
{
    struct outline_table outline = planner->tables[root].outline;
    bool beside = strcmp(source->schema, outline.source->schema) == 0;
    struct ddl_table *table;

    outline.schema = beside ? outline.schema : source->schema;
    outline.name =
        planner_new_name(planner, &planner->tables[root], outline.schema, source->name);
    outline.source = source;
    outline.key_count = 0;
    table = add_table(planner, &outline);
    table->root = &planner->tables[root];
    table->of = planner_name(planner, &planner->tables[parent]);
    choose_partitioning(planner, table);
}

static void collect_partitions(struct planner *planner, size_t root, size_t parent)
{
    uint32_t oid = planner->tables[parent].outline.source->oid;

    if (!planner->tables[parent].partitioned)
        return;
    for (size_t i = 0; i < planner->source->table_count; i++) {
        const struct catalog_table *source = &planner->source->tables[i];
        const struct definition_table *definition =
            definitions_table(planner->definitions, source->oid);

        if (!definition || definition->parent != oid)
            continue;
        add_partition(planner, root, parent, source);
        collect_partitions(planner, root, planner->table_count - 1);
    }
}

/* --- several sources of one target --- */

static bool same_target(const struct outline_table *a, const struct outline_table *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->schema, b->schema) == 0;
}

static struct ddl_table *find_first(const struct planner *planner,
                                    const struct outline_table *outline)
{
    for (size_t i = 0; i < planner->table_count; i++)
        if (!planner->tables[i].root && same_target(&planner->tables[i].outline, outline))
            return &planner->tables[i];
    return NULL;
}

/* What the first table decides for all. */
static void join_first(struct ddl_table *first, struct ddl_table *table)
{
    first->merged = table->merged = true;
    table->first = first;
    table->key_name = first->key_name;
    table->key_count = first->key_count;
    table->keys = first->keys;
    table->partition_by = "";
}

static bool is_alone(const struct planner *planner, const struct outline_table *outline)
{
    for (size_t i = 0; i < planner->outline->table_count; i++)
        if (&planner->outline->tables[i] != outline &&
            same_target(&planner->outline->tables[i], outline))
            return false;
    return true;
}

/* Bounds that hold for one source's rows need not hold for another's. */
static void leave_plain(struct planner *planner, struct ddl_table *table)
{
    table->partition_by = "";
    if (table->definition && table->definition->partition_key)
        planner_note(planner, DDL_BEFORE,
                     "left out: the partitions of %s: several sources go to %s",
                     planner_source(planner, table), planner_name(planner, table));
}

static void collect(struct planner *planner, const struct outline_table *outline)
{
    struct ddl_table *first = find_first(planner, outline);
    struct ddl_table *table = add_table(planner, outline);

    leave_out_columns(planner, table);
    rename_all(planner, table);
    if (first) {
        join_first(first, table);
        return;
    }
    choose_key(planner, table);
    if (!is_alone(planner, outline)) {
        leave_plain(planner, table);
        return;
    }
    choose_partitioning(planner, table);
    collect_partitions(planner, (size_t)(table - planner->tables),
                       (size_t)(table - planner->tables));
}

void plan_collect(struct planner *planner)
{
    const struct outline *outline = planner->outline;
    size_t most = outline->table_count * (planner->source->table_count + 1) + 1;

    planner->tables = arena_alloc(planner->arena, most * sizeof(*planner->tables));
    for (size_t i = 0; i < outline->table_count; i++)
        planner_reserve(planner, outline->tables[i].schema, outline->tables[i].name);
    for (size_t i = 0; i < outline->table_count; i++)
        collect(planner, &outline->tables[i]);
}

/* --- sequences --- */

static bool sequence_planned(const struct planner *planner, const char *schema,
                             const char *name)
{
    for (size_t i = 0; i < planner->ddl->count; i++) {
        const struct ddl_statement *statement = &planner->ddl->statements[i];

        if (statement->kind == DDL_SEQUENCE && strcmp(statement->name, name) == 0 &&
            strcmp(statement->schema, schema) == 0)
            return true;
    }
    return false;
}

/* A column with a wider type gets a sequence that can fill it. */
static void plan_sequence(struct planner *planner, const struct outline_column *column,
                          const struct definition_sequence *sequence)
{
    const char *schema = sequence_schema(planner, sequence);
    const char *name = sequence_name(planner, sequence);
    bool narrow = !column->type && strcmp(sequence->type, "bigint") != 0;
    struct buf sql = {0};

    if (sequence_planned(planner, schema, name))
        return;
    buf_append_text(&sql, "CREATE SEQUENCE ");
    ident_append_qualified(&sql, schema, name);
    buf_append_format(&sql, "%s%s%s", narrow ? " AS " : "", narrow ? sequence->type : "",
                      sequence->options);
    planner_add(planner, DDL_BEFORE, DDL_SEQUENCE, schema, name)->sql =
        planner_take(planner, &sql);
}

void plan_sequences(struct planner *planner)
{
    for (size_t i = 0; i < planner->table_count; i++) {
        const struct ddl_table *table = &planner->tables[i];

        for (size_t j = 0; table->first == table && j < table->outline.column_count; j++) {
            const struct outline_column *column = &table->outline.columns[j];
            const struct definition_sequence *sequence =
                column_sequence(planner, table, column);

            if (sequence)
                plan_sequence(planner, column, sequence);
        }
    }
}

/* A source that goes to several tables: the first of them has the sequence, the others use it. */
static bool owned_before(const struct planner *planner, const struct ddl_table *table,
                         const struct catalog_column *source)
{
    for (const struct ddl_table *other = planner->tables; other < table; other++)
        if (other->outline.source == table->outline.source &&
            outline_heir(&other->outline, source->name))
            return true;
    return false;
}

static void own_sequences(struct planner *planner, const struct ddl_table *table)
{
    for (size_t i = 0; i < table->outline.column_count; i++) {
        const struct outline_column *column = &table->outline.columns[i];
        const struct definition_sequence *sequence = column_sequence(planner, table, column);
        struct buf sql = {0};

        if (!sequence || sequence->owner != table->outline.source->oid ||
            sequence->owner_column != column->source->number ||
            owned_before(planner, table, column->source))
            continue;
        buf_append_text(&sql, "ALTER SEQUENCE ");
        ident_append_qualified(&sql, sequence_schema(planner, sequence),
                               sequence_name(planner, sequence));
        buf_append_format(&sql, " OWNED BY %s.", planner_name(planner, table));
        ident_append(&sql, column->name);
        planner_add(planner, DDL_BEFORE, DDL_SETTING, table->outline.schema,
                    table->outline.name)
            ->sql = planner_take(planner, &sql);
    }
}

/* --- the statements --- */

/* INCLUDE columns of the source's own key, as far as they are carried. */
static void append_included(struct planner *planner, const struct ddl_table *table,
                            const struct definition_index *index, struct buf *sql)
{
    const char *separator = " INCLUDE (";
    bool any = false;

    for (size_t i = 0; i < index->part_count; i++) {
        const char *missing;
        const char *column =
            index->parts[i].included
                ? planner_expression(planner, table, index->parts[i].expression, &missing)
                : NULL;

        if (!column)
            continue;
        buf_append_format(sql, "%s%s", separator, column);
        separator = ", ";
        any = true;
    }
    buf_append_text(sql, any ? ")" : "");
}

static void append_key(struct planner *planner, const struct ddl_table *table, struct buf *sql)
{
    const struct definition_index *index = source_key(table);
    bool deferrable = index && index->deferrable && table->outline.key_count == 0;

    if (table->key_count == 0)
        return;
    buf_append_format(sql, ",\n    CONSTRAINT %s PRIMARY KEY (",
                      planner_ident(planner, table->key_name));
    for (size_t i = 0; i < table->key_count; i++) {
        buf_append_text(sql, i ? ", " : "");
        ident_append(sql, table->keys[i]);
    }
    buf_append_text(sql, ")");
    if (index)
        append_included(planner, table, index, sql);
    if (deferrable)
        buf_append_format(sql, " DEFERRABLE INITIALLY %s",
                          index->deferred ? "DEFERRED" : "IMMEDIATE");
}

/* The target's checks, of every source that goes there. */
static struct ddl_check *room_for_checks(struct planner *planner, const struct ddl_table *table)
{
    size_t most = 0;

    for (size_t i = 0; i < planner->table_count; i++)
        if (planner->tables[i].first == table && planner->tables[i].definition)
            most += planner->tables[i].definition->constraint_count;
    return arena_alloc(planner->arena, (most + 1) * sizeof(struct ddl_check));
}

/* What the source does not vouch for is added after the data, unvalidated as it was. */
static size_t collect_checks(struct planner *planner, const struct ddl_table *table,
                             struct ddl_check *checks)
{
    size_t count = 0;

    for (size_t i = 0; table->definition && i < table->definition->constraint_count; i++) {
        const struct definition_constraint *check = &table->definition->constraints[i];
        const char *missing, *renamed;

        if (check->kind != 'c' || !check->validated ||
            !constraint_is_shared(planner, table, i, DDL_BEFORE))
            continue;
        renamed = planner_expression(planner, table, check->definition, &missing);
        if (renamed)
            checks[count++] = (struct ddl_check){check->name, renamed};
        else
            planner_note(planner, DDL_BEFORE,
                         "left out: check constraint %s of %s: it reads %s, which is not "
                         "carried as it is",
                         check->name, planner_source(planner, table), missing);
    }
    return count;
}

void table_append_options(const struct ddl_table *table, struct buf *sql)
{
    if (table->definition && table->definition->options && !table->partitioned)
        buf_append_format(sql, " WITH (%s)", table->definition->options);
}

static const struct ddl_column *shape_of(struct planner *planner, const struct ddl_table *table)
{
    struct ddl_column *columns =
        arena_alloc(planner->arena, (table->outline.column_count + 1) * sizeof(*columns));

    for (size_t i = 0; i < table->outline.column_count; i++) {
        const struct outline_column *column = &table->outline.columns[i];

        columns[i] =
            (struct ddl_column){.name = column->name,
                                .type = column_type(column),
                                .not_null = column_not_null(table, column),
                                .generated = column->source && column->source->generated,
                                .identity = column_identity(column)};
    }
    return columns;
}

/* Its rows are carried as its own; what they meant to the parent's readers is lost. */
static void note_inheritance(struct planner *planner, const struct ddl_table *table)
{
    const char *parents = table->outline.source->inherits;

    if (parents)
        planner_note(
            planner, DDL_BEFORE,
            "left out: INHERITS (%s) of %s: who reads the parent will not see its rows",
            parents, planner_source(planner, table));
}

static void plan_root(struct planner *planner, const struct ddl_table *table)
{
    struct ddl_check *checks = room_for_checks(planner, table);
    size_t check_count = 0;
    struct buf sql = {0};
    struct ddl_statement *statement;

    buf_append_format(&sql, "CREATE TABLE %s (", planner_name(planner, table));
    for (size_t i = 0; i < table->outline.column_count; i++) {
        buf_append_text(&sql, i ? ",\n    " : "\n    ");
        column_append(planner, table, &table->outline.columns[i], &sql);
    }
    append_key(planner, table, &sql);
    for (size_t i = 0; i < planner->table_count; i++)
        if (planner->tables[i].first == table)
            check_count += collect_checks(planner, &planner->tables[i], checks + check_count);
    for (size_t i = 0; i < check_count; i++)
        buf_append_format(&sql, ",\n    CONSTRAINT %s %s",
                          planner_ident(planner, checks[i].name), checks[i].body);
    buf_append_format(&sql, "\n)%s", table->partition_by);
    table_append_options(table, &sql);
    statement =
        planner_add(planner, DDL_BEFORE, DDL_TABLE, table->outline.schema, table->outline.name);
    statement->sql = planner_take(planner, &sql);
    statement->columns = shape_of(planner, table);
    statement->column_count = table->outline.column_count;
    statement->keys = table->keys;
    statement->key_count = table->key_count;
    statement->checks = checks;
    statement->check_count = check_count;
}

static void comment_columns(struct planner *planner, const struct ddl_table *table)
{
    for (size_t i = 0; i < table->outline.column_count; i++) {
        const struct outline_column *column = &table->outline.columns[i];
        const struct definition_column *definition =
            column->source && !column->borrowed
                ? definitions_column(table->definition, column->source->number)
                : NULL;
        struct buf what = {0};

        if (!definition || !definition->comment)
            continue;
        buf_append_format(&what, "COLUMN %s.%s", planner_name(planner, table),
                          planner_ident(planner, column->name));
        planner_comment(planner, DDL_BEFORE, table, buf_text(&what), definition->comment);
        buf_free(&what);
    }
}

static void plan_comments(struct planner *planner, const struct ddl_table *table)
{
    struct buf what = {0};

    if (!table->definition)
        return;
    buf_append_format(&what, "TABLE %s", planner_name(planner, table));
    planner_comment(planner, DDL_BEFORE, table, buf_text(&what), table->definition->comment);
    buf_free(&what);
    if (!table->root)
        comment_columns(planner, table);
}

/* What the reverse stream will need of the target, the source needs now. */
static void plan_replica_identity(struct planner *planner, const struct ddl_table *table)
{
    struct buf sql = {0};

    if (table->outline.source->replica_identity != 'f')
        return; /* of a merge the first table speaks for all */
    buf_append_format(&sql, "ALTER TABLE %s REPLICA IDENTITY FULL",
                      planner_name(planner, table));
    planner_add(planner, DDL_BEFORE, DDL_SETTING, table->outline.schema, table->outline.name)
        ->sql = planner_take(planner, &sql);
}

void plan_tables(struct planner *planner)
{
    for (size_t i = 0; i < planner->table_count; i++) {
        const struct ddl_table *table = &planner->tables[i];

        if (table->first != table)
            continue;
        note_inheritance(planner, table);
        (table->root ? plan_partition : plan_root)(planner, table);
        own_sequences(planner, table);
        plan_replica_identity(planner, table);
        plan_comments(planner, table);
    }
}
