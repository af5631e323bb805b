/* The real system: descriptors that streams can use. */

#define _GNU_SOURCE /* For pipe2(). */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/descriptor.h"
#include "os/flagged.h"
#include "os/refusal.h"
#include "os/sigpipe.h"
#include "os/sys_file.h"

/* Whether pairs and pipes can be created non-blocking and close-on-exec. */
#ifdef SOCK_CLOEXEC
#define HAVE_FLAGS 1
#else
#define HAVE_FLAGS 0
#endif

/* Returns an option of a socket, or -1. */
static int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

static enum sys_kind kind_of_socket(int fd)
{
    if (socket_option(fd, SO_TYPE) != SOCK_STREAM)
        return SYS_KIND_OTHER;
    return socket_option(fd, SO_ACCEPTCONN) > 0 ? SYS_KIND_LISTENER
                                                : SYS_KIND_SOCKET;
}

/* The type of an epoll, an eventfd and the like is 0 on Linux. */
static enum sys_kind kind_of(int fd, mode_t mode)
{
    if (S_ISSOCK(mode))
        return kind_of_socket(fd);
    if (S_ISFIFO(mode))
        return SYS_KIND_PIPE;
    if (S_ISREG(mode))
        return SYS_KIND_FILE;
    if (S_ISCHR(mode))
        return isatty(fd) == 1 ? SYS_KIND_TERMINAL : SYS_KIND_DEVICE;
    return SYS_KIND_OTHER;
}

/* Without MSG_NOSIGNAL, a send to a socket of the application raises SIGPIPE,
 * unless the socket has the flag that those of the library have. */
static void silence(int fd)
{
#if defined(__APPLE__) && !defined(MSG_NOSIGNAL)
    int value = 1;

    (void) setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &value, sizeof value);
#else
    (void) fd;
#endif
}

/* A descriptor of a name (O_PATH) has the type of the file that it names, but
 * cannot be used for I/O. */
int aloop__sys_examine(int fd, struct sys_descriptor *ret)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat file;

    if (flags < 0 || fstat(fd, &file) < 0)
        return -errno;
    *ret = (struct sys_descriptor){
        .kind = kind_of(fd, file.st_mode),
        .can_read = (flags & O_ACCMODE) != O_WRONLY,
        .can_write = (flags & O_ACCMODE) != O_RDONLY,
        .is_blocking = (flags & O_NONBLOCK) == 0,
    };
#ifdef O_PATH
    if ((flags & O_PATH) != 0)
        ret->kind = SYS_KIND_OTHER;
#endif
    if (ret->kind == SYS_KIND_SOCKET)
        silence(fd);
    return 0;
}

/* Pairs. */

/* Stores two new descriptors, unless `result` is -1. */
static int take_ends(int result, const int ends[2], int fds[2])
{
    if (result < 0)
        return -errno;
    fds[0] = ends[0];
    fds[1] = ends[1];
    return 0;
}

/* If the flags are refused, they are set afterwards.  In between, another
 * thread that forks and executes a program lets it inherit the descriptors. */
int aloop__sys_socket_pair(int fds[2])
{
    int ends[2] = {-1, -1};
    int error = -EINVAL;

#if HAVE_FLAGS
    error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                       ends);
    error = take_ends(aloop__both_above_standard(error, ends), ends, fds);
#endif
    if (error < 0 && is_refusal(-error))
        error = take_ends(aloop__both_with_flags(
                              socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ends),
                          ends, fds);
    if (error < 0)
        return error;
    (void) aloop__sigpipe_set_in_file(fds[0], 1);
    (void) aloop__sigpipe_set_in_file(fds[1], 1);
    return 0;
}

