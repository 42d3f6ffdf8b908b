/* The contract of a type reader: while rules are bound, a database says how it reads a text as a
 * value of one of its types. It is asked about types whose input and output are not known here. */
#ifndef PIPELINE_TYPE_READER_H
#define PIPELINE_TYPE_READER_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

enum reading {
    READING_VALUE,  /* it is a value */
    READING_NONE,   /* it is none, or not exactly (it would be rounded or cut) */
    READING_FAILED, /* err: nobody can tell */
};

/* A type as it stands in SQL. */
struct type_text {
    bool target;       /* of the target's database; else of the source's */
    const char *exact; /* "numeric(10,2)" */
    const char *base;  /* the same without a modifier; NULL: there is none */
};

struct type_reader {
    /* *spelled: as the type prints the value, in the arena; set for READING_VALUE only. */
    enum reading (*spell)(void *context, const struct type_text *type, const char *text,
                          struct arena *arena, const char **spelled, struct err *err);
    /* Whether the type takes the two texts for one value. */
    enum reading (*equal)(void *context, const struct type_text *type, const char *a,
                          const char *b, bool *equal, struct err *err);
    void *context;
};

#endif
