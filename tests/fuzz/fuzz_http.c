/* Requests to a server that lives as long as the process: whatever comes and goes away again, it
 * answers the next one. */
#include "unit_worlds.h"

#include "../unit/picture.h"
#include "observe/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

static struct http_server *server;

static void collect(void *context, struct status *status)
{
    (void)context;
    *status = picture_of_health();
}

static void stop_server(void)
{
    http_stop(server);
}

/* libFuzzer's own timer interrupts no connect: that one goes on. */
static void restart_after_alarms(void)
{
    struct sigaction alarm;
    fuzz_must(sigaction(SIGALRM, NULL, &alarm) == 0, "there is a timer's handler");
    alarm.sa_flags |= SA_RESTART;
    fuzz_must(sigaction(SIGALRM, &alarm, NULL) == 0, "it is set");
}

static void start_server(void)
{
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN);
    restart_after_alarms();
    fuzz_must(http_start("127.0.0.1:0", collect, NULL, &server, &err), "it listens");
    atexit(stop_server);
}

/* Each connection from another address: one would run out of ports that nobody used just now. */
static void bind_anew(int fd)
{
    static uint32_t number;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xff000000) | (number++ & 0xffff) << 4 | 1);
    fuzz_must(bind(fd, (struct sockaddr *)&from, sizeof from) == 0,
              "the loopback is a network");
}

static int dial(void)
{
    const struct timeval patience = {.tv_sec = 15};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(http_address(server), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bind_anew(fd);
    int refused = connect(fd, (struct sockaddr *)&to, sizeof to);
    if (refused != 0)
        fprintf(stderr, "fuzz: connecting: %m\n");
    fuzz_must(refused == 0, "it accepts");
    return fd;
}

/* How much was read of what the server has sent so far (MSG_DONTWAIT), or until it closes.
 * libFuzzer's own timer interrupts a wait. */
static size_t receive(int fd, char *reply, size_t most, int flags)
{
    size_t total = 0;
    ssize_t got;
    while (total < most && ((got = recv(fd, reply + total, most - total, flags)) > 0 ||
                            (got < 0 && errno == EINTR)))
        total += got > 0 ? (size_t)got : 0;
    return total;
}

static void expect_alive(char *reply, size_t most)
{
    static const char ASK[] = "GET /healthz HTTP/1.0\r\n\r\n";
    int fd = dial();
    fuzz_must(send(fd, ASK, sizeof ASK - 1, MSG_NOSIGNAL) > 0, "it takes a request");
    size_t got = receive(fd, reply, most, 0);
    if (got <= 12)
        fprintf(stderr, "fuzz: /healthz gave %zu bytes: %m\n", got);
    fuzz_must(got > 12 && memcmp(reply, "HTTP/1.", 7) == 0 && memcmp(reply + 9, "200", 3) == 0,
              "it lives and answers the next one");
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char reply[1 << 17];
    if (!server)
        start_server();
    int fd = dial();
    send(fd, data, size, MSG_NOSIGNAL);
    expect_alive(reply, sizeof reply);
    size_t got = receive(fd, reply, sizeof reply, MSG_DONTWAIT);
    fuzz_must(got < 5 || memcmp(reply, "HTTP/", 5) == 0, "a reply is one of HTTP");
    close(fd);
    return 0;
}
