/* Findings: copies, counts and the worst of them. */
#include "schema/finding.h"
#include "unit.h"

#include <string.h>

START_TEST(a_finding_owns_copies_and_has_no_null_texts)
{
    struct findings findings = {0};
    char object[] = "public.users";
    findings_add(&findings, "target.table_missing", SEVERITY_BREAKING, object, "what", NULL,
                 "fix", NULL, "DROP");
    object[0] = 'x';
    const struct finding *finding = &findings.items[0];
    ck_assert_str_eq(finding->id, "target.table_missing");
    ck_assert_str_eq(finding->object, "public.users");
    ck_assert_str_eq(finding->what, "what");
    ck_assert_str_eq(finding->impact, "");
    ck_assert_str_eq(finding->fix, "fix");
    ck_assert_str_eq(finding->sql, "");
    ck_assert_str_eq(finding->rollback_sql, "DROP");
    findings_free(&findings);
    ck_assert_uint_eq(findings.count, 0);
}
END_TEST

START_TEST(a_formatted_finding_is_as_long_as_it_needs)
{
    struct findings findings = {0};
    findings_addf(&findings, "a", SEVERITY_ADDITIVE, "o", "fix", "%d of %0*d", 1, 3000, 2);
    ck_assert_uint_eq(strlen(findings.items[0].what), 3005);
    ck_assert_str_eq(findings.items[0].fix, "fix");
    ck_assert_str_eq(findings.items[0].impact, "");
    findings_free(&findings);
}
END_TEST

START_TEST(the_worst_finding_decides)
{
    struct findings findings = {0};
    ck_assert_int_eq(findings_worst(&findings), SEVERITY_ADDITIVE);
    for (int i = 0; i < 100; i++)
        findings_add(&findings, "a", SEVERITY_NON_BREAKING, "o", "w", NULL, NULL, NULL, NULL);
    findings_add(&findings, "b", SEVERITY_BREAKING, "o", "w", NULL, NULL, NULL, NULL);
    findings_add(&findings, "c", SEVERITY_ADDITIVE, "o", "w", NULL, NULL, NULL, NULL);
    ck_assert_int_eq(findings_worst(&findings), SEVERITY_BREAKING);
    ck_assert_uint_eq(findings_count(&findings, SEVERITY_NON_BREAKING), 100);
    ck_assert_uint_eq(findings_count(&findings, SEVERITY_POTENTIALLY_BREAKING), 0);
    ck_assert_uint_eq(findings_count(&findings, SEVERITY_BREAKING), 1);
    findings_free(&findings);
}
END_TEST

START_TEST(severities_have_stable_names)
{
    ck_assert_str_eq(severity_name(SEVERITY_ADDITIVE), "additive");
    ck_assert_str_eq(severity_name(SEVERITY_NON_BREAKING), "non_breaking");
    ck_assert_str_eq(severity_name(SEVERITY_POTENTIALLY_BREAKING), "potentially_breaking");
    ck_assert_str_eq(severity_name(SEVERITY_BREAKING), "breaking");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_finding_owns_copies_and_has_no_null_texts,
        a_formatted_finding_is_as_long_as_it_needs,
        the_worst_finding_decides,
        severities_have_stable_names,
    };
    return unit_run("finding", tests, UNIT_COUNT(tests));
}
