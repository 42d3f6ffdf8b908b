/* See text.h. */
#include "transforms/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *text_copy_sized(struct arena *arena, const char *data, size_t size)
{
    char *copy = arena_alloc(arena, size + 1);

    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

const char *text_copy(struct arena *arena, const char *text)
{
    return text ? text_copy_sized(arena, text, strlen(text)) : NULL;
}

const char *text_format(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    int size;
    char *text;

    va_start(arguments, format);
    va_copy(again, arguments);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    text = arena_alloc(arena, (size_t)(size < 0 ? 0 : size) + 1);
    text[0] = '\0';
    if (size > 0)
        vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}

const char *text_take(struct arena *arena, struct buf *buf)
{
    const char *text = text_copy_sized(arena, buf_text(buf), buf->size);

    buf_free(buf);
    return text;
}

/* The code point that begins at data, and its bytes in *bytes. A broken sequence counts as its
 * first byte. */
static uint32_t code_point(const char *data, size_t size, size_t *bytes)
{
    unsigned char first = (unsigned char)data[0];
    size_t length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t point = length == 1 ? first : first & (0x7fu >> length);

    *bytes = length <= size ? length : 1;
    for (size_t i = 1; i < *bytes; i++)
        point = point << 6 | ((unsigned char)data[i] & 0x3f);
    return point;
}

/* What YAML's reader refuses, and what it takes for a line's end. */
static bool yaml_needs_escape(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 ||
           point == 0x2029 || point == 0xfeff || point == 0xfffe || point == 0xffff;
}

void text_append_yaml(struct buf *buf, const char *data, size_t size)
{
    size_t bytes;

    buf_append_char(buf, '"');
    for (size_t i = 0; i < size; i += bytes) {
        uint32_t point = code_point(data + i, size - i, &bytes);

        if (yaml_needs_escape(point))
            buf_append_format(buf, "\\u%04x", point);
        else if (point == '"' || point == '\\')
            buf_append_format(buf, "\\%c", (char)point);
        else if (point == '$' && i + 1 < size && data[i + 1] == '{')
            buf_append_text(buf, "$$"); /* "${" would be a reference */
        else
            buf_append(buf, data + i, bytes);
    }
    buf_append_char(buf, '"');
}

const char *text_position(struct arena *arena, const struct yaml_node *node)
{
    return text_format(arena, "%s:%d:%d", node->file, node->line, node->column);
}

const char *text_did_you_mean(struct arena *arena, const char *word,
                              const char *const *candidates)
{
    const char *nearest = yaml_nearest(word, candidates);

    return nearest ? text_format(arena, "; did you mean \"%s\"?", nearest) : "";
}
