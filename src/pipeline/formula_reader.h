/* The contract of reading a formula (rule `sql`, schema/formula.h): what only a server can say of
 * an SQL expression, asked while rules are bound. Nothing is written, and nothing evaluated but
 * what the server's planner does. */
#ifndef PIPELINE_FORMULA_READER_H
#define PIPELINE_FORMULA_READER_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* All borrowed. */
struct formula_request {
    const char *expression;
    size_t column_count; /* of the source table, all of them */
    const char *const *names;
    const char *const *types; /* as format_type() writes them */
    const char *schema;       /* the target column */
    const char *table;
    const char *column;
};

/* Texts and arrays are in the arena, or the request's. */
struct formula_facts {
    /* Why the target does not take it as one expression, or why its result cannot be assigned to
     * the target column. When both are NULL: */
    const char *refusal;
    const char *misfit;
    bool *reads;        /* by column */
    const char **types; /* by column: the request's, or text where the target lacks the type */
    bool varies;        /* volatile: another result for the same row */
    bool at_source;     /* the source's server takes it too */
};

struct formula_reader {
    /* False when a server does not answer. */
    bool (*read)(void *context, const struct formula_request *request, struct arena *arena,
                 struct formula_facts *facts, struct err *err);
    void *context;
};

#endif
