/* Buffers: the bytes, the NUL behind them, and who owns them. */
#include "base/buf.h"
#include "base/plain.h"
#include "unit.h"

#include <string.h>

START_TEST(the_bytes_are_followed_by_a_nul_after_every_append)
{
    struct buf buf = {0};
    for (size_t i = 0; i < 1000; i++) {
        buf_append_char(&buf, 'a');
        ck_assert_uint_eq(buf.size, i + 1);
        ck_assert_int_eq(buf.data[buf.size], '\0');
        ck_assert_uint_lt(buf.size, buf.capacity);
    }
    ck_assert_uint_eq(strlen(buf.data), 1000);
    buf_free(&buf);
}
END_TEST

START_TEST(an_empty_append_makes_an_empty_string)
{
    struct buf buf = {0};
    ck_assert_str_eq(buf_text(&buf), "");
    ck_assert_ptr_null(buf.data);
    buf_append(&buf, NULL, 0);
    ck_assert_str_eq(buf.data, "");
    ck_assert_uint_eq(buf.size, 0);
    buf_free(&buf);
}
END_TEST

START_TEST(bytes_with_a_nul_among_them_are_kept)
{
    struct buf buf = {0};
    buf_append(&buf, "a\0b", 3);
    buf_append_text(&buf, "c");
    ck_assert_uint_eq(buf.size, 4);
    ck_assert_mem_eq(buf.data, "a\0bc", 5);
    buf_free(&buf);
}
END_TEST

START_TEST(formatted_text_grows_the_buffer_at_any_length)
{
    for (int length = 0; length < 300; length++) {
        struct buf buf = {0};
        buf_append_text(&buf, "<");
        buf_append_format(&buf, "%*s", length, "");
        buf_append_format(&buf, "%s%d", ">", 5);
        ck_assert_uint_eq(buf.size, (size_t)length + 3);
        ck_assert_str_eq(buf.data + length + 1, ">5");
        buf_free(&buf);
    }
}
END_TEST

START_TEST(integers_are_big_endian)
{
    struct buf buf = {0};
    buf_append_u16(&buf, 0x0102);
    buf_append_u32(&buf, 0x03040506);
    buf_append_u64(&buf, 0x0708090A0B0C0DFE);
    ck_assert_uint_eq(buf.size, 14);
    ck_assert_mem_eq(buf.data, "\1\2\3\4\5\6\7\x8\x9\xA\xB\xC\xD\xFE", 14);
    buf_free(&buf);
}
END_TEST

START_TEST(clearing_keeps_the_memory_and_reserving_keeps_the_bytes)
{
    struct buf buf = {0};
    buf_clear(&buf);
    buf_append_text(&buf, "abc");
    buf_reserve(&buf, 5000);
    ck_assert_uint_ge(buf.capacity, 5004);
    ck_assert_str_eq(buf.data, "abc");
    char *data = buf.data;
    buf_clear(&buf);
    ck_assert_str_eq(buf.data, "");
    buf_append_text(&buf, "d");
    ck_assert_ptr_eq(buf.data, data);
    buf_free(&buf);
    ck_assert_uint_eq(buf.size + buf.capacity, 0);
}
END_TEST

START_TEST(stolen_bytes_belong_to_the_thief)
{
    struct buf buf = {0};
    char *nothing = buf_steal(&buf);
    ck_assert_str_eq(nothing, "");
    buf_append_text(&buf, "abc");
    char *text = buf_steal(&buf);
    ck_assert_ptr_null(buf.data);
    buf_append_text(&buf, "d");
    ck_assert_str_eq(text, "abc");
    ck_assert_str_eq(buf_text(&buf), "d");
    buf_free(&buf);
    free(nothing);
    free(text);
}
END_TEST

START_TEST(plain_text_shows_control_characters)
{
    struct buf out = {0};
    plain_append(&out, "Łódź\n\t\x1b[31m\x7f\xc2\x9b!\xc2\xa0\xc2");
    ck_assert_str_eq(buf_text(&out), "Łódź\\n\\t\\x1b[31m\\x7f\\u009b!\xc2\xa0\xc2");
    buf_free(&out);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_bytes_are_followed_by_a_nul_after_every_append,
        an_empty_append_makes_an_empty_string,
        bytes_with_a_nul_among_them_are_kept,
        formatted_text_grows_the_buffer_at_any_length,
        integers_are_big_endian,
        clearing_keeps_the_memory_and_reserving_keeps_the_bytes,
        stolen_bytes_belong_to_the_thief,
        plain_text_shows_control_characters,
    };
    return unit_run("buf", tests, UNIT_COUNT(tests));
}
