/* Formulas (schema/formula.h) asked of servers: what they are, before the run; what they give, for
 * people; which one failed, for messages. */
#ifndef POSTGRES_FORMULA_H
#define POSTGRES_FORMULA_H

#include "model/relation.h"
#include "model/row.h"
#include "pipeline/formula_reader.h"
#include "postgres/session.h"
#include "schema/formula.h"

/* Sessions that are at rest; borrowed. */
struct pg_formulas {
    struct session *source;
    struct session *target;
};

/* Reads formulas by having the servers parse and plan statements around them. */
struct formula_reader pg_formula_reader(struct pg_formulas *formulas);

/* What the server makes of one value (of kind VALUE_TEXT), in a read-only transaction of its own;
 * in the arena. `type`: as what it is shown; NULL: as it comes. The error is that of the
 * formula. */
bool pg_formula_evaluate(struct session *session, const char *opening, const char *type,
                         const struct value *value, struct arena *arena, struct value *out,
                         struct err *err);

/* The column whose formula fails over the row in the way of `failure`, or NULL: the fault lies
 * elsewhere, or does not show again. */
const struct column *pg_formula_at_fault(struct session *session,
                                         const struct relation *relation, const struct row *row,
                                         const struct err *failure);

/* The type that the expression has at the server, as format_type() writes it; NULL with err when
 * the server refuses it. The caller frees. */
char *pg_formula_type(struct session *session, const char *expression,
                      const struct formula_input *inputs, size_t count, struct err *err);

#endif
