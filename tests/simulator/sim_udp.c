/* Datagrams: the functions of os/sys_udp.h, and how datagrams travel.
 *
 * A datagram arrives after one delay, unless it is lost, or twice, or later
 * than those that were sent after it.  Then it is put into the receive buffer
 * of each socket that it is for, or dropped where that is full.  If it is for
 * no socket, an ICMP error travels back; only a connected sender receives it,
 * as an error of its next call.
 *
 * A socket has sent datagrams in its send buffer until they arrive. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/sys_udp.h"
#include "sim_world.h"

enum { DATAGRAM_MAX = 65507, OVERHEAD = 64 };

static const int64_t LATE_NS = 3000000;

/* A datagram that travels or has arrived. */
struct sim_datagram {
    struct sim_datagram *next;
    struct sim_udp *sender;
    struct sys_address from;
    struct sys_address to;
    size_t size;
    unsigned char bytes[];
};

struct sim_group {
    struct sim_group *next;
    struct sys_address host;
    struct sys_address source; /* Size 0: any. */
    unsigned interface;
};

/* The part of a socket that only those for datagrams have. */
struct sim_udp {
    struct sim_udp *next; /* In the list of all. */
    struct sim_socket *socket;
    bool is_connected;
    bool may_broadcast;
    bool is_receive_joined;
    size_t flying;                /* In the send buffer, with overhead. */
    size_t waiting;               /* In the receive buffer, with overhead. */
    struct sim_datagram *arrived; /* The first one. */
    struct sim_group *groups;
};

static struct sim_udp *udps;
static struct sim_datagram *travelling;

static size_t cost(const struct sim_datagram *datagram)
{
    return datagram->size + OVERHEAD;
}

void sim__udp_init(struct sim_socket *socket)
{
    struct sim_udp *udp = sim__allocate(NULL, sizeof *udp);

    *udp = (struct sim_udp){.next = udps, .socket = socket};
    udps = udp;
    socket->udp = udp;
}

static void drop_all(struct sim_datagram **list)
{
    while (*list != NULL) {
        struct sim_datagram *datagram = *list;

        *list = datagram->next;
        free(datagram);
    }
}

static void drop_groups(struct sim_udp *udp)
{
    while (udp->groups != NULL) {
        struct sim_group *group = udp->groups;

        udp->groups = group->next;
        free(group);
    }
}

void sim__udp_gone(struct sim_socket *socket)
{
    drop_all(&socket->udp->arrived);
    drop_groups(socket->udp);
    socket->udp->waiting = 0;
}

void sim__udp_end(void)
{
    drop_all(&travelling);
    while (udps != NULL) {
        struct sim_udp *udp = udps;

        udps = udp->next;
        drop_all(&udp->arrived);
        drop_groups(udp);
        free(udp);
    }
}

/* Addresses. */

static struct sys_address imported(const aloop_address *address)
{
    struct sys_address result;

    aloop__sys_address_import(address, &result);
    return result;
}

/* Returns the IPv4 address of an IPv4-mapped one. */
static aloop_address unmapped(const aloop_address *address)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    aloop_address plain = {.port = address->port, .family = ALOOP_FAMILY_IPV4};

    if (address->family != ALOOP_FAMILY_IPV6 ||
        memcmp(address->host, prefix, sizeof prefix) != 0)
        return *address;
    memcpy(plain.host, address->host + 12, 4);
    return plain;
}

static bool is_multicast(const struct sys_address *address)
{
    aloop_address plain;

    aloop__sys_address_export(address, &plain);
    return plain.family == ALOOP_FAMILY_IPV4 ? plain.host[0] >> 4 == 14
                                             : plain.host[0] == 0xff;
}

static bool is_broadcast(const struct sys_address *address)
{
    aloop_address plain;

    aloop__sys_address_export(address, &plain);
    return plain.family == ALOOP_FAMILY_IPV4 &&
           memcmp(plain.host, "\xff\xff\xff\xff", 4) == 0;
}

/* Arrival. */

static bool has_joined(const struct sim_udp *udp,
                       const struct sim_datagram *datagram)
{
    for (const struct sim_group *group = udp->groups; group != NULL;
         group = group->next)
        if (sim__address_is_same(&group->host, &datagram->to) &&
            (group->source.size == 0 ||
             sim__address_is_same(&group->source, &datagram->from)))
            return true;
    return false;
}

/* The remote address of a connected socket, without a mapping. */
static bool is_from_peer(const struct sim_udp *udp,
                         const struct sim_datagram *datagram)
{
    return !udp->is_connected ||
           aloop__sys_address_is_same(&udp->socket->remote, &datagram->from);
}

