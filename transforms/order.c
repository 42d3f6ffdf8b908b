/* See order.h. */
#include "transforms/order.h"

#include "base/reader.h"

#include <string.h>

#define USEC_PER_SECOND INT64_C(1000000)
#define USEC_PER_DAY (86400 * USEC_PER_SECOND)

#define DAYS_FROM_0000_03_01 730425                    /* to 2000-01-01 */
#define DAY_FIRST (-INT64_C(2451545))                  /* 4714-11-24 BC */
#define DAY_END INT64_C(2145031949)                    /* 5874898-01-01 */
#define TIMESTAMP_FIRST (-INT64_C(211813488000000000)) /* 4714-11-24 BC */
#define TIMESTAMP_END INT64_C(9223371331200000000)     /* 294277-01-01 */
#define TIMESTAMP_DAY_MOST INT64_C(106751984)          /* its microseconds still fit */

/* What is left of a text. */
struct cursor {
    const char *at;
    const char *end;
};

static bool take(struct cursor *cursor, const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

static bool take_digits(struct cursor *cursor, int least, int most, int64_t *number)
{
    int count = 0;

    for (*number = 0;
         count < most && cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
         count++)
        *number = *number * 10 + (*cursor->at++ - '0');
    return count >= least;
}

/* --- dates and times --- */

struct date {
    int64_t year, month, day;
};

static bool take_date(struct cursor *cursor, struct date *date)
{
    return take_digits(cursor, 4, 7, &date->year) && take(cursor, "-") &&
           take_digits(cursor, 2, 2, &date->month) && take(cursor, "-") &&
           take_digits(cursor, 2, 2, &date->day) && date->year > 0;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_date(const struct date *date)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return date->month >= 1 && date->month <= 12 && date->day >= 1 &&
           date->day <= lengths[date->month - 1] + (date->month == 2 && is_leap(date->year));
}

/* Days from 2000-01-01 of a date whose year is astronomical (0 is 1 BC). Years that begin in
 * March, in eras of 400 years (Hinnant, "chrono-compatible date algorithms"). */
static bool days_of(struct date date, bool before_christ, int64_t *days)
{
    int64_t era, year_of_era, day_of_year;

    if (before_christ)
        date.year = 1 - date.year;
    if (!is_date(&date))
        return false;
    date.year -= date.month <= 2;
    era = (date.year >= 0 ? date.year : date.year - 399) / 400;
    year_of_era = date.year - era * 400;
    day_of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    *days = era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
            day_of_year - DAYS_FROM_0000_03_01;
    return *days >= DAY_FIRST && *days < DAY_END;
}

static bool take_fraction(struct cursor *cursor, int64_t *usec)
{
    const char *start = cursor->at;

    if (!take_digits(cursor, 1, 6, usec))
        return false;
    for (ptrdiff_t digits = cursor->at - start; digits < 6; digits++)
        *usec *= 10;
    return true;
}

/* Microseconds of the day; 24:00:00 is its end. */
static bool take_time(struct cursor *cursor, int64_t *usec)
{
    int64_t hour, minute, second = 0, fraction = 0;

    if (!take_digits(cursor, 2, 2, &hour) || !take(cursor, ":") ||
        !take_digits(cursor, 2, 2, &minute))
        return false;
    if (take(cursor, ":") && (!take_digits(cursor, 2, 2, &second) ||
                              (take(cursor, ".") && !take_fraction(cursor, &fraction))))
        return false;
    *usec = (hour * 3600 + minute * 60 + second) * USEC_PER_SECOND + fraction;
    return minute < 60 && second < 60 && *usec <= USEC_PER_DAY;
}

/* Microseconds east of Greenwich. */
static bool take_zone(struct cursor *cursor, int64_t *usec)
{
    int64_t hour, minute = 0, second = 0;
    bool west;

    *usec = 0;
    if (take(cursor, "Z"))
        return true;
    west = take(cursor, "-");
    if ((!west && !take(cursor, "+")) || !take_digits(cursor, 2, 2, &hour))
        return false;
    if (take(cursor, ":") && (!take_digits(cursor, 2, 2, &minute) ||
                              (take(cursor, ":") && !take_digits(cursor, 2, 2, &second))))
        return false;
    *usec = (hour * 3600 + minute * 60 + second) * (west ? -USEC_PER_SECOND : USEC_PER_SECOND);
    return hour < 16 && minute < 60 && second < 60;
}

static bool infinite(const struct cursor *text, int64_t least, int64_t most, int64_t *number)
{
    struct cursor cursor = *text;
    bool minus = take(&cursor, "-");

    *number = minus ? least : most;
    return take(&cursor, "infinity") && cursor.at == cursor.end;
}

static bool parse_date(struct cursor cursor, int64_t *number)
{
    struct date date;

    if (infinite(&cursor, INT32_MIN, INT32_MAX, number))
        return true;
    return take_date(&cursor, &date) && days_of(date, take(&cursor, " BC"), number) &&
           cursor.at == cursor.end;
}

static bool parse_time(struct cursor cursor, int64_t *number)
{
    return take_time(&cursor, number) && cursor.at == cursor.end;
}

static bool parse_moment(struct cursor cursor, bool zoned, int64_t *number)
{
    struct date date;
    int64_t days, time = 0, zone = 0;
    bool timed;

    if (infinite(&cursor, INT64_MIN, INT64_MAX, number))
        return true;
    if (!take_date(&cursor, &date))
        return false;
    timed = cursor.end - cursor.at > 3 && (take(&cursor, "T") || take(&cursor, " "));
    if ((timed && !take_time(&cursor, &time)) ||
        (zoned && (!timed || !take_zone(&cursor, &zone))) ||
        !days_of(date, take(&cursor, " BC"), &days) || days > TIMESTAMP_DAY_MOST ||
        cursor.at != cursor.end)
        return false;
    *number = days * USEC_PER_DAY + time - zone;
    return *number >= TIMESTAMP_FIRST && *number < TIMESTAMP_END;
}

static bool parse_timestamp(struct cursor cursor, int64_t *number)
{
    return parse_moment(cursor, false, number);
}

static bool parse_timestamptz(struct cursor cursor, int64_t *number)
{
    return parse_moment(cursor, true, number);
}

/* --- bytes --- */

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool parse_bytea(const struct value *text, struct arena *arena, struct order_key *key)
{
    struct cursor cursor = {text->data, text->data + text->size};
    char *bytes = arena_alloc(arena, text->size / 2 + 1u);

    if (!take(&cursor, "\\x") || text->size % 2)
        return false;
    *key = (struct order_key){.data = bytes, .size = text->size / 2 - 1};
    for (size_t i = 0; i < key->size; i++) {
        int high = hex_digit(cursor.at[2 * i]), low = hex_digit(cursor.at[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        bytes[i] = (char)(high << 4 | low);
    }
    return true;
}

/* --- types --- */

struct order_type {
    const char *name;
    const char *expected;
    bool (*parse)(struct cursor text, int64_t *number); /* NULL: ordered by bytes */
    uint32_t size;                                      /* of the binary form; 0: any */
};

static const struct order_type types[] = {
    {"pg_catalog.date", "a date such as 2024-02-29, 0044-03-15 BC or infinity", parse_date, 4},
    {"pg_catalog.time", "a time such as 23:59:59.5 or 24:00", parse_time, 8},
    {"pg_catalog.timestamp", "a moment such as 2024-02-29 23:59:59 or infinity",
     parse_timestamp, 8},
    {"pg_catalog.timestamptz",
     "a moment with its zone, such as 2024-02-29T23:59:59Z, 2024-02-29 23:59+02 or infinity",
     parse_timestamptz, 8},
    {"pg_catalog.bool", "true or false", NULL, 1},
    {"pg_catalog.uuid", "32 hexadecimal digits, in groups or not", NULL, 16},
    {"pg_catalog.bytea", "bytes such as \\x00ff", NULL, 0},
};

struct order order_for(const struct catalog_column *column)
{
    struct order order = {.codec = type_codec_for(column)};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && !column->array; i++)
        if (strcmp(types[i].name, column->base_type) == 0)
            order.type = &types[i];
    return order;
}

const char *order_type_sql(const struct order *order)
{
    return order->type->name;
}

const char *order_expected(const struct order *order)
{
    return order->type->expected;
}

static bool text_key(const struct order *order, const struct value *text, struct arena *arena,
                     struct order_key *key)
{
    struct value binary;

    *key = (struct order_key){0};
    if (order->type->parse)
        return order->type->parse((struct cursor){text->data, text->data + text->size},
                                  &key->number);
    if (order->type->size == 0)
        return parse_bytea(text, arena, key);
    if (!type_has_binary(order->codec) || !type_to_binary(order->codec, text, arena, &binary))
        return false;
    *key = (struct order_key){.data = binary.data, .size = binary.size};
    return true;
}

/* Numbers are big-endian in two's complement. */
static bool binary_key(const struct order *order, const struct value *value,
                       struct order_key *key)
{
    struct reader reader;

    if (order->type->size && value->size != order->type->size)
        return false;
    *key = (struct order_key){.data = value->data, .size = value->size};
    if (!order->type->parse)
        return true;
    reader_init(&reader, value->data, value->size);
    *key = (struct order_key){.number = value->size == 4 ? (int32_t)reader_u32(&reader)
                                                         : (int64_t)reader_u64(&reader)};
    return true;
}

bool order_key(const struct order *order, const struct value *value, struct arena *arena,
               struct order_key *key)
{
    struct order_key found;

    if (!(value->kind == VALUE_BINARY ? binary_key(order, value, &found)
                                      : text_key(order, value, arena, &found)))
        return false;
    *key = found;
    return true;
}

int order_compare(const struct order_key *a, const struct order_key *b)
{
    uint32_t common = a->size < b->size ? a->size : b->size;
    int order = common ? memcmp(a->data, b->data, common) : 0;

    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

bool order_is_of_collation(const struct catalog_column *column)
{
    static const char *const texts[] = {"text", "varchar", "bpchar", "name", NULL};

    if (column->array || strncmp(column->base_type, "pg_catalog.", 11) != 0)
        return false;
    for (const char *const *text = texts; *text; text++)
        if (strcmp(*text, column->base_type + 11) == 0)
            return true;
    return false;
}

/* What a domain or the database gives as a collation may be any; only what the column says
 * itself is known here, and name's own, which is C. */
bool order_of_bytes(const struct catalog_column *column)
{
    bool name = strcmp(column->base_type, "pg_catalog.name") == 0;

    if (!order_is_of_collation(column))
        return false;
    if (!column->collation)
        return name && column->type_oid == column->base_type_oid;
    return strcmp(column->collation, "pg_catalog.C") == 0 ||
           strcmp(column->collation, "pg_catalog.POSIX") == 0;
}
