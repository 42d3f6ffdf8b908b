/* Relations: copies, and when a shape has changed. */
#include "model/relation.h"
#include "unit.h"

static char id[] = "id", email[] = "email";

static struct relation *users(void)
{
    const struct column columns[] = {
        {.name = id, .type_oid = 20, .type_modifier = -1, .key = true},
        {.name = email, .type_oid = 25, .type_modifier = -1},
    };
    struct relation *relation = relation_create("public", "users", 2, columns);
    relation->oid = 16384;
    relation->replica_identity = 'd';
    return relation;
}

START_TEST(a_relation_owns_copies)
{
    char schema[] = "public", name[] = "users", column_name[] = "id";
    struct column column = {.name = column_name, .type_oid = 20, .key = true};
    struct relation *relation = relation_create(schema, name, 1, &column);
    schema[0] = name[0] = column_name[0] = 'x';
    column.type_oid = 0;
    ck_assert_str_eq(relation->schema, "public");
    ck_assert_str_eq(relation->name, "users");
    ck_assert_str_eq(relation->columns[0].name, "id");
    ck_assert_uint_eq(relation->columns[0].type_oid, 20);
    ck_assert(relation->columns[0].key);
    relation_free(relation);
    relation_free(NULL);
}
END_TEST

START_TEST(a_table_without_columns_is_a_relation)
{
    struct relation *a = relation_create("public", "empty", 0, NULL);
    struct relation *b = relation_create("public", "empty", 0, NULL);
    ck_assert(relation_equal(a, b));
    ck_assert_int_eq(relation_column(a, "id"), -1);
    relation_free(a);
    relation_free(b);
}
END_TEST

START_TEST(columns_are_found_by_their_exact_name)
{
    struct relation *relation = users();
    ck_assert_int_eq(relation_column(relation, "id"), 0);
    ck_assert_int_eq(relation_column(relation, "email"), 1);
    ck_assert_int_eq(relation_column(relation, "Email"), -1);
    relation_free(relation);
}
END_TEST

#define EXPECT_OTHER(statement)                                                                \
    do {                                                                                       \
        struct relation *changed = users();                                                    \
        changed->statement;                                                                    \
        ck_assert_msg(!relation_equal(relation, changed), "%s was not seen", #statement);      \
        ck_assert_msg(!relation_equal(changed, relation), "%s was not seen", #statement);      \
        relation_free(changed);                                                                \
    } while (0)

START_TEST(every_part_of_the_shape_counts)
{
    struct relation *relation = users(), *same = users();
    ck_assert(relation_equal(relation, same));
    same->table = 7; /* where it is counted, not what it is */
    ck_assert(relation_equal(relation, same));
    EXPECT_OTHER(oid = 1);
    EXPECT_OTHER(schema[0] = 'q');
    EXPECT_OTHER(name[0] = 'q');
    EXPECT_OTHER(replica_identity = 'f');
    EXPECT_OTHER(match = MATCH_ROW);
    EXPECT_OTHER(columns[1].name[0] = 'q');
    EXPECT_OTHER(columns[1].type_oid = 1043);
    EXPECT_OTHER(columns[1].type_modifier = 36);
    EXPECT_OTHER(columns[1].key = true);
    EXPECT_OTHER(columns[1].identity_always = true);
    relation_free(same);
    same = relation_create("public", "users", 1, relation->columns);
    same->oid = relation->oid;
    same->replica_identity = relation->replica_identity;
    ck_assert(!relation_equal(relation, same)); /* one column less */
    relation_free(relation);
    relation_free(same);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_relation_owns_copies,
        a_table_without_columns_is_a_relation,
        columns_are_found_by_their_exact_name,
        every_part_of_the_shape_counts,
    };
    return unit_run("relation", tests, UNIT_COUNT(tests));
}
