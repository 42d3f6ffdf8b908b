/* The HTTP face and its client, over real sockets. */
#include "base/buf.h"
#include "observe/client.h"
#include "observe/http.h"
#include "picture.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static enum phase present_phase = PHASE_STREAMING;

static void collect(void *context, struct status *status)
{
    (void)context;
    *status = picture_of_health();
    status->phase = present_phase;
}

static struct http_server *start(enum phase phase)
{
    struct http_server *server;
    struct err err;
    present_phase = phase;
    ck_assert_msg(http_start("127.0.0.1:0", collect, NULL, &server, &err), "%s", err.message);
    return server;
}

static int dial(const struct http_server *server)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(http_address(server), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Sends the bytes and reads until the server closes. */
static char *exchange(const struct http_server *server, const char *request)
{
    struct buf reply = {0};
    char chunk[4096];
    int fd = dial(server);
    size_t size = strlen(request);
    ck_assert(send(fd, request, size, MSG_NOSIGNAL) == (ssize_t)size);
    for (ssize_t got; (got = recv(fd, chunk, sizeof chunk, 0)) > 0;)
        buf_append(&reply, chunk, (size_t)got);
    close(fd);
    return buf_steal(&reply);
}

static char *ask(const struct http_server *server, const char *method, const char *path)
{
    char *request =
        mem_format("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    char *reply = exchange(server, request);
    free(request);
    return reply;
}

static int code_of(const char *reply)
{
    int code = 0;
    sscanf(reply, "HTTP/1.1 %d", &code);
    return code;
}

START_TEST(each_path_answers_with_its_type)
{
    static const struct {
        const char *path;
        int code;
        const char *part;
    } rows[] = {
        {"/", 200, "Content-Type: text/html"},
        {"/metrics", 200, "slackwater_ready{migration=\"shop\"} 1\n"},
        {"/healthz", 200, "\r\n\r\nok\n"},
        {"/readyz", 200, "\r\n\r\nstreaming\n"},
        {"/cutover", 200, "\"verdict\": \"GO\""},
        {"/status", 200, "\"migration\": \"shop\""},
        {"/status?pretty=1", 200, "application/json"},
        {"/nothing", 404, "not found"},
        {"/status/", 404, "not found"},
        {"/../../etc/passwd", 404, "not found"},
    };
    struct http_server *server = start(PHASE_STREAMING);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char *reply = ask(server, "GET", rows[i].path);
        ck_assert_msg(code_of(reply) == rows[i].code, "%s: %d", rows[i].path, code_of(reply));
        ck_assert_msg(strstr(reply, rows[i].part) != NULL, "%s: %s", rows[i].path, reply);
        ck_assert_ptr_nonnull(strstr(reply, "X-Content-Type-Options: nosniff"));
        ck_assert_ptr_nonnull(strstr(reply, "Content-Security-Policy: default-src 'self'"));
        ck_assert_ptr_nonnull(strstr(reply, "Cache-Control: no-store"));
        free(reply);
    }
    http_stop(server);
}
END_TEST

START_TEST(readyz_and_cutover_say_503_while_it_is_not_time)
{
    static const struct {
        enum phase phase;
        int ready, cutover;
    } rows[] = {
        {PHASE_STARTING, 503, 503},  {PHASE_BACKFILL, 503, 503}, {PHASE_CATCHING_UP, 200, 503},
        {PHASE_STREAMING, 200, 200}, {PHASE_WAITING, 503, 503},  {PHASE_STOPPING, 503, 503},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct http_server *server = start(rows[i].phase);
        char *ready = ask(server, "GET", "/readyz"), *cutover = ask(server, "GET", "/cutover");
        ck_assert_int_eq(code_of(ready), rows[i].ready);
        ck_assert_int_eq(code_of(cutover), rows[i].cutover);
        free(ready);
        free(cutover);
        http_stop(server);
    }
}
END_TEST

START_TEST(only_get_and_head_are_allowed)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"};
    struct http_server *server = start(PHASE_STREAMING);
    for (size_t i = 0; i < UNIT_COUNT(methods); i++) {
        char *reply = ask(server, methods[i], "/status");
        ck_assert_int_eq(code_of(reply), 405);
        ck_assert_ptr_nonnull(strstr(reply, "Allow: GET, HEAD"));
        free(reply);
    }
    char *reply = ask(server, "HEAD", "/status");
    ck_assert_int_eq(code_of(reply), 200);
    ck_assert_str_eq(strstr(reply, "\r\n\r\n"), "\r\n\r\n");
    free(reply);
    http_stop(server);
}
END_TEST

