/* The SQL for one change (statement.h). */
#include "postgres/statement.h"

#include "base/mem.h"
#include "schema/formula.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct building {
    struct buf sql;
    struct statement *statement;
    const struct relation *relation;
    const struct catalog_table *table;
    const bool *known;
};

/* ---- parts ---- */

static void text(struct building *b, const char *sql)
{
    buf_append_text(&b->sql, sql);
}

static void column_name(struct building *b, uint16_t column)
{
    ident_append(&b->sql, b->relation->columns[column].name);
}

static void table_name(struct building *b)
{
    ident_append_qualified(&b->sql, b->relation->schema, b->relation->name);
}

/* As the object of UPDATE, DELETE and SELECT: what inherits from the table is not meant. */
static void only_table(struct building *b)
{
    text(b, b->table->kind == 'p' ? "" : "ONLY ");
    table_name(b);
}

/* The number of the parameter for this value, made on first use. */
static unsigned parameter_number(struct building *b, bool old, uint16_t column)
{
    const struct column *c = &b->relation->columns[column];
    struct statement *s = b->statement;
    uint16_t i = 0;
    while (i < s->parameter_count &&
           (s->parameters[i].old != old || s->parameters[i].column != column))
        i++;
    if (i == s->parameter_count) {
        s->parameters[i] = (struct parameter){.old = old, .column = column};
        s->types[i] = c->formula ? FORMULA_VALUE_TYPE : c->type_oid;
        s->parameter_count++;
    }
    return i + 1U;
}

/* The value as a parameter, or what the column's formula makes of it. */
static void parameter(struct building *b, bool old, uint16_t column)
{
    const char *formula = b->relation->columns[column].formula;
    char number[8];
    snprintf(number, sizeof number, "$%u", parameter_number(b, old, column));
    if (formula == NULL)
        text(b, number);
    else
        formula_append(&b->sql, formula, number);
}

static bool is_known(const struct building *b, uint16_t column)
{
    return b->known[column];
}

/* Set by UPDATE: known, not part of the key, and not an identity column, which UPDATE refuses. */
static bool is_settable(const struct building *b, uint16_t column)
{
    const struct column *c = &b->relation->columns[column];
    return b->known[column] && !c->key && !c->identity_always;
}

static bool any_settable(const struct building *b)
{
    for (uint16_t i = 0; i < b->relation->column_count; i++)
        if (is_settable(b, i))
            return true;
    return false;
}

static bool any_known(const struct building *b)
{
    for (uint16_t i = 0; i < b->relation->column_count; i++)
        if (is_known(b, i))
            return true;
    return false;
}

/* ("a", "b") for the columns that are known. */
static void column_list(struct building *b)
{
    const char *separator = " (";
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        if (!is_known(b, i))
            continue;
        text(b, separator);
        column_name(b, i);
        separator = ", ";
    }
    text(b, ")");
}

static bool writes_identity(const struct building *b)
{
    for (uint16_t i = 0; i < b->relation->column_count; i++)
        if (b->relation->columns[i].identity_always)
            return true;
    return false;
}

static void overriding(struct building *b)
{
    text(b, writes_identity(b) ? " OVERRIDING SYSTEM VALUE" : "");
}

/* Columns of the target that no change fills, but for those that it computes itself. */
static bool is_own(const struct relation *relation, const struct catalog_column *column)
{
    return !column->generated && relation_column(relation, column->name) < 0;
}

bool statement_keeps_columns(const struct relation *relation, const struct catalog_table *table)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (is_own(relation, &table->columns[i]))
            return true;
    return false;
}

static bool keeps_identity(const struct building *b)
{
    for (uint16_t i = 0; i < b->table->column_count; i++)
        if (is_own(b->relation, &b->table->columns[i]) && b->table->columns[i].identity == 'a')
            return true;
    return false;
}

