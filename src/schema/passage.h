/* How the values of a source column get into a target column that takes them unchanged: in
 * binary as they are, in binary with OIDs replaced, or as text, and why.
 *
 * Types are compared by what they are made of, not by name or OID: arrays by their elements,
 * ranges by their bounds, composites by their fields' names and types in order, domains by what
 * they are over. At the leaves stand types of schema/types.h. */
#ifndef SCHEMA_PASSAGE_H
#define SCHEMA_PASSAGE_H

#include "base/arena.h"
#include "schema/catalog.h"
#include "schema/recoder.h"

enum passage_kind {
    PASSAGE_BINARY,    /* the same bytes on both sides */
    PASSAGE_RECODED,   /* binary, through the recoder */
    PASSAGE_TEXT,      /* in binary it cannot go, or it is not known that it can */
    PASSAGE_SENT_TEXT, /* the type has no binary form: text even in a stream that is binary */
    PASSAGE_NONE,      /* composites that differ: text would put values into the wrong fields */
    PASSAGE_MADE,      /* no passage: a rule makes the target's values, as text */
    PASSAGE_KIND_COUNT,
};

struct passage {
    enum passage_kind kind;
    const char *why;               /* "" for PASSAGE_BINARY; in the arena, or static */
    const struct recoder *recoder; /* PASSAGE_RECODED; in the arena; else NULL */
};

struct passage passage_between(const struct catalog_column *source,
                               const struct catalog_column *target, struct arena *arena);
/* "binary", "binary, OIDs rewritten", "text", "made". Static. */
const char *passage_name(enum passage_kind kind);

#endif
