/* How parked keys are compared, and how dead letters are counted. */
#include "pipeline/quarantine.h"
#include "unit.h"

#include <string.h>

static const char *const COLUMNS[] = {"a", "b"};

struct world {
    struct table_counters counters;
    struct parked_identity identity;
    struct quarantine *quarantine;
    struct buf under_way;
    uint64_t upto;
};

static void open_world(struct world *world, const enum parked_compare *compares)
{
    static const char *const SOURCE = "ours";
    *world = (struct world){.identity = {.count = 2, .columns = COLUMNS, .compares = compares}};
    world->quarantine =
        quarantine_create(&(struct quarantine_config){.table_count = 1,
                                                      .identities = &world->identity,
                                                      .sources = &SOURCE,
                                                      .counters = &world->counters});
}

static void close_world(struct world *world)
{
    quarantine_free(world->quarantine);
    buf_free(&world->under_way);
}

/* ---- keys ---- */

struct key {
    struct value a, b;
};

#define TEXT(text)                                                                             \
    {                                                                                          \
        text, sizeof text - 1, VALUE_TEXT                                                      \
    }
#define BINARY(bytes)                                                                          \
    {                                                                                          \
        bytes, sizeof bytes - 1, VALUE_BINARY                                                  \
    }

static bool is_parked(struct world *world, const struct key *key)
{
    struct column columns[] = {{.name = (char *)(uintptr_t)COLUMNS[0]},
                               {.name = (char *)(uintptr_t)COLUMNS[1]}};
    const struct relation relation = {.column_count = 2, .columns = columns};
    struct value values[] = {key->a, key->b};
    const struct row row = {.count = 2, .values = values};
    struct buf bytes = {0};
    ck_assert(quarantine_append_key(world->quarantine, 0, &relation, &row, NULL, &bytes));
    bool found = quarantine_find(world->quarantine, 0, &bytes) != 0;
    buf_free(&bytes);
    return found;
}

/* Whether the second waits behind the first. */
static bool are_one(enum parked_compare compare, const struct key *first,
                    const struct key *second)
{
    const enum parked_compare compares[] = {compare, PARKED_AS_WRITTEN};
    struct world world;
    open_world(&world, compares);
    quarantine_note_key(world.quarantine, 0, (const struct value[]){first->a, first->b}, 1);
    bool one = is_parked(&world, second);
    close_world(&world);
    return one;
}

