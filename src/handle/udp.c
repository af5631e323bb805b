/* UDP sockets: from opened to closed, and their options.
 *
 * Receiving and sending share one descriptor.  Each of them adds to the events
 * that the socket watches, and removes them, without regard to the other one.
 *
 * An application may close the descriptor by mistake.  The loop notices it, and
 * sets `io.fd` to -1; or a call fails with EBADF, and `is_lost` is set.  The
 * number may belong to another file by then, so that nothing is done with it
 * any more, and it is not closed. */

#include "handle/udp.h"

#include "aloop/udp_options.h"
#include "base/options.h"
#include "handle/address.h"
#include "loop/debug.h"
#include "os/reactor.h"

/* The descriptor was closed outside the loop's control, as the reactor or a
 * call has reported.  Everything that waits fails; the callback is called in
 * the next turn, a last time. */
static void udp_lost(aloop_udp *udp)
{
    udp->is_lost = true;
    aloop__udp_unwant(udp, REACTOR_READ | REACTOR_WRITE);
    aloop__udp_drop_queue(udp, ALOOP_EBADF);
    aloop__udp_pass_error(udp, ALOOP_EBADF);
}

/* A reactor may have taken the error of the socket, so that no call reports it
 * any more.
 *
 * Each step may call the application, which may close the socket.  A closed
 * socket watches no events, so that the steps that follow do nothing.  An error
 * is an event for both directions, because the call that fails shows which
 * error it is. */
static void udp_ready(struct aloop__io *io, unsigned bits)
{
    aloop_udp *udp = CONTAINER_OF(io, aloop_udp, io);
    int error = io->error;

    io->error = 0;
    if (io->fd < 0) {
        udp_lost(udp);
        return;
    }
    if (error != 0)
        aloop__udp_pass_error(udp, error);
    if ((bits & (REACTOR_WRITE | REACTOR_ERROR)) != 0 &&
        (io->armed & REACTOR_WRITE) != 0)
        aloop__udp_flush(udp);
    if ((bits & (REACTOR_READ | REACTOR_ERROR)) != 0 &&
        (io->armed & REACTOR_READ) != 0 && !udp->is_lost)
        aloop__udp_readable(udp);
    if (udp->is_lost && !aloop__handle_is_ended(&udp->handle))
        udp_lost(udp);
}

/* handle->close, and the end of a socket that could not be opened.  Operations
 * settle before the descriptor is closed. */
static void udp_close(struct aloop__handle *handle)
{
    aloop_udp *udp = CONTAINER_OF(handle, aloop_udp, handle);
    int fd;

    aloop__udp_end_receiving(udp);
    aloop__udp_end_sending(udp);
    fd = aloop__io_close(handle->loop, &udp->io);
    if (fd >= 0 && !udp->is_lost)
        aloop__sys_close(fd);
    aloop__handle_closed(handle);
}

/* handle->fork, in a child: the parent sends what is queued, and has what is
 * held. */
static void udp_fork(struct aloop__handle *handle)
{
    aloop_udp *udp = CONTAINER_OF(handle, aloop_udp, handle);

    udp->error = 0;
    aloop__udp_drop_held(udp, NULL);
    aloop__udp_drop_queue(udp, ALOOP_ECANCELED);
}

static const struct aloop__handle_ops udp_ops = {
    .name = "UDP socket",
    .size = sizeof(aloop_udp),
    .close = udp_close,
    .fork = udp_fork,
};

/* Opening. */

static const struct options_field udp_fields[] = {
    OPTIONS_FIELD(aloop_udp_options, size),
    OPTIONS_FIELD(aloop_udp_options, reuse_port),
    OPTIONS_FIELD(aloop_udp_options, reuse_address),
    OPTIONS_FIELD(aloop_udp_options, ipv6_only),
    OPTIONS_FIELD(aloop_udp_options, broadcast),
    OPTIONS_FIELD(aloop_udp_options, join_received),
    OPTIONS_FIELD(aloop_udp_options, hops_max),
    OPTIONS_FIELD(aloop_udp_options, receive_buffer),
    OPTIONS_FIELD(aloop_udp_options, send_buffer),
};

OPTIONS_LAST(aloop_udp_options, send_buffer);

static const struct options_kind udp_options_kind = {
    sizeof(aloop_udp_options),
    udp_fields,
    sizeof udp_fields / sizeof udp_fields[0],
};

/* Sets the options that differ from the defaults of the system.  Joining
 * received datagrams is only faster, and so may be missing. */
