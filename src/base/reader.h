/* A sticky reader over untrusted bytes.
 *
 * Read all fields, then ask reader_ok() once. The first read past the end makes the reader
 * fail: from then on every read returns zero, an empty slice or "", and never touches memory
 * outside the given bytes. Integers are big-endian (PostgreSQL protocol, chapter 55). Slices
 * and strings are borrowed from the input. */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
    const uint8_t *data;
    size_t size;
    size_t position; /* 0..position read | position..size not yet */
    bool failed;
};

void reader_init(struct reader *reader, const void *data, size_t size);
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
/* `size` bytes, or NULL when fewer are left (and the reader fails). */
const uint8_t *reader_bytes(struct reader *reader, size_t size);
/* A NUL-terminated string; "" when no NUL follows (and the reader fails). */
const char *reader_string(struct reader *reader);
size_t reader_left(const struct reader *reader);
/* True if nothing was read past the end. */
bool reader_ok(const struct reader *reader);
/* True if nothing was read past the end and nothing is left. */
bool reader_done(const struct reader *reader);

#endif
