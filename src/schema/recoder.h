/* A recoder puts the target's OIDs in place of the source's inside one column's binary values.
 *
 * Arrays name their element's type, composites the type of each field, by OID; all else in
 * their bytes means the same everywhere. OIDs have one size, so a value keeps its length and is
 * changed where it lies. A recoder is a tree as deep as the type, without what needs no change;
 * schema/passage.h makes it once for a column, in an arena. Immutable; any thread.
 *
 * Source: array_send, record_send, range_send, multirange_send (src/backend/utils/adt). */
#ifndef SCHEMA_RECODER_H
#define SCHEMA_RECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum recoder_kind {
    RECODER_ARRAY,      /* one part: the element */
    RECODER_COMPOSITE,  /* a part for each field */
    RECODER_RANGE,      /* one part: the bounds */
    RECODER_MULTIRANGE, /* one part: the ranges */
};

struct recoder_part {
    uint32_t source_oid; /* what the bytes must name; 0: they name none (bounds, ranges) */
    uint32_t target_oid; /* what they are to name */
    const struct recoder *inner; /* NULL: nothing to change within */
};

struct recoder {
    enum recoder_kind kind;
    uint16_t part_count;
    const struct recoder_part *parts;
};

/* Changes a value in place. False when the bytes are not a value of the source's type as it was
 * when the recoder was made; they may be changed in part then. The bytes need not be trusted. */
bool recoder_apply(const struct recoder *recoder, void *bytes, size_t size);

#endif
