/* See json_path.h. The document comes from a json or jsonb column, so that its grammar has been
 * checked; a broken one is refused all the same, never read past its end.
 *
 * Source: src/backend/utils/adt/jsonfuncs.c (get_worker, jsonb_get_element), json.c
 * (escape_json), src/common/jsonapi.c (json_lex_string). */
#include "transforms/json_path.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const char *at;
    const char *end;
};

struct pick {
    const struct json_path *path;
    const char *start; /* of what was found; NULL: nothing */
    size_t size;
    struct arena *arena;
};

struct json_step json_step(const char *text, size_t size)
{
    struct json_step step = {.name = text, .size = size};
    char *end;

    errno = 0;
    step.index = strtol(text, &end, 10);
    step.is_index = end != text && *end == '\0' && errno == 0 && step.index > INT_MIN &&
                    step.index <= INT_MAX;
    return step;
}

/* --- escapes --- */

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* `at` stands on the backslash of a \uXXXX; -1 if it is none. */
static int32_t read_unit(const char *at, const char *end)
{
    int32_t unit = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* The code point of the escape at `at`, and its bytes; -1 if no text can hold it. */
static int32_t read_point(const char *at, const char *end, size_t *bytes)
{
    int32_t high = read_unit(at, end), low;

    *bytes = 6;
    if (high <= 0 || (high >= 0xdc00 && high < 0xe000))
        return -1;
    if (high < 0xd800 || high >= 0xe000)
        return high;
    low = read_unit(at + 6, end);
    *bytes = 12;
    if (low < 0xdc00 || low >= 0xe000)
        return -1;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Backslashes stand in strings only. */
static bool escapes_are_good(struct scan scan)
{
    while (scan.at < scan.end &&
           (scan.at = memchr(scan.at, '\\', (size_t)(scan.end - scan.at)))) {
        size_t bytes = 2;

        if (scan.end - scan.at < 2 ||
            (scan.at[1] == 'u' && read_point(scan.at, scan.end, &bytes) < 0))
            return false;
        scan.at += bytes;
    }
    return true;
}

static char *put_point(char *to, int32_t point)
{
    if (point < 0x80) {
        *to++ = (char)point;
    } else if (point < 0x800) {
        *to++ = (char)(0xc0 | point >> 6);
        *to++ = (char)(0x80 | (point & 0x3f));
    } else {
        if (point >= 0x10000) {
            *to++ = (char)(0xf0 | point >> 18);
            *to++ = (char)(0x80 | (point >> 12 & 0x3f));
        } else {
            *to++ = (char)(0xe0 | point >> 12);
        }
        *to++ = (char)(0x80 | (point >> 6 & 0x3f));
        *to++ = (char)(0x80 | (point & 0x3f));
    }
    return to;
}

static char plain_escape(char byte)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *found = memchr(from, byte, sizeof(from) - 1);

    return found ? to[found - from] : byte; /* quote, backslash, slash */
}

/* The inside of a string, whose escapes are good. Never longer than it was. */
static size_t unescape(const char *at, const char *end, char *to)
{
    char *begin = to;

    while (at < end) {
        size_t bytes = 2;

        if (*at != '\\')
            *to++ = *at++;
        else if (at[1] == 'u') {
            to = put_point(to, read_point(at, end, &bytes));
            at += bytes;
        } else {
            *to++ = plain_escape(at[1]);
            at += bytes;
        }
    }
    return (size_t)(to - begin);
}

/* --- walking --- */

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool ends_atom(char byte)
{
    return is_blank(byte) || byte == ',' || byte == ':' || byte == ']' || byte == '}' ||
           byte == '[' || byte == '{' || byte == '"' || byte == '\0';
}

static char peek(struct scan *scan)
{
    while (scan->at < scan->end && is_blank(*scan->at))
        scan->at++;
    return scan->at < scan->end ? *scan->at : '\0';
}

static bool take(struct scan *scan, char byte)
{
    if (peek(scan) != byte)
        return false;
    scan->at++;
    return true;
}

static bool skip_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at++)
        scan->at += *scan->at == '\\';
    if (scan->at >= scan->end)
        return false;
    scan->at++;
    return true;
}

static bool skip_atom(struct scan *scan)
{
    const char *start = scan->at;

    while (scan->at < scan->end && !ends_atom(*scan->at))
        scan->at++;
    return scan->at > start;
}

/* Values nest as deep as they like: counted, not recursed. */
static bool skip_value(struct scan *scan)
{
    size_t depth = 0;

    do {
        char byte = peek(scan);

        if (byte == '"' || !strchr("{[}],:", byte)) {
            if (!(byte == '"' ? skip_string(scan) : skip_atom(scan)))
                return false;
            continue;
        }
        if (!byte || (depth == 0 && byte != '{' && byte != '['))
            return false;
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        scan->at++;
    } while (depth);
    return true;
}

static bool pick_value(struct pick *pick, struct scan *scan, size_t level);

