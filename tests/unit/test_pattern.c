/* Patterns of table names. */
#include "base/buf.h"
#include "transforms/pattern.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

/* "a|b" for what the groups took, "-" when it does not match. */
static const char *take(struct arena *arena, const char *pattern, const char *name)
{
    struct captures captures = {0};
    struct buf text = {0};
    if (!pattern_match(pattern, name, arena, &captures))
        return "-";
    for (size_t i = 0; i < captures.count; i++)
        buf_append_format(&text, "%s%s", i ? "|" : "", captures.texts[i]);
    const char *taken = arena_copy(arena, buf_text(&text), text.size + 1);
    buf_free(&text);
    return taken;
}

START_TEST(a_star_takes_as_little_as_it_can)
{
    static const char *const cases[][3] = {
        {"orders", "orders", ""},       {"orders", "order", "-"},
        {"(*)_(*)", "a_b_c", "a|b_c"},  {"(*)_(*)_c", "a_b_c", "a|b"},
        {"(?)*(?)", "abcd", "a|d"},     {"(*)(*)", "ab", "|ab"},
        {"t(*)s(?)", "tesst", "es|t"},  {"*", "", ""},
        {"(a*)b*(c)", "aabxc", "aa|c"}, {"(*)x", "abc", "-"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++)
        ck_assert_str_eq(take(&arena, cases[i][0], cases[i][1]), cases[i][2]);
    arena_free(&arena);
}
END_TEST

/* A factor of 63 for each star would not end within a life. */
START_TEST(many_stars_end_in_time)
{
    struct arena arena;
    char name[64];
    arena_init(&arena, 0);
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ck_assert_str_eq(take(&arena, "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name), "-");
    ck_assert_str_eq(take(&arena, "(*)a(*)a*a*a*a*a*a*a*a*a*a*a*a*a*a*a", name), "|");
    arena_free(&arena);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_star_takes_as_little_as_it_can, many_stars_end_in_time};
    return unit_run("pattern", tests, UNIT_COUNT(tests));
}
