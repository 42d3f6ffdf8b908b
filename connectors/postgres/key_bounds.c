/* Splitting a table's keys (key_bounds.h).
 *
 * The statistics give points: a value of the leading column, what share of the rows lies
 * between it and the value before (width), and what share has the value itself (weight). The
 * share of rows below a value follows; each part begins at the first value that has the part's
 * share below it.
 *
 * A sample gives rows, in the order of the key. Each part begins at a row; of that row's key as
 * many columns are taken as tell it from most of the others. */
#include "postgres/key_bounds.h"

#include "base/buf.h"
#include "base/mem.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_PAGES 400 /* at least */
#define SAMPLE_PAGES_PER_PART 2
#define MOST_OF_A_VALUE 2 /* parts that one value may fill before more columns are taken */

/* $1 schema, $2 table, $3 column. The type is put in by us: its array's text is cast back.
 * Unnested values have lost their column's collation. A partitioned table has statistics of the
 * whole tree beside its own none. */
static const char STATISTICS_SQL[] =
    "WITH s AS (SELECT histogram_bounds::text::%1$s[] AS bounds,"
    "                  most_common_vals::text::%1$s[] AS common, most_common_freqs AS shares,"
    "                  1 - coalesce((SELECT sum(f) FROM unnest(most_common_freqs) f), 0) AS "
    "rest"
    "           FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3"
    "             AND inherited = %2$s),"
    " points AS (SELECT b.v%3$s AS v, CASE WHEN n > 1 THEN rest / (cardinality(bounds) - 1)"
    "                                      ELSE 0 END AS width, 0.0 AS weight"
    "            FROM s, unnest(bounds) WITH ORDINALITY b(v, n)"
    "            UNION ALL SELECT c.v%3$s, 0.0, c.share"
    "            FROM s, unnest(common, shares) c(v, share)),";

/* The first value bounds nothing. */
static const char CHOICE_SQL[] =
    " merged AS (SELECT v, sum(width) AS width, sum(weight) AS weight FROM points GROUP BY v),"
    " below AS (SELECT v, sum(width + weight) OVER upwards - weight AS share,"
    "                  row_number() OVER upwards AS place"
    "           FROM merged WINDOW upwards AS (ORDER BY v)),"
    " parts AS (SELECT v, floor(share * %1$zu) AS part FROM below WHERE place > 1)"
    " SELECT DISTINCT ON (part) v FROM parts WHERE part BETWEEN 1 AND %1$zu - 1"
    " ORDER BY part, v";

/* $1 schema, $2 table, $3 column. */
static const char LARGEST_SQL[] =
    "SELECT coalesce(max(share), 0) FROM pg_stats, unnest(most_common_freqs) AS share"
    " WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND inherited = %s";

/* k1, k2, ...: the key columns. The table's pages by chance; a small table is read as a whole.
 */
static const char RANKED_SQL[] =
    "), ranked AS (SELECT *, count(*) OVER () AS rows,"
    "                     row_number() OVER (ORDER BY %1$s) - 1 AS place%2$s FROM sample),"
    " parts AS (SELECT *, place * %3$zu / rows AS part FROM ranked)"
    " SELECT DISTINCT ON (part) CASE%4$s ELSE %6$u END, %5$sk%6$u FROM parts"
    " ORDER BY part, place";

static void append_collation(struct buf *sql, const struct copy_key_column *column)
{
    if (column->order == KEY_BYTES)
        buf_append_text(sql, "::text COLLATE \"C\"");
    else if (column->collation != NULL)
        buf_append_format(sql, " COLLATE %s", column->collation);
}

static const char *of_tree(const struct catalog_table *table)
{
    return table->kind == 'p' ? "true" : "false";
}

/* ---- bounds ---- */

static void add_bound(struct copy_plan *plan, char **bound)
{
    plan->bounds = mem_grow(plan->bounds, plan->bound_count + 1, sizeof *plan->bounds);
    plan->bounds[plan->bound_count++] = bound;
}

static void forget_bounds(struct copy_plan *plan)
{
    for (size_t i = 0; i < plan->bound_count; i++)
        copy_bound_free(plan->bounds[i]);
    free(plan->bounds);
    plan->bounds = NULL;
    plan->bound_count = 0;
}

/* The first `size` values from the result's column on. */
static char **bound_at(const PGresult *r, int row, int column, size_t size)
{
    char **bound = mem_zero(size + 1, sizeof *bound);
    for (size_t i = 0; i < size; i++)
        bound[i] = mem_string(PQgetvalue(r, row, column + (int)i));
    return bound;
}

/* ---- from the statistics ---- */

static bool from_statistics(struct session *session, const struct catalog_table *table,
                            const struct copy_key_column *leading, size_t parts,
                            struct copy_plan *plan, struct err *err)
{
    struct buf sql = {0};
    struct buf collation = {0};
    const char *values[] = {table->schema, table->name, leading->name};
    append_collation(&collation, leading);
    buf_append_format(&sql, STATISTICS_SQL, leading->type, of_tree(table),
                      buf_text(&collation));
    buf_append_format(&sql, CHOICE_SQL, parts);
    PGresult *r = session_query(session, sql.data, 3, values, err);
    for (int i = 0; r != NULL && i < PQntuples(r); i++)
        add_bound(plan, bound_at(r, i, 0, 1));
    PQclear(r);
    buf_free(&sql);
    buf_free(&collation);
    return r != NULL;
}

