/* Catalogs: finding tables, columns and the index that names a row. */
#include "base/mem.h"
#include "schema/catalog.h"
#include "unit.h"

static struct catalog_index one_column_index(const char *name, bool primary)
{
    return (struct catalog_index){
        .name = mem_string(name),
        .primary = primary,
        .unique = true,
        .immediate = true,
        .usable = true,
        .column_count = 1,
        .columns = mem_zero(1, sizeof(uint16_t)),
    };
}

/* public.users(id, email), app.users(id), with every index an ordinary catalog may hold. */
static struct catalog *make(void)
{
    struct catalog *catalog = mem_zero(1, sizeof(*catalog));
    catalog->database = mem_string("shop");
    catalog->encoding = mem_string("UTF8");
    catalog->system_identifier = mem_string("7");
    catalog->table_count = 2;
    catalog->tables = mem_zero(2, sizeof(*catalog->tables));
    static const char *const schemas[] = {"public", "app"};
    for (size_t i = 0; i < 2; i++) {
        struct catalog_table *table = &catalog->tables[i];
        table->oid = 100 + (uint32_t)i;
        table->schema = mem_string(schemas[i]);
        table->name = mem_string("users");
        table->replica_identity = 'd';
        table->column_count = (uint16_t)(2 - i);
        table->columns = mem_zero(table->column_count, sizeof(*table->columns));
        table->columns[0].name = mem_string("id");
        if (i == 0)
            table->columns[1].name = mem_string("email");
        table->columns[0].type_name = mem_string("bigint");
        table->columns[0].base_type = mem_string("pg_catalog.int8");
        table->index_count = 2;
        table->indexes = mem_zero(2, sizeof(*table->indexes));
        table->indexes[0] = one_column_index("users_email_key", false);
        table->indexes[1] = one_column_index("users_pkey", true);
        table->foreign_key_count = 1;
        table->foreign_keys = mem_zero(1, sizeof(*table->foreign_keys));
        table->foreign_keys[0].name = mem_string("users_fk");
    }
    return catalog;
}

START_TEST(tables_are_found_by_schema_and_name_or_by_oid_in_any_order)
{
    struct catalog *catalog = make(); /* "public" before "app", as some collation may have it */
    ck_assert_ptr_eq(catalog_find(catalog, "public", "users"), &catalog->tables[0]);
    ck_assert_ptr_eq(catalog_find(catalog, "app", "users"), &catalog->tables[1]);
    ck_assert_ptr_null(catalog_find(catalog, "public", "Users"));
    ck_assert_ptr_null(catalog_find(catalog, "users", "public"));
    ck_assert_ptr_eq(catalog_find_oid(catalog, 101), &catalog->tables[1]);
    ck_assert_ptr_null(catalog_find_oid(catalog, 102));
    catalog_free(catalog);
}
END_TEST

START_TEST(columns_are_found_by_name)
{
    struct catalog *catalog = make();
    ck_assert_int_eq(catalog_column_index(&catalog->tables[0], "email"), 1);
    ck_assert_int_eq(catalog_column_index(&catalog->tables[1], "email"), -1);
    catalog_free(catalog);
}
END_TEST

START_TEST(the_identity_names_the_index_that_finds_a_row)
{
    struct catalog *catalog = make();
    struct catalog_table *table = &catalog->tables[0];
    struct catalog_index *email = &table->indexes[0], *primary = &table->indexes[1];
    ck_assert_ptr_eq(catalog_identity_index(table), primary);
    table->replica_identity = 'f';
    ck_assert_ptr_eq(catalog_identity_index(table), primary);
    table->replica_identity = 'n';
    ck_assert_ptr_null(catalog_identity_index(table));
    table->replica_identity = 'i';
    ck_assert_ptr_null(catalog_identity_index(table)); /* the chosen index was dropped */
    email->replica_identity = true;
    ck_assert_ptr_eq(catalog_identity_index(table), email);
    table->replica_identity = 'd';
    ck_assert_ptr_eq(catalog_identity_index(table), primary);
    primary->immediate = false; /* a deferrable primary key is no identity */
    ck_assert_ptr_null(catalog_identity_index(table));
    catalog_free(catalog);
}
END_TEST

START_TEST(a_half_built_catalog_can_be_freed)
{
    struct catalog *catalog = mem_zero(1, sizeof(*catalog));
    catalog->table_count = 3;
    catalog_free(catalog);
    catalog = mem_zero(1, sizeof(*catalog));
    catalog->table_count = 1;
    catalog->tables = mem_zero(1, sizeof(*catalog->tables));
    catalog->tables[0].column_count = catalog->tables[0].index_count = 5;
    catalog->tables[0].foreign_key_count = 5;
    catalog_free(catalog);
    catalog_free(NULL);
}
END_TEST

START_TEST(another_index_may_give_the_order_that_an_index_does_not)
{
    uint16_t ab[] = {0, 1}, ba[] = {1, 0};
    struct catalog_index indexes[] = {
        {.usable = true, .column_count = 2, .columns = ab, .ordered_count = 1},
        {.usable = true, .column_count = 2, .columns = ba, .ordered_count = 2},
        {.usable = false, .column_count = 2, .columns = ab, .ordered_count = 2},
    };
    struct catalog_table table = {.index_count = 3, .indexes = indexes};
    ck_assert_uint_eq(catalog_ordered_columns(&table, &indexes[0]), 1);
    indexes[2].usable = true;
    ck_assert_uint_eq(catalog_ordered_columns(&table, &indexes[0]), 2);
    table.index_count = 1;
    indexes[0].ordered_count = 0;
    ck_assert_uint_eq(catalog_ordered_columns(&table, &indexes[0]), 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        tables_are_found_by_schema_and_name_or_by_oid_in_any_order,
        columns_are_found_by_name,
        the_identity_names_the_index_that_finds_a_row,
        a_half_built_catalog_can_be_freed,
        another_index_may_give_the_order_that_an_index_does_not,
    };
    return unit_run("catalog", tests, UNIT_COUNT(tests));
}
