/* A sticky reader over untrusted bytes.
 *
 * Read all fields, then ask reader_ok() once. The first read past the end makes the reader
 * fail: from then on every read returns zero, an empty slice or "", and never touches memory
 * outside the given bytes. Integers are big-endian (PostgreSQL protocol, chapter 55). Slices
 * and strings are borrowed from the input. Every field of every row passes here, hence inline. */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *data;
    size_t size;
    size_t position; /* 0..position read | position..size not yet */
    bool failed;
};

static inline void reader_init(struct reader *reader, const void *data, size_t size)
{
    *reader = (struct reader){
        .data = (const uint8_t *)data, .size = data ? size : 0, .failed = !data && size};
}

/* `size` bytes, or NULL when fewer are left (and the reader fails). */
static inline const uint8_t *reader_bytes(struct reader *reader, size_t size)
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

static inline uint8_t reader_u8(struct reader *reader)
{
    const uint8_t *bytes = reader_bytes(reader, 1);
    return bytes ? bytes[0] : 0;
}

static inline uint16_t reader_u16(struct reader *reader)
{
    uint16_t value = 0;
    const uint8_t *bytes = reader_bytes(reader, sizeof(value));
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return be16toh(value);
}

static inline uint32_t reader_u32(struct reader *reader)
{
    uint32_t value = 0;
    const uint8_t *bytes = reader_bytes(reader, sizeof(value));
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return be32toh(value);
}

static inline uint64_t reader_u64(struct reader *reader)
{
    uint64_t value = 0;
    const uint8_t *bytes = reader_bytes(reader, sizeof(value));
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return be64toh(value);
}

static inline size_t reader_left(const struct reader *reader)
{
    return reader->failed ? 0 : reader->size - reader->position;
}

/* True if nothing was read past the end. */
static inline bool reader_ok(const struct reader *reader)
{
    return !reader->failed;
}

/* True if nothing was read past the end and nothing is left. */
static inline bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->position == reader->size;
}

/* A NUL-terminated string; "" when no NUL follows (and the reader fails). */
const char *reader_string(struct reader *reader);

#endif
