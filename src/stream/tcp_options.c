/* Options of connected TCP sockets.
 *
 * Nothing here asks what the carrier of a stream is, because a stream keeps its
 * socket whatever is put on it: a stream of TLS has the options of TCP, too.
 * The family of the local address shows whether the socket is of TCP.
 *
 * Each function sets its option immediately, and the system is the only place
 * where it is stored.  Bytes that are queued in the library are sent with the
 * new setting. */

#include <errno.h>
#include <limits.h>

#include "aloop/tcp.h"
#include "aloop/tcp_options.h"
#include "loop/debug.h"
#include "os/sys.h"
#include "stream/stream.h"

enum {
    KEEPALIVE_MAX_S = 32767, /* Linux accepts no longer time, */
    PROBES_MAX = 127         /* and no more probes. */
};

/* Returns the descriptor, or an error.  Stores its family, by which the option
 * for the traffic class is chosen.
 *
 * A pipe or a terminal has no local address, and the system reports ENOTSOCK.
 * For the application that is the same as a Unix socket: not of TCP. */
static int tcp_socket_of(const aloop_stream *stream, const char *function,
                         enum sys_family *ret_family)
{
    int error = aloop__check_handle(stream, function);
    struct sys_address local;

    if (error < 0)
        return error;
    if (stream->io.fd < 0)
        return ALOOP_EBADF;
    error = aloop__sys_local_address(stream->io.fd, &local);
    if (error < 0)
        return error == -ENOTSOCK ? ALOOP_ENOTSUP : error;
    *ret_family = aloop__sys_address_family(&local);
    if (*ret_family != SYS_INET && *ret_family != SYS_INET6)
        return ALOOP_ENOTSUP;
    return stream->io.fd;
}

/* Rounds up, so that a short time does not become 0, which selects the default
 * of the system.  Returns ALOOP_EINVAL if the time is negative or the result is
 * more than `max`.  The division comes first, because a sum could overflow. */
static int in_units(int64_t time_ns, int64_t unit_ns, int max)
{
    int64_t units = time_ns / unit_ns + (time_ns % unit_ns > 0);

    return time_ns < 0 || units > max ? ALOOP_EINVAL : (int) units;
}

int aloop_tcp_set_nodelay(aloop_stream *stream, bool is_on)
{
    enum sys_family family;
    int fd = tcp_socket_of(stream, __func__, &family);

    return fd < 0 ? fd : aloop__sys_no_delay(fd, is_on);
}

/* If the probes are switched off, the other two are checked nevertheless: a
 * wrong argument should not depend on the first one. */
int aloop_tcp_set_keepalive(aloop_stream *stream, int64_t probe_after_ns,
                            int64_t interval_ns, int count)
{
    enum sys_family family;
    int fd = tcp_socket_of(stream, __func__, &family);
    struct sys_keepalive keepalive = {.is_on = probe_after_ns >= 0,
                                      .count = count};

    if (fd < 0)
        return fd;
    if (keepalive.is_on)
        keepalive.idle_s =
            in_units(probe_after_ns, ALOOP_SEC(1), KEEPALIVE_MAX_S);
    keepalive.interval_s = in_units(interval_ns, ALOOP_SEC(1), KEEPALIVE_MAX_S);
    if (keepalive.idle_s < 0 || keepalive.interval_s < 0 || count < 0 ||
        count > PROBES_MAX)
        return ALOOP_EINVAL;
    return aloop__sys_keepalive(fd, &keepalive);
}

int aloop_tcp_set_user_timeout(aloop_stream *stream, int64_t timeout_ns)
{
    enum sys_family family;
    int fd = tcp_socket_of(stream, __func__, &family);
    int timeout_ms = in_units(timeout_ns, ALOOP_MS(1), INT_MAX);

    if (fd < 0)
        return fd;
    return timeout_ms < 0 ? timeout_ms
                          : aloop__sys_user_timeout(fd, timeout_ms);
}

/* The system takes an int.  If the second size fails, the first one stays: the
 * system has no call that sets both. */
int aloop_tcp_set_buffers(aloop_stream *stream, size_t receive_size,
                          size_t send_size)
{
    enum sys_family family;
    int fd = tcp_socket_of(stream, __func__, &family);
    int error = 0;

    if (fd < 0)
        return fd;
    if (receive_size > INT_MAX || send_size > INT_MAX)
        return ALOOP_EINVAL;
    if (receive_size > 0)
        error = aloop__sys_receive_buffer(fd, (int) receive_size);
    if (error == 0 && send_size > 0)
        error = aloop__sys_send_buffer(fd, (int) send_size);
    return error;
}

int aloop_tcp_set_tos(aloop_stream *stream, int value)
{
    enum sys_family family;
    int fd = tcp_socket_of(stream, __func__, &family);

    if (fd < 0)
        return fd;
    if (value < 0 || value > UCHAR_MAX)
        return ALOOP_EINVAL;
    return aloop__sys_traffic_class(fd, family, value);
}
