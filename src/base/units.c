/* Quantities as people write them.
 *
 * The problem: "5" of what? The invariant: a text either names its unit and fits the result, or
 * is refused; arithmetic is in integers, so that "0.1s" is 100000 microseconds, not nearly. */
#include "base/units.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"us", 1},         {"ms", 1000},      {"s", 1000000},     {"m", 60000000},
    {"min", 60000000}, {"h", 3600000000}, {"d", 86400000000}, {NULL, 0},
};

static const struct unit sizes[] = {
    {"", 1},
    {"B", 1},
    {"kB", (uint64_t)1 << 10},
    {"KB", (uint64_t)1 << 10},
    {"KiB", (uint64_t)1 << 10},
    {"MB", (uint64_t)1 << 20},
    {"MiB", (uint64_t)1 << 20},
    {"GB", (uint64_t)1 << 30},
    {"GiB", (uint64_t)1 << 30},
    {"TB", (uint64_t)1 << 40},
    {"TiB", (uint64_t)1 << 40},
    {NULL, 0},
};

/* whole + fraction / scale */
struct decimal {
    uint64_t whole;
    uint64_t fraction;
    uint64_t scale;
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Returns what follows the number, or NULL. Six places after the point are enough for a
 * microsecond in a second, and keep the products below 64 bits. */
static const char *parse_decimal(const char *text, struct decimal *decimal)
{
    *decimal = (struct decimal){.scale = 1};
    if (!is_digit(*text))
        return NULL;
    for (; is_digit(*text); text++)
        if (__builtin_mul_overflow(decimal->whole, 10u, &decimal->whole) ||
            __builtin_add_overflow(decimal->whole, (uint64_t)(*text - '0'), &decimal->whole))
            return NULL;
    if (*text != '.')
        return text;
    if (!is_digit(*++text))
        return NULL;
    for (; is_digit(*text); text++) {
        if (decimal->scale == 1000000)
            return NULL;
        decimal->fraction = decimal->fraction * 10 + (uint64_t)(*text - '0');
        decimal->scale *= 10;
    }
    return text;
}

static bool parse_quantity(const char *text, const struct unit *units, uint64_t *value)
{
    struct decimal decimal;
    const char *name = parse_decimal(text, &decimal);
    if (!name)
        return false;
    if (*name == ' ' && name[1] != '\0')
        name++;
    while (units->name && strcmp(units->name, name) != 0)
        units++;
    if (!units->name)
        return false;
    uint64_t whole;
    return !__builtin_mul_overflow(decimal.whole, units->factor, &whole) &&
           !__builtin_add_overflow(whole, decimal.fraction * units->factor / decimal.scale,
                                   value);
}

bool units_parse_duration(const char *text, usec_t *duration)
{
    uint64_t value;
    if (strcmp(text, "0") == 0)
        value = 0;
    else if (!parse_quantity(text, durations, &value) || value > INT64_MAX)
        return false;
    *duration = (usec_t)value;
    return true;
}

bool units_parse_size(const char *text, uint64_t *bytes)
{
    uint64_t value;
    if (!parse_quantity(text, sizes, &value))
        return false;
    *bytes = value;
    return true;
}

/* Other words for the units, and their letters in another case. */
struct unit_word {
    const char *word;
    const char *unit;
};

static const struct unit_word duration_words[] = {
    {"usec", "us"}, {"msec", "ms"},  {"millisecond", "ms"},
    {"sec", "s"},   {"second", "s"}, {"minute", "m"},
    {"mins", "m"},  {"hr", "h"},     {"hour", "h"},
    {"day", "d"},   {"ms", "ms"},    {"s", "s"},
    {"m", "m"},     {"h", "h"},      {"d", "d"},
    {NULL, NULL},
};

static const struct unit_word size_words[] = {
    {"b", "B"},         {"byte", "B"},  {"k", "kB"},  {"kb", "kB"},
    {"kilobyte", "kB"}, {"kib", "KiB"}, {"m", "MB"},  {"mb", "MB"},
    {"megabyte", "MB"}, {"mib", "MiB"}, {"g", "GB"},  {"gb", "GB"},
    {"gigabyte", "GB"}, {"gib", "GiB"}, {"t", "TB"},  {"tb", "TB"},
    {"terabyte", "TB"}, {"tib", "TiB"}, {NULL, NULL},
};

/* One or more of them. */
static bool is_word(const char *text, const char *word)
{
    size_t size = strlen(word);
    return strncasecmp(text, word, size) == 0 &&
           (text[size] == '\0' || strcasecmp(text + size, "s") == 0);
}

static bool nearest(const char *text, const struct unit_word *words, char *near, size_t size)
{
    struct decimal decimal;
    const char *name = parse_decimal(text, &decimal);
    if (!name)
        return false;
    int digits = (int)(name - text);
    name += strspn(name, " ");
    for (; words->word; words++)
        if (is_word(name, words->word))
            return snprintf(near, size, "%.*s%s", digits, text, words->unit) < (int)size;
    return false;
}

bool units_nearest_duration(const char *text, char *near, size_t size)
{
    return nearest(text, duration_words, near, size);
}

bool units_nearest_size(const char *text, char *near, size_t size)
{
    return nearest(text, size_words, near, size);
}

/* "1.4 GB", "2 s": one place after the point below ten, when it says something. Rounds down, so
 * that 59.99 s does not read 60 s. */
static void format_tenths(uint64_t value, uint64_t factor, uint64_t exact_from,
                          const char *unit, char *text, size_t size)
{
    uint64_t whole = value / factor;
    uint64_t tenth = value % factor / (factor >= 10 ? factor / 10 : 1);
    if (whole >= exact_from || tenth == 0 || factor < 10)
        snprintf(text, size, "%llu %s", (unsigned long long)whole, unit);
    else
        snprintf(text, size, "%llu.%u %s", (unsigned long long)whole,
                 (unsigned)(tenth > 9 ? 9 : tenth), unit);
}

static void format_pair(uint64_t value, uint64_t factor, const char *unit, uint64_t small,
                        const char *small_unit, char *text, size_t size)
{
    unsigned long long whole = value / factor;
    unsigned long long rest = value % factor / small;
    if (rest == 0)
        snprintf(text, size, "%llu %s", whole, unit);
    else
        snprintf(text, size, "%llu %s %llu %s", whole, unit, rest, small_unit);
}

char *units_format_duration(usec_t duration, char *text, size_t size)
{
    uint64_t value = duration < 0 ? -(uint64_t)duration : (uint64_t)duration;
    if (duration < 0 && size > 1) {
        text[0] = '-';
        text++;
        size--;
    }
    if (value == 0)
        snprintf(text, size, "0 s");
    else if (value < 1000)
        format_tenths(value, 1, 0, "us", text, size);
    else if (value < 1000000)
        format_tenths(value, 1000, 10, "ms", text, size);
    else if (value < 60000000)
        format_tenths(value, 1000000, 60, "s", text, size);
    else if (value < 3600000000)
        format_pair(value, 60000000, "m", 1000000, "s", text, size);
    else if (value < 86400000000)
        format_pair(value, 3600000000, "h", 60000000, "m", text, size);
    else
        format_pair(value, 86400000000, "d", 3600000000, "h", text, size);
    return duration < 0 ? text - 1 : text;
}

char *units_format_size(uint64_t bytes, char *text, size_t size)
{
    static const struct unit steps[] = {
        {"TB", (uint64_t)1 << 40},
        {"GB", (uint64_t)1 << 30},
        {"MB", (uint64_t)1 << 20},
        {"kB", (uint64_t)1 << 10},
        {"B", 1},
    };
    const struct unit *step = steps;
    while (step->factor > 1 && bytes < step->factor)
        step++;
    format_tenths(bytes, step->factor, 10, step->name, text, size);
    return text;
}
