/* The table of types whose binary form means the same in every PostgreSQL cluster.
 *
 * The problem: binary values are faster to carry and exact, but some hold OIDs of their cluster
 * (reg*), and of others nothing is promised (types of unknown extensions).
 * The invariant: a type is in the table only if what its send function wrote on one server is
 * read as the same value by the receive function of any other, from version 14 on; what is not
 * in the table travels as text. Conversions produce what the type's output and send functions
 * produce, byte for byte, with ISO dates, and take what its input function takes.
 *
 * Left to the server, whose receive functions check it in any case: the grammar of json, the
 * encoding of text, the labels that an enum has.
 *
 * Source: src/backend/utils/adt (bool.c int.c int8.c oid.c char.c name.c varlena.c varchar.c
 * uuid.c json.c jsonb.c enum.c date.c xml.c) and contrib (hstore, citext, ltree, cube) of
 * PostgreSQL 15. */
#include "schema/types.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES 63 /* NAMEDATALEN - 1 */
#define CATALOG_SCHEMA "pg_catalog."

struct type_codec {
    const char *extension; /* that the type is of; NULL: built in */
    const char *name;      /* without schema */
    bool (*to_text)(const struct value *in, struct arena *arena, struct value *out);
    bool (*to_binary)(const struct value *in, struct arena *arena, struct value *out);
};

static bool give(enum value_kind kind, const void *data, size_t size, struct arena *arena,
                 struct value *out)
{
    *out = (struct value){
        .data = arena_copy(arena, data, size), .size = (uint32_t)size, .kind = kind};
    return true;
}

static bool lend(enum value_kind kind, const char *data, size_t size, struct value *out)
{
    *out = (struct value){.data = data, .size = (uint32_t)size, .kind = kind};
    return true;
}

/* Texts: both forms are the same bytes. */

static bool bytes_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    (void)arena;
    return lend(VALUE_TEXT, in->data, in->size, out);
}

static bool text_to_bytes(const struct value *in, struct arena *arena, struct value *out)
{
    (void)arena;
    if (in->size && memchr(in->data, 0, in->size))
        return false;
    return lend(VALUE_BINARY, in->data, in->size, out);
}

/* The input function would cut a longer name; a name that was cut is another name. */
static bool text_to_name(const struct value *in, struct arena *arena, struct value *out)
{
    return in->size <= NAME_BYTES && text_to_bytes(in, arena, out);
}

/* The binary form of jsonb, ltree and its kin is their text after a version byte. */

#define FORM_VERSION '\1'

static bool versioned_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    (void)arena;
    if (in->size < 1 || in->data[0] != FORM_VERSION)
        return false;
    return lend(VALUE_TEXT, in->data + 1, in->size - 1, out);
}

static bool text_to_versioned(const struct value *in, struct arena *arena, struct value *out)
{
    if (in->size == UINT32_MAX || (in->size && memchr(in->data, 0, in->size)))
        return false;
    char *data = arena_alloc(arena, (size_t)in->size + 1);
    data[0] = FORM_VERSION;
    if (in->size)
        memcpy(data + 1, in->data, in->size);
    return lend(VALUE_BINARY, data, (size_t)in->size + 1, out);
}

/* "char" is one byte; the byte 0 is the empty text. A byte above 127 is printed raw up to
 * version 15 and as \ooo from 16 on, where the older server would read the backslash: no text
 * of it is right for both, so it is refused. Read, \ooo can mean nothing else. */

static bool char_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    (void)arena;
    if (in->size != 1 || (unsigned char)in->data[0] > 127)
        return false;
    return lend(VALUE_TEXT, in->data, in->data[0] != '\0', out);
}

static bool is_octal(char byte, char last)
{
    return byte >= '0' && byte <= last;
}

static bool text_to_char(const struct value *in, struct arena *arena, struct value *out)
{
    const char *text = in->data;
    char byte = '\0';
    if (in->size == 1 && text[0] != '\0' && (unsigned char)text[0] <= 127)
        byte = text[0];
    else if (in->size == 4 && text[0] == '\\' && is_octal(text[1], '3') &&
             is_octal(text[2], '7') && is_octal(text[3], '7'))
        byte = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
    else if (in->size != 0)
        return false;
    return give(VALUE_BINARY, &byte, 1, arena, out);
}

/* Blanks around a number or a truth value are no part of it. */

