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
    bool borrowed;     /* of another source of the same target: this one does not fill it */
    const char *type;  /* as the file has it (`type:`); NULL: the source's, or text */
    bool constant;     /* the same in every row: */
    const char *value; /* its text; NULL: SQL NULL */
    const char
        *expression; /* the target makes it of the source row by this; NULL: it does not */
    bool optional;   /* another source of the same target may leave it NULL */
    bool lacking;    /* another source of the same target does not fill it */
};

struct outline_table {
    const struct catalog_table *source;
    const char *schema;
    const char *name;
    const char *where; /* the entry's place in the file; NULL: nobody wrote it */
    bool partial;      /* it gets some of the source's rows only (where, route) */
    size_t key_count;  /* `key:`; 0: not given */
    const char **keys;
    size_t column_count;
    struct outline_column *columns; /* in the order they are to stand in */
};

/* One for each pair of a source and a target. Once merged (transforms/outline_merge.h) those of
 * one target agree on the key and on the types of its columns, and the first of them has every
 * column that any of them fills. */
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
