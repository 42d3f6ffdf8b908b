/* The SQL of stages, and what becomes of them at the end of a transaction. */
#include "base/mem.h"
#include "postgres/stage.h"
#include "unit.h"

#include <string.h>

enum { COLUMNS = 4 };

static struct relation *make_relation(bool key_only)
{
    static char order[] = "order", line[] = "line", note[] = "a \"note\"", serial[] = "serial";
    const struct column columns[COLUMNS] = {{.name = order, .key = true},
                                            {.name = line, .key = true},
                                            {.name = note},
                                            {.name = serial, .identity_always = true}};
    return relation_create("app", "items", key_only ? 2 : COLUMNS, columns);
}

static void check_merge(enum stage_operation operation, const struct relation *relation,
                        char kind, const char *expected, bool expected_counts)
{
    static const bool KNOWN[COLUMNS] = {true, true, true, false};
    const struct catalog_table table = {.kind = kind};
    struct stages stages = {0};
    struct buf sql = {0};
    bool counts = !expected_counts;
    const struct stage *stage = stages_find(&stages, operation, 0, relation, KNOWN);
    stage_merge_sql(&sql, stage, &table, &counts);
    ck_assert_str_eq(buf_text(&sql), expected);
    ck_assert_int_eq(counts, expected_counts);
    buf_free(&sql);
    stages_forget(&stages);
}

START_TEST(rows_are_found_by_their_key)
{
    struct relation *relation = make_relation(false);
    check_merge(STAGE_DELETE, relation, 'r',
                "DELETE FROM ONLY \"app\".\"items\" AS t USING pg_temp.slackwater_set_0 AS s"
                " WHERE t.\"order\" = s.\"order\" AND t.\"line\" = s.\"line\"",
                false);
    check_merge(STAGE_UPDATE, relation, 'p',
                "UPDATE \"app\".\"items\" AS t SET \"a \"\"note\"\"\" = s.\"a \"\"note\"\"\""
                " FROM pg_temp.slackwater_set_0 AS s"
                " WHERE t.\"order\" = s.\"order\" AND t.\"line\" = s.\"line\"",
                false);
    relation_free(relation);
}
END_TEST

START_TEST(an_upsert_tells_how_many_rows_there_were_where_it_can)
{
    struct relation *relation = make_relation(false), *keys = make_relation(true);
    check_merge(STAGE_UPSERT, relation, 'r',
                "WITH written AS (INSERT INTO \"app\".\"items\""
                " (\"order\", \"line\", \"a \"\"note\"\"\", \"serial\") OVERRIDING SYSTEM VALUE"
                " SELECT \"order\", \"line\", \"a \"\"note\"\"\", \"serial\""
                " FROM pg_temp.slackwater_set_0 ON CONFLICT (\"order\", \"line\")"
                " DO UPDATE SET \"a \"\"note\"\"\" = EXCLUDED.\"a \"\"note\"\"\""
                " RETURNING xmax <> 0 AS existed)"
                " SELECT count(*) FILTER (WHERE existed) FROM written",
                true);
    check_merge(STAGE_UPSERT, keys, 'r',
                "INSERT INTO \"app\".\"items\" (\"order\", \"line\") OVERRIDING SYSTEM VALUE"
                " SELECT \"order\", \"line\" FROM pg_temp.slackwater_set_0"
                " ON CONFLICT (\"order\", \"line\") DO NOTHING",
                false);
    relation_free(relation);
    relation_free(keys);
}
END_TEST

START_TEST(a_stage_takes_the_columns_that_it_has)
{
    static const bool KNOWN[COLUMNS] = {true, true, false, true};
    const struct catalog_table table = {.kind = 'r'};
    struct relation *relation = make_relation(false);
    struct stages stages = {0};
    struct value row[COLUMNS] = {{.size = 1}, {.size = 2}, {.size = 3}, {.size = 4}};
    struct value room[COLUMNS];
    struct buf sql = {0};
    struct stage *stage = stages_find(&stages, STAGE_UPDATE, 0, relation, KNOWN);
    ck_assert_uint_eq(stage_pick(stage, row, room), 3);
    ck_assert_uint_eq(room[2].size, 4);
    stage_create_sql(&sql, stage, &table);
    buf_append_text(&sql, "; ");
    stage_copy_sql(&sql, stage, false);
    buf_append_text(&sql, "; ");
    stage_straight_sql(&sql, relation, true);
    ck_assert_str_eq(buf_text(&sql),
                     "CREATE TEMPORARY TABLE IF NOT EXISTS pg_temp.slackwater_set_0"
                     " ON COMMIT DELETE ROWS AS SELECT \"order\", \"line\", \"serial\""
                     " FROM ONLY \"app\".\"items\" WITH NO DATA;"
                     " COPY pg_temp.slackwater_set_0 (\"order\", \"line\", \"serial\")"
                     " FROM STDIN (FORMAT text);"
                     " COPY \"app\".\"items\" (\"order\", \"line\", \"a \"\"note\"\"\","
                     " \"serial\") FROM STDIN (FORMAT binary)");
    buf_free(&sql);
    stages_forget(&stages);
    relation_free(relation);
}
END_TEST

