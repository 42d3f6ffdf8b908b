/* LSNs as text, as PostgreSQL writes and reads them. */
#include "model/lsn.h"
#include "unit.h"

START_TEST(an_lsn_is_two_hexadecimal_halves)
{
    static const struct {
        lsn_t lsn;
        const char *text;
    } rows[] = {
        {0, "0/0"},
        {0x16B3748, "0/16B3748"},
        {0x16B374D848, "16/B374D848"},
        {UINT64_MAX, "FFFFFFFF/FFFFFFFF"},
    };
    char text[LSN_TEXT_SIZE];
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        lsn_t lsn = 42;
        ck_assert_str_eq(lsn_format(rows[i].lsn, text), rows[i].text);
        ck_assert(lsn_parse(rows[i].text, &lsn));
        ck_assert(lsn == rows[i].lsn);
    }
}
END_TEST

START_TEST(small_letters_and_leading_zeros_are_read)
{
    lsn_t lsn;
    ck_assert(lsn_parse("0000abcD/0000000f", &lsn));
    ck_assert(lsn == 0xABCD0000000F);
}
END_TEST

START_TEST(what_the_server_would_refuse_is_refused)
{
    static const char *const texts[] = {"",     "0",     "/",    "0/",          "/0",
                                        "0/0 ", " 0/0",  "0 /0", "000000000/0", "0/123456789",
                                        "G/0",  "0x1/0", "-1/0", "0/0/0",       "0\\0"};
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        lsn_t lsn = 42;
        ck_assert_msg(!lsn_parse(texts[i], &lsn), "%s", texts[i]);
        ck_assert(lsn == 42);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_lsn_is_two_hexadecimal_halves,
        small_letters_and_leading_zeros_are_read,
        what_the_server_would_refuse_is_refused,
    };
    return unit_run("lsn", tests, UNIT_COUNT(tests));
}
