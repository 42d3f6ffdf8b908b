/* A sticky reader over untrusted bytes.
 *
 * The problem: a decoder reads a dozen fields from bytes that a peer or a disk made, and a test
 * after each would hide the format. The invariant: position never exceeds size, and once a read
 * asked for more than was left, `failed` stays set and nothing is read any more. */
#include "base/reader.h"

#include <endian.h>
#include <string.h>

void reader_init(struct reader *reader, const void *data, size_t size)
{
    *reader = (struct reader){.data = data, .size = data ? size : 0, .failed = !data && size};
}

const uint8_t *reader_bytes(struct reader *reader, size_t size)
{
    /* An empty slice of no data is still a slice: NULL would say that the read failed. */
    static const uint8_t nothing[1];
    if (reader->failed || size > reader->size - reader->position) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *bytes = reader->data ? reader->data + reader->position : nothing;
    reader->position += size;
    return bytes;
}

uint8_t reader_u8(struct reader *reader)
{
    const uint8_t *bytes = reader_bytes(reader, 1);
    return bytes ? bytes[0] : 0;
}

/* Every field of every row passes here: one load each, not a loop over bytes. */

uint16_t reader_u16(struct reader *reader)
{
    uint16_t value = 0;
    const uint8_t *bytes = reader_bytes(reader, sizeof(value));
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return be16toh(value);
}

uint32_t reader_u32(struct reader *reader)
{
    uint32_t value = 0;
    const uint8_t *bytes = reader_bytes(reader, sizeof(value));
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return be32toh(value);
}

uint64_t reader_u64(struct reader *reader)
{
    uint64_t value = 0;
    const uint8_t *bytes = reader_bytes(reader, sizeof(value));
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return be64toh(value);
}

const char *reader_string(struct reader *reader)
{
    size_t left = reader_left(reader);
    const uint8_t *start = left ? reader->data + reader->position : NULL;
    const uint8_t *end = start ? memchr(start, 0, left) : NULL;
    if (!end) {
        reader->failed = true;
        return "";
    }
    reader->position += (size_t)(end - start) + 1;
    return (const char *)start;
}

size_t reader_left(const struct reader *reader)
{
    return reader->failed ? 0 : reader->size - reader->position;
}

bool reader_ok(const struct reader *reader)
{
    return !reader->failed;
}

bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->position == reader->size;
}
