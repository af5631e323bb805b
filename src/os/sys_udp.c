/* The real system: sockets for datagrams, their options, and multicast. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "os/descriptor.h"
#include "os/refusal.h"

/* Old headers do not have these numbers of Linux. */
#ifdef __linux__
enum {
    OPTION_SEGMENT = 103,         /* UDP_SEGMENT */
    OPTION_GRO = 104,             /* UDP_GRO */
    OPTION_MULTICAST_ALL = 49,    /* IP_MULTICAST_ALL */
    OPTION_MULTICAST_ALL_V6 = 29, /* IPV6_MULTICAST_ALL */
};
#else
enum { OPTION_GRO = -1 };
#endif

#ifdef IPV6_JOIN_GROUP
enum { OPTION_JOIN_V6 = IPV6_JOIN_GROUP, OPTION_LEAVE_V6 = IPV6_LEAVE_GROUP };
#else
enum {
    OPTION_JOIN_V6 = IPV6_ADD_MEMBERSHIP,
    OPTION_LEAVE_V6 = IPV6_DROP_MEMBERSHIP
};
#endif

enum { NO_OPTION = -1 };

/* A kernel may be older than an option that the headers know. */
static int set_number(int fd, int level, int name, int value)
{
    if (name == NO_OPTION)
        return -ENOTSUP;
    if (setsockopt(fd, level, name, &value, sizeof value) == 0)
        return 0;
    return errno == ENOPROTOOPT || errno == EOPNOTSUPP ? -ENOTSUP : -errno;
}

/* Some systems accept only a byte for these options. */
static int set_byte(int fd, int level, int name, int value)
{
    unsigned char byte = (unsigned char) value;

    return setsockopt(fd, level, name, &byte, sizeof byte) < 0 ? -errno : 0;
}

/* Opening. */

/* Opens a socket that is non-blocking and close-on-exec. */
static int open_flagged(int family)
{
    int fd = -1;

    errno = EINVAL;
#ifdef SOCK_CLOEXEC
    fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#endif
    fd = aloop__above_standard(fd);
    if (fd >= 0 || !is_refusal(errno))
        return fd < 0 ? -errno : fd;
    fd = aloop__above_standard(socket(family, SOCK_DGRAM, 0));
    if (fd < 0)
        return -errno;
    if (aloop__set_both_flags(fd) < 0) {
        int error = -errno;

        aloop__sys_close(fd);
        return error;
    }
    return fd;
}

/* Returns the initial limit of runs.  Linux before 4.18 does not refuse them,
 * but sends each as one datagram. */
static size_t find_run_segment_max(int fd)
{
#ifdef __linux__
    int segment = 0;
    socklen_t size = sizeof segment;

    if (getsockopt(fd, IPPROTO_UDP, OPTION_SEGMENT, &segment, &size) == 0)
        return UINT16_MAX;
#endif
    (void) fd;
    return 0;
}

/* The options are set as far as the system has them: the defaults of some
 * systems are what is wanted here. */
int aloop__sys_udp_open(enum sys_family family, bool is_v6_only,
                        struct sys_udp *ret)
{
    bool is_inet6 = family == SYS_INET6;
    int fd;

    if (family != SYS_INET && !is_inet6)
        return -EAFNOSUPPORT;
    fd = open_flagged(is_inet6 ? AF_INET6 : AF_INET);
    if (fd < 0)
        return fd;
    if (is_inet6 && set_number(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_v6_only) < 0)
        is_v6_only = true; /* Some systems know nothing else. */
#ifdef __linux__
    set_number(fd, IPPROTO_IP, OPTION_MULTICAST_ALL, 0);
    if (is_inet6)
        set_number(fd, IPPROTO_IPV6, OPTION_MULTICAST_ALL_V6, 0);
#endif
    *ret = (struct sys_udp){
        .fd = fd,
        .is_inet6 = is_inet6,
        .is_v6_only = is_inet6 && is_v6_only,
        .run_segment_max = find_run_segment_max(fd),
    };
    return 0;
}

/* Selects the interface for multicast by its number. */
static int set_inet_interface(int fd, int level, int name, int value)
{
#if defined(__linux__) || defined(__FreeBSD__) || defined(__APPLE__)
    struct ip_mreqn request;

    memset(&request, 0, sizeof request);
    request.imr_ifindex = value;
    if (setsockopt(fd, level, name, &request, sizeof request) < 0)
        return -errno;
    return 0;
#else
    (void) fd;
    (void) level;
    (void) name;
    return value == 0 ? 0 : -ENOTSUP;
#endif
}

/* As for a listener.  A new socket does not have the option, so that nothing is
 * to be done for 0. */
static int set_reuse_port(int fd, int level, int name, int value)
{
    (void) level;
    (void) name;
    return value == 0 ? 0 : aloop__sys_reuse_port(fd);
}

/* An option of IPv4 or of IPv6, and the function that sets it. */
struct udp_option {
    int (*set)(int fd, int level, int name, int value);
    int level;
    int name;
};

/* The second column is for sockets of IPv6; without it, the first is for
 * both. */
