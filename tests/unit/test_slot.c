/* The name of slot, publication and origin. */
#include "postgres/slot.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define LONGEST_NAME 63 /* NAMEDATALEN - 1 */

static void expect_name(const char *migration, const char *expected)
{
    char name[SLOT_NAME_SIZE];
    slot_name(migration, name);
    ck_assert_str_eq(name, expected);
}

/* What CREATE_REPLICATION_SLOT accepts, with room for the second publication's name. */
static void expect_usable(const char *migration, char name[SLOT_NAME_SIZE])
{
    char second[SLOT_NAME_SIZE + 16];
    memset(name, '?', SLOT_NAME_SIZE);
    slot_name(migration, name);
    ck_assert_ptr_nonnull(memchr(name, '\0', SLOT_NAME_SIZE));
    ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
    ck_assert_int_eq(strncmp(name, "slackwater_", 11), 0);
    slot_insert_only_name(name, second);
    ck_assert_uint_le(strlen(second), LONGEST_NAME);
}

START_TEST(a_plain_name_is_kept)
{
    expect_name("default", "slackwater_default");
    expect_name("shop_2", "slackwater_shop_2");
    expect_name("Shop-Two", "slackwater_shop_two");
}
END_TEST

START_TEST(what_a_slot_cannot_hold_is_replaced_and_told_apart)
{
    static const char *const MIGRATIONS[] = {"a b", "a.b", "a/b",      "a\"b",     "a'b",
                                             "a;b", "a_b", "\xC3\xA4", "\xC3\xB6", "a\nb"};
    char names[UNIT_COUNT(MIGRATIONS)][SLOT_NAME_SIZE];
    for (size_t i = 0; i < UNIT_COUNT(MIGRATIONS); i++) {
        expect_usable(MIGRATIONS[i], names[i]);
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(names[i], names[j]);
    }
}
END_TEST

START_TEST(every_length_gives_a_usable_name)
{
    char migration[201], name[SLOT_NAME_SIZE], before[SLOT_NAME_SIZE] = "";
    for (size_t length = 1; length < sizeof(migration); length++) {
        memset(migration, 'm', length);
        migration[length] = '\0';
        expect_usable(migration, name);
        ck_assert_str_ne(name, before); /* also where they begin to be cut */
        memcpy(before, name, sizeof(before));
        migration[length - 1] = ' ';
        expect_usable(migration, name);
        ck_assert_str_ne(name, before);
    }
}
END_TEST

START_TEST(long_names_that_differ_at_the_end_stay_distinct)
{
    enum { MANY = 100 };
    char names[MANY][SLOT_NAME_SIZE];
    for (int i = 0; i < MANY; i++) {
        char migration[128];
        snprintf(migration, sizeof(migration), "%060d_%d", 0, i);
        expect_usable(migration, names[i]);
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(names[i], names[j]);
    }
}
END_TEST

START_TEST(the_same_migration_has_the_same_name_for_ever)
{
    /* Of a version that runs somewhere: another name would be a lost slot. */
    expect_name("shop eu", "slackwater_shop_eu_9f7b3e2d");
    expect_name("a_very_long_migration_name_of_the_shop_and_more",
                "slackwater_a_very_long_migration_name_of__9e99739c");
}
END_TEST

START_TEST(the_second_publication_is_named_after_the_first)
{
    char second[SLOT_NAME_SIZE + 16];
    slot_insert_only_name("slackwater_shop", second);
    ck_assert_str_eq(second, "slackwater_shop_insert_only");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_plain_name_is_kept,
        what_a_slot_cannot_hold_is_replaced_and_told_apart,
        every_length_gives_a_usable_name,
        long_names_that_differ_at_the_end_stay_distinct,
        the_same_migration_has_the_same_name_for_ever,
        the_second_publication_is_named_after_the_first,
    };
    return unit_run("slot", tests, UNIT_COUNT(tests));
}