struct span {
    const char *start;
    const char *end;
};

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct span trimmed(const struct value *in)
{
    if (in->size == 0)
        return (struct span){0}; /* the data of an empty value may be NULL */
    struct span span = {in->data, in->data + in->size};
    while (span.start < span.end && is_blank(*span.start))
        span.start++;
    while (span.end > span.start && is_blank(span.end[-1]))
        span.end--;
    return span;
}

static bool bool_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    (void)arena;
    if (in->size != 1)
        return false;
    return lend(VALUE_TEXT, in->data[0] ? "t" : "f", 1, out);
}

/* Any beginning of these words, as long as it is no beginning of both. */
static bool text_to_bool(const struct value *in, struct arena *arena, struct value *out)
{
    static const struct {
        const char *word;
        size_t least;
        const char *byte;
    } words[] = {
        {"true", 1, "\1"},  {"yes", 1, "\1"}, {"on", 2, "\1"},  {"1", 1, "\1"},
        {"false", 1, "\0"}, {"no", 1, "\0"},  {"off", 2, "\0"}, {"0", 1, "\0"},
    };
    (void)arena;
    struct span span = trimmed(in);
    size_t size = (size_t)(span.end - span.start);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (size >= words[i].least && size <= strlen(words[i].word) &&
            strncasecmp(span.start, words[i].word, size) == 0)
            return lend(VALUE_BINARY, words[i].byte, 1, out);
    return false;
}

/* Integers: big-endian two's complement of 2, 4 or 8 bytes. */

static bool read_signed(const struct value *in, size_t size, int64_t *number)
{
    if (in->size != size)
        return false;
    uint64_t bits = (uint8_t)in->data[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < size; i++)
        bits = bits << 8 | (uint8_t)in->data[i];
    *number = (int64_t)bits;
    return true;
}

/* Digits from the end, of the magnitude, which for the smallest number has no positive int. */
static bool give_decimal(int64_t number, struct arena *arena, struct value *out)
{
    char text[24];
    size_t start = sizeof(text);
    uint64_t magnitude = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        text[--start] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude);
    if (number < 0)
        text[--start] = '-';
    return give(VALUE_TEXT, text + start, sizeof(text) - start, arena, out);
}

static bool give_big_endian(uint64_t bits, size_t size, struct arena *arena, struct value *out)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(bits >> 8 * (size - 1 - i));
    return give(VALUE_BINARY, bytes, size, arena, out);
}

/* Counts downwards, since the smallest number is the larger one. */
static bool parse_integer(const struct value *in, int64_t min, int64_t max, int64_t *number)
{
    struct span span = trimmed(in);
    bool negative = span.start < span.end && *span.start == '-';
    if (span.start < span.end && (*span.start == '-' || *span.start == '+'))
        span.start++;
    if (span.start == span.end)
        return false;
    int64_t value = 0;
    for (; span.start < span.end; span.start++) {
        if (*span.start < '0' || *span.start > '9' ||
            __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *span.start - '0', &value))
            return false;
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, value, &value))
        return false;
    *number = value;
    return value >= min && value <= max;
}

static bool int2_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t number;
    return read_signed(in, 2, &number) && give_decimal(number, arena, out);
}

static bool int4_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t number;
    return read_signed(in, 4, &number) && give_decimal(number, arena, out);
}

static bool int8_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t number;
    return read_signed(in, 8, &number) && give_decimal(number, arena, out);
}

static bool oid_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t number;
    return read_signed(in, 4, &number) && give_decimal((uint32_t)number, arena, out);
}

static bool text_to_int2(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t number;
    return parse_integer(in, INT16_MIN, INT16_MAX, &number) &&
           give_big_endian((uint64_t)number, 2, arena, out);
}

static bool text_to_int4(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t number;
    return parse_integer(in, INT32_MIN, INT32_MAX, &number) &&
           give_big_endian((uint64_t)number, 4, arena, out);
}

static bool text_to_int8(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t number;
    return parse_integer(in, INT64_MIN, INT64_MAX, &number) &&
           give_big_endian((uint64_t)number, 8, arena, out);
}

/* The input function takes a negative number for the OID of the same 32 bits. */
static bool text_to_oid(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t number;
    return parse_integer(in, INT32_MIN, UINT32_MAX, &number) &&
           give_big_endian((uint64_t)number, 4, arena, out);
}

/* uuid: 16 bytes; 8-4-4-4-12 hexadecimal digits. */

#define UUID_BYTES 16

