/* Whether tables and their types still are as the rules were bound to them: what no change of the
 * stream tells, and what is done at the target. A few catalog rows for each table. */
#ifndef POSTGRES_SCHEMA_WATCH_H
#define POSTGRES_SCHEMA_WATCH_H

#include "postgres/session.h"
#include "schema/catalog.h"

/* Fills `change` with the first difference from the catalog, "" when there is none: "target table
 * app.users has changed". */
bool schema_watch_look(struct session *session, const struct catalog *catalog,
                       size_t table_count, const struct catalog_table *const *tables,
                       char *change, size_t size, struct err *err);

/* The source's tables that are not carried, though the rules would take them: made since. */
struct schema_watch_rules { /* borrowed */
    size_t table_count;     /* that are carried */
    const struct catalog_table *const *tables;
    bool (*take)(const void *context, const char *schema, const char *name);
    const void *context;
};

/* Fills `change` with the first, "" when there is none. */
bool schema_watch_strangers(struct session *source, const struct schema_watch_rules *rules,
                            char *change, size_t size, struct err *err);

#endif
