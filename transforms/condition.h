/* Conditions on a source row: `where`, and the parts of a `route`.
 *
 *     where: { column: state, not_in: [purged] }
 *     where: { all: [ { column: n, greater: 5, less: 9.5 }, { column: note, is_null: true } ] }
 *     where: { any: [ ... ] }
 *
 * A condition is true or false of a whole row, never NULL: a NULL is in no list and equal to
 * nothing, so `in`, `equals`, `greater` and `less` are false of it and `not_in` and `not_equals`
 * are true, unless the list names it (`~`). SQL's third value would lose rows in silence. Of a
 * row that is known in part (an old key, unchanged TOAST values) it may also be unknown, where
 * the missing part decides.
 *
 * Numbers are compared as numbers (1.00 equals 1), dates, times, moments, bool, uuid and bytea as
 * their types do (transforms/order.h), everything else as text, bytes by bytes. Which is above or
 * below is not asked of texts whose order is that of a collation. */
#ifndef TRANSFORMS_CONDITION_H
#define TRANSFORMS_CONDITION_H

#include "transforms/rule.h"

enum truth { TRUTH_FALSE, TRUTH_TRUE, TRUTH_UNKNOWN };

struct condition;

/* `what`: "where". */
bool condition_load(const struct yaml_node *node, const char *what, struct arena *arena,
                    const struct condition **condition, struct err *err);

/* The value of the column is (negated: is not) one of the constants, some of which may be NULL.
 * Keeps the array. */
const struct condition *condition_in(struct arena *arena, const char *column, const char *where,
                                     bool negated, const struct constant *constants,
                                     size_t count);
const struct condition *condition_all(struct arena *arena, const struct condition *a,
                                      const struct condition *b);
const struct condition *condition_any(struct arena *arena, const struct condition *a,
                                      const struct condition *b);

/* The same bound to the source table, in the chain's arena; its columns are noted as inputs of
 * what is being bound. NULL when a breaking finding was left. */
const struct condition *condition_bind(struct binder *binder,
                                       const struct condition *condition);

bool condition_evaluate(const struct condition *condition, const struct evaluation *in,
                        enum truth *truth, struct err *err);
/* A column whose value is compared as text and has none here when the copy, or the stream, is
 * binary; NULL: there is none, or no condition. */
const struct source_column *condition_textless(const struct condition *condition, bool stream);
/* Appends an expression of type boolean that is never NULL. */
void condition_sql(const struct condition *condition, struct buf *sql);

#endif
