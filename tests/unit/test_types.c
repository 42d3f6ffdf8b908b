/* Types: which travel in binary, and conversions held against what PostgreSQL 15 printed. */
#include "schema/types.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static char type_name[64]; /* catalog_column wants its own, writable */

static struct catalog_column column_of(const char *base_type, char kind)
{
    snprintf(type_name, sizeof(type_name), "%s", base_type);
    return (struct catalog_column){.base_type = type_name, .type_kind = kind};
}

static const struct type_codec *codec_of(const char *base_type, char kind)
{
    struct catalog_column column = column_of(base_type, kind);
    return type_codec_for(&column);
}

START_TEST(builtin_types_travel_in_binary)
{
    static const char *const names[] = {
        "bool",    "char",      "name",        "int2",      "int4",        "int8",
        "oid",     "float4",    "float8",      "numeric",   "money",       "text",
        "varchar", "bpchar",    "bytea",       "uuid",      "date",        "time",
        "timetz",  "timestamp", "timestamptz", "interval",  "json",        "jsonb",
        "point",   "line",      "lseg",        "box",       "path",        "polygon",
        "circle",  "inet",      "cidr",        "macaddr",   "macaddr8",    "bit",
        "varbit",  "tsvector",  "pg_lsn",      "jsonpath",  "xml",         "xid",
        "xid8",    "cid",       "tid",         "refcursor", "pg_snapshot", "txid_snapshot",
    };
    char name[64];
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        snprintf(name, sizeof(name), "pg_catalog.%s", names[i]);
        ck_assert_msg(codec_of(name, 'b') != NULL, "%s", name);
        snprintf(name, sizeof(name), "public.%s", names[i]);
        ck_assert_msg(codec_of(name, 'b') == NULL, "%s is a user's", name);
    }
}
END_TEST

