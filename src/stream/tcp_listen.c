/* Listening by TCP: where, and with which options; see listener.c for the
 * listener itself.
 *
 * No name is looked up here, because the listener exists when the call returns,
 * and a look-up would have to block.  A host is therefore a numeric address, a
 * name of the loopback interface, or NULL for all addresses. */

#include <stddef.h>

#include "aloop/tcp.h"
#include "aloop/tcp_options.h"
#include "base/options.h"
#include "handle/address.h"
#include "loop/debug.h"
#include "os/sys.h"
#include "stream/listener.h"
#include "stream/stream.h"

/* Connections of a burst wait here until the next turn.  A system with a lower
 * limit uses that without an error. */
enum { BACKLOG = 4096 };

/* Where to listen: an address or, if that is NULL, a host and a port.  All
 * pointers are the caller's, and are used only until the listener is open. */
struct place {
    const struct sys_address *address;
    const char *host, *port;
    aloop_tcp_listen_options options;
};

/* Sets the options of a socket that is not bound yet: bind() decides by them
 * whether the address is free and which families it covers. */
static int set_listen_options(int fd, enum sys_family family,
                              const aloop_tcp_listen_options *options)
{
    int error = 0;

    /* Failures of these two are ignored.  If an old connection still occupies
     * the address, bind() reports it.  Accepted sockets inherit the second one,
     * which saves a call for each connection; without it replies are slower. */
    aloop__sys_reuse_address(fd, family);
    aloop__sys_no_delay(fd, true);
    if (options->ipv6_only)
        error = family == SYS_INET6 ? aloop__sys_ipv6_only(fd) : ALOOP_EINVAL;
    if (error == 0 && options->reuse_port)
        error = aloop__sys_reuse_port(fd);
    return error;
}

/* Returns a listening descriptor, or an error.  After a failure there is no
 * descriptor left, so that the kind needs no function to close one. */
static int open_socket(const struct sys_address *address,
                       const aloop_tcp_listen_options *options)
{
    enum sys_family family = aloop__sys_address_family(address);
    int fd = aloop__sys_tcp_socket(family);
    int error;

    if (fd < 0)
        return fd;
    error = set_listen_options(fd, family, options);
    if (error == 0)
        error = aloop__sys_bind(fd, address);
    if (error == 0)
        error = aloop__sys_listen(fd, options->backlog > 0 ? options->backlog
                                                           : BACKLOG);
    if (error == 0)
        return fd;
    aloop__sys_close(fd);
    return error;
}

/* Does the same at a numeric address, or at all addresses if `host` is NULL.
 * What is a name, and would have to be looked up, is ALOOP_ENOTNUMERIC. */
static int open_at(const char *host, const struct place *place)
{
    struct sys_address address;
    int error = aloop__address_of_host(host, place->port, &address);

    return error < 0 ? error : open_socket(&address, &place->options);
}

/* Clients of "localhost" try both families, clients of "127.0.0.1" only IPv4.
 * Therefore IPv4 is used, if the system has it and it is allowed.  Other errors
 * than a missing family are final: a port that is in use with IPv4 would be
 * another server's, and clients of "localhost" would reach either. */
static int open_at_localhost(const struct place *place)
{
    int fd = ALOOP_EAFNOSUPPORT;

    if (!place->options.ipv6_only)
        fd = open_at("127.0.0.1", place);
    if (fd == ALOOP_EAFNOSUPPORT || fd == ALOOP_EADDRNOTAVAIL)
        fd = open_at("::1", place);
    return fd;
}

/* kind->open.  An address needs no parsing.  A close of a listener with
 * `reuse_port` accepts the connections in its backlog first, because the system
 * has chosen this socket for them and gives them to no other one. */
static int tcp_open(aloop_listener *listener, const void *arg)
{
    const struct place *place = arg;

    listener->is_drained = place->options.reuse_port;
    if (place->address != NULL)
        return open_socket(place->address, &place->options);
    if (place->host != NULL && aloop__address_is_localhost(place->host))
        return open_at_localhost(place);
    return open_at(place->host, place);
}

/* There is no `close`: unlike a Unix socket, TCP leaves nothing behind. */
static const struct aloop__listener_kind tcp_kind = {
    .open = tcp_open,
    .carrier = &aloop__carrier_socket,
};

int aloop_tcp_listen(aloop *loop, const char *host, const char *port,
                     aloop_listener_cb on_stream, void *arg,
                     aloop_listener **ret_listener)
{
    int error = aloop__check_loop(loop, __func__);

    if (error < 0)
        return error;
    if (port == NULL || ret_listener == NULL)
        return ALOOP_EINVAL;
    return aloop__listener_start(loop, &tcp_kind,
                                 &(struct place){.host = host, .port = port},
                                 on_stream, arg, ret_listener);
}

/* In the order of the struct; see base/options.h. */
static const struct options_field tcp_option_fields[] = {
    OPTIONS_FIELD(aloop_tcp_listen_options, size),
    OPTIONS_FIELD(aloop_tcp_listen_options, backlog),
    OPTIONS_FIELD(aloop_tcp_listen_options, reuse_port),
    OPTIONS_FIELD(aloop_tcp_listen_options, ipv6_only),
};
OPTIONS_LAST(aloop_tcp_listen_options, ipv6_only);

static const struct options_kind tcp_option_kind = {
    sizeof(aloop_tcp_listen_options),
    tcp_option_fields,
    sizeof tcp_option_fields / sizeof tcp_option_fields[0],
};

/* NULL options, or those of an older program, leave zeros, which select the
 * defaults in open_socket(). */
int aloop_tcp_listen_with(aloop *loop, const char *host, const char *port,
                          aloop_listener_cb on_stream, void *arg,
                          const aloop_tcp_listen_options *options,
                          aloop_listener **ret_listener)
{
    int error = aloop__check_loop(loop, __func__);
    struct place place = {.host = host, .port = port};

    if (error < 0)
        return error;
    if (port == NULL || ret_listener == NULL ||
        !aloop__options_take(&tcp_option_kind, options, &place.options) ||
        place.options.backlog < 0)
        return ALOOP_EINVAL;
    return aloop__listener_start(loop, &tcp_kind, &place, on_stream, arg,
                                 ret_listener);
}

/* The family is checked before the import, which needs a valid address. */
int aloop_tcp_listen_address(aloop *loop, const aloop_address *address,
                             aloop_listener_cb on_stream, void *arg,
                             aloop_listener **ret_listener)
{
    int error = aloop__check_loop(loop, __func__);
    struct sys_address imported;

    if (error < 0)
        return error;
    if (aloop_address_family(address) == ALOOP_FAMILY_NONE ||
        ret_listener == NULL)
        return ALOOP_EINVAL;
    aloop__sys_address_import(address, &imported);
    return aloop__listener_start(loop, &tcp_kind,
                                 &(struct place){.address = &imported},
                                 on_stream, arg, ret_listener);
}
