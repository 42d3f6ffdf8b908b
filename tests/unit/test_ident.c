/* Quoting: a name is a name and a text is a text, whatever is in them. */
#include "schema/ident.h"
#include "unit.h"

#include <string.h>

static const char *identifier(struct buf *buf, const char *name)
{
    buf_clear(buf);
    ident_append(buf, name);
    return buf_text(buf);
}

static const char *literal(struct buf *buf, const char *text)
{
    buf_clear(buf);
    literal_append(buf, text, strlen(text));
    return buf_text(buf);
}

START_TEST(an_identifier_is_always_quoted_and_its_quotes_doubled)
{
    struct buf buf = {0};
    ck_assert_str_eq(identifier(&buf, "users"), "\"users\"");
    ck_assert_str_eq(identifier(&buf, "My \"Table\"; drop"), "\"My \"\"Table\"\"; drop\"");
    ck_assert_str_eq(identifier(&buf, "größe\n'\\."), "\"größe\n'\\.\"");
    buf_free(&buf);
}
END_TEST

START_TEST(a_qualified_name_keeps_dots_inside_its_parts)
{
    char *text = ident_qualified("My Schema", "T.x");
    ck_assert_str_eq(text, "\"My Schema\".\"T.x\"");
    free(text);
}
END_TEST

START_TEST(a_literal_doubles_quotes)
{
    struct buf buf = {0};
    ck_assert_str_eq(literal(&buf, ""), "''");
    ck_assert_str_eq(literal(&buf, "O'Hara"), "'O''Hara'");
    buf_free(&buf);
}
END_TEST

START_TEST(a_literal_with_a_backslash_does_not_depend_on_settings)
{
    struct buf buf = {0};
    ck_assert_str_eq(literal(&buf, "a\\'b"), " E'a\\\\''b'");
    buf_free(&buf);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_identifier_is_always_quoted_and_its_quotes_doubled,
        a_qualified_name_keeps_dots_inside_its_parts,
        a_literal_doubles_quotes,
        a_literal_with_a_backslash_does_not_depend_on_settings,
    };
    return unit_run("ident", tests, UNIT_COUNT(tests));
}