/* Does the counter come to say so? */
static bool refused(const struct http_server *server, size_t count)
{
    char *want = mem_format("slackwater_http_refused_total{migration=\"shop\"} %zu\n", count);
    bool said = false;
    for (int tries = 0; tries < 1000 && !said; tries++) { /* an end is seen a moment later */
        char *reply = ask(server, "GET", "/metrics");
        said = strstr(reply, want) != NULL;
        free(reply);
    }
    free(want);
    return said;
}

START_TEST(requests_that_make_no_sense_are_refused_and_the_next_is_served)
{
    struct http_server *server = start(PHASE_STREAMING);
    struct buf huge = {0};
    buf_append_text(&huge, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ");
    for (int i = 0; i < 100000; i++)
        buf_append_char(&huge, 'a');
    buf_append_text(&huge, "\r\n\r\n");
    const char *const requests[] = {
        buf_text(&huge),
        "\x16\x03\x01\x02\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nab\r\n",
        "POST /status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nab\r\n",
    };
    ck_assert(refused(server, 0));
    for (size_t i = 0; i < UNIT_COUNT(requests); i++) {
        int fd = dial(server);
        send(fd, requests[i], strlen(requests[i]), MSG_NOSIGNAL);
        char *reply = ask(server, "GET", "/healthz");
        ck_assert_int_eq(code_of(reply), 200);
        free(reply);
        char first[13] = "";
        if (recv(fd, first, 12, MSG_WAITALL) == 12)
            ck_assert_msg(code_of(first) >= 400, "request %zu: %s", i, first);
        close(fd);
    }
    ck_assert(refused(server, UNIT_COUNT(requests)));
    buf_free(&huge);
    http_stop(server);
}
END_TEST

START_TEST(a_get_with_a_body_is_answered)
{
    struct http_server *server = start(PHASE_STREAMING);
    char *reply = exchange(server, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                                   "Connection: close\r\n\r\nhello");
    ck_assert_int_eq(code_of(reply), 200);
    free(reply);
    http_stop(server);
}
END_TEST

START_TEST(the_server_stops_with_clients_that_say_nothing)
{
    struct http_server *server = start(PHASE_STREAMING);
    int silent[20];
    for (size_t i = 0; i < UNIT_COUNT(silent); i++)
        silent[i] = dial(server);
    send(silent[0], "GET /sta", 8, MSG_NOSIGNAL);
    usec_t before = clock_monotonic();
    http_stop(server);
    ck_assert_int_lt(clock_monotonic() - before, 3 * USEC_PER_SEC);
    for (size_t i = 0; i < UNIT_COUNT(silent); i++)
        close(silent[i]);
    http_stop(NULL);
}
END_TEST

START_TEST(the_page_loads_nothing_from_elsewhere)
{
    static const char *const foreign[] = {"innerHTML",  "insertAdjacent", "document.write",
                                          "src=",       "https://",       "@import",
                                          "stylesheet", "eval("};
    struct http_server *server = start(PHASE_STREAMING);
    char *page = ask(server, "GET", "/");
    ck_assert_ptr_nonnull(strstr(page, "</html>"));
    for (size_t i = 0; i < UNIT_COUNT(foreign); i++)
        ck_assert_msg(!strstr(strstr(page, "\r\n\r\n"), foreign[i]), "%s", foreign[i]);
    free(page);
    http_stop(server);
}
END_TEST

START_TEST(addresses_that_cannot_be_listened_on_are_a_config_error)
{
    static const char *const addresses[] = {
        "",
        "8087",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:99999",
        "127.0.0.1:8o",
        "::1:8087",
        "[::1:8087",
        "1.2.3.4:80",
        "127.0.0.1:-1",
        "[]x:1",
        "no.such.host.invalid:1",
    };
    for (size_t i = 0; i < UNIT_COUNT(addresses); i++) {
        struct http_server *server = NULL;
        struct err err;
        ck_assert_msg(!http_start(addresses[i], collect, NULL, &server, &err), "%s",
                      addresses[i]);
        ck_assert_int_eq(err.class, ERR_CONFIG);
        ck_assert_ptr_nonnull(strstr(err.remedy, "set http.listen"));
        ck_assert_ptr_null(server);
    }
    char *long_one = mem_zero(1, 2000);
    memset(long_one, 'h', 1990);
    strcpy(long_one + 1990, ":1");
    struct http_server *server;
    struct err err;
    ck_assert(!http_start(long_one, collect, NULL, &server, &err));
    free(long_one);
}
END_TEST

START_TEST(a_taken_address_says_so)
{
    struct http_server *first = start(PHASE_STREAMING), *second;
    struct err err;
    ck_assert(!http_start(http_address(first), collect, NULL, &second, &err));
    ck_assert_int_eq(err.class, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "in use"));
    ck_assert_ptr_nonnull(strstr(err.remedy, "set http.listen to another port"));
    http_stop(first);
}
END_TEST

