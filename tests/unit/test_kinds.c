/* The rule kinds at their edges: one source row in, one target row out. */
#include "rules_world.h"

/* t(id, b, code, x) -> t(id, b, code, x, y); the rules are those of the column entries. */
struct kinds {
    struct world world;
    const struct relation *relation;
    struct batch *in;
};

static bool open_kinds(struct kinds *kinds, const char *columns)
{
    char text[1024];
    world_open(&kinds->world);
    struct catalog_table *source =
        world_table(&kinds->world.source, "public", "t",
                    COLUMNS({"id", "int8", NOT_NULL}, {"b", "bool", NULLABLE},
                            {"code", "character(3)", NULLABLE}, {"x", "text", NULLABLE}));
    world_index(source, "pk", PRIMARY, "id");
    world_index(world_table(&kinds->world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"b", "text", NULLABLE},
                                    {"code", "text", NULLABLE}, {"x", "text", NULLABLE},
                                    {"y", "text", NULLABLE})),
                "pk", PRIMARY, "id");
    kinds->in = batch_create();
    snprintf(text, sizeof(text), "tables:\n  - source: t\n    columns:\n%s", columns);
    bool bound = world_bind(&kinds->world, text);
    if (bound)
        kinds->relation = world_relation(&kinds->world, source);
    return bound;
}

static void close_kinds(struct kinds *kinds)
{
    batch_destroy(kinds->in);
    world_close(&kinds->world);
}

static void expect(const char *columns, const char *const *row, const char *result)
{
    struct kinds kinds;
    ck_assert_msg(open_kinds(&kinds, columns), "%s", kinds.world.err.message);
    ck_assert_msg(world_change(&kinds.world, kinds.in, kinds.relation, CHANGE_INSERT, OLD_NONE,
                               NULL, row) == TRANSFORM_WRITTEN,
                  "%s", kinds.world.err.message);
    ck_assert_str_eq(world_show(&world_written(&kinds.world)->new), result);
    close_kinds(&kinds);
}

#define ROW VALUES("7", "t", "a  ", "txt")

START_TEST(a_column_of_the_same_type_passes_and_of_another_goes_as_text)
{
    expect("      y: { from: x }\n", ROW, "7|t|a|txt|txt");
}
END_TEST

START_TEST(a_char_value_loses_its_blanks_wherever_a_rule_reads_it)
{
    expect("      y: { template: '[{code}]' }\n", ROW, "7|t|a|txt|[a]");
    expect("      y: { from: code, map: { a: found } }\n", ROW, "7|t|a|txt|found");
    expect("      y: { from: code, map: { 'a ': found } }\n", ROW, "7|t|a|txt|found");
    expect("      y: { from: code, map: { '': empty } }\n", VALUES("7", "f", "   ", "x"),
           "7|f||x|empty");
}
END_TEST

START_TEST(a_bool_is_named_by_any_of_its_spellings)
{
    expect("      y: { from: b, map: { true: yes, off: no } }\n", ROW, "7|t|a|txt|yes");
    expect("      y: { from: b, map: { true: yes, off: no } }\n", VALUES("7", "f", "a", "x"),
           "7|f|a|x|no");
}
END_TEST

START_TEST(a_number_is_named_by_any_of_its_spellings)
{
    expect("      y: { from: id, map: { 007: bond } }\n", ROW, "7|t|a|txt|bond");
}
END_TEST

START_TEST(a_map_without_a_beginning_reads_the_column_of_its_name)
{
    expect("      x: { map: { txt: text } }\n", ROW, "7|t|a|text");
}
END_TEST

