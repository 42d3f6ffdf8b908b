/* Is an object of the plan there already? (ddl_there.h) */
#include "postgres/ddl_there.h"

#include "base/mem.h"
#include "schema/ident.h"

#include <stdlib.h>

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

char *ddl_describe(const struct ddl_statement *statement)
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

bool ddl_is_there(struct session *session, const struct ddl_statement *statement, bool *there,
                  struct err *err)
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
