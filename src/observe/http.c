/* The HTTP face.
 *
 * The problem: a page, probes and scrapers ask at any time, some of them slowly or with bad
 * intent, and none of that may touch the migration. So one thread serves all, with bounded
 * connections, bounded memory a connection, an idle time-out, and a limit on how long one
 * request may take in all (a client that sends a byte now and then is never idle).
 *
 * libmicrohttpd parses and sends; its epoll descriptor is driven by a loop of our own, so that
 * time limit, stop and drain happen on the same thread and need no lock. Nothing here changes
 * state: GET and HEAD only. */
#include "observe/http.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "observe/gates.h"
#include "observe/metrics.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MAX_CONNECTIONS 64u
#define MAX_CONNECTION_MEMORY ((size_t)32 << 10) /* of request line and headers */
#define IDLE_SECONDS 10u
#define MAX_REQUEST_TIME                                                                       \
    (20 * USEC_PER_SEC) /* from the first byte to the last of the reply   \
                                              */
/* With so many connections each gets but little time: who holds them all must not keep a probe
 * of the orchestrator's out, which would end the process. */
#define CROWD (MAX_CONNECTIONS * 3 / 4)
#define MAX_CROWDED_TIME (500 * USEC_PER_MS)
#define CROWDED_TICK_MS 100
#define MAX_DRAIN_TIME (2 * USEC_PER_SEC)
#define TICK_MS 1000
#define BACKLOG 64
#define MAX_HOST 256

extern const char _binary_page_html_start[], _binary_page_html_end[];

/* One connection, from accept to close. */
struct visitor {
    struct MHD_Connection *connection;
    usec_t since;  /* accepted, or last reply complete */
    bool answered; /* a whole request of it was */
    struct visitor *next, **link;
};

struct http_server {
    /* set at start */
    http_collect collect;
    void *context;
    char *address;
    struct MHD_Daemon *daemon;
    int epoll_fd;
    struct stop stop;
    pthread_t thread;
    /* owned by the HTTP thread */
    struct visitor *visitors;
    unsigned visitor_count;
    size_t in_flight; /* requests begun and not yet replied to in full */
    uint64_t refused; /* see struct status */
};

/* --- documents --- */

static void take_picture(const struct http_server *server, struct status *status)
{
    memset(status, 0, sizeof *status);
    server->collect(server->context, status);
    status->http_refused = server->refused;
    gates_evaluate(status);
}

static int append_json(const char *data, size_t size, void *context)
{
    buf_append(context, data, size);
    return 0;
}

/* Takes the document. */
static void put_json(json_t *document, struct buf *out)
{
    json_dump_callback(document, append_json, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    buf_append_char(out, '\n');
    json_decref(document);
}

static unsigned answer_page(const struct http_server *server, struct buf *out)
{
    (void)server;
    buf_append(out, _binary_page_html_start,
               (size_t)(_binary_page_html_end - _binary_page_html_start));
    return MHD_HTTP_OK;
}

static unsigned answer_metrics(const struct http_server *server, struct buf *out)
{
    struct status status;
    take_picture(server, &status);
    metrics_render(&status, out);
    status_free(&status);
    return MHD_HTTP_OK;
}

static unsigned answer_healthz(const struct http_server *server, struct buf *out)
{
    (void)server;
    buf_append_text(out, "ok\n");
    return MHD_HTTP_OK;
}

static unsigned answer_readyz(const struct http_server *server, struct buf *out)
{
    struct status status;
    take_picture(server, &status);
    bool streams = status.phase == PHASE_STREAMING || status.phase == PHASE_CATCHING_UP;
    buf_append_format(out, "%s\n", phase_name(status.phase));
    status_free(&status);
    return streams ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned answer_cutover(const struct http_server *server, struct buf *out)
{
    struct status status;
    take_picture(server, &status);
    bool go = status.go;
    put_json(status_verdict_json(&status), out);
    status_free(&status);
    return go ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned answer_status(const struct http_server *server, struct buf *out)
{
    struct status status;
    take_picture(server, &status);
    put_json(status_to_json(&status), out);
    status_free(&status);
    return MHD_HTTP_OK;
}

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

static const struct route {
    const char *path;
    const char *type;
    unsigned (*answer)(const struct http_server *server, struct buf *out);
} routes[] = {
    {"/", "text/html; charset=utf-8", answer_page},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", answer_metrics},
    {"/healthz", TYPE_TEXT, answer_healthz},
    {"/readyz", TYPE_TEXT, answer_readyz},
    {"/cutover", TYPE_JSON, answer_cutover},
    {"/status", TYPE_JSON, answer_status},
};

/* --- requests --- */

/* The page is one file, so its script and style stand in it; nothing else may be loaded, and
 * nothing may frame it or post from it. */
static const struct header {
    const char *name, *value;
} headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Cache-Control", "no-store"},
    {"Referrer-Policy", "no-referrer"},
    {"Content-Security-Policy",
     "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
     "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
     "frame-ancestors 'none'"},
};

/* Empties body. */
static enum MHD_Result reply(struct MHD_Connection *connection, unsigned code, const char *type,
                             struct buf *body, const char *allow)
{
    size_t size = body->size;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, buf_steal(body), MHD_RESPMEM_MUST_FREE);
    if (!response)
        return MHD_NO;
    for (size_t i = 0; i < COUNT(headers); i++)
        MHD_add_response_header(response, headers[i].name, headers[i].value);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct http_server *server, struct MHD_Connection *connection,
                              unsigned code, const char *message, const char *allow)
{
    struct buf body = {0};
    server->refused++;
    buf_append_text(&body, message);
    return reply(connection, code, TYPE_TEXT, &body, allow);
}

static bool is_read(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
           strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* Called when the headers are in, for each piece of a body, and at the end of the request. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection,
                              const char *path, const char *method, const char *version,
                              const char *upload, size_t *upload_size, void **request)
{
    (void)version;
    (void)upload;
    struct http_server *server = context;
    if (!*request) {
        *request = server;
        server->in_flight++;
        /* A reply before the body is read also closes the connection: nobody uploads here. */
        return is_read(method) ? MHD_YES
                               : refuse(server, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                                        "only GET and HEAD are allowed\n", "GET, HEAD");
    }
    if (*upload_size) {
        *upload_size = 0; /* a GET with a body: its body means nothing */
        return MHD_YES;
    }
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        struct buf body = {0};
        unsigned code = routes[i].answer(server, &body);
        return reply(connection, code, routes[i].type, &body, NULL);
    }
    return refuse(server, connection, MHD_HTTP_NOT_FOUND, "not found\n", NULL);
}

