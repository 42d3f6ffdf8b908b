/* See ident.h. */
#include "schema/ident.h"

#include <stdbool.h>
#include <string.h>

void ident_append(struct buf *buf, const char *name)
{
    buf_append_char(buf, '"');
    for (const char *at = name; *at; at++) {
        if (*at == '"')
            buf_append_char(buf, '"');
        buf_append_char(buf, *at);
    }
    buf_append_char(buf, '"');
}

void ident_append_qualified(struct buf *buf, const char *schema, const char *name)
{
    if (*schema) {
        ident_append(buf, schema);
        buf_append_char(buf, '.');
    }
    ident_append(buf, name);
}

void literal_append(struct buf *buf, const char *text, size_t size)
{
    bool escapes = size && memchr(text, '\\', size);

    buf_append_text(buf, escapes ? " E'" : "'");
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\'' || text[i] == '\\')
            buf_append_char(buf, text[i]);
        buf_append_char(buf, text[i]);
    }
    buf_append_char(buf, '\'');
}

char *ident_qualified(const char *schema, const char *name)
{
    struct buf text = {0};

    ident_append_qualified(&text, schema, name);
    return buf_steal(&text);
}

/* Lower-case letters, digits and _, not led by a digit. (A keyword is not worth its quotes.) */
static bool is_plain(const char *name)
{
    if (*name >= '0' && *name <= '9')
        return false;
    for (const char *at = name; *at; at++)
        if (!((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_'))
            return false;
    return *name != '\0';
}

static void append_for_people(struct buf *buf, const char *name)
{
    if (is_plain(name))
        buf_append_text(buf, name);
    else
        ident_append(buf, name);
}

char *ident_display(const char *schema, const char *name)
{
    struct buf buf = {0};
    if (*schema) {
        append_for_people(&buf, schema);
        buf_append_char(&buf, '.');
    }
    append_for_people(&buf, name);
    return buf_steal(&buf);
}
