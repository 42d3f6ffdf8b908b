/* An index or exclusion constraint taken apart, as the server prints it (pg_get_indexdef,
 * pg_get_constraintdef):
 *
 *     CREATE UNIQUE INDEX u ON public.t USING btree (lower(email), tenant DESC) WHERE (NOT gone)
 *     EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0) DEFERRABLE
 *
 * An element begins with a column, a call, or an expression in parentheses; what follows it
 * (collation, operator class, direction) says nothing of the value. */
#ifndef SCHEMA_INDEX_TEXT_H
#define SCHEMA_INDEX_TEXT_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>

struct index_text {
    size_t count;
    const char **expressions;
    const char **operators; /* "&&", "OPERATOR(public.=)"; each NULL for an index */
    const char *predicate;  /* NULL: none */
};

/* False when the text is something else. */
bool index_text_parse(const char *definition, struct arena *arena, struct index_text *index);

#endif
