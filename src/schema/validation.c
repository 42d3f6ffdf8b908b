/* Validation queries (validation.h).
 *
 * What they leave to others: running them, with a time limit, and saying what came of it. */
#include "schema/validation.h"

#include "schema/compatibility.h"
#include "schema/distinct.h"
#include "schema/finding.h"
#include "schema/ident.h"

#include <string.h>

char *validation_count(const char *rows, const char *condition)
{
    struct buf sql = {0};

    buf_append_format(
        &sql, "SELECT count(*) FROM (SELECT FROM %s AS \"r\" WHERE %s LIMIT %d) AS \"v\"", rows,
        condition, VALIDATION_LIMIT);
    return buf_steal(&sql);
}

/* The type citext need not be at the source: its equality is that of lower() there. */
void validation_compared(const struct catalog_column *column, struct buf *sql)
{
    bool citext = distinct_is_citext(column);

    buf_append_text(sql, citext ? "lower(" : "");
    ident_append(sql, column->name);
    buf_append_text(sql, citext ? "::text COLLATE \"default\")" : "");
}

static char *count_equal(const char *rows, const struct buf *list, const struct buf *present)
{
    struct buf sql = {0};

    buf_append_format(&sql, "SELECT count(*) FROM (SELECT FROM %s AS \"r\"", rows);
    if (present->size)
        buf_append_format(&sql, " WHERE %s", buf_text(present));
    buf_append_format(&sql, " GROUP BY %s HAVING count(*) > 1 LIMIT %d) AS \"v\"",
                      buf_text(list), VALIDATION_LIMIT);
    return buf_steal(&sql);
}

char *validation_duplicates(const char *rows, const struct catalog_table *table,
                            const uint16_t *columns, uint16_t count, bool nulls_equal)
{
    struct buf list = {0}, present = {0};
    char *sql;

    for (uint16_t i = 0; i < count; i++) {
        const char *name = table->columns[columns[i]].name;

        buf_append_text(&list, i ? ", " : "");
        validation_compared(&table->columns[columns[i]], &list);
        if (nulls_equal)
            continue;
        buf_append_text(&present, i ? " AND " : "");
        ident_append(&present, name);
        buf_append_text(&present, " IS NOT NULL");
    }
    sql = count_equal(rows, &list, &present);
    buf_free(&list);
    buf_free(&present);
    return sql;
}

/* (SELECT first, expression AS "k0", ... FROM rows AS "r" WHERE predicate) */
static void append_elements(const char *rows, const struct index_text *index, const char *first,
                            struct buf *sql)
{
    buf_append_format(sql, "(SELECT %s", first);
    for (size_t i = 0; i < index->count; i++)
        buf_append_format(sql, "%s%s AS \"k%zu\"", i || *first ? ", " : "",
                          index->expressions[i], i);
    buf_append_format(sql, " FROM %s AS \"r\"", rows);
    if (index->predicate)
        buf_append_format(sql, " WHERE %s", index->predicate);
    buf_append_char(sql, ')');
}

char *validation_equal_elements(const char *rows, const struct index_text *index,
                                bool nulls_equal)
{
    struct buf elements = {0}, list = {0}, present = {0};
    char *sql;

    append_elements(rows, index, "", &elements);
    for (size_t i = 0; i < index->count; i++) {
        buf_append_format(&list, "%s\"k%zu\"", i ? ", " : "", i);
        if (!nulls_equal)
            buf_append_format(&present, "%s\"k%zu\" IS NOT NULL", i ? " AND " : "", i);
    }
    sql = count_equal(buf_text(&elements), &list, &present);
    buf_free(&elements);
    buf_free(&list);
    buf_free(&present);
    return sql;
}

/* The rows are numbered once, so that each pair of them is met once. */
char *validation_excluded(const char *rows, const struct index_text *index)
{
    struct buf sql = {0};

    buf_append_text(&sql, "WITH \"e\" AS MATERIALIZED ");
    append_elements(rows, index, "row_number() OVER () AS \"n\"", &sql);
    buf_append_text(&sql,
                    " SELECT count(*) FROM (SELECT FROM \"e\" AS \"a\" JOIN \"e\" AS \"b\" "
                    "ON \"a\".\"n\" < \"b\".\"n\"");
    for (size_t i = 0; i < index->count; i++)
        buf_append_format(&sql, " AND \"a\".\"k%zu\" %s \"b\".\"k%zu\"", i, index->operators[i],
                          i);
    buf_append_format(&sql, " LIMIT %d) AS \"v\"", VALIDATION_LIMIT);
    return buf_steal(&sql);
}

char *validation_orphans(const char *rows, const struct catalog_table *child,
                         const struct catalog_foreign_key *key, const char *parents)
{
    struct buf present = {0}, equal = {0}, condition = {0};
    char *sql;

    for (uint16_t i = 0; i < key->column_count; i++) {
        const char *name = child->columns[key->columns[i]].name;

        buf_append_text(&present, "\"r\".");
        ident_append(&present, name);
        buf_append_text(&present, " IS NOT NULL AND ");
        buf_append_text(&equal, i ? " AND \"p\"." : "\"p\".");
        ident_append(&equal, key->parent_columns[i]);
        buf_append_text(&equal, " = \"r\".");
        ident_append(&equal, name);
    }
    buf_append_format(&condition, "%sNOT EXISTS (SELECT FROM %s AS \"p\" WHERE %s)",
                      buf_text(&present), parents, buf_text(&equal));
    sql = validation_count(rows, buf_text(&condition));
    buf_free(&present);
    buf_free(&equal);
    buf_free(&condition);
    return sql;
}

