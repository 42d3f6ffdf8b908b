/* Lanes: how many rows a copy will have, seen from what is loaded. */
#include "backfill/chunk_key.h"
#include "backfill/lane.h"
#include "base/mem.h"
#include "unit.h"

static const struct copy_key_column COLUMN = {
    .name = "id", .type = "pg_catalog.int4", .order = KEY_SIGNED};
static const struct copy_key KEY = {1, &COLUMN};

/* Four lanes, with bounds 10, 20, 30. */
static struct lanes four_lanes(void)
{
    struct lanes lanes;
    struct err err = {0};
    struct copy_plan plan = {.made = true, .bound_count = 3};
    plan.bounds = mem_zero(3, sizeof *plan.bounds);
    for (int i = 0; i < 3; i++)
        plan.bounds[i] = mem_format("%d", 10 * (i + 1));
    ck_assert_msg(lanes_plan(&lanes, &KEY, &plan, &err), "%s", err.message);
    return lanes;
}

/* The lane's next chunk; upto NULL: its last. */
static void load(struct lanes *lanes, uint32_t lane, uint64_t rows, const char *upto)
{
    struct err err = {0};
    char *texts[] = {(char *)(uintptr_t)upto};
    const struct chunk_record record = {
        .lane = lane,
        .number = (uint32_t)lanes->items[lane].chunk_count,
        .upto = upto == NULL ? NULL : texts,
        .snapshot = (char[]){"10:10:"},
        .lsn = 5,
        .rows = rows,
    };
    ck_assert_msg(lanes_add(lanes, &record, &err), "%s", err.message);
}

START_TEST(before_a_lane_has_ended_the_statistics_stand)
{
    struct lanes none = {0}, lanes = four_lanes();
    ck_assert_int_eq(lanes_expected_rows(&none, 70), 70);
    ck_assert_int_eq(lanes_expected_rows(&none, -1), -1);
    ck_assert_int_eq(lanes_expected_rows(&lanes, 400), 400);
    ck_assert_int_eq(lanes_expected_rows(&lanes, -1), -1);
    load(&lanes, 1, 60, "15");
    ck_assert_int_eq(lanes_expected_rows(&lanes, 400), 400);
    lanes_free(&lanes);
}
END_TEST

/* Bounds are as the source has ordered them, whatever it goes by. */
START_TEST(lanes_between_asked_bounds_are_told_by_their_number)
{
    const struct copy_key_column column = {.name = "id", .type = "x", .order = KEY_ASKED};
    const struct copy_key key = {1, &column};
    struct copy_plan plan = {.made = true, .bound_count = 300};
    struct lanes lanes;
    struct err err = {0};
    plan.bounds = mem_zero(300, sizeof *plan.bounds);
    for (int i = 0; i < 300; i++)
        plan.bounds[i] = mem_format("%d", 300 - i);
    ck_assert_msg(lanes_plan(&lanes, &key, &plan, &err), "%s", err.message);
    for (uint32_t i = 0; i <= 300; i++) {
        struct buf place = {0};
        chunk_key_append_place(i, &place);
        ck_assert_ptr_eq(lanes_find(&lanes, &place), &lanes.items[i]);
        buf_free(&place);
    }
    lanes_free(&lanes);
}
END_TEST

START_TEST(a_lane_with_more_rows_than_it_should_raises_the_sum)
{
    struct lanes lanes = four_lanes();
    load(&lanes, 1, 150, "15");
    ck_assert_int_eq(lanes_expected_rows(&lanes, 400), 450);
    lanes_free(&lanes);
}
END_TEST

START_TEST(lanes_at_their_end_tell_of_the_others)
{
    struct lanes lanes = four_lanes();
    load(&lanes, 0, 1000, NULL);
    ck_assert_int_eq(lanes_expected_rows(&lanes, -1), 4000);
    ck_assert_int_eq(lanes_expected_rows(&lanes, 400), 1000 + 3 * 550);
    load(&lanes, 2, 900, "25");
    load(&lanes, 2, 300, NULL);
    ck_assert_int_eq(lanes_expected_rows(&lanes, 400), 2200 + 2 * 1100);
    load(&lanes, 1, 5, NULL);
    load(&lanes, 3, 0, NULL);
    ck_assert_int_eq(lanes_expected_rows(&lanes, 400), 2205);
    lanes_free(&lanes);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        before_a_lane_has_ended_the_statistics_stand,
        lanes_between_asked_bounds_are_told_by_their_number,
        a_lane_with_more_rows_than_it_should_raises_the_sum,
        lanes_at_their_end_tell_of_the_others,
    };
    return unit_run("lane", tests, UNIT_COUNT(tests));
}
