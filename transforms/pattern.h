/* Patterns of names: `tenant_(*).orders` takes the tables `orders` of every schema whose name
 * begins with tenant_, and `\1` stands for what the * took.
 *
 *     *      any characters, none too
 *     ?      one character (byte)
 *     (...)  a group: \1 for the first, counted over schema and table; groups do not nest
 *
 * Part by part: a * never takes the dot between schema and table. Text in double quotes is
 * literal. */
#ifndef TRANSFORMS_PATTERN_H
#define TRANSFORMS_PATTERN_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>

#define PATTERN_GROUPS 9

struct captures {
    size_t count;
    const char *texts[PATTERN_GROUPS];
};

/* True if the unquoted text holds a character that means something. */
bool pattern_is(const char *text, size_t size);
/* NULL when the parentheses are in order, else what is wrong (static). */
const char *pattern_fault(const char *pattern);
/* Appends what the groups took to *captures (texts in the arena). A * takes as little as
 * possible. */
bool pattern_match(const char *pattern, const char *name, struct arena *arena,
                   struct captures *captures);
/* The highest \N in the text; 0 when there is none. */
size_t pattern_highest_reference(const char *text);
/* The text with \N replaced; there are as many captures. */
const char *pattern_fill(const char *text, const struct captures *captures,
                         struct arena *arena);

#endif