static void completed(void *context, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode why)
{
    struct http_server *server = context;
    if (*request)
        server->in_flight--;
    *request = NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct visitor *visitor = info ? info->socket_context : NULL;
    if (!visitor)
        return;
    visitor->since = clock_monotonic();
    visitor->answered |= why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
}

/* --- connections --- */

static void came_or_left(void *context, struct MHD_Connection *connection,
                         void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    struct visitor *visitor = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        *visitor->link = visitor->next;
        if (visitor->next)
            visitor->next->link = visitor->link;
        server->refused += !visitor->answered;
        free(visitor);
        server->visitor_count--;
        *socket_context = NULL;
        return;
    }
    visitor = mem_zero(1, sizeof *visitor);
    *visitor = (struct visitor){.connection = connection,
                                .since = clock_monotonic(),
                                .next = server->visitors,
                                .link = &server->visitors};
    if (visitor->next)
        visitor->next->link = &visitor->next;
    server->visitors = visitor;
    server->visitor_count++;
    *socket_context = visitor;
}

static bool is_crowded(const struct http_server *server)
{
    return server->visitor_count >= CROWD;
}

/* Shuts the sockets of those that take too long; libmicrohttpd then sees their end and closes.
 */
static void cut_slow(struct http_server *server)
{
    usec_t latest =
        clock_monotonic() - (is_crowded(server) ? MAX_CROWDED_TIME : MAX_REQUEST_TIME);
    for (struct visitor *visitor = server->visitors; visitor; visitor = visitor->next) {
        if (visitor->since > latest)
            continue;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(visitor->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info)
            shutdown(info->connect_fd, SHUT_RDWR);
    }
}

static int wait_ms(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    int tick = is_crowded(server) ? CROWDED_TICK_MS : TICK_MS;
    if (MHD_get_timeout(server->daemon, &timeout) != MHD_YES ||
        timeout > (MHD_UNSIGNED_LONG_LONG)tick)
        return tick;
    return (int)timeout;
}

static void *serve(void *context)
{
    struct http_server *server = context;
    struct pollfd fds[] = {{.fd = server->epoll_fd, .events = POLLIN},
                           {.fd = stop_fd(&server->stop), .events = POLLIN}};
    while (!stop_requested(&server->stop)) {
        poll(fds, COUNT(fds), wait_ms(server));
        MHD_run(server->daemon);
        cut_slow(server);
    }
    for (usec_t until = clock_monotonic() + MAX_DRAIN_TIME;
         server->in_flight && clock_monotonic() < until;) {
        poll(fds, 1, wait_ms(server));
        MHD_run(server->daemon);
    }
    return NULL;
}

/* --- listening --- */

struct endpoint {
    char host[MAX_HOST]; /* "" for all addresses */
    char port[6];
};

