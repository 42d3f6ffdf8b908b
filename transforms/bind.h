/* Binding, inside: what its files share. A binder lives while one table is bound; what it makes
 * is in the chain's arena. */
#ifndef TRANSFORMS_BIND_H
#define TRANSFORMS_BIND_H

#include "transforms/plan.h"
#include "transforms/spec.h"
#include "transforms/text.h"

struct binder {
    struct arena *arena;
    struct chain_plan *chain;
    const struct catalog *source_catalog;
    const struct catalog *target_catalog;
    const struct type_reader *types; /* NULL: there is nobody to ask */
    const struct former *former;     /* NULL: nothing is known of before */
    bool ignore_new;
    struct findings *findings;
    const struct table_spec *spec;
    const struct catalog_table *source;
    const struct catalog_table *target;
    const char *source_text; /* "public.users", for messages */
    const char *target_text;
    const struct captures *captures;       /* of the source's pattern */
    const struct table_name *destination;  /* one of the route's; NULL: no route */
    struct source_column *sources;         /* one for each source column */
    struct plan_column *columns;           /* one for each target column */
    struct plan_column *current;           /* being bound */
    bool last_step;                        /* the step being bound makes the target's value */
    bool failed;                           /* a breaking finding was left */
    const struct formula_reader *formulas; /* NULL: there is nobody to ask */
    struct err *lost;                      /* set when a server did not answer */

    enum match match; /* set by bind_key */
    bool insert_only;

    const char
        *collision; /* set by key_check: why rows may get the same key; NULL: they cannot */

    /* set by bind_conditions */
    struct plan_column conditions;
    const struct condition *where;
    const struct condition *route;
    const struct condition *known;
};

/* What goes where: a table entry met with the catalogs. */
struct pair {
    const struct table_spec *spec;
    const struct catalog_table *source;
    const struct catalog_table *target;
    struct table_name name; /* the target's */
    const struct captures *captures;
    const struct table_name *destination;
};

/* Everything that outlives no table but the whole of binding. */
struct binding {
    const struct rules *rules;
    const struct catalog *source;
    const struct catalog *target; /* NULL: not known; then pairs have a name only */
    const struct formula_reader *formulas;
    struct findings *findings;
    struct err lost; /* a server did not answer: nothing is known */
    struct chain_plan *chain;
    struct bound_table *bound;    /* chain->chain.tables, writable */
    struct bound_source *sources; /* chain->chain.sources, writable */
    struct chain_merge *merges;   /* chain->chain.merges, writable */
    size_t pair_count;
    struct pair *pairs;
};

/* A finding in the making. where: "file:line:column" or the object's name. */
struct report {
    const char *id;
    enum severity severity;
    const char *where;
    const char *impact;
    const char *fix;
    const char *sql;
    const char *rollback_sql;
    const char *validation_query; /* schema/finding.h */
};

void binder_report(struct binder *binder, const struct report *report, const char *what, ...)
    __attribute__((format(printf, 3, 4)));
/* A finding outside any table. */
void bind_report(struct findings *findings, struct arena *arena, const struct report *report,
                 const char *what, ...) __attribute__((format(printf, 4, 5)));

/* Names for "did you mean", NULL-terminated. */
const char *const *bind_column_names(struct arena *arena, const struct catalog_table *table);
/* "public.users" */
const char *bind_table_text(struct arena *arena, const struct catalog_table *table);

/* `; did you mean "public.users"?`, or "". */
const char *bind_table_did_you_mean(struct arena *arena, const struct catalog *catalog,
                                    const struct table_name *name);

/* A breaking finding. */
void bind_refuse(struct binding *binding, const char *id, const char *where, const char *fix,
                 const char *what);

/* A binder for the pair, which has a target table by now; nothing is bound yet. */
struct binder bind_open(struct binding *binding, const struct pair *pair);
/* False, and the first breaking finding from `first` on as the error, when there is one. */
bool bind_verdict(const struct findings *findings, size_t first, struct err *err);

/* bind_tables.c: the pairs, those of one source table beside each other. */
void bind_tables(struct binding *binding);
/* bind_merge.c: several bound tables with one target table. */
void bind_merges(struct binding *binding);
/* bind_columns.c: every target column's rule, and what stays without. */
void bind_columns(struct binder *binder);
/* bind_new.c: whether the column came after the table had become part of the migration. */
bool bind_is_new(const struct binder *binder, const struct catalog_column *source);
/* bind_new.c: a new column that is left out. */
void bind_ignore(struct binder *binder, const struct catalog_column *source);
/* bind_new.c: columns that have been renamed, or are new with a default, once it is known which target
 * columns are filled. */
void bind_altered(struct binder *binder);
/* bind_new.c: the statement that adds the column to the target table. */
const char *bind_addition(struct binder *binder, const struct catalog_column *source);
/* bind_rows.c: the conditions of the rows. */
void bind_conditions(struct binder *binder);
/* bind_check.c: types and what else is known of bound columns, once the conditions are. */
void bind_check(struct binder *binder);
/* bind_check.c: columns that must not be NULL, once the key is known. */
void bind_required(struct binder *binder);
/* bind_key.c: how the sink finds a row: match, insert_only, the columns' key. */
void bind_key(struct binder *binder);
/* key_collision.c: says that rows may get the same key, once the table is bound. */
void bind_collision(struct binder *binder, const struct table_plan *plan);
/* Why values of the column that are equal at the target cannot be counted at the source: a clause;
 * NULL: they can. */
const char *bind_uncounted(struct arena *arena, const struct bound_column *column);
/* bind_rows.c: what the conditions cost, once the key is known. */
void bind_rows(struct binder *binder);
/* bind_layout.c: relations, formats and owners; the binder has not failed. */
void bind_layout(struct binder *binder, uint32_t table, struct table_plan *plan);
void bind_layout_free(struct table_plan *plan);
/* The first input because of which the stream cannot be binary: the column does not pass, and
 * the input cannot be made text. NULL: none. */
const struct source_column *bind_keeps_stream_text(const struct plan_column *column);

#endif
