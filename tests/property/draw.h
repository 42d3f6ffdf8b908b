/* Random schemas, rules and values, the same for the same seed on every machine.
 *
 * Values are drawn to be near the edges: empty, blanks, combining and 4-byte characters, quotes
 * and backslashes, the ends of the numbers, NULL. */
#ifndef PROPERTY_DRAW_H
#define PROPERTY_DRAW_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct draw {
    uint64_t state;
};

struct draw draw_seeded(uint64_t seed);
uint32_t draw_below(struct draw *draw, uint32_t limit);
bool draw_chance(struct draw *draw, uint32_t percent);

/* A type of a source column, and how its values are drawn. */
struct draw_type {
    const char *name;
    void (*value)(struct draw *draw, struct buf *out);
    bool ordered; /* conditions may compare */
};

/* Any text: of letters of every kind, or one that is nearly a number, a date, a word... */
void draw_text(struct draw *draw, struct buf *out);

/* What a rule may name. */
struct draw_column {
    char name[16];
    const struct draw_type *type;
    uint64_t favourites; /* the seed of some values that are drawn more than once */
};

void draw_column(struct draw *draw, uint32_t number, struct draw_column *column);
void draw_value(struct draw *draw, const struct draw_column *column, struct buf *out);

/* A column entry over the columns and the target's columns r0 to r`made - 1`, as YAML in flow
 * style. */
void draw_entry(struct draw *draw, const struct draw_column *columns, uint32_t count,
                uint32_t made, struct buf *out);

/* A condition over the columns, with `all` and `any` up to this depth. */
void draw_condition(struct draw *draw, const struct draw_column *columns, uint32_t count,
                    int depth, struct buf *out);
/* A route by this column to app.a, app.b, app.c and drop. */
void draw_route(struct draw *draw, const struct draw_column *column, struct buf *out);

#endif
