/* The SELECT of a key range, word for word. */
#include "postgres/key_range.h"
#include "unit.h"

static const struct copy_key_column ONE[] = {
    {.name = "id", .type = "bigint", .order = KEY_SIGNED}};
static const struct copy_key_column TWO[] = {
    {.name = "tenant", .type = "integer", .order = KEY_SIGNED},
    {.name = "na\"me", .type = "text", .order = KEY_BYTES}};
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
           (struct copy_range){.from = "10", .below = "20", .most_rows = 1000},
           SELECT " WHERE \"id\" >= '10'::bigint AND \"id\" < '20'::bigint"
                  " ORDER BY \"id\" FETCH FIRST 1000 ROWS WITH TIES");
    expect(false, &KEY_OF_ONE,
           (struct copy_range){.from = "10",
                               .below = "20",
                               .after = (const char *[]){"15"},
                               .most_rows = 1},
           SELECT " WHERE (\"id\") > ('15'::bigint) AND \"id\" < '20'::bigint"
                  " ORDER BY \"id\" FETCH FIRST 1 ROWS WITH TIES");
}
END_TEST

START_TEST(a_chunk_that_is_known_is_read_again_up_to_its_last_key)
{
    expect(false, &KEY_OF_ONE,
           (struct copy_range){.from = "10", .upto = (const char *[]){"15"}},
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

START_TEST(partitions_are_pruned_by_the_leading_column)
{
    expect(true, &KEY_OF_TWO,
           (struct copy_range){.after = (const char *[]){"7", "a"}, .below = "9"},
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
    ck_assert(key_range_is_bounded(&(struct copy_range){.from = "1"}));
    ck_assert(key_range_is_bounded(&(struct copy_range){.below = "1"}));
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
        partitions_are_pruned_by_the_leading_column,
        any_bound_makes_a_range,
    };
    return unit_run("key_range", tests, UNIT_COUNT(tests));
}