static bool is_for(const struct sim_udp *udp,
                   const struct sim_datagram *datagram)
{
    if (udp->socket->was_closed || udp->socket->local.size == 0 ||
        aloop__sys_address_port(&udp->socket->local) !=
            aloop__sys_address_port(&datagram->to) ||
        !is_from_peer(udp, datagram))
        return false;
    if (is_multicast(&datagram->to))
        return has_joined(udp, datagram);
    return is_broadcast(&datagram->to) ||
           sim__covers(udp->socket, &datagram->to);
}

static void put_into(struct sim_udp *udp, const struct sim_datagram *datagram)
{
    struct sim_datagram **at = &udp->arrived, *copy;

    if (udp->waiting > 0 &&
        udp->waiting + cost(datagram) > sim__world.options.buffer_size)
        return; /* It is lost, silently. */
    copy = sim__allocate(NULL, sizeof *copy + datagram->size);
    memcpy(copy, datagram, sizeof *copy + datagram->size);
    copy->next = NULL;
    while (*at != NULL)
        at = &(*at)->next;
    *at = copy;
    udp->waiting += cost(copy);
}

static void refuse_sender(void *arg)
{
    struct sim_udp *sender = arg;

    if (!sender->socket->was_closed && sender->is_connected)
        sender->socket->error = -ECONNREFUSED;
}

/* To a single host, the newest socket gets the datagram, and a connected one is
 * preferred. */
static void deliver(const struct sim_datagram *datagram)
{
    bool is_for_all = is_multicast(&datagram->to) ||
                      is_broadcast(&datagram->to);
    struct sim_udp *best = NULL;

    for (struct sim_udp *udp = udps; udp != NULL; udp = udp->next) {
        if (!is_for(udp, datagram))
            continue;
        if (is_for_all)
            put_into(udp, datagram);
        else if (best == NULL || (udp->is_connected && !best->is_connected))
            best = udp;
    }
    if (best != NULL)
        put_into(best, datagram);
    else if (!is_for_all && !sim__address_is_blackhole(&datagram->to))
        sim__schedule(sim__add_ns(sim__world.now_ns, sim__delay_ns()),
                      refuse_sender, datagram->sender);
}

static void arrive(void *arg)
{
    struct sim_datagram *datagram = arg, **at = &travelling;

    while (*at != datagram)
        at = &(*at)->next;
    *at = datagram->next;
    datagram->sender->flying -= cost(datagram);
    sim__trace((int64_t) datagram->size);
    deliver(datagram);
    free(datagram);
}

/* Sending. */

static void launch(const struct sim_datagram *datagram)
{
    struct sim_datagram *copy =
        sim__allocate(NULL, sizeof *copy + datagram->size);
    int64_t due_ns = sim__add_ns(sim__world.now_ns, sim__delay_ns());

    memcpy(copy, datagram, sizeof *copy + datagram->size);
    copy->next = travelling;
    travelling = copy;
    copy->sender->flying += cost(copy);
    if (sim__chance(sim__world.options.reorder_percent))
        due_ns = sim__add_ns(due_ns, LATE_NS);
    sim__schedule(due_ns, arrive, copy);
}

static void travel(struct sim_udp *udp, const struct sys_address *to,
                   const void *data, size_t size)
{
    struct sim_datagram *datagram =
        sim__allocate(NULL, sizeof *datagram + size);
    struct sys_address from = udp->socket->local;

    if (sim__address_is_any(&from) ||
        aloop__sys_address_family(&from) != aloop__sys_address_family(to)) {
        from = sim__address_source(to);
        sim__address_set_port(&from,
                              aloop__sys_address_port(&udp->socket->local));
    }
    *datagram = (struct sim_datagram){.sender = udp,
                                      .from = from,
                                      .to = *to,
                                      .size = size};
    if (size > 0)
        memcpy(datagram->bytes, data, size);
    sim__trace_bytes(data, size);
    if (!sim__chance(sim__world.options.loss_percent))
        launch(datagram);
    if (sim__chance(sim__world.options.duplicate_percent))
        launch(datagram);
    free(datagram);
}

/* Returns the error of a send to `to`, or 0. */
static int refusal_of(const struct sim_udp *udp, const struct sys_address *to,
                      size_t size)
{
    bool is_inet6 = udp->socket->family == SYS_INET6;

    if (size > DATAGRAM_MAX)
        return -EMSGSIZE;
    if (!is_inet6 && aloop__sys_address_family(to) == SYS_INET6)
        return -EAFNOSUPPORT;
    if (aloop__sys_address_port(to) == 0)
        return -EINVAL;
    if (is_broadcast(to) && !udp->may_broadcast)
        return -EACCES;
    if (sim__address_is_unreachable(to) ||
        (is_inet6 && udp->socket->is_v6_only &&
         aloop__sys_address_family(to) == SYS_INET))
        return -ENETUNREACH;
    return 0;
}

