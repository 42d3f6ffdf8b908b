/* A growing byte buffer.
 *
 *     0..size written | size holds a NUL | ..capacity free
 *
 * The problem: output whose size is known only when it is written. The invariant: after the
 * first append data[size] is a NUL within the capacity, whatever the append was. */
#include "base/buf.h"

#include "base/mem.h"

#include <assert.h>
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST_CAPACITY ((size_t)64)

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

/* Room for `more` bytes and the NUL. */
void buf_reserve(struct buf *buf, size_t more)
{
    size_t needed;
    if (__builtin_add_overflow(buf->size, more, &needed) ||
        __builtin_add_overflow(needed, 1, &needed))
        needed = SIZE_MAX; /* mem_grow() refuses it */
    if (needed <= buf->capacity)
        return;
    size_t capacity = buf->capacity ? buf->capacity : SMALLEST_CAPACITY;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    buf->data = mem_grow(buf->data, capacity, 1);
    buf->capacity = capacity;
    buf->data[buf->size] = '\0';
}

void buf_written(struct buf *buf, size_t bytes)
{
    assert(bytes < buf->capacity - buf->size);
    buf->size += bytes;
    buf->data[buf->size] = '\0';
}

void buf_append(struct buf *buf, const void *data, size_t size)
{
    buf_reserve(buf, size);
    if (size)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_char(struct buf *buf, char byte)
{
    buf_append(buf, &byte, 1);
}

void buf_append_format(struct buf *buf, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    buf_reserve(buf, 0);
    size_t room = buf->capacity - buf->size;
    int length = vsnprintf(buf->data + buf->size, room, format, arguments);
    if (length >= 0 && (size_t)length >= room) {
        buf_reserve(buf, (size_t)length);
        length = vsnprintf(buf->data + buf->size, (size_t)length + 1, format, again);
    }
    if (length > 0)
        buf->size += (size_t)length;
    buf->data[buf->size] = '\0';
    va_end(again);
    va_end(arguments);
}

void buf_append_u16(struct buf *buf, uint16_t value)
{
    value = htobe16(value);
    buf_append(buf, &value, sizeof(value));
}

void buf_append_u32(struct buf *buf, uint32_t value)
{
    value = htobe32(value);
    buf_append(buf, &value, sizeof(value));
}

void buf_append_u64(struct buf *buf, uint64_t value)
{
    value = htobe64(value);
    buf_append(buf, &value, sizeof(value));
}

char *buf_steal(struct buf *buf)
{
    char *data = buf->data ? buf->data : mem_string("");
    *buf = (struct buf){0};
    return data;
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}
