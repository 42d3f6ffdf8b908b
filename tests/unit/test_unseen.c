/* The set of transactions that no snapshot has been known to see. */
#include "backfill/unseen.h"
#include "unit.h"

static void expect_text(const struct unseen *unseen, const char *expected)
{
    struct buf text = {0};
    unseen_append_text(unseen, &text);
    ck_assert_str_eq(buf_text(&text), expected);
    buf_free(&text);
}

START_TEST(each_stands_once_in_the_order_of_xids)
{
    struct unseen unseen = {0};
    const xid_t added[] = {750, 740, 741, 760, 742, 741, 750};
    for (size_t i = 0; i < UNIT_COUNT(added); i++)
        unseen_add(&unseen, added[i]);
    expect_text(&unseen, "740-742,750,760");
    unseen_free(&unseen);
}
END_TEST

START_TEST(order_goes_on_where_xids_wrap)
{
    struct unseen unseen = {0};
    unseen_add(&unseen, 3);
    unseen_add(&unseen, 4294967295U);
    unseen_add(&unseen, 4);
    expect_text(&unseen, "4294967295,3-4");
    unseen_free(&unseen);
}
END_TEST

START_TEST(a_snapshot_takes_out_what_it_sees)
{
    struct unseen unseen = {0};
    struct snapshot snapshot;
    struct err err;
    ck_assert(unseen_parse("740-745,760", &unseen, &err));
    ck_assert(snapshot_parse("742:750:742,744", &snapshot, &err));
    ck_assert(!unseen_is_covered(&unseen, &snapshot));
    unseen_prune(&unseen, &snapshot);
    expect_text(&unseen, "742,744,760");
    snapshot_free(&snapshot);
    ck_assert(snapshot_parse("800:800:", &snapshot, &err));
    ck_assert(unseen_is_covered(&unseen, &snapshot));
    unseen_prune(&unseen, &snapshot);
    expect_text(&unseen, "");
    snapshot_free(&snapshot);
    unseen_free(&unseen);
}
END_TEST

START_TEST(what_comes_between_joins_its_neighbours)
{
    struct unseen unseen = {0};
    const xid_t added[] = {10, 12, 14, 11, 9, 13};
    static const char *const AFTER[] = {"10",       "10,12",   "10,12,14",
                                        "10-12,14", "9-12,14", "9-14"};
    for (size_t i = 0; i < UNIT_COUNT(added); i++) {
        unseen_add(&unseen, added[i]);
        expect_text(&unseen, AFTER[i]);
    }
    unseen_free(&unseen);
}
END_TEST

START_TEST(a_long_range_is_pruned_as_each_of_it_would_be)
{
    struct unseen unseen = {0};
    struct snapshot snapshot;
    struct err err;
    /* 4294967296 is 2^32. */
    ck_assert(unseen_parse("4000000000-40", &unseen, &err));
    ck_assert(snapshot_parse(
        "4294967290:4294967316:4294967290,4294967295,4294967299,4294967300", &snapshot, &err));
    unseen_prune(&unseen, &snapshot);
    expect_text(&unseen, "4294967290,4294967295,3-4,20-40");
    snapshot_free(&snapshot);
    unseen_free(&unseen);
}
END_TEST

START_TEST(text_comes_back_as_the_same_set)
{
    static const char *const TEXTS[] = {
        "", "5", "5-9", "5-9,11,20-21", "4294967290-2", "4294967290-8446150", "3-2147483650"};
    for (size_t i = 0; i < UNIT_COUNT(TEXTS); i++) {
        struct unseen unseen = {0}, copy = {0};
        struct err err;
        ck_assert(unseen_parse(TEXTS[i], &unseen, &err));
        unseen_copy(&unseen, &copy);
        expect_text(&copy, TEXTS[i]);
        ck_assert_uint_eq(copy.count, unseen.count);
        unseen_free(&unseen);
        unseen_free(&copy);
    }
}
END_TEST

START_TEST(what_is_no_set_is_refused)
{
    static const char *const TEXTS[] = {
        "x",   "1,",           ",1",  "1-",  "1-2-3", "-1",  "4294967296",
        "1 2", "0-4000000000", "7-5", "5,5", "5-9,7", "9,5", "3-1000000000,2147483652"};
    for (size_t i = 0; i < UNIT_COUNT(TEXTS); i++) {
        struct unseen unseen = {0};
        struct err err = {0};
        ck_assert_msg(!unseen_parse(TEXTS[i], &unseen, &err), "%s", TEXTS[i]);
        ck_assert_int_eq(err.class, ERR_CORRUPT);
        unseen_free(&unseen);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        each_stands_once_in_the_order_of_xids,
        order_goes_on_where_xids_wrap,
        a_snapshot_takes_out_what_it_sees,
        text_comes_back_as_the_same_set,
        what_is_no_set_is_refused,
        what_comes_between_joins_its_neighbours,
        a_long_range_is_pruned_as_each_of_it_would_be,
    };
    return unit_run("unseen", tests, UNIT_COUNT(tests));
}
