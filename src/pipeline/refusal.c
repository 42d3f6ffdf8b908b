/* Errors of rows (refusal.h). Source: documentation, appendix A. */
#include "pipeline/refusal.h"

#include <stddef.h>
#include <string.h>

static const char *const CLASSES[] = {
    "21",    /* an expression gives more than one row */
    "22",    /* a value that the type or an expression does not take */
    "23",    /* a constraint */
    "44",    /* WITH CHECK OPTION */
    "54000", /* a row or an index entry that is too large */
    "P0",    /* raised by a trigger or a function */
};

bool refusal_is_of_row(const struct err *err)
{
    if (err->class != ERR_DATA)
        return false;
    for (size_t i = 0; i < sizeof CLASSES / sizeof CLASSES[0]; i++)
        if (strncmp(err->sqlstate, CLASSES[i], strlen(CLASSES[i])) == 0)
            return true;
    return false;
}
