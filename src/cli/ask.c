/* Finds the running instance and asks it (ask.h). */
#include "cli/ask.h"

#include "base/mem.h"
#include "observe/client.h"
#include "postgres/control.h"
#include "postgres/session.h"

#include <stdlib.h>
#include <string.h>

/* An address to listen on as one to ask: any address means this machine. Caller frees. */
static char *address_to_ask(const char *listen)
{
    static const char *const ANY[] = {"0.0.0.0:", "[::]:", ":"};
    for (size_t i = 0; i < sizeof ANY / sizeof ANY[0]; i++)
        if (strncmp(listen, ANY[i], strlen(ANY[i])) == 0)
            return mem_format("127.0.0.1:%s", listen + strlen(ANY[i]));
    return mem_string(listen);
}

static bool ask_at(const char *listen, const char *path, json_t **document, struct err *err)
{
    char *address = address_to_ask(listen);
    bool ok = client_get(address, path, document, err);
    free(address);
    return ok;
}

/* The address in the control schema, or NULL. Caller frees. */
static char *recorded_address(const struct invocation *invocation)
{
    const struct config *config = invocation->config;
    struct session session = {0};
    struct control_migration found = {.state = CONTROL_NONE};
    struct err ignored = {0};
    char *address = NULL;
    if (config->target_dsn == NULL || !session_open(&session, "target", config->target_dsn,
                                                    SESSION_SQL, invocation->stop, &ignored))
        return NULL;
    if (control_load(&session, config->migration, &found, &ignored)) {
        address = mem_string(found.http_address);
        control_migration_free(&found);
    }
    session_close(&session);
    return address;
}

static bool has_fixed_port(const char *listen)
{
    size_t size = strlen(listen);
    return size < 2 || strcmp(listen + size - 2, ":0") != 0;
}

/* Several migrations may run on one machine: the answer must be about ours. */
static bool is_ours(const struct invocation *invocation, const json_t *document)
{
    const char *migration = json_string_value(json_object_get(document, "migration"));
    return migration != NULL && strcmp(migration, invocation->config->migration) == 0;
}

bool ask_instance(const struct invocation *invocation, const char *path, json_t **document,
                  struct err *err)
{
    const char *listen = invocation->config->http_listen;
    err_set(err, ERR_RETRY, "no instance of migration \"%s\" is known",
            invocation->config->migration);
    err_remedy(err, "start it with `slackwater run`, or name its address (http.listen) or its "
                    "target");
    if (has_fixed_port(listen) && ask_at(listen, path, document, err)) {
        if (is_ours(invocation, *document))
            return true;
        json_decref(*document);
        err_set(err, ERR_RETRY, "%s serves another migration than \"%s\"", listen,
                invocation->config->migration);
    }
    char *recorded = recorded_address(invocation);
    bool ok = recorded != NULL && ask_at(recorded, path, document, err);
    free(recorded);
    if (ok && !is_ours(invocation, *document)) {
        json_decref(*document);
        return err_set(err, ERR_RETRY, "no instance of migration \"%s\" answers",
                       invocation->config->migration);
    }
    return ok;
}
