/* A table's shape, as a row image refers to it. Immutable once made, so that any thread may
 * read it; interned for the life of the process (a table has few shapes).
 *
 * The same noun serves both sides: what the source sends, and what the sink is to write. */
#ifndef MODEL_RELATION_H
#define MODEL_RELATION_H

#include <stdbool.h>
#include <stdint.h>

/* How a sink finds the row that an update or delete means. */
enum match {
    MATCH_KEY,  /* by the key columns, which a unique index covers */
    MATCH_ROW,  /* by the whole old row, one row of equal ones */
    MATCH_NONE, /* inserts and truncates only */
};

struct column {
    char *name;
    uint32_t type_oid; /* in the cluster that the relation belongs to */
    int32_t type_modifier;
    bool key;             /* part of the key (source: of the replica identity) */
    bool identity_always; /* target: GENERATED ALWAYS AS IDENTITY */
    char *formula; /* target: the server makes what is written of the value, by this opening of
                      an SQL expression (schema/formula.h); NULL: the value is written */
    bool formula_varies; /* its result does not find the row again */
    bool gone;           /* source: the table has it no more (schema/former.h) */
    bool unclear;        /* source: of a strange relation, which column it is */
};

struct relation {
    uint32_t oid; /* in its own cluster */
    char *schema;
    char *name;
    char replica_identity; /* source: d n f i, as in pg_class; target: 0 */
    enum match match;      /* target: how rows are found; source: as the identity allows */
    bool strange; /* source: which columns these are cannot be told (schema/former.h) */
    struct relation *sent; /* source: as it came, if it was read otherwise; owned */
    uint16_t column_count;
    struct column *columns;
    uint32_t table; /* target: index into the sink's tables */
};

/* Owns copies of everything; the columns are copied too. */
struct relation *relation_create(const char *schema, const char *name, uint16_t column_count,
                                 const struct column *columns);
void relation_free(struct relation *relation); /* NULL is accepted */
/* Of one of the source, as it came. */
struct relation *relation_copy_sent(const struct relation *relation);

/* Same oid, names, identity, match and columns, in order; and came so too. */
bool relation_equal(const struct relation *a, const struct relation *b);
/* Target: the server makes one of its columns. */
bool relation_has_formula(const struct relation *relation);
/* Source: what its rows are identified by can be told, though it may be strange. */
bool relation_key_is_clear(const struct relation *relation);
/* The column's index, or -1. */
int relation_column(const struct relation *relation, const char *name);

#endif
