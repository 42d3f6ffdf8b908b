/* Values in the order of their types, read as text and as binary. */
#include "unit.h"

#include "transforms/order.h"

#include <stdio.h>
#include <string.h>

struct types_order {
    struct arena arena;
    char name[64];
    struct catalog_column column;
    struct order order;
};

static void open_order(struct types_order *o, const char *type)
{
    arena_init(&o->arena, 0);
    snprintf(o->name, sizeof(o->name), "pg_catalog.%s", type);
    o->column = (struct catalog_column){.base_type = o->name, .type_kind = 'b'};
    o->order = order_for(&o->column);
}

static void close_order(struct types_order *o)
{
    arena_free(&o->arena);
}

static bool read_key(struct types_order *o, enum value_kind kind, const char *data, size_t size,
                     struct order_key *key)
{
    const struct value value = {.data = data, .size = (uint32_t)size, .kind = kind};

    return order_key(&o->order, &value, &o->arena, key);
}

/* Of each type, from the least to the greatest; "=" goes before one that equals the last. */
static const struct {
    const char *type;
    const char *texts[16];
} ascending[] = {
    {"date",
     {"-infinity", "4714-11-24 BC", "0005-02-29 BC", "0001-12-31 BC", "0001-01-01",
      "1999-12-31", "2000-01-01", "2000-02-29", "2000-03-01", "10000-01-01", "5874897-12-31",
      "infinity"}},
    {"time",
     {"00:00", "=00:00:00", "00:00:00.000001", "12:00:00.5", "=12:00:00.500", "23:59:59.999999",
      "24:00", "=24:00:00"}},
    {"timestamp",
     {"-infinity", "4714-11-24 00:00:00 BC", "0044-03-15 12:00:00 BC",
      "1999-12-31 23:59:59.999999", "2000-01-01", "=2000-01-01 00:00:00", "=2000-01-01T00:00",
      "=1999-12-31 24:00:00", "294276-12-31 23:59:59.999999", "infinity"}},
    {"timestamptz",
     {"-infinity", "0044-03-15 12:00:00+00 BC", "1999-12-31 23:59:59.999999+00",
      "2000-01-01 00:00:00+00", "=2000-01-01T00:00Z", "=2000-01-01 05:30:00+05:30",
      "=1999-12-31 12:00:00-12", "=2000-01-01 00:53:28+00:53:28", "2000-01-01 00:00:01+00",
      "infinity"}},
    {"bool", {"f", "=false", "t", "=on"}},
    {"uuid",
     {"00000000-0000-0000-0000-000000000000", "7fffffff-ffff-ffff-ffff-ffffffffffff",
      "80000000-0000-0000-0000-000000000000", "={80000000000000000000000000000000}"}},
    {"bytea", {"\\x", "\\x00", "\\x0000", "\\x7f", "\\xfe", "\\xfe01", "\\xff", "=\\xFF"}},
};

START_TEST(texts_are_in_the_order_of_their_type)
{
    for (size_t i = 0; i < UNIT_COUNT(ascending); i++) {
        struct types_order o;
        struct order_key last = {0}, key;

        open_order(&o, ascending[i].type);
        ck_assert_ptr_nonnull(o.order.type);
        for (size_t j = 0; j < UNIT_COUNT(ascending[i].texts) && ascending[i].texts[j]; j++) {
            const char *text = ascending[i].texts[j];
            bool same = *text == '=';

            ck_assert_msg(read_key(&o, VALUE_TEXT, text + same, strlen(text) - same, &key),
                          "%s %s", ascending[i].type, text);
            if (j) {
                ck_assert_msg(order_compare(&last, &key) == (same ? 0 : -1) ||
                                  (!same && order_compare(&last, &key) < 0),
                              "%s %s", ascending[i].type, text);
                ck_assert_int_eq(order_compare(&key, &last) > 0, !same);
            }
            last = key;
        }
        close_order(&o);
    }
}
END_TEST

