/* A stretch: the changes of a batch that go to the target as one set (setwise.h): what they fold to,
 * in groups, and those that keep source order behind them. Keeps its memory from one to the
 * next. */
#ifndef POSTGRES_STRETCH_H
#define POSTGRES_STRETCH_H

#include "postgres/groups.h"

struct stretch {
    struct fold fold;
    struct groups groups;
    uint32_t *later; /* indexes of changes of tables that keep source order */
    uint32_t later_count;
    uint32_t later_capacity;
    bool grouped; /* so nothing more is folded into it */
};

/* For tables of at most so many columns. */
void stretch_init(struct stretch *stretch, size_t tables, uint16_t columns);
void stretch_free(struct stretch *stretch);
void stretch_clear(struct stretch *stretch);
/* The batch's change `index` goes behind the set. */
void stretch_keep_for_later(struct stretch *stretch, uint32_t index);
/* Makes the groups, unless they are made. */
void stretch_group(struct stretch *stretch);

#endif
