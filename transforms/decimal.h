/* Decimal numbers as text: compared by value without losing a digit (1.00 equals 1, and 0.1 of
 * a numeric is not the double nearest to it), and read and rounded as PostgreSQL's numeric
 * does. */
#ifndef TRANSFORMS_DECIMAL_H
#define TRANSFORMS_DECIMAL_H

#include "base/arena.h"
#include "model/row.h"

#include <stdbool.h>
#include <stddef.h>

/* --- numbers as PostgreSQL prints them, of any length --- */

/* True for "-12.50", "1e+30", "Infinity", "-Infinity" and "NaN": the output of the integer,
 * numeric and float types. */
bool decimal_is_valid(const char *text, size_t size);

/* Below 0, 0 or above 0, in numeric's order: NaN equals itself and is above all else. Both
 * texts are valid. */
int decimal_compare(const char *a, size_t a_size, const char *b, size_t b_size);

/* --- numbers as people write them --- */

/* What decimal_cast() reads: up to DECIMAL_MOST_BYTES of
 *
 *     blanks [+-] digits [. digits] [e [+-] up to three digits] blanks
 *
 * with digits on at least one side of the point, or NaN, or (without a precision) an infinity.
 * That is what every version of PostgreSQL takes; that 16 also reads 0x1F and 1_000, and that
 * longer exponents exist, is left out. */
#define DECIMAL_MOST_BYTES 1000
#define DECIMAL_BLANKS "[\\t-\\r ]*"
#define DECIMAL_PATTERN                                                                        \
    "^" DECIMAL_BLANKS                                                                         \
    "[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][-+]?[0-9]{1,3})?" DECIMAL_BLANKS "$"
#define DECIMAL_NAN_PATTERN "^" DECIMAL_BLANKS "[nN][aA][nN]" DECIMAL_BLANKS "$"
#define DECIMAL_INFINITY_PATTERN                                                               \
    "^" DECIMAL_BLANKS "[-+]?[iI][nN][fF]([iI][nN][iI][tT][yY])?" DECIMAL_BLANKS "$"

struct decimal_type {
    int precision; /* 0: any */
    int scale;     /* 0 to precision */
};

/* The text of the value as numeric(precision, scale), in the arena: halves are rounded away
 * from zero. False if it is no number, or too large. */
bool decimal_cast(const struct decimal_type *type, const struct value *in, struct arena *arena,
                  struct value *out);

#endif
