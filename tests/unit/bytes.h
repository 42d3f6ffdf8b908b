/* Messages written by hand: hexadecimal digits, 'text' in quotes, blanks between.
 *
 *   struct bytes b = bytes_of("'B' 0000000000000010 'gid' 00");
 *
 * The memory is of its exact size, so that AddressSanitizer sees a read past the end. */
#ifndef UNIT_BYTES_H
#define UNIT_BYTES_H

#include "base/buf.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    char *data;
    size_t size;
};

static inline void bytes_append(struct buf *out, const char *written)
{
    for (const char *at = written; *at;) {
        if (*at == '\'') {
            const char *end = strchr(at + 1, '\'');
            buf_append(out, at + 1, (size_t)(end - at - 1));
            at = end + 1;
        } else if (isxdigit((unsigned char)*at)) {
            char digits[3] = {at[0], at[1], '\0'};
            buf_append_char(out, (char)strtoul(digits, NULL, 16));
            at += 2;
        } else {
            at++;
        }
    }
}

static inline struct bytes bytes_exact(const void *data, size_t size)
{
    struct bytes bytes = {.data = malloc(size), .size = size};
    if (size > 0)
        memcpy(bytes.data, data, size);
    return bytes;
}

static inline struct bytes bytes_of(const char *written)
{
    struct buf out = {0};
    bytes_append(&out, written);
    struct bytes bytes = bytes_exact(out.data, out.size);
    buf_free(&out);
    return bytes;
}

#endif
