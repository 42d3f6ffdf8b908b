/* slackwater: the composition root. Parses the command line, loads the config, and hands both
 * to the command. */
#include "cli/command.h"

#include "base/core.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/plain.h"
#include "base/yaml.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct stop stop;       /* requested by SIGTERM and SIGINT */
static _Atomic int pause_wish; /* SIGUSR1 and SIGUSR2; lock-free, so a handler may set it */

static void on_signal(int signal_number)
{
    (void)signal_number;
    stop_request(&stop);
}

static void on_pause_signal(int signal_number)
{
    pause_wish = signal_number == SIGUSR1 ? WISH_PAUSE : WISH_RESUME;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction pause = {.sa_handler = on_pause_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigemptyset(&pause.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &pause, NULL);
    sigaction(SIGUSR2, &pause, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of the write */
}

/* Messages name what others named, and quote servers. */
static void print_labelled(const char *label, const char *text)
{
    fputs(label, stderr);
    plain_print(stderr, text);
    fputc('\n', stderr);
}

void command_complain(const struct err *err)
{
    print_labelled("slackwater: ", err->message);
    if (err->remedy[0] != '\0')
        print_labelled("  what to do: ", err->remedy);
}

static const struct {
    const char *name;
    command_run run;
} COMMANDS[] = {
    {"run", command_run_migration}, {"check", command_check},     {"status", command_status},
    {"ready", command_ready},       {"cleanup", command_cleanup}, {"schema", command_schema},
    {"dlq", command_dlq},           {"accept", command_accept},   {"preview", command_preview},
    {"pause", command_pause},       {"resume", command_resume},
};
#define COMMAND_COUNT (sizeof COMMANDS / sizeof COMMANDS[0])

static command_run find_command(const char *name, struct err *err)
{
    const char *names[COMMAND_COUNT + 1] = {NULL};
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(COMMANDS[i].name, name) == 0)
            return COMMANDS[i].run;
        names[i] = COMMANDS[i].name;
    }
    const char *near = yaml_nearest(name, names);
    err_set(err, ERR_CONFIG, "unknown command \"%s\"%s%s%s", name,
            near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    err_remedy(err, "see slackwater --help");
    return NULL;
}

/* Other users can read a process's arguments: once copied, DSNs are wiped from there. */
static void wipe_dsns(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool joined =
            strncmp(argv[i], "--source=", 9) == 0 || strncmp(argv[i], "--target=", 9) == 0;
        bool next = strcmp(argv[i], "--source") == 0 || strcmp(argv[i], "--target") == 0;
        if (joined)
            memset(argv[i] + 9, 'x', strlen(argv[i] + 9));
        else if (next && i + 1 < argc)
            memset(argv[i + 1], 'x', strlen(argv[i + 1]));
    }
}

static int run_command(int argc, char **argv, const struct options *options, struct err *err)
{
    struct config config;
    command_run run = find_command(options->command, err);
    if (run == NULL || !config_load(options, &config, err)) {
        command_complain(err);
        return 2;
    }
    wipe_dsns(argc, argv);
    stop_init(&stop);
    catch_signals();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = run(&(struct invocation){
        .options = options, .config = &config, .stop = &stop, .pause_wish = &pause_wish});
    curl_global_cleanup();
    config_free(&config);
    stop_free(&stop);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    struct err err = {0};
    core_forbid();
    switch (options_parse(argc, argv, &options, &err)) {
    case OPTIONS_HELP:
        options_help();
        return argc > 1 ? 0 : 2;
    case OPTIONS_VERSION:
        puts("slackwater " SLACKWATER_VERSION);
        return 0;
    case OPTIONS_BAD:
        command_complain(&err);
        return 2;
    case OPTIONS_RUN:
        break;
    }
    log_setup(options.log_level, options.log_format);
    if (!failpoint_setup(&err)) {
        command_complain(&err);
        return 2;
    }
    return run_command(argc, argv, &options, &err);
}
