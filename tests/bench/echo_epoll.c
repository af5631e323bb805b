/* The echo server by hand, with the minimum of work in an epoll loop.
 *
 * It uses one receive and one send for each event, one shared buffer, and
 * EPOLLOUT only while the kernel accepts no more data.  Framed answers are
 * collected and sent by one call. */

#define _GNU_SOURCE /* For accept4(). */

#include "echo.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { EVENTS = 256, ROUNDS = 4, TURN_READS = 4 };

struct connection {
    int fd;
    char *left; /* Data that the kernel has not accepted, or NULL. */
    size_t left_size;
    size_t left_sent;
    struct partial *partial; /* NULL unless framed. */
};

struct server {
    struct server_report *report;
    int epoll_fd;
    int listen_fd;
    int read_fd; /* The file to be read all the time, or -1. */
    int64_t read_offset;
    bool is_framed;
    size_t gathered;
    char in[CHUNK_SIZE];
    char out[CHUNK_SIZE + FRAME_MAX];
};

static void watch(struct server *server, int op, int fd, uint32_t events,
                  void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};

    fail_if(epoll_ctl(server->epoll_fd, op, fd, &event) < 0, "epoll_ctl");
}

static void drop(struct server *server, struct connection *connection)
{
    close(connection->fd);
    counted_resize(server->report, connection->left, 0);
    counted_resize(server->report, connection->partial, 0);
    counted_resize(server->report, connection, 0);
}

static void accept_all(struct server *server)
{
    for (;;) {
        int fd = accept4(server->listen_fd, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct connection *connection;

        if (fd < 0)
            return;
        connection = counted_resize(server->report, NULL, sizeof *connection);
        *connection = (struct connection){.fd = fd};
        if (server->is_framed) {
            connection->partial = counted_resize(server->report, NULL,
                                                 sizeof *connection->partial);
            connection->partial->size = 0;
        }
        watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, connection);
    }
}

/* Keeps data that was not sent, and stops reading until it is sent. */
static void keep(struct server *server, struct connection *connection,
                 const char *data, size_t size)
{
    connection->left = counted_resize(server->report, NULL, size);
    memcpy(connection->left, data, size);
    connection->left_size = size;
    connection->left_sent = 0;
    watch(server, EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection);
}

static bool answer(struct server *server, struct connection *connection,
                   const char *data, size_t size)
{
    ssize_t sent = send(connection->fd, data, size, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return false;
    if (sent < 0)
        sent = 0;
    if ((size_t) sent < size)
        keep(server, connection, data + sent, size - (size_t) sent);
    return true;
}

static bool send_left(struct server *server, struct connection *connection)
{
    ssize_t sent =
        send(connection->fd, connection->left + connection->left_sent,
             connection->left_size - connection->left_sent, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN;
    connection->left_sent += (size_t) sent;
    if (connection->left_sent < connection->left_size)
        return true;
    counted_resize(server->report, connection->left, 0);
    connection->left = NULL;
    watch(server, EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
    return true;
}

static void gather(void *arg, const char *frame, size_t size)
{
    struct server *server = arg;

    memcpy(server->out + server->gathered, frame, size);
    server->gathered += size;
}

static bool readable(struct server *server, struct connection *connection)
{
    for (int i = 0; i < ROUNDS && connection->left == NULL; i++) {
        ssize_t n = recv(connection->fd, server->in, sizeof server->in, 0);
        bool is_open = true;

        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        if (server->is_framed) {
            server->gathered = 0;
            split(connection->partial, server->in, (size_t) n, gather, server);
            if (server->gathered > 0)
                is_open =
                    answer(server, connection, server->out, server->gathered);
        } else {
            is_open = answer(server, connection, server->in, (size_t) n);
        }
        if (!is_open || (size_t) n < sizeof server->in)
            return is_open;
    }
    return true;
}

static void open_unix_listener(struct server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, server->report->path, sizeof server->report->path);
    server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    fail_if(server->listen_fd < 0 ||
                bind(server->listen_fd, (void *) &address, sizeof address) <
                    0 ||
                listen(server->listen_fd, 4096) < 0,
            "listening by hand");
    watch(server, EPOLL_CTL_ADD, server->listen_fd, EPOLLIN, NULL);
    atomic_store(&server->report->port, 1);
}

static void open_listener(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    fail_if(server->listen_fd < 0 ||
                setsockopt(server->listen_fd, IPPROTO_TCP, TCP_NODELAY, &on,
                           sizeof on) < 0 ||
                bind(server->listen_fd, (void *) &address, size) < 0 ||
                listen(server->listen_fd, 4096) < 0 ||
                getsockname(server->listen_fd, (void *) &address, &size) < 0,
            "listening by hand");
    watch(server, EPOLL_CTL_ADD, server->listen_fd, EPOLLIN, NULL);
    atomic_store(&server->report->port, ntohs(address.sin_port));
}

/* Reads as many bytes of the file as libaloop does in a turn. */
static void read_some(struct server *server)
{
    static _Alignas(64) char chunk[CHUNK_SIZE];

    for (int i = 0; i < TURN_READS; i++) {
        ssize_t n =
            pread(server->read_fd, chunk, sizeof chunk, server->read_offset);

        fail_if(n < 0, "reading by hand");
        server->read_offset = n == sizeof chunk ? server->read_offset + n : 0;
    }
}

/* Waits for events.  All timers have the same period, so that the next one is
 * always the one that waits longest. */
static int wait_for_timers(struct server *server, struct epoll_event *events)
{
    static const int64_t gap_ns = TIMER_PERIOD_MS * INT64_C(1000000) / TIMERS;
    static int64_t next_ns, expired;
    int64_t left_ns = next_ns - wall_ns();
    struct timespec wait = {.tv_nsec = left_ns > 0 ? left_ns : 0};
    int count = epoll_pwait2(server->epoll_fd, events, EVENTS, &wait, NULL);
    int64_t now_ns = wall_ns();

    if (next_ns == 0)
        next_ns = now_ns;
    for (; next_ns <= now_ns; next_ns += gap_ns)
        expired++;
    return count;
}

static int wait_for_events(struct server *server, struct epoll_event *events)
{
    if (server->report->has_timers)
        return wait_for_timers(server, events);
    return epoll_wait(server->epoll_fd, events, EVENTS,
                      server->read_fd >= 0 ? 0 : -1);
}

void echo_epoll(struct server_report *report, bool is_framed)
{
    struct server *server = malloc(sizeof *server);
    struct epoll_event events[EVENTS];

    fail_if(server == NULL, "malloc");
    server->report = report;
    server->is_framed = is_framed;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    fail_if(server->epoll_fd < 0, "epoll_create1");
    server->read_fd = -1;
    server->read_offset = 0;
    if (report->read_path != NULL)
        server->read_fd = open(report->read_path, O_RDONLY | O_CLOEXEC);
    if (report->path[0] != '\0')
        open_unix_listener(server);
    else
        open_listener(server);
    for (;;) {
        int count = wait_for_events(server, events);

        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;

            if (connection == NULL)
                accept_all(server);
            else if (!(connection->left != NULL ? send_left(server, connection)
                                                : readable(server, connection)))
                drop(server, connection);
        }
        if (server->read_fd >= 0)
            read_some(server);
    }
}
