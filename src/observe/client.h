/* Asks a running slackwater for one of its documents over HTTP (libcurl), for the commands that
 * report on it: status, ready. */
#ifndef OBSERVE_CLIENT_H
#define OBSERVE_CLIENT_H

#include "base/err.h"

#include <jansson.h>

/* GET http://address/path; at most 16 MiB, 5 s. Any HTTP status that carries JSON is a success
 * (503 is a verdict). ERR_RETRY when nobody answers. Caller decrefs *document. */
bool client_get(const char *address, const char *path, json_t **document, struct err *err);

#endif