int aloop__sys_pipe(int fds[2])
{
    int ends[2] = {-1, -1};
    int error = -EINVAL;

#if HAVE_FLAGS
    error = take_ends(
        aloop__both_above_standard(pipe2(ends, O_NONBLOCK | O_CLOEXEC), ends),
        ends, fds);
#endif
    if (error < 0 && is_refusal(-error))
        error = take_ends(aloop__both_with_flags(pipe(ends), ends), ends, fds);
    if (error == 0)
        (void) aloop__sigpipe_set_in_file(fds[1], 1);
    return error;
}

/* Writing. */

ssize_t aloop__sys_pipe_write(int fd, const struct sys_piece *pieces,
                              size_t count)
{
    return aloop__write_silently(fd, pieces, count, 0);
}

/* Descriptors in messages. */

/* Without MSG_NOSIGNAL, the descriptor has a flag against SIGPIPE. */
#ifdef MSG_NOSIGNAL
enum { PASSING_FLAGS = MSG_NOSIGNAL };
#else
enum { PASSING_FLAGS = 0 };
#endif

/* Without MSG_CMSG_CLOEXEC, the flag is set afterwards. */
#ifdef MSG_CMSG_CLOEXEC
enum { RECEIVING_FLAGS = MSG_CMSG_CLOEXEC };
#else
enum { RECEIVING_FLAGS = 0 };
#endif

/* Room for the most descriptors of one message.  macOS opens those that do not
 * fit, and then loses their numbers. */
union control {
    struct cmsghdr header; /* For its alignment. */
    unsigned char bytes[CMSG_SPACE(SYS_FDS_MAX * sizeof(int))];
};

int aloop__sys_duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* Never standard error. */

    return copy < 0 ? -errno : copy;
}

ssize_t aloop__sys_send_fds(int fd, const void *data, size_t size,
                            const int *fds, size_t count)
{
    struct iovec vector = {(void *) data, size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    union control control;
    struct cmsghdr *header;
    ssize_t sent;

    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = (socklen_t) CMSG_SPACE(count * sizeof(int));
    header = message.msg_control; /* The first one. */
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = (socklen_t) CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    do {
        sent = sendmsg(fd, &message, PASSING_FLAGS);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

/* Adds the descriptors of one part of the control message. */
static void take_fds(const struct cmsghdr *header, struct sys_fds *ret)
{
    size_t size = header->cmsg_len - (size_t) CMSG_LEN(0);
    int fds[SYS_FDS_MAX];

    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return;
    memcpy(fds, CMSG_DATA(header), size);
    for (size_t i = 0; i < size / sizeof(int); i++) {
        int fd = aloop__above_standard(fds[i]);

        if (fd < 0) {
            ret->error = -errno;
            continue;
        }
        if (RECEIVING_FLAGS == 0)
            (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
        ret->fds[ret->count++] = fd;
    }
}

/* The buffer has room for all, so that the system has closed some for another
 * reason, which it does not report.  If there are numbers left, that is a rule
 * of a security module. */
static int reason_of_loss(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0)
        return -errno;
    close(copy);
    return -EACCES;
}

/* The macro of musl compares numbers with and without a sign. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"

static struct cmsghdr *next_header(struct msghdr *message,
                                   struct cmsghdr *header)
{
    return CMSG_NXTHDR(message, header);
}

#pragma GCC diagnostic pop

ssize_t aloop__sys_recv_fds(int fd, void *buffer, size_t size,
                            struct sys_fds *ret)
{
    struct iovec vector = {buffer,
                           size < SYS_TRANSFER_MAX ? size : SYS_TRANSFER_MAX};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    union control control;
    struct cmsghdr *header;
    ssize_t count;

    ret->count = 0;
    ret->error = 0;
    do {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        count = recvmsg(fd, &message, RECEIVING_FLAGS);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    if ((message.msg_flags & MSG_CTRUNC) != 0)
        ret->error = reason_of_loss(fd);
    for (header = CMSG_FIRSTHDR(&message); header != NULL;
         header = next_header(&message, header))
        take_fds(header, ret);
    return count;
}
