/* See decimal.h. Source: src/backend/utils/adt/numeric.c (numeric_in, apply_typmod). */
#include "transforms/decimal.h"

#include <string.h>
#include <strings.h>

#define MOST_EXPONENT 1000000

struct span {
    const char *at;
    const char *end;
};

/* The digits of whole and fraction, as one row, with the point behind `whole` and moved by the
 * exponent. */
struct decimal {
    int rank; /* -1 -Infinity, 0 finite, 1 Infinity, 2 NaN */
    bool negative;
    struct span whole;
    struct span fraction;
    long exponent;
    long exponent_digits; /* as written */
};

/* --- reading --- */

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_word(struct span span, const char *word)
{
    return (size_t)(span.end - span.at) == strlen(word) &&
           strncasecmp(span.at, word, strlen(word)) == 0;
}

static bool take_sign(struct span *span)
{
    bool negative = span->at < span->end && *span->at == '-';

    if (span->at < span->end && (*span->at == '-' || *span->at == '+'))
        span->at++;
    return negative;
}

static struct span take_digits(struct span *span)
{
    struct span digits = {span->at, span->at};

    while (digits.end < span->end && is_digit(*digits.end))
        digits.end++;
    span->at = digits.end;
    return digits;
}

/* Behind the digits: nothing, or an exponent. */
static bool take_exponent(struct span *span, struct decimal *decimal)
{
    struct span digits;
    bool negative;

    if (span->at == span->end)
        return true;
    if (*span->at != 'e' && *span->at != 'E')
        return false;
    span->at++;
    negative = take_sign(span);
    digits = take_digits(span);
    decimal->exponent_digits = digits.end - digits.at;
    for (const char *at = digits.at; at < digits.end; at++)
        if (decimal->exponent < MOST_EXPONENT)
            decimal->exponent = decimal->exponent * 10 + (*at - '0');
    decimal->exponent = negative ? -decimal->exponent : decimal->exponent;
    return decimal->exponent_digits > 0 && span->at == span->end;
}

static bool read_finite(struct span span, struct decimal *decimal)
{
    *decimal = (struct decimal){.negative = take_sign(&span)};
    decimal->whole = take_digits(&span);
    decimal->fraction = (struct span){span.at, span.at};
    if (span.at < span.end && *span.at == '.') {
        span.at++;
        decimal->fraction = take_digits(&span);
    }
    return (decimal->whole.at < decimal->whole.end ||
            decimal->fraction.at < decimal->fraction.end) &&
           take_exponent(&span, decimal);
}

static bool read_printed(const char *text, size_t size, struct decimal *decimal)
{
    static const struct {
        const char *word;
        int rank;
    } words[] = {{"NaN", 2}, {"Infinity", 1}, {"-Infinity", -1}};
    struct span span = {text, text + size};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(span, words[i].word)) {
            *decimal = (struct decimal){.rank = words[i].rank};
            return true;
        }
    return read_finite(span, decimal);
}

bool decimal_is_valid(const char *text, size_t size)
{
    struct decimal decimal;

    return read_printed(text, size, &decimal);
}

/* --- the row of digits --- */

static long whole_count(const struct decimal *decimal)
{
    return decimal->whole.end - decimal->whole.at;
}

static long digit_count(const struct decimal *decimal)
{
    return whole_count(decimal) + (decimal->fraction.end - decimal->fraction.at);
}

/* 0 behind the last. */
static char digit_at(const struct decimal *decimal, long i)
{
    if (i < whole_count(decimal))
        return decimal->whole.at[i];
    return i < digit_count(decimal) ? decimal->fraction.at[i - whole_count(decimal)] : '0';
}

/* Of the first digit that is not 0; the count where there is none. */
static long first_digit(const struct decimal *decimal)
{
    long first = 0;

    while (first < digit_count(decimal) && digit_at(decimal, first) == '0')
        first++;
    return first;
}

/* --- comparing --- */