static const struct udp_option udp_options[SYS_UDP_OPTIONS][2] = {
    [SYS_UDP_REUSE_PORT] = {{set_reuse_port, 0, 0}},
    [SYS_UDP_REUSE_ADDRESS] = {{set_number, SOL_SOCKET, SO_REUSEADDR}},
    [SYS_UDP_BROADCAST] = {{set_number, SOL_SOCKET, SO_BROADCAST}},
    [SYS_UDP_RECEIVE_BUFFER] = {{set_number, SOL_SOCKET, SO_RCVBUF}},
    [SYS_UDP_SEND_BUFFER] = {{set_number, SOL_SOCKET, SO_SNDBUF}},
    [SYS_UDP_JOIN_RECEIVED] = {{set_number, IPPROTO_UDP, OPTION_GRO}},
    [SYS_UDP_HOPS] = {{set_number, IPPROTO_IP, IP_TTL},
                      {set_number, IPPROTO_IPV6, IPV6_UNICAST_HOPS}},
    [SYS_UDP_MULTICAST_HOPS] = {{set_byte, IPPROTO_IP, IP_MULTICAST_TTL},
                                {set_number, IPPROTO_IPV6,
                                 IPV6_MULTICAST_HOPS}},
    [SYS_UDP_MULTICAST_LOOP] = {{set_byte, IPPROTO_IP, IP_MULTICAST_LOOP},
                                {set_number, IPPROTO_IPV6,
                                 IPV6_MULTICAST_LOOP}},
    [SYS_UDP_MULTICAST_INTERFACE] = {{set_inet_interface, IPPROTO_IP,
                                      IP_MULTICAST_IF},
                                     {set_number, IPPROTO_IPV6,
                                      IPV6_MULTICAST_IF}},
};

/* A socket of IPv6 may send by IPv4, too.  Where it cannot, setting that option
 * fails, which has no consequence. */
int aloop__sys_udp_set(const struct sys_udp *udp, enum sys_udp_option option,
                       int value)
{
    const struct udp_option *inet = &udp_options[option][0];
    const struct udp_option *inet6 = &udp_options[option][1];
    int error = inet->set(udp->fd, inet->level, inet->name, value);

    if (!udp->is_inet6 || inet6->set == NULL)
        return error;
    return inet6->set(udp->fd, inet6->level, inet6->name, value);
}

/* Some systems report an error although they end the association.  Linux
 * releases a port that bind() has selected, so that the socket is bound to it
 * again. */
void aloop__sys_udp_disconnect(const struct sys_udp *udp)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sys_address before, after;
    aloop_address local;
    int error = aloop__sys_local_address(udp->fd, &before);

    (void) connect(udp->fd, &none, sizeof none);
    if (error < 0 || aloop__sys_local_address(udp->fd, &after) < 0 ||
        aloop__sys_address_port(&after) == aloop__sys_address_port(&before) ||
        aloop__sys_address_export(&after, &local) < 0)
        return;
    local.port = aloop__sys_address_port(&before);
    aloop__sys_address_import(&local, &after);
    aloop__sys_bind(udp->fd, &after);
}

/* Multicast. */

#ifdef MCAST_JOIN_SOURCE_GROUP

static void store_group(const aloop_address *address,
                        struct sockaddr_storage *ret)
{
    struct sys_address imported;

    aloop__sys_address_import(address, &imported);
    memset(ret, 0, sizeof *ret);
    memcpy(ret, imported.bytes, imported.size);
}

int aloop__sys_udp_join(const struct sys_udp *udp,
                        const struct sys_membership *membership, bool is_join)
{
    bool is_inet6 = membership->group->family == ALOOP_FAMILY_IPV6;
    int level = is_inet6 ? IPPROTO_IPV6 : IPPROTO_IP;
    struct group_req request;
    struct group_source_req source_request;
    int result;

    memset(&request, 0, sizeof request);
    memset(&source_request, 0, sizeof source_request);
    request.gr_interface = membership->interface;
    store_group(membership->group, &request.gr_group);
    source_request.gsr_interface = request.gr_interface;
    source_request.gsr_group = request.gr_group;
    if (membership->source != NULL) {
        store_group(membership->source, &source_request.gsr_source);
        result = setsockopt(udp->fd, level,
                            is_join ? MCAST_JOIN_SOURCE_GROUP
                                    : MCAST_LEAVE_SOURCE_GROUP,
                            &source_request, sizeof source_request);
    } else {
        result = setsockopt(udp->fd, level,
                            is_join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP,
                            &request, sizeof request);
    }
    return result < 0 ? -errno : 0;
}

#else

/* The system has only the older options, which know neither a source nor, for
 * IPv4, the number of an interface. */
int aloop__sys_udp_join(const struct sys_udp *udp,
                        const struct sys_membership *membership, bool is_join)
{
    struct ip_mreq request;
    struct ipv6_mreq request6;
    int result;

    if (membership->source != NULL)
        return -ENOTSUP;
    if (membership->group->family == ALOOP_FAMILY_IPV6) {
        memset(&request6, 0, sizeof request6);
        memcpy(&request6.ipv6mr_multiaddr, membership->group->host, 16);
        request6.ipv6mr_interface = membership->interface;
        result = setsockopt(udp->fd, IPPROTO_IPV6,
                            is_join ? OPTION_JOIN_V6 : OPTION_LEAVE_V6,
                            &request6, sizeof request6);
    } else {
        if (membership->interface != 0)
            return -ENOTSUP;
        memset(&request, 0, sizeof request);
        memcpy(&request.imr_multiaddr, membership->group->host, 4);
        result = setsockopt(udp->fd, IPPROTO_IP,
                            is_join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP,
                            &request, sizeof request);
    }
    return result < 0 ? -errno : 0;
}

#endif
