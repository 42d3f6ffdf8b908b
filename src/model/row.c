/* Comparing the values of rows.
 *
 * The problem: "the same value" is asked where a change is folded into another or a key is
 * compared. The invariant: equal means equal kind and equal bytes, never equal meaning; a value
 * that is not there (ABSENT, UNCHANGED) equals only one that is missing in the same way. */
#include "model/row.h"

#include <string.h>

bool value_equal(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind != VALUE_TEXT && a->kind != VALUE_BINARY)
        return true;
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}
