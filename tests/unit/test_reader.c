/* Readers: fields in order, and failure that sticks. */
#include "base/reader.h"
#include "unit.h"

#include <stdint.h>
#include <string.h>

START_TEST(reader_takes_fields_in_order_and_is_done)
{
    static const char bytes[] = "\1\2\3\4\5\6\7\x8\x9\xA\xB\xC\xD\xE\xFFname\0xyz";
    struct reader reader;
    reader_init(&reader, bytes, sizeof(bytes) - 1);
    ck_assert_uint_eq(reader_u8(&reader), 1);
    ck_assert_uint_eq(reader_u16(&reader), 0x0203);
    ck_assert_uint_eq(reader_u32(&reader), 0x04050607);
    ck_assert(reader_u64(&reader) == 0x08090A0B0C0D0EFF);
    ck_assert_str_eq(reader_string(&reader), "name");
    ck_assert_uint_eq(reader_left(&reader), 3);
    ck_assert(reader_ok(&reader) && !reader_done(&reader));
    ck_assert_ptr_eq(reader_bytes(&reader, 3), bytes + 20);
    ck_assert(reader_done(&reader));
}
END_TEST

START_TEST(reader_past_the_end_returns_zero_for_ever)
{
    static const uint8_t bytes[] = {0xFF, 0xFF, 0xFF};
    struct reader reader;
    reader_init(&reader, bytes, sizeof(bytes));
    ck_assert_uint_eq(reader_u32(&reader), 0);
    ck_assert(!reader_ok(&reader));
    for (int again = 0; again < 3; again++) { /* three bytes are still there */
        ck_assert_uint_eq(reader_u8(&reader), 0);
        ck_assert_uint_eq(reader_u16(&reader), 0);
        ck_assert_uint_eq(reader_u32(&reader), 0);
        ck_assert(reader_u64(&reader) == 0);
        ck_assert_ptr_null(reader_bytes(&reader, 1));
        ck_assert_str_eq(reader_string(&reader), "");
        ck_assert_uint_eq(reader_left(&reader), 0);
        ck_assert(!reader_ok(&reader) && !reader_done(&reader));
    }
}
END_TEST

START_TEST(a_string_without_its_nul_fails_and_is_empty)
{
    char *bytes = malloc(3); /* of its exact size, so that a sanitizer sees a step beyond */
    memcpy(bytes, "abc", 3);
    struct reader reader;
    reader_init(&reader, bytes, 3);
    ck_assert_str_eq(reader_string(&reader), "");
    ck_assert(!reader_ok(&reader));
    free(bytes);
}
END_TEST

START_TEST(a_length_near_the_limit_of_its_type_does_not_wrap)
{
    static const uint8_t bytes[8] = {0};
    struct reader reader;
    reader_init(&reader, bytes, sizeof(bytes));
    reader_u32(&reader);
    ck_assert_ptr_null(reader_bytes(&reader, SIZE_MAX - 1));
    ck_assert(!reader_ok(&reader));
}
END_TEST

START_TEST(an_empty_slice_of_nothing_is_a_slice)
{
    struct reader reader;
    reader_init(&reader, NULL, 0);
    ck_assert(reader_done(&reader));
    ck_assert_ptr_nonnull(reader_bytes(&reader, 0));
    ck_assert(reader_done(&reader));
    ck_assert_uint_eq(reader_u8(&reader), 0);
    ck_assert(!reader_ok(&reader));
}
END_TEST

START_TEST(empty_strings_stand_one_behind_the_other)
{
    struct reader reader;
    reader_init(&reader, "\0\0", 2);
    ck_assert_str_eq(reader_string(&reader), "");
    ck_assert_str_eq(reader_string(&reader), "");
    ck_assert(reader_done(&reader));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        reader_takes_fields_in_order_and_is_done,
        reader_past_the_end_returns_zero_for_ever,
        a_string_without_its_nul_fails_and_is_empty,
        a_length_near_the_limit_of_its_type_does_not_wrap,
        an_empty_slice_of_nothing_is_a_slice,
        empty_strings_stand_one_behind_the_other,
    };
    return unit_run("reader", tests, UNIT_COUNT(tests));
}
