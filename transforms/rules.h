/* The rules of a migration: loaded from YAML, bound to both live schemas, compiled to a chain.
 *
 *   rules_load -> rules_bind (fills findings) -> chain_transform -> ... -> chain_free,
 * rules_free
 *
 * Loading checks the file alone: unknown keys, duplicates, bad templates, with
 * file:line:column. Binding checks it against two catalogs and leaves a finding for whatever
 * does not fit; with a breaking finding there is no chain. A chain is immutable and may be
 * shared by threads; each thread takes a transform of its own. */
#ifndef TRANSFORMS_RULES_H
#define TRANSFORMS_RULES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/yaml.h"
#include "pipeline/formula_reader.h"
#include "pipeline/lookup.h"
#include "pipeline/transform.h"
#include "pipeline/type_reader.h"
#include "schema/catalog.h"
#include "schema/finding.h"
#include "schema/former.h"
#include "schema/passage.h"

struct rules;
struct rule;      /* transforms/rule.h */
struct condition; /* transforms/condition.h */

/* Where a target column's value comes from. */
struct bound_column {
    const struct catalog_column *target;
    const struct rule *rule; /* never NULL: a carried column has a `from` rule of its own */
    bool passes;             /* the source's value goes through, in its format */
    enum passage_kind travels;
    const char *why;        /* "" for PASSAGE_BINARY */
    bool keeps_stream_text; /* the stream cannot be binary because of it */
    const char *no_sql;     /* why the value cannot be said in SQL: a clause; NULL: it can */
};

/* The rows of one source table that go to one target table. An entry of the file gives one, or
 * one for each table of its route; a source table may have several (split), and so may a target
 * table (merge). Plain data; borrowed from the chain and from the catalogs, which outlive it.
 */
struct bound_table {
    uint32_t source_index; /* into the chain's sources */
    const struct catalog_table *source;
    const struct catalog_table *target;
    /* The source's shape as its catalog has it: columns the rules read, in catalog order.
     * Generated columns are never in it. What the backfill selects. */
    const struct relation *source_relation;
    /* What the sink writes: one column for each bound column, same order; its `match` and the
     * columns' `key` say how rows are found; `table` is the index into the chain's tables. */
    const struct relation *target_relation;
    uint16_t column_count;
    const struct bound_column *columns;
    const bool
        *key_reads; /* by source_relation's columns: a column of the key is made of it, */
    const bool *key_tells; /* and rows with different values of it have different keys */
    /* No usable replica identity: published for insert and truncate only. */
    bool insert_only;
    /* COPY may run in binary on both sides: every target column is produced in its type's
     * binary form. Otherwise text on both sides. */
    bool copy_binary;
    const char *copy_text_reason; /* why not: "column c (regclass holds ...)"; NULL if binary */
    /* Key columns with a constant value (`value:`), or any such columns where there is no key:
     * the target may hold rows of others, so TRUNCATE and the emptiness test look only at rows
     * that carry these constants. */
    uint16_t owner_count;
    const uint16_t *owner_columns;   /* indexes into target_relation's columns */
    const char *const *owner_values; /* text, as the type prints it */
    /* Which rows these are: those that fulfil both. NULL: all. */
    const struct condition *where;
    const struct condition *route;
    uint64_t said; /* a digest of what the file says of it; 0: nothing */
    /* Another bound table writes to the same target table, and no constant of the key tells its
     * rows from these. */
    bool shares_rows;
};

/* A source table of the run: what is copied as one, judged by the handoff and counted. */
struct bound_source {
    const struct catalog_table *table;
    uint32_t first_table; /* its bound tables: tables[first_table ..+ table_count] */
    uint32_t table_count;
    bool insert_only;
};

/* Sources that are merged into one target without a constant that tells their rows apart: the
 * query gives, at the source, the keys that more than one of them has. */
struct chain_merge {
    const struct catalog_table *target;
    const char *sources;  /* "public.a, public.b", for people */
    const char *keys_sql; /* NULL: the keys cannot be said in SQL (bound_column.no_sql) */
};