static bool uuid_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    static const char digits[] = "0123456789abcdef";
    char text[UUID_BYTES * 2 + 4];
    char *at = text;
    if (in->size != UUID_BYTES)
        return false;
    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[(uint8_t)in->data[i] >> 4];
        *at++ = digits[(uint8_t)in->data[i] & 15];
    }
    return give(VALUE_TEXT, text, sizeof(text), arena, out);
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* As uuid_in() has it: braces around the whole, and a hyphen after any group of four digits but
 * the last. */
static bool text_to_uuid(const struct value *in, struct arena *arena, struct value *out)
{
    uint8_t bytes[UUID_BYTES];
    if (in->size < UUID_BYTES * 2)
        return false;
    const char *at = in->data, *end = in->data + in->size;
    bool braces = *at == '{';
    at += braces;
    for (size_t i = 0; i < UUID_BYTES; i++) {
        int high = end - at >= 2 ? hex_digit(at[0]) : -1;
        int low = high >= 0 ? hex_digit(at[1]) : -1;
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
        at += i % 2 == 1 && i < UUID_BYTES - 1 && at < end && *at == '-';
    }
    if (braces && (at == end || *at++ != '}'))
        return false;
    return at == end && give(VALUE_BINARY, bytes, sizeof(bytes), arena, out);
}

/* date: days from 2000-01-01 in the proleptic Gregorian calendar; the ends of the number are
 * the infinities. */

#define JULIAN_OF_EPOCH 2451545     /* 2000-01-01 */
#define JULIAN_END 2147483494       /* 5874898-01-01 */
#define DAYS_PER_ERA 146097         /* 400 years */
#define DAYS_FROM_0000_03_01 730425 /* to 2000-01-01 */

struct civil {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month;
    int day;
};

/* Years that begin in March, so that the leap day is the last of its year; eras of 400 years,
 * so that no day is before the first (Hinnant, "chrono-compatible date algorithms"). */
static struct civil civil_from_days(int64_t days)
{
    days += DAYS_FROM_0000_03_01;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int day_of_era = (int)(days - era * DAYS_PER_ERA);
    int year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int march_month = (5 * day_of_year + 2) / 153; /* 0 is March */
    int month = march_month < 10 ? march_month + 3 : march_month - 9;
    return (struct civil){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * march_month + 2) / 5 + 1,
    };
}

static bool date_to_text(const struct value *in, struct arena *arena, struct value *out)
{
    int64_t days;
    if (!read_signed(in, 4, &days))
        return false;
    if (days == INT32_MAX)
        return lend(VALUE_TEXT, "infinity", 8, out);
    if (days == INT32_MIN)
        return lend(VALUE_TEXT, "-infinity", 9, out);
    if (days < -JULIAN_OF_EPOCH || days >= (int64_t)JULIAN_END - JULIAN_OF_EPOCH)
        return false;
    struct civil civil = civil_from_days(days);
    bool before_christ = civil.year <= 0;
    char text[64];
    int size = snprintf(text, sizeof(text), "%04d-%02d-%02d%s",
                        (int)(before_christ ? 1 - civil.year : civil.year), civil.month,
                        civil.day, before_christ ? " BC" : "");
    return give(VALUE_TEXT, text, (size_t)size, arena, out);
}

/* The tables. What types are made of (arrays, composites, ranges) is passage.c's. Not
 * in them are tsquery, int2vector and oidvector, which servers send when empty and do not
 * read. */