static int sign_of(const struct decimal *decimal)
{
    if (first_digit(decimal) == digit_count(decimal))
        return 0;
    return decimal->negative ? -1 : 1;
}

/* Neither is 0; the signs are left out. */
static int compare_sizes(const struct decimal *a, const struct decimal *b)
{
    long left = first_digit(a), right = first_digit(b);
    long left_magnitude = whole_count(a) - left + a->exponent;
    long right_magnitude = whole_count(b) - right + b->exponent;

    if (left_magnitude != right_magnitude)
        return left_magnitude < right_magnitude ? -1 : 1;
    for (; left < digit_count(a) || right < digit_count(b); left++, right++) {
        char x = digit_at(a, left), y = digit_at(b, right);

        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

int decimal_compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    struct decimal left, right;
    int sign;

    read_printed(a, a_size, &left);
    read_printed(b, b_size, &right);
    if (left.rank != right.rank)
        return left.rank < right.rank ? -1 : 1;
    if (left.rank)
        return 0;
    sign = sign_of(&left);
    if (sign != sign_of(&right))
        return sign < sign_of(&right) ? -1 : 1;
    return sign ? compare_sizes(&left, &right) * sign : 0;
}

/* --- casting --- */

static struct span trimmed(const struct value *in)
{
    struct span span = {in->data, in->data + in->size};

    while (span.at < span.end && is_blank(*span.at))
        span.at++;
    while (span.end > span.at && is_blank(span.end[-1]))
        span.end--;
    return span;
}

/* One more in the last place; the first digit is a spare 0. */
static void round_up(char *digits, long count)
{
    long i = count - 1;

    for (; digits[i] == '9'; i--)
        digits[i] = '0';
    digits[i]++;
}

/* `length` digits, the last `scale` of them behind the point; false when too large. */
static bool give(const struct decimal_type *type, bool negative, char *digits, long length,
                 long scale, struct arena *arena, struct value *out)
{
    long skip = 0;
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

/* The digits behind the point as written, exponent included; not below 0. */
static long written_scale(const struct decimal *decimal)
{
    long scale = digit_count(decimal) - whole_count(decimal) - decimal->exponent;

    return scale > 0 ? scale : 0;
}

static bool round_decimal(const struct decimal_type *type, const struct decimal *decimal,
                          struct arena *arena, struct value *out)
{
    long scale = type->precision ? type->scale : written_scale(decimal);
    /* Digits down to the last place; may be negative. */
    long kept = whole_count(decimal) + decimal->exponent + scale;
    long length = (kept > scale ? kept : scale) + 2;
    char *digits = arena_alloc(arena, (size_t)length + 1);

    memset(digits, '0', (size_t)length);
    digits[length] = '\0';
    for (long i = 0; i < kept; i++)
        digits[length - kept + i] = digit_at(decimal, i);
    if (kept >= 0 && digit_at(decimal, kept) >= '5')
        round_up(digits, length);
    return give(type, decimal->negative, digits, length, scale, arena, out);
}

static bool give_word(const char *word, struct value *out)
{
    *out = (struct value){.data = word, .size = (uint32_t)strlen(word), .kind = VALUE_TEXT};
    return true;
}

bool decimal_cast(const struct decimal_type *type, const struct value *in, struct arena *arena,
                  struct value *out)
{
    struct decimal decimal;
    struct span span;
    bool negative;

    if (in->size == 0 || in->size > DECIMAL_MOST_BYTES)
        return false;
    span = trimmed(in);
    if (is_word(span, "nan"))
        return give_word("NaN", out);
    if (read_finite(span, &decimal))
        return decimal.exponent_digits <= 3 && round_decimal(type, &decimal, arena, out);
    negative = take_sign(&span);
    if (type->precision || !(is_word(span, "inf") || is_word(span, "infinity")))
        return false;
    return give_word(negative ? "-Infinity" : "Infinity", out);
}
