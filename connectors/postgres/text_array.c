/* Arrays of text as text (text_array.h). */
#include "postgres/text_array.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void text_array_append_item(struct buf *buf, const char *text, size_t size)
{
    buf_append_char(buf, '"');
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"' || text[i] == '\\')
            buf_append_char(buf, '\\');
        buf_append_char(buf, text[i]);
    }
    buf_append_char(buf, '"');
}

void text_array_append(struct buf *buf, const char *const *items, size_t count)
{
    buf_append_char(buf, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(buf, ',');
        text_array_append_item(buf, items[i], strlen(items[i]));
    }
    buf_append_char(buf, '}');
}

/* Both leave *at behind the element; false at the end of the text. */
static bool read_quoted(const char **at, struct buf *item)
{
    for ((*at)++; **at != '"'; (*at)++) {
        if (**at == '\\')
            (*at)++;
        if (**at == '\0')
            return false;
        buf_append_char(item, **at);
    }
    (*at)++;
    return true;
}

static bool read_plain(const char **at, struct buf *item)
{
    size_t size = strcspn(*at, ",{}\"\\");
    buf_append(item, *at, size);
    *at += size;
    return size > 0 && strcmp(buf_text(item), "NULL") != 0;
}

static bool read_item(const char **at, char **text)
{
    struct buf item = {0};
    bool ok = **at == '"' ? read_quoted(at, &item) : read_plain(at, &item);
    if (ok)
        *text = buf_steal(&item);
    buf_free(&item);
    return ok;
}

bool text_array_parse(const char *text, char ***items, size_t *count, struct err *err)
{
    char **found = mem_zero(1, sizeof *found);
    size_t n = 0;
    const char *at = text + 1;
    bool ok = text[0] == '{';
    while (ok && (n > 0 || *at != '}')) {
        found = mem_grow(found, n + 1, sizeof *found);
        ok = read_item(&at, &found[n]);
        n += ok;
        if (*at != ',')
            break;
        at++;
    }
    if (!ok || strcmp(at, "}") != 0) {
        text_array_free(found, n);
        return err_set(err, ERR_CORRUPT, "not an array of texts");
    }
    *items = found;
    *count = n;
    return true;
}

void text_array_free(char **items, size_t count)
{
    for (size_t i = 0; items != NULL && i < count; i++)
        free(items[i]);
    free(items);
}
