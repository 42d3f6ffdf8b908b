/* The target's DDL, derived from the source through the rules.
 *
 *   ddl_plan -> ddl_print, or run statement by statement (connectors/postgres/ddl_apply.h)
 *
 * In two phases. Before the data: schemas, extensions, types, sequences, tables with their key
 * and checks, partitions. After it: secondary indexes, unique and exclusion constraints,
 * foreign keys. (A secondary unique key can clash while the copy's chunks are of different
 * times.)
 *
 * What cannot be said of the target's tables (a constraint over a column that a rule makes) is
 * left out, with a note that says why. */
#ifndef SCHEMA_DDL_H
#define SCHEMA_DDL_H

#include "base/arena.h"
#include "base/buf.h"
#include "schema/catalog.h"
#include "schema/definitions.h"
#include "schema/outline.h"

enum ddl_phase { DDL_BEFORE, DDL_AFTER, DDL_PHASE_COUNT };

enum ddl_kind {
    DDL_NOTE,      /* sql is a comment's text; nothing to run */
    DDL_SCHEMA,    /* IF NOT EXISTS */
    DDL_EXTENSION, /* IF NOT EXISTS */
    DDL_TYPE,
    DDL_SEQUENCE,
    DDL_TABLE,
    DDL_PARTITION,
    DDL_INDEX,
    DDL_CONSTRAINT, /* of `table` */
    DDL_SETTING,    /* comments, ownership, validation: may be run again */
};

struct ddl_column {
    const char *name;
    const char *type;
    bool not_null;
    bool generated;
    char identity; /* 0 a d */
};

/* A check that is made with its table. */
struct ddl_check {
    const char *name;
    const char *body; /* CHECK (...) */
};

struct ddl_statement {
    enum ddl_kind kind;
    enum ddl_phase phase;
    const char *schema; /* of the object; a schema or an extension has none */
    const char *name;
    const char *table; /* of an index or a constraint, in the same schema; else NULL */
    const char *sql;   /* without the semicolon */
    bool waits;        /* its lock hinders no writer, however long it waits for it */
    /* What an object that is there already must be like. DDL_TYPE: as definition_type.body;
     * DDL_INDEX: USING btree (...); DDL_CONSTRAINT: as pg_get_constraintdef() has it. */
    const char *body;
    bool unique;        /* DDL_INDEX */
    const char *parent; /* DDL_CONSTRAINT: of a foreign key, quoted and qualified; else NULL */
    /* DDL_TABLE: the same. */
    size_t column_count;
    const struct ddl_column *columns;
    size_t key_count;
    const char *const *keys;
    size_t check_count;
    const struct ddl_check *checks;
};

struct ddl {
    struct arena arena;
    size_t count;
    size_t capacity;
    struct ddl_statement *statements; /* in an order in which they can be run */
};

/* live: the tables hold data and are written, so that indexes are built CONCURRENTLY and
 * foreign keys added NOT VALID and then validated. All inputs must outlive the plan. */
struct ddl *ddl_plan(const struct outline *outline, const struct catalog *source,
                     const struct definitions *definitions, bool live);
void ddl_free(struct ddl *ddl); /* NULL is accepted */

/* Appends the phase as an SQL script. */
void ddl_print(const struct ddl *ddl, enum ddl_phase phase, struct buf *script);

#endif
