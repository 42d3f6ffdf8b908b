/* Walks binary values and replaces OIDs (recoder.h).
 *
 * The bytes come from a peer whose types may have changed since the recoder was made. The
 * invariant: every read is bounded by the slice of the value that it belongs to, every OID is
 * compared before it is replaced, and a slice must be used up to its last byte wherever it is
 * walked. The depth of the walk is that of the recoder, not of the bytes. */
#include "schema/recoder.h"

#include "base/reader.h"

#define MAX_DIMENSIONS 6 /* MAXDIM */
#define NULL_SIZE UINT32_MAX

/* rangetypes.h */
#define RANGE_EMPTY 0x01
#define RANGE_LOWER_INFINITE 0x08
#define RANGE_UPPER_INFINITE 0x10

/* A slice of a value: what is read, and where it may be written. */
struct slice {
    struct reader reader;
    uint8_t *bytes;
};

static struct slice slice_of(uint8_t *bytes, size_t size)
{
    struct slice slice = {.bytes = bytes};
    reader_init(&slice.reader, bytes, size);
    return slice;
}

static bool replace_oid(struct slice *slice, const struct recoder_part *part)
{
    size_t at = slice->reader.position;
    if (reader_u32(&slice->reader) != part->source_oid || !reader_ok(&slice->reader))
        return false;
    for (size_t i = 0; i < sizeof(part->target_oid); i++)
        slice->bytes[at + i] = (uint8_t)(part->target_oid >> 8 * (3 - i));
    return true;
}

/* A value after its size. */
static bool walk_value(struct slice *slice, const struct recoder_part *part, bool may_be_null)
{
    uint32_t size = reader_u32(&slice->reader);
    size_t at = slice->reader.position;
    if (size == NULL_SIZE)
        return may_be_null && reader_ok(&slice->reader);
    if (!reader_bytes(&slice->reader, size))
        return false;
    return !part->inner || recoder_apply(part->inner, slice->bytes + at, size);
}

/* int32 dimensions, int32 flags, element OID, {int32 size, int32 lower bound} each, elements.
 * An array without elements has no dimensions. */
static bool walk_array(const struct recoder_part *part, struct slice *slice)
{
    uint32_t dimensions = reader_u32(&slice->reader);
    uint64_t count = dimensions > 0;
    reader_u32(&slice->reader);
    if (dimensions > MAX_DIMENSIONS || !replace_oid(slice, part))
        return false;
    for (uint32_t i = 0; i < dimensions; i++) {
        count *= reader_u32(&slice->reader);
        reader_u32(&slice->reader);
        if (count > reader_left(&slice->reader)) /* and so it cannot overflow */
            return false;
    }
    if (!part->inner)
        return reader_ok(&slice->reader);
    for (uint64_t i = 0; i < count; i++)
        if (!walk_value(slice, part, true))
            return false;
    return reader_done(&slice->reader);
}

/* int32 fields, {OID, value} each. */
static bool walk_composite(const struct recoder *recoder, struct slice *slice)
{
    if (reader_u32(&slice->reader) != recoder->part_count)
        return false;
    for (uint16_t i = 0; i < recoder->part_count; i++)
        if (!replace_oid(slice, &recoder->parts[i]) ||
            !walk_value(slice, &recoder->parts[i], true))
            return false;
    return reader_done(&slice->reader);
}

/* One byte of flags, then the bounds that it has. */
static bool walk_range(const struct recoder_part *part, struct slice *slice)
{
    uint8_t flags = reader_u8(&slice->reader);
    bool empty = flags & RANGE_EMPTY;
    if (!empty && !(flags & RANGE_LOWER_INFINITE) && !walk_value(slice, part, false))
        return false;
    if (!empty && !(flags & RANGE_UPPER_INFINITE) && !walk_value(slice, part, false))
        return false;
    return reader_done(&slice->reader);
}

/* int32 ranges, then the ranges. */
static bool walk_multirange(const struct recoder_part *part, struct slice *slice)
{
    uint32_t count = reader_u32(&slice->reader);
    for (uint32_t i = 0; i < count; i++)
        if (!walk_value(slice, part, false))
            return false;
    return reader_done(&slice->reader);
}

bool recoder_apply(const struct recoder *recoder, void *bytes, size_t size)
{
    struct slice slice = slice_of(bytes, size);
    switch (recoder->kind) {
    case RECODER_ARRAY:
        return walk_array(recoder->parts, &slice);
    case RECODER_COMPOSITE:
        return walk_composite(recoder, &slice);
    case RECODER_RANGE:
        return walk_range(recoder->parts, &slice);
    case RECODER_MULTIRANGE:
        return walk_multirange(recoder->parts, &slice);
    }
    return false;
}
