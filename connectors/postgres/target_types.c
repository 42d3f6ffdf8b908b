/* See target_types.h. */
#include "postgres/target_types.h"

#include "schema/ident.h"

#include <string.h>

void target_types_lock_sql(struct buf *sql, const struct relation *target)
{
    buf_append_text(sql, "LOCK TABLE ONLY ");
    ident_append_qualified(sql, target->schema, target->name);
    buf_append_text(sql, " IN ROW EXCLUSIVE MODE");
}

/* How many columns are as they were. */
static void append_count(struct buf *sql, const struct relation *target)
{
    buf_append_text(sql, "(SELECT count(*) FROM pg_attribute AS a JOIN (VALUES ");
    for (uint16_t i = 0; i < target->column_count; i++) {
        const struct column *column = &target->columns[i];
        buf_append_text(sql, i == 0 ? "(" : ", (");
        literal_append(sql, column->name, strlen(column->name));
        buf_append_format(sql, ", %u::oid)", column->type_oid);
    }
    buf_append_format(sql,
                      ") AS c (name, type) ON a.attname = c.name AND a.atttypid = c.type"
                      " WHERE a.attrelid = %u::oid AND NOT a.attisdropped)",
                      target->oid);
}

/* No constant may be cast: the planner would evaluate it in any case. */
void target_types_guard_sql(struct buf *sql, const struct relation *target)
{
    if (target->column_count == 0) {
        buf_append_text(sql, "SELECT 1");
        return;
    }
    buf_append_text(sql, "SELECT CASE WHEN n = ");
    buf_append_format(sql,
                      "%u THEN 1 ELSE (n || ' columns are of the types that rows were bound to,"
                      " not all')::int END FROM (SELECT ",
                      target->column_count);
    append_count(sql, target);
    buf_append_text(sql, " AS n) AS counted");
}

static bool is_same(struct session *session, const struct relation *target, bool *same,
                    struct err *err)
{
    struct buf sql = {0};
    buf_append_format(&sql, "SELECT %u = ", target->column_count);
    append_count(&sql, target);
    PGresult *r = session_exec(session, buf_text(&sql), err);
    if (r != NULL)
        *same = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    buf_free(&sql);
    return r != NULL;
}

bool target_types_check(struct session *session, const struct relation *target, struct err *err)
{
    struct buf sql = {0};
    bool same = true;
    target_types_lock_sql(&sql, target);
    bool ok = session_run(session, buf_text(&sql), err) &&
              (target->column_count == 0 || is_same(session, target, &same, err));
    buf_free(&sql);
    if (!ok || same)
        return ok;
    return err_set(err, ERR_SHAPE,
                   "columns of target table %s.%s are of other types than rows were bound to",
                   target->schema, target->name);
}
