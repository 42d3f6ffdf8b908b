/* lookup, with a database that is a table in the test. */
#include "kinds_world.h"

struct fake {
    struct lookup lookup;
    int *asked;
};

/* a -> 1, n -> NULL, two fails; all else is missing. */
static enum lookup_result fake_find(struct lookup *lookup, const struct value *key,
                                    struct arena *arena, struct value *value, struct err *err)
{
    (void)arena;
    ++*((struct fake *)lookup)->asked;
    if (key->size == 1 && *key->data == 'a') {
        *value = (struct value){.data = "1", .size = 1, .kind = VALUE_TEXT};
        return LOOKUP_FOUND;
    }
    if (key->size == 1 && *key->data == 'n') {
        *value = (struct value){.kind = VALUE_NULL};
        return LOOKUP_FOUND;
    }
    if (key->size != 3)
        return LOOKUP_MISSING;
    err_set(err, ERR_DATA, "two rows have the key of this row");
    return LOOKUP_FAILED;
}

static void fake_destroy(struct lookup *lookup)
{
    free(lookup);
}

static struct lookup *fake_make(void *context, const struct lookup_request *request)
{
    static const struct lookup_ops ops = {fake_find, fake_destroy};
    struct fake *fake = mem_zero(1, sizeof(*fake));
    ck_assert_str_ne(request->sql, "");
    fake->lookup.ops = &ops;
    fake->asked = context;
    return &fake->lookup;
}

static void open_asking(struct kind_world *kind, const char *entry, struct lookup_maker *maker)
{
    ck_assert_msg(kind_open(kind, entry), "%s", kind->world.err.message);
    kind->world.transform->ops->destroy(kind->world.transform);
    kind->world.transform = chain_transform_asking(kind->world.chain, maker);
}

#define TABLE "table: public.t, key: x, value: n"

static void finds(const char *entry, const char *const *row, const char *result)
{
    struct kind_world kind;
    int asked = 0;
    struct lookup_maker maker = {fake_make, &asked};
    open_asking(&kind, entry, &maker);
    kind_row_gives(&kind, row, result);
    kind_close(&kind);
}

START_TEST(a_lookup_gives_what_the_other_table_has)
{
    finds("{ from: x, lookup: { " TABLE " } }", ROW("a"), "1");
    finds("{ from: x, lookup: { " TABLE " } }", ROW("n"), "NULL");
    finds("{ from: x, lookup: { " TABLE " }, default: d }", ROW("n"), "d");
}
END_TEST

START_TEST(a_miss_does_what_on_miss_says)
{
    struct kind_world kind;
    int asked = 0;
    struct lookup_maker maker = {fake_make, &asked};
    finds("{ from: x, lookup: { " TABLE ", on_miss: null } }", ROW("q"), "NULL");
    finds("{ from: x, lookup: { " TABLE ", on_miss: keep } }", ROW("q"), "q");
    finds("{ from: x, lookup: { " TABLE ", on_miss: default, default: d } }", ROW("q"), "d");
    open_asking(&kind, "{ from: x, lookup: { " TABLE " } }", &maker);
    ck_assert_int_eq(world_change(&kind.world, kind.in, kind.relation, CHANGE_INSERT, OLD_NONE,
                                  NULL, ROW("q")),
                     TRANSFORM_REFUSED);
    ck_assert_str_eq(kind.world.err.message,
                     "target column public.t.y: the lookup finds no row "
                     "for the value of this row");
    ck_assert_int_eq(world_change(&kind.world, kind.in, kind.relation, CHANGE_INSERT, OLD_NONE,
                                  NULL, ROW("two")),
                     TRANSFORM_REFUSED);
    ck_assert_str_eq(kind.world.err.message,
                     "target column public.t.y: lookup at rules.yaml:5:29: two rows have the "
                     "key of this row");
    kind_close(&kind);
}
END_TEST

START_TEST(null_and_unchanged_are_not_asked_for)
{
    struct kind_world kind;
    int asked = 0;
    struct lookup_maker maker = {fake_make, &asked};
    open_asking(&kind, "{ from: x, lookup: { " TABLE " } }", &maker);
    kind_row_gives(&kind, ROW("NULL"), "NULL");
    kind_row_gives(&kind, ROW("UNCHANGED"), "UNCHANGED");
    ck_assert_int_eq(asked, 0);
    kind_close(&kind);
}
END_TEST

START_TEST(a_clone_asks_by_lookups_of_its_own)
{
    struct kind_world kind;
    int asked = 0;
    struct lookup_maker maker = {fake_make, &asked};
    open_asking(&kind, "{ value: a, lookup: { " TABLE " } }", &maker);
    struct transform *clone = kind.world.transform->ops->clone(kind.world.transform);
    kind.world.transform->ops->destroy(kind.world.transform);
    kind.world.transform = clone;
    kind_row_gives(&kind, ROW("x"), "1"); /* a constant key is not asked for before the run */
    ck_assert_int_eq(asked, 1);
    kind_close(&kind);
}
END_TEST

START_TEST(a_lookup_without_a_connection_is_a_bug_and_has_no_sql)
{
    struct kind_world kind;
    ck_assert(kind_open(&kind, "{ from: x, lookup: { " TABLE ", side: target } }") == false);
    world_expect(&kind.world, SEVERITY_BREAKING, "rule.lookup", "rules.yaml:5:53",
                 "lookup: key: table public.t has no column \"x\"");
    kind_close(&kind);
    ck_assert(kind_open(&kind, "{ from: x, lookup: { " TABLE " } }"));
    ck_assert_str_eq(kind.world.chain->lookups[0].sql,
                     "SELECT l.\"n\" FROM \"public\".\"t\" AS l WHERE l.\"x\" = $1 LIMIT 2");
    ck_assert_ptr_nonnull(rule_no_sql(kind_rule(&kind)));
    ck_assert_int_eq(world_change(&kind.world, kind.in, kind.relation, CHANGE_INSERT, OLD_NONE,
                                  NULL, ROW("a")),
                     TRANSFORM_FAILED);
    ck_assert_int_eq(kind.world.err.class, ERR_BUG);
    kind_close(&kind);
}
END_TEST

START_TEST(faults_of_a_lookup_are_told_with_their_place)
{
    kind_not_loaded("{ lookup: { key: a, value: b } }",
                    "rules.yaml:4:20: lookup: expected one of table and query");
    kind_not_loaded(
        "{ lookup: { table: a, key: b } }",
        "rules.yaml:4:20: lookup: \"value\" is missing; expected { table: schema.t, "
        "key: column, value: column }");
    kind_not_loaded(
        "{ lookup: { table: a, key: b, value: c, side: sauce } }",
        "rules.yaml:4:56: side: found \"sauce\", expected source or target; did you "
        "mean \"source\"?");
    kind_not_loaded("{ lookup: { table: a, key: b, value: c, on_miss: default } }",
                    "rules.yaml:4:20: lookup: on_miss: default and default: VALUE go together");
    kind_refused("{ from: x, lookup: { table: tt, key: b, value: c } }", "rule.lookup",
                 "rules.yaml:5:38",
                 "lookup: the source has no table public.tt; did you mean \"public.t\"?");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_lookup_gives_what_the_other_table_has,
        a_miss_does_what_on_miss_says,
        null_and_unchanged_are_not_asked_for,
        a_clone_asks_by_lookups_of_its_own,
        a_lookup_without_a_connection_is_a_bug_and_has_no_sql,
        faults_of_a_lookup_are_told_with_their_place,
    };
    return unit_run("kinds_lookup", tests, UNIT_COUNT(tests));
}
