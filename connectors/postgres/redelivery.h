/* Makes parked changes again: those of a chain, in the source's order, by the rules of now, in one
 * target transaction in which they also cease to be parked. By the thread that owns the sink,
 * between its transactions. */
#ifndef POSTGRES_REDELIVERY_H
#define POSTGRES_REDELIVERY_H

#include "pipeline/sink.h"
#include "pipeline/transform.h"
#include "postgres/dead_letter.h"

struct redelivery { /* borrowed */
    const struct dead_letter_config *config;
    struct sink *sink; /* a PostgreSQL sink, connected */
    /* Makes one that has looked nothing up yet; it is destroyed here. */
    struct transform *(*make_transform)(void *context);
    void *context;
};

enum redelivered {
    REDELIVERED,
    REDELIVERY_REFUSED, /* by rules or target: err says why, and all is as it was */
    REDELIVERY_FAILED,  /* the target was lost, or worse */
};

/* *letters: how many the chain has. */
enum redelivered redelivery_make(const struct redelivery *redelivery, uint64_t chain,
                                 uint64_t *letters, struct err *err);

#endif
