/* The command line. */
#include "cli/options.h"
#include "unit.h"

#include <getopt.h>
#include <string.h>

#define MOST_WORDS 12

/* A command line, and what came of it. */
struct line {
    char text[256];
    char *argv[MOST_WORDS + 1];
    int argc;
    struct options options;
    struct err err;
};

/* "run --json": the words between blanks. */
static enum options_result parse(struct line *line, const char *words)
{
    char *rest = NULL;
    *line = (struct line){.argv = {(char[]){"slackwater"}}, .argc = 1};
    strcpy(line->text, words);
    for (char *word = strtok_r(line->text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        line->argv[line->argc++] = word;
    optind = 0; /* or getopt goes on in the line before */
    return options_parse(line->argc, line->argv, &line->options, &line->err);
}

static void expect_run(struct line *line, const char *words, const char *command)
{
    ck_assert_msg(parse(line, words) == OPTIONS_RUN, "%s: %s", words, line->err.message);
    ck_assert_str_eq(line->options.command, command);
}

static void expect_bad(const char *words, const char *message)
{
    struct line line;
    ck_assert_msg(parse(&line, words) == OPTIONS_BAD, "%s", words);
    ck_assert_int_eq(line.err.class, ERR_CONFIG);
    ck_assert_str_eq(line.err.message, message);
}

START_TEST(a_command_alone_has_the_defaults)
{
    struct line line;
    expect_run(&line, "run", "run");
    ck_assert_ptr_null(line.options.config_file);
    ck_assert_ptr_null(line.options.source);
    ck_assert_ptr_null(line.options.target);
    ck_assert_int_eq(line.options.log_level, LOG_INFO);
    ck_assert_int_eq(line.options.log_format, LOG_AUTO);
    ck_assert(!line.options.json && !line.options.yes && !line.options.watch);
    ck_assert(!line.options.until_caught_up && !line.options.no_backfill);
    ck_assert(!line.options.no_stream);
    ck_assert_uint_eq(line.options.until_lsn, LSN_NONE);
}
END_TEST

START_TEST(every_option_is_taken)
{
    struct line line;
    expect_run(&line, "run -c f.yaml --source S --target=T --log-level debug --log-format json",
               "run");
    ck_assert_str_eq(line.options.config_file, "f.yaml");
    ck_assert_str_eq(line.options.source, "S");
    ck_assert_str_eq(line.options.target, "T");
    ck_assert_int_eq(line.options.log_level, LOG_DEBUG);
    ck_assert_int_eq(line.options.log_format, LOG_JSON);
    expect_run(&line, "run --until-lsn 16/B374D848 --no-backfill --no-stream --until-caught-up",
               "run");
    ck_assert_uint_eq(line.options.until_lsn, 0x16B374D848);
    ck_assert(line.options.no_backfill && line.options.no_stream);
    ck_assert(line.options.until_caught_up);
    expect_run(&line, "run --redo a --redo=public.b", "run");
    ck_assert_uint_eq(line.options.redo.count, 2);
    ck_assert_str_eq(line.options.redo.names[1], "public.b");
    expect_run(&line, "status --watch --json --yes --config=f.yaml", "status");
    ck_assert(line.options.watch && line.options.json && line.options.yes);
    ck_assert_str_eq(line.options.config_file, "f.yaml");
}
END_TEST

START_TEST(options_may_stand_before_the_command)
{
    struct line line;
    expect_run(&line, "--json -c f.yaml ready --source S", "ready");
    ck_assert(line.options.json);
    ck_assert_str_eq(line.options.source, "S");
}
END_TEST

START_TEST(help_and_version_need_no_command)
{
    struct line line;
    ck_assert_int_eq(parse(&line, ""), OPTIONS_HELP);
    ck_assert_int_eq(parse(&line, "--json"), OPTIONS_HELP);
    ck_assert_int_eq(parse(&line, "-h"), OPTIONS_HELP);
    ck_assert_int_eq(parse(&line, "run --help"), OPTIONS_HELP);
    ck_assert_int_eq(parse(&line, "--version"), OPTIONS_VERSION);
}
END_TEST

START_TEST(a_mistyped_option_is_named_wherever_it_stands)
{
    expect_bad("run --sorce S",
               "bad option --sorce; did you mean --source? (see slackwater --help)");
    expect_bad("--sorce S run",
               "bad option --sorce; did you mean --source? (see slackwater --help)");
    expect_bad("run --json --wacth",
               "bad option --wacth; did you mean --watch? (see slackwater --help)");
    expect_bad("run --frobnicate", "bad option --frobnicate (see slackwater --help)");
    expect_bad("run -x", "bad option -x (see slackwater --help)");
    expect_bad("run --json -xc f.yaml", "bad option -x (see slackwater --help)");
    expect_bad("run --until x", /* it could be either of two */
               "bad option --until (see slackwater --help)");
}
END_TEST

START_TEST(values_where_none_belong_and_none_where_one_does)
{
    expect_bad("run --source", "option --source needs a value (see slackwater --help)");
    expect_bad("run -c", "option -c needs a value (see slackwater --help)");
    expect_bad("run --json=yes", "option --json takes no value (see slackwater --help)");
}
END_TEST

START_TEST(a_password_in_the_wrong_place_is_not_repeated)
{
    expect_bad("run --sorce=postgresql://u:hunter2@h/d",
               "bad option --sorce; did you mean --source? (see slackwater --help)");
    expect_bad("run postgresql://u:hunter2@h/d",
               "unexpected argument behind \"run\" (see slackwater --help)");
}
END_TEST

START_TEST(a_word_that_is_no_choice_is_refused)
{
    expect_bad("run --log-level loud", "--log-level loud: expected debug, info, warn or error");
    expect_bad("run --log-format xml", "--log-format xml: expected text or json");
    expect_bad("run --until-lsn 16", "--until-lsn 16: expected an LSN such as 16/B374D848");
    expect_bad("run --until-lsn now", "--until-lsn now: expected an LSN such as 16/B374D848");
}
END_TEST

START_TEST(a_copy_made_again_needs_a_copy)
{
    expect_bad("run --redo t --no-backfill",
               "--redo copies a table, --no-backfill copies none: leave one of them out");
    expect_bad(
        "run --no-backfill --backfill-only t",
        "--backfill-only copies a table, --no-backfill copies none: leave one of them out");
}
END_TEST

START_TEST(a_second_command_is_one_too_many)
{
    expect_bad("run check", "unexpected argument \"check\" (see slackwater --help)");
    expect_bad("run --json check", "unexpected argument \"check\" (see slackwater --help)");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_command_alone_has_the_defaults,
        every_option_is_taken,
        options_may_stand_before_the_command,
        help_and_version_need_no_command,
        a_mistyped_option_is_named_wherever_it_stands,
        values_where_none_belong_and_none_where_one_does,
        a_password_in_the_wrong_place_is_not_repeated,
        a_word_that_is_no_choice_is_refused,
        a_copy_made_again_needs_a_copy,
        a_second_command_is_one_too_many,
    };
    return unit_run("options", tests, UNIT_COUNT(tests));
}
