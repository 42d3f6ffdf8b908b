/* Lanes: how many rows a copy will have, seen from what is loaded. */
#include "backfill/chunk_key.h"
#include "backfill/lane.h"
#include "base/mem.h"
#include "unit.h"

#include <stdio.h>

static const struct copy_key_column COLUMN = {"id", "pg_catalog.int4", KEY_SIGNED};
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
    lsn_t lsn = 5 + lanes->items[lane].loaded;
    char *texts[] = {(char *)(uintptr_t)upto};
    const struct chunk_record record = {
        .lane = lane,
        .number = lanes->items[lane].loaded,
        .upto = upto == NULL ? NULL : texts,
        .snapshot = (char[]){"10:10:"},
        .lsn = lsn,
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

/* Lane 1 has the keys from 10 to 19. */
static const struct chunk *chunk_of(struct lanes *lanes, const char *id)
{
    struct buf key = {0};
    ck_assert(chunk_key_append_text(&COLUMN, id, &key));
    const struct chunk *chunk = lane_find(lanes_find(lanes, &key), &key);
    buf_free(&key);
    return chunk;
}

START_TEST(chunks_that_are_passed_become_one)
{
    struct lanes lanes = four_lanes();
    const struct lane *lane = &lanes.items[1];
    for (int upto = 11; upto < 17; upto++) {
        char text[8];
        snprintf(text, sizeof text, "%d", upto);
        load(&lanes, 1, 1, text);
    }
    ck_assert(!lanes_pass(&lanes, 8));
    ck_assert_uint_eq(lane->chunk_count, 3);
    ck_assert(!chunk_of(&lanes, "10")->judges && !chunk_of(&lanes, "14")->judges);
    ck_assert(chunk_of(&lanes, "15")->judges && chunk_of(&lanes, "16")->judges);
    ck_assert_ptr_null(chunk_of(&lanes, "17"));
    ck_assert(!lanes_pass(&lanes, 9));
    ck_assert_uint_eq(lane->chunk_count, 2);
    load(&lanes, 1, 1, NULL);
    ck_assert_uint_eq(lane->loaded, 7);
    ck_assert(!lanes_pass(&lanes, 20));
    ck_assert_uint_eq(lane->chunk_count, 1);
    ck_assert(!chunk_of(&lanes, "10")->judges && !chunk_of(&lanes, "19")->judges);
    ck_assert_ptr_null(chunk_of(&lanes, "20"));
    lanes_free(&lanes);
}
END_TEST

START_TEST(a_long_copy_that_the_stream_follows_takes_no_memory)
{
    struct lanes lanes = four_lanes();
    for (int i = 0; i < 100000; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", 1000 + i);
        load(&lanes, 3, 1, text);
        ck_assert(!lanes_pass(&lanes, 5 + (lsn_t)i));
        ck_assert_uint_le(lanes.items[3].chunk_count, 2);
    }
    lanes_free(&lanes);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        before_a_lane_has_ended_the_statistics_stand,
        a_lane_with_more_rows_than_it_should_raises_the_sum,
        lanes_at_their_end_tell_of_the_others,
        chunks_that_are_passed_become_one,
        a_long_copy_that_the_stream_follows_takes_no_memory,
    };
    return unit_run("lane", tests, UNIT_COUNT(tests));
}
