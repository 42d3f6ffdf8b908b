/* Key ranges as SQL (key_range.h). */
#include "postgres/key_range.h"

#include "schema/ident.h"

#include <string.h>

bool key_range_is_bounded(const struct copy_range *range)
{
    return range->from != NULL || range->below != NULL || range->after != NULL ||
           range->upto != NULL || range->most_rows > 0;
}

static void append_columns(struct buf *sql, const struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++) {
        buf_append_text(sql, i == 0 ? " " : ", ");
        ident_append(sql, relation->columns[i].name);
    }
}

static void append_value(struct buf *sql, const char *value,
                         const struct copy_key_column *column)
{
    literal_append(sql, value, strlen(value));
    buf_append_format(sql, "::%s", column->type);
}

static void append_key(struct buf *sql, const struct copy_key *key, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_text(sql, i == 0 ? "" : ", ");
        ident_append(sql, key->columns[i].name);
    }
}

/* "id" >= '5'::bigint */
static void compare_leading(struct buf *sql, const struct copy_key *key, const char *operator,
                            const char * value)
{
    ident_append(sql, key->columns[0].name);
    buf_append_format(sql, " %s ", operator);
    append_value(sql, value, &key->columns[0]);
}

/* ("a", "b") > ('1'::integer, 'x'::text), of so many columns */
static void compare_keys(struct buf *sql, const struct copy_key *key, size_t count,
                         const char *operator, const char * const * values)
{
    buf_append_char(sql, '(');
    append_key(sql, key, count);
    buf_append_format(sql, ") %s (", operator);
    for (size_t i = 0; i < count; i++) {
        buf_append_text(sql, i == 0 ? "" : ", ");
        append_value(sql, values[i], &key->columns[i]);
    }
    buf_append_char(sql, ')');
}

/* Partitions are pruned by conditions on a column, not by comparisons of rows. */
static void help_pruning(struct buf *sql, const struct copy_key *key, bool partitioned,
                         const char *operator, const char * const * values)
{
    if (!partitioned || key->count < 2)
        return;
    buf_append_text(sql, " AND ");
    compare_leading(sql, key, operator, values[0]);
}

/* A bound of a lane. */
static void compare_bound(struct buf *sql, const struct copy_key *key, bool partitioned,
                          const char *operator, const char * operator_of_leading,
                          const char *const *bound)
{
    size_t count = copy_bound_size(bound);
    if (count == 1) {
        compare_leading(sql, key, operator, bound[0]);
        return;
    }
    compare_keys(sql, key, count, operator, bound);
    help_pruning(sql, key, partitioned, operator_of_leading, bound);
}

/* One bound on each side is enough: `after` lies at or above `from`, `upto` below `below`. */
static void append_lower(struct buf *sql, const struct copy_key *key, bool partitioned,
                         const struct copy_range *range)
{
    if (range->after != NULL) {
        compare_keys(sql, key, key->count, ">", range->after);
        help_pruning(sql, key, partitioned, ">=", range->after);
    } else {
        compare_bound(sql, key, partitioned, ">=", ">=", range->from);
    }
}

static void append_upper(struct buf *sql, const struct copy_key *key, bool partitioned,
                         const struct copy_range *range)
{
    if (range->upto != NULL) {
        compare_keys(sql, key, key->count, "<=", range->upto);
        help_pruning(sql, key, partitioned, "<=", range->upto);
    } else {
        compare_bound(sql, key, partitioned, "<", "<=", range->below);
    }
}

static void append_bounds(struct buf *sql, const struct copy_key *key, bool partitioned,
                          const struct copy_range *range)
{
    bool lower = range->after != NULL || range->from != NULL;
    bool upper = range->upto != NULL || range->below != NULL;
    buf_append_text(sql, lower || upper ? " WHERE " : "");
    if (lower)
        append_lower(sql, key, partitioned, range);
    buf_append_text(sql, lower && upper ? " AND " : "");
    if (upper)
        append_upper(sql, key, partitioned, range);
}

void key_range_select(struct buf *sql, const struct relation *relation, bool partitioned,
                      const struct copy_key *key, const struct copy_range *range)
{
    buf_append_text(sql, "SELECT");
    append_columns(sql, relation);
    buf_append_text(sql, partitioned ? " FROM " : " FROM ONLY ");
    ident_append_qualified(sql, relation->schema, relation->name);
    append_bounds(sql, key, partitioned, range);
    if (!key_range_is_bounded(range))
        return;
    buf_append_text(sql, " ORDER BY ");
    append_key(sql, key, key->count);
    if (range->most_rows > 0)
        buf_append_format(sql, " FETCH FIRST %llu ROWS WITH TIES",
                          (unsigned long long)range->most_rows);
}
