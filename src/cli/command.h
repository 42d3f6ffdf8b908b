/* The commands. Each gets a parsed command line and a config, and returns the process's exit
 * status (DESIGN section 2). Registered in main.c. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/stop.h"
#include "cli/config.h"
#include "cli/options.h"

/* What SIGUSR1 and SIGUSR2 ask of a running migration. */
enum pause_wish { WISH_NONE, WISH_PAUSE, WISH_RESUME };

struct invocation {
    const struct options *options;
    const struct config *config;
    const struct stop *stop;
    _Atomic int *pause_wish; /* enum pause_wish, set by signals */
};

typedef int (*command_run)(const struct invocation *invocation);

int command_run_migration(const struct invocation *invocation);
int command_check(const struct invocation *invocation);
int command_schema(const struct invocation *invocation);
int command_preview(const struct invocation *invocation);
int command_status(const struct invocation *invocation);
int command_ready(const struct invocation *invocation);
int command_pause(const struct invocation *invocation);
int command_resume(const struct invocation *invocation);
int command_accept(const struct invocation *invocation);
int command_dlq(const struct invocation *invocation);
int command_cleanup(const struct invocation *invocation);

/* Prints an error for people on standard error: what, then what to do. */
void command_complain(const struct err *err);

#endif