START_TEST(each_operation_pattern_and_user_has_a_stage_of_its_own)
{
    static const bool SOME[COLUMNS] = {true, true, false, false};
    static const bool ALL[COLUMNS] = {true, true, true, true};
    struct relation *relation = make_relation(false);
    struct stages stages = {0};
    const struct stage *update = stages_find(&stages, STAGE_UPDATE, 0, relation, ALL);
    ck_assert_ptr_ne(update, stages_find(&stages, STAGE_UPDATE, 0, relation, SOME));
    ck_assert_ptr_ne(update, stages_find(&stages, STAGE_UPSERT, 0, relation, NULL));
    ck_assert_ptr_ne(update, stages_find(&stages, STAGE_UPDATE, 1, relation, ALL));
    ck_assert_ptr_eq(update, stages_find(&stages, STAGE_UPDATE, 0, relation, ALL));
    ck_assert_uint_eq(stages.count, 4);
    stages_forget(&stages);
    relation_free(relation);
}
END_TEST

START_TEST(what_a_transaction_made_is_gone_when_it_is_undone)
{
    struct relation *relation = make_relation(false);
    struct stages stages = {0};
    struct stage *stage = stages_find(&stages, STAGE_DELETE, 0, relation, NULL);
    stage->made = stage->fresh = stage->used = true;
    stages_rolled_back(&stages, true);
    ck_assert(!stage->made && stage->used);
    stage->made = stage->fresh = stage->used = true;
    stages_rolled_back(&stages, false);
    ck_assert(!stage->made && !stage->used);
    stage->made = stage->fresh = stage->used = true;
    stages_committed(&stages);
    ck_assert(stage->made && !stage->used);
    stages_rolled_back(&stages, false);
    ck_assert(stage->made);
    stages_forget(&stages);
    relation_free(relation);
}
END_TEST

START_TEST(there_are_only_so_many_and_they_grow_old)
{
    struct stages stages = {0};
    struct relation *relations[STAGES_MOST];
    struct relation *extra = make_relation(false);
    for (size_t i = 0; i < STAGES_MOST; i++) {
        relations[i] = make_relation(false);
        ck_assert_ptr_nonnull(stages_find(&stages, STAGE_DELETE, 0, relations[i], NULL));
    }
    ck_assert(!stages_are_old(&stages, stages.since + STAGES_LAST - 1));
    ck_assert(stages_are_old(&stages, stages.since + STAGES_LAST));
    ck_assert_ptr_null(stages_find(&stages, STAGE_DELETE, 0, extra, NULL));
    ck_assert_ptr_nonnull(stages_find(&stages, STAGE_DELETE, 0, relations[7], NULL));
    ck_assert(!stages_are_old(&stages, stages.since + STAGES_LAST_REFUSED - 1));
    ck_assert(stages_are_old(&stages, stages.since + STAGES_LAST_REFUSED));
    stages_forget(&stages);
    ck_assert(!stages_are_old(&stages, clock_monotonic() + STAGES_LAST));
    ck_assert_ptr_nonnull(stages_find(&stages, STAGE_DELETE, 0, extra, NULL));
    stages_forget(&stages);
    for (size_t i = 0; i < STAGES_MOST; i++)
        relation_free(relations[i]);
    relation_free(extra);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rows_are_found_by_their_key,
        an_upsert_tells_how_many_rows_there_were_where_it_can,
        a_stage_takes_the_columns_that_it_has,
        each_operation_pattern_and_user_has_a_stage_of_its_own,
        what_a_transaction_made_is_gone_when_it_is_undone,
        there_are_only_so_many_and_they_grow_old,
    };
    return unit_run("stage", tests, UNIT_COUNT(tests));
}
