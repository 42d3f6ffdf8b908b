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
    struct findings *findings;
    const struct table_spec *spec;
    const struct catalog_table *source;
    const struct catalog_table *target;
    const char *source_text; /* "public.users", for messages */
    const char *target_text;
    struct source_column *sources; /* one for each source column */
    struct plan_column *columns;   /* one for each target column */
    struct plan_column *current;   /* being bound */
    bool last_step;                /* the step being bound makes the target's value */
    bool failed;                   /* a breaking finding was left */

    enum match match; /* set by bind_key */
    bool insert_only;
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

/* bind_columns.c: every target column's rule, and what stays without. */
void bind_columns(struct binder *binder);
/* bind_check.c: types, nullability and what else is known of bound columns. */
void bind_check(struct binder *binder);
/* bind_key.c: how the sink finds a row: match, insert_only, the columns' key. */
void bind_key(struct binder *binder);
/* bind_layout.c: relations, formats and owners; the binder has not failed. */
void bind_layout(struct binder *binder, uint32_t table, struct table_plan *plan);
void bind_layout_free(struct table_plan *plan);

#endif