#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *type, *text;
    const char *binary;
    size_t size;
} pairs[] = {
    {"date", "2000-01-01", BYTES("\0\0\0\0")},
    {"date", "1999-12-31", BYTES("\xff\xff\xff\xff")},
    {"date", "infinity", BYTES("\x7f\xff\xff\xff")},
    {"date", "-infinity", BYTES("\x80\0\0\0")},
    {"date", "4714-11-24 BC", BYTES("\xff\xda\x97\xa7")},
    {"time", "24:00:00", BYTES("\0\0\0\x14\x1d\xd7\x60\0")},
    {"timestamp", "2000-01-01 00:00:01", BYTES("\0\0\0\0\0\x0f\x42\x40")},
    {"timestamptz", "2000-01-01 01:00:01+01", BYTES("\0\0\0\0\0\x0f\x42\x40")},
    {"timestamptz", "infinity", BYTES("\x7f\xff\xff\xff\xff\xff\xff\xff")},
    {"timestamp", "-infinity", BYTES("\x80\0\0\0\0\0\0\0")},
    {"bool", "t", BYTES("\1")},
    {"uuid", "00000000-0000-0000-0000-0000000000ff",
     BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff")},
    {"bytea", "\\x00ff", BYTES("\0\xff")},
};

START_TEST(binary_and_text_are_one_value)
{
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        struct types_order o;
        struct order_key text, binary;

        open_order(&o, pairs[i].type);
        ck_assert(read_key(&o, VALUE_TEXT, pairs[i].text, strlen(pairs[i].text), &text));
        ck_assert(read_key(&o, VALUE_BINARY, pairs[i].binary, pairs[i].size, &binary));
        ck_assert_msg(order_compare(&text, &binary) == 0, "%s %s", pairs[i].type,
                      pairs[i].text);
        if (strcmp(pairs[i].type, "bytea") != 0)
            ck_assert(!read_key(&o, VALUE_BINARY, pairs[i].binary, pairs[i].size - 1, &binary));
        close_order(&o);
    }
}
END_TEST

static const struct {
    const char *type, *text;
} strangers[] = {
    {"date", ""},
    {"date", "2023-02-29"},
    {"date", "1900-02-29"},
    {"date", "0001-02-29 BC X"},
    {"date", "0000-01-01"},
    {"date", "24-01-01"},
    {"date", "2024-1-1"},
    {"date", "2024-13-01"},
    {"date", "2024-00-01"},
    {"date", "2024-04-31"},
    {"date", "4714-11-23 BC"},
    {"date", "5874898-01-01"},
    {"date", "infinity "},
    {"date", "today"},
    {"date", "2024-01-01 00:00"},
    {"date", "01/02/2024"},
    {"time", "24:00:01"},
    {"time", "23:60"},
    {"time", "23:59:60"},
    {"time", "23:59:59.1234567"},
    {"time", "23:59:59."},
    {"time", "7:00"},
    {"time", "10:00 PM"},
    {"timestamp", "2024-01-01 10"},
    {"timestamp", "2024-01-01 10:00Z"},
    {"timestamp", "2024-01-01 10:00+00"},
    {"timestamp", "294277-01-01 00:00:00"},
    {"timestamp", "4714-11-23 23:59:59 BC"},
    {"timestamp", "9999999-01-01"},
    {"timestamptz", "2024-01-01"},
    {"timestamptz", "2024-01-01 10:00"},
    {"timestamptz", "2024-01-01 10:00 UTC"},
    {"timestamptz", "2024-01-01 10:00+16"},
    {"timestamptz", "2024-01-01 10:00+0100"},
    {"timestamptz", "4714-11-24 00:00:00+01 BC"},
    {"bool", "maybe"},
    {"uuid", "0"},
    {"bytea", "ff"},
    {"bytea", "\\x0"},
    {"bytea", "\\xzz"},
};

START_TEST(what_only_settings_could_read_is_refused)
{
    for (size_t i = 0; i < UNIT_COUNT(strangers); i++) {
        struct types_order o;
        struct order_key key;

        open_order(&o, strangers[i].type);
        ck_assert_msg(
            !read_key(&o, VALUE_TEXT, strangers[i].text, strlen(strangers[i].text), &key),
            "%s %s", strangers[i].type, strangers[i].text);
        close_order(&o);
    }
}
END_TEST

START_TEST(a_text_is_ordered_where_its_column_says_c)
{
    static const struct {
        const char *type, *collation;
        bool ordered;
    } columns[] = {
        {"text", NULL, false},
        {"text", "pg_catalog.C", true},
        {"varchar", "pg_catalog.POSIX", true},
        {"text", "pg_catalog.und-x-icu", false},
        {"text", "public.C", false},
        {"name", NULL, true},
        {"int4", "pg_catalog.C", false},
    };

    for (size_t i = 0; i < UNIT_COUNT(columns); i++) {
        struct types_order o;

        open_order(&o, columns[i].type);
        o.column.collation = (char *)columns[i].collation;
        ck_assert_msg(order_of_bytes(&o.column) == columns[i].ordered, "%s %s", columns[i].type,
                      columns[i].collation);
        close_order(&o);
    }
}
END_TEST

START_TEST(types_whose_equal_values_look_different_have_no_order_here)
{
    static const char *const types[] = {"interval", "timetz", "jsonb", "int4range", "money"};

    for (size_t i = 0; i < UNIT_COUNT(types); i++) {
        struct types_order o;

        open_order(&o, types[i]);
        ck_assert_ptr_null(o.order.type);
        close_order(&o);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        texts_are_in_the_order_of_their_type,
        binary_and_text_are_one_value,
        what_only_settings_could_read_is_refused,
        a_text_is_ordered_where_its_column_says_c,
        types_whose_equal_values_look_different_have_no_order_here,
    };
    return unit_run("order", tests, UNIT_COUNT(tests));
}
