/* One call for a burst: sendmmsg() or, for datagrams of equal size, sendmsg()
 * with UDP_SEGMENT.  One call receives it: recvmmsg() or recvmsg() with
 * UDP_GRO.  poll() waits in between. */

#define _GNU_SOURCE /* For sendmmsg() and recvmmsg(). */

#include "runs.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEGMENT = 103, GRO = 104 }; /* Old headers do not have the names. */

static struct sockaddr_in end;
static char bytes[BURST * RUN_DATAGRAM_MAX];
static char received_bytes[64 * 1024];

static int open_bound(void)
{
    struct sockaddr_in local = {.sin_family = AF_INET,
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    fail_if(fd < 0 || bind(fd, (struct sockaddr *) &local, sizeof local) < 0,
            "opening a socket");
    return fd;
}

static void send_run(int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    uint16_t segment = RUN_DATAGRAM_SIZE;
    struct iovec vector = {bytes, (size_t) BURST * RUN_DATAGRAM_SIZE};
    struct msghdr header = {.msg_name = &end,
                            .msg_namelen = sizeof end,
                            .msg_iov = &vector,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof control};
    struct cmsghdr *message = CMSG_FIRSTHDR(&header);

    message->cmsg_level = IPPROTO_UDP;
    message->cmsg_type = SEGMENT;
    message->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(message), &segment, sizeof segment);
    fail_if(sendmsg(fd, &header, 0) < 0, "sendmsg");
}

static void prepare(const struct runs *runs, struct mmsghdr *headers,
                    struct iovec *vectors)
{
    memset(headers, 0, BURST * sizeof *headers);
    for (size_t i = 0; i < BURST; i++) {
        vectors[i] = (struct iovec){bytes + i * RUN_DATAGRAM_MAX,
                                    run_datagram_size(runs, i)};
        headers[i].msg_hdr.msg_iov = &vectors[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
}

static void send_each(const struct runs *runs, int fd)
{
    struct mmsghdr headers[BURST];
    struct iovec vectors[BURST];

    prepare(runs, headers, vectors);
    for (size_t i = 0; i < BURST; i++) {
        headers[i].msg_hdr.msg_name = &end;
        headers[i].msg_hdr.msg_namelen = sizeof end;
    }
    fail_if(sendmmsg(fd, headers, BURST, 0) != BURST, "sendmmsg");
}

/* Returns how many datagrams were received. */
static size_t receive_some(const struct runs *runs, int fd)
{
    struct mmsghdr headers[BURST];
    struct iovec vectors[BURST];
    ssize_t count;

    if (runs->is_joined) {
        count = recv(fd, received_bytes, sizeof received_bytes, 0);
        fail_if(count <= 0 || count % RUN_DATAGRAM_SIZE != 0, "recv");
        return (size_t) count / RUN_DATAGRAM_SIZE;
    }
    prepare(runs, headers, vectors);
    for (size_t i = 0; i < BURST; i++)
        headers[i].msg_hdr.msg_iov->iov_len = RUN_DATAGRAM_MAX;
    count = recvmmsg(fd, headers, BURST, 0, NULL);
    fail_if(count <= 0, "recvmmsg");
    return (size_t) count;
}

void runs_hand(const struct runs *runs)
{
    int from = open_bound(), to = open_bound(), on = runs->is_joined;
    socklen_t size = sizeof end;

    fail_if(getsockname(to, (struct sockaddr *) &end, &size) < 0 ||
                setsockopt(to, IPPROTO_UDP, GRO, &on, sizeof on) < 0,
            "setsockopt");
    for (size_t i = 0; i < runs->bursts; i++) {
        if (runs->is_equal)
            send_run(from);
        else
            send_each(runs, from);
        for (size_t received = 0; received < BURST;) {
            struct pollfd wait = {.fd = to, .events = POLLIN};

            fail_if(poll(&wait, 1, -1) != 1, "poll");
            received += receive_some(runs, to);
        }
    }
    close(from);
    close(to);
}