START_TEST(keys_are_one_where_their_values_are_equal)
{
    static const struct {
        enum parked_compare compare;
        struct key first, second;
        bool one;
    } CASES[] = {
        {PARKED_AS_WRITTEN, {TEXT("1.0"), TEXT("x")}, {TEXT("1.00"), TEXT("x")}, false},
        {PARKED_NUMERIC, {TEXT("1.0"), TEXT("x")}, {TEXT("1.00"), TEXT("x")}, true},
        {PARKED_NUMERIC, {TEXT("1.50"), TEXT("x")}, {TEXT("1.5"), TEXT("x")}, true},
        {PARKED_NUMERIC, {TEXT("0.00"), TEXT("x")}, {TEXT("0"), TEXT("x")}, true},
        {PARKED_NUMERIC, {TEXT("100"), TEXT("x")}, {TEXT("1"), TEXT("x")}, false},
        {PARKED_NUMERIC, {TEXT("10.0"), TEXT("x")}, {TEXT("1"), TEXT("x")}, false},
        {PARKED_NUMERIC, {TEXT("NaN"), TEXT("x")}, {TEXT("NaN"), TEXT("x")}, true},
        {PARKED_NUMERIC, {TEXT("1.0"), TEXT("x")}, {TEXT("1.00"), TEXT("y")}, false},
        /* numeric_send(): one digit, 1, shown with one and with two of the fraction */
        {PARKED_NUMERIC,
         {BINARY("\0\1\0\0\0\0\0\1\0\1"), TEXT("x")},
         {BINARY("\0\1\0\0\0\0\0\2\0\1"), TEXT("x")},
         true},
        {PARKED_NUMERIC,
         {BINARY("\0\1\0\0\0\0\0\1\0\1"), TEXT("x")},
         {BINARY("\0\1\0\0\0\0\0\1\0\2"), TEXT("x")},
         false},
        {PARKED_PADDED, {TEXT("a  "), TEXT("x")}, {TEXT("a"), TEXT("x")}, true},
        {PARKED_PADDED, {TEXT(" a"), TEXT("x")}, {TEXT("a"), TEXT("x")}, false},
        {PARKED_PADDED, {TEXT("  "), TEXT("x")}, {TEXT(""), TEXT("x")}, true},
        {PARKED_NOT, {TEXT("a"), TEXT("x")}, {TEXT("A"), TEXT("x")}, true},
        {PARKED_NOT, {TEXT("a"), TEXT("x")}, {TEXT("a"), TEXT("y")}, false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        ck_assert_msg(are_one(CASES[i].compare, &CASES[i].first, &CASES[i].second) ==
                          CASES[i].one,
                      "case %zu", i);
}
END_TEST

/* ---- counts ---- */

static uint64_t letters_of(const struct world *world)
{
    return counter_get(&world->counters.dead_letters);
}

/* What the target counts of `there` is added by who reads it. */
static void read_again(struct world *world, const char *under_way, uint64_t there)
{
    buf_clear(&world->under_way);
    quarantine_forget(world->quarantine, &world->upto, &world->under_way);
    ck_assert_str_eq(buf_text(&world->under_way), under_way);
    quarantine_note_letters(world->quarantine, 0, there);
}

START_TEST(letters_of_the_copy_are_counted_once_whenever_the_target_is_read)
{
    struct world world;
    struct copied_letters copied;
    open_world(&world, NULL);
    read_again(&world, "{}", 0);
    ck_assert_uint_eq(world.upto, INT64_MAX);
    quarantine_copy_join(world.quarantine, &copied);
    quarantine_copy_begin(world.quarantine, &copied, 0);
    ck_assert_uint_eq(quarantine_copy_id(world.quarantine, &copied), 1);
    read_again(&world, "{1}", 0);
    ck_assert_uint_eq(world.upto, 1); /* one that is numbered after this is not counted */
    ck_assert_uint_eq(letters_of(&world), 0);
    quarantine_copy_tell(world.quarantine, &copied, 1);
    ck_assert_uint_eq(letters_of(&world), 1);
    read_again(&world, "{1}", 0);
    ck_assert_uint_eq(letters_of(&world), 1);
    quarantine_copy_end(world.quarantine, &copied);
    read_again(&world, "{}", 1);
    ck_assert_uint_eq(letters_of(&world), 1);
    quarantine_copy_leave(world.quarantine, &copied);
    close_world(&world);
}
END_TEST

START_TEST(letters_that_the_target_has_lost_are_taken_back_even_if_it_was_read)
{
    struct world world;
    struct copied_letters copied, other;
    open_world(&world, NULL);
    quarantine_copy_join(world.quarantine, &copied);
    quarantine_copy_join(world.quarantine, &other);
    quarantine_copy_begin(world.quarantine, &copied, 0);
    quarantine_copy_begin(world.quarantine, &other, 0);
    (void)quarantine_copy_id(world.quarantine, &copied);
    (void)quarantine_copy_id(world.quarantine, &copied);
    (void)quarantine_copy_id(world.quarantine, &other);
    quarantine_copy_tell(world.quarantine, &copied, 2);
    quarantine_copy_tell(world.quarantine, &other, 1);
    read_again(&world, "{3,1,2}", 5);
    ck_assert_uint_eq(letters_of(&world), 8);
    quarantine_copy_take_back(world.quarantine, &copied);
    ck_assert_uint_eq(letters_of(&world), 6);
    quarantine_copy_take_back(world.quarantine, &copied); /* there is nothing more */
    ck_assert_uint_eq(letters_of(&world), 6);
    quarantine_copy_leave(world.quarantine, &copied);
    quarantine_copy_leave(world.quarantine, &other);
    close_world(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        keys_are_one_where_their_values_are_equal,
        letters_of_the_copy_are_counted_once_whenever_the_target_is_read,
        letters_that_the_target_has_lost_are_taken_back_even_if_it_was_read,
    };
    return unit_run("quarantine", tests, UNIT_COUNT(tests));
}
