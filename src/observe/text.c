/* Text that came from elsewhere. Error texts are cut at a byte and names may be of any
 * encoding, so nothing here trusts its input to be UTF-8; the outputs always are. */
#include "observe/text.h"

#include <stdbool.h>
#include <string.h>

#define REPLACEMENT 0xFFFDu

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

/* Length that the first byte announces; 0 when it cannot begin a character. */
static int sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first < 0xE0)
        return 2;
    if (first >= 0xE0 && first < 0xF0)
        return 3;
    return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

/* Surrogates, overlong forms and what lies past U+10FFFF (Unicode, table 3-7). */
static bool is_valid(uint32_t code, int length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    return code >= smallest[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

uint32_t text_next(const char **text)
{
    static const unsigned char mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *at = (const unsigned char *)*text;
    if (!*at)
        return 0;
    int length = sequence_length(*at);
    uint32_t code = *at & mask[length];
    for (int i = 1; i < length; i++) {
        if (!is_continuation(at[i])) {
            length = 0;
            break;
        }
        code = code << 6 | (at[i] & 0x3Fu);
    }
    if (!length || !is_valid(code, length)) {
        *text += 1;
        return REPLACEMENT;
    }
    *text += length;
    return code;
}

void text_append_valid(struct buf *out, const char *text)
{
    for (const char *from = text; *from;) {
        const char *start = from;
        uint32_t code = text_next(&from);
        if (code == REPLACEMENT)
            buf_append_text(out, "\xEF\xBF\xBD");
        else
            buf_append(out, start, (size_t)(from - start));
    }
}

/* The ranges that matter for names: East Asian Wide and Fullwidth, emoji, combining marks and
 * invisible formatting (which could also reorder a line). */
static const struct range {
    uint32_t first, last;
    int width;
} ranges[] = {
    {0x0300, 0x036F, 0},   {0x1100, 0x115F, 2},   {0x200B, 0x200F, 0},   {0x202A, 0x202E, 0},
    {0x2060, 0x2069, 0},   {0x2E80, 0xA4CF, 2},   {0xAC00, 0xD7A3, 2},   {0xF900, 0xFAFF, 2},
    {0xFE00, 0xFE0F, 0},   {0xFE30, 0xFE6F, 2},   {0xFF00, 0xFF60, 2},   {0xFFE0, 0xFFE6, 2},
    {0x1F300, 0x1F64F, 2}, {0x1F680, 0x1F6FF, 2}, {0x1F900, 0x1F9FF, 2}, {0x20000, 0x3FFFD, 2},
};

static int code_width(uint32_t code)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return ranges[i].width;
    return 1;
}

int text_width(const char *text)
{
    int width = 0;
    for (uint32_t code; (code = text_next(&text));)
        width += code_width(code);
    return width;
}

/* C0, DEL and C1: a terminal would obey them. So would it the marks that change direction. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x202A && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0x2028 || code == 0x2029;
}

static int append_safe(struct buf *out, uint32_t code, const char *start, size_t size)
{
    if (is_control(code)) {
        buf_append_char(out, '?');
        return 1;
    }
    if (code == REPLACEMENT)
        buf_append_text(out, "\xEF\xBF\xBD");
    else
        buf_append(out, start, size);
    return code_width(code);
}

static int safe_width(const char *text)
{
    int width = 0;
    for (uint32_t code; (code = text_next(&text));)
        width += is_control(code) ? 1 : code_width(code);
    return width;
}

int text_append_cut(struct buf *out, const char *text, int width, const char *ellipsis)
{
    if (width <= 0)
        return 0;
    bool cut = safe_width(text) > width;
    int room = cut ? width - 1 : width, used = 0;
    while (*text) {
        const char *start = text;
        uint32_t code = text_next(&text);
        if (used + (is_control(code) ? 1 : code_width(code)) > room)
            break;
        used += append_safe(out, code, start, (size_t)(text - start));
    }
    if (!cut)
        return used;
    buf_append_text(out, ellipsis);
    return used + 1;
}
