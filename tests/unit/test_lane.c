/* Lanes: how many rows a copy will have, seen from what is loaded. */
#include "backfill/chunk_key.h"
#include "backfill/lane.h"
#include "base/mem.h"
#include "unit.h"

#include <stdio.h>

static const struct copy_key_column COLUMN = {
    .name = "id", .type = "pg_catalog.int4", .order = KEY_SIGNED};
static const struct copy_key KEY = {1, &COLUMN};

/* Of one value, or two. */
static char **bound_of(const char *first, const char *second)
{
    char **bound = mem_zero(3, sizeof *bound);
    bound[0] = mem_string(first);
    bound[1] = mem_string(second);
    return bound;
}

static char **bound_of_number(int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    return bound_of(text, NULL);
}

/* Four lanes, with bounds 10, 20, 30. */
static struct lanes four_lanes(void)
{
    struct lanes lanes;
    struct err err = {0};
    struct copy_plan plan = {.made = true, .bound_count = 3};
    plan.bounds = mem_zero(3, sizeof *plan.bounds);
    for (int i = 0; i < 3; i++)
        plan.bounds[i] = bound_of_number(10 * (i + 1));
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
        plan.bounds[i] = bound_of_number(300 - i);
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

/* Tenant 7 has most rows: its lanes are told apart by a second column. */
START_TEST(lanes_may_begin_within_a_value_of_the_leading_column)
{
    const struct copy_key_column columns[] = {
        {.name = "tenant", .type = "int", .order = KEY_SIGNED},
        {.name = "name", .type = "text", .order = KEY_BYTES}};
    const struct copy_key key = {2, columns};
    static const struct {
        const char *tenant, *name;
        size_t lane;
    } PLACES[] = {{"6", "zz", 0}, {"7", "", 1},   {"7", "l", 1}, {"7", "m", 2}, {"7", "ma", 2},
                  {"7", "n", 3},  {"7", "zz", 3}, {"8", "", 4},  {"9", "a", 4}, {"-8", "n", 0}};
    struct copy_plan plan = {.made = true, .bound_count = 4};
    struct lanes lanes;
    struct err err = {0};
    plan.bounds = mem_zero(4, sizeof *plan.bounds);
    plan.bounds[0] = bound_of("7", NULL);
    plan.bounds[1] = bound_of("7", "m");
    plan.bounds[2] = bound_of("7", "n");
    plan.bounds[3] = bound_of("8", NULL);
    ck_assert_msg(lanes_plan(&lanes, &key, &plan, &err), "%s", err.message);
    for (size_t i = 0; i < UNIT_COUNT(PLACES); i++) {
        struct buf place = {0};
        ck_assert(chunk_key_append_text(&columns[0], PLACES[i].tenant, &place));
        ck_assert(chunk_key_append_text(&columns[1], PLACES[i].name, &place));
        ck_assert_ptr_eq(lanes_find(&lanes, &place), &lanes.items[PLACES[i].lane]);
        buf_free(&place);
    }
    lanes_free(&lanes);
}
END_TEST

START_TEST(bounds_that_are_no_keys_in_order_are_refused)
{
    const struct copy_key one = {1, &COLUMN};
    char **const bad[][2] = {{bound_of("5", NULL), bound_of("4", NULL)},
                             {bound_of("5", NULL), bound_of("5", NULL)},
                             {bound_of("5", NULL), bound_of("6", "1")},
                             {bound_of("5", NULL), bound_of(NULL, NULL)},
                             {bound_of("5", NULL), bound_of("x", NULL)}};
    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        struct copy_plan plan = {.made = true, .bound_count = 2};
        struct lanes lanes;
        struct err err = {0};
        plan.bounds = mem_zero(2, sizeof *plan.bounds);
        plan.bounds[0] = bad[i][0];
        plan.bounds[1] = bad[i][1];
        ck_assert(!lanes_plan(&lanes, &one, &plan, &err));
        ck_assert_int_eq(err.class, ERR_CORRUPT);
        lanes_free(&lanes);
    }
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
        lanes_between_asked_bounds_are_told_by_their_number,
        lanes_may_begin_within_a_value_of_the_leading_column,
        bounds_that_are_no_keys_in_order_are_refused,
        a_lane_with_more_rows_than_it_should_raises_the_sum,
        lanes_at_their_end_tell_of_the_others,
        chunks_that_are_passed_become_one,
        a_long_copy_that_the_stream_follows_takes_no_memory,
    };
    return unit_run("lane", tests, UNIT_COUNT(tests));
}