START_TEST(the_client_reads_a_verdict_also_when_it_is_no)
{
    struct http_server *server = start(PHASE_BACKFILL);
    json_t *document;
    struct err err;
    ck_assert_msg(client_get(http_address(server), "/cutover", &document, &err), "%s",
                  err.message);
    ck_assert_str_eq(json_string_value(json_object_get(document, "verdict")), "NO-GO");
    json_decref(document);
    http_stop(server);
}
END_TEST

START_TEST(a_server_on_all_addresses_is_asked_at_the_local_one)
{
    struct http_server *server;
    struct err err;
    json_t *document;
    present_phase = PHASE_STREAMING;
    ck_assert_msg(http_start(":0", collect, NULL, &server, &err), "%s", err.message);
    char *address = mem_string(strrchr(http_address(server), ':'));
    ck_assert_msg(client_get(address, "/status", &document, &err), "%s", err.message);
    json_decref(document);
    free(address);
    http_stop(server);
}
END_TEST

START_TEST(when_nobody_answers_the_client_says_what_to_do)
{
    struct http_server *server = start(PHASE_STREAMING);
    char *address = mem_string(http_address(server));
    http_stop(server);
    json_t *document = NULL;
    struct err err;
    ck_assert(!client_get(address, "/status", &document, &err));
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_ptr_nonnull(strstr(err.message, "nobody answers at 127.0.0.1:"));
    ck_assert_ptr_nonnull(strstr(err.remedy, "slackwater run"));
    ck_assert_ptr_null(document);
    free(address);
}
END_TEST

START_TEST(what_is_not_json_is_not_a_document)
{
    struct http_server *server = start(PHASE_STREAMING);
    json_t *document = NULL;
    struct err err;
    ck_assert(!client_get(http_address(server), "/metrics", &document, &err));
    ck_assert_ptr_nonnull(strstr(err.message, "does not answer with JSON"));
    ck_assert_ptr_null(document);
    http_stop(server);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        each_path_answers_with_its_type,
        readyz_and_cutover_say_503_while_it_is_not_time,
        only_get_and_head_are_allowed,
        requests_that_make_no_sense_are_refused_and_the_next_is_served,
        a_get_with_a_body_is_answered,
        the_server_stops_with_clients_that_say_nothing,
        the_page_loads_nothing_from_elsewhere,
        addresses_that_cannot_be_listened_on_are_a_config_error,
        a_taken_address_says_so,
        the_client_reads_a_verdict_also_when_it_is_no,
        a_server_on_all_addresses_is_asked_at_the_local_one,
        when_nobody_answers_the_client_says_what_to_do,
        what_is_not_json_is_not_a_document,
    };
    return unit_run("http", tests, UNIT_COUNT(tests));
}
