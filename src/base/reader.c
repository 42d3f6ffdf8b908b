/* A sticky reader over untrusted bytes.
 *
 * The problem: a decoder reads a dozen fields from bytes that a peer or a disk made, and a test
 * after each would hide the format. The invariant: position never exceeds size, and once a read
 * asked for more than was left, `failed` stays set and nothing is read any more. */
#include "base/reader.h"

#include <string.h>

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
