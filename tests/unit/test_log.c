/* Logs: what a line looks like, and that nothing in it can forge another. */
#include "base/log.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Standard error becomes one end of a socket that keeps messages apart: each write arrives as
 * one message. */
struct capture {
    int saved;
    int messages;
    char line[65536];
};

static struct capture capture;

static void capture_begin(void)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    capture.saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    capture.messages = ends[0];
}

/* The line of the next write without its time, or "" if there is none. */
static const char *capture_next(void)
{
    ssize_t size = recv(capture.messages, capture.line, sizeof(capture.line) - 1, MSG_DONTWAIT);
    capture.line[size > 0 ? size : 0] = '\0';
    return capture.line;
}

static void capture_end(void)
{
    dup2(capture.saved, STDERR_FILENO);
    close(capture.saved);
    close(capture.messages);
}

#define TIME_SIZE (sizeof("2026-11-21T02:27:26.123Z") - 1)

static void expect_text(const char *expected)
{
    const char *line = capture_next();
    ck_assert_uint_gt(strlen(line), TIME_SIZE);
    ck_assert_int_eq(line[10], 'T');
    ck_assert_int_eq(line[TIME_SIZE - 1], 'Z');
    ck_assert_str_eq(line + TIME_SIZE, expected);
}

static void expect_json(const char *expected)
{
    const char *line = capture_next();
    ck_assert_int_eq(strncmp(line, "{\"ts\":\"20", 9), 0);
    ck_assert_str_eq(line + 7 + TIME_SIZE, expected);
}

START_TEST(text_lines_are_words_and_fields)
{
    capture_begin();
    log_setup(LOG_DEBUG, LOG_TEXT);
    log_event(LOG_INFO, "slot created", log_text("slot", "slackwater_shop"),
              log_lsn("lsn", 0x16B3748));
    expect_text(" INFO  slot created slot=slackwater_shop lsn=0/16B3748\n");
    log_event(LOG_ERROR, "gone");
    expect_text(" ERROR gone\n");
    log_event(LOG_DEBUG, "n", log_int("i", INT64_MIN), log_uint("u", UINT64_MAX),
              log_real("r", 0.25), log_bool("b", true), log_text("none", NULL));
    expect_text(" DEBUG n i=-9223372036854775808 u=18446744073709551615 r=0.25 b=true "
                "none=\"\"\n");
    capture_end();
}
END_TEST

START_TEST(json_lines_are_objects)
{
    capture_begin();
    log_setup(LOG_DEBUG, LOG_JSON);
    log_event(LOG_WARN, "slot created", log_text("slot", "shop"), log_lsn("lsn", 0x16B3748),
              log_int("i", -1), log_bool("b", false), log_real("r", 1.5),
              log_real("never", 1.0 / 0.0));
    expect_json("\",\"level\":\"warn\",\"event\":\"slot created\",\"slot\":\"shop\","
                "\"lsn\":\"0/16B3748\",\"i\":-1,\"b\":false,\"r\":1.5,\"never\":null}\n");
    capture_end();
}
END_TEST

static const char nasty[] =
    "a\nb\r\t\"\\ \x1b[31m\x7f \xC3\xA9\xE2\x82\xAC\xF0\x9F\x8C\x8A \xC2\x85 "
    "\xFF\xC0\xAF\xED\xA0\x80\xE2\x82";

START_TEST(text_values_cannot_forge_a_line_or_reach_the_terminal)
{
    capture_begin();
    log_setup(LOG_DEBUG, LOG_TEXT);
    log_event(LOG_INFO, "e\n\x1b", log_text("v", nasty), log_text("x", "a=b"),
              log_text("y", "back\\slash"), log_text("z", "\xC3\xA9"));
    expect_text(" INFO  e\\n\\x1b v=\"a\\nb\\r\\t\\\"\\\\ \\x1b[31m\\x7f \xC3\xA9\xE2\x82\xAC"
                "\xF0\x9F\x8C\x8A \\xc2\\x85 \\xff\\xc0\\xaf\\xed\\xa0\\x80\\xe2\\x82\" "
                "x=\"a=b\" y=\"back\\\\slash\" z=\xC3\xA9\n");
    capture_end();
}
END_TEST

