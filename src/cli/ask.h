/* Finds the running instance of a migration and asks it for a document. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli/command.h"

#include <jansson.h>

/* GET path from the configured address; when nobody answers there, from the address that the
 * last instance wrote into the control schema. Caller decrefs *document. */
bool ask_instance(const struct invocation *invocation, const char *path, json_t **document,
                  struct err *err);

#endif
