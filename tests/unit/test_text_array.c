/* Arrays of text, written and read. */
#include "postgres/text_array.h"
#include "unit.h"

#include <string.h>

static void expect_read(const char *text, size_t count, const char *const *expected)
{
    struct err err = {0};
    char **items = NULL;
    size_t found = 0;
    ck_assert_msg(text_array_parse(text, &items, &found, &err), "%s: %s", text, err.message);
    ck_assert_uint_eq(found, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_str_eq(items[i], expected[i]);
    text_array_free(items, found);
}

START_TEST(every_text_comes_back_as_it_was)
{
    static const char *const ITEMS[] = {"",           "NULL",        "a,b",     "{}",
                                        "\"quoted\"", "back\\slash", " ",       "\n",
                                        "plain",      "\\\"\\",      "\xc3\xbc"};
    struct buf text = {0};
    text_array_append(&text, ITEMS, UNIT_COUNT(ITEMS));
    expect_read(text.data, UNIT_COUNT(ITEMS), ITEMS);
    buf_free(&text);
}
END_TEST

START_TEST(an_empty_array_has_no_items)
{
    struct buf text = {0};
    text_array_append(&text, NULL, 0);
    ck_assert_str_eq(text.data, "{}");
    expect_read(text.data, 0, NULL);
    buf_free(&text);
}
END_TEST

START_TEST(what_the_server_writes_is_read)
{
    expect_read("{1,-25,9223372036854775807}", 3,
                (const char *[]){"1", "-25", "9223372036854775807"});
    expect_read("{\"\",\"a b\",c,\"NULL\",null_of_mine}", 5,
                (const char *[]){"", "a b", "c", "NULL", "null_of_mine"});
}
END_TEST

START_TEST(what_is_no_array_of_texts_is_refused)
{
    static const char *const TEXTS[] = {
        "",      "{",    "}",     "a",      "{a",       "{a,}",     "{,a}",  "{NULL}",
        "{\"a}", "{a}b", "{{a}}", "{\"a\\", "{a\"b\"}", "{\"a\"b}", "{a,b,", "[1:1]={a}"};
    for (size_t i = 0; i < UNIT_COUNT(TEXTS); i++) {
        struct err err = {0};
        char **items = NULL;
        size_t count = 0;
        ck_assert_msg(!text_array_parse(TEXTS[i], &items, &count, &err), "%s", TEXTS[i]);
        ck_assert_int_eq(err.class, ERR_CORRUPT);
        ck_assert_ptr_null(items);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        every_text_comes_back_as_it_was,
        an_empty_array_has_no_items,
        what_the_server_writes_is_read,
        what_is_no_array_of_texts_is_refused,
    };
    return unit_run("text_array", tests, UNIT_COUNT(tests));
}
