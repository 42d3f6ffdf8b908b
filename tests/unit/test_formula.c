/* The text around an expression, word for word. */
#include "schema/formula.h"
#include "unit.h"

#include <string.h>

static const struct formula_input inputs[] = {{"id", "bigint"}, {"a \"b\"", "character(6)"}};

START_TEST(a_formula_sees_its_inputs_by_name_in_one_value)
{
    struct buf opening = {0}, sql = {0};
    formula_open(&opening, "id || \"a \"\"b\"\"\" -- so", inputs, 2);
    formula_append(&sql, buf_text(&opening), "$3");
    ck_assert_str_eq(buf_text(&sql),
                     "(SELECT (\nid || \"a \"\"b\"\"\" -- so\n) FROM (SELECT "
                     "v[1]::bigint AS \"id\", v[2]::character(6) AS \"a \"\"b\"\"\" "
                     "FROM (SELECT $3 AS v) AS i WHERE v IS NOT NULL) "
                     "AS \"slackwater source row\")");
    ck_assert_int_eq(strncmp(buf_text(&sql) + formula_offset(), "id ||", 5), 0);
    buf_free(&opening);
    buf_free(&sql);
}
END_TEST

/* The value is named all the same: else the server would evaluate it once for all rows. */
START_TEST(a_formula_that_reads_nothing_still_hangs_on_its_row)
{
    struct buf opening = {0}, sql = {0};
    formula_open(&opening, "random()", NULL, 0);
    formula_append(&sql, buf_text(&opening), "stage.r");
    ck_assert_str_eq(buf_text(&sql),
                     "(SELECT (\nrandom()\n) FROM (SELECT  FROM (SELECT stage.r "
                     "AS v) AS i WHERE v IS NOT NULL) AS \"slackwater source "
                     "row\")");
    buf_free(&opening);
    buf_free(&sql);
}
END_TEST

START_TEST(over_the_sources_own_columns)
{
    struct buf sql = {0};
    formula_append_plain(&sql, "id + 1", inputs, 1);
    ck_assert_str_eq(buf_text(&sql), "(SELECT (\nid + 1\n) FROM (SELECT \"id\"::bigint AS "
                                     "\"id\") AS \"slackwater source row\")");
    buf_free(&sql);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_formula_sees_its_inputs_by_name_in_one_value,
        a_formula_that_reads_nothing_still_hangs_on_its_row,
        over_the_sources_own_columns,
    };
    return unit_run("formula", tests, UNIT_COUNT(tests));
}
