/* How a version of a source relation, as the stream describes it, lines up with the bound
 * table: columns by name. One set of shapes a transform; not shared. */
#ifndef TRANSFORMS_SHAPE_H
#define TRANSFORMS_SHAPE_H

#include "transforms/plan.h"

#define SHAPE_MISSING UINT16_MAX

struct shape {
    const struct relation *from;
    const struct table_plan *plan; /* NULL: the relation is not part of the migration */
    bool direct;                   /* from has exactly the bound columns, in their order */
    bool identifies;  /* its old key images hold all that the target's key is made of */
    uint16_t *places; /* by bound source column: its place in `from`, or SHAPE_MISSING */
    bool *fixed;      /* by bound source column: part of the identity, so that an update
                         without old image did not change it */
};

struct shapes {
    struct arena arena;
    const struct shape **slots; /* open addressing by `from`; a power of two */
    size_t slot_count;
    size_t used;
    const struct shape *last;
};

void shapes_init(struct shapes *shapes);
void shapes_free(struct shapes *shapes);

/* The shape of a relation version, made when first seen. False (ERR_DATA) when it no longer
 * fits what was bound; *table is set all the same where the table is known. */
bool shapes_find(struct shapes *shapes, const struct chain_plan *chain,
                 const struct relation *from, const struct shape **shape, uint32_t *table,
                 struct err *err);

/* The bound table of a relation, whatever its columns; NULL in *plan when there is none. False
 * (ERR_DATA) when the table was renamed or made anew since. */
bool shape_table(const struct chain_plan *chain, const struct relation *from,
                 const struct table_plan **plan, struct err *err);

#endif
