/* slackwater cleanup: takes away what a migration has made at both sides: slot and publications
 * at the source, origin and control rows at the target, the spool. The migrated tables stay. */
#include "cli/command.h"
#include "postgres/control.h"
#include "postgres/deferred_index.h"
#include "postgres/session.h"
#include "postgres/slot.h"
#include "spool/spool.h"

#include <stdio.h>
#include <string.h>

static bool confirmed(const struct invocation *invocation, const char *slot)
{
    char answer[16];
    if (invocation->options->yes)
        return true;
    printf(
        "This ends migration \"%s\": slot and publication %s are dropped at the source,\n"
        "origin and control rows at the target, and what is in spool.dir. It cannot resume; tables are kept.\n"
        "Type yes to go on: ",
        invocation->config->migration, slot);
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

static bool open_both(const struct invocation *invocation, struct session *source,
                      struct session *target, struct err *err)
{
    const struct config *config = invocation->config;
    return config_need_source(config, err) && config_need_target(config, err) &&
           session_open(source, "source", config->source_dsn, SESSION_SQL, invocation->stop,
                        err) &&
           session_open(target, "target", config->target_dsn, SESSION_SQL, invocation->stop,
                        err);
}

/* Nobody may be running it. */
static bool take(const struct invocation *invocation, struct session *target, struct err *err)
{
    bool taken = false;
    if (!control_lock(target, invocation->config->migration, &taken, err))
        return false;
    if (taken)
        return true;
    err_set(err, ERR_CONFIG, "an instance of migration \"%s\" is running",
            invocation->config->migration);
    return err_remedy(err, "stop it first");
}

/* Once the control tables are gone nobody knows of it any more: what cannot be built is printed. */
static void build_or_print(const struct invocation *invocation, struct session *target,
                           const struct deferred_index *index)
{
    struct err err = {0};
    printf("building index %s of %s, which was dropped for the copy\n", index->name,
           index->target);
    fflush(stdout);
    if (deferred_index_build(target, invocation->config->migration, index, true, &err))
        return;
    (void)session_run(target, "ROLLBACK", &(struct err){0});
    printf("that failed: %s\nmake it yourself:\n  %s;\n", err.message, index->definition);
    if (index->attach[0] != '\0')
        printf("  %s;\n", index->attach);
    if (index->rest[0] != '\0')
        printf("  %s;\n", index->rest);
}

static bool build_indexes(const struct invocation *invocation, struct session *target,
                          struct err *err)
{
    struct deferred_index index = {0};
    do {
        long behind = index.position;
        deferred_index_free(&index);
        if (!deferred_index_next(target, invocation->config->migration, NULL, behind, &index,
                                 err))
            return false;
        if (index.name != NULL)
            build_or_print(invocation, target, &index);
    } while (index.name != NULL && session_is_open(target));
    deferred_index_free(&index);
    return true;
}

static bool give_back_indexes(const struct invocation *invocation, struct session *target,
                              struct err *err)
{
    struct control_migration found;
    if (!control_load(target, invocation->config->migration, &found, err))
        return false;
    bool started = found.state == CONTROL_STARTED;
    control_migration_free(&found);
    return !started || (control_end_copiers(target, invocation->config->migration, err) &&
                        build_indexes(invocation, target, err));
}

/* Of this machine, if it is the one; nothing in it is of use without the slot. */
static bool remove_spool(const struct invocation *invocation, const char *slot, struct err *err)
{
    const char *folder = invocation->config->spool_dir;
    const struct spool_identity ours = {.migration = invocation->config->migration,
                                        .slot = slot};
    return folder == NULL || spool_remove(folder, &ours, err);
}

static bool remove_all(const struct invocation *invocation, const char *slot,
                       struct session *source, struct session *target, struct err *err)
{
    return take(invocation, target, err) && give_back_indexes(invocation, target, err) &&
           remove_spool(invocation, slot, err) && slot_drop(source, slot, err) &&
           slot_drop_publications(source, slot, err) &&
           control_drop_origin(target, slot, err) &&
           control_remove(target, invocation->config->migration, err);
}

int command_cleanup(const struct invocation *invocation)
{
    char slot[SLOT_NAME_SIZE];
    struct session source = {0};
    struct session target = {0};
    struct err err = {0};
    int status = 0;
    slot_name(invocation->config->migration, slot);
    if (!open_both(invocation, &source, &target, &err)) {
        command_complain(&err);
        status = 2;
    } else if (!confirmed(invocation, slot)) {
        puts("nothing was changed");
        status = 1;
    } else if (!remove_all(invocation, slot, &source, &target, &err)) {
        command_complain(&err);
        status = err_exit_status(err.class);
    } else {
        printf("migration \"%s\" is cleaned up\n", invocation->config->migration);
    }
    session_close(&source);
    session_close(&target);
    return status;
}
