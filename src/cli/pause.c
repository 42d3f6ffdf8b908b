/* slackwater pause, slackwater resume: kept at the target, where the running instance looks for it
 * within a second, and the next one before it begins. So they need neither its address nor a
 * token, but the right to write slackwater's control rows. */
#include "cli/command.h"
#include "postgres/control.h"
#include "postgres/session.h"

#include <stdio.h>

static bool installed(struct session *session, const char *migration, struct err *err)
{
    struct control_migration found = {.state = CONTROL_NONE};
    if (!control_load(session, migration, &found, err))
        return false;
    bool begun = found.state != CONTROL_NONE;
    control_migration_free(&found);
    if (begun)
        return true;
    err_set(err, ERR_CONFIG, "no migration \"%s\" was begun at this target", migration);
    return err_remedy(err, "begin it with `slackwater run`, or name the right file and target");
}

static bool record(const struct invocation *invocation, bool paused, bool *changed,
                   struct err *err)
{
    const struct config *config = invocation->config;
    struct session session = {0};
    bool ok = config_need_target(config, err) &&
              session_open(&session, "target", config->target_dsn, SESSION_SQL,
                           invocation->stop, err) &&
              installed(&session, config->migration, err) &&
              control_set_paused(&session, config->migration, paused, changed, err);
    session_close(&session);
    return ok;
}

static int pause_or_resume(const struct invocation *invocation, bool paused)
{
    const char *migration = invocation->config->migration;
    struct err err = {0};
    bool changed = false;
    if (!record(invocation, paused, &changed, &err)) {
        command_complain(&err);
        return 2;
    }
    if (!changed)
        printf("the backfill of migration \"%s\" %s\n", migration,
               paused ? "is paused already" : "is not paused");
    else if (paused)
        printf(
            "the backfill of migration \"%s\" is paused: chunks under way are finished, no new "
            "one is begun; the stream goes on\n",
            migration);
    else
        printf("the backfill of migration \"%s\" goes on\n", migration);
    return 0;
}

int command_pause(const struct invocation *invocation)
{
    return pause_or_resume(invocation, true);
}

int command_resume(const struct invocation *invocation)
{
    return pause_or_resume(invocation, false);
}