static bool bad_listen(const char *listen_at, const char *what, struct err *err)
{
    err_set(err, ERR_CONFIG, "cannot listen on \"%s\": %s", listen_at, what);
    return err_remedy(err, "set http.listen to an address of this machine and a free port, as "
                           "\"127.0.0.1:8087\", \"[::1]:8087\" or \":8087\"");
}

static bool parse_port(const char *text, char port[6])
{
    size_t length = strlen(text);
    if (!length || length > 5 || strspn(text, "0123456789") != length ||
        strtol(text, NULL, 10) > 65535)
        return false;
    memcpy(port, text, length + 1);
    return true;
}

/* Splits at the last colon: what stands before it is an address, in brackets if it has colons.
 */
static bool parse_listen(const char *listen_at, struct endpoint *endpoint, struct err *err)
{
    const char *colon = strrchr(listen_at, ':');
    if (!colon)
        return bad_listen(listen_at, "expected address:port", err);
    if (!parse_port(colon + 1, endpoint->port))
        return bad_listen(listen_at, "a port is a number from 0 to 65535", err);
    const char *host = listen_at;
    size_t length = (size_t)(colon - listen_at);
    bool bracketed = length >= 2 && host[0] == '[' && host[length - 1] == ']';
    if (bracketed) {
        host++;
        length -= 2;
    } else if (memchr(host, ':', length)) {
        return bad_listen(listen_at, "an IPv6 address stands in brackets", err);
    }
    if (length >= MAX_HOST)
        return bad_listen(listen_at, "the address is too long", err);
    if (length == 1 && *host == '*')
        length = 0;
    memcpy(endpoint->host, host, length);
    endpoint->host[length] = '\0';
    return true;
}

/* A listening socket, or -1 with errno set. */
static int listen_at_address(const struct addrinfo *address)
{
    int on = 1, off = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Listens at the first of the host's addresses that can be had. 0, or a getaddrinfo error. */
static int listen_at_host(const char *host, const char *port, int *fd)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code)
        return code;
    *fd = -1;
    for (const struct addrinfo *at = found; at && *fd < 0; at = at->ai_next)
        *fd = listen_at_address(at);
    int saved = errno;
    freeaddrinfo(found);
    errno = saved;
    return 0;
}

static bool open_listener(const char *listen_at, int *fd, struct err *err)
{
    struct endpoint endpoint;
    if (!parse_listen(listen_at, &endpoint, err))
        return false;
    /* "::" serves IPv4 as well, where the machine has IPv6 at all. */
    int code = listen_at_host(*endpoint.host ? endpoint.host : "::", endpoint.port, fd);
    if (!*endpoint.host && (code || (*fd < 0 && errno != EADDRINUSE)))
        code = listen_at_host("0.0.0.0", endpoint.port, fd);
    if (code)
        return bad_listen(listen_at, gai_strerror(code), err);
    if (*fd >= 0)
        return true;
    bool taken = errno == EADDRINUSE;
    bad_listen(listen_at, strerror(errno), err);
    if (taken)
        err_remedy(err,
                   "another program listens there, perhaps another slackwater: stop it, or "
                   "set http.listen to another port");
    return false;
}

static char *address_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[MAX_HOST], port[16];
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return mem_string("");
    return mem_format(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* --- life cycle --- */

/* Takes the socket. */
static bool start_daemon(struct http_server *server, int fd, struct err *err)
{
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, handle, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, MAX_CONNECTION_MEMORY,
        MHD_OPTION_NOTIFY_COMPLETED, completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        came_or_left, server, MHD_OPTION_END);
    if (!server->daemon)
        return err_set(err, ERR_CONFIG, "the HTTP server cannot start: %s", strerror(errno));
    server->epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return true;
}

/* Signals are for the main thread; and a broken pipe is an error of send(), not a signal. */
static int start_thread(struct http_server *server)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&server->thread, NULL, serve, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static void release(struct http_server *server)
{
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    stop_free(&server->stop);
    free(server->address);
    free(server);
}

bool http_start(const char *listen_at, http_collect collect, void *context,
                struct http_server **server, struct err *err)
{
    int fd;
    if (!open_listener(listen_at, &fd, err))
        return false;
    struct http_server *made = mem_zero(1, sizeof *made);
    made->collect = collect;
    made->context = context;
    made->address = address_of(fd);
    stop_init(&made->stop);
    bool ok = start_daemon(made, fd, err);
    int code = ok ? start_thread(made) : 0;
    if (code)
        ok = err_set(err, ERR_CONFIG, "the HTTP thread cannot start: %s", strerror(code));
    if (!ok) {
        release(made);
        return false;
    }
    *server = made;
    return true;
}

const char *http_address(const struct http_server *server)
{
    return server->address;
}

void http_stop(struct http_server *server)
{
    if (!server)
        return;
    stop_request(&server->stop);
    pthread_join(server->thread, NULL);
    release(server);
}
