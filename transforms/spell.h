/* Constants of the file as values of a column's type: are they any, and how does the type print
 * them? The types of schema/types.h are read here, the labels of an enum stand in the catalog,
 * and of any other type the server is asked, where there is one (rules_ask_types). */
#ifndef TRANSFORMS_SPELL_H
#define TRANSFORMS_SPELL_H

#include "transforms/bind.h"

/* False when the text is no value of the column's type (`target`: of the target's table), or it
 * cannot be told; *why goes behind the message then: "", or "; did you mean ..." (not of a text
 * of the environment). Where no server can be asked, every text of a type that is not read here
 * is one, as it stands. */
bool spell_value(struct binder *binder, bool target, const struct catalog_column *column,
                 struct constant *constant, const char **why);

/* The column takes both texts for one value, or it is not known that it does not. */
bool spell_may_be_equal(struct arena *arena, const struct type_reader *types,
                        const struct catalog_column *target, const struct value *a,
                        const struct value *b);

#endif
