/* Renames columns in an expression that the server printed (pg_get_expr, pg_get_constraintdef,
 * pg_get_indexdef), so that what was said of the source's table can be said of the target's.
 *
 * Works on such texts only, not on SQL that people write: key words are in capitals, other
 * names in small letters or quoted, there are no comments, and names that are not the table's
 * columns are qualified, called, name an argument (=>), or follow "::", COLLATE, AS, NAME or
 * EXTRACT(. */
#ifndef SCHEMA_EXPRESSION_H
#define SCHEMA_EXPRESSION_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct renaming {
    const char *from;
    const char *to; /* NULL: the column is gone */
};

/* Appends the expression. False when it reads a column that is gone: *missing names it, and
 * what was appended is to be thrown away. */
bool expression_rename(const char *expression, const struct renaming *renamings, size_t count,
                       struct buf *out, const char **missing);

#endif
