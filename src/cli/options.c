/* The command line (options.h). */
#include "cli/options.h"

#include "base/yaml.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "slackwater " SLACKWATER_VERSION
    " - keeps a new PostgreSQL database in step with an old one\n"
    "\n"
    "usage: slackwater COMMAND [-c FILE] [--source DSN] [--target DSN] [options]\n"
    "\n"
    "commands\n"
    "  run       backfill, then stream; resumes by itself; serves the page and metrics\n"
    "  check     settings, rights, and every rule against both live schemas; or what changes\n"
    "            between two schema files (--before a.json --after b.json)\n"
    "  schema    the target's DDL, derived from the source through the rules (--apply: runs it)\n"
    "  preview   real source rows before and after the rules; writes nothing\n"
    "  status    where a running migration stands (--watch: live)\n"
    "  ready     every gate with its reason; exit 0 GO, 1 NO-GO, 2 cannot tell\n"
    "  pause     the backfill begins no new chunk, also after a restart; the stream goes on\n"
    "            (so does SIGUSR1 to a run)\n"
    "  resume    the backfill goes on (so does SIGUSR2)\n"
    "  dlq       rows that were refused, and what waits behind them: dlq list [--table T],\n"
    "            dlq show ID, dlq retry ID...|--key K|--all, dlq skip ID...|--key K|--all\n"
    "  accept    lets run go on with tables that have changed, as they are now (--table T: one)\n"
    "  cleanup   drops slot, publication, origin and control rows\n"
    "\n"
    "options\n"
    "  -c, --config FILE     the migration's YAML; without it every table is carried as it is\n"
    "      --source DSN      also SLACKWATER_SOURCE\n"
    "      --target DSN      also SLACKWATER_TARGET\n"
    "      --json            machine-readable output (check, preview, status, ready, dlq)\n"
    "      --sql             check: the suggested statements, in a safe order\n"
    "      --before FILE     check: compare this schema file\n"
    "      --after FILE      check: with this one; no database is asked\n"
    "      --log-level L     debug, info, warn, error\n"
    "      --log-format F    text, json (default: text on a terminal)\n"
    "      --until-caught-up run: stop when what the source holds now is applied\n"
    "      --until-lsn LSN   run: stop when this position is applied\n"
    "      --no-backfill     run: the target holds the data already; stream only\n"
    "      --no-stream       run: stop after the backfill\n"
    "      --backfill-only T run: copy table T now, and leave those that are not copied yet for\n"
    "                        another run; may be given several times\n"
    "      --redo T          run: empty table T's target and copy it anew, beside the stream;\n"
    "                        may be given several times\n"
    "      --apply           schema: run the statements at the target\n"
    "      --phase P         schema: only what comes before, or after, the data\n"
    "      --rows N          preview: rows of each table (default 5)\n"
    "      --table T         preview: one table, of the source or the target; dlq, accept: of\n"
    "                        the source\n"
    "      --key K           dlq: the letters of one key, as the list shows it\n"
    "      --all             dlq retry, dlq skip: all that are parked\n"
    "      --watch           status: redraw each second\n"
    "      --yes             cleanup: do not ask\n"
    "      --help, --version\n"
    "\n"
    "exit status of run: 0 stopped cleanly, 2 configuration, 3 data stopped it, 4 source or slot\n"
    "lost. Of check: 0 compatible, 1 potentially breaking, 2 breaking. Of preview: 1 a row was\n"
    "refused. Of dlq retry: 0 done, 1 some are still refused, 2 it could not be tried.\n";

enum long_only {
    OPT_SOURCE = 256,
    OPT_TARGET,
    OPT_JSON,
    OPT_LOG_LEVEL,
    OPT_LOG_FORMAT,
    OPT_CAUGHT_UP,
    OPT_UNTIL_LSN,
    OPT_NO_BACKFILL,
    OPT_NO_STREAM,
    OPT_WATCH,
    OPT_YES,
    OPT_SQL,
    OPT_BEFORE,
    OPT_AFTER,
    OPT_APPLY,
    OPT_PHASE,
    OPT_ROWS,
    OPT_TABLE,
    OPT_REDO,
    OPT_BACKFILL_ONLY,
    OPT_KEY,
    OPT_ALL,
    OPT_HELP,
    OPT_VERSION
};

