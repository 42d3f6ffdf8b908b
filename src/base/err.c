/* Errors as values: filling, wrapping and classifying them.
 *
 * The problem: a message is made of parts that may lie in the very error being filled (wrapping
 * a message by itself), and it has a fixed size. The invariant: text is formatted beside the
 * error first and only then moved in, always NUL-terminated, never cut inside a UTF-8
 * character, so that a log line or a JSON page can carry it. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct class_row {
    const char *name;
    int exit_status;
};

/* A RETRY that reaches the exit means that the retries gave up: the server stayed away. */
static const struct class_row classes[] = {
    [ERR_NONE] = {"none", 0},       [ERR_RETRY] = {"retry", 4},
    [ERR_CONFIG] = {"config", 2},   [ERR_DATA] = {"data", 3},
    [ERR_SHAPE] = {"shape", 3},     [ERR_SOURCE_LOST] = {"source_lost", 4},
    [ERR_CORRUPT] = {"corrupt", 4}, [ERR_DISK] = {"disk", 3},
    [ERR_BUG] = {"bug", 3},         [ERR_STOPPED] = {"stopped", 0},
};

/* Drops the start of a UTF-8 character whose rest fell off the end. */
static void trim_cut_character(char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < wanted)
        text[start - 1] = '\0';
}

__attribute__((format(printf, 3, 0))) static void
format_into(char *text, size_t size, const char *format, va_list arguments)
{
    int length = vsnprintf(text, size, format, arguments);
    if (length < 0)
        text[0] = '\0';
    else if ((size_t)length >= size)
        trim_cut_character(text, size - 1);
}

bool err_set(struct err *err, enum err_class class, const char *format, ...)
{
    char text[sizeof(err->message)];
    va_list arguments;
    va_start(arguments, format);
    format_into(text, sizeof(text), format, arguments);
    va_end(arguments);

    err->class = class;
    err->sqlstate[0] = '\0';
    err->remedy[0] = '\0';
    err->column[0] = '\0';
    memcpy(err->message, text, sizeof(text));
    return false;
}

bool err_wrap(struct err *err, const char *format, ...)
{
    char text[sizeof(err->message)];
    va_list arguments;
    va_start(arguments, format);
    format_into(text, sizeof(text), format, arguments);
    va_end(arguments);

    size_t length = strlen(text);
    const char *parts[] = {": ", err->message};
    bool cut = false;
    for (size_t part = 0; part < 2; part++) {
        size_t size = strlen(parts[part]);
        size_t room = sizeof(text) - 1 - length;
        cut = cut || size > room;
        memcpy(text + length, parts[part], size < room ? size : room);
        length += size < room ? size : room;
    }
    text[length] = '\0';
    if (cut)
        trim_cut_character(text, length);
    memcpy(err->message, text, sizeof(text));
    return false;
}

bool err_remedy(struct err *err, const char *format, ...)
{
    char text[sizeof(err->remedy)];
    va_list arguments;
    va_start(arguments, format);
    format_into(text, sizeof(text), format, arguments);
    va_end(arguments);
    memcpy(err->remedy, text, sizeof(text));
    return false;
}

bool err_column(struct err *err, const char *column)
{
    snprintf(err->column, sizeof(err->column), "%s", column);
    trim_cut_character(err->column, strlen(err->column));
    return false;
}

void err_clear(struct err *err)
{
    err->class = ERR_NONE;
    err->sqlstate[0] = '\0';
    err->message[0] = '\0';
    err->remedy[0] = '\0';
    err->column[0] = '\0';
}

const char *err_class_name(enum err_class class)
{
    return classes[class].name;
}

int err_exit_status(enum err_class class)
{
    return classes[class].exit_status;
}
