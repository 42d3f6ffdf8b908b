/* See draw.h. */
#include "draw.h"

#include "transforms/text.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
static uint64_t next(struct draw *draw)
{
    uint64_t z = draw->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct draw draw_seeded(uint64_t seed)
{
    return (struct draw){.state = seed * 0xd1342543de82ef95u + 1};
}

uint32_t draw_below(struct draw *draw, uint32_t limit)
{
    return (uint32_t)(next(draw) % limit);
}

bool draw_chance(struct draw *draw, uint32_t percent)
{
    return draw_below(draw, 100) < percent;
}

/* --- texts --- */

static const char *const letters[] = {
    "a",        "b",          "z",
    "A",        "0",          "7",
    " ",        "@",          ".",
    "'",        "\"",         "\\",
    "%",        "_",          "{",
    "}",        "$",          "${",
    "\n",       "\t",         "\x01",
    "\x7f",     "-",          "+",
    "/",        "é",          "e\xcc\x81",
    "ß",        "İ",          "\u202e",
    "\u200d",   "\u2028",     "\ufeff",
    "\xc2\x85", "漢",         "\U0001F600",
    "u0000",    "\U0001d518", "\U0001F468\u200d\U0001F469",
    "\ufffd",   "\uffff",     ",",
    "NULL",     "~",
};

static const char *const words[] = {
    "t",
    "f",
    "true",
    "FALSE",
    "yes",
    "of",
    "o",
    "off",
    "on",
    "1",
    "0",
    "null",
    "NaN",
    "nan",
    "inf",
    "-Infinity",
    "+inf",
    "",
    " ",
    "-",
    "+",
    ".",
    "e",
    "1e",
    "1e5",
    "1e-5",
    "-1.5E+3",
    "32767",
    "32768",
    "-32768",
    "-32769",
    "2147483647",
    "2147483648",
    "-2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "0x1F",
    "1_000",
    "00000000000000000000000000000000000000012",
    "99999.995",
    "99999.994",
    "0.005",
    "-0.004",
    "2024-02-29",
    "2023-02-29",
    "1900-02-29",
    "2000-02-29",
    "0000-01-01",
    "2024-13-01",
    "2024-04-31",
    "9999-12-31",
    "2024-1-1",
    "infinity",
    "2024-01-01 BC",
    "today",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
    "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
    "jo@example.org",
    "@",
    "a@b@c",
};

static void draw_letters(struct draw *draw, struct buf *out)
{
    uint32_t count = draw_below(draw, draw_chance(draw, 10) ? 60 : 8);

    for (uint32_t i = 0; i < count; i++)
        buf_append_text(out, letters[draw_below(draw, COUNT(letters))]);
}

static void draw_digits(struct draw *draw, struct buf *out, uint32_t most)
{
    uint32_t count = draw_below(draw, most + 1);

    for (uint32_t i = 0; i < count; i++)
        buf_append_char(out, draw_chance(draw, 30) ? (draw_chance(draw, 50) ? '0' : '9')
                                                   : (char)('0' + draw_below(draw, 10)));
}

static void draw_blanks(struct draw *draw, struct buf *out)
{
    static const char blanks[] = " \t\n\v\f\r";

    while (draw_chance(draw, 10))
        buf_append_char(out, blanks[draw_below(draw, 6)]);
}

/* Often a number, often nearly one. */
static void draw_number(struct draw *draw, struct buf *out)
{
    draw_blanks(draw, out);
    if (draw_chance(draw, 40))
        buf_append_char(out, draw_chance(draw, 70) ? '-' : '+');
    draw_digits(draw, out, draw_chance(draw, 20) ? 25 : 6);
    if (draw_chance(draw, 50)) {
        buf_append_char(out, '.');
        draw_digits(draw, out, 6);
    }
    if (draw_chance(draw, 15)) {
        buf_append_text(out, draw_chance(draw, 50) ? "e" : "E-");
        draw_digits(draw, out, 3);
    }
    draw_blanks(draw, out);
}

static void draw_word(struct draw *draw, struct buf *out)
{
    draw_blanks(draw, out);
    buf_append_text(out, words[draw_below(draw, COUNT(words))]);
    draw_blanks(draw, out);
}

void draw_text(struct draw *draw, struct buf *out)
{
    uint32_t way = draw_below(draw, 10);

    if (way < 5)
        draw_letters(draw, out);
    else if (way < 7)
        draw_number(draw, out);
    else
        draw_word(draw, out);
}

/* --- values of types --- */

static void value_bool(struct draw *draw, struct buf *out)
{
    buf_append_char(out, draw_chance(draw, 50) ? 't' : 'f');
}

static void draw_integer(struct draw *draw, int bits, struct buf *out)
{
    int64_t most = (int64_t)(((uint64_t)1 << (bits - 1)) - 1);
    int64_t number = (int64_t)next(draw) >> (64 - bits);

    if (draw_chance(draw, 40))
        number = (int64_t)draw_below(draw, 21) - 10;
    else if (draw_chance(draw, 20))
        number = draw_chance(draw, 50) ? most : -most - 1;
    buf_append_format(out, "%lld", (long long)number);
}

static void value_int2(struct draw *draw, struct buf *out)
{
    draw_integer(draw, 16, out);
}

static void value_int4(struct draw *draw, struct buf *out)
{
    draw_integer(draw, 32, out);
}

static void value_int8(struct draw *draw, struct buf *out)
{
    draw_integer(draw, 64, out);
}

static void value_numeric(struct draw *draw, struct buf *out)
{
    if (draw_chance(draw, 5)) {
        buf_append_text(out, draw_chance(draw, 50) ? "NaN" : "-Infinity");
        return;
    }
    buf_append_text(out, draw_chance(draw, 40) ? "-" : "");
    draw_digits(draw, out, draw_chance(draw, 10) ? 40 : 8);
    buf_append_char(out, (char)('0' + draw_below(draw, 10)));
    if (draw_chance(draw, 60)) {
        buf_append_char(out, '.');
        draw_digits(draw, out, 8);
    }
}

static void value_short_numeric(struct draw *draw, struct buf *out)
{
    buf_append_format(out, "%s%u.%03u", draw_chance(draw, 40) ? "-" : "",
                      draw_below(draw, 10000000), draw_below(draw, 1000));
}

static void value_float8(struct draw *draw, struct buf *out)
{
    static const char *const odd[] = {"NaN", "Infinity", "-Infinity", "-0", "1e300", "5e-324"};

    if (draw_chance(draw, 15))
        buf_append_text(out, odd[draw_below(draw, COUNT(odd))]);
    else
        buf_append_format(out, "%.17g",
                          (double)(int64_t)next(draw) / (1u << draw_below(draw, 31)));
}

static void value_varchar(struct draw *draw, struct buf *out)
{
    uint32_t count = draw_below(draw, 9);

    for (uint32_t i = 0; i < count; i++)
        buf_append_text(out, letters[draw_below(draw, 17)]);
}

static void value_char(struct draw *draw, struct buf *out)
{
    uint32_t count = draw_below(draw, 6);

    for (uint32_t i = 0; i < count; i++)
        buf_append_text(out, letters[draw_below(draw, 14)]);
}

static void value_uuid(struct draw *draw, struct buf *out)
{
    uint64_t a = next(draw), b = next(draw);

    buf_append_format(out, "%08x-%04x-%04x-%04x-%012llx", (uint32_t)a,
                      (uint32_t)(a >> 32) & 0xffff, (uint32_t)(a >> 48), (uint32_t)b & 0xffff,
                      (unsigned long long)(b >> 16));
}

static void draw_day(struct draw *draw, struct buf *out)
{
    buf_append_format(out, "%04u-%02u-%02u", 1 + draw_below(draw, 9999),
                      1 + draw_below(draw, 12), 1 + draw_below(draw, 28));
}

static void draw_edge(struct draw *draw, const char *const *edges, uint32_t count,
                      struct buf *out)
{
    buf_append_text(out, edges[draw_below(draw, count)]);
}

static void value_date(struct draw *draw, struct buf *out)
{
    static const char *const edges[] = {"infinity",      "-infinity",     "4714-11-24 BC",
                                        "0001-12-31 BC", "0001-01-01",    "0005-02-29 BC",
                                        "2000-02-29",    "1999-12-31",    "2000-01-01",
                                        "10000-01-01",   "5874897-12-31", "1582-10-15"};

    if (draw_chance(draw, 25)) {
        draw_edge(draw, edges, COUNT(edges), out);
        return;
    }
    if (draw_chance(draw, 80)) {
        draw_day(draw, out);
        return;
    }
    buf_append_format(out, "%04u-%02u-%02u BC", 1 + draw_below(draw, 4700),
                      1 + draw_below(draw, 12), 1 + draw_below(draw, 28));
}

static void value_time(struct draw *draw, struct buf *out)
{
    static const char *const edges[] = {"00:00",           "24:00",           "24:00:00",
                                        "23:59:59.999999", "00:00:00.000001", "12:00:00.5"};

    if (draw_chance(draw, 30))
        draw_edge(draw, edges, COUNT(edges), out);
    else
        buf_append_format(out, "%02u:%02u:%02u.%06u", draw_below(draw, 24),
                          draw_below(draw, 60), draw_below(draw, 60),
                          draw_below(draw, 1000000));
}

static void draw_moment(struct draw *draw, struct buf *out)
{
    draw_day(draw, out);
    buf_append_char(out, draw_chance(draw, 50) ? 'T' : ' ');
    value_time(draw, out);
}

static void value_timestamp(struct draw *draw, struct buf *out)
{
    static const char *const edges[] = {"infinity",
                                        "-infinity",
                                        "4714-11-24 00:00:00 BC",
                                        "294276-12-31 23:59:59.999999",
                                        "2000-01-01",
                                        "1999-12-31 24:00:00",
                                        "0044-03-15 12:00 BC",
                                        "0001-01-01 00:00"};

    if (draw_chance(draw, 25))
        draw_edge(draw, edges, COUNT(edges), out);
    else
        draw_moment(draw, out);
}

static void value_timestamptz(struct draw *draw, struct buf *out)
{
    static const char *const edges[] = {"infinity",
                                        "-infinity",
                                        "4714-11-24 00:00:00+00 BC",
                                        "294276-12-31 23:59:59.999999+00",
                                        "2000-01-01 00:00:00Z",
                                        "2000-01-01 05:30+05:30",
                                        "1999-12-31 12:00:00-12",
                                        "0044-03-15 12:00:00+00:53:28 BC",
                                        "1999-12-31T24:00Z"};

    if (draw_chance(draw, 25)) {
        draw_edge(draw, edges, COUNT(edges), out);
        return;
    }
    draw_moment(draw, out);
    if (draw_chance(draw, 30))
        buf_append_char(out, 'Z');
    else
        buf_append_format(out, draw_chance(draw, 50) ? "%c%02u" : "%c%02u:15",
                          draw_chance(draw, 50) ? '+' : '-', draw_below(draw, 16));
}

static void value_mood(struct draw *draw, struct buf *out)
{
    static const char *const moods[] = {"sad", "ok", "very happy", "it's"};

    buf_append_text(out, moods[draw_below(draw, COUNT(moods))]);
}

static void value_bytea(struct draw *draw, struct buf *out)
{
    uint32_t count = draw_below(draw, 6);

    buf_append_text(out, "\\x");
    for (uint32_t i = 0; i < count; i++)
        buf_append_format(out, "%02x", draw_below(draw, 256));
}

/* --- json --- */

static const char *const json_pieces[] = {
    "a",       "b",         "k",    " ",   "é",       "\U0001F600",
    "\\n",     "\\\\",      "\\\"", "\\/", "\\u00e9", "\\ud83d\\ude00",
    "\\u0001", "\\b",       "0",    "${",  "\\u0000", "\\ud83d",
    "\\ude00", "\\\\u0000",
};
#define HARMLESS_PIECES (COUNT(json_pieces) - 4) /* the rest json takes and jsonb refuses */

static const char *const json_keys[] = {"a", "b", "c", "0", "1", "", "k k", "é", "\\u0061"};

static void json_string(struct draw *draw, bool harmless, struct buf *out)
{
    uint32_t count = draw_below(draw, 5);
    uint32_t pieces = harmless || !draw_chance(draw, 10) ? HARMLESS_PIECES : COUNT(json_pieces);

    buf_append_char(out, '"');
    for (uint32_t i = 0; i < count; i++)
        buf_append_text(out, json_pieces[draw_below(draw, pieces)]);
    buf_append_char(out, '"');
}

static void json_space(struct draw *draw, struct buf *out)
{
    while (draw_chance(draw, 15))
        buf_append_char(out, " \n\t\r"[draw_below(draw, 4)]);
}

static void json_value(struct draw *draw, bool harmless, int depth, struct buf *out);

static void json_members(struct draw *draw, bool harmless, bool keys, int depth,
                         struct buf *out)
{
    uint32_t count = draw_below(draw, 4);

    buf_append_char(out, keys ? '{' : '[');
    json_space(draw, out);
    for (uint32_t i = 0; i < count; i++) {
        buf_append_text(out, i ? "," : "");
        json_space(draw, out);
        if (keys)
            buf_append_format(out, "\"%s\"", json_keys[draw_below(draw, COUNT(json_keys))]);
        if (keys)
            json_space(draw, out);
        buf_append_text(out, keys ? ":" : "");
        json_value(draw, harmless, depth - 1, out);
    }
    buf_append_char(out, keys ? '}' : ']');
}

static void json_value(struct draw *draw, bool harmless, int depth, struct buf *out)
{
    static const char *const atoms[] = {"true", "false", "null",
                                        "0",    "-0",    "1.50",
                                        "1e3",  "-2E-3", "123456789012345678901234567890"};
    uint32_t way = draw_below(draw, 10);

    json_space(draw, out);
    if (depth > 0 && way < 6)
        json_members(draw, harmless, way < 4, depth, out);
    else if (way < 8)
        json_string(draw, harmless, out);
    else
        buf_append_text(out, atoms[draw_below(draw, COUNT(atoms))]);
    json_space(draw, out);
}

static void value_json(struct draw *draw, struct buf *out)
{
    json_value(draw, false, 4, out);
}

static void value_jsonb(struct draw *draw, struct buf *out)
{
    json_value(draw, true, 4, out);
}

const struct draw_type draw_types[] = {
    {"text", draw_text, false},
    {"bool", value_bool, true},
    {"int2", value_int2, true},
    {"int4", value_int4, true},
    {"int8", value_int8, true},
    {"numeric", value_numeric, true},
    {"numeric(10,3)", value_short_numeric, true},
    {"float8", value_float8, true},
    {"varchar(40)", value_varchar, false},
    {"char(8)", value_char, false},
    {"text COLLATE \"C\"", draw_text, true},
    {"char(8) COLLATE \"C\"", value_char, true},
    {"uuid", value_uuid, true},
    {"date", value_date, true},
    {"time", value_time, true},
    {"timestamp", value_timestamp, true},
    {"timestamptz", value_timestamptz, true},
    {"public.moment", value_timestamptz, true},
    {"public.amount", value_numeric, true},
    {"bytea", value_bytea, true},
    {"public.mood", value_mood, false},
    {"json", value_json, false},
    {"jsonb", value_jsonb, false},
};

/* Texts and documents more often than the others: most rules work on them. */
static const struct draw_type *draw_type(struct draw *draw)
{
    if (draw_chance(draw, 15))
        return &draw_types[COUNT(draw_types) - 1 - draw_below(draw, 2)];
    return &draw_types[draw_chance(draw, 30) ? 0 : draw_below(draw, COUNT(draw_types))];
}

void draw_column(struct draw *draw, uint32_t number, struct draw_column *column)
{
    snprintf(column->name, sizeof(column->name), "c%u", number);
    column->type = draw_type(draw);
    column->favourites = next(draw);
}

#define FAVOURITES 4

void draw_value(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    struct draw favourite = draw_seeded(column->favourites + draw_below(draw, FAVOURITES));

    column->type->value(draw_chance(draw, 40) ? &favourite : draw, out);
}

/* --- rules --- */

/* A text that the column's type reads, as YAML. */
static void yaml_value(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    struct buf text = {0};

    draw_value(draw, column, &text);
    text_append_yaml(out, buf_text(&text), text.size);
    buf_free(&text);
}

/* What stands before the steps when no column does. */
static const struct draw_column made = {.name = "", .type = &draw_types[0]};

static void yaml_any(struct draw *draw, struct buf *out)
{
    struct buf text = {0};

    draw_text(draw, &text);
    text_append_yaml(out, buf_text(&text), text.size);
    buf_free(&text);
}

static void entry_template(struct draw *draw, const struct draw_column *columns, uint32_t count,
                           uint32_t made_columns, struct buf *out)
{
    struct buf text = {0};
    uint32_t parts = 1 + draw_below(draw, 4);

    for (uint32_t i = 0; i < parts; i++) {
        if (draw_chance(draw, 50))
            buf_append_text(&text, "#'\\{{");
        else if (made_columns && draw_chance(draw, 30))
            buf_append_format(&text, "{r%u}", draw_below(draw, made_columns));
        else
            buf_append_format(&text, "{%s}", columns[draw_below(draw, count)].name);
    }
    buf_append_text(out, "template: ");
    text_append_yaml(out, buf_text(&text), text.size);
    buf_free(&text);
}

static void entry_build(struct draw *draw, const struct draw_column *columns, uint32_t count,
                        struct buf *out)
{
    static const char *const keys[] = {"a", "\"k k\"", "'\"'", "é", "0"};

    buf_append_text(out, "json: { build: { ");
    for (uint32_t i = 0; i < 1 + draw_below(draw, COUNT(keys) - 1); i++)
        buf_append_format(out, "%s%s: %s", i ? ", " : "", keys[i],
                          columns[draw_below(draw, count)].name);
    buf_append_text(out, " } }");
}

static void step_pick(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    static const char *const names[] = {"a", "b", "c", "0", "1", "\"-1\"", "\"\"", "k k", "é"};
    uint32_t count = 1 + draw_below(draw, 3);

    if (strncmp(column->type->name, "json", 4) != 0)
        return;
    buf_append_text(out, ", json: { pick: [");
    for (uint32_t i = 0; i < count; i++)
        buf_append_format(out, "%s%s", i ? ", " : "", names[draw_below(draw, COUNT(names))]);
    buf_append_text(out, "] }");
}

static void step_null_if(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    uint32_t count = 1 + draw_below(draw, 3);

    buf_append_text(out, ", null_if: [");
    for (uint32_t i = 0; i < count; i++) {
        buf_append_text(out, i ? ", " : "");
        yaml_value(draw, column, out);
    }
    buf_append_text(out, "]");
}

static void step_map(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    buf_append_text(out, ", map: {");
    yaml_value(draw, column, out);
    buf_append_text(out, ": ");
    yaml_any(draw, out);
    if (draw_chance(draw, 50)) {
        buf_append_text(out, ", ~: ");
        yaml_any(draw, out);
    }
    buf_append_text(out, "}");
    if (draw_chance(draw, 50)) {
        buf_append_text(out, ", default: ");
        yaml_any(draw, out);
    }
}

static void step_cast(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    static const char *const types[] = {
        "smallint", "integer", "bigint",           "bool",           "uuid",
        "date",     "numeric", "\"numeric(7,2)\"", "\"numeric(4)\"", "\"numeric(3,3)\""};
    const char *type = types[draw_below(draw, COUNT(types))];

    (void)column;
    switch (draw_below(draw, 3)) {
    case 0:
        buf_append_format(out, ", cast: %s", type);
        break;
    case 1:
        buf_append_format(out, ", cast: { to: %s, on_error: null }", type);
        break;
    default:
        buf_append_format(out, ", cast: { to: %s, on_error: default, default: ~ }", type);
    }
}

static void step_mask(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    (void)column;
    switch (draw_below(draw, 4)) {
    case 0:
        buf_append_text(out, ", mask: email");
        break;
    case 1:
        buf_append_text(out, ", mask: fixed");
        break;
    case 2:
        buf_append_text(out, ", mask: { fixed: ");
        yaml_any(draw, out);
        buf_append_text(out, " }");
        break;
    default:
        buf_append_format(out, ", mask: { keep_last: %u }", draw_below(draw, 6));
    }
}

static void step_hash(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    static const char *const algorithms[] = {"sha256", "md5", "xxh64"};

    (void)column;
    buf_append_format(out, ", hash: %s", algorithms[draw_below(draw, 3)]);
    if (draw_chance(draw, 50))
        buf_append_text(out, ", salt: \"p\\\\epp'er \xc3\xa9\"");
}

static void step_uuid5(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    (void)column;
    buf_append_format(out, ", uuid5: { namespace: %s }", draw_chance(draw, 50) ? "dns" : "url");
}

static void step_default(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    (void)column;
    buf_append_text(out, ", default: ");
    yaml_any(draw, out);
}

struct step {
    uint32_t percent;
    void (*append)(struct draw *draw, const struct draw_column *column, struct buf *out);
    bool takes_default; /* the key `default` is then not free */
};

static const struct step steps[] = {
    {70, step_pick, false}, {20, step_null_if, false}, {25, step_map, true},
    {40, step_cast, false}, {20, step_mask, false},    {20, step_hash, false},
    {3, step_uuid5, false}, {20, step_default, false},
};

void draw_entry(struct draw *draw, const struct draw_column *columns, uint32_t count,
                uint32_t made_columns, struct buf *out)
{
    const struct draw_column *column = &columns[draw_below(draw, count)];
    bool mapped = false;

    buf_append_text(out, "{ ");
    if (draw_chance(draw, 20)) {
        entry_template(draw, columns, count, made_columns, out);
        column = &made;
    } else if (draw_chance(draw, 10)) {
        entry_build(draw, columns, count, out);
        column = &made;
    } else if (draw_chance(draw, 5)) {
        buf_append_text(out, "value: ");
        yaml_any(draw, out);
    } else {
        buf_append_format(out, "from: %s", column->name);
    }
    for (size_t i = 0; i < COUNT(steps); i++) {
        if (!draw_chance(draw, steps[i].percent) || (mapped && steps[i].append == step_default))
            continue;
        steps[i].append(draw, column, out);
        mapped |= steps[i].takes_default;
    }
    buf_append_text(out, " }");
}

/* --- conditions --- */

static void test_list(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    uint32_t count = 1 + draw_below(draw, 3);

    buf_append_format(out, ", %s: [", draw_chance(draw, 50) ? "in" : "not_in");
    for (uint32_t i = 0; i < count; i++) {
        buf_append_text(out, i ? ", " : "");
        if (draw_chance(draw, 15))
            buf_append_text(out, "~");
        else
            yaml_value(draw, column, out);
    }
    buf_append_text(out, "]");
}

static void test_equal(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    buf_append_format(out, ", %s: ", draw_chance(draw, 50) ? "equals" : "not_equals");
    yaml_value(draw, column, out);
}

static void test_null(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    (void)column;
    buf_append_format(out, ", %s: %s", draw_chance(draw, 50) ? "is_null" : "is_not_null",
                      draw_chance(draw, 50) ? "true" : "false");
}

static void test_order(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    static const char *const keys[] = {"greater", "greater_or_equal", "less", "less_or_equal"};
    uint32_t first = draw_below(draw, 4);

    for (uint32_t i = first; i < 4; i += 2) {
        buf_append_format(out, ", %s: ", keys[i]);
        yaml_value(draw, column, out);
        if (draw_chance(draw, 70))
            return;
    }
}

static void draw_test(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    uint32_t way = draw_below(draw, 10);

    buf_append_format(out, "{ column: %s", column->name);
    if (way < 5 && column->type->ordered)
        test_order(draw, column, out);
    else if (way < 7)
        test_list(draw, column, out);
    else if (way < 9)
        test_equal(draw, column, out);
    else
        test_null(draw, column, out);
    buf_append_text(out, " }");
}

void draw_condition(struct draw *draw, const struct draw_column *columns, uint32_t count,
                    int depth, struct buf *out)
{
    uint32_t parts = 1 + draw_below(draw, 3);

    if (depth == 0 || draw_chance(draw, 40)) {
        draw_test(draw, &columns[draw_below(draw, count)], out);
        return;
    }
    buf_append_format(out, "{ %s: [", draw_chance(draw, 50) ? "all" : "any");
    for (uint32_t i = 0; i < parts; i++) {
        buf_append_text(out, i ? ", " : "");
        draw_condition(draw, columns, count, depth - 1, out);
    }
    buf_append_text(out, "] }");
}

void draw_route(struct draw *draw, const struct draw_column *column, struct buf *out)
{
    static const char *const targets[] = {"app.a", "app.b", "app.c", "drop"};
    struct buf keys[FAVOURITES] = {0};
    uint32_t count = 1 + draw_below(draw, FAVOURITES), used = 0;

    buf_append_format(out, "{ column: %s, map: {", column->name);
    for (uint32_t i = 0; i < count; i++) {
        struct draw favourite = draw_seeded(column->favourites + i);
        bool again = false;

        column->type->value(&favourite, &keys[used]);
        for (uint32_t j = 0; j < used; j++)
            again |= strcmp(buf_text(&keys[j]), buf_text(&keys[used])) == 0;
        buf_append_text(out, used && !again ? ", " : "");
        if (!again)
            text_append_yaml(out, buf_text(&keys[used]), keys[used].size);
        if (!again)
            buf_append_format(out, ": %s", targets[i ? draw_below(draw, 4) : 0]);
        if (again)
            buf_clear(&keys[used]);
        used += !again;
    }
    if (draw_chance(draw, 50))
        buf_append_format(out, ", ~: %s", targets[draw_below(draw, 4)]);
    buf_append_text(out, "}");
    if (draw_chance(draw, 60))
        buf_append_format(out, ", default: %s", targets[draw_below(draw, 4)]);
    buf_append_text(out, " }");
    for (uint32_t i = 0; i < FAVOURITES; i++)
        buf_free(&keys[i]);
}