START_TEST(types_that_hold_what_is_local_travel_as_text)
{
    static const struct {
        const char *name;
        char kind;
    } rows[] = {
        {"pg_catalog.regclass", 'b'},
        {"pg_catalog.regrole", 'b'},
        {"pg_catalog.tsquery", 'b'}, /* an empty one cannot be read */
        {"pg_catalog.int2vector", 'b'},
        {"pg_catalog.oidvector", 'b'},
        {"pg_catalog.aclitem", 'b'},
        {"pg_catalog.record", 'p'},
        {"public.hstore", 'b'},
        {"public.geometry", 'b'},
        {"public.address", 'c'},
        {"public.float_range", 'r'},
        {"public.float_multirange", 'm'},
        {"int8", 'b'},
        {"", 'b'},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        ck_assert_msg(!codec_of(rows[i].name, rows[i].kind), "%s", rows[i].name);
    struct catalog_column unknown = {.base_type = NULL};
    ck_assert_ptr_null(type_codec_for(&unknown));
}
END_TEST

START_TEST(types_of_contrib_are_known_by_their_extension_in_any_schema)
{
    char hstore[] = "ext.hstore", other[] = "public.hstore", name[] = "hstore";
    char citext[] = "ext.citext", of_citext[] = "citext";
    struct catalog_type type = {
        .name = hstore, .extension = name, .kind = 'b', .sends = true, .receives = true};
    struct catalog_type insensitive = {
        .name = citext, .extension = of_citext, .kind = 'b', .sends = true, .receives = true};
    struct catalog_type domain = {.kind = 'd', .inner = &type};
    const struct type_codec *codec = type_codec_of(&type);
    ck_assert_ptr_nonnull(codec);
    ck_assert_ptr_eq(type_codec_of(&domain), codec);
    ck_assert(type_has_text(type_codec_of(&insensitive)));
    type.name = other;
    ck_assert_ptr_eq(type_codec_of(&type), codec);
    type.receives = false; /* of an older version */
    ck_assert_ptr_null(type_codec_of(&type));
    type.receives = true;
    type.extension = NULL; /* a user's own */
    ck_assert_ptr_null(type_codec_of(&type));
    ck_assert_ptr_null(type_codec_of(NULL));
}
END_TEST

struct golden {
    const char *type;
    const char *binary;
    uint32_t size;
    const char *text;
};

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct golden both_ways[] = {
    {"bool", BYTES("\1"), "t"},
    {"bool", BYTES("\0"), "f"},
    {"int2", BYTES("\x80\0"), "-32768"},
    {"int2", BYTES("\x7F\xFF"), "32767"},
    {"int4", BYTES("\0\0\0\0"), "0"},
    {"int4", BYTES("\xFF\xFF\xFF\xFF"), "-1"},
    {"int4", BYTES("\x80\0\0\0"), "-2147483648"},
    {"int8", BYTES("\0\0\0\0\0\0\0\xA"), "10"},
    {"int8", BYTES("\x80\0\0\0\0\0\0\0"), "-9223372036854775808"},
    {"int8", BYTES("\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), "9223372036854775807"},
    {"oid", BYTES("\xFF\xFF\xFF\xFF"), "4294967295"},
    {"text", BYTES(" tide\n"), " tide\n"},
    {"text", BYTES(""), ""},
    {"varchar", BYTES("x"), "x"},
    {"bpchar", BYTES("x  "), "x  "},
    {"name", BYTES("users"), "users"},
    {"char", BYTES("r"), "r"},
    {"char", BYTES("\0"), ""},
    {"json", BYTES("{\"a\": 1}"), "{\"a\": 1}"},
    {"jsonb", BYTES("\1{\"a\": 1}"), "{\"a\": 1}"},
    {"uuid", BYTES("\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11"),
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
};

/* SELECT date_send(d), d in PostgreSQL 15.20 with DateStyle ISO */
static const struct golden dates[] = {
    {"date", BYTES("\x7f\xff\xff\xff"), "infinity"},
    {"date", BYTES("\x80\x00\x00\x00"), "-infinity"},
    {"date", BYTES("\xff\xda\x97\xa7"), "4714-11-24 BC"},
    {"date", BYTES("\xff\xda\x97\xcd"), "4713-01-01 BC"},
    {"date", BYTES("\x7f\xda\x97\x0c"), "5874897-12-31"},
    {"date", BYTES("\x00\x00\x00\x00"), "2000-01-01"},
    {"date", BYTES("\xff\xff\xff\xff"), "1999-12-31"},
    {"date", BYTES("\xff\xf4\xdb\xf9"), "0001-01-01"},
    {"date", BYTES("\xff\xf4\xdb\xf8"), "0001-12-31 BC"},
    {"date", BYTES("\xff\xf4\xda\xc5"), "0001-02-28 BC"},
    {"date", BYTES("\xff\xf4\xda\xc6"), "0001-02-29 BC"},
    {"date", BYTES("\xff\xf4\xd5\x11"), "0005-02-29 BC"},
    {"date", BYTES("\x00\x2c\x95\xd4"), "10000-01-01"},
    {"date", BYTES("\xff\xff\x71\x8e"), "1900-02-28"},
    {"date", BYTES("\x00\x00\x22\x79"), "2024-02-29"},
    {"date", BYTES("\xff\xf5\x69\x73"), "0100-03-01"},
};

static const struct type_codec *builtin(const char *type)
{
    char name[64];
    snprintf(name, sizeof(name), "pg_catalog.%s", type);
    return codec_of(name, 'b');
}

static bool same(const struct value *value, enum value_kind kind, const char *data, size_t size)
{
    return value->kind == kind && value->size == size &&
           (size == 0 || memcmp(value->data, data, size) == 0);
}

static void expect_text(const struct golden *row, struct arena *arena)
{
    struct value in = {row->binary, row->size, VALUE_BINARY}, out;
    const struct type_codec *codec = builtin(row->type);
    ck_assert(type_has_text(codec));
    ck_assert_msg(type_to_text(codec, &in, arena, &out), "%s %s", row->type, row->text);
    ck_assert_msg(same(&out, VALUE_TEXT, row->text, strlen(row->text)), "%s: %.*s, not %s",
                  row->type, (int)out.size, out.data, row->text);
}

START_TEST(binary_becomes_what_the_server_prints)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < UNIT_COUNT(both_ways); i++)
        expect_text(&both_ways[i], &arena);
    for (size_t i = 0; i < UNIT_COUNT(dates); i++)
        expect_text(&dates[i], &arena);
    arena_free(&arena);
}
END_TEST

START_TEST(text_becomes_what_the_server_sends)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < UNIT_COUNT(both_ways); i++) {
        const struct golden *row = &both_ways[i];
        struct value in = {row->text, (uint32_t)strlen(row->text), VALUE_TEXT}, out;
        ck_assert(type_has_binary(builtin(row->type)));
        ck_assert(type_to_binary(builtin(row->type), &in, &arena, &out));
        ck_assert_msg(same(&out, VALUE_BINARY, row->binary, row->size), "%s %s", row->type,
                      row->text);
    }
    ck_assert(!type_has_binary(builtin("date")));
    arena_free(&arena);
}
END_TEST

