/* The real system: options of sockets.
 *
 * Systems differ in which of them they have, and in the units. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* macOS has another name for it. */
#if !defined(TCP_KEEPIDLE) && defined(TCP_KEEPALIVE)
#define TCP_KEEPIDLE TCP_KEEPALIVE
#endif

static int set_tcp_number(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* Returns a number among the options of the socket, or a negated errno. */
static int socket_number(int fd, int name)
{
    int value = 0;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -errno : value;
}

/* The options are those of the open description, which other processes may
 * share.  Their failure has little effect. */
int aloop__sys_listen_adopt(int fd)
{
    const struct linger linger = {.l_onoff = 0};
    int type = socket_number(fd, SO_TYPE);
    int is_listening = socket_number(fd, SO_ACCEPTCONN);
    int flags;

    if (type < 0 || is_listening < 0)
        return type < 0 ? type : is_listening;
    if (type != SOCK_STREAM || is_listening == 0)
        return type != SOCK_STREAM ? -ENOTSUP : -EINVAL;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    set_tcp_number(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
    return 0;
}

/* The numbers are set before the probes are switched on, so that the first
 * probe has them already.  0 leaves what the system has. */
int aloop__sys_keepalive(int fd, const struct sys_keepalive *keepalive)
{
#if defined(TCP_KEEPIDLE) && defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT)
    const struct {
        int name, value;
    } numbers[] = {
        {TCP_KEEPIDLE, keepalive->idle_s},
        {TCP_KEEPINTVL, keepalive->interval_s},
        {TCP_KEEPCNT, keepalive->count},
    };
    int error = 0;

    for (int i = 0; i < 3 && error == 0; i++)
        if (numbers[i].value > 0)
            error = set_tcp_number(fd, IPPROTO_TCP, numbers[i].name,
                                   numbers[i].value);
#else
    bool is_default = keepalive->idle_s == 0 && keepalive->interval_s == 0 &&
                      keepalive->count == 0;
    int error = is_default ? 0 : -ENOTSUP;
#endif
    return error < 0
               ? error
               : set_tcp_number(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive->is_on);
}

/* Two systems have the limit in seconds, which is rounded up: the connection
 * must not end before its time. */
int aloop__sys_user_timeout(int fd, int timeout_ms)
{
#if defined(TCP_USER_TIMEOUT)
    return set_tcp_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
#elif defined(TCP_RXT_CONNDROPTIME)
    return set_tcp_number(fd, IPPROTO_TCP, TCP_RXT_CONNDROPTIME,
                          timeout_ms / 1000 + (timeout_ms % 1000 > 0));
#elif defined(TCP_MAXUNACKTIME)
    return set_tcp_number(fd, IPPROTO_TCP, TCP_MAXUNACKTIME,
                          timeout_ms / 1000 + (timeout_ms % 1000 > 0));
#else
    (void) fd;
    (void) timeout_ms;
    return -ENOTSUP;
#endif
}

int aloop__sys_receive_buffer(int fd, int size)
{
    return set_tcp_number(fd, SOL_SOCKET, SO_RCVBUF, size);
}

int aloop__sys_send_buffer(int fd, int size)
{
    return set_tcp_number(fd, SOL_SOCKET, SO_SNDBUF, size);
}

/* The peer of a socket of IPv6 may be one of IPv4, whose packets have the type
 * of service.  Some systems refuse to set it, and have no such peers. */
int aloop__sys_traffic_class(int fd, enum sys_family family, int value)
{
    int error = set_tcp_number(fd, IPPROTO_IP, IP_TOS, value);

    return family == SYS_INET6
               ? set_tcp_number(fd, IPPROTO_IPV6, IPV6_TCLASS, value)
               : error;
}
