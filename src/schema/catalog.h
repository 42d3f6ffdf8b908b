/* What a database holds, as far as a migration cares: a plain copy of its catalogs at one
 * moment. Filled by a connector (connectors/postgres/introspect.h), read by rules, checks and
 * the backfill. All memory belongs to the catalog. */
#ifndef SCHEMA_CATALOG_H
#define SCHEMA_CATALOG_H

#include "model/relation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog_column {
    char *name;
    int16_t number; /* attnum */
    uint32_t type_oid;
    char *type_name; /* format_type(): "numeric(12,2)" */
    char *base_type; /* schema-qualified name without modifier, of the base type for domains:
                        "pg_catalog.int8", "public.mood" */
    uint32_t base_type_oid;
    char type_kind; /* of the base type: b base, c composite, e enum, r range, m multirange */
    bool array;     /* the base type is an array; then the element's kind is: */
    char element_kind;
    uint32_t element_oid;
    int32_t type_modifier;
    bool not_null;
    bool has_default; /* a default, identity or generation expression */
    char identity;    /* 0, a (ALWAYS), d (BY DEFAULT) */
    bool generated;   /* GENERATED ALWAYS AS (...) STORED or VIRTUAL: never written */
};

struct catalog_index {
    char *name;
    bool primary;
    bool unique;
    bool immediate; /* not a deferrable constraint's */
    bool usable;    /* valid, not partial, no expressions, all columns plain */
    bool replica_identity;
    uint16_t column_count;
    uint16_t *columns; /* indexes into the table's columns */
};

struct catalog_foreign_key {
    char *name;
    uint32_t parent_oid; /* referenced table */
    char on_delete;      /* a r c n d, as in pg_constraint */
    char on_update;
};

struct catalog_table {
    uint32_t oid;
    char *schema;
    char *name;
    char kind;             /* r table, p partitioned root */
    char persistence;      /* p permanent, u unlogged, t temporary */
    char replica_identity; /* d n f i */
    bool is_partition;
    bool owned; /* the connected role owns it or is superuser */
    bool can_select, can_insert, can_update, can_delete, can_truncate;
    bool row_security;
    uint16_t user_triggers; /* triggers that fire for an ordinary session (tgenabled O) */
    uint16_t always_triggers; /* that fire under session_replication_role=replica too (A, R) */
    int64_t estimated_rows;  /* -1 when never analyzed */
    int64_t bytes;           /* with TOAST, without indexes; summed over partitions */
    int64_t updates_deletes; /* n_tup_upd + n_tup_del: evidence about insert-only tables */
    uint16_t column_count;
    struct catalog_column *columns;
    uint16_t index_count;
    struct catalog_index *indexes;
    uint16_t foreign_key_count; /* where this table is the child */
    struct catalog_foreign_key *foreign_keys;
};

struct catalog {
    int server_version;   /* 150020, as server_version_num */
    char *database;
    char *role;           /* connected as */
    char *encoding;       /* server_encoding */
    char *system_identifier;
    uint32_t timeline;
    bool superuser;
    bool can_replicate;   /* rolreplication or superuser */
    bool can_create;      /* CREATE on the database */
    bool can_set_replica_role; /* session_replication_role=replica is permitted */
    bool can_use_origins; /* pg_replication_origin_* are permitted */
    size_t table_count;
    struct catalog_table *tables; /* ordinary and partitioned tables outside system schemas,
                                     ordered by schema and name */
};

void catalog_free(struct catalog *catalog); /* NULL is accepted */

/* NULL when there is none. */
const struct catalog_table *catalog_find(const struct catalog *catalog, const char *schema,
                                         const char *name);
const struct catalog_table *catalog_find_oid(const struct catalog *catalog, uint32_t oid);
/* The column's index, or -1. */
int catalog_column_index(const struct catalog_table *table, const char *name);

/* The index that identifies a row in the source's stream: the immediate primary key for
 * identity d (and for f, where it names the row among its old values), the chosen index for i.
 * NULL where there is none. */
const struct catalog_index *catalog_identity_index(const struct catalog_table *table);

#endif
