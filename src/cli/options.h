/* The command line: slackwater COMMAND [options]. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/err.h"
#include "base/log.h"
#include "model/lsn.h"

#include <stdbool.h>

#define OPTIONS_TABLES_MOST 64
#define OPTIONS_WORDS_MOST 256

/* An option that may be given several times. */
struct option_tables {
    size_t count;
    const char *names[OPTIONS_TABLES_MOST];
};

struct options {
    const char *command;
    size_t word_count; /* behind the command: dlq's */
    const char *words[OPTIONS_WORDS_MOST];
    const char *config_file; /* NULL: from two DSNs alone */
    const char *source;      /* NULL: from the file or the environment */
    const char *target;
    const char *before; /* schema files, for check; NULL: the live databases */
    const char *after;
    enum log_level log_level;
    enum log_format log_format;
    bool json;
    bool sql;
    bool yes;
    bool watch;
    bool until_caught_up;
    bool no_backfill;
    bool no_stream;
    lsn_t until_lsn;                    /* LSN_NONE: none */
    struct option_tables redo;          /* run: to be copied anew */
    struct option_tables backfill_only; /* run: no others are copied; none: all */
    bool apply;                         /* schema */
    const char *phase;                  /* schema: "before" or "after" the data; NULL: both */
    const char *table; /* preview, dlq: of the source or the target; NULL: all */
    const char *key;   /* dlq: as its list shows it; NULL: any */
    bool all;          /* dlq */
    int rows;          /* preview: of each table */
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_BAD };

/* Texts are borrowed from argv. OPTIONS_BAD fills err (ERR_CONFIG). */
enum options_result options_parse(int argc, char **argv, struct options *options,
                                  struct err *err);

/* The help text, to standard output. */
void options_help(void);

#endif
