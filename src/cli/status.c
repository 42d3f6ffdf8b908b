/* slackwater status, slackwater ready: what a running instance says of itself. */
#include "cli/ask.h"
#include "observe/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CANNOT_TELL 2

static struct pen_style style_of_terminal(void)
{
    struct winsize size = {0};
    bool terminal = isatty(STDOUT_FILENO);
    const char *locale = getenv("LC_ALL") ? getenv("LC_ALL") : getenv("LANG");
    struct pen_style style = {.width = 100, .color = terminal && getenv("NO_COLOR") == NULL};
    if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        style.width = size.ws_col;
    style.unicode = locale != NULL && (strstr(locale, "UTF-8") || strstr(locale, "utf8"));
    return style;
}

static void print_json(const json_t *document)
{
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
}

/* In a terminal the picture is drawn in place; elsewhere pictures follow each other. */
static void draw(const json_t *document, bool in_place)
{
    struct buf text = {0};
    view_status(document, style_of_terminal(), &text);
    if (in_place)
        fputs("\033[H\033[2J", stdout);
    fputs(buf_text(&text), stdout);
    fflush(stdout);
    buf_free(&text);
}

static int show_once(const struct invocation *invocation, bool in_place, struct err *err)
{
    json_t *document = NULL;
    if (!ask_instance(invocation, "/status", &document, err))
        return CANNOT_TELL;
    if (invocation->options->json)
        print_json(document);
    else
        draw(document, in_place);
    json_decref(document);
    return 0;
}

static int status_once(const struct invocation *invocation)
{
    struct err err = {0};
    int status = show_once(invocation, false, &err);
    if (status != 0)
        command_complain(&err);
    return status;
}

/* Until it is interrupted: an instance that is not there yet, or away, is waited for. */
static int status_watch(const struct invocation *invocation)
{
    bool in_place = isatty(STDOUT_FILENO) && !invocation->options->json;
    bool complained = false;
    do {
        struct err err = {0};
        bool shown = show_once(invocation, in_place, &err) == 0;
        if (!shown && !complained)
            command_complain(&err);
        complained = !shown;
    } while (!stop_wait(invocation->stop, clock_monotonic() + USEC_PER_SEC));
    return 0;
}

int command_status(const struct invocation *invocation)
{
    return invocation->options->watch ? status_watch(invocation) : status_once(invocation);
}

int command_ready(const struct invocation *invocation)
{
    json_t *document = NULL;
    struct err err = {0};
    if (!ask_instance(invocation, "/cutover", &document, &err)) {
        command_complain(&err);
        return CANNOT_TELL;
    }
    const char *verdict = json_string_value(json_object_get(document, "verdict"));
    int status = verdict == NULL ? CANNOT_TELL : strcmp(verdict, "GO") == 0 ? 0 : 1;
    if (invocation->options->json) {
        print_json(document);
    } else {
        struct buf text = {0};
        view_gates(document, style_of_terminal(), &text);
        fputs(buf_text(&text), stdout);
        buf_free(&text);
    }
    json_decref(document);
    return status;
}
