/* Values: which are the same. */
#include "model/row.h"
#include "unit.h"

static struct value text(const char *data, uint32_t size)
{
    return (struct value){data, size, VALUE_TEXT};
}

START_TEST(values_are_the_same_by_kind_and_bytes)
{
    struct value a = text("tide", 4), b = text("tides", 4), c = text("tide", 3);
    struct value binary = {"tide", 4, VALUE_BINARY};
    ck_assert(value_equal(&a, &b));
    ck_assert(!value_equal(&a, &c));
    ck_assert(!value_equal(&a, &binary));
    struct value nul_a = text("a\0b", 3), nul_c = text("a\0c", 3);
    ck_assert(!value_equal(&nul_a, &nul_c));
}
END_TEST

START_TEST(what_is_missing_equals_only_what_is_missing_alike)
{
    static const enum value_kind missing[] = {VALUE_ABSENT, VALUE_NULL, VALUE_UNCHANGED};
    struct value empty = text(NULL, 0), also_empty = text("", 0);
    ck_assert(value_equal(&empty, &also_empty));
    for (size_t i = 0; i < UNIT_COUNT(missing); i++) {
        struct value a = {NULL, 0, missing[i]};
        ck_assert(!value_equal(&a, &empty));
        for (size_t j = 0; j < UNIT_COUNT(missing); j++) {
            struct value b = {"left over", 9, missing[j]};
            ck_assert_int_eq(value_equal(&a, &b), i == j);
        }
    }
}
END_TEST

START_TEST(a_value_is_known_when_we_hold_it)
{
    static const bool known[] = {[VALUE_ABSENT] = false,
                                 [VALUE_NULL] = true,
                                 [VALUE_UNCHANGED] = false,
                                 [VALUE_TEXT] = true,
                                 [VALUE_BINARY] = true};
    for (size_t kind = 0; kind < UNIT_COUNT(known); kind++) {
        struct value value = {.kind = (enum value_kind)kind};
        ck_assert_int_eq(value_is_known(&value), known[kind]);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        values_are_the_same_by_kind_and_bytes,
        what_is_missing_equals_only_what_is_missing_alike,
        a_value_is_known_when_we_hold_it,
    };
    return unit_run("row", tests, UNIT_COUNT(tests));
}