START_TEST(text_is_read_as_freely_as_the_server_reads_it)
{
    static const struct golden rows[] = {
        {"bool", BYTES("\1"), "TRUE"},
        {"bool", BYTES("\1"), " y\n"},
        {"bool", BYTES("\1"), "1"},
        {"bool", BYTES("\1"), "on"},
        {"bool", BYTES("\0"), "of"},
        {"bool", BYTES("\0"), "fal"},
        {"bool", BYTES("\0"), "0"},
        {"int2", BYTES("\0\x7"), "+007"},
        {"int4", BYTES("\xFF\xFF\xFF\xFB"), " -5 "},
        {"oid", BYTES("\xFF\xFF\xFF\xFF"), "-1"},
        {"oid", BYTES("\x80\0\0\0"), "-2147483648"},
        {"char", BYTES("\xC3"), "\\303"},
        {"uuid", BYTES("\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11"),
         "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"},
        {"uuid", BYTES("\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11"),
         "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct value in = {rows[i].text, (uint32_t)strlen(rows[i].text), VALUE_TEXT}, out;
        ck_assert_msg(type_to_binary(builtin(rows[i].type), &in, &arena, &out), "%s \"%s\"",
                      rows[i].type, rows[i].text);
        ck_assert_msg(same(&out, VALUE_BINARY, rows[i].binary, rows[i].size), "%s \"%s\"",
                      rows[i].type, rows[i].text);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(text_that_the_server_would_refuse_is_refused)
{
    static const struct golden rows[] = {
        {"bool", BYTES(""), NULL},
        {"bool", BYTES("o"), NULL},
        {"bool", BYTES("truer"), NULL},
        {"bool", BYTES("2"), NULL},
        {"int2", BYTES("32768"), NULL},
        {"int2", BYTES("-32769"), NULL},
        {"int4", BYTES("2147483648"), NULL},
        {"int4", BYTES(""), NULL},
        {"int4", BYTES(" "), NULL},
        {"int4", BYTES("- 5"), NULL},
        {"int4", BYTES("+"), NULL},
        {"int4", BYTES("--5"), NULL},
        {"int4", BYTES("1.0"), NULL},
        {"int4", BYTES("1e3"), NULL},
        {"int4", BYTES("5\0"), NULL},
        {"int8", BYTES("9223372036854775808"), NULL},
        {"int8", BYTES("-9223372036854775809"), NULL},
        {"int8", BYTES("99999999999999999999999"), NULL},
        {"oid", BYTES("4294967296"), NULL},
        {"oid", BYTES("-2147483649"), NULL},
        {"text", BYTES("a\0b"), NULL},
        {"jsonb", BYTES("\"a\0b\""), NULL},
        {"char", BYTES("ab"), NULL},
        {"char", BYTES("\xC3"), NULL},
        {"char", BYTES("\\999"), NULL},
        {"char", BYTES("\0"), NULL},
        {"name", BYTES("a234567890123456789012345678901234567890123456789012345678901234"),
         NULL},
        {"uuid", BYTES(""), NULL},
        {"uuid", BYTES("a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11"), NULL},
        {"uuid", BYTES("a0e-ebc999c0b4ef8bb6d6bb9bd380a11"), NULL},
        {"uuid", BYTES("a0eebc999c0b4ef8bb6d6bb9bd380a11-"), NULL},
        {"uuid", BYTES(" a0eebc999c0b4ef8bb6d6bb9bd380a11"), NULL},
        {"uuid", BYTES("{a0eebc999c0b4ef8bb6d6bb9bd380a11"), NULL},
        {"uuid", BYTES("a0eebc999c0b4ef8bb6d6bb9bd380a11}"), NULL},
        {"uuid", BYTES("a0eebc999c0b4ef8bb6d6bb9bd380a1g"), NULL},
        {"uuid", BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"), NULL},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char *exact = arena_copy(&arena, rows[i].binary, rows[i].size); /* no byte to spare */
        struct value in = {exact, rows[i].size, VALUE_TEXT}, out = {"kept", 4, VALUE_TEXT};
        ck_assert_msg(!type_to_binary(builtin(rows[i].type), &in, &arena, &out), "%s \"%s\"",
                      rows[i].type, rows[i].binary);
        ck_assert(same(&out, VALUE_TEXT, "kept", 4));
    }
    arena_free(&arena);
}
END_TEST

START_TEST(bytes_that_are_no_value_are_refused)
{
    static const struct golden rows[] = {
        {"bool", BYTES(""), NULL},
        {"bool", BYTES("\0\0"), NULL},
        {"int2", BYTES("\0"), NULL},
        {"int4", BYTES("\0\0\0\0\0"), NULL},
        {"int8", BYTES("\0\0\0\0"), NULL},
        {"oid", BYTES(""), NULL},
        {"uuid", BYTES("123456789012345"), NULL},
        {"uuid", BYTES("12345678901234567"), NULL},
        {"jsonb", BYTES(""), NULL},
        {"jsonb", BYTES("\2{}"), NULL},
        {"jsonb", BYTES("{}"), NULL},
        {"char", BYTES(""), NULL},
        {"char", BYTES("ab"), NULL},
        {"char", BYTES("\xC3"), NULL}, /* its text differs between versions */
        {"date", BYTES("\0\0\0"), NULL},
        {"date", BYTES("\xff\xda\x97\xa6"), NULL}, /* a day before the first */
        {"date", BYTES("\x7f\xda\x97\x0d"), NULL}, /* a day after the last */
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct value in = {rows[i].binary, rows[i].size, VALUE_BINARY}, out = in;
        out.kind = VALUE_NULL;
        ck_assert_msg(!type_to_text(builtin(rows[i].type), &in, &arena, &out), "%s row %zu",
                      rows[i].type, i);
        ck_assert_int_eq(out.kind, VALUE_NULL);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(values_that_need_no_conversion_pass)
{
    static const enum value_kind kinds[] = {VALUE_ABSENT, VALUE_NULL, VALUE_UNCHANGED};
    struct arena arena;
    struct value out;
    arena_init(&arena, 0);
    for (size_t i = 0; i < UNIT_COUNT(kinds); i++) {
        struct value in = {.kind = kinds[i]};
        ck_assert(type_to_text(builtin("int8"), &in, &arena, &out) && out.kind == kinds[i]);
        ck_assert(type_to_binary(builtin("int8"), &in, &arena, &out) && out.kind == kinds[i]);
    }
    struct value text = {"5", 1, VALUE_TEXT}, binary = {"\0\0\0\5", 4, VALUE_BINARY};
    ck_assert(type_to_text(builtin("int4"), &text, &arena, &out));
    ck_assert_ptr_eq(out.data, text.data);
    ck_assert(type_to_binary(builtin("int4"), &binary, &arena, &out));
    ck_assert_ptr_eq(out.data, binary.data);
    arena_free(&arena);
}
END_TEST

START_TEST(a_type_without_conversion_says_so)
{
    struct value in = {"\0", 1, VALUE_BINARY}, out;
    struct arena arena;
    arena_init(&arena, 0);
    ck_assert(!type_has_text(builtin("numeric")) && !type_has_binary(builtin("numeric")));
    ck_assert(!type_has_text(NULL) && !type_has_binary(NULL));
    ck_assert(!type_to_text(builtin("numeric"), &in, &arena, &out));
    ck_assert(!type_to_text(NULL, &in, &arena, &out));
    arena_free(&arena);
}
END_TEST

START_TEST(an_enum_is_its_label)
{
    const struct type_codec *codec = codec_of("public.mood", 'e');
    struct value text = {"happy", 5, VALUE_TEXT}, out;
    struct arena arena;
    arena_init(&arena, 0);
    ck_assert(type_has_text(codec) && type_has_binary(codec));
    ck_assert(type_to_binary(codec, &text, &arena, &out));
    ck_assert(same(&out, VALUE_BINARY, "happy", 5));
    struct value back;
    ck_assert(type_to_text(codec, &out, &arena, &back));
    ck_assert(same(&back, VALUE_TEXT, "happy", 5));
    arena_free(&arena);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        builtin_types_travel_in_binary,
        types_that_hold_what_is_local_travel_as_text,
        types_of_contrib_are_known_by_their_extension_in_any_schema,
        binary_becomes_what_the_server_prints,
        text_becomes_what_the_server_sends,
        text_is_read_as_freely_as_the_server_reads_it,
        text_that_the_server_would_refuse_is_refused,
        bytes_that_are_no_value_are_refused,
        values_that_need_no_conversion_pass,
        a_type_without_conversion_says_so,
        an_enum_is_its_label,
    };
    return unit_run("types", tests, UNIT_COUNT(tests));
}
