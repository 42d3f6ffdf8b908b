/* The SQL of the stage that chunks go through. */
#include "postgres/copy_stage.h"
#include "schema/formula.h"
#include "unit.h"

#include <string.h>

#define STAGED " FROM pg_temp.slackwater_stage_3 AS slackwater_stage"

static struct relation *make_relation(const char *formula)
{
    static char id[] = "id", note[] = "a \"note\"", serial[] = "serial";
    struct column columns[] = {{.name = id, .key = true},
                               {.name = note, .formula = (char *)(uintptr_t)formula},
                               {.name = serial, .identity_always = true}};
    struct relation *relation = relation_create("app", "items", UNIT_COUNT(columns), columns);
    relation->table = 3;
    return relation;
}

typedef void append_sql(struct buf *sql, const struct copy_stage *stage);

static void check(append_sql *append, const struct copy_stage *stage, const char *expected)
{
    struct buf sql = {0};
    append(&sql, stage);
    ck_assert_str_eq(buf_text(&sql), expected);
    buf_free(&sql);
}

START_TEST(copy_fills_the_stage_or_the_table)
{
    struct relation *relation = make_relation(NULL);
    const struct copy_stage stage = {.relation = relation};
    struct buf sql = {0};
    copy_stage_load_sql(&sql, &stage, false, true);
    buf_append_text(&sql, "; ");
    copy_stage_load_sql(&sql, &stage, true, false);
    ck_assert_str_eq(buf_text(&sql),
                     "COPY pg_temp.slackwater_stage_3 (\"id\", \"a \"\"note\"\"\", \"serial\")"
                     " FROM STDIN (FORMAT binary);"
                     " COPY \"app\".\"items\" (\"id\", \"a \"\"note\"\"\", \"serial\")"
                     " FROM STDIN (FORMAT text)");
    check(copy_stage_empty_sql, &stage, "DELETE FROM pg_temp.slackwater_stage_3");
    buf_free(&sql);
    relation_free(relation);
}
END_TEST

START_TEST(a_merge_that_overwrites_tells_of_how_many_rows_where_it_can)
{
    static const char INTO[] =
        "INSERT INTO \"app\".\"items\""
        " (\"id\", \"a \"\"note\"\"\", \"serial\") OVERRIDING SYSTEM VALUE"
        " SELECT slackwater_stage.\"id\", slackwater_stage.\"a \"\"note\"\"\","
        " slackwater_stage.\"serial\"" STAGED;
    static const char UPDATE[] = " ON CONFLICT (\"id\") DO UPDATE SET"
                                 " \"a \"\"note\"\"\" = EXCLUDED.\"a \"\"note\"\"\"";
    struct relation *relation = make_relation(NULL);
    struct buf both = {0}, told = {0};
    buf_append_format(&both, "%s%s", INTO, UPDATE);
    buf_append_format(&told,
                      "WITH merged AS (%s%s RETURNING xmax <> 0 AS existed)"
                      " SELECT count(*) FROM merged WHERE existed",
                      INTO, UPDATE);
    check(copy_stage_merge_sql, &(struct copy_stage){.relation = relation}, INTO);
    check(copy_stage_merge_sql, &(struct copy_stage){.relation = relation, .overwrites = true},
          buf_text(&told));
    check(copy_stage_merge_sql,
          &(struct copy_stage){.relation = relation, .overwrites = true, .partitioned = true},
          buf_text(&both));
    buf_free(&both);
    buf_free(&told);
    relation_free(relation);
}
END_TEST

START_TEST(a_row_that_is_nothing_but_its_key_is_left_as_it_is)
{
    static char id[] = "id";
    const struct column column = {.name = id, .key = true};
    struct relation *relation = relation_create("app", "items", 1, &column);
    relation->table = 3;
    check(copy_stage_merge_sql, &(struct copy_stage){.relation = relation, .overwrites = true},
          "INSERT INTO \"app\".\"items\" (\"id\") OVERRIDING SYSTEM VALUE"
          " SELECT slackwater_stage.\"id\"" STAGED " ON CONFLICT (\"id\") DO NOTHING");
    relation_free(relation);
}
END_TEST

START_TEST(rows_are_compared_by_their_key)
{
    struct relation *relation = make_relation(NULL);
    const struct copy_stage plain = {.relation = relation};
    const struct copy_stage parts = {.relation = relation, .partitioned = true};
    check(copy_stage_repeated_sql, &plain,
          "SELECT" STAGED " GROUP BY (\"id\") HAVING count(*) > 1 LIMIT 1");
    check(copy_stage_repeated_of_blocks_sql, &plain,
          "SELECT" STAGED " JOIN ONLY \"app\".\"items\" AS target USING (\"id\")"
          " WHERE age(target.xmin) <= 0 AND pg_xact_status((pg_current_xact_id()::text::bigint"
          " - age(target.xmin))::text::xid8) = 'in progress' LIMIT 1");
    check(copy_stage_met_sql, &parts,
          "SELECT EXISTS (SELECT" STAGED " JOIN \"app\".\"items\" AS target USING (\"id\"))");
    relation_free(relation);
}
END_TEST

START_TEST(what_the_target_makes_is_staged_as_what_its_formula_reads)
{
    const struct formula_input input = {.name = "name", .type = "text"};
    struct buf opening = {0}, value = {0}, expected = {0}, sql = {0};
    formula_open(&opening, "lower(name)", &input, 1);
    formula_append(&value, buf_text(&opening), "slackwater_stage.\"a \"\"note\"\"\"");
    struct relation *relation = make_relation(buf_text(&opening));
    const struct copy_stage stage = {.relation = relation};
    check(copy_stage_create_sql, &stage,
          "CREATE TEMPORARY TABLE IF NOT EXISTS pg_temp.slackwater_stage_3"
          " ON COMMIT DELETE ROWS AS SELECT \"id\","
          " NULL::text[] AS \"a \"\"note\"\"\", \"serial\""
          " FROM \"app\".\"items\" WITH NO DATA");
    buf_append_format(&expected,
                      "SELECT count(x) FROM (SELECT %s AS x" STAGED " OFFSET 0) AS rows",
                      buf_text(&value));
    copy_stage_formula_sql(&sql, &stage, &relation->columns[1]);
    ck_assert_str_eq(buf_text(&sql), buf_text(&expected));
    buf_clear(&sql);
    copy_stage_merge_sql(&sql, &stage);
    ck_assert_ptr_nonnull(strstr(buf_text(&sql), buf_text(&value)));
    buf_free(&opening);
    buf_free(&value);
    buf_free(&expected);
    buf_free(&sql);
    relation_free(relation);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        copy_fills_the_stage_or_the_table,
        a_merge_that_overwrites_tells_of_how_many_rows_where_it_can,
        a_row_that_is_nothing_but_its_key_is_left_as_it_is,
        rows_are_compared_by_their_key,
        what_the_target_makes_is_staged_as_what_its_formula_reads,
    };
    return unit_run("copy_stage", tests, UNIT_COUNT(tests));
}
