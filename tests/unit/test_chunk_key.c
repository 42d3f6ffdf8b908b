/* Keys as ordered bytes: in the source's order, the same from text and from binary. */
#include "backfill/chunk_key.h"
#include "unit.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct copy_key_column COLUMNS[] = {
    [KEY_SIGNED] = {.name = "k", .type = "pg_catalog.int8", .order = KEY_SIGNED},
    [KEY_UNSIGNED] = {.name = "k", .type = "pg_catalog.oid", .order = KEY_UNSIGNED},
    [KEY_BOOL] = {.name = "k", .type = "pg_catalog.bool", .order = KEY_BOOL},
    [KEY_UUID] = {.name = "k", .type = "pg_catalog.uuid", .order = KEY_UUID},
    [KEY_BYTES] = {.name = "k", .type = "pg_catalog.text", .order = KEY_BYTES},
};

/* Ascending. */
static const struct {
    enum key_order order;
    const char *texts[8];
} ASCENDING[] = {
    {KEY_SIGNED,
     {"-9223372036854775808", "-2147483649", "-1", "0", "1", "255", "256",
      "9223372036854775807"}},
    {KEY_UNSIGNED, {"0", "1", "255", "65536", "2147483648", "4294967295"}},
    {KEY_BOOL, {"f", "t"}},
    {KEY_UUID,
     {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-0000000000ff",
      "7fffffff-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
    {KEY_BYTES, {"", "A", "Aa", "B", "a", "a ", "a!", "\xc3\xa9"}},
};

START_TEST(bytes_are_in_the_order_of_the_keys)
{
    for (size_t i = 0; i < UNIT_COUNT(ASCENDING); i++) {
        const struct copy_key_column *column = &COLUMNS[ASCENDING[i].order];
        for (size_t j = 0; j + 1 < 8 && ASCENDING[i].texts[j + 1] != NULL; j++) {
            struct buf low = {0}, high = {0};
            ck_assert(chunk_key_append_text(column, ASCENDING[i].texts[j], &low));
            ck_assert(chunk_key_append_text(column, ASCENDING[i].texts[j + 1], &high));
            ck_assert_msg(chunk_key_compare(&low, &high) < 0, "%s", ASCENDING[i].texts[j]);
            ck_assert_int_gt(chunk_key_compare(&high, &low), 0);
            ck_assert_int_eq(chunk_key_compare(&low, &low), 0);
            buf_free(&low);
            buf_free(&high);
        }
    }
}
END_TEST

START_TEST(a_column_more_is_greater_than_its_prefix_and_less_than_the_next)
{
    struct buf prefix = {0}, key = {0}, next = {0};
    ck_assert(chunk_key_append_text(&COLUMNS[KEY_BYTES], "a", &prefix));
    ck_assert(chunk_key_append_text(&COLUMNS[KEY_BYTES], "a", &key));
    ck_assert(chunk_key_append_text(&COLUMNS[KEY_SIGNED], "9223372036854775807", &key));
    ck_assert(chunk_key_append_text(&COLUMNS[KEY_BYTES], "a\x01", &next));
    ck_assert_int_lt(chunk_key_compare(&prefix, &key), 0);
    ck_assert_int_lt(chunk_key_compare(&key, &next), 0);
    buf_free(&prefix);
    buf_free(&key);
    buf_free(&next);
}
END_TEST

static const struct {
    enum key_order order;
    const char *text;
    const char *binary;
    uint32_t size;
} SAME[] = {
    {KEY_SIGNED, "-2", "\xff\xfe", 2},
    {KEY_SIGNED, "-2", "\xff\xff\xff\xfe", 4},
    {KEY_SIGNED, "258", "\0\0\0\0\0\0\1\2", 8},
    {KEY_UNSIGNED, "4294967294", "\xff\xff\xff\xfe", 4},
    {KEY_BOOL, "t", "\1", 1},
    {KEY_BOOL, "f", "\0", 1},
    {KEY_UUID, "01234567-89ab-cdef-0123-456789abcdef",
     "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16},
    {KEY_BYTES, "text", "text", 4},
    {KEY_BYTES, "", "", 0},
};

START_TEST(text_and_binary_give_the_same_bytes_and_the_same_text)
{
    for (size_t i = 0; i < UNIT_COUNT(SAME); i++) {
        const struct copy_key_column *column = &COLUMNS[SAME[i].order];
        const struct value binary = {SAME[i].binary, SAME[i].size, VALUE_BINARY};
        const struct value text = {SAME[i].text, (uint32_t)strlen(SAME[i].text), VALUE_TEXT};
        struct buf a = {0}, b = {0};
        ck_assert(chunk_key_append(column, &binary, &a) && chunk_key_append(column, &text, &b));
        ck_assert_int_eq(chunk_key_compare(&a, &b), 0);
        char *from_binary = chunk_key_text(column, &binary);
        char *from_text = chunk_key_text(column, &text);
        ck_assert_str_eq(from_binary, SAME[i].text);
        ck_assert_str_eq(from_text, SAME[i].text);
        free(from_binary);
        free(from_text);
        buf_free(&a);
        buf_free(&b);
    }
}
END_TEST

static const struct {
    enum key_order order;
    struct value value;
} REFUSED[] = {
    {KEY_SIGNED, {"", 0, VALUE_TEXT}},
    {KEY_SIGNED, {"1x", 2, VALUE_TEXT}},
    {KEY_SIGNED, {" 1", 2, VALUE_TEXT}},
    {KEY_SIGNED, {"9223372036854775808", 19, VALUE_TEXT}},
    {KEY_SIGNED,
     {"1\0"
      "2",
      3, VALUE_TEXT}},
    {KEY_SIGNED, {"\0\0\1", 3, VALUE_BINARY}},
    {KEY_SIGNED, {"111111111111111111111111111111", 30, VALUE_TEXT}},
    {KEY_UNSIGNED, {"-1", 2, VALUE_TEXT}},
    {KEY_UNSIGNED, {"4294967296", 10, VALUE_TEXT}},
    {KEY_UNSIGNED, {"\0\0", 2, VALUE_BINARY}},
    {KEY_BOOL, {"x", 1, VALUE_TEXT}},
    {KEY_BOOL, {"\2", 1, VALUE_BINARY}},
    {KEY_BOOL, {"tt", 2, VALUE_TEXT}},
    {KEY_UUID, {"01234567-89ab-cdef-0123-456789abcde", 35, VALUE_TEXT}},
    {KEY_UUID, {"0123456789ab-cdef-0123-456789abcdef-", 36, VALUE_TEXT}},
    {KEY_UUID, {"0123", 4, VALUE_BINARY}},
    {KEY_BYTES, {"a\0b", 3, VALUE_BINARY}},
    {KEY_BYTES, {"a", 1, VALUE_UNCHANGED}},
    {KEY_BYTES, {"a", 1, VALUE_NULL}},
    {KEY_BYTES, {"a", 1, VALUE_ABSENT}},
};

START_TEST(what_is_no_value_of_the_type_is_refused)
{
    for (size_t i = 0; i < UNIT_COUNT(REFUSED); i++) {
        const struct copy_key_column *column = &COLUMNS[REFUSED[i].order];
        struct buf out = {0};
        ck_assert_msg(!chunk_key_append(column, &REFUSED[i].value, &out), "value %zu", i);
        ck_assert_uint_eq(out.size, 0);
        ck_assert_ptr_null(chunk_key_text(column, &REFUSED[i].value));
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        bytes_are_in_the_order_of_the_keys,
        a_column_more_is_greater_than_its_prefix_and_less_than_the_next,
        text_and_binary_give_the_same_bytes_and_the_same_text,
        what_is_no_value_of_the_type_is_refused,
    };
    return unit_run("chunk_key", tests, UNIT_COUNT(tests));
}
