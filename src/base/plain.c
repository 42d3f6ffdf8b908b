/* Text without control characters (plain.h). */
#include "base/plain.h"

#include <stdbool.h>

/* U+0080 to U+009F, of which some terminals take a few for the start of a sequence. */
static bool is_c1(const unsigned char *at)
{
    return at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
}

void plain_append(struct buf *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '\n')
            buf_append_text(out, "\\n");
        else if (*at == '\t')
            buf_append_text(out, "\\t");
        else if (*at < 0x20 || *at == 0x7f)
            buf_append_format(out, "\\x%02x", *at);
        else if (is_c1(at))
            buf_append_format(out, "\\u%04x", *++at);
        else
            buf_append_char(out, (char)*at);
    }
}

void plain_print(FILE *stream, const char *text)
{
    struct buf shown = {0};

    plain_append(&shown, text);
    fputs(buf_text(&shown), stream);
    buf_free(&shown);
}
