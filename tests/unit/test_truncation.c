/* How target tables are emptied, word for word. */
#include "postgres/truncation.h"
#include "unit.h"

/* Tables 1 parent, 2 child (refers to 1), 3 root (partitioned). */
static struct catalog_foreign_key child_key = {.parent_oid = 1};
static struct catalog_table tables[] = {
    {.oid = 1,
     .schema = (char *)(uintptr_t) "app",
     .name = (char *)(uintptr_t) "parent",
     .kind = 'r'},
    {.oid = 2,
     .schema = (char *)(uintptr_t) "app",
     .name = (char *)(uintptr_t) "child",
     .kind = 'r',
     .foreign_key_count = 1,
     .foreign_keys = &child_key},
    {.oid = 3,
     .schema = (char *)(uintptr_t) "app",
     .name = (char *)(uintptr_t) "root",
     .kind = 'p'},
};
static const struct catalog CATALOG = {.table_count = 3, .tables = tables};
static const struct pg_target_table PARENT = {.table = &tables[0]};
static const struct pg_target_table CHILD = {.table = &tables[1]};
static const struct pg_target_table ROOT = {.table = &tables[2]};

static void expect(const struct pg_target_table *const *list, size_t count,
                   enum truncation_way way, size_t statements, const char *const *expected)
{
    struct truncation *truncation = truncation_create(&CATALOG, list, count, way);
    ck_assert_uint_eq(truncation->count, statements);
    for (size_t i = 0; i < statements; i++)
        ck_assert_str_eq(truncation->statements[i], expected[i]);
    truncation_free(truncation);
}

START_TEST(tables_are_truncated_together)
{
    const struct pg_target_table *list[] = {&PARENT, &CHILD, &ROOT};
    expect(list, 3, TRUNCATION_RESTARTS_IDENTITY, 1,
           (const char *[]){"TRUNCATE ONLY \"app\".\"parent\", ONLY \"app\".\"child\", "
                            "\"app\".\"root\" RESTART IDENTITY"});
}
END_TEST

START_TEST(a_table_that_another_refers_to_is_deleted_from)
{
    const struct pg_target_table *list[] = {&ROOT, &PARENT};
    expect(
        list, 2, TRUNCATION_KEEPS_IDENTITY, 2,
        (const char *[]){"DELETE FROM ONLY \"app\".\"parent\"", "TRUNCATE \"app\".\"root\""});
}
END_TEST

START_TEST(rows_of_others_stay)
{
    struct pg_target_table mine = ROOT;
    mine.owner_condition = "\"tenant\" = '7'";
    const struct pg_target_table *list[] = {&mine};
    expect(list, 1, TRUNCATION_RESTARTS_IDENTITY, 1,
           (const char *[]){"DELETE FROM \"app\".\"root\" WHERE \"tenant\" = '7'"});
}
END_TEST

START_TEST(tables_in_use_are_deleted_from)
{
    const struct pg_target_table *list[] = {&CHILD, &ROOT};
    expect(
        list, 2, TRUNCATION_DELETES, 2,
        (const char *[]){"DELETE FROM ONLY \"app\".\"child\"", "DELETE FROM \"app\".\"root\""});
}
END_TEST

START_TEST(no_tables_take_no_statement)
{
    expect(NULL, 0, TRUNCATION_RESTARTS_IDENTITY, 0, NULL);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        tables_are_truncated_together, a_table_that_another_refers_to_is_deleted_from,
        rows_of_others_stay,           tables_in_use_are_deleted_from,
        no_tables_take_no_statement,
    };
    return unit_run("truncation", tests, UNIT_COUNT(tests));
}
