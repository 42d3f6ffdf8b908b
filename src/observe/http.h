/* The HTTP face: /, /metrics, /healthz, /readyz, /cutover, /status. GET and HEAD only; anything
 * else is 405, an unknown path 404. Built on libmicrohttpd with one internal thread, bounded
 * connections and time-outs (slow headers do not hold it up). Every reply is drawn from a fresh
 * picture that `collect` fills (on the HTTP thread), with gates evaluated.
 *
 * /healthz 200 while the process lives; /readyz 200 in PHASE_STREAMING or PHASE_CATCHING_UP
 * else 503; /cutover 200 for GO, 503 for NO-GO. */
#ifndef OBSERVE_HTTP_H
#define OBSERVE_HTTP_H

#include "base/err.h"
#include "observe/status.h"

struct http_server;

typedef void (*http_collect)(void *context, struct status *status);

/* listen: "127.0.0.1:8087", "[::1]:8087", ":8087" (all addresses); port 0 takes a free one.
 * ERR_CONFIG when the address is bad or taken. */
bool http_start(const char *listen, http_collect collect, void *context,
                struct http_server **server, struct err *err);
/* "127.0.0.1:8087" with the real port. Borrowed from the server. */
const char *http_address(const struct http_server *server);
void http_stop(struct http_server *server); /* waits for replies under way; NULL is accepted */

#endif
