/* The rules of one bound table over one image of a source row. Images hold one value for each
 * bound source column; results one for each bound column. Errors name the target column. */
#ifndef TRANSFORMS_EVALUATE_H
#define TRANSFORMS_EVALUATE_H

#include "transforms/condition.h"
#include "transforms/plan.h"

/* Of "target column s.t.c", for errors. Returns false. */
bool evaluate_wrap(const struct table_plan *plan, const struct plan_column *column,
                   struct err *err);

/* Puts the target's OIDs into a copy of the value: the source's bytes may go to other targets
 * too, and back to the source to find the row. */
bool evaluate_recode(const struct table_plan *plan, const struct plan_column *column,
                     struct arena *arena, struct value *value, struct err *err);

/* Passes a value on, or makes one. */
static inline bool evaluate_column(const struct table_plan *plan,
                                   const struct plan_column *column,
                                   const struct evaluation *in, struct value *out,
                                   struct err *err)
{
    if (column->passes) {
        *out = in->values[column->rule->plain->index];
        return !column->passage.recoder || out->kind != VALUE_BINARY ||
               evaluate_recode(plan, column, in->arena, out, err);
    }
    return rule_text(column->rule, in, out, err) || evaluate_wrap(plan, column, err);
}

bool evaluate_row(const struct table_plan *plan, const struct evaluation *in, struct value *out,
                  struct err *err);
/* The same, but a column whose rule fails on values that were not sent is left unchanged. */
bool evaluate_known_part(const struct table_plan *plan, const struct evaluation *in,
                         struct value *out, struct err *err);
/* Key columns only; the others are absent. */
bool evaluate_key(const struct table_plan *plan, const struct evaluation *in, struct value *out,
                  struct err *err);

/* A row whose key is not known cannot be written so that writing it again changes nothing. */
bool evaluate_check_key(const struct table_plan *plan, const struct value *row,
                        struct err *err);
bool evaluate_keys_equal(const struct table_plan *plan, const struct value *a,
                         const struct value *b);

static inline bool evaluate_has_condition(const struct table_plan *plan)
{
    return plan->bound->where || plan->bound->route;
}
/* Does the row go to this target? A new row must be one that the route knows. */
bool evaluate_membership(const struct table_plan *plan, const struct evaluation *in,
                         bool is_new, enum truth *member, struct err *err);

#endif