static int set_options(const struct sys_udp *sys,
                       const aloop_udp_options *options)
{
    const struct {
        enum sys_udp_option option;
        int value;
    } wanted[] = {
        {SYS_UDP_REUSE_PORT, options->reuse_port},
        {SYS_UDP_REUSE_ADDRESS, options->reuse_address},
        {SYS_UDP_BROADCAST, options->broadcast},
        {SYS_UDP_JOIN_RECEIVED, options->join_received},
        {SYS_UDP_HOPS, options->hops_max},
        {SYS_UDP_RECEIVE_BUFFER, (int) options->receive_buffer},
        {SYS_UDP_SEND_BUFFER, (int) options->send_buffer},
    };

    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        int error = 0;

        if (wanted[i].value != 0)
            error = aloop__sys_udp_set(sys, wanted[i].option, wanted[i].value);
        if (error < 0 && wanted[i].option != SYS_UDP_JOIN_RECEIVED)
            return error;
    }
    return 0;
}

/* Opens a bound socket.  The options are set before the bind, because some of
 * them decide which addresses are free. */
static int open_bound(const struct sys_address *address,
                      const aloop_udp_options *options, struct sys_udp *ret)
{
    int error = aloop__sys_udp_open(aloop__sys_address_family(address),
                                    options->ipv6_only, ret);

    if (error < 0)
        return error;
    error = set_options(ret, options);
    if (error == 0)
        error = aloop__sys_bind(ret->fd, address);
    if (error < 0)
        aloop__sys_close(ret->fd);
    return error;
}

/* As for listeners: clients of "localhost" use IPv4, if the system has it and
 * it is allowed. */
static int open_host(const char *host, const char *port,
                     const aloop_udp_options *options, struct sys_udp *ret)
{
    bool is_local = host != NULL && aloop__address_is_localhost(host);
    struct sys_address address;
    int error = ALOOP_EAFNOSUPPORT;

    if (!is_local || !options->ipv6_only)
        error = aloop__address_of_host(is_local ? "127.0.0.1" : host, port,
                                       &address);
    if (error == 0)
        error = open_bound(&address, options, ret);
    if (is_local &&
        (error == ALOOP_EAFNOSUPPORT || error == ALOOP_EADDRNOTAVAIL) &&
        aloop__address_of_host("::1", port, &address) == 0)
        error = open_bound(&address, options, ret);
    return error;
}

/* The handle is made first, because its memory may be missing.  Without a
 * descriptor its close only frees it. */
static int open_udp(aloop *loop, const char *host, const char *port,
                    const aloop_udp_options *options, aloop_udp **ret_udp)
{
    aloop_udp *udp = aloop__handle_new(loop, &udp_ops);
    int error;

    if (udp == NULL)
        return ALOOP_ENOMEM;
    udp->io.fd = -1;
    udp->is_receive_joined = options->join_received;
    aloop__udp_receive_init(udp);
    aloop__udp_send_init(udp);
    error = open_host(host, port, options, &udp->sys);
    if (error == 0) {
        error = aloop__io_open(loop, &udp->io, udp->sys.fd, udp_ready);
        udp->io.process = IO_ANY_PROCESS; /* Children use it, too. */
        if (error < 0)
            aloop__sys_close(udp->sys.fd);
    }
    if (error < 0)
        udp_close(&udp->handle);
    else
        *ret_udp = udp;
    return error;
}

/* The number of hops is one byte of a packet, and the system takes sizes of
 * buffers as int. */
int aloop_udp_open_with(aloop *loop, const char *host, const char *port,
                        const aloop_udp_options *options, aloop_udp **ret_udp)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_udp_options all;

    if (error < 0)
        return error;
    if (port == NULL || ret_udp == NULL ||
        !aloop__options_take(&udp_options_kind, options, &all) ||
        all.hops_max < 0 || all.hops_max > 255 ||
        all.receive_buffer > INT32_MAX || all.send_buffer > INT32_MAX)
        return ALOOP_EINVAL;
    return open_udp(loop, host, port, &all, ret_udp);
}

int aloop_udp_open(aloop *loop, const char *host, const char *port,
                   aloop_udp **ret_udp)
{
    return aloop_udp_open_with(loop, host, port, NULL, ret_udp);
}

/* Converts an address to one of the family of the socket.  A socket for both
 * families sends to an IPv4 host by its mapped address. */
static void import_peer(const aloop_udp *udp, const aloop_address *peer,
                        struct sys_address *ret)
{
    aloop_address mapped = aloop__address_mapped(peer);

    aloop__sys_address_import(udp->sys.is_inet6 ? &mapped : peer, ret);
}

/* Connects the socket.  The association with an earlier peer also selected the
 * local address, from which the new peer may not be reachable.  Therefore it is
 * ended before, and begun again if the new peer is refused. */
static int associate_udp(aloop_udp *udp, const aloop_address *peer)
{
    struct sys_address imported;
    int error;

    if (aloop__udp_is_connected(udp))
        aloop__sys_udp_disconnect(&udp->sys);
    import_peer(udp, peer, &imported);
    error = aloop__sys_connect(udp->sys.fd, &imported);
    if (error < 0 && aloop__udp_is_connected(udp)) {
        import_peer(udp, &udp->peer, &imported);
        if (aloop__sys_connect(udp->sys.fd, &imported) < 0)
            udp->peer = (aloop_address){0};
    }
    return error;
}

