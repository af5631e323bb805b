/* An echo service with epoll alone. */

#define _GNU_SOURCE /* For accept4(). */

#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 256 };

struct connection {
    int fd;
    struct exchange_user user;
};

int exchange_listen(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof address;

    fail_if(fd < 0 || bind(fd, (void *) &address, size) < 0 ||
                listen(fd, 4096) < 0 ||
                getsockname(fd, (void *) &address, &size) < 0,
            "listening");
    *ret_port = ntohs(address.sin_port);
    return fd;
}

int exchange_accept(int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int on = 1;

    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* The answers of one receive, which leave together. */
static char answers[EXCHANGE_MAX + FRAME_MAX];
static size_t answers_size;

static void on_frame(void *arg, const char *frame, size_t size)
{
    (void) arg;
    memcpy(answers + answers_size, frame, size);
    answers_size += size;
}

bool exchange_serve(int fd, struct exchange_user *user)
{
    static char received[EXCHANGE_MAX];
    ssize_t n = recv(fd, received, sizeof received, 0);
    const char *answer = received;
    size_t size = n > 0 ? (size_t) n : 0;

    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    if (user->partial != NULL) {
        answers_size = 0;
        split(user->partial, received, size, on_frame, NULL);
        answer = answers;
        size = answers_size;
    }
    /* The buffer of the socket is larger than what is in flight. */
    fail_if(send(fd, answer, size, MSG_NOSIGNAL) != (ssize_t) size, "sending");
    exchange_answered += size;
    return true;
}

static int epoll_fd, listen_fd;
static struct exchange_kind kind;

static int hand_open(struct exchange_kind of)
{
    struct epoll_event event = {.events = EPOLLIN};
    int port;

    kind = of;
    listen_fd = exchange_listen(&port);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    fail_if(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0,
            "epoll_ctl");
    return port;
}

static void accept_all(void)
{
    int fd;

    while ((fd = exchange_accept(listen_fd)) >= 0) {
        struct connection *connection = malloc(sizeof *connection);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

        fail_if(connection == NULL, "malloc");
        connection->fd = fd;
        exchange_user_open(&connection->user, kind);
        fail_if(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0,
                "epoll_ctl");
    }
}

static void hand_turn(void)
{
    struct epoll_event events[BATCH];
    int count = epoll_wait(epoll_fd, events, BATCH, 0);

    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;

        if (connection == NULL) {
            accept_all();
        } else if (!exchange_serve(connection->fd, &connection->user)) {
            close(connection->fd);
            exchange_user_close(&connection->user);
            free(connection);
        }
    }
}

static void hand_close(void)
{
    close(listen_fd);
    close(epoll_fd);
}

const struct exchange_peer exchange_hand = {hand_open, hand_turn, hand_close};
