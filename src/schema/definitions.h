/* A server's own words for its objects: what the catalog (catalog.h) leaves out and DDL needs.
 * Expressions and types are as the server prints them with an empty search_path, so every name
 * in them is qualified. Filled by connectors/postgres/ddl_source.h; plain data, all of it in
 * the arena. */
#ifndef SCHEMA_DEFINITIONS_H
#define SCHEMA_DEFINITIONS_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Beside each catalog_column, found by its number. */
struct definition_column {
    int16_t number;
    const char *expression; /* the default, or what it is generated from; NULL */
    uint32_t sequence;      /* the default is nextval() of it and no more; else 0 */
    const char *collation;  /* quoted; NULL: the type's own */
    const char *comment;
    bool domain_decides; /* whether it may be NULL: the column does not say */
};

struct definition_part {
    const char *expression; /* a column's name, or an expression in parentheses */
    const char *suffix;     /* " COLLATE x opclass DESC"; "" */
    bool included;          /* INCLUDE (...) */
};

struct definition_index {
    uint32_t oid;
    const char *name;
    const char *method;
    bool primary;
    bool unique;
    bool constraint; /* PRIMARY KEY or UNIQUE */
    bool identity;   /* REPLICA IDENTITY USING INDEX */
    bool deferrable, deferred;
    bool nulls_not_distinct;
    const char *predicate; /* NULL: none */
    const char *options;   /* "fillfactor=70"; NULL */
    const char *comment;
    size_t part_count;
    struct definition_part *parts;
};

/* A check or an exclusion constraint. */
struct definition_constraint {
    const char *name;
    char kind;              /* c x */
    const char *definition; /* "CHECK ((a > 0))" */
    bool validated;
    const char *comment;
};

#define DEFINITION_KEY_COLUMNS 32 /* the server's INDEX_MAX_KEYS */

struct definition_reference {
    const char *name;
    uint32_t parent; /* the referenced table's oid */
    size_t column_count;
    int16_t columns[DEFINITION_KEY_COLUMNS]; /* numbers, here */
    int16_t parent_columns[DEFINITION_KEY_COLUMNS];
    size_t reset_count; /* ON DELETE SET NULL (these); 0: all */
    int16_t reset_columns[DEFINITION_KEY_COLUMNS];
    char match, on_delete, on_update; /* as in pg_constraint */
    bool deferrable, deferred;
    bool validated;
    const char *comment;
};

struct definition_table {
    uint32_t oid;
    const char *comment;
    const char *options;       /* "fillfactor=70"; NULL */
    const char *partition_key; /* "RANGE (created)"; NULL: not partitioned */
    uint32_t parent;           /* whose partition it is; 0: none */
    const char *bound;         /* "FOR VALUES FROM ... TO ..." */
    size_t column_count;
    struct definition_column *columns;
    size_t constraint_count;
    struct definition_constraint *constraints;
    size_t index_count;
    struct definition_index *indexes;
    size_t reference_count;
    struct definition_reference *references;
    size_t extension_count; /* that its columns, defaults or indexes use */
    uint32_t *extensions;
};

/* Outside pg_catalog. Arrays, extensions' types and tables' row types have no body: they come
 * with something else. */
struct definition_type {
    uint32_t oid;
    const char *schema;
    const char *name;
    char kind;          /* as pg_type.typtype */
    const char *body;   /* "AS ENUM ('a', 'b')"; NULL: not made by itself */
    uint32_t extension; /* 0: none */
    const char *comment;
    size_t need_count; /* types it is made of */
    uint32_t *needs;
};

struct definition_sequence {
    uint32_t oid;
    const char *schema;
    const char *name;
    const char *type;    /* smallint integer bigint */
    const char *options; /* " START WITH 5 CYCLE": what is not the default; "" */
    uint32_t owner;      /* the table whose column owns it; 0: none */
    int16_t owner_column;
    bool identity; /* of an identity column */
};

struct definition_extension {
    uint32_t oid;
    const char *name;
    const char *schema;
};

struct definitions {
    struct arena arena;
    size_t table_count;
    struct definition_table *tables;
    size_t type_count;
    struct definition_type *types;
    size_t sequence_count;
    struct definition_sequence *sequences;
    size_t extension_count;
    struct definition_extension *extensions;
};

/* NULL when there is none. */
const struct definition_table *definitions_table(const struct definitions *definitions,
                                                 uint32_t oid);
const struct definition_column *definitions_column(const struct definition_table *table,
                                                   int16_t number);
const struct definition_type *definitions_type(const struct definitions *definitions,
                                               uint32_t oid);
const struct definition_type *definitions_type_named(const struct definitions *definitions,
                                                     const char *schema, const char *name);
const struct definition_sequence *definitions_sequence(const struct definitions *definitions,
                                                       uint32_t oid);
const struct definition_extension *definitions_extension(const struct definitions *definitions,
                                                         uint32_t oid);
/* The sequence behind an identity column. */
const struct definition_sequence *definitions_identity(const struct definitions *definitions,
                                                       uint32_t table, int16_t column);

void definitions_free(struct definitions *definitions); /* NULL is accepted */

#endif
