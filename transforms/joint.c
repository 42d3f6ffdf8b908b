/* See joint.h. */
#include "transforms/joint.h"

bool ingredient_value(const struct ingredient *ingredient, const struct evaluation *in,
                      struct value *value, struct err *err)
{
    return ingredient->column ? source_text(ingredient->column, in, value, err)
                              : rule_text(ingredient->rule, in, value, err);
}

const char *ingredient_no_sql(const struct ingredient *ingredient)
{
    return ingredient->rule ? rule_no_sql(ingredient->rule) : NULL;
}

static bool may_change(const struct ingredient *ingredient, const struct evaluation *in)
{
    return !ingredient->column || !in->fixed || !in->fixed[ingredient->column->index];
}

void joint_add(struct joint *joint, const struct ingredient *ingredient,
               const struct evaluation *in, const struct value *value)
{
    joint->null |= value->kind == VALUE_NULL;
    joint->absent |= value->kind == VALUE_ABSENT;
    joint->unchanged |= value->kind == VALUE_UNCHANGED;
    joint->changed |=
        (value->kind == VALUE_TEXT || value->kind == VALUE_NULL) && may_change(ingredient, in);
    joint->size += value->size;
}

bool joint_refuse(const char *what, struct err *err)
{
    err_set(err, ERR_DATA,
            "%s joins a value that was not sent because it did not change (TOAST) with values "
            "that may have changed",
            what);
    return err_remedy(err, "ALTER TABLE ... REPLICA IDENTITY FULL at the source makes it send "
                           "such values; then copy the table again.");
}
