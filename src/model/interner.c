/* Shapes, each kept once (interner.h). A table has few in its life, and a lookup is made once a
 * relation message or stored batch, so a list will do: most of it is told apart by the oid. */
#include "model/interner.h"

#include "base/mem.h"

#include <stdlib.h>

const struct relation *interner_keep(struct interner *interner, struct relation *relation)
{
    for (size_t i = 0; i < interner->count; i++) {
        if (relation_equal(interner->relations[i], relation)) {
            relation_free(relation);
            return interner->relations[i];
        }
    }
    interner->relations =
        mem_grow(interner->relations, interner->count + 1, sizeof(*interner->relations));
    interner->relations[interner->count++] = relation;
    return relation;
}

void interner_free(struct interner *interner)
{
    for (size_t i = 0; i < interner->count; i++)
        relation_free(interner->relations[i]);
    free(interner->relations);
    *interner = (struct interner){0};
}
