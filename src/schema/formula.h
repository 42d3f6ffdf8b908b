/* Formulas: SQL expressions over a row of the source that the target evaluates inside the write
 * (rule `sql`).
 *
 * The values that a formula reads travel as one value, an array of their texts (text[]), so that
 * a column made by a formula is written with one parameter, or staged in one column, like any
 * other. Around the expression stands
 *
 *     (SELECT (expression) FROM (SELECT v[1]::bigint AS "id", v[2]::text AS "name"
 *        FROM (SELECT $3 AS v) AS i WHERE v IS NOT NULL) AS "slackwater source row")
 *     opening -------------------------------^^ value
 *
 * so that the expression sees the row's columns by their plain names and nothing else. The array
 * is never NULL; the condition keeps the server from evaluating a formula that reads no column
 * once for a whole statement (each row gets a random() of its own).
 *
 * That the expression is one expression, which cannot close the bracket it stands in, is for the
 * server to say before (pipeline/formula_reader.h). */
#ifndef SCHEMA_FORMULA_H
#define SCHEMA_FORMULA_H

#include "base/buf.h"

#include <stddef.h>

#define FORMULA_VALUE_TYPE 1009 /* text[]; pg_type.dat */

/* A column that the expression sees, and as what type. */
struct formula_input {
    const char *name;
    const char *type; /* as format_type() writes it: goes into the statement as it is */
};

/* Appends the text up to where the value stands. */
void formula_open(struct buf *sql, const char *expression, const struct formula_input *inputs,
                  size_t count);
/* Appends opening, value ("$3") and what follows it. */
void formula_append(struct buf *sql, const char *opening, const char *value);
/* Appends the expression over columns of the statement around it: the source's own. */
void formula_append_plain(struct buf *sql, const char *expression,
                          const struct formula_input *inputs, size_t count);
/* How many characters stand before the expression in both forms. */
size_t formula_offset(void);

#endif
