/* One send per sender and turn, one epoll call, and a receive for each
 * datagram.  The last receive of a turn finds that there are no more. */

#define _GNU_SOURCE /* For SOCK_CLOEXEC and epoll_create1(). */

#include "datagrams.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    int fd;
    struct sockaddr_in address;
};

static void end_open(struct end *end)
{
    struct sockaddr_in local = {.sin_family = AF_INET,
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof end->address;

    end->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fail_if(end->fd < 0 ||
                bind(end->fd, (struct sockaddr *) &local, sizeof local) < 0 ||
                getsockname(end->fd, (struct sockaddr *) &end->address, &size) <
                    0,
            "opening a socket");
}

/* Returns how many datagrams were received. */
static size_t receive_all(int fd)
{
    struct sockaddr_in from;
    char buffer[2048];
    size_t count = 0;

    for (;;) {
        socklen_t size = sizeof from;
        ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0,
                               (struct sockaddr *) &from, &size);

        if (got < 0 && errno == EAGAIN)
            return count;
        fail_if(got != DATAGRAM_SIZE, "recvfrom");
        count++;
    }
}

static void send_all(const struct datagrams *datagrams, const struct end *from,
                     const struct end *to)
{
    static const char bytes[DATAGRAM_SIZE];

    for (int i = 0; i < datagrams->senders; i++) {
        const struct sockaddr_in *address =
            &to[i % datagrams->receivers].address;

        fail_if(sendto(from[i].fd, bytes, sizeof bytes, 0,
                       (const struct sockaddr *) address, sizeof *address) < 0,
                "sendto");
    }
}

void datagrams_hand(const struct datagrams *datagrams)
{
    static struct end from[SOCKETS_MAX], to[SOCKETS_MAX];
    struct epoll_event events[SOCKETS_MAX];
    int epoll_fd = epoll_create1(0);
    size_t received = 0;

    for (int i = 0; i < datagrams->receivers; i++) {
        struct epoll_event event = {.events = EPOLLIN};

        event.data.u32 = (uint32_t) i;
        end_open(&to[i]);
        fail_if(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, to[i].fd, &event) < 0,
                "epoll_ctl");
    }
    for (int i = 0; i < datagrams->senders; i++)
        end_open(&from[i]);
    while (received < datagrams->count) {
        int count;

        send_all(datagrams, from, to);
        count = epoll_wait(epoll_fd, events, SOCKETS_MAX, -1);
        for (int i = 0; i < count; i++)
            received += receive_all(to[events[i].data.u32].fd);
    }
    for (int i = 0; i < datagrams->receivers; i++)
        close(to[i].fd);
    for (int i = 0; i < datagrams->senders; i++)
        close(from[i].fd);
    close(epoll_fd);
}
