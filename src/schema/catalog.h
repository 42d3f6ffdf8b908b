/* What a database holds, as far as a migration cares: a plain copy of its catalogs at one
 * moment. Filled by a connector (connectors/postgres/introspect.h), read by rules, checks and
 * the backfill. All memory belongs to the catalog. */
#ifndef SCHEMA_CATALOG_H
#define SCHEMA_CATALOG_H

#include "model/relation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog_type;

/* One attribute of a composite type. */
struct catalog_field {
    char *name;
    uint32_t type_oid;
    const struct catalog_type *type;
};

/* A type that columns reach, and what it is made of. */
struct catalog_type {
    uint32_t oid;
    char *name;      /* schema-qualified: "public.mood" */
    char *shown;     /* format_type() */
    char *extension; /* that it belongs to; NULL: none */
    char kind;       /* a array (in array_send()'s form), b base, c composite, d domain, e enum,
                        r range, m multirange */
    bool sends;      /* it has a binary output function, */
    bool receives;   /* and an input function for that */
    bool infinite;   /* interval: of a release (17) that reads some of its values as infinite */
    uint32_t inner_oid;
    const struct catalog_type *inner; /* a: element, d: what it is over, r: subtype, m: range */
    uint16_t field_count;             /* c: what is not dropped, in order */
    struct catalog_field *fields;
};

struct catalog_column {
    char *name;
    int16_t number; /* attnum */
    uint32_t type_oid;
    const struct catalog_type *type; /* NULL: not known (schema files) */
    char *type_name;                 /* format_type(): "numeric(12,2)" */
    char *base_type; /* schema-qualified name without modifier, of the base type for domains:
                        "pg_catalog.int8", "public.mood" */
    char *base_name; /* format_type() of that, with the modifier: "numeric(12,2)"; NULL:
                        type_name */
    uint32_t base_type_oid;
    char type_kind; /* of the base type: b base, c composite, e enum, r range, m multirange */
    bool array;     /* the base type is an array */
    int32_t type_modifier; /* of the base type for domains */
    bool not_null;         /* or its domain is */
    bool has_default;      /* a default, identity or generation expression */
    char identity;         /* 0, a (ALWAYS), d (BY DEFAULT) */
    bool generated;        /* GENERATED ALWAYS AS (...) STORED or VIRTUAL: never written */
    char *expression;      /* the default's, or the generation's; NULL: none (or not known) */
    char *collation;       /* "schema.name" where it is not the type's own; else NULL */
    char *order_collation; /* what its values are ordered by, the type's own too, as SQL has it:
                              pg_catalog."en_US"; NULL: by none, or not known */
    char
        *order_version; /* of the library behind it, where the column is one of the first two of
                              a unique index, and the server tells; else NULL */
    bool loose;    /* by its collation texts are equal whose bytes differ (not deterministic) */
    char *comment; /* NULL: none */
    char *domain;  /* what its domains ask of a VALUE: "(VALUE > 0) AND (...)"; NULL: nothing */
};

struct catalog_index {
    char *name;
    bool primary;
    bool unique;
    bool immediate; /* not a deferrable constraint's */
    bool usable;    /* valid, not partial, no expressions, all columns plain */
    bool replica_identity;
    bool constraint; /* it stands behind a primary key, unique or exclusion constraint */
    uint16_t column_count;
    uint16_t *columns; /* indexes into the table's columns */
    uint16_t
        ordered_count; /* so many leading columns a scan gives in the order of ORDER BY; 0 in
                               a catalog that came from a file */
    char *definition;  /* CREATE INDEX ...; NULL when it comes from a schema file */
};

struct catalog_foreign_key {
    char *name;
    uint32_t parent_oid; /* referenced table; 0 in a catalog that came from a file */
    char on_delete;      /* a r c n d, as in pg_constraint */
    char on_update;
    bool validated;
    bool deferrable;
    uint16_t column_count;
    uint16_t *columns; /* of the child: indexes into the table's columns */
    char *parent_schema;
    char *parent_name;
    char **parent_columns; /* names, one for each column */
};

/* A check or exclusion constraint. */
struct catalog_constraint {
    char *name;
    char kind; /* c check, x exclusion */
    bool validated;
    char *definition; /* "CHECK ((amount > 0))", as pg_get_constraintdef() has it */
    char *expression; /* of a check: "(amount > 0)"; else NULL */
};

/* What happens on writes besides the write: a trigger or a rewrite rule. */
struct catalog_trigger {
    char *name;
    bool rule;    /* a rewrite rule; else a trigger */
    char enabled; /* O for ordinary sessions, R under session_replication_role=replica, A for
                     both, D for none */
};