static const struct type_codec built_ins[] = {
    {NULL, "bool", bool_to_text, text_to_bool},
    {NULL, "bytea", NULL, NULL},
    {NULL, "char", char_to_text, text_to_char},
    {NULL, "name", bytes_to_text, text_to_name},
    {NULL, "int8", int8_to_text, text_to_int8},
    {NULL, "int2", int2_to_text, text_to_int2},
    {NULL, "int4", int4_to_text, text_to_int4},
    {NULL, "text", bytes_to_text, text_to_bytes},
    {NULL, "oid", oid_to_text, text_to_oid},
    {NULL, "tid", NULL, NULL},
    {NULL, "xid", NULL, NULL},
    {NULL, "cid", NULL, NULL},
    {NULL, "json", bytes_to_text, text_to_bytes},
    {NULL, "xml", bytes_to_text,
     NULL}, /* read, an encoding that the text declares would count */
    {NULL, "point", NULL, NULL},
    {NULL, "lseg", NULL, NULL},
    {NULL, "path", NULL, NULL},
    {NULL, "box", NULL, NULL},
    {NULL, "polygon", NULL, NULL},
    {NULL, "line", NULL, NULL},
    {NULL, "cidr", NULL, NULL},
    {NULL, "float4", NULL, NULL},
    {NULL, "float8", NULL, NULL},
    {NULL, "circle", NULL, NULL},
    {NULL, "macaddr8", NULL, NULL},
    {NULL, "money", NULL, NULL},
    {NULL, "macaddr", NULL, NULL},
    {NULL, "inet", NULL, NULL},
    {NULL, "bpchar", bytes_to_text, text_to_bytes},
    {NULL, "varchar", bytes_to_text, text_to_bytes},
    {NULL, "date", date_to_text, NULL},
    {NULL, "time", NULL, NULL},
    {NULL, "timestamp", NULL, NULL},
    {NULL, "timestamptz", NULL, NULL},
    {NULL, "interval", NULL, NULL},
    {NULL, "timetz", NULL, NULL},
    {NULL, "bit", NULL, NULL},
    {NULL, "varbit", NULL, NULL},
    {NULL, "numeric", NULL, NULL},
    {NULL, "refcursor", bytes_to_text, text_to_bytes},
    {NULL, "uuid", uuid_to_text, text_to_uuid},
    {NULL, "txid_snapshot", NULL, NULL},
    {NULL, "pg_lsn", NULL, NULL},
    {NULL, "tsvector", NULL, NULL},
    {NULL, "jsonb", versioned_to_text, text_to_versioned},
    {NULL, "jsonpath", NULL, NULL},
    {NULL, "pg_snapshot", NULL, NULL},
    {NULL, "xid8", NULL, NULL},
};

/* Types of extensions may stand in any schema. Those of contrib that are not here (isn, seg,
 * query_int) have no binary form. */
static const struct type_codec of_extensions[] = {
    {"hstore", "hstore", NULL, NULL},
    {"citext", "citext", bytes_to_text, text_to_bytes},
    {"ltree", "ltree", versioned_to_text, text_to_versioned},
    {"ltree", "lquery", versioned_to_text, text_to_versioned},
    {"ltree", "ltxtquery", versioned_to_text, text_to_versioned},
    {"cube", "cube", NULL, NULL},
};

static const struct type_codec enumeration = {NULL, "enum", bytes_to_text, text_to_name};

static const struct type_codec *find_built_in(const char *name)
{
    for (size_t i = 0; i < sizeof(built_ins) / sizeof(built_ins[0]); i++)
        if (strcmp(built_ins[i].name, name) == 0)
            return &built_ins[i];
    return NULL;
}

static const struct type_codec *find_of_extension(const char *extension, const char *name)
{
    for (size_t i = 0; i < sizeof(of_extensions) / sizeof(of_extensions[0]); i++)
        if (strcmp(of_extensions[i].extension, extension) == 0 &&
            strcmp(of_extensions[i].name, name) == 0)
            return &of_extensions[i];
    return NULL;
}

static const struct type_codec *find_scalar(const char *qualified, const char *extension)
{
    size_t schema = sizeof(CATALOG_SCHEMA) - 1;
    const char *dot = strrchr(qualified, '.');
    if (extension)
        return find_of_extension(extension, dot ? dot + 1 : qualified);
    return strncmp(qualified, CATALOG_SCHEMA, schema) == 0 ? find_built_in(qualified + schema)
                                                           : NULL;
}

const struct type_codec *type_codec_of(const struct catalog_type *type)
{
    type = catalog_beneath_domains(type);
    if (!type || !type->sends || !type->receives)
        return NULL;
    if (type->kind == 'e')
        return &enumeration;
    return type->kind == 'b' ? find_scalar(type->name, type->extension) : NULL;
}

const struct type_codec *type_codec_for(const struct catalog_column *column)
{
    if (column->type)
        return type_codec_of(column->type);
    if (!column->base_type || column->array)
        return NULL;
    return column->type_kind == 'e' ? &enumeration : find_scalar(column->base_type, NULL);
}

bool type_has_text(const struct type_codec *codec)
{
    return codec && codec->to_text;
}

bool type_to_text(const struct type_codec *codec, const struct value *in, struct arena *arena,
                  struct value *out)
{
    if (in->kind != VALUE_BINARY) {
        *out = *in;
        return true;
    }
    return type_has_text(codec) && codec->to_text(in, arena, out);
}

bool type_has_binary(const struct type_codec *codec)
{
    return codec && codec->to_binary;
}

bool type_to_binary(const struct type_codec *codec, const struct value *in, struct arena *arena,
                    struct value *out)
{
    if (in->kind != VALUE_TEXT) {
        *out = *in;
        return true;
    }
    return type_has_binary(codec) && codec->to_binary(in, arena, out);
}
