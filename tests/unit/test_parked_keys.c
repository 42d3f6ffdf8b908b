/* The keys that dead letters wait for. */
#include "pipeline/parked_keys.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static uint64_t find(const struct parked_keys *keys, uint32_t table, const char *key)
{
    return parked_keys_find(keys, table, key, strlen(key));
}

static void add(struct parked_keys *keys, uint32_t table, const char *key, uint64_t chain)
{
    parked_keys_add(keys, table, key, strlen(key), chain);
}

START_TEST(a_key_is_a_table_and_bytes)
{
    struct parked_keys *keys = parked_keys_create(2);
    add(keys, 0, "5", 7);
    ck_assert_uint_eq(find(keys, 0, "5"), 7);
    ck_assert_uint_eq(find(keys, 1, "5"), 0);
    ck_assert_uint_eq(find(keys, 0, "55"), 0);
    ck_assert_uint_eq(parked_keys_count(keys, 0), 1);
    ck_assert_uint_eq(parked_keys_count(keys, 1), 0);
    parked_keys_free(keys);
}
END_TEST

START_TEST(thousands_are_found_again)
{
    struct parked_keys *keys = parked_keys_create(1);
    char key[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%d", i);
        add(keys, 0, key, (uint64_t)i + 1);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%d", i);
        ck_assert_uint_eq(find(keys, 0, key), (uint64_t)i + 1);
    }
    ck_assert_uint_eq(find(keys, 0, "5000"), 0);
    parked_keys_free(keys);
}
END_TEST

START_TEST(what_was_done_after_a_mark_is_undone)
{
    struct parked_keys *keys = parked_keys_create(2);
    add(keys, 0, "kept", 1);
    add(keys, 1, "other", 2);
    parked_keys_keep(keys);
    size_t mark = parked_keys_mark(keys);
    add(keys, 0, "new", 3);
    parked_keys_join(keys, 2, 1);
    ck_assert_uint_eq(find(keys, 1, "other"), 1);
    parked_keys_clear(keys, 0);
    ck_assert_uint_eq(find(keys, 0, "kept"), 0);
    ck_assert_uint_eq(parked_keys_count(keys, 0), 0);
    parked_keys_undo(keys, mark);
    ck_assert_uint_eq(find(keys, 0, "kept"), 1);
    ck_assert_uint_eq(find(keys, 0, "new"), 0);
    ck_assert_uint_eq(find(keys, 1, "other"), 2);
    ck_assert_uint_eq(parked_keys_count(keys, 0), 1);
    parked_keys_free(keys);
}
END_TEST

START_TEST(undoing_leaves_what_the_target_has)
{
    struct parked_keys *keys = parked_keys_create(1);
    size_t mark = parked_keys_mark(keys);
    add(keys, 0, "mine", 1);
    parked_keys_put(keys, 0, "there", 5, 2);
    parked_keys_undo(keys, mark);
    ck_assert_uint_eq(find(keys, 0, "mine"), 0);
    ck_assert_uint_eq(find(keys, 0, "there"), 2);
    parked_keys_free(keys);
}
END_TEST

START_TEST(what_is_kept_cannot_be_undone)
{
    struct parked_keys *keys = parked_keys_create(1);
    add(keys, 0, "a", 1);
    parked_keys_keep(keys);
    parked_keys_undo(keys, 0);
    ck_assert_uint_eq(find(keys, 0, "a"), 1);
    parked_keys_forget(keys);
    ck_assert_uint_eq(find(keys, 0, "a"), 0);
    ck_assert_uint_eq(parked_keys_count(keys, 0), 0);
    parked_keys_free(keys);
}
END_TEST

START_TEST(a_key_may_come_back)
{
    struct parked_keys *keys = parked_keys_create(1);
    add(keys, 0, "a", 1);
    parked_keys_clear(keys, 0);
    add(keys, 0, "a", 9);
    ck_assert_uint_eq(find(keys, 0, "a"), 9);
    ck_assert_uint_eq(parked_keys_count(keys, 0), 1);
    parked_keys_free(keys);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_key_is_a_table_and_bytes,           thousands_are_found_again,
        what_was_done_after_a_mark_is_undone, undoing_leaves_what_the_target_has,
        what_is_kept_cannot_be_undone,        a_key_may_come_back,
    };
    return unit_run("parked_keys", tests, UNIT_COUNT(tests));
}