struct chain {
    size_t source_count;
    const struct bound_source *sources;
    size_t table_count;
    const struct bound_table *tables; /* those of one source beside each other */
    size_t merge_count;
    const struct chain_merge *merges;
    /* The stream may ask pgoutput for binary values: each column either passes, or can be
     * turned to text here, or comes as text in any case. One stream has one format. */
    bool stream_binary;
    const char
        *stream_text_reason; /* why not: "public.t.c (regclass holds ...)"; NULL if binary */
    /* New columns that are left out (apply.on_new_column: ignore): "public.t.c". */
    size_t ignored_count;
    const char *const *ignored;
    /* What rules ask at run time; a transform has a lookup for each. */
    size_t lookup_count;
    const struct lookup_request *lookups;
};

/* `tables` is the file's `tables:` node, or NULL: every ordinary and partitioned root table of
 * the source, unchanged, into the table of the same name (whose absence is a breaking finding:
 * a table left out in silence would be a table lost). Keeps nothing of the YAML tree. */
bool rules_load(const struct yaml_node *tables, struct rules **rules, struct err *err);
void rules_free(struct rules *rules);
/* Who is asked, when they are bound, about constants of types that are not read here. Borrowed;
 * NULL: nobody, and such constants are taken as they stand. */
void rules_ask_types(struct rules *rules, const struct type_reader *types);
/* What the source's columns were called since the migration began. Of columns that came since,
 * `ignore_new` leaves those out that the file does not name. Borrowed, as above. */
void rules_know_former(struct rules *rules, const struct former *former, bool ignore_new);
/* Patterns and "every table" take the tables only that `chain` has already, by OID, or by name where
 * the one of that OID is gone: one that is made meanwhile joins at a start. Borrowed; NULL: all. */
void rules_keep_to(struct rules *rules, const struct chain *chain);
/* Whether a pattern, or "every table", takes a table of that name. */
bool rules_take(const struct rules *rules, const char *schema, const char *name);

/* Binds. False (ERR_CONFIG) only when `findings` got a breaking one: the first is the message
 * ("object: what"), its fix and statement the remedy. The catalogs must outlive the chain; the
 * rules need not. */
bool rules_bind(const struct rules *rules, const struct catalog *source,
                const struct catalog *target, struct findings *findings, struct chain **chain,
                struct err *err);
/* The same where rules may hold expressions (`sql`), which the servers read while they are
 * bound. Also false when one does not answer (not ERR_CONFIG). */
bool rules_bind_asking(const struct rules *rules, const struct catalog *source,
                       const struct catalog *target, const struct formula_reader *formulas,
                       struct findings *findings, struct chain **chain, struct err *err);
void chain_free(struct chain *chain);

/* The source column whose value goes to the target column as it is; NULL: a rule makes it. */
const struct catalog_column *bound_column_source(const struct bound_column *column);

/* The stream comes as text, and its columns may be of types that they had before: each value is
 * read as what the column has become. Before any transform is made. */
void chain_take_text(struct chain *chain, const char *reason);

/* A transform over the chain; the caller destroys it before the chain. `maker` (may be NULL
 * where chain->lookup_count is 0, and for rows that no lookup is to see) makes its lookups, and
 * those of its clones. */
struct transform *chain_transform_asking(const struct chain *chain,
                                         const struct lookup_maker *maker);
/* The same without lookups: a rule that needs one fails. */
struct transform *chain_transform(const struct chain *chain);

/* The same thing said in SQL: a SELECT over the source table that yields the target relation's
 * columns, in order, each AS its target name and of the target column's type, of the rows that
 * go there. Appends to sql.
 * What verify and plan run at the source; held against evaluation by a property test. A type
 * that only the target may know (not built in) is left as the source column's own where it has
 * the same name, else as text. Where evaluation fails (a map without entry) it yields NULL. A
 * column that has no SQL (bound_column.no_sql) is NULL in every row: who compares evaluates it
 * in C instead. */
void bound_table_select(const struct bound_table *table, struct buf *sql);

/* Whether `where` or `route` of the chain's table reads the source column. */
bool chain_condition_reads(const struct chain *chain, size_t table,
                           const struct catalog_column *column);

#endif
