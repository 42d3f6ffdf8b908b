/* What the file says, before it meets a database. Immutable once loaded. */
#ifndef TRANSFORMS_SPEC_H
#define TRANSFORMS_SPEC_H

#include "base/arena.h"
#include "transforms/pattern.h"
#include "transforms/rule.h"

#include <stdbool.h>
#include <stddef.h>

/* A name and where it stands: "file:line:column", NULL when nobody wrote it. */
struct name_spec {
    const char *name;
    const char *where;
};

struct table_name {
    const char *schema;
    const char *name;
    const char *where;
    bool schema_quoted; /* literal: neither a pattern nor \1 */
    bool name_quoted;
    bool is_pattern; /* means many tables */
};

struct condition;  /* transforms/condition.h */
struct route_spec; /* transforms/route.h */

struct step_spec {
    const struct rule_kind *kind;
    const void *state;
    const char *where;
};

/* One entry of `columns`: what makes the target column `name`. */
struct column_spec {
    const char *name;
    const char *where;
    const char *type;  /* for `slackwater schema`; NULL: not given */
    size_t step_count; /* at least 1; the first begins */
    struct step_spec *steps;
};

/* One entry of `tables`. */
struct table_spec {
    struct table_name source;
    struct table_name target; /* of a pattern: may hold \1; unset without has_target */
    bool has_target;
    const char *key_where;
    size_t key_count; /* 0: not given */
    struct name_spec *keys;
    size_t column_count;
    struct column_spec *columns;
    size_t drop_count;
    struct name_spec *drops;
    size_t exclude_count;
    struct table_name *excludes;    /* of a pattern */
    const struct condition *where;  /* NULL: every row */
    const struct route_spec *route; /* NULL: to `target` */
    const char *route_where;
    uint64_t said; /* a digest of the entry; 0: nobody wrote it */
};

struct rules {
    struct arena arena;
    bool all_tables; /* nothing said: every table, unchanged */
    size_t table_count;
    struct table_spec *tables;
    const struct type_reader *types; /* NULL: nobody can be asked */
    const struct former *former;     /* NULL: nothing is known of before */
    bool ignore_new;
    const struct chain *kept_to; /* NULL: nothing was bound before */
};

#endif
