/* A partition: of its root's columns, with its bounds, and defaults where it has its own. */
#include "schema/ddl_inside.h"

#include <string.h>

/* A partition may have defaults of its own, for rows that are written to it by name. */
static void plan_default(struct planner *planner, const struct ddl_table *table,
                         const struct outline_column *column, const char *expression)
{
    const char *missing;
    const char *renamed =
        expression ? planner_expression(planner, table, expression, &missing) : NULL;
    struct buf sql = {0};

    buf_append_format(&sql, "ALTER TABLE ONLY %s ALTER COLUMN %s ",
                      planner_name(planner, table), planner_ident(planner, column->name));
    if (renamed)
        buf_append_format(&sql, "SET DEFAULT %s", renamed);
    else
        buf_append_text(&sql, "DROP DEFAULT");
    planner_add(planner, DDL_BEFORE, DDL_SETTING, table->outline.schema, table->outline.name)
        ->sql = planner_take(planner, &sql);
}

static const char *default_of(const struct ddl_table *table, int16_t number)
{
    const struct definition_column *column = definitions_column(table->definition, number);

    return column ? column->expression : NULL;
}

static bool has_sequence(const struct ddl_table *table, int16_t number)
{
    const struct definition_column *column = definitions_column(table->definition, number);

    return column && column->sequence;
}

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void plan_partition_defaults(struct planner *planner, const struct ddl_table *table)
{
    const struct catalog_table *source = table->outline.source;

    for (uint16_t i = 0; table->root->definition && i < source->column_count; i++) {
        const struct catalog_column *own = &source->columns[i];
        const struct outline_column *column = outline_heir(&table->outline, own->name);
        const char *expression = default_of(table, own->number);

        if (!column || own->generated || own->identity || !column_keeps_family(column) ||
            has_sequence(table, own->number) ||
            same_text(expression, default_of(table->root, column->source->number)))
            continue;
        plan_default(planner, table, column, expression);
    }
}

void plan_partition(struct planner *planner, const struct ddl_table *table)
{
    struct buf sql = {0};

    buf_append_format(&sql, "CREATE TABLE %s PARTITION OF %s %s%s",
                      planner_name(planner, table), table->of, table->definition->bound,
                      table->partition_by);
    table_append_options(table, &sql);
    planner_add(planner, DDL_BEFORE, DDL_PARTITION, table->outline.schema, table->outline.name)
        ->sql = planner_take(planner, &sql);
    plan_partition_defaults(planner, table);
}