START_TEST(a_value_can_be_null_empty_or_a_text_that_looks_like_null)
{
    expect("      y: { value: null }\n", ROW, "7|t|a|txt|NULL");
    expect("      y: { value: ~ }\n", ROW, "7|t|a|txt|NULL");
    expect("      y: { value: '' }\n", ROW, "7|t|a|txt|");
    expect("      y: { value: 'null' }\n", ROW, "7|t|a|txt|null");
    expect("      y: { value: 1.50 }\n", ROW, "7|t|a|txt|1.50");
    expect("      y: { value: true }\n", ROW, "7|t|a|txt|true");
}
END_TEST

START_TEST(a_template_of_constants_is_a_constant)
{
    expect("      x: { value: k }\n      y: { template: '' }\n", ROW, "7|t|a|k|");
    expect("      y: { value: k }\n      b: { template: '<{y}>-{y}' }\n", ROW,
           "7|<k>-k|a|txt|k");
    expect("      y: { value: null }\n      b: { template: '<{y}>' }\n", ROW,
           "7|NULL|a|txt|NULL");
}
END_TEST

START_TEST(a_template_reads_what_another_rule_makes)
{
    expect("      y: { from: x, map: { txt: T }, default: D }\n"
           "      b: { template: '{id}{y}{id}' }\n",
           ROW, "7|7T7|a|txt|T");
}
END_TEST

START_TEST(a_template_of_an_absent_or_unchanged_value_of_another_rule)
{
    struct kinds kinds;
    ck_assert(open_kinds(&kinds, "      y: { from: x, map: { txt: T }, default: D }\n"
                                 "      b: { template: '{y}' }\n"));
    ck_assert_int_eq(world_change(&kinds.world, kinds.in, kinds.relation, CHANGE_UPDATE,
                                  OLD_NONE, NULL, VALUES("7", "t", "a  ", "UNCHANGED")),
                     TRANSFORM_WRITTEN);
    ck_assert_str_eq(world_show(&world_written(&kinds.world)->new),
                     "7|UNCHANGED|a|UNCHANGED|UNCHANGED");
    close_kinds(&kinds);
}
END_TEST

START_TEST(a_template_that_names_itself_is_a_circle)
{
    struct kinds kinds;
    ck_assert(!open_kinds(&kinds, "      y: { template: '{y}' }\n"));
    world_expect(&kinds.world, SEVERITY_BREAKING, "rule.circle", "rules.yaml:4:22",
                 "the rules of public.t.y and \"y\" read each other");
    close_kinds(&kinds);
}
END_TEST

START_TEST(text_of_the_environment_is_not_shown_when_it_does_not_fit)
{
    struct kinds kinds;
    setenv("SLACKWATER_TEST_SECRET", "hunter2", 1);
    ck_assert(!open_kinds(&kinds, "      id: { value: '${SLACKWATER_TEST_SECRET}' }\n"));
    world_expect(&kinds.world, SEVERITY_BREAKING, "rule.value", "rules.yaml:4:20",
                 "value: a text of the environment is no int8, the type of target column "
                 "public.t.id");
    close_kinds(&kinds);
    ck_assert(!open_kinds(&kinds, "      y: { value: '${SLACKWATER_TEST_SECRET}' }\n"
                                  "      id: { template: '{y}' }\n"));
    ck_assert_ptr_null(strstr(kinds.world.err.message, "hunter2"));
    close_kinds(&kinds);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_column_of_the_same_type_passes_and_of_another_goes_as_text,
        a_char_value_loses_its_blanks_wherever_a_rule_reads_it,
        a_bool_is_named_by_any_of_its_spellings,
        a_number_is_named_by_any_of_its_spellings,
        a_map_without_a_beginning_reads_the_column_of_its_name,
        a_value_can_be_null_empty_or_a_text_that_looks_like_null,
        a_template_of_constants_is_a_constant,
        a_template_reads_what_another_rule_makes,
        a_template_of_an_absent_or_unchanged_value_of_another_rule,
        a_template_that_names_itself_is_a_circle,
        text_of_the_environment_is_not_shown_when_it_does_not_fit,
    };
    return unit_run("kinds", tests, UNIT_COUNT(tests));
}