/* Queued datagrams have addresses, which some systems do not accept on a
 * connected socket. */
int aloop_udp_connect(aloop_udp *udp, const aloop_address *peer)
{
    int error = aloop__check_handle(udp, __func__);
    struct sys_address imported;
    aloop_address address;

    if (error < 0)
        return error;
    if (aloop_address_family(peer) == ALOOP_FAMILY_NONE ||
        aloop_address_port(peer) == 0)
        return ALOOP_EINVAL;
    error = aloop__udp_use(udp);
    if (error < 0)
        return error;
    address = aloop__address_unmapped(peer);
    if (!aloop__udp_has_family(udp, &address))
        return ALOOP_EAFNOSUPPORT;
    if (!list_is_empty(&udp->queue))
        aloop__udp_flush(udp);
    error = associate_udp(udp, &address);
    if (error < 0)
        return error;
    /* The peer of a connect to 0.0.0.0 is 127.0.0.1. */
    udp->peer = address;
    if (aloop__sys_peer_address(udp->sys.fd, &imported) == 0 &&
        aloop__sys_address_export(&imported, &address) == 0)
        udp->peer = aloop__address_unmapped(&address);
    aloop__udp_drop_held(udp, &udp->peer);
    return 0;
}

/* Multicast. */

/* An interface of 0 is one that the system chooses.  Without a source,
 * datagrams of all senders are received.  A socket for both families joins an
 * IPv4 group by the option of IPv4. */
static int change_membership(aloop_udp *udp, const aloop_address *group,
                             unsigned interface, const aloop_address *source,
                             bool is_join)
{
    struct sys_membership membership = {group, source, interface};

    if (aloop_address_family(group) == ALOOP_FAMILY_NONE ||
        !aloop__udp_has_family(udp, group) ||
        (source != NULL &&
         aloop_address_family(source) != aloop_address_family(group)))
        return ALOOP_EINVAL;
    if (aloop__udp_is_lost(udp))
        return ALOOP_EBADF;
    return aloop__sys_udp_join(&udp->sys, &membership, is_join);
}

int aloop_udp_join(aloop_udp *udp, const aloop_address *group,
                   unsigned interface, const aloop_address *source)
{
    int error = aloop__check_handle(udp, __func__);

    return error < 0 ? error
                     : change_membership(udp, group, interface, source, true);
}

int aloop_udp_leave(aloop_udp *udp, const aloop_address *group,
                    unsigned interface, const aloop_address *source)
{
    int error = aloop__check_handle(udp, __func__);

    return error < 0 ? error
                     : change_membership(udp, group, interface, source, false);
}

/* The options are set one after the other.  If one fails, those before it stay
 * as they were set. */
int aloop_udp_set_multicast(aloop_udp *udp, unsigned interface, int hops_max,
                            bool is_looped)
{
    int error = aloop__check_handle(udp, __func__);

    if (error < 0)
        return error;
    if (hops_max < 0 || hops_max > 255 || interface > INT32_MAX)
        return ALOOP_EINVAL;
    if (aloop__udp_is_lost(udp))
        return ALOOP_EBADF;
    error = aloop__sys_udp_set(&udp->sys, SYS_UDP_MULTICAST_INTERFACE,
                               (int) interface);
    if (error == 0)
        error = aloop__sys_udp_set(&udp->sys, SYS_UDP_MULTICAST_HOPS, hops_max);
    if (error == 0)
        error =
            aloop__sys_udp_set(&udp->sys, SYS_UDP_MULTICAST_LOOP, is_looped);
    return error;
}

/* Questions, and the end. */

/* The result has no family after an error, so that it is no old address. */
int aloop_udp_local(const aloop_udp *udp, aloop_address *ret_address)
{
    int error = aloop__check_handle(udp, __func__);
    struct sys_address address;

    if (error < 0 || ret_address == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    *ret_address = (aloop_address){.family = ALOOP_FAMILY_NONE};
    if (aloop__udp_is_lost(udp))
        return ALOOP_EBADF;
    error = aloop__sys_local_address(udp->io.fd, &address);
    return error < 0 ? error : aloop__address_of_end(&address, ret_address);
}

int aloop_udp_fd(const aloop_udp *udp)
{
    int error = aloop__check_handle(udp, __func__);

    if (error < 0)
        return error;
    return aloop__udp_is_lost(udp) ? ALOOP_EBADF : udp->io.fd;
}

void aloop_udp_ref(aloop_udp *udp)
{
    aloop__handle_reference((struct aloop__handle *) udp, true, __func__);
}

void aloop_udp_unref(aloop_udp *udp)
{
    aloop__handle_reference((struct aloop__handle *) udp, false, __func__);
}

void aloop_udp_close(aloop_udp *udp)
{
    if (udp != NULL && aloop__check_handle(udp, __func__) == 0)
        udp_close(&udp->handle);
}