/* Whether some value of the leading column is that of more rows than a part should have. */
static bool is_skewed(struct session *session, const struct catalog_table *table,
                      const struct copy_key *key, size_t parts, bool *skewed, struct err *err)
{
    struct buf sql = {0};
    const char *values[] = {table->schema, table->name, key->columns[0].name};
    *skewed = false;
    if (key->count < 2)
        return true;
    buf_append_format(&sql, LARGEST_SQL, of_tree(table));
    PGresult *r = session_query(session, sql.data, 3, values, err);
    buf_free(&sql);
    if (r == NULL)
        return false;
    *skewed = strtod(PQgetvalue(r, 0, 0), NULL) * (double)parts > MOST_OF_A_VALUE;
    PQclear(r);
    return true;
}

/* ---- from a sample ---- */

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

/* "k1, k2, k3" */
static void append_names(struct buf *sql, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_append_format(sql, "%sk%zu", i == 0 ? "" : ", ", i + 1);
}

static void append_sample(struct buf *sql, const struct catalog_table *table,
                          const struct copy_key *key, double percent)
{
    for (uint16_t i = 0; i < key->count; i++) {
        buf_append_text(sql, i == 0 ? "WITH sample AS (SELECT " : ", ");
        ident_append(sql, key->columns[i].name);
        buf_append_format(sql, "::%s", key->columns[i].type);
        append_collation(sql, &key->columns[i]);
        buf_append_format(sql, " AS k%u", i + 1U);
    }
    buf_append_text(sql, table->kind == 'p' ? " FROM " : " FROM ONLY ");
    ident_append_qualified(sql, table->schema, table->name);
    buf_append_format(sql, " TABLESAMPLE SYSTEM (%.9f)", percent);
}

/* w1, w2, ...: how many rows have the same first columns; fewer than all of them are enough
 * where that is not too many. f1, f2, ...: one text for values that are equal and have several
 * ("1.0" and "1.00", or by a collation). */
static void append_ranked(struct buf *sql, const struct copy_key *key, size_t parts)
{
    struct buf names = {0};
    struct buf weights = {0};
    struct buf sizes = {0};
    struct buf values = {0};
    for (size_t i = 1; i < key->count; i++) {
        buf_append_text(&weights, ", count(*) OVER (PARTITION BY ");
        append_names(&weights, i);
        buf_append_format(&weights, ") AS w%zu, first_value(k%zu) OVER (PARTITION BY ", i, i);
        append_names(&weights, i);
        buf_append_format(&weights, ") AS f%zu", i);
        buf_append_format(&values, "f%zu, ", i);
        buf_append_format(&sizes, " WHEN w%zu * %zu <= %d * rows THEN %zu", i, parts,
                          MOST_OF_A_VALUE, i);
    }
    buf_append_text(&sizes, key->count < 2 ? " WHEN true THEN 1" : "");
    append_names(&names, key->count);
    buf_append_format(sql, RANKED_SQL, buf_text(&names), buf_text(&weights), parts,
                      buf_text(&sizes), buf_text(&values), key->count);
    buf_free(&names);
    buf_free(&weights);
    buf_free(&sizes);
    buf_free(&values);
}

/* Whether the bound's values are also the row's. */
static bool bounds_row(char *const *bound, const PGresult *r, int row)
{
    for (int i = 0; bound[i] != NULL; i++)
        if (strcmp(bound[i], PQgetvalue(r, row, i + 1)) != 0)
            return false;
    return true;
}

/* The first row is the least: what it begins with bounds nothing. Parts that begin with the
 * same are one. */
static void take_rows(const PGresult *r, struct copy_plan *plan)
{
    for (int i = 1; i < PQntuples(r); i++) {
        char **bound = bound_at(r, i, 1, strtoul(PQgetvalue(r, i, 0), NULL, 10));
        bool known =
            plan->bound_count > 0 && bounds_row(plan->bounds[plan->bound_count - 1], r, i);
        if (known || bounds_row(bound, r, 0))
            copy_bound_free(bound);
        else
            add_bound(plan, bound);
    }
}

static bool from_sample(struct session *session, const struct catalog_table *table,
                        const struct copy_key *key, size_t parts, struct copy_plan *plan,
                        struct err *err)
{
    double pages = 0;
    double wanted = SAMPLE_PAGES_PER_PART * (double)parts;
    struct buf sql = {0};
    wanted = wanted < SAMPLE_PAGES ? SAMPLE_PAGES : wanted;
    if (!count_pages(session, table->oid, &pages, err))
        return false;
    append_sample(&sql, table, key, pages <= wanted ? 100.0 : 100.0 * wanted / pages);
    append_ranked(&sql, key, parts);
    PGresult *r = session_exec(session, sql.data, err);
    buf_free(&sql);
    if (r != NULL)
        take_rows(r, plan);
    PQclear(r);
    return r != NULL;
}

/* A hundred values of the statistics do not tell of a thousand parts. */
static bool is_fine_enough(const struct copy_key *key, size_t count, size_t parts)
{
    return copy_key_is_asked(key) ? count >= parts - parts / 4 : count > 0;
}

bool key_bounds_find(struct session *session, const struct catalog_table *table,
                     const struct copy_key *key, size_t parts, struct copy_plan *plan,
                     struct err *err)
{
    bool skewed = false;
    if (parts < 2)
        return true;
    if (!is_skewed(session, table, key, parts, &skewed, err) ||
        (!skewed && !from_statistics(session, table, &key->columns[0], parts, plan, err)))
        return false;
    if (!skewed && is_fine_enough(key, plan->bound_count, parts))
        return true;
    forget_bounds(plan);
    return from_sample(session, table, key, parts, plan, err);
}