/* Their names behind the separator, then a comma each; with `excluded` "own" = EXCLUDED."own". */
static void own_columns(struct building *b, const char *separator, bool excluded)
{
    for (uint16_t i = 0; i < b->table->column_count; i++) {
        const struct catalog_column *column = &b->table->columns[i];
        /* An UPDATE cannot set an identity column that is GENERATED ALWAYS. */
        if (!is_own(b->relation, column) || (excluded && column->identity == 'a'))
            continue;
        text(b, separator);
        ident_append(&b->sql, column->name);
        if (excluded) {
            text(b, " = EXCLUDED.");
            ident_append(&b->sql, column->name);
        }
        separator = ", ";
    }
}

/* $1, $2 for the known columns. */
static void new_values(struct building *b)
{
    const char *separator = "";
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        if (!is_known(b, i))
            continue;
        text(b, separator);
        parameter(b, false, i);
        separator = ", ";
    }
}

static void key_list(struct building *b)
{
    const char *separator = " (";
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        if (!b->relation->columns[i].key)
            continue;
        text(b, separator);
        column_name(b, i);
        separator = ", ";
    }
    text(b, ")");
}

static void where_key(struct building *b, bool old)
{
    const char *separator = " WHERE ";
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        if (!b->relation->columns[i].key)
            continue;
        text(b, separator);
        column_name(b, i);
        text(b, " = ");
        parameter(b, old, i);
        separator = " AND ";
    }
}

/* With `keys` the key as well. */
static void set_columns(struct building *b, bool keys)
{
    const char *separator = " SET ";
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        const struct column *column = &b->relation->columns[i];
        if (!is_settable(b, i) && !(keys && column->key && !column->identity_always))
            continue;
        text(b, separator);
        column_name(b, i);
        text(b, " = ");
        parameter(b, false, i);
        separator = ", ";
    }
}

static void set_new(struct building *b)
{
    set_columns(b, false);
}

/* ON CONFLICT (key) DO UPDATE of the settable columns, with `own` also of those that no change
 * fills; or DO NOTHING when there is none. */
static void on_conflict(struct building *b, bool own)
{
    const char *separator = " DO UPDATE SET ";
    size_t begun;
    text(b, " ON CONFLICT");
    key_list(b);
    begun = b->sql.size;
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        if (!is_settable(b, i))
            continue;
        text(b, separator);
        column_name(b, i);
        text(b, " = EXCLUDED.");
        column_name(b, i);
        separator = ", ";
    }
    if (own)
        own_columns(b, separator, true);
    if (b->sql.size == begun)
        text(b, " DO NOTHING");
}

static void insert_into(struct building *b)
{
    text(b, "INSERT INTO ");
    table_name(b);
    if (!any_known(b))
        return;
    column_list(b);
    overriding(b);
}

/* ---- matching a whole row ---- */

/* Types whose = means "the same value in every bit". For all others equal is not the same
 * (numeric 1.0 and 1.00, citext, -0.0) or there is no = at all (json, xml, point): then their
 * text decides, byte by byte: a column's own collation may hold 'A' and 'a' equal. By base type
 * OID; pg_type.dat. */
static bool equality_is_identity(const struct catalog_column *column)
{
    static const uint32_t EXACT[] = {
        16 /* bool */,   17 /* bytea */,  18 /* "char" */,      19 /* name */,
        20 /* int8 */,   21 /* int2 */,   23 /* int4 */,        26 /* oid */,
        1082 /* date */, 1083 /* time */, 1114 /* timestamp */, 1184 /* timestamptz */,
        2950 /* uuid */,
    };
    if (column->type_kind == 'e')
        return true;
    for (size_t i = 0; i < sizeof EXACT / sizeof EXACT[0]; i++)
        if (column->base_type_oid == EXACT[i])
            return true;
    return false;
}

