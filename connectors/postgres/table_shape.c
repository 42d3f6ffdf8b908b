/* See table_shape.h. */
#include "postgres/table_shape.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_SQL                                                                            \
    "SELECT attnum, attname, atttypid, atttypmod FROM pg_attribute"                            \
    " WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum"

static bool is_column(const PGresult *r, int row, const struct catalog_column *column)
{
    return strtol(PQgetvalue(r, row, 0), NULL, 10) == column->number &&
           strcmp(PQgetvalue(r, row, 1), column->name) == 0 &&
           strtoul(PQgetvalue(r, row, 2), NULL, 10) == column->type_oid &&
           strtol(PQgetvalue(r, row, 3), NULL, 10) == catalog_shown_modifier(column);
}

static void list_columns(const PGresult *r, struct buf *text)
{
    for (int i = 0; i < PQntuples(r); i++)
        buf_append_format(text, "%s%s", i ? ", " : "", PQgetvalue(r, i, 1));
}

static bool refuse(const struct catalog_table *table, const PGresult *r, struct err *err)
{
    struct buf now = {0};
    list_columns(r, &now);
    err_set(
        err, ERR_SHAPE,
        "source table %s.%s has changed while it is copied; its columns are (%.600s) by now",
        table->schema, table->name, buf_text(&now));
    buf_free(&now);
    return false;
}

bool table_shape_check(struct session *session, const struct catalog_table *table,
                       struct err *err)
{
    char oid[16];
    snprintf(oid, sizeof oid, "%u", table->oid);
    PGresult *r = session_query(session, COLUMNS_SQL, 1, (const char *[]){oid}, err);
    if (r == NULL)
        return false;
    bool same = PQntuples(r) == table->column_count;
    for (uint16_t i = 0; same && i < table->column_count; i++)
        same = is_column(r, i, &table->columns[i]);
    if (!same)
        refuse(table, r, err);
    PQclear(r);
    return same;
}

void table_shape_suspect(struct err *err)
{
    static const char *const STATES[] = {"42703", "42P01", "3F000"}; /* column, table, schema */
    for (size_t i = 0; i < sizeof STATES / sizeof STATES[0]; i++)
        if (err->class == ERR_DATA && strcmp(err->sqlstate, STATES[i]) == 0)
            err->class = ERR_SHAPE;
}