static const struct option OPTIONS[] = {
    {"config", required_argument, NULL, 'c'},
    {"source", required_argument, NULL, OPT_SOURCE},
    {"target", required_argument, NULL, OPT_TARGET},
    {"json", no_argument, NULL, OPT_JSON},
    {"sql", no_argument, NULL, OPT_SQL},
    {"before", required_argument, NULL, OPT_BEFORE},
    {"after", required_argument, NULL, OPT_AFTER},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {"log-format", required_argument, NULL, OPT_LOG_FORMAT},
    {"until-caught-up", no_argument, NULL, OPT_CAUGHT_UP},
    {"until-lsn", required_argument, NULL, OPT_UNTIL_LSN},
    {"no-backfill", no_argument, NULL, OPT_NO_BACKFILL},
    {"no-stream", no_argument, NULL, OPT_NO_STREAM},
    {"watch", no_argument, NULL, OPT_WATCH},
    {"yes", no_argument, NULL, OPT_YES},
    {"apply", no_argument, NULL, OPT_APPLY},
    {"phase", required_argument, NULL, OPT_PHASE},
    {"rows", required_argument, NULL, OPT_ROWS},
    {"table", required_argument, NULL, OPT_TABLE},
    {"key", required_argument, NULL, OPT_KEY},
    {"all", no_argument, NULL, OPT_ALL},
    {"redo", required_argument, NULL, OPT_REDO},
    {"backfill-only", required_argument, NULL, OPT_BACKFILL_ONLY},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

void options_help(void)
{
    fputs(HELP, stdout);
}

static bool take_phase(const char *value, struct options *options, struct err *err)
{
    options->phase = value;
    return strcmp(value, "before") == 0 || strcmp(value, "after") == 0 ||
           err_set(err, ERR_CONFIG, "--phase %s: expected before or after", value);
}

#define MOST_ROWS 100000

static bool take_rows(const char *value, struct options *options, struct err *err)
{
    char *end;
    long rows = strtol(value, &end, 10);
    if (*value == '\0' || *end != '\0' || rows < 1 || rows > MOST_ROWS)
        return err_set(err, ERR_CONFIG, "--rows %s: expected a number from 1 to %d", value,
                       MOST_ROWS);
    options->rows = (int)rows;
    return true;
}

static bool take_table(const char *option, const char *value, struct option_tables *tables,
                       struct err *err)
{
    if (tables->count == OPTIONS_TABLES_MOST)
        return err_set(err, ERR_CONFIG, "%s: at most %d tables can be named", option,
                       OPTIONS_TABLES_MOST);
    tables->names[tables->count++] = value;
    return true;
}

static bool take_value(int option, const char *value, struct options *options, struct err *err)
{
    switch (option) {
    case 'c':
        options->config_file = value;
        return true;
    case OPT_SOURCE:
        options->source = value;
        return true;
    case OPT_TARGET:
        options->target = value;
        return true;
    case OPT_BEFORE:
        options->before = value;
        return true;
    case OPT_AFTER:
        options->after = value;
        return true;
    case OPT_LOG_LEVEL:
        return log_parse_level(value, &options->log_level) ||
               err_set(err, ERR_CONFIG, "--log-level %s: expected debug, info, warn or error",
                       value);
    case OPT_LOG_FORMAT:
        return log_parse_format(value, &options->log_format) ||
               err_set(err, ERR_CONFIG, "--log-format %s: expected text or json", value);
    case OPT_UNTIL_LSN:
        return lsn_parse(value, &options->until_lsn) ||
               err_set(err, ERR_CONFIG, "--until-lsn %s: expected an LSN such as 16/B374D848",
                       value);
    case OPT_PHASE:
        return take_phase(value, options, err);
    case OPT_ROWS:
        return take_rows(value, options, err);
    case OPT_TABLE:
        options->table = value;
        return true;
    case OPT_KEY:
        options->key = value;
        return true;
    case OPT_REDO:
        return take_table("--redo", value, &options->redo, err);
    case OPT_BACKFILL_ONLY:
        return take_table("--backfill-only", value, &options->backfill_only, err);
    default:
        return false;
    }
}

static bool *flag_of(int option, struct options *options)
{
    switch (option) {
    case OPT_JSON:
        return &options->json;
    case OPT_SQL:
        return &options->sql;
    case OPT_CAUGHT_UP:
        return &options->until_caught_up;
    case OPT_NO_BACKFILL:
        return &options->no_backfill;
    case OPT_NO_STREAM:
        return &options->no_stream;
    case OPT_WATCH:
        return &options->watch;
    case OPT_APPLY:
        return &options->apply;
    case OPT_ALL:
        return &options->all;
    case OPT_YES:
        return &options->yes;
    default:
        return NULL;
    }
}

/* The word is the one before optind: getopt_long() moves the others about. What follows an = is
 * not repeated; it may be a DSN. */
static bool refuse_option(int result, char **argv, struct err *err)
{
    static const char *const NAMES[] = {"--config",        "--source",
                                        "--target",        "--json",
                                        "--log-level",     "--log-format",
                                        "--until-lsn",     "--no-backfill",
                                        "--no-stream",     "--watch",
                                        "--sql",           "--before",
                                        "--after",         "--apply",
                                        "--phase",         "--rows",
                                        "--table",         "--redo",
                                        "--key",           "--all",
                                        "--backfill-only", "--until-caught-up",
                                        "--yes",           "--help",
                                        "--version",       NULL};
    const char *given = argv[optind - 1];
    char word[64];
    if (result == '?' && optopt > 0 && optopt < OPT_SOURCE)
        snprintf(word, sizeof word, "-%c", optopt); /* maybe one of several letters */
    else
        snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
    if (result == ':')
        return err_set(err, ERR_CONFIG, "option %s needs a value (see slackwater --help)",
                       word);
    if (optopt >= OPT_SOURCE)
        return err_set(err, ERR_CONFIG, "option %s takes no value (see slackwater --help)",
                       word);
    const char *near = yaml_nearest(word, NAMES);
    return err_set(err, ERR_CONFIG, "bad option %s%s%s%s (see slackwater --help)", word,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* A DSN that lost its option is not repeated. */
static bool refuse_argument(const char *argument, const char *command, struct err *err)
{
    if (strpbrk(argument, ":=") != NULL)
        return err_set(err, ERR_CONFIG,
                       "unexpected argument behind \"%s\" (see slackwater --help)", command);
    return err_set(err, ERR_CONFIG, "unexpected argument \"%s\" (see slackwater --help)",
                   argument);
}

/* One command takes words behind its name. */
static bool take_words(int argc, char **argv, struct options *options, struct err *err)
{
    bool takes = strcmp(options->command, "dlq") == 0;
    for (; optind < argc; optind++) {
        if (!takes)
            return refuse_argument(argv[optind], options->command, err);
        if (options->word_count == OPTIONS_WORDS_MOST)
            return err_set(err, ERR_CONFIG, "dlq: at most %d words; use --all or --key",
                           OPTIONS_WORDS_MOST);
        options->words[options->word_count++] = argv[optind];
    }
    return true;
}

static bool check_together(const struct options *options, struct err *err)
{
    const char *copying = options->redo.count > 0            ? "--redo"
                          : options->backfill_only.count > 0 ? "--backfill-only"
                                                             : NULL;
    return !options->no_backfill || copying == NULL ||
           err_set(err, ERR_CONFIG,
                   "%s copies a table, --no-backfill copies none: leave one of them out",
                   copying);
}

enum options_result options_parse(int argc, char **argv, struct options *options,
                                  struct err *err)
{
    *options = (struct options){.log_level = LOG_INFO, .log_format = LOG_AUTO, .rows = 5};
    opterr = 0;
    for (;;) {
        int option = getopt_long(argc, argv, ":c:h", OPTIONS, NULL);
        if (option == -1)
            break;
        if (option == OPT_HELP || option == 'h')
            return OPTIONS_HELP;
        if (option == OPT_VERSION)
            return OPTIONS_VERSION;
        bool *flag = flag_of(option, options);
        if (flag != NULL) {
            *flag = true;
            continue;
        }
        if (option == '?' || option == ':') {
            refuse_option(option, argv, err);
            return OPTIONS_BAD;
        }
        if (!take_value(option, optarg, options, err))
            return OPTIONS_BAD;
    }
    if (optind == argc)
        return OPTIONS_HELP;
    options->command = argv[optind++];
    bool ok = take_words(argc, argv, options, err) && check_together(options, err);
    return ok ? OPTIONS_RUN : OPTIONS_BAD;
}
