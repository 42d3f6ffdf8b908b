/* Errors: what they say after being cut, wrapped and classified. */
#include "base/err.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

START_TEST(setting_an_error_fails_and_forgets_the_one_before)
{
    struct err err = {.class = ERR_RETRY, .sqlstate = "40P01", .remedy = "wait"};
    ck_assert(!err_set(&err, ERR_DATA, "column %s: bad length %d", "a", 3));
    ck_assert_int_eq(err.class, ERR_DATA);
    ck_assert_str_eq(err.message, "column a: bad length 3");
    ck_assert_str_eq(err.sqlstate, "");
    ck_assert_str_eq(err.remedy, "");
}
END_TEST

START_TEST(context_goes_before_the_message_and_keeps_the_rest)
{
    struct err err;
    err_set(&err, ERR_RETRY, "deadlock");
    strcpy(err.sqlstate, "40P01");
    ck_assert(!err_remedy(&err, "Wait %d s.", 5));
    ck_assert(!err_wrap(&err, "table %s.%s", "public", "orders"));
    ck_assert_str_eq(err.message, "table public.orders: deadlock");
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_str_eq(err.sqlstate, "40P01");
    ck_assert_str_eq(err.remedy, "Wait 5 s.");
}
END_TEST

START_TEST(an_error_can_be_made_of_its_own_message)
{
    struct err err;
    err_set(&err, ERR_RETRY, "gone");
    err_remedy(&err, "Come back.");
    err_set(&err, ERR_DATA, "%s, and %s", err.message, err.remedy);
    ck_assert_str_eq(err.message, "gone, and Come back.");
    err_wrap(&err, "%s", err.message);
    ck_assert_str_eq(err.message, "gone, and Come back.: gone, and Come back.");
    err_remedy(&err, "%s!", err.message);
    ck_assert_str_eq(err.remedy, "gone, and Come back.: gone, and Come back.!");
}
END_TEST

/* Fills the message up to `before` bytes and puts a character of several bytes there. */
static void set_long(struct err *err, size_t before, const char *character)
{
    char fill[sizeof(err->message)];
    memset(fill, 'x', before);
    fill[before] = '\0';
    err_set(err, ERR_DATA, "%s%s", fill, character);
}

START_TEST(a_message_that_is_cut_is_cut_between_characters)
{
    struct err err;
    const size_t room = sizeof(err.message) - 1;
    static const char *const characters[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A"};
    for (size_t i = 0; i < UNIT_COUNT(characters); i++) {
        size_t size = strlen(characters[i]);
        set_long(&err, room - size, characters[i]);
        ck_assert_uint_eq(strlen(err.message), room);
        for (size_t missing = 1; missing < size; missing++) {
            set_long(&err, room - size + missing, characters[i]);
            ck_assert_uint_eq(strlen(err.message), room - size + missing);
        }
    }
}
END_TEST

START_TEST(a_wrapped_message_that_is_cut_is_cut_between_characters)
{
    struct err err;
    set_long(&err, sizeof(err.message) - 4, "\xE2\x82\xAC"); /* fits to the byte */
    ck_assert_uint_eq(strlen(err.message), sizeof(err.message) - 1);
    err_wrap(&err, "%s", "table t"); /* moves it by nine */
    ck_assert_uint_eq(strlen(err.message), sizeof(err.message) - 1);
    ck_assert_int_eq(strncmp(err.message, "table t: xxx", 12), 0);
    set_long(&err, sizeof(err.message) - 11, "\xE2\x82\xAC"); /* now across the end */
    err_wrap(&err, "%s", "table t");
    ck_assert_uint_eq(strlen(err.message), sizeof(err.message) - 11 + 9);
}
END_TEST

START_TEST(every_class_has_a_name_and_the_exit_status_of_the_contract)
{
    static const struct {
        enum err_class class;
        const char *name;
        int status;
    } rows[] = {
        {ERR_NONE, "none", 0},
        {ERR_RETRY, "retry", 2},
        {ERR_CONFIG, "config", 2},
        {ERR_DATA, "data", 3},
        {ERR_SOURCE_LOST, "source_lost", 4},
        {ERR_CORRUPT, "corrupt", 4},
        {ERR_BUG, "bug", 3},
        {ERR_STOPPED, "stopped", 0},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        ck_assert_str_eq(err_class_name(rows[i].class), rows[i].name);
        ck_assert_int_eq(err_exit_status(rows[i].class), rows[i].status);
    }
}
END_TEST

START_TEST(a_cleared_error_is_none)
{
    struct err err;
    err_set(&err, ERR_BUG, "x");
    err_remedy(&err, "y");
    err_clear(&err);
    ck_assert_int_eq(err.class, ERR_NONE);
    ck_assert_str_eq(err.message, "");
    ck_assert_str_eq(err.remedy, "");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        setting_an_error_fails_and_forgets_the_one_before,
        context_goes_before_the_message_and_keeps_the_rest,
        an_error_can_be_made_of_its_own_message,
        a_message_that_is_cut_is_cut_between_characters,
        a_wrapped_message_that_is_cut_is_cut_between_characters,
        every_class_has_a_name_and_the_exit_status_of_the_contract,
        a_cleared_error_is_none,
    };
    return unit_run("err", tests, UNIT_COUNT(tests));
}
