/* Numbers as PostgreSQL prints them, compared by value without losing a digit: 1.00 equals 1,
 * and 0.1 of a numeric is not the double nearest to it. */
#ifndef TRANSFORMS_DECIMAL_H
#define TRANSFORMS_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

/* True for "-12.50", "1e+30", "Infinity", "-Infinity" and "NaN": the output of the integer,
 * numeric and float types. */
bool decimal_is_valid(const char *text, size_t size);

/* Below 0, 0 or above 0, in numeric's order: NaN equals itself and is above all else. Both texts
 * are valid. */
int decimal_compare(const char *a, size_t a_size, const char *b, size_t b_size);

#endif
