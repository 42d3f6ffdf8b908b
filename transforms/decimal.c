/* See decimal.h. */
#include "transforms/decimal.h"

#include <string.h>
#include <strings.h>

/* digits[0] is not '0'; the value is 0.digits times 10 to the magnitude. */
struct decimal {
    int rank; /* -1 -Infinity, 0 finite, 1 Infinity, 2 NaN */
    bool negative;
    bool zero;
    long magnitude;
    const char *digits; /* may hold a '.' */
    const char *end;
};

#define MOST_EXPONENT 1000000

static bool is_word(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(text, word, size) == 0;
}

static bool parse_special(const char *text, size_t size, struct decimal *decimal)
{
    static const struct {
        const char *word;
        int rank;
    } words[] = {{"NaN", 2}, {"Infinity", 1}, {"-Infinity", -1}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(text, size, words[i].word)) {
            *decimal = (struct decimal){.rank = words[i].rank};
            return true;
        }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool parse_exponent(const char *at, const char *end, long *exponent)
{
    bool negative = at < end && *at == '-';

    *exponent = 0;
    at += at < end && (*at == '-' || *at == '+');
    if (at == end)
        return false;
    for (; at < end && is_digit(*at); at++)
        if (*exponent < MOST_EXPONENT)
            *exponent = *exponent * 10 + (*at - '0');
    *exponent = negative ? -*exponent : *exponent;
    return at == end;
}

/* Counts digits up to the mantissa's end; places the first that is not 0. */
static bool parse_mantissa(const char **at, const char *end, struct decimal *decimal)
{
    long whole = 0, leading = 0;
    bool point = false, any = false;

    for (; *at < end && (is_digit(**at) || (**at == '.' && !point)); (*at)++) {
        if (**at == '.') {
            point = true;
            continue;
        }
        any = true;
        whole += !point;
        if (!decimal->digits && **at != '0')
            decimal->digits = *at;
        leading += !decimal->digits;
    }
    decimal->end = *at;
    decimal->zero = !decimal->digits;
    decimal->magnitude = whole - leading;
    return any;
}

static bool parse(const char *text, size_t size, struct decimal *decimal)
{
    const char *at = text, *end = text + size;
    long exponent = 0;

    if (parse_special(text, size, decimal))
        return true;
    *decimal = (struct decimal){.negative = size && *at == '-'};
    at += size && (*at == '-' || *at == '+');
    if (!parse_mantissa(&at, end, decimal))
        return false;
    if (at < end && (*at == 'e' || *at == 'E') && !parse_exponent(at + 1, end, &exponent))
        return false;
    decimal->magnitude += exponent;
    return at == end || *at == 'e' || *at == 'E';
}

bool decimal_is_valid(const char *text, size_t size)
{
    struct decimal decimal;

    return parse(text, size, &decimal);
}

/* The next digit; 0 behind the last. */
static char next_digit(const char **at, const char *end)
{
    if (*at < end && **at == '.')
        (*at)++;
    return *at < end ? *(*at)++ : '0';
}

static int compare_digits(const struct decimal *a, const struct decimal *b)
{
    const char *left = a->digits, *right = b->digits;

    while (left < a->end || right < b->end) {
        char x = next_digit(&left, a->end), y = next_digit(&right, b->end);

        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

static int sign_of(const struct decimal *decimal)
{
    return decimal->zero ? 0 : decimal->negative ? -1 : 1;
}

static int compare_finite(const struct decimal *a, const struct decimal *b)
{
    int sign = sign_of(a);

    if (sign != sign_of(b))
        return sign < sign_of(b) ? -1 : 1;
    if (sign == 0)
        return 0;
    if (a->magnitude != b->magnitude)
        return (a->magnitude < b->magnitude ? -1 : 1) * sign;
    return compare_digits(a, b) * sign;
}

int decimal_compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    struct decimal left, right;

    parse(a, a_size, &left);
    parse(b, b_size, &right);
    if (left.rank != right.rank)
        return left.rank < right.rank ? -1 : 1;
    return left.rank ? 0 : compare_finite(&left, &right);
}
