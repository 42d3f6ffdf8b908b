/* See decimal.h. Source: src/backend/utils/adt/numeric.c (numeric_in, apply_typmod). */
#include "transforms/decimal.h"

#include <string.h>
#include <strings.h>

/* digits[0..count) with the point before digits[point]; both ends may lie outside. */
struct decimal {
    bool negative;
    const char *digits;
    int count;
    int point;
    int fraction; /* digits behind the point as written, exponent included; not below 0 */
};

struct span {
    const char *at;
    const char *end;
};

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static struct span trimmed(const struct value *in)
{
    struct span span = {in->data, in->data + in->size};

    while (span.at < span.end && is_blank(*span.at))
        span.at++;
    while (span.end > span.at && is_blank(span.end[-1]))
        span.end--;
    return span;
}

static bool take_sign(struct span *span)
{
    bool negative = span->at < span->end && *span->at == '-';

    if (span->at < span->end && (*span->at == '-' || *span->at == '+'))
        span->at++;
    return negative;
}

static int take_digits(struct span *span, char *room)
{
    int count = 0;

    for (; span->at < span->end && is_digit(*span->at); span->at++)
        room[count++] = *span->at;
    return count;
}

/* Behind the digits: nothing, or an exponent. */
static bool take_exponent(struct span *span, int *exponent)
{
    char room[DECIMAL_MOST_BYTES];
    bool negative;
    int count;

    *exponent = 0;
    if (span->at == span->end)
        return true;
    if (*span->at != 'e' && *span->at != 'E')
        return false;
    span->at++;
    negative = take_sign(span);
    count = take_digits(span, room);
    if (count < 1 || count > 3 || span->at != span->end)
        return false;
    for (int i = 0; i < count; i++)
        *exponent = *exponent * 10 + (room[i] - '0');
    *exponent = negative ? -*exponent : *exponent;
    return true;
}

static bool read_decimal(struct span span, char *room, struct decimal *decimal)
{
    int whole, fraction = 0, exponent;

    decimal->negative = take_sign(&span);
    whole = take_digits(&span, room);
    if (span.at < span.end && *span.at == '.') {
        span.at++;
        fraction = take_digits(&span, room + whole);
    }
    if (whole + fraction == 0 || !take_exponent(&span, &exponent))
        return false;
    decimal->digits = room;
    decimal->count = whole + fraction;
    decimal->point = whole + exponent;
    decimal->fraction = fraction > exponent ? fraction - exponent : 0;
    return true;
}

/* One more in the last place; the first digit is a spare 0. */
static void round_up(char *digits, int count)
{
    int i = count - 1;

    for (; digits[i] == '9'; i--)
        digits[i] = '0';
    digits[i]++;
}

/* `length` digits, the last `scale` of them behind the point; false when too large. */
static bool give(const struct decimal_type *type, bool negative, char *digits, int length,
                 int scale, struct arena *arena, struct value *out)
{
    int skip = 0;
    char *text = arena_alloc(arena, (size_t)length + 2), *at = text;

    while (skip < length - scale - 1 && digits[skip] == '0')
        skip++;
    if (type->precision && length - scale - skip > type->precision - scale &&
        !(length - scale - skip == 1 && digits[skip] == '0'))
        return false;
    if (negative && strspn(digits, "0") < (size_t)length)
        *at++ = '-';
    memcpy(at, digits + skip, (size_t)(length - scale - skip));
    at += length - scale - skip;
    if (scale) {
        *at++ = '.';
        memcpy(at, digits + length - scale, (size_t)scale);
        at += scale;
    }
    *out = (struct value){.data = text, .size = (uint32_t)(at - text), .kind = VALUE_TEXT};
    return true;
}

static bool round_decimal(const struct decimal_type *type, const struct decimal *decimal,
                          struct arena *arena, struct value *out)
{
    int scale = type->precision ? type->scale : decimal->fraction;
    int kept = decimal->point + scale; /* digits down to the last place; may be negative */
    int length = (kept > scale ? kept : scale) + 2;
    char *digits = arena_alloc(arena, (size_t)length + 1);

    memset(digits, '0', (size_t)length);
    digits[length] = '\0';
    for (int i = 0; i < kept && i < decimal->count; i++)
        digits[length - kept + i] = decimal->digits[i];
    if (kept >= 0 && kept < decimal->count && decimal->digits[kept] >= '5')
        round_up(digits, length);
    return give(type, decimal->negative, digits, length, scale, arena, out);
}

static bool is_word(struct span span, const char *word)
{
    return (size_t)(span.end - span.at) == strlen(word) &&
           strncasecmp(span.at, word, strlen(word)) == 0;
}

static bool give_word(const char *word, struct value *out)
{
    *out = (struct value){.data = word, .size = (uint32_t)strlen(word), .kind = VALUE_TEXT};
    return true;
}

bool decimal_cast(const struct decimal_type *type, const struct value *in, struct arena *arena,
                  struct value *out)
{
    char room[DECIMAL_MOST_BYTES];
    struct decimal decimal;
    struct span span;
    bool negative;

    if (in->size == 0 || in->size > DECIMAL_MOST_BYTES)
        return false;
    span = trimmed(in);
    if (is_word(span, "nan"))
        return give_word("NaN", out);
    if (read_decimal(span, room, &decimal))
        return round_decimal(type, &decimal, arena, out);
    negative = take_sign(&span);
    if (type->precision || !(is_word(span, "inf") || is_word(span, "infinity")))
        return false;
    return give_word(negative ? "-Infinity" : "Infinity", out);
}
