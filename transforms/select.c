/* A bound table said in SQL (rules.h). */
#include "transforms/condition.h"
#include "transforms/plan.h"

#include "schema/compatibility.h"
#include "schema/ident.h"

#include <string.h>

/* The statement runs at the source, which need not know a type of the target's own. */
static bool is_built_in(const struct catalog_column *column)
{
    return strncmp(column->base_type, "pg_catalog.", 11) == 0;
}

/* A domain is written as its base type: the source need not have it either. */
static void append_type(const struct catalog_column *target, struct buf *sql)
{
    if (target->type_oid == target->base_type_oid)
        buf_append_text(sql, target->type_name);
    else
        buf_append_format(sql, "pg_catalog.\"%s\"", strchr(target->base_type, '.') + 1);
}

static void append_rule(const struct bound_column *column, struct buf *sql)
{
    const struct value null = {.kind = VALUE_NULL};

    if (column->no_sql)
        constant_sql(&null, sql);
    else
        rule_sql(column->rule, sql);
}

static void append_column(const struct bound_column *column, struct buf *sql)
{
    const struct source_column *plain = column->rule->plain;
    bool same = plain && strcmp(plain->column->base_type, column->target->base_type) == 0;

    if (same && !is_built_in(column->target)) {
        ident_append(sql, plain->column->name);
    } else if (!same && !is_built_in(column->target)) {
        append_rule(column, sql);
        buf_append_text(sql, column->rule->formula ? "::text" : "");
    } else {
        buf_append_text(sql, "CAST(");
        if (same)
            ident_append(sql, plain->column->name);
        else
            append_rule(column, sql);
        buf_append_text(sql, " AS ");
        append_type(column->target, sql);
        buf_append_text(sql, ")");
    }
    buf_append_text(sql, " AS ");
    ident_append(sql, column->target->name);
}

/* A table's own rows, as the publication has them; partitions come with their root. */
static void append_table(const struct catalog_table *source, struct buf *sql)
{
    buf_append_text(sql, source->kind == 'p' ? "" : "ONLY ");
    ident_append_qualified(sql, source->schema, source->name);
}

/* " WHERE (...) AND (...)", or nothing. */
static void append_where(const struct condition *where, const struct condition *route,
                         struct buf *sql)
{
    const struct condition *const conditions[] = {where, route};
    const char *separator = " WHERE (";

    for (size_t i = 0; i < 2; i++) {
        if (!conditions[i])
            continue;
        buf_append_text(sql, separator);
        condition_sql(conditions[i], sql);
        buf_append_text(sql, ")");
        separator = " AND (";
    }
}

void plan_source_rows(const struct catalog_table *source, const struct condition *where,
                      const struct condition *route, struct buf *sql)
{
    bool all = !where && !route;

    buf_append_text(sql, all ? "" : "(SELECT * FROM ");
    append_table(source, sql);
    append_where(where, route, sql);
    buf_append_text(sql, all ? "" : ")");
}

void bound_table_select(const struct bound_table *table, struct buf *sql)
{
    buf_append_text(sql, "SELECT ");
    for (uint16_t i = 0; i < table->column_count; i++) {
        buf_append_text(sql, i ? ", " : "");
        append_column(&table->columns[i], sql);
    }
    buf_append_text(sql, " FROM ");
    append_table(table->source, sql);
    append_where(table->where, table->route, sql);
}