ssize_t sim__udp_send(struct sim_socket *socket, const aloop_address *to,
                      const void *data, size_t size)
{
    struct sim_udp *udp = socket->udp;
    struct sys_address address = socket->remote;
    aloop_address plain;
    int error = socket->error;

    if (error < 0) {
        socket->error = 0;
        return error;
    }
    if (to == NULL && !udp->is_connected)
        return -EDESTADDRREQ;
    if (to != NULL) {
        plain = unmapped(to);
        address = imported(&plain);
    }
    error = refusal_of(udp, &address, size);
    if (error < 0)
        return error;
    if (!socket->is_outside &&
        (sim__chance(sim__world.options.spurious_percent) ||
         udp->flying >= sim__world.options.buffer_size))
        return -EAGAIN;
    travel(udp, &address, data, size);
    return (ssize_t) size;
}

/* Receiving. */

ssize_t sim__udp_receive(struct sim_socket *socket, void *buffer, size_t size,
                         aloop_address *ret_from)
{
    struct sim_udp *udp = socket->udp;
    struct sim_datagram *datagram = udp->arrived;
    struct sys_address from;
    ssize_t result = socket->error;

    if (result < 0) {
        socket->error = 0;
        return result;
    }
    if (datagram == NULL)
        return -EAGAIN;
    from = datagram->from;
    if (socket->family == SYS_INET6 &&
        aloop__sys_address_family(&from) == SYS_INET)
        from = sim__address_mapped(&from);
    aloop__sys_address_export(&from, ret_from);
    if (size > datagram->size)
        size = datagram->size;
    if (size > 0)
        memcpy(buffer, datagram->bytes, size);
    result = (ssize_t) datagram->size;
    udp->arrived = datagram->next;
    udp->waiting -= cost(datagram);
    free(datagram);
    return result;
}

/* Follows udp_poll() and datagram_poll() of Linux. */
unsigned sim__udp_bits(const struct sim_socket *socket)
{
    const struct sim_udp *udp = socket->udp;
    unsigned bits = 0;

    if (udp->arrived != NULL)
        bits |= REACTOR_READ;
    if (udp->flying == 0 || udp->flying * 2 < sim__world.options.buffer_size)
        bits |= REACTOR_WRITE;
    if (socket->error < 0)
        bits |= REACTOR_ERROR;
    return bits;
}

int sim__udp_connect(struct sim_socket *socket,
                     const struct sys_address *address)
{
    aloop_address peer;
    struct sys_address plain;
    int error;

    if (aloop__sys_address_family(address) != socket->family)
        return -EAFNOSUPPORT;
    aloop__sys_address_export(address, &peer);
    peer = unmapped(&peer);
    plain = imported(&peer);
    error = refusal_of(socket->udp, &plain, 0);
    if (error < 0)
        return error;
    socket->remote = plain;
    socket->udp->is_connected = true;
    return 0;
}

/* The functions of the seam. */

static struct sim_socket *enter_udp(enum sim_call call, int fd, int *ret_error)
{
    const struct sim_file *peeked = sim__peek(fd);
    const struct sim_file *file;

    if (peeked != NULL)
        sim__change(peeked);
    *ret_error = sim__enter(call);
    if (*ret_error < 0)
        return NULL;
    file = sim__file(fd);
    if (file != NULL && file->kind == SIM_SOCKET && file->socket->udp != NULL)
        return file->socket;
    *ret_error = file == NULL ? -EBADF : -ENOTSOCK;
    return NULL;
}

int aloop__sys_udp_open(enum sys_family family, bool is_v6_only,
                        struct sys_udp *ret)
{
    int fault = sim__enter(CALL_sys_udp_open);
    struct sim_file *file;
    int fd;

    if (fault < 0)
        return fault;
    if ((family != SYS_INET && family != SYS_INET6) ||
        (family == SYS_INET6 && sim__world.options.has_no_ipv6))
        return -EAFNOSUPPORT;
    fd = sim__fd_open(SIM_SOCKET, &file);
    if (fd < 0)
        return fd;
    file->socket = sim__socket_new(family);
    file->socket->is_v6_only = is_v6_only;
    sim__udp_init(file->socket);
    *ret = (struct sys_udp){
        .fd = fd,
        .is_inet6 = family == SYS_INET6,
        .is_v6_only = family == SYS_INET6 && is_v6_only,
    };
    return 0;
}