static void match_column(struct building *b, uint16_t i)
{
    int index = catalog_column_index(b->table, b->relation->columns[i].name);
    const struct catalog_column *column = index < 0 ? NULL : &b->table->columns[index];
    bool made = b->relation->columns[i].formula != NULL;
    bool exact = column != NULL && equality_is_identity(column);
    column_name(b, i);
    text(b, exact ? " IS NOT DISTINCT FROM " : "::text COLLATE \"C\" IS NOT DISTINCT FROM ");
    if (made && column != NULL)
        text(b, "CAST(");
    parameter(b, true, i);
    if (made && column != NULL)
        buf_append_format(&b->sql, " AS %s)", column->type_name);
    text(b, exact ? "" : "::text");
}

/* WHERE for one row of those that equal the old image: by its place in the table. */
static void where_one_row(struct building *b)
{
    bool partitioned = b->table->kind == 'p';
    const char *place = partitioned ? "(tableoid, ctid)" : "ctid";
    const char *separator = " WHERE ";
    buf_append_format(&b->sql, " WHERE %s = (SELECT %s FROM ", place,
                      partitioned ? "tableoid, ctid" : "ctid");
    only_table(b);
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        if (b->relation->columns[i].formula_varies)
            continue;
        text(b, separator);
        match_column(b, i);
        separator = " AND ";
    }
    text(b, " LIMIT 1)");
}

/* ---- statements ---- */

static void build_upsert(struct building *b)
{
    insert_into(b);
    text(b, " VALUES (");
    new_values(b);
    text(b, ")");
    on_conflict(b, false);
    b->statement->tells = TELLS_NO_ROW_EXISTED;
    if (!any_settable(b))
        return;
    b->statement->tells = TELLS_NOTHING;
    if (b->table->kind == 'p')
        return; /* RETURNING cannot read xmax through a partitioned table */
    text(b, " RETURNING xmax <> 0");
    b->statement->tells = TELLS_EXISTED;
}

static void insert_unless_hit(struct building *b)
{
    insert_into(b);
    text(b, " SELECT ");
    new_values(b);
    text(b, " WHERE NOT EXISTS (SELECT FROM hit)");
    b->statement->tells = TELLS_INSERTED;
}

static void build_replace(struct building *b)
{
    if (any_settable(b)) {
        text(b, "WITH hit AS (UPDATE ");
        only_table(b);
        set_new(b);
        where_key(b, false);
        text(b, " RETURNING 1) ");
        insert_unless_hit(b);
    } else {
        insert_into(b);
        text(b, " VALUES (");
        new_values(b);
        text(b, ")");
        b->statement->tells = TELLS_INSERTED;
    }
    on_conflict(b, false);
}

static void build_patch(struct building *b)
{
    if (any_settable(b)) {
        text(b, "UPDATE ");
        only_table(b);
        set_new(b);
    } else {
        text(b, "SELECT FROM ");
        only_table(b);
    }
    where_key(b, false);
    b->statement->tells = TELLS_MISSING;
}

/* (DELETE ... RETURNING what the new row does not bring). */
static void delete_gone(struct building *b)
{
    const char *separator = " RETURNING ";
    text(b, "WITH gone AS (DELETE FROM ");
    only_table(b);
    where_key(b, true);
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        if (is_known(b, i))
            continue;
        text(b, separator);
        column_name(b, i);
        separator = ", ";
    }
    own_columns(b, separator, false);
    text(b, ")");
}

static void insert_moved(struct building *b)
{
    const char *separator = " (";
    text(b, "INSERT INTO ");
    table_name(b);
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        text(b, separator);
        column_name(b, i);
        separator = ", ";
    }
    own_columns(b, separator, false);
    text(b, ")");
    text(b, writes_identity(b) || keeps_identity(b) ? " OVERRIDING SYSTEM VALUE" : "");
    separator = " SELECT ";
    for (uint16_t i = 0; i < b->relation->column_count; i++) {
        text(b, separator);
        if (is_known(b, i))
            parameter(b, false, i);
        else
            column_name(b, i);
        separator = ", ";
    }
    own_columns(b, separator, false);
    text(b, " FROM gone");
}