START_TEST(json_values_stay_valid_whatever_the_bytes)
{
    capture_begin();
    log_setup(LOG_DEBUG, LOG_JSON);
    log_event(LOG_INFO, "e\"", log_text("v\"", nasty));
    expect_json("\",\"level\":\"info\",\"event\":\"e\\\"\",\"v\\\"\":\"a\\nb\\r\\t\\\"\\\\ "
                "\\u001b[31m\\u007f \xC3\xA9\xE2\x82\xAC\xF0\x9F\x8C\x8A \\ufffd\\ufffd "
                "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"}\n");
    capture_end();
}
END_TEST

START_TEST(events_below_the_level_are_not_written)
{
    capture_begin();
    log_setup(LOG_WARN, LOG_TEXT);
    log_event(LOG_INFO, "quiet");
    log_event(LOG_WARN, "heard");
    expect_text(" WARN  heard\n");
    ck_assert_str_eq(capture_next(), "");
    capture_end();
}
END_TEST

START_TEST(a_log_that_is_no_terminal_is_json_by_itself)
{
    capture_begin();
    log_setup(LOG_INFO, LOG_AUTO);
    log_event(LOG_INFO, "x");
    expect_json("\",\"level\":\"info\",\"event\":\"x\"}\n");
    capture_end();
}
END_TEST

START_TEST(a_closed_standard_error_harms_nobody)
{
    capture_begin();
    log_setup(LOG_INFO, LOG_TEXT);
    close(STDERR_FILENO);
    errno = EDOM;
    log_event(LOG_INFO, "x");
    ck_assert_int_eq(errno, EDOM);
    capture_end();
}
END_TEST

#define CROWD 4
#define EACH 500

static void *log_many(void *data)
{
    for (int i = 0; i < EACH; i++)
        log_event(LOG_INFO, "many", log_text("who", data), log_int("i", i),
                  log_text("pad", "................................................."));
    return NULL;
}

static void *read_many(void *data)
{
    size_t *whole = data;
    static char line[65536];
    ssize_t size;
    while ((size = recv(capture.messages, line, sizeof(line), 0)) > 0 && line[0] != '!')
        *whole += line[0] == '2' && line[size - 1] == '\n' &&
                  memchr(line, '\n', (size_t)size) == line + size - 1;
    return NULL;
}

START_TEST(lines_of_many_threads_do_not_mix)
{
    static char names[CROWD][2] = {"a", "b", "c", "d"};
    pthread_t writers[CROWD], reader;
    size_t whole = 0;
    capture_begin();
    log_setup(LOG_INFO, LOG_TEXT);
    pthread_create(&reader, NULL, read_many, &whole);
    for (int i = 0; i < CROWD; i++)
        pthread_create(&writers[i], NULL, log_many, names[i]);
    for (int i = 0; i < CROWD; i++)
        pthread_join(writers[i], NULL);
    ck_assert_int_eq(write(STDERR_FILENO, "!", 1), 1);
    pthread_join(reader, NULL);
    capture_end();
    ck_assert_uint_eq(whole, CROWD * EACH);
}
END_TEST

START_TEST(levels_and_formats_are_words)
{
    enum log_level level = LOG_ERROR;
    enum log_format format = LOG_AUTO;
    ck_assert(log_parse_level("debug", &level) && level == LOG_DEBUG);
    ck_assert(log_parse_level("WARN", &level) && level == LOG_WARN);
    ck_assert(!log_parse_level("loud", &level) && level == LOG_WARN);
    ck_assert(log_parse_format("json", &format) && format == LOG_JSON);
    ck_assert(!log_parse_format("", &format) && format == LOG_JSON);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        text_lines_are_words_and_fields,
        json_lines_are_objects,
        text_values_cannot_forge_a_line_or_reach_the_terminal,
        json_values_stay_valid_whatever_the_bytes,
        events_below_the_level_are_not_written,
        a_log_that_is_no_terminal_is_json_by_itself,
        a_closed_standard_error_harms_nobody,
        lines_of_many_threads_do_not_mix,
        levels_and_formats_are_words,
    };
    return unit_run("log", tests, UNIT_COUNT(tests));
}