int aloop__sys_udp_set(const struct sys_udp *udp, enum sys_udp_option option,
                       int value)
{
    int error;
    struct sim_socket *socket = enter_udp(CALL_sys_udp_set, udp->fd, &error);

    if (socket == NULL)
        return error;
    sim__trace(value);
    if (option == SYS_UDP_REUSE_PORT || option == SYS_UDP_REUSE_ADDRESS)
        socket->has_reuse = value != 0;
    if (option == SYS_UDP_BROADCAST)
        socket->udp->may_broadcast = value != 0;
    if (option == SYS_UDP_JOIN_RECEIVED)
        socket->udp->is_receive_joined = value != 0;
    return 0;
}

void aloop__sys_udp_disconnect(const struct sys_udp *udp)
{
    int error;
    struct sim_socket *socket =
        enter_udp(CALL_sys_udp_disconnect, udp->fd, &error);

    if (socket == NULL)
        return;
    socket->remote = (struct sys_address){.size = 0};
    socket->udp->is_connected = false;
}

static bool is_membership(const struct sim_group *group,
                          const struct sim_group *wanted)
{
    return group->interface == wanted->interface &&
           sim__address_is_same(&group->host, &wanted->host) &&
           group->source.size == wanted->source.size &&
           (group->source.size == 0 ||
            sim__address_is_same(&group->source, &wanted->source));
}

int aloop__sys_udp_join(const struct sys_udp *udp,
                        const struct sys_membership *membership, bool is_join)
{
    int error;
    struct sim_socket *socket = enter_udp(CALL_sys_udp_join, udp->fd, &error);
    struct sim_group wanted = {.interface = membership->interface};
    struct sim_group **at, *group;

    if (socket == NULL)
        return error;
    wanted.host = imported(membership->group);
    if (membership->source != NULL)
        wanted.source = imported(membership->source);
    if (!is_multicast(&wanted.host))
        return -EINVAL;
    at = &socket->udp->groups;
    while (*at != NULL && !is_membership(*at, &wanted))
        at = &(*at)->next;
    group = *at;
    if (is_join != (group == NULL))
        return is_join ? -EADDRINUSE : -EADDRNOTAVAIL;
    if (!is_join) {
        *at = group->next;
        free(group);
        return 0;
    }
    group = sim__allocate(NULL, sizeof *group);
    *group = wanted;
    *at = group;
    return 0;
}

int aloop__sys_udp_send(struct sys_udp *udp,
                        const struct sys_datagram *datagrams, size_t count)
{
    int error;
    struct sim_socket *socket = enter_udp(CALL_sys_udp_send, udp->fd, &error);
    size_t sent = 0;

    assert(count > 0 && count <= SYS_DATAGRAMS_MAX);
    if (socket == NULL)
        return error;
    for (; sent < count; sent++) {
        ssize_t result = sim__udp_send(socket, datagrams[sent].to,
                                       datagrams[sent].data,
                                       datagrams[sent].size);

        if (result < 0 && sent == 0)
            return (int) result;
        if (result < 0)
            break;
    }
    sim__trace((int64_t) sent);
    return (int) sent;
}

/* Appends datagrams that have the size and the sender of the first one. */
static void join_more(struct sim_socket *socket, struct sys_receive *receive,
                      const struct sys_address *sender)
{
    size_t segment = receive->size;

    while (segment > 0 && socket->udp->arrived != NULL &&
           socket->udp->arrived->size == segment &&
           receive->size + segment <= receive->room &&
           aloop__sys_address_is_same(&socket->udp->arrived->from, sender)) {
        sim__udp_receive(socket, (char *) receive->buffer + receive->size,
                         segment, &receive->from);
        receive->size += segment;
        receive->segment = segment;
    }
}

int aloop__sys_udp_receive(const struct sys_udp *udp,
                           struct sys_receive *receives, size_t count)
{
    int error;
    struct sim_socket *socket =
        enter_udp(CALL_sys_udp_receive, udp->fd, &error);
    size_t received = 0;

    assert(count > 0 && count <= SYS_RECEIVES_MAX);
    if (socket == NULL)
        return error;
    if (sim__chance(sim__world.options.spurious_percent))
        return -EAGAIN;
    for (; received < count; received++) {
        struct sys_receive *receive = &receives[received];
        struct sys_address sender = {0};
        ssize_t size;

        if (socket->udp->arrived != NULL)
            sender = socket->udp->arrived->from;
        size = sim__udp_receive(socket, receive->buffer, receive->room,
                                &receive->from);

        if (size < 0 && received == 0)
            return (int) size;
        if (size < 0)
            break;
        receive->is_truncated = (size_t) size > receive->room;
        receive->size = receive->is_truncated ? receive->room : (size_t) size;
        receive->segment = 0;
        if (socket->udp->is_receive_joined && !receive->is_truncated)
            join_more(socket, receive, &sender);
        sim__trace_bytes(receive->buffer, receive->size);
    }
    sim__trace((int64_t) received);
    return (int) received;
}
