/* How a version of a source relation, as the stream describes it, lines up with the bound
 * table: columns by name. One set of shapes a transform; not shared. */
#ifndef TRANSFORMS_SHAPE_H
#define TRANSFORMS_SHAPE_H

#include "transforms/plan.h"

#define SHAPE_MISSING UINT16_MAX

/* For one of the relation's bound tables. */
struct shape {
    const struct table_plan *plan;
    const struct former *former; /* as the chain's, both */
    bool any_type;
    bool direct;      /* the relation has exactly the bound columns, in their order */
    bool identifies;  /* its old key images hold all that the target's key is made of */
    uint16_t *places; /* by bound source column: its place in the relation, or SHAPE_MISSING */
    bool *fixed;      /* by bound source column: part of the identity, so that an update
                         without old image did not change it */
};

struct shape_set {
    const struct relation *from;
    size_t count; /* 0: the relation is not part of the migration */
    struct shape *shapes;
};

struct shapes {
    struct arena arena;
    const struct shape_set **slots; /* open addressing by `from`; a power of two */
    size_t slot_count;
    size_t used;
    const struct shape_set *last;
};

void shapes_init(struct shapes *shapes);
void shapes_free(struct shapes *shapes);

/* The shapes of a relation version, made when first seen. False (ERR_DATA) when it no longer
 * fits what was bound. */
bool shapes_find(struct shapes *shapes, const struct chain_plan *chain,
                 const struct relation *from, const struct shape_set **set, struct err *err);

/* The source table that a relation of the stream is, whatever its columns and even if it was
 * renamed or made anew; NULL when there is none. */
const struct bound_source *shape_source(const struct chain_plan *chain,
                                        const struct relation *from);
/* False (ERR_DATA) when the table was renamed or made anew since it was bound. */
bool shape_check_source(const struct bound_source *source, const struct relation *from,
                        struct err *err);

#endif
