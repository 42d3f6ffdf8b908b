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
