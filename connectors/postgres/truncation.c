/* Emptying target tables (truncation.h). */
#include "postgres/truncation.h"

#include "base/buf.h"
#include "base/mem.h"
#include "schema/ident.h"

#include <stdlib.h>

struct tables {
    const struct catalog *catalog;
    const struct pg_target_table *const *items;
    size_t count;
};

static bool among(const struct tables *tables, uint32_t oid)
{
    for (size_t i = 0; i < tables->count; i++)
        if (tables->items[i]->table->oid == oid)
            return true;
    return false;
}

static bool is_referenced_from_outside(const struct tables *tables, uint32_t oid)
{
    for (size_t i = 0; i < tables->catalog->table_count; i++) {
        const struct catalog_table *child = &tables->catalog->tables[i];
        for (uint16_t k = 0; k < child->foreign_key_count; k++)
            if (child->foreign_keys[k].parent_oid == oid && !among(tables, child->oid))
                return true;
    }
    return false;
}

static void append_table(struct buf *sql, const struct catalog_table *table)
{
    buf_append_text(sql, table->kind == 'p' ? "" : "ONLY ");
    ident_append_qualified(sql, table->schema, table->name);
}

static char *delete_sql(const struct pg_target_table *table)
{
    struct buf sql = {0};
    buf_append_text(&sql, "DELETE FROM ");
    append_table(&sql, table->table);
    if (table->owner_condition != NULL)
        buf_append_format(&sql, " WHERE %s", table->owner_condition);
    return buf_steal(&sql);
}

struct truncation *truncation_create(const struct catalog *catalog,
                                     const struct pg_target_table *const *tables, size_t count,
                                     enum truncation_way way)
{
    struct truncation *truncation = mem_zero(1, sizeof *truncation);
    const struct tables list = {.catalog = catalog, .items = tables, .count = count};
    struct buf sql = {0};
    truncation->statements = mem_zero(count + 1, sizeof *truncation->statements);
    for (size_t i = 0; i < count; i++) {
        if (way == TRUNCATION_DELETES || tables[i]->owner_condition != NULL ||
            is_referenced_from_outside(&list, tables[i]->table->oid)) {
            truncation->statements[truncation->count++] = delete_sql(tables[i]);
            continue;
        }
        buf_append_text(&sql, sql.size == 0 ? "TRUNCATE " : ", ");
        append_table(&sql, tables[i]->table);
    }
    if (sql.size > 0) {
        buf_append_text(&sql, way == TRUNCATION_RESTARTS_IDENTITY ? " RESTART IDENTITY" : "");
        truncation->statements[truncation->count++] = buf_steal(&sql);
    }
    buf_free(&sql);
    return truncation;
}

void truncation_free(struct truncation *truncation)
{
    for (size_t i = 0; i < truncation->count; i++)
        free(truncation->statements[i]);
    free(truncation->statements);
    free(truncation);
}
