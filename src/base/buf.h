/* A growing byte buffer, for text and wire output.
 *
 * Always NUL-terminated after the first append (the NUL is not counted in size), so that
 * buf->data can be handed to C string functions when no NUL was appended. Grows by doubling.
 * One owner; not locked. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL until the first append */
    size_t size;
    size_t capacity;
};

void buf_free(struct buf *buf);  /* frees the bytes, leaves an empty buffer */
void buf_clear(struct buf *buf); /* size 0, memory kept */
/* Room for `more` bytes behind data + size: write there, then say with buf_written() how many. */
void buf_reserve(struct buf *buf, size_t more);
void buf_written(struct buf *buf, size_t bytes);
void buf_append(struct buf *buf, const void *data, size_t size);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char byte);
void buf_append_format(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Big-endian, as the PostgreSQL protocol has it. */
void buf_append_u16(struct buf *buf, uint16_t value);
void buf_append_u32(struct buf *buf, uint32_t value);
void buf_append_u64(struct buf *buf, uint64_t value);

/* The bytes as a C string that the caller frees; the buffer is empty afterwards. "" if empty. */
char *buf_steal(struct buf *buf);

/* buf->data, or "" when nothing was appended yet. Borrowed. */
const char *buf_text(const struct buf *buf);

#endif
