/* Planning DDL, inside: what its files share. */
#ifndef SCHEMA_DDL_INSIDE_H
#define SCHEMA_DDL_INSIDE_H

#include "schema/ddl.h"
#include "schema/expression.h"

enum ddl_object { DDL_OBJECT_CHECK, DDL_OBJECT_INDEX, DDL_OBJECT_REFERENCE, DDL_OBJECT_COUNT };

/* A name in a schema that is spoken for. */
struct ddl_name {
    const char *schema;
    const char *name;
    const struct ddl_name *next;
};

/* A table to make: one of the outline's, or a partition of one. */
struct ddl_table {
    struct outline_table outline; /* without the columns that had to be left out */
    const struct definition_table *definition;
    const struct ddl_table *first;       /* of its target's tables; itself when it is alone */
    bool merged;                         /* it is not alone: several sources go there */
    const char **says[DDL_OBJECT_COUNT]; /* ddl_merge.c; NULL until it is asked */
    const struct ddl_table *root;        /* whose partition it is, in the end; NULL: none */
    bool partitioned;                    /* it is to have partitions */
    const char *partition_by;            /* " PARTITION BY ...", or "" */
    const char *of;                      /* a partition: its parent, quoted */
    const struct renaming *names;        /* of the source's columns */
    const struct renaming *inside; /* the same, as far as expressions may go on using them */
    size_t name_count;
    const char *key_name; /* the primary key's constraint */
    size_t key_count;     /* 0: there is none */
    const char **keys;
};

struct planner {
    struct ddl *ddl;
    struct arena *arena;
    const struct outline *outline;
    const struct catalog *source;
    const struct definitions *definitions;
    bool live;
    const struct ddl_name *names; /* of tables, indexes and sequences to be made */
    const char **sequence_names;  /* as definitions->sequences; NULL until it is asked */
    size_t table_count;
    struct ddl_table *tables;
};

/* --- ddl_plan.c --- */

/* Appends a zeroed statement; valid until the next one. */
struct ddl_statement *planner_add(struct planner *planner, enum ddl_phase phase,
                                  enum ddl_kind kind, const char *schema, const char *name);
/* The text as a string of the arena; frees the buffer. */
const char *planner_take(struct planner *planner, struct buf *text);
void planner_note(struct planner *planner, enum ddl_phase phase, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* COMMENT ON `what` IS ...; nothing without a comment. */
void planner_comment(struct planner *planner, enum ddl_phase phase,
                     const struct ddl_table *table, const char *what, const char *comment);
/* The target table, quoted and qualified. */
const char *planner_name(struct planner *planner, const struct ddl_table *table);
/* "public.users", the source's, for notes. */
const char *planner_source(struct planner *planner, const struct ddl_table *table);
/* A quoted name. */
const char *planner_ident(struct planner *planner, const char *name);
/* The expression over the target's columns; NULL and *missing when it cannot be said. */
const char *planner_expression(struct planner *planner, const struct ddl_table *table,
                               const char *expression, const char **missing);

/* --- ddl_name.c: tables, indexes and sequences share the names of a schema --- */
/* The name, or where it is taken in the table's schema one made of it and the table's. */
const char *planner_new_name(struct planner *planner, const struct ddl_table *table,
                             const char *schema, const char *name);
/* The name is another object's from now on. */
void planner_reserve(struct planner *planner, const char *schema, const char *name);

/* --- ddl_merge.c: several sources of one target --- */
/* True if an earlier table of the same target has the same object: it was dealt with there. */
bool merge_repeats(struct planner *planner, const struct ddl_table *table,
                   enum ddl_object object, size_t i);
/* A table of the same target whose rows need not obey what the object says; NULL: none. */
const struct ddl_table *merge_lacking(struct planner *planner, const struct ddl_table *table,
                                      enum ddl_object object, size_t i);

/* --- ddl_type.c: schemas, extensions, types --- */
void plan_surroundings(struct planner *planner);

/* --- ddl_table.c --- */
/* Fills planner->tables from the outline. */
void plan_collect(struct planner *planner);
void plan_sequences(struct planner *planner);
void plan_tables(struct planner *planner);

/* Appends " WITH (fillfactor=70)". */
void table_append_options(const struct ddl_table *table, struct buf *sql);

/* --- ddl_partition.c --- */
void plan_partition(struct planner *planner, const struct ddl_table *table);

/* --- ddl_column.c --- */
const char *column_type(const struct outline_column *column);
/* False when the column changes its type so much that expressions and defaults over the old one
 * may not hold for the new one. */
bool column_keeps_family(const struct outline_column *column);
/* Appends `"name" type DEFAULT ... NOT NULL`. */
void column_append(struct planner *planner, const struct ddl_table *table,
                   const struct outline_column *column, struct buf *sql);
bool column_not_null(const struct ddl_table *table, const struct outline_column *column);
/* 0, a or d. */
char column_identity(const struct outline_column *column);
/* The sequence that its default takes values from, or NULL. */
const struct definition_sequence *column_sequence(struct planner *planner,
                                                  const struct ddl_table *table,
                                                  const struct outline_column *column);
/* Where the sequence is to be: beside the table whose column owns it. */
const char *sequence_schema(const struct planner *planner,
                            const struct definition_sequence *sequence);
/* What it is to be called there. */
const char *sequence_name(struct planner *planner, const struct definition_sequence *sequence);

/* --- ddl_index.c: indexes, and constraints other than foreign keys --- */
void plan_identity_index(struct planner *planner, const struct ddl_table *table);
void plan_indexes(struct planner *planner, const struct ddl_table *table);
void plan_constraints(struct planner *planner, const struct ddl_table *table);
/* What the i'th index or constraint says of the target, but for its name; "- name: reason" when
 * it cannot be said there. */
const char *index_says(struct planner *planner, const struct ddl_table *table, size_t i);
const char *constraint_says(struct planner *planner, const struct ddl_table *table, size_t i);
/* False, with a note, where not every source of the target obeys the i'th constraint, or without
 * one where an earlier source has it. */
bool constraint_is_shared(struct planner *planner, const struct ddl_table *table, size_t i,
                          enum ddl_phase phase);
/* True if the index of this name will be there. */
bool index_is_made(struct planner *planner, const struct ddl_table *table, const char *name);

/* --- ddl_reference.c: foreign keys --- */
void plan_references(struct planner *planner, const struct ddl_table *table);
/* As index_says(). */
const char *reference_says(struct planner *planner, const struct ddl_table *table, size_t i);

#endif
