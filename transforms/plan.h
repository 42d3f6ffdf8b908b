/* A bound table as the chain works with it: bound_table with what evaluation needs besides. */
#ifndef TRANSFORMS_PLAN_H
#define TRANSFORMS_PLAN_H

#include "schema/passage.h"
#include "transforms/rule.h"
#include "transforms/rules.h"
#include "transforms/spec.h"

#include <stdbool.h>
#include <stdint.h>

enum plan_state {
    PLAN_UNFILLED, /* no rule makes this target column */
    PLAN_WAITING,  /* it has a rule, not bound yet */
    PLAN_BINDING,  /* being bound: met again, the rules go in a circle */
    PLAN_BOUND,
    PLAN_FAILED, /* a finding was left */
};

struct plan_column {
    const struct catalog_column *target;
    const struct column_spec *spec; /* NULL: carried over unnamed */
    enum plan_state state;
    const struct rule *rule; /* once bound */
    uint16_t input_count;
    const struct source_column **inputs; /* what the rule reads, each once */
    const struct type_codec *codec;      /* the target's; NULL: unknown */
    struct passage passage;              /* of a plain source column's values */
    bool passes;                         /* they go through in the format they come in */
    bool key;
    const struct value *binary; /* a constant in binary form; NULL: none */
};

struct table_plan {
    struct bound_table *bound;
    struct plan_column *columns;          /* as bound->columns */
    const struct source_column **sources; /* as bound->source_relation's columns */
    uint16_t key_count;
    uint16_t *keys;                /* indexes of the key's columns */
    struct plan_column conditions; /* what where and route read: inputs only */
    const struct condition *known; /* every row fulfils it, or the run stops: a route without
                                      default; NULL: nothing to ask */
    const char *known_where;       /* the route's place in the file */
    const char *entry_where; /* the entry's place in the file; NULL when nobody wrote it */
};

struct chain_plan {
    struct chain chain; /* what callers see; first, so that the pointers are the same */
    struct arena arena;
    struct table_plan *tables;   /* as chain.tables */
    const struct former *former; /* NULL: nothing is known of before */
    bool any_type;               /* see chain_take_text() */
};

/* Appends what stands after FROM to get the source's rows that fulfil the conditions (NULL: none):
 * a quoted table, or a SELECT in parentheses. */
void plan_source_rows(const struct catalog_table *source, const struct condition *where,
                      const struct condition *route, struct buf *sql);

static inline bool plan_reads(const struct plan_column *column,
                              const struct catalog_column *source)
{
    for (uint16_t i = 0; i < column->input_count; i++)
        if (column->inputs[i]->column == source)
            return true;
    return false;
}

#endif