/* ---- types ---- */

static bool is_one_of(const char *base_type, const char *const *names)
{
    for (; *names; names++)
        if (strncmp(base_type, "pg_catalog.", 11) == 0 && strcmp(base_type + 11, *names) == 0)
            return true;
    return false;
}

static const char *const numbers[] = {"int2",   "int4",   "int8", "numeric",
                                      "float4", "float8", "oid",  NULL};
static const char *const fractions[] = {"numeric", "float4", "float8", NULL};
static const char *const floats[] = {"float4", "float8", NULL};
static const char *const texts[] = {"text", "varchar", "bpchar", NULL};
static const char *const times[] = {"time",        "timetz",   "timestamp",
                                    "timestamptz", "interval", NULL};

static const struct {
    const char *name;
    const char *min, *max;
} integers[] = {
    {"pg_catalog.int2", "-32768", "32767"},
    {"pg_catalog.int4", "-2147483648", "2147483647"},
    {"pg_catalog.int8", "-9223372036854775808", "9223372036854775807"},
};

/* CASE keeps the order: only a number is cast. */
static void misfit_integer_text(const char *name, const char *min, const char *max,
                                struct buf *condition)
{
    buf_append_format(condition,
                      "CASE WHEN %s::text ~ '^\\s*[-+]?[0-9]+\\s*$' THEN %s::text::numeric NOT "
                      "BETWEEN %s AND %s ELSE true END",
                      name, name, min, max);
}

static bool misfit_integer(const struct catalog_column *source,
                           const struct catalog_column *target, const char *name,
                           struct buf *condition)
{
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        if (strcmp(integers[i].name, target->base_type) != 0)
            continue;
        if (is_one_of(source->base_type, texts)) {
            misfit_integer_text(name, integers[i].min, integers[i].max, condition);
            return true;
        }
        if (!is_one_of(source->base_type, numbers))
            return false;
        buf_append_format(condition, "(%s < %s OR %s > %s", name, integers[i].min, name,
                          integers[i].max);
        if (is_one_of(source->base_type, fractions))
            buf_append_format(condition, " OR %s <> trunc(%s)", name, name);
        if (is_one_of(source->base_type, floats)) /* 1e+15 is read by no integer type */
            buf_append_format(condition, " OR %s::text ~ 'e'", name);
        buf_append_char(condition, ')');
        return true;
    }
    return false;
}

static bool misfit_length(const struct catalog_column *target, const char *name,
                          struct buf *condition)
{
    int limit;

    if (!type_length_limit(target, &limit))
        return false;
    buf_append_format(condition, "char_length(%s::text) > %d", name, limit);
    return true;
}

static bool misfit_numeric(const struct catalog_column *source,
                           const struct catalog_column *target, const char *name,
                           struct buf *condition)
{
    int precision = ((target->type_modifier - 4) >> 16) & 0xffff;
    int scale = (((target->type_modifier - 4) & 0x7ff) ^ 1024) - 1024;

    if (strcmp(target->base_type, "pg_catalog.numeric") != 0 || target->type_modifier < 4 ||
        !is_one_of(source->base_type, numbers))
        return false;
    buf_append_format(condition,
                      "(%s::numeric <> 'NaN' AND (%s::numeric <> round(%s::numeric, %d) OR "
                      "abs(round(%s::numeric, %d)) >= '1e%d'::numeric))",
                      name, name, name, scale, name, scale, precision - scale);
    return true;
}

/* As it stands in SQL at the source, which need not know the target's domains. */
static const char *base_name(const struct catalog_column *column)
{
    return column->base_name ? column->base_name : column->type_name;
}

static bool is_date_of(const struct catalog_column *source, const struct catalog_column *target)
{
    return strcmp(source->base_type, "pg_catalog.timestamp") == 0 &&
           strcmp(target->base_type, "pg_catalog.date") == 0;
}

/* What the target's precision rounds or cuts: the same type with fewer digits, or the part of a
 * timestamp that is a date. */
static bool misfit_precision(const struct catalog_column *source,
                             const struct catalog_column *target, const char *name,
                             struct buf *condition)
{
    bool same = strcmp(source->base_type, target->base_type) == 0 &&
                strncmp(target->base_type, "pg_catalog.", 11) == 0;

    if (!(same && (target->array || is_one_of(source->base_type, times))) &&
        !is_date_of(source, target))
        return false;
    buf_append_format(condition, "%s <> %s::%s", name, name, base_name(target));
    return true;
}

#define UUID_DIGITS "([0-9a-f]{4}-?){7}[0-9a-f]{4}"

static bool misfit_uuid(const struct catalog_column *source,
                        const struct catalog_column *target, const char *name,
                        struct buf *condition)
{
    if (strcmp(target->base_type, "pg_catalog.uuid") != 0 ||
        !is_one_of(source->base_type, texts))
        return false;
    buf_append_format(condition, "%s::text !~* '^(" UUID_DIGITS "|[{]" UUID_DIGITS "[}])$'",
                      name);
    return true;
}

bool validation_misfit(const struct catalog_column *source, const struct catalog_column *target,
                       struct buf *condition)
{
    struct buf name = {0};
    bool known;

    ident_append(&name, source->name);
    known = misfit_integer(source, target, buf_text(&name), condition) ||
            misfit_length(target, buf_text(&name), condition) ||
            misfit_numeric(source, target, buf_text(&name), condition) ||
            misfit_precision(source, target, buf_text(&name), condition) ||
            misfit_uuid(source, target, buf_text(&name), condition);
    buf_free(&name);
    return known;
}
