/* Runs a plan of DDL at the target (ddl_apply.h). */
#include "postgres/ddl_apply.h"

#include "base/mem.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- is it there already? ---- */

static const char RELATION_SQL[] =
    "SELECT true FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2";

static const char INDEX_SQL[] =
    "SELECT i.indisvalid FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    " JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_class c ON c.oid = i.indrelid"
    " WHERE n.nspname = $1 AND x.relname = $2 AND c.relname = $3";

static const char CONSTRAINT_SQL[] =
    "SELECT true FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND k.conname = $2 AND c.relname = $3";

static const char TYPE_SQL[] = "SELECT true FROM pg_type t"
                               " JOIN pg_namespace n ON n.oid = t.typnamespace"
                               " WHERE n.nspname = $1 AND t.typname = $2";

static const char SCHEMA_SQL[] = "SELECT true FROM pg_namespace WHERE nspname = $2 AND $1 = ''";
static const char EXTENSION_SQL[] =
    "SELECT true FROM pg_extension WHERE extname = $2 AND $1 = ''";

/* How a kind of object is looked up ($1 schema, $2 name, $3 table), and what it is called. */
static const struct {
    const char *word;
    const char *probe; /* NULL: nothing to look for, it is run in any case */
    int parameters;
} KINDS[] = {
    [DDL_NOTE] = {"note", NULL, 0},
    [DDL_SCHEMA] = {"schema", SCHEMA_SQL, 2},
    [DDL_EXTENSION] = {"extension", EXTENSION_SQL, 2},
    [DDL_TYPE] = {"type", TYPE_SQL, 2},
    [DDL_SEQUENCE] = {"sequence", RELATION_SQL, 2},
    [DDL_TABLE] = {"table", RELATION_SQL, 2},
    [DDL_PARTITION] = {"partition", RELATION_SQL, 2},
    [DDL_INDEX] = {"index", INDEX_SQL, 3},
    [DDL_CONSTRAINT] = {"constraint", CONSTRAINT_SQL, 3},
    [DDL_SETTING] = {"setting", NULL, 0},
};

/* "table app.users", "constraint users_fk of app.users". The caller frees. */
static char *describe(const struct ddl_statement *statement)
{
    const char *word = KINDS[statement->kind].word;
    char *name, *text;
    if (statement->schema == NULL)
        return mem_format("%s %s", word, statement->name);
    name =
        ident_display(statement->schema, statement->table ? statement->table : statement->name);
    text = statement->table ? mem_format("%s %s of %s", word, statement->name, name)
                            : mem_format("%s %s", word, name);
    free(name);
    return text;
}

static bool refuse_invalid(const struct ddl_statement *statement, struct err *err)
{
    char *name = ident_qualified(statement->schema, statement->name);
    err_set(err, ERR_CONFIG, "index %s is there, but invalid: building it failed before", name);
    err_remedy(err, "DROP INDEX CONCURRENTLY %s, then run this again", name);
    free(name);
    return false;
}

static bool is_there(struct session *session, const struct ddl_statement *statement,
                     bool *there, struct err *err)
{
    const char *values[] = {statement->schema ? statement->schema : "", statement->name,
                            statement->table};
    PGresult *result;
    bool valid;
    *there = false;
    if (KINDS[statement->kind].probe == NULL)
        return true;
    result = session_query(session, KINDS[statement->kind].probe,
                           KINDS[statement->kind].parameters, values, err);
    if (result == NULL)
        return false;
    *there = PQntuples(result) > 0;
    valid = !*there || PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return valid || refuse_invalid(statement, err);
}

/* ---- is it the one meant? ---- */

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

/* Tables and types that are there must be the ones meant, before anything is run. */
static bool compare_all(const struct ddl_target *target, const struct ddl *ddl, struct err *err)
{
    for (size_t i = 0; i < ddl->count; i++) {
        const struct ddl_statement *statement = &ddl->statements[i];
        bool there;
        if (statement->kind != DDL_TABLE && statement->kind != DDL_TYPE)
            continue;
        if (!is_there(target->session, statement, &there, err))
            return false;
        if (there && !(statement->kind == DDL_TABLE ? compare_table(target, statement, err)
                                                    : compare_type(target, statement, err)))
            return false;
    }
    return true;
}

/* ---- running ---- */

struct applying {
    const struct ddl_target *target;
    ddl_told told;
    void *context;
    struct err *err;
};

static void tell(const struct applying *applying, const char *what, const char *object)
{
    char *line = mem_format("%s%s", what, object);
    applying->told(line, applying->context);
    free(line);
}

static bool execute(const struct applying *applying, const struct ddl_statement *statement,
                    const char *object)
{
    if (session_run(applying->target->session, statement->sql, applying->err))
        return true;
    /* A statement is as wrong tomorrow as today; a lost connection is not. */
    if (applying->err->class == ERR_DATA)
        applying->err->class = ERR_CONFIG;
    if (applying->err->remedy[0] == '\0')
        err_remedy(applying->err, "the statement was: %.400s", statement->sql);
    return err_wrap(applying->err, "%s", object);
}

static bool run_statement(const struct applying *applying,
                          const struct ddl_statement *statement)
{
    bool there;
    if (statement->kind == DDL_NOTE) {
        tell(applying, "", statement->sql);
        return true;
    }
    if (!is_there(applying->target->session, statement, &there, applying->err))
        return false;
    char *object = describe(statement);
    bool ok = there || execute(applying, statement, object);
    if (ok && statement->kind == DDL_SETTING)
        tell(applying, "done: ", statement->sql);
    else if (ok)
        tell(applying, there ? "there already: " : "made ", object);
    free(object);
    return ok;
}

static bool run_phase(const struct applying *applying, const struct ddl *ddl,
                      enum ddl_phase phase)
{
    for (size_t i = 0; i < ddl->count; i++)
        if (ddl->statements[i].phase == phase && !run_statement(applying, &ddl->statements[i]))
            return false;
    return true;
}

/* The server rolls back by itself when the session closes. */
static bool run_before(const struct applying *applying, const struct ddl *ddl)
{
    struct session *session = applying->target->session;
    if (!compare_all(applying->target, ddl, applying->err) ||
        !session_run(session, "BEGIN", applying->err))
        return false;
    if (run_phase(applying, ddl, DDL_BEFORE))
        return session_run(session, "COMMIT", applying->err);
    tell(applying, "rolled back: ", "nothing of this phase was kept");
    return false;
}

bool ddl_apply(const struct ddl_target *target, const struct ddl *ddl, enum ddl_phase phase,
               ddl_told told, void *context, struct err *err)
{
    struct applying applying = {.target = target, .told = told, .context = context, .err = err};
    return phase == DDL_BEFORE ? run_before(&applying, ddl)
                               : run_phase(&applying, ddl, DDL_AFTER);
}
