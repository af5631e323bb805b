/* The real system: clock, descriptors, the wake-up channel and sockets. */

#define _GNU_SOURCE /* For accept4() and syscall(). */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>
#include <sys/syscall.h>
#endif

#include "os/descriptor.h"
#include "os/refusal.h"
#include "os/unwind.h"

/* Whether descriptors can be created non-blocking and close-on-exec. */
#ifdef SOCK_CLOEXEC
#define HAVE_SOCK_FLAGS 1
#else
#define HAVE_SOCK_FLAGS 0
#endif

/* A socket that other programs share may block.  Without MSG_NOSIGNAL there is
 * SO_NOSIGPIPE; see set_no_sigpipe(). */
#ifdef MSG_NOSIGNAL
enum { SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL };
#else
enum { SEND_FLAGS = MSG_DONTWAIT };
#endif

/* Some systems refuse larger transfers, and no socket accepts as much. */
#define TRANSFER_MAX ((size_t) 0x7ffff000)

int64_t aloop__sys_clock_ns(void)
{
#ifdef __APPLE__
    /* CLOCK_MONOTONIC has a resolution of 1 us there. */
    clockid_t clock = CLOCK_UPTIME_RAW;
#else
    clockid_t clock = CLOCK_MONOTONIC;
#endif
    struct timespec now;
    int error = clock_gettime(clock, &now);

    assert(error == 0);
    (void) error;
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* It is not repeated after EINTR.  Linux has closed the descriptor then, and
 * another thread may have opened one with the same number (close(2)). */
int aloop__sys_close(int fd)
{
    /* The descriptor is closed after EINTR too. */
    if (close(fd) == 0 || errno == EINTR)
        return 0;
    return -errno;
}

static int result_of(int result)
{
    return result < 0 ? -errno : result;
}

/* Sets the flags on a new descriptor.  If that fails, or `fd` is -1, it returns
 * -1 and errno has the reason. */
static int with_flags(int fd)
{
    int error;

    if (fd < 0 || aloop__set_both_flags(fd) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int open_pipe(int fds[2])
{
    int ends[2];

    if (aloop__both_with_flags(pipe(ends), ends) < 0)
        return -errno;
    fds[0] = ends[0];
    fds[1] = ends[1];
    return 0;
}

/* An eventfd costs one descriptor instead of two, and a drain reads only
 * once. */
int aloop__sys_wake_open(int fds[2])
{
#ifdef __linux__
    int fd = aloop__above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

    if (fd >= 0) {
        fds[0] = fds[1] = fd;
        return 0;
    }
    if (!is_refusal(errno))
        return -errno;
#endif
    return open_pipe(fds);
}

/* write() without being a point at which pthread_cancel() ends the thread.  On
 * Linux, syscall() is none, and costs less than two changes of the thread's
 * state. */
static ssize_t write_uncancelled(int fd, const void *data, size_t size)
{
#ifdef __linux__
    return (ssize_t) syscall(SYS_write, fd, data, size);
#else
    int cancellation = aloop__cancel_disable();
    ssize_t result = write(fd, data, size);

    aloop__cancel_restore(cancellation);
    return result;
#endif
}

/* Writes eight bytes, as an eventfd requires; a pipe accepts them too.  If the
 * channel is full, it is readable already, so that the failure does not
 * matter. */
void aloop__sys_wake_signal(int fd)
{
    static const uint64_t one = 1;
    int before = errno;

    while (write_uncancelled(fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
    errno = before;
}

void aloop__sys_wake_drain(int fd)
{
    char buffer[1024]; /* An eventfd returns 8 bytes, which ends the loop. */
    ssize_t count;

    do {
        count = read(fd, buffer, sizeof buffer);
    } while (count == (ssize_t) sizeof buffer || (count < 0 && errno == EINTR));
}

void aloop__sys_wake_close(int fds[2])
{
    if (fds[0] >= 0)
        close(fds[0]);
    if (fds[1] >= 0 && fds[1] != fds[0])
        close(fds[1]);
    fds[0] = fds[1] = -1;
}

static int set_option(int fd, int level, int name, int value)
{
    return result_of(setsockopt(fd, level, name, &value, sizeof value));
}

/* Sets SO_NOSIGPIPE where send() has no flag for that.  It fails only on an
 * accepted socket whose peer has closed, where it does not matter. */
static void set_no_sigpipe(int fd)
{
#ifdef __APPLE__
    set_option(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#else
    (void) fd;
#endif
}

/* If the flags of socket() are refused, they are set afterwards.  In between,
 * another thread that forks and executes a program lets it inherit the
 * descriptor. */
int aloop__sys_tcp_socket(enum sys_family family)
{
    static const int families[] = {
        [SYS_FAMILY_NONE] = AF_UNSPEC,
        [SYS_INET] = AF_INET,
        [SYS_INET6] = AF_INET6,
        [SYS_UNIX] = AF_UNIX,
    };
    int fd = -1;

    if (family == SYS_FAMILY_NONE)
        return -EAFNOSUPPORT;
    errno = EINVAL;
#if HAVE_SOCK_FLAGS
    fd =
        socket(families[family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#endif
    if (fd < 0 && is_refusal(errno))
        fd = with_flags(socket(families[family], SOCK_STREAM, 0));
    fd = aloop__above_standard(fd);
    if (fd < 0)
        return -errno;
    set_no_sigpipe(fd);
    return fd;
}

/* One socket on "::" stands for every local address, so that it must accept
 * IPv4 too, whatever the default of the system is.  OpenBSD does not support
 * that and refuses it. */
int aloop__sys_reuse_address(int fd, enum sys_family family)
{
    if (family == SYS_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

int aloop__sys_ipv6_only(int fd)
{
    return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

/* Other systems than these have SO_REUSEPORT, but give all connections to one
 * of the sockets. */
#if defined(__linux__)
#define REUSE_PORT SO_REUSEPORT
#elif defined(SO_REUSEPORT_LB)
#define REUSE_PORT SO_REUSEPORT_LB
#endif

/* A kernel that is older than the option does not know it. */
int aloop__sys_reuse_port(int fd)
{
#if defined(REUSE_PORT)
    int error = set_option(fd, SOL_SOCKET, REUSE_PORT, 1);

    return error == -ENOPROTOOPT || error == -EOPNOTSUPP ? -ENOTSUP : error;
#else
    (void) fd;
    return -ENOTSUP;
#endif
}

int aloop__sys_no_delay(int fd, bool is_on)
{
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY, is_on);
}

int aloop__sys_reset_on_close(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    return result_of(
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

int aloop__sys_bind(int fd, const struct sys_address *address)
{
    return result_of(bind(fd, (const struct sockaddr *) address->bytes,
                          (socklen_t) address->size));
}

int aloop__sys_listen(int fd, int backlog)
{
    return result_of(listen(fd, backlog));
}

/* Accepts once, with the flags in the same call where that is possible.
 * Returns -1 and errno after an error. */
static int accept_flagged(int fd)
{
    int accepted = -1;

    errno = EINVAL;
#if HAVE_SOCK_FLAGS
    accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
#endif
    if (accepted < 0 && is_refusal(errno))
        accepted = with_flags(accept(fd, NULL, NULL));
    return accepted;
}

/* A connection cannot be returned to the backlog.  Therefore none is accepted
 * unless there is a number for it.  If the reservation has taken the last
 * number, those of the standard descriptors are in use, and the call is
 * repeated without it. */
static int accept_once(int fd)
{
    int accepted, number;

    if (aloop__number_reserve(fd, &number) < 0)
        return -errno;
    accepted = accept_flagged(fd);
    aloop__number_release(number);
    if (accepted < 0 && errno == EMFILE && number >= 0)
        accepted = accept_flagged(fd);
    return result_of(aloop__above_standard(accepted));
}

int aloop__sys_accept(int fd)
{
    int accepted;

    do {
        accepted = accept_once(fd);
    } while (accepted == -EINTR);
    if (accepted >= 0)
        set_no_sigpipe(accepted);
    return accepted;
}

/* An interrupted connect() continues by itself and must not be called again. */
int aloop__sys_connect(int fd, const struct sys_address *address)
{
    int error = result_of(connect(fd, (const struct sockaddr *) address->bytes,
                                  (socklen_t) address->size));

    return error == -EINTR ? -EINPROGRESS : error;
}

/* Reading the option clears the error, so that it is reported once
 * (socket(7)). */
int aloop__sys_socket_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

/* Converts what getsockname() and getpeername() have written. */
static int take_address(int result, struct sys_address *address, socklen_t size,
                        struct sys_address *ret)
{
    if (result < 0)
        return -errno;
    if (size > sizeof address->bytes)
        size = sizeof address->bytes; /* The address was truncated. */
    address->size = (uint32_t) size;
    *ret = *address;
    return 0;
}

int aloop__sys_local_address(int fd, struct sys_address *ret)
{
    struct sys_address address = {0};
    socklen_t size = sizeof address.bytes;
    int result = getsockname(fd, (struct sockaddr *) address.bytes, &size);

    return take_address(result, &address, size, ret);
}

int aloop__sys_peer_address(int fd, struct sys_address *ret)
{
    struct sys_address address = {0};
    socklen_t size = sizeof address.bytes;
    int result = getpeername(fd, (struct sockaddr *) address.bytes, &size);

    return take_address(result, &address, size, ret);
}

/* Linux limits the size itself. */
static size_t limited(size_t size)
{
#ifndef __linux__
    if (size > TRANSFER_MAX)
        return TRANSFER_MAX;
#endif
    return size;
}

static ssize_t receive_once(int fd, void *buffer, size_t size)
{
    return recv(fd, buffer, limited(size), MSG_DONTWAIT);
}

/* The first call is outside of the loop, and what follows a failure is in a
 * function of its own, so that the usual case saves few registers. */
__attribute__((cold, noinline)) static ssize_t receive_again(int fd,
                                                             void *buffer,
                                                             size_t size)
{
    ssize_t count = -1;

    while (count < 0 && errno == EINTR)
        count = receive_once(fd, buffer, size);
    return count < 0 ? -errno : count;
}

ssize_t aloop__sys_recv(int fd, void *buffer, size_t size)
{
    ssize_t count = receive_once(fd, buffer, size);

    return count < 0 ? receive_again(fd, buffer, size) : count;
}

/* Returns whether a send is to be repeated.  macOS reports EPROTOTYPE for a
 * socket that is being shut down, and the real error for the next call. */
static bool is_repeatable(int error)
{
#ifdef __APPLE__
    return error == EINTR || error == EPROTOTYPE;
#else
    return error == EINTR;
#endif
}

static ssize_t send_once(int fd, const void *data, size_t size)
{
    return send(fd, data, limited(size), SEND_FLAGS);
}

__attribute__((cold, noinline)) static ssize_t send_again(int fd,
                                                          const void *data,
                                                          size_t size)
{
    ssize_t count = -1;

    while (count < 0 && is_repeatable(errno))
        count = send_once(fd, data, size);
    return count < 0 ? -errno : count;
}

ssize_t aloop__sys_send(int fd, const void *data, size_t size)
{
    ssize_t count = send_once(fd, data, size);

    return count < 0 ? send_again(fd, data, size) : count;
}

/* Sends up to SYS_PIECES_MAX pieces.  sendmsg() is used instead of writev(),
 * because only it has a flag against SIGPIPE. */
ssize_t aloop__sys_sendv(int fd, const struct sys_piece *pieces, size_t count)
{
    struct iovec vectors[SYS_PIECES_MAX];
    struct msghdr message;
    size_t room = TRANSFER_MAX;
    ssize_t sent;

    memset(&message, 0, sizeof message);
    message.msg_iov = vectors;
    if (count > SYS_PIECES_MAX)
        count = SYS_PIECES_MAX;
    for (size_t i = 0; i < count && room > 0; i++) {
        size_t size = pieces[i].size < room ? pieces[i].size : room;

        vectors[i].iov_base = (void *) pieces[i].data;
        vectors[i].iov_len = size;
        message.msg_iovlen++; /* Its type differs between systems. */
        room -= size;
    }
    do {
        sent = sendmsg(fd, &message, SEND_FLAGS);
    } while (sent < 0 && is_repeatable(errno));
    return sent < 0 ? -errno : sent;
}

int aloop__sys_shutdown_write(int fd)
{
    return result_of(shutdown(fd, SHUT_WR));
}
