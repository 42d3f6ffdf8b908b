/* One value made of several: what comes of it when some of them are NULL, absent, or unchanged
 * since before the update. */
#ifndef TRANSFORMS_JOINT_H
#define TRANSFORMS_JOINT_H

#include "transforms/rule.h"

/* A source column or another column's rule: one of the two. */
struct ingredient {
    const struct source_column *column;
    const struct rule *rule;
};

struct joint {
    uint64_t size; /* of all texts */
    bool null, absent;
    bool changed; /* a known input may differ from before this update */
    bool unchanged;
};

bool ingredient_value(const struct ingredient *ingredient, const struct evaluation *in,
                      struct value *value, struct err *err);
void joint_add(struct joint *joint, const struct ingredient *ingredient,
               const struct evaluation *in, const struct value *value);
/* Why the ingredients have no SQL, or NULL. */
const char *ingredient_no_sql(const struct ingredient *ingredient);
/* ERR_DATA: some values are unchanged and not sent, others may have changed. `what`: "the
 * template". */
bool joint_refuse(const char *what, struct err *err);

#endif
