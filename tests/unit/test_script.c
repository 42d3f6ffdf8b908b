/* Findings as a script: the order that is safe, and kinds that every id has. */
#include "schema/finding_kind.h"
#include "schema/script.h"
#include "unit.h"

#include <string.h>

static void add(struct findings *findings, const char *id, const char *sql)
{
    findings_add(findings, id, SEVERITY_BREAKING, "o", "w", NULL, NULL, sql, NULL);
}

START_TEST(what_destroys_comes_last_and_what_makes_room_first)
{
    struct findings findings = {0};
    static const char *const order[] = {"wal", "drop fk",  "drop unique", "create",
                                        "add", "type",     "index",       "key",
                                        "fk",  "not null", "drop column", "drop table"};
    add(&findings, "table.removed", "drop table");
    add(&findings, "column.removed", "drop column");
    add(&findings, "column.made_required", "not null");
    add(&findings, "foreign_key.added", "fk");
    add(&findings, "unique.added", "key");
    add(&findings, "index.added", "index");
    add(&findings, "column.type_widened", "type");
    add(&findings, "column.added", "add");
    add(&findings, "column.comment_changed", "");
    add(&findings, "table.added", "create");
    add(&findings, "unique.removed", "drop unique");
    add(&findings, "foreign_key.removed", "drop fk");
    add(&findings, "source.wal_level", "wal");
    size_t count;
    struct script_step *steps = script_steps(&findings, &count);
    ck_assert_uint_eq(count, UNIT_COUNT(order));
    for (size_t i = 0; i < count; i++)
        ck_assert_str_eq(steps[i].finding->sql, order[i]);
    ck_assert_int_eq(steps[0].side, SCRIPT_SOURCE);
    ck_assert_int_eq(steps[1].side, SCRIPT_TARGET);
    free(steps);
    findings_free(&findings);
}
END_TEST

START_TEST(an_unknown_id_is_kept_and_runs_where_its_name_says)
{
    struct findings findings = {0};
    size_t count;
    add(&findings, "source.unheard_of", "x");
    struct script_step *steps = script_steps(&findings, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(steps[0].side, SCRIPT_SOURCE);
    ck_assert_int_eq(steps[0].phase, PHASE_SETTINGS);
    ck_assert_str_eq(findings.items[0].operations, "");
    free(steps);
    findings_free(&findings);
}
END_TEST

START_TEST(operations_are_the_usual_ones_unless_named)
{
    struct findings findings = {0};
    add(&findings, "check.added", "");
    findings_put(&findings, &(struct finding){.id = "check.added", .operations = "DELETE"});
    ck_assert_str_eq(findings.items[0].operations, "INSERT, UPDATE");
    ck_assert_str_eq(findings.items[1].operations, "DELETE");
    findings_validated(&findings, 1, SEVERITY_BREAKING, "2 in its way today");
    ck_assert_str_eq(findings.items[1].validation, "2 in its way today");
    ck_assert_int_eq(findings.items[1].severity, SEVERITY_BREAKING);
    findings_free(&findings);
}
END_TEST

START_TEST(every_phase_has_a_name)
{
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        ck_assert_ptr_nonnull(script_phase_name((enum script_phase)phase));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        what_destroys_comes_last_and_what_makes_room_first,
        an_unknown_id_is_kept_and_runs_where_its_name_says,
        operations_are_the_usual_ones_unless_named,
        every_phase_has_a_name,
    };
    return unit_run("script", tests, UNIT_COUNT(tests));
}