struct catalog_table {
    uint32_t oid;
    char *schema;
    char *name;
    char kind;             /* r table, p partitioned root */
    char persistence;      /* p permanent, t temporary, u unlogged, or some partition is */
    char replica_identity; /* d n f i */
    bool is_partition;
    char *inherits; /* "public.a, public.b": tables that it inherits from; NULL: none, a
                       partition */
    bool owned;     /* the connected role owns it or is superuser */
    bool can_select, can_insert, can_update, can_delete, can_truncate;
    bool row_security_active; /* it would filter what the connected role sees and writes */
    int64_t estimated_rows;   /* -1 when never analyzed */
    uint32_t leaf_count;      /* partitions that hold rows; of an ordinary table 1 */
    int64_t bytes;            /* with TOAST, without indexes; summed over partitions */
    int64_t updates_deletes;  /* n_tup_upd + n_tup_del: evidence about insert-only tables */
    uint16_t column_count;
    struct catalog_column *columns;
    uint16_t index_count;
    struct catalog_index *indexes;
    uint16_t foreign_key_count; /* where this table is the child */
    struct catalog_foreign_key *foreign_keys;
    uint16_t constraint_count;
    struct catalog_constraint *constraints;
    uint16_t trigger_count; /* rules too, those that views are made of excepted */
    struct catalog_trigger *triggers;
};

struct catalog_sequence {
    char *schema;
    char *name;
    int64_t increment, min, max;
    bool cycle;
};

struct catalog_extension {
    char *name;
    char *version;
};

struct catalog_enum {
    char *schema;
    char *name;
    size_t label_count;
    char **labels; /* in the enum's order */
};

/* Something that is compared by its text alone. */
struct catalog_object {
    const char *kind; /* "view", "procedure"; static */
    char *name;       /* as people write it */
    char *definition;
};

struct catalog {
    int server_version; /* 150020, as server_version_num */
    char *database;
    char *role;              /* connected as */
    char *encoding;          /* server_encoding */
    char *collation;         /* datcollate, or the ICU locale */
    char *collation_version; /* of the library behind that, where the server tells; else NULL */
    char *system_identifier;
    uint32_t timeline;
    bool superuser;
    bool can_replicate;        /* rolreplication or superuser */
    bool can_create;           /* CREATE on the database */
    bool can_set_replica_role; /* session_replication_role=replica is permitted */
    bool can_use_origins;      /* pg_replication_origin_* are permitted */
    size_t table_count;
    struct catalog_table *tables; /* ordinary and partitioned tables outside system schemas,
                                     ordered by schema and name */
    size_t sequence_count;
    struct catalog_sequence *sequences;
    size_t extension_count;
    struct catalog_extension *extensions;
    size_t enum_count;
    struct catalog_enum *enums;
    size_t type_count;
    struct catalog_type *types; /* ordered by OID */
    size_t object_count;        /* of schema files only */
    struct catalog_object *objects;
    int64_t large_objects; /* how many there are */
};

void catalog_free(struct catalog *catalog); /* NULL is accepted */

/* NULL when there is none. */
const struct catalog_table *catalog_find(const struct catalog *catalog, const char *schema,
                                         const char *name);
const struct catalog_table *catalog_find_oid(const struct catalog *catalog, uint32_t oid);
/* The column's index, or -1. */
int catalog_column_index(const struct catalog_table *table, const char *name);
/* The modifier that the stream and queries show for the column: a domain's is none of theirs.
 */
int32_t catalog_shown_modifier(const struct catalog_column *column);
/* Equal values of the column have equal bytes, in binary and as text. */
bool catalog_equal_is_same_bytes(const struct catalog_column *column);
/* NULL when there is none. */
const struct catalog_index *catalog_primary_key(const struct catalog_table *table);
const struct catalog_enum *catalog_find_enum(const struct catalog *catalog, const char *schema,
                                             const char *name);

/* NULL when no column reaches it. */
const struct catalog_type *catalog_find_type(const struct catalog *catalog, uint32_t oid);
/* The type itself, or what a domain is over in the end. */
const struct catalog_type *catalog_beneath_domains(const struct catalog_type *type);
/* The same qualified name; or of the same extension, which may be in another schema. */
bool catalog_same_type_name(const struct catalog_type *a, const struct catalog_type *b);
/* Fills the pointers between types, and from columns to types, by OID. */
void catalog_link_types(struct catalog *catalog);

/* The index that identifies a row in the source's stream: the immediate primary key for
 * identity d (and for f, where it names the row among its old values), the chosen index for i.
 * NULL where there is none. */
const struct catalog_index *catalog_identity_index(const struct catalog_table *table);

/* By how many of its leading columns a scan of that index, or of another one that begins with the
 * same columns, gives the table's rows in order. */
uint16_t catalog_ordered_columns(const struct catalog_table *table,
                                 const struct catalog_index *index);

#endif
