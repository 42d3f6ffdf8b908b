/* The SELECT of a key range, word for word. */
#include "postgres/key_range.h"
#include "unit.h"

static const struct copy_key_column ONE[] = {
    {.name = "id", .type = "bigint", .order = KEY_SIGNED}};
static const struct copy_key_column TWO[] = {
    {.name = "tenant", .type = "integer", .order = KEY_SIGNED},
    {.name = "na\"me", .type = "text", .order = KEY_BYTES}};
static const char *const TEN[] = {"10", NULL};
static const char *const TWENTY[] = {"20", NULL};
static const struct copy_key KEY_OF_ONE = {.count = 1, .columns = ONE};
static const struct copy_key KEY_OF_TWO = {.count = 2, .columns = TWO};

static void expect(bool partitioned, const struct copy_key *key, struct copy_range range,
                   const char *expected)
{
    struct column columns[] = {{.name = (char *)(uintptr_t) "id"},
                               {.name = (char *)(uintptr_t) "Na me"}};
    struct relation *relation = relation_create("app", "t", 2, columns);
    struct buf sql = {0};
    key_range_select(&sql, relation, partitioned, key, &range);
    ck_assert_str_eq(sql.data, expected);
    buf_free(&sql);
    relation_free(relation);
}

#define SELECT "SELECT \"id\", \"Na me\" FROM ONLY \"app\".\"t\""
#define SELECT_ALL "SELECT \"id\", \"Na me\" FROM \"app\".\"t\""

START_TEST(the_whole_table_has_no_conditions_and_no_order)
{
    const struct copy_key none = {0};
    expect(false, &none, (struct copy_range){0}, SELECT);
    expect(true, &KEY_OF_ONE, (struct copy_range){0}, SELECT_ALL);
    ck_assert(!key_range_is_bounded(&(struct copy_range){0}));
}
END_TEST

START_TEST(a_lane_begins_at_its_bound_and_goes_on_after_the_last_key)
{
    expect(false, &KEY_OF_ONE,
           (struct copy_range){.from = TEN, .below = TWENTY, .most_rows = 1000},
           SELECT " WHERE \"id\" >= '10'::bigint AND \"id\" < '20'::bigint"
                  " ORDER BY \"id\" FETCH FIRST 1000 ROWS WITH TIES");
    expect(false, &KEY_OF_ONE,
           (struct copy_range){
               .from = TEN, .below = TWENTY, .after = (const char *[]){"15"}, .most_rows = 1},
           SELECT " WHERE (\"id\") > ('15'::bigint) AND \"id\" < '20'::bigint"
                  " ORDER BY \"id\" FETCH FIRST 1 ROWS WITH TIES");
}
END_TEST

START_TEST(a_chunk_that_is_known_is_read_again_up_to_its_last_key)
{
    expect(false, &KEY_OF_ONE, (struct copy_range){.from = TEN, .upto = (const char *[]){"15"}},
           SELECT " WHERE \"id\" >= '10'::bigint AND (\"id\") <= ('15'::bigint)"
                  " ORDER BY \"id\"");
    expect(false, &KEY_OF_ONE, (struct copy_range){.upto = (const char *[]){"-15"}},
           SELECT " WHERE (\"id\") <= ('-15'::bigint) ORDER BY \"id\"");
}
END_TEST

START_TEST(keys_of_two_columns_are_compared_as_rows)
{
    expect(false, &KEY_OF_TWO,
           (struct copy_range){.after = (const char *[]){"7", "o'neil\\"},
                               .upto = (const char *[]){"9", ""},
                               .most_rows = 5},
           SELECT " WHERE (\"tenant\", \"na\"\"me\") > ('7'::integer,  E'o''neil\\\\'::text)"
                  " AND (\"tenant\", \"na\"\"me\") <= ('9'::integer, ''::text)"
                  " ORDER BY \"tenant\", \"na\"\"me\" FETCH FIRST 5 ROWS WITH TIES");
}
END_TEST

START_TEST(a_lane_may_begin_within_a_value_of_the_leading_column)
{
    const struct copy_range range = {.from = (const char *[]){"7", "m", NULL},
                                     .below = (const char *[]){"8", "b", NULL},
                                     .most_rows = 5};
    expect(false, &KEY_OF_TWO, range,
           SELECT " WHERE (\"tenant\", \"na\"\"me\") >= ('7'::integer, 'm'::text)"
                  " AND (\"tenant\", \"na\"\"me\") < ('8'::integer, 'b'::text)"
                  " ORDER BY \"tenant\", \"na\"\"me\" FETCH FIRST 5 ROWS WITH TIES");
    expect(true, &KEY_OF_TWO, (struct copy_range){.from = range.from, .below = range.below},
           SELECT_ALL " WHERE (\"tenant\", \"na\"\"me\") >= ('7'::integer, 'm'::text)"
                      " AND \"tenant\" >= '7'::integer"
                      " AND (\"tenant\", \"na\"\"me\") < ('8'::integer, 'b'::text)"
                      " AND \"tenant\" <= '8'::integer ORDER BY \"tenant\", \"na\"\"me\"");
    expect(false, &KEY_OF_TWO, (struct copy_range){.from = TEN, .below = range.below},
           SELECT " WHERE \"tenant\" >= '10'::integer"
                  " AND (\"tenant\", \"na\"\"me\") < ('8'::integer, 'b'::text)"
                  " ORDER BY \"tenant\", \"na\"\"me\"");
}
END_TEST

START_TEST(partitions_are_pruned_by_the_leading_column)
{
    expect(true, &KEY_OF_TWO,
           (struct copy_range){.after = (const char *[]){"7", "a"},
                               .below = (const char *[]){"9", NULL}},
           SELECT_ALL " WHERE (\"tenant\", \"na\"\"me\") > ('7'::integer, 'a'::text)"
                      " AND \"tenant\" >= '7'::integer AND \"tenant\" < '9'::integer"
                      " ORDER BY \"tenant\", \"na\"\"me\"");
    expect(true, &KEY_OF_TWO, (struct copy_range){.upto = (const char *[]){"7", "a"}},
           SELECT_ALL " WHERE (\"tenant\", \"na\"\"me\") <= ('7'::integer, 'a'::text)"
                      " AND \"tenant\" <= '7'::integer ORDER BY \"tenant\", \"na\"\"me\"");
    expect(true, &KEY_OF_ONE, (struct copy_range){.after = (const char *[]){"7"}},
           SELECT_ALL " WHERE (\"id\") > ('7'::bigint) ORDER BY \"id\"");
}
END_TEST

START_TEST(any_bound_makes_a_range)
{
    const char *key[] = {"1"};
    ck_assert(key_range_is_bounded(&(struct copy_range){.from = TEN}));
    ck_assert(key_range_is_bounded(&(struct copy_range){.below = TEN}));
    ck_assert(key_range_is_bounded(&(struct copy_range){.after = key}));
    ck_assert(key_range_is_bounded(&(struct copy_range){.upto = key}));
    ck_assert(key_range_is_bounded(&(struct copy_range){.most_rows = 1}));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_whole_table_has_no_conditions_and_no_order,
        a_lane_begins_at_its_bound_and_goes_on_after_the_last_key,
        a_chunk_that_is_known_is_read_again_up_to_its_last_key,
        keys_of_two_columns_are_compared_as_rows,
        a_lane_may_begin_within_a_value_of_the_leading_column,
        partitions_are_pruned_by_the_leading_column,
        any_bound_makes_a_range,
    };
    return unit_run("key_range", tests, UNIT_COUNT(tests));
}
