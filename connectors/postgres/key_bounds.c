/* Splitting a table's keys (key_bounds.h).
 *
 * Both sources give points: a value, what share of the rows lies between it and the value
 * before (width), and what share has the value itself (weight). The share of rows below a value
 * follows, and for each wanted share the nearest value is taken. */
#include "postgres/key_bounds.h"

#include "base/buf.h"
#include "base/mem.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_PAGES 400

/* $1 schema, $2 table, $3 column. The type is put in by us: its array's text is cast back.
 * A partitioned table has statistics of the whole tree beside its own none. */
static const char STATISTICS_SQL[] =
    "WITH s AS (SELECT histogram_bounds::text::%1$s[] AS bounds,"
    "                  most_common_vals::text::%1$s[] AS common, most_common_freqs AS shares,"
    "                  1 - coalesce((SELECT sum(f) FROM unnest(most_common_freqs) f), 0) AS rest"
    "           FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3"
    "             AND inherited = %2$s),"
    " points AS (SELECT b.v, CASE WHEN n > 1 THEN rest / (cardinality(bounds) - 1) ELSE 0 END"
    "                     AS width, 0.0 AS weight"
    "            FROM s, unnest(bounds) WITH ORDINALITY b(v, n)"
    "            UNION ALL SELECT c.v, 0.0, c.share"
    "            FROM s, unnest(common, shares) c(v, share)),";

/* The table's pages by chance; a small table is read as a whole. */
static const char SAMPLE_SQL[] =
    "WITH points AS (SELECT %1$s::%2$s AS v, 0.0 AS width, 1.0 / count(*) OVER () AS weight"
    "                FROM %3$s TABLESAMPLE SYSTEM (%4$.9f)),";

static const char CHOICE_SQL[] =
    " merged AS (SELECT v, sum(width) AS width, sum(weight) AS weight FROM points GROUP BY v),"
    " below AS MATERIALIZED (SELECT v, sum(width + weight) OVER (ORDER BY v%1$s) - weight AS share,"
    "                               v = first_value(v) OVER (ORDER BY v%1$s) AS first"
    "                        FROM merged)"
    " SELECT chosen.v FROM (SELECT DISTINCT nearest.v FROM generate_series(1, %2$zu - 1) part,"
    "   LATERAL (SELECT v FROM below WHERE NOT first"
    "            ORDER BY abs(share - part::float8 / %2$zu) LIMIT 1) nearest) chosen"
    " ORDER BY chosen.v%1$s";

/* Unnested values have lost their column's collation. */
static const char *collation(const struct copy_key_column *column)
{
    return column->order == KEY_BYTES ? "::text COLLATE \"C\"" : "";
}

static bool take_bounds(PGresult *r, char ***bounds, size_t *count)
{
    if (r == NULL)
        return false;
    *count = (size_t)PQntuples(r);
    *bounds = *count == 0 ? NULL : mem_zero(*count, sizeof **bounds);
    for (size_t i = 0; i < *count; i++)
        (*bounds)[i] = mem_string(PQgetvalue(r, (int)i, 0));
    PQclear(r);
    return true;
}

static bool from_statistics(struct session *session, const struct catalog_table *table,
                            const struct copy_key_column *leading, size_t parts, char ***bounds,
                            size_t *count, struct err *err)
{
    struct buf sql = {0};
    const char *values[] = {table->schema, table->name, leading->name};
    buf_append_format(&sql, STATISTICS_SQL, leading->type,
                      table->kind == 'p' ? "true" : "false");
    buf_append_format(&sql, CHOICE_SQL, collation(leading), parts);
    PGresult *r = session_query(session, sql.data, 3, values, err);
    buf_free(&sql);
    return take_bounds(r, bounds, count);
}

static bool count_pages(struct session *session, uint32_t oid, double *pages, struct err *err)
{
    char text[16];
    snprintf(text, sizeof text, "%u", oid);
    PGresult *r = session_query(session,
                                "SELECT (pg_relation_size($1::oid) +"
                                "        (SELECT coalesce(sum(pg_relation_size(relid)), 0)"
                                "         FROM pg_partition_tree($1::oid::regclass)"
                                "         WHERE relid <> $1::oid))"
                                "       / current_setting('block_size')::int",
                                1, (const char *[]){text}, err);
    if (r == NULL)
        return false;
    *pages = strtod(PQgetvalue(r, 0, 0), NULL);
    PQclear(r);
    return true;
}

static bool from_sample(struct session *session, const struct catalog_table *table,
                        const struct copy_key_column *leading, size_t parts, char ***bounds,
                        size_t *count, struct err *err)
{
    double pages = 0;
    if (!count_pages(session, table->oid, &pages, err))
        return false;
    struct buf sql = {0};
    struct buf name = {0};
    struct buf column = {0};
    buf_append_text(&name, table->kind == 'p' ? "" : "ONLY ");
    ident_append_qualified(&name, table->schema, table->name);
    ident_append(&column, leading->name);
    buf_append_format(&sql, SAMPLE_SQL, column.data, leading->type, name.data,
                      pages <= SAMPLE_PAGES ? 100.0 : 100.0 * SAMPLE_PAGES / pages);
    buf_append_format(&sql, CHOICE_SQL, collation(leading), parts);
    PGresult *r = session_exec(session, sql.data, err);
    buf_free(&sql);
    buf_free(&name);
    buf_free(&column);
    return take_bounds(r, bounds, count);
}

bool key_bounds_find(struct session *session, const struct catalog_table *table,
                     const struct copy_key_column *leading, size_t parts, char ***bounds,
                     size_t *count, struct err *err)
{
    *bounds = NULL;
    *count = 0;
    if (parts < 2)
        return true;
    return from_statistics(session, table, leading, parts, bounds, count, err) &&
           (*count > 0 || from_sample(session, table, leading, parts, bounds, count, err));
}