/* The row as a whole replaces what has the new key. */
static void replace_moved(struct building *b)
{
    static const bool ALL[1664] = {[0 ... 1663] = true};
    const bool *known = b->known;
    b->known = ALL;
    on_conflict(b, true);
    b->known = known;
}

static bool all_known(const struct building *b)
{
    for (uint16_t i = 0; i < b->relation->column_count; i++)
        if (!is_known(b, i))
            return false;
    return true;
}

/* What the change does not bring is taken from the row that goes. When there is none, a row that
 * is known in full is inserted all the same. */
static void build_move(struct building *b)
{
    delete_gone(b);
    if (!all_known(b)) {
        text(b, " ");
        insert_moved(b);
        replace_moved(b);
        b->statement->tells = TELLS_MISSING;
        return;
    }
    text(b, ", moved AS (");
    insert_moved(b);
    replace_moved(b);
    text(b, ") ");
    insert_into(b);
    text(b, " SELECT ");
    new_values(b);
    text(b, " WHERE NOT EXISTS (SELECT FROM gone)");
    on_conflict(b, false);
    b->statement->tells = TELLS_INSERTED;
}

static void rekey(struct building *b)
{
    text(b, "UPDATE ");
    only_table(b);
    set_columns(b, true);
    where_key(b, true);
}

static void build_rekey(struct building *b)
{
    if (!all_known(b)) {
        rekey(b);
        b->statement->tells = TELLS_MISSING;
        return;
    }
    text(b, "WITH hit AS (");
    rekey(b);
    text(b, " RETURNING 1) ");
    insert_unless_hit(b);
    on_conflict(b, false);
}

static void build_delete(struct building *b)
{
    text(b, "DELETE FROM ");
    only_table(b);
    where_key(b, true);
    b->statement->tells = TELLS_MISSING;
}

static void build_insert(struct building *b)
{
    insert_into(b);
    text(b, any_known(b) ? " VALUES (" : " DEFAULT VALUES");
    new_values(b);
    text(b, any_known(b) ? ")" : "");
    b->statement->tells = TELLS_NOTHING;
}

static void build_replace_row(struct building *b)
{
    text(b, "WITH hit AS (UPDATE ");
    only_table(b);
    set_new(b);
    where_one_row(b);
    text(b, " RETURNING 1) ");
    insert_unless_hit(b);
}

static void build_delete_row(struct building *b)
{
    text(b, "DELETE FROM ");
    only_table(b);
    where_one_row(b);
    b->statement->tells = TELLS_MISSING;
}

struct statement *statement_create(enum statement_kind kind, const struct relation *relation,
                                   const struct catalog_table *table, const bool *known)
{
    static void (*const BUILD[])(struct building *) = {
        [STATEMENT_UPSERT] = build_upsert,         [STATEMENT_REPLACE] = build_replace,
        [STATEMENT_PATCH] = build_patch,           [STATEMENT_MOVE] = build_move,
        [STATEMENT_REKEY] = build_rekey,           [STATEMENT_DELETE] = build_delete,
        [STATEMENT_INSERT] = build_insert,         [STATEMENT_REPLACE_ROW] = build_replace_row,
        [STATEMENT_DELETE_ROW] = build_delete_row,
    };
    struct statement *statement = mem_zero(1, sizeof *statement);
    size_t most = 2U * relation->column_count + 1U; /* each column of both rows */
    statement->parameters = mem_zero(most, sizeof *statement->parameters);
    statement->types = mem_zero(most, sizeof *statement->types);
    struct building b = {
        .statement = statement, .relation = relation, .table = table, .known = known};
    BUILD[kind](&b);
    statement->sql = buf_steal(&b.sql);
    return statement;
}

void statement_free(struct statement *statement)
{
    if (statement == NULL)
        return;
    free(statement->sql);
    free(statement->parameters);
    free(statement->types);
    free(statement);
}