static bool is_name(struct pick *pick, const char *start, const char *end,
                    const struct json_step *step)
{
    size_t size = (size_t)(end - start);
    char *name;

    if (!memchr(start, '\\', size))
        return size == step->size && memcmp(start, step->name, size) == 0;
    name = arena_alloc(pick->arena, size);
    size = unescape(start, end, name);
    return size == step->size && memcmp(name, step->name, size) == 0;
}

static bool pick_member(struct pick *pick, struct scan *scan, size_t level)
{
    const char *start;
    bool wanted;

    if (peek(scan) != '"')
        return false;
    start = scan->at + 1;
    if (!skip_string(scan))
        return false;
    wanted = is_name(pick, start, scan->at - 1, &pick->path->steps[level]);
    if (!take(scan, ':'))
        return false;
    return wanted ? pick_value(pick, scan, level + 1) : skip_value(scan);
}

static bool pick_from_object(struct pick *pick, struct scan *scan, size_t level)
{
    scan->at++;
    if (take(scan, '}'))
        return true;
    do {
        if (!pick_member(pick, scan, level))
            return false;
    } while (take(scan, ','));
    return take(scan, '}');
}

/* `scan` stands behind the "[". */
static bool count_elements(struct scan scan, long *count)
{
    *count = 0;
    if (peek(&scan) == ']')
        return true;
    do {
        if (!skip_value(&scan))
            return false;
        ++*count;
    } while (take(&scan, ','));
    return true;
}

static bool pick_from_array(struct pick *pick, struct scan *scan, size_t level)
{
    const struct json_step *step = &pick->path->steps[level];
    long wanted = step->is_index ? step->index : -1, count = 0;

    scan->at++;
    if (step->is_index && wanted < 0) {
        if (!count_elements(*scan, &count))
            return false;
        wanted += count;
    }
    if (take(scan, ']'))
        return true;
    for (long i = 0;; i++) {
        if (!(i == wanted ? pick_value(pick, scan, level + 1) : skip_value(scan)))
            return false;
        if (!take(scan, ','))
            return take(scan, ']');
    }
}

static bool pick_value(struct pick *pick, struct scan *scan, size_t level)
{
    char byte = peek(scan);
    const char *start = scan->at;

    if (level < pick->path->count && byte == '{')
        return pick_from_object(pick, scan, level);
    if (level < pick->path->count && byte == '[')
        return pick_from_array(pick, scan, level);
    if (!skip_value(scan))
        return false;
    if (level == pick->path->count) {
        pick->start = start;
        pick->size = (size_t)(scan->at - start);
    }
    return true;
}

bool json_pick_text(const struct json_path *path, const struct value *document,
                    struct arena *arena, struct value *out)
{
    struct scan scan = {document->data, document->data + document->size};
    struct pick pick = {.path = path, .arena = arena};
    char *text;

    if (!document->size || !escapes_are_good(scan) || !pick_value(&pick, &scan, 0))
        return false;
    if (!pick.start || (pick.size == 4 && memcmp(pick.start, "null", 4) == 0)) {
        *out = (struct value){.kind = VALUE_NULL};
        return true;
    }
    *out = (struct value){.data = pick.start, .size = (uint32_t)pick.size, .kind = VALUE_TEXT};
    if (*pick.start != '"')
        return true;
    text = arena_alloc(arena, pick.size);
    out->size = (uint32_t)unescape(pick.start + 1, pick.start + pick.size - 1, text);
    out->data = text;
    return true;
}

/* --- writing --- */

void json_append_string(struct buf *buf, const char *data, size_t size)
{
    static const char from[] = "\b\f\n\r\t\"\\", to[] = "bfnrt\"\\";

    buf_append_char(buf, '"');
    for (size_t i = 0; i < size; i++) {
        const char *found = memchr(from, data[i], sizeof(from) - 1);

        if (found)
            buf_append_format(buf, "\\%c", to[found - from]);
        else if ((unsigned char)data[i] < ' ')
            buf_append_format(buf, "\\u%04x", (unsigned char)data[i]);
        else
            buf_append_char(buf, data[i]);
    }
    buf_append_char(buf, '"');
}

static size_t skip_digits(const char *data, size_t size, size_t at)
{
    while (at < size && data[at] >= '0' && data[at] <= '9')
        at++;
    return at;
}

bool json_is_number(const char *data, size_t size)
{
    size_t at = size && data[0] == '-', next = skip_digits(data, size, at);

    if (next == at || (data[at] == '0' && next > at + 1))
        return false;
    at = next;
    if (at < size && data[at] == '.') {
        next = skip_digits(data, size, at + 1);
        if (next == at + 1)
            return false;
        at = next;
    }
    if (at < size && (data[at] == 'e' || data[at] == 'E')) {
        at += 1 + (at + 1 < size && (data[at + 1] == '-' || data[at + 1] == '+'));
        next = skip_digits(data, size, at);
        if (next == at)
            return false;
        at = next;
    }
    return at == size;
}
