/* Is what is there already what the rules make? (ddl_compare.h)
 *
 * Indexes, checks and exclusions hold expressions, which only the server can compare: the one
 * that is meant is made on an empty twin of the table, a temporary one that is rolled back, and
 * the server's own words for both are laid side by side. A foreign key, which has only names,
 * is compared by its text; making one would lock its parent. */
#include "postgres/ddl_compare.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/ddl_there.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables and types ---- */

/* What the server calls the type: the file may say int8 or varchar(10). The caller frees; NULL
 * when there is no such type yet. */
static char *type_name(struct session *session, const char *type)
{
    char *sql = mem_format("SELECT NULL::%s", type);
    struct err ignored = {0};
    PGresult *result = session_exec(session, sql, &ignored);
    char *name = NULL;
    free(sql);
    if (result != NULL) {
        char oid[16], modifier[16];
        const char *values[] = {oid, modifier};
        snprintf(oid, sizeof oid, "%u", PQftype(result, 0));
        snprintf(modifier, sizeof modifier, "%d", PQfmod(result, 0));
        PQclear(result);
        result =
            session_query(session, "SELECT format_type($1::oid, $2::int)", 2, values, &ignored);
        name = result == NULL ? NULL : mem_string(PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return name;
}

static bool same_type(struct session *session, const char *wanted, const char *found)
{
    if (strcmp(wanted, found) == 0)
        return true;
    char *name = type_name(session, wanted);
    bool same = name != NULL && strcmp(name, found) == 0;
    free(name);
    return same;
}

static bool differs(const struct ddl_statement *statement, struct err *err, const char *what,
                    const char *column)
{
    char *name = ident_display(statement->schema, statement->name);
    err_set(err, ERR_CONFIG, "target table %s exists and is not what the rules make: %s%s%s",
            name, what, column[0] ? " " : "", column);
    err_remedy(err, "drop or rename it; or leave it as it is, and let `slackwater check` say "
                    "whether the rules fit it");
    free(name);
    return false;
}

static bool compare_column(const struct ddl_target *target,
                           const struct ddl_statement *statement,
                           const struct ddl_column *wanted, const struct catalog_column *found,
                           struct err *err)
{
    if (!same_type(target->session, wanted->type, found->type_name))
        return differs(statement, err, "another type has column", wanted->name);
    if (wanted->not_null != found->not_null)
        return differs(statement, err, "NOT NULL differs at column", wanted->name);
    if (wanted->generated != found->generated || wanted->identity != found->identity)
        return differs(statement, err, "otherwise generated is column", wanted->name);
    return true;
}

static bool in_list(const struct ddl_statement *statement, const char *name)
{
    for (size_t i = 0; i < statement->key_count; i++)
        if (strcmp(statement->keys[i], name) == 0)
            return true;
    return false;
}

static bool compare_key(const struct ddl_statement *statement,
                        const struct catalog_table *table, struct err *err)
{
    size_t found = 0;
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        for (uint16_t j = 0; index->primary && j < index->column_count; j++) {
            if (!in_list(statement, table->columns[index->columns[j]].name))
                return differs(statement, err, "its primary key has column",
                               table->columns[index->columns[j]].name);
            found++;
        }
    }
    return found == statement->key_count ||
           differs(statement, err, "it has another primary key", "");
}

static bool compare_table(const struct ddl_target *target,
                          const struct ddl_statement *statement, struct err *err)
{
    const struct catalog_table *table =
        catalog_find(target->catalog, statement->schema, statement->name);
    if (table == NULL)
        return differs(statement, err, "it is no ordinary table", "");
    for (size_t i = 0; i < statement->column_count; i++) {
        int column = catalog_column_index(table, statement->columns[i].name);
        if (column < 0)
            return differs(statement, err, "it lacks column", statement->columns[i].name);
        if (!compare_column(target, statement, &statement->columns[i], &table->columns[column],
                            err))
            return false;
    }
    if (table->column_count != statement->column_count)
        return differs(statement, err, "it has further columns", "");
    return compare_key(statement, table, err);
}

static bool compare_type(const struct ddl_target *target, const struct ddl_statement *statement,
                         struct err *err)
{
    const struct definition_type *type =
        definitions_type_named(target->definitions, statement->schema, statement->name);
    if (type != NULL && type->body != NULL && strcmp(type->body, statement->body) == 0)
        return true;
    char *name = ident_display(statement->schema, statement->name);
    err_set(err, ERR_CONFIG, "target type %s exists and is not what the source has", name);
    err_remedy(err, "the source has it %s", statement->body);
    free(name);
    return false;
}

/* ---- indexes and constraints ---- */

struct wanted {
    enum ddl_kind kind; /* DDL_INDEX, DDL_CONSTRAINT */
    const char *table;  /* quoted and qualified */
    const char *shown;  /* the same, for people */
    const char *name;
    const char *body;
    bool unique;
    bool reference;
};

#define TWIN "pg_temp.slackwater_twin"

/* Both without what does not matter: the index's and the table's name; whether the constraint
 * has been validated. */
static const char INDEX_WORDS_SQL[] =
    "SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'USING '"
    " || split_part(pg_get_indexdef(i.indexrelid), i.indrelid::regclass::text || ' USING ', 2)"
    " FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    " WHERE i.indrelid = to_regclass($1) AND x.relname = $2";

static const char CONSTRAINT_WORDS_SQL[] =
    "SELECT regexp_replace(pg_get_constraintdef(oid), ' NOT VALID$', '') FROM pg_constraint"
    " WHERE conrelid = to_regclass($1) AND conname = $2";

/* The server's words for the object of the table, or NULL with err set. The caller frees. */
static char *words_for(struct session *session, enum ddl_kind kind, const char *table,
                       const char *name, struct err *err)
{
    const char *values[] = {table, name};
    const char *sql = kind == DDL_INDEX ? INDEX_WORDS_SQL : CONSTRAINT_WORDS_SQL;
    PGresult *result = session_query(session, sql, 2, values, err);
    char *words = NULL;
    if (result != NULL && PQntuples(result) == 1)
        words = mem_string(PQgetvalue(result, 0, 0));
    else if (result != NULL)
        err_set(err, ERR_RETRY, "%s of %s went away while it was compared", name, table);
    PQclear(result);
    return words;
}

static char *twin_sql(const struct wanted *wanted)
{
    if (wanted->kind == DDL_INDEX)
        return mem_format("CREATE TEMPORARY TABLE slackwater_twin (LIKE %s);"
                          "CREATE %sINDEX slackwater_same ON " TWIN " %s",
                          wanted->table, wanted->unique ? "UNIQUE " : "", wanted->body);
    return mem_format("CREATE TEMPORARY TABLE slackwater_twin (LIKE %s);"
                      "ALTER TABLE " TWIN " ADD CONSTRAINT slackwater_same %s",
                      wanted->table, wanted->body);
}

/* What the server would say of the object that is meant; *words is NULL where it cannot be made
 * of this table. The caller frees. */
static bool words_of_twin(struct session *session, const struct wanted *wanted, char **words,
                          struct err *err)
{
    char *sql = twin_sql(wanted);
    bool made = session_run(session, "BEGIN", err) && session_run(session, sql, err);
    bool asked = made || err->class == ERR_DATA;
    free(sql);
    *words = made ? words_for(session, wanted->kind, TWIN, "slackwater_same", err) : NULL;
    if (!asked || (made && *words == NULL))
        return false;
    err_clear(err);
    return session_run(session, "ROLLBACK", err);
}

/* Without quotes and blanks, which the server has where it must and we everywhere. */
static char *bare(const char *text)
{
    struct buf out = {0};
    for (; *text; text++)
        if (*text != '"' && *text != ' ')
            buf_append_char(&out, *text);
    return buf_steal(&out);
}

static bool same_reference(const char *meant, const char *found)
{
    char *a = bare(meant), *b = bare(found);
    bool same = strcmp(a, b) == 0;
    free(a);
    free(b);
    return same;
}

static bool refuse_object(const struct wanted *wanted, const char *found, struct err *err)
{
    err_set(err, ERR_CONFIG,
            "%s %s of target table %s exists and is not what the rules make: "
            "it is %.200s",
            wanted->kind == DDL_INDEX ? "index" : "constraint", wanted->name, wanted->shown,
            found);
    err_remedy(err, "drop or rename it, and run this again; the rules make %s%.200s",
               wanted->unique ? "UNIQUE " : "", wanted->body);
    return false;
}

static bool compare_object(struct session *session, const struct wanted *wanted,
                           struct err *err)
{
    char *twin = NULL;
    char *found = words_for(session, wanted->kind, wanted->table, wanted->name, err);
    bool ok = found != NULL, same = false;
    if (ok && wanted->reference)
        same = same_reference(wanted->body, found);
    else if (ok) {
        ok = words_of_twin(session, wanted, &twin, err);
        same = twin != NULL && strcmp(twin, found) == 0;
    }
    if (ok && !same)
        ok = refuse_object(wanted, found, err);
    free(twin);
    free(found);
    return ok;
}

static bool compare_of_table(struct session *session, const struct ddl_statement *statement,
                             struct err *err)
{
    char *table = ident_qualified(statement->schema, statement->table);
    char *shown = ident_display(statement->schema, statement->table);
    struct wanted wanted = {.kind = statement->kind,
                            .table = table,
                            .shown = shown,
                            .name = statement->name,
                            .body = statement->body,
                            .unique = statement->unique,
                            .reference = statement->parent != NULL};
    bool ok = compare_object(session, &wanted, err);
    free(shown);
    free(table);
    return ok;
}

/* A check that was dropped at the target is missed here no less than a column. */
static bool compare_check(struct session *session, const struct ddl_statement *statement,
                          const struct ddl_check *check, struct err *err)
{
    struct ddl_statement constraint = {.kind = DDL_CONSTRAINT,
                                       .schema = statement->schema,
                                       .name = check->name,
                                       .table = statement->name,
                                       .body = check->body};
    bool there;
    if (!ddl_is_there(session, &constraint, &there, err))
        return false;
    return there ? compare_of_table(session, &constraint, err)
                 : differs(statement, err, "it lacks check constraint", check->name);
}

static bool compare_checks(struct session *session, const struct ddl_statement *statement,
                           struct err *err)
{
    for (size_t i = 0; i < statement->check_count; i++)
        if (!compare_check(session, statement, &statement->checks[i], err))
            return false;
    return true;
}

/* ---- all of them ---- */

static bool compare(const struct ddl_target *target, const struct ddl_statement *statement,
                    struct err *err)
{
    switch (statement->kind) {
    case DDL_TABLE:
        return compare_table(target, statement, err) &&
               compare_checks(target->session, statement, err);
    case DDL_TYPE:
        return compare_type(target, statement, err);
    case DDL_INDEX:
    case DDL_CONSTRAINT:
        return compare_of_table(target->session, statement, err);
    case DDL_NOTE:
    case DDL_SCHEMA:
    case DDL_EXTENSION:
    case DDL_SEQUENCE:
    case DDL_PARTITION:
    case DDL_SETTING:
        return true;
    }
    return true;
}

bool ddl_compare(const struct ddl_target *target, const struct ddl *ddl, enum ddl_phase phase,
                 struct err *err)
{
    for (size_t i = 0; i < ddl->count; i++) {
        const struct ddl_statement *statement = &ddl->statements[i];
        bool there;
        if (statement->phase < phase)
            continue;
        if (!ddl_is_there(target->session, statement, &there, err) ||
            (there && !compare(target, statement, err)))
            return false;
    }
    return true;
}
