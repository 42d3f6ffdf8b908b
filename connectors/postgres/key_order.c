/* The source's order of keys (key_order.h). */
#include "postgres/key_order.h"

#include "base/buf.h"
#include "schema/ident.h"

#include <string.h>

/* As the catalog was read (introspect.c). The database's own is told from 15 on; where it was
 * not told it is not asked for. */
static void append_question(struct buf *sql, const char *collation)
{
    if (strcmp(collation, "pg_catalog.\"default\"") == 0) {
        buf_append_text(sql, "SELECT pg_database_collation_actual_version(oid)"
                             " FROM pg_database WHERE datname = current_database()");
        return;
    }
    buf_append_text(sql, "SELECT pg_collation_actual_version(");
    literal_append(sql, collation, strlen(collation));
    buf_append_text(sql, "::regcollation)");
}

static bool is_the_same(const struct copy_key_column *column, const char *version,
                        struct err *err)
{
    if (strcmp(column->version, version) == 0)
        return true;
    err_set(err, ERR_CONFIG,
            "source: column %s is ordered by version %s of its collation %s, and when the run "
            "began by version %s",
            column->name, *version == '\0' ? "(none)" : version, column->collation,
            column->version);
    return err_remedy(err,
                      "restore the library of the collation at the source, or copy the table "
                      "again: run --redo");
}

static bool check_column(struct session *source, const struct copy_key_column *column,
                         struct err *err)
{
    struct buf sql = {0};
    if (column->order != KEY_ASKED || column->collation == NULL || column->version == NULL)
        return true;
    append_question(&sql, column->collation);
    PGresult *result = session_exec(source, sql.data, err);
    bool ok = result != NULL && is_the_same(column, PQgetvalue(result, 0, 0), err);
    PQclear(result);
    buf_free(&sql);
    return ok;
}

bool key_order_check(struct session *source, const struct copy_key *key, struct err *err)
{
    for (uint16_t i = 0; i < key->count; i++)
        if (!check_column(source, &key->columns[i], err))
            return false;
    return true;
}

bool key_order_refused(const struct copy_key *key, struct err *err)
{
    if (err->class == ERR_DATA && copy_key_is_asked(key))
        err_remedy(err,
                   "if a value of the key is written in another way now than when the copy "
                   "began (an enum's by another name, money by another lc_monetary), copy "
                   "the table again: run --redo");
    return false;
}
