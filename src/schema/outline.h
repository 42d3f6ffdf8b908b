/* The shape that the rules give the target's tables, said without a target: what the DDL is
 * made of. Plain data; made by transforms/outline.h, all of it in one arena (but what the
 * source's catalog owns). */
#ifndef SCHEMA_OUTLINE_H
#define SCHEMA_OUTLINE_H

#include "base/arena.h"
#include "schema/catalog.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outline_column {
    const char *name;
    /* Its values are this source column's, as they are: constraints on the one hold for the
     * other. NULL: a rule makes them. */
    const struct catalog_column *source;
    const char *type;  /* as the file has it (`type:`); NULL: the source's, or text */
    bool constant;     /* the same in every row: */
    const char *value; /* its text; NULL: SQL NULL */
    const char *expression; /* the target makes it of the source row by this; NULL: it does not */
};

struct outline_table {
    const struct catalog_table *source;
    const char *schema;
    const char *name;
    size_t key_count; /* `key:`; 0: not given */
    const char **keys;
    size_t column_count;
    struct outline_column *columns; /* in the order they are to stand in */
};

struct outline {
    struct arena arena;
    size_t table_count;
    struct outline_table *tables;
};

/* The column of this name, or NULL. */
const struct outline_column *outline_column(const struct outline_table *table,
                                            const char *name);
/* The column that carries the source's column (one of the same name first), or NULL. */
const struct outline_column *outline_heir(const struct outline_table *table,
                                          const char *source_name);
/* The key's columns with a constant value: the rows of the table are this migration's among
 * those of others, and what was unique is unique beside them. The i'th, or NULL. */
const struct outline_column *outline_owner(const struct outline_table *table, size_t i);

void outline_free(struct outline *outline); /* NULL is accepted */

#endif
