/* Splitting a table's keys (key_bounds.h).
 *
 * Both sources give points: a value, what share of the rows lies between it and the value
 * before (width), and what share has the value itself (weight). The share of rows below a value
 * follows; each part begins at the first value that has the part's share below it. */
#include "postgres/key_bounds.h"

#include "base/buf.h"
#include "base/mem.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_PAGES 400 /* at least */
#define SAMPLE_PAGES_PER_PART 2

/* $1 schema, $2 table, $3 column. The type is put in by us: its array's text is cast back.
 * Unnested values have lost their column's collation. A partitioned table has statistics of the
 * whole tree beside its own none. */
static const char STATISTICS_SQL[] =
    "WITH s AS (SELECT histogram_bounds::text::%1$s[] AS bounds,"
    "                  most_common_vals::text::%1$s[] AS common, most_common_freqs AS shares,"
    "                  1 - coalesce((SELECT sum(f) FROM unnest(most_common_freqs) f), 0) AS rest"
    "           FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3"
    "             AND inherited = %2$s),"
    " points AS (SELECT b.v%3$s AS v, CASE WHEN n > 1 THEN rest / (cardinality(bounds) - 1)"
    "                                      ELSE 0 END AS width, 0.0 AS weight"
    "            FROM s, unnest(bounds) WITH ORDINALITY b(v, n)"
    "            UNION ALL SELECT c.v%3$s, 0.0, c.share"
    "            FROM s, unnest(common, shares) c(v, share)),";

/* The table's pages by chance; a small table is read as a whole. */
static const char SAMPLE_SQL[] =
    "WITH points AS (SELECT %1$s::%2$s%5$s AS v, 0.0 AS width, 1.0 / count(*) OVER () AS weight"
    "                FROM %3$s TABLESAMPLE SYSTEM (%4$.9f)),";

/* The first value bounds nothing. */
static const char CHOICE_SQL[] =
    " merged AS (SELECT v, sum(width) AS width, sum(weight) AS weight FROM points GROUP BY v),"
    " below AS (SELECT v, sum(width + weight) OVER upwards - weight AS share,"
    "                  row_number() OVER upwards AS place"
    "           FROM merged WINDOW upwards AS (ORDER BY v)),"
    " parts AS (SELECT v, floor(share * %1$zu) AS part FROM below WHERE place > 1)"
    " SELECT DISTINCT ON (part) v FROM parts WHERE part BETWEEN 1 AND %1$zu - 1"
    " ORDER BY part, v";

static void append_collation(struct buf *sql, const struct copy_key_column *column)
{
    if (column->order == KEY_BYTES)
        buf_append_text(sql, "::text COLLATE \"C\"");
    else if (column->collation != NULL)
        buf_append_format(sql, " COLLATE %s", column->collation);
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
    struct buf collation = {0};
    const char *values[] = {table->schema, table->name, leading->name};
    append_collation(&collation, leading);
    buf_append_format(&sql, STATISTICS_SQL, leading->type, table->kind == 'p' ? "true" : "false",
                      buf_text(&collation));
    buf_append_format(&sql, CHOICE_SQL, parts);
    PGresult *r = session_query(session, sql.data, 3, values, err);
    buf_free(&sql);
    buf_free(&collation);
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
    double wanted = SAMPLE_PAGES_PER_PART * (double)parts;
    wanted = wanted < SAMPLE_PAGES ? SAMPLE_PAGES : wanted;
    struct buf sql = {0};
    struct buf name = {0};
    struct buf column = {0};
    struct buf collation = {0};
    append_collation(&collation, leading);
    buf_append_text(&name, table->kind == 'p' ? "" : "ONLY ");
    ident_append_qualified(&name, table->schema, table->name);
    ident_append(&column, leading->name);
    buf_append_format(&sql, SAMPLE_SQL, column.data, leading->type, name.data,
                      pages <= wanted ? 100.0 : 100.0 * wanted / pages, buf_text(&collation));
    buf_append_format(&sql, CHOICE_SQL, parts);
    PGresult *r = session_exec(session, sql.data, err);
    buf_free(&sql);
    buf_free(&name);
    buf_free(&column);
    buf_free(&collation);
    return take_bounds(r, bounds, count);
}

static void free_bounds(char **bounds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(bounds[i]);
    free(bounds);
}

/* A hundred values of the statistics do not tell of a thousand parts. */
static bool is_fine_enough(const struct copy_key_column *leading, size_t count, size_t parts)
{
    return leading->order == KEY_ASKED ? count >= parts - parts / 4 : count > 0;
}

bool key_bounds_find(struct session *session, const struct catalog_table *table,
                     const struct copy_key_column *leading, size_t parts, char ***bounds,
                     size_t *count, struct err *err)
{
    *bounds = NULL;
    *count = 0;
    if (parts < 2)
        return true;
    if (!from_statistics(session, table, leading, parts, bounds, count, err))
        return false;
    if (is_fine_enough(leading, *count, parts))
        return true;
    free_bounds(*bounds, *count);
    *bounds = NULL;
    *count = 0;
    return from_sample(session, table, leading, parts, bounds, count, err);
}
