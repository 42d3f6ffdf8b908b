/* The shapes of tables that were ever seen, each kept once and for good: batches, rules and
 * statements refer to them by pointer for as long as their owner lives. One thread. */
#ifndef MODEL_INTERNER_H
#define MODEL_INTERNER_H

#include "model/relation.h"

#include <stddef.h>

struct interner {
    struct relation **relations; /* owned */
    size_t count;
};

/* The same shape seen before, or this one, which is owned from here on. */
const struct relation *interner_keep(struct interner *interner, struct relation *relation);
void interner_free(struct interner *interner);

#endif
