/* json: pick and build. */
#include "kinds_world.h"

#define PICK(path) "{ from: j, json: { pick: " path " } }"

START_TEST(a_path_picks_the_text_that_stands_there)
{
    const char *const *row = ROW("{\"a\": {\"b\": [1.50, \"x\\n\\u00e9\\ud83d\\ude00\"], \"c\" "
                                 ": {\"d\":null} }, \"k.k\": true}");
    kind_gives(PICK("'$.a.b[0]'"), row, "1.50");
    kind_gives(PICK("[a, b, 0]"), row, "1.50");
    kind_gives(PICK("'$.a.b[1]'"), row, "x\n\xc3\xa9\xf0\x9f\x98\x80");
    kind_gives(PICK("[a, b, -2]"), row, "1.50");
    kind_gives(PICK("[a, b, -3]"), row, "NULL");
    kind_gives(PICK("$.a.c"), row, "{\"d\":null}");
    kind_gives(PICK("$.a.c.d"), row, "NULL");
    kind_gives(PICK("$.a.c.d.e"), row, "NULL");
    kind_gives(PICK("$.a.b.x"), row, "NULL");
    kind_gives(PICK("'$[\"k.k\"]'"), row, "true");
    kind_gives(PICK("[x]"), ROW("\"scalar\""), "NULL");
    kind_gives(PICK("[x]"), ROW("NULL"), "NULL");
    kind_gives(PICK("[x]"), ROW("UNCHANGED"), "UNCHANGED");
}
END_TEST

START_TEST(of_equal_keys_the_last_one_with_the_whole_path_counts)
{
    kind_gives(PICK("[a]"), ROW("{\"a\":1,\"\\u0061\":2}"), "2");
    kind_gives(PICK("[a, b]"), ROW("{\"a\":{\"b\":1},\"a\":{\"c\":2}}"), "1");
    kind_gives(PICK("[a]"), ROW("{\"a\":1,\"a\":null}"), "NULL");
}
END_TEST

START_TEST(an_escape_that_no_text_can_hold_fails_wherever_it_stands)
{
#define BAD_ESCAPE                                                                             \
    "target column public.t.y: the document of this row holds an escape that no text can "     \
    "hold (\\u0000, or half of a surrogate pair)"
    kind_fails(PICK("[a]"), ROW("{\"a\":1,\"b\":\"\\u0000\"}"), BAD_ESCAPE);
    kind_fails(PICK("[a]"), ROW("{\"a\":\"\\ud83dx\"}"), BAD_ESCAPE);
    kind_fails(PICK("[a]"), ROW("{\"a\":\"\\ude00\"}"), BAD_ESCAPE);
    kind_gives(PICK("[a]"), ROW("{\"a\":\"\\\\u0000\"}"), "\\u0000");
}
END_TEST

START_TEST(a_broken_document_is_refused_and_not_read_past)
{
    static const char *const broken[] = {"{",           "[1", "{\"a\"",    "{\"a\":", "\"a",
                                         "{\"a\":\"\\", "]",  "{\"a\" 1}", "[1 2",    ","};
    for (size_t i = 0; i < UNIT_COUNT(broken); i++)
        kind_fails(PICK("[a]"), ROW(broken[i]), BAD_ESCAPE);
}
END_TEST

START_TEST(pick_reads_json_columns_only)
{
    kind_refused(
        "{ from: x, json: { pick: $.a } }", "rule.json", "rules.yaml:5:27",
        "json: pick reads a column of type json or jsonb, and source column x is text");
    kind_not_loaded(PICK("a.b"), "rules.yaml:4:35: pick: cannot read the path at \"a.b\"; "
                                 "expected \"$.a.b[0]\" or a list such as [a, b, 0]");
    kind_not_loaded(PICK("'$.a[*]'"), "rules.yaml:4:35: pick: cannot read the path at \"[*]\"; "
                                      "expected \"$.a.b[0]\" or a list such as [a, b, 0]");
    kind_not_loaded(PICK("$"), "rules.yaml:4:35: pick: \"$\" is the whole document; use from");
    kind_not_loaded("{ json: { pick: $.a, build: { a: x } } }",
                    "rules.yaml:4:18: json: expected { pick: $.a.b } or { build: { key: column "
                    "} }");
}
END_TEST

START_TEST(build_writes_numbers_bools_and_documents_as_what_they_are)
{
    kind_gives(
        "{ json: { build: { n: n, b: b, x: x, j: jb, 'q\"': id } } }",
        VALUES("7", "a\"\\\n\x01\xc3\xa9", "t", "-5", "{}", "[1, 2]"),
        "{\"n\" : -5, \"b\" : true, \"x\" : \"a\\\"\\\\\\n\\u0001\xc3\xa9\", \"j\" : [1, "
        "2], \"q\\\"\" : 7}");
    kind_gives("{ json: { build: { x: x, n: n } } }",
               VALUES("7", "NULL", "t", "NULL", "{}", "[1, 2]"),
               "{\"x\" : null, \"n\" : null}");
    kind_gives("{ json: { build: { x: x } } }", ROW("UNCHANGED"), "UNCHANGED");
    kind_refused("{ json: { build: { a: z } } }", "rule.name", "rules.yaml:5:32",
                 "\"z\" is neither a column of source table public.t nor a column made by a "
                 "rule of this table");
}
END_TEST

START_TEST(a_document_of_which_a_part_was_not_sent_cannot_be_made)
{
    struct kind_world kind;
    ck_assert(kind_open(&kind, "{ json: { build: { x: x, n: n } } }"));
    ck_assert_int_eq(world_change(&kind.world, kind.in, kind.relation, CHANGE_UPDATE, OLD_NONE,
                                  NULL, VALUES("7", "UNCHANGED", "t", "NULL", "{}", "{}")),
                     TRANSFORM_REFUSED);
    ck_assert_ptr_nonnull(strstr(kind.world.err.message, "the document joins a value"));
    kind_close(&kind);
}
END_TEST

START_TEST(both_are_said_in_sql)
{
    kind_says("{ from: jb, json: { pick: '$.a[0]' } }",
              "(\"jb\"::jsonb #>> ARRAY['a', '0']::text[])");
    kind_says("{ json: { build: { a: n, b: x } } }",
              "json_build_object('a'::text, \"n\", 'b'::text, \"x\"::text)::text");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_path_picks_the_text_that_stands_there,
        of_equal_keys_the_last_one_with_the_whole_path_counts,
        an_escape_that_no_text_can_hold_fails_wherever_it_stands,
        a_broken_document_is_refused_and_not_read_past,
        pick_reads_json_columns_only,
        build_writes_numbers_bools_and_documents_as_what_they_are,
        a_document_of_which_a_part_was_not_sent_cannot_be_made,
        both_are_said_in_sql,
    };
    return unit_run("kinds_json", tests, UNIT_COUNT(tests));
}
