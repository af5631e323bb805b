/* Connecting by TCP: a name is resolved, or an address is parsed, and then the
 * addresses race; see tcp_race.c.  The descriptor of the winner becomes a
 * stream.
 *
 *     connect_to() --> resolver --> connect_resolved() --> race
 *                  `-- a numeric address ----------------> race
 *     race --> connect_ended() --> the future settles
 *
 * At each time the resolver or the race refers to the operation, never both,
 * and neither does after the future has settled. */

#include <stdio.h>
#include <string.h>

#include "aloop/tcp.h"
#include "aloop/tcp_options.h"
#include "base/options.h"
#include "handle/address.h"
#include "handle/resolve.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "stream/stream.h"
#include "stream/tcp_race.h"

enum { PEER_SIZE = 288 }; /* The longest name and a port. */

/* The future of aloop_tcp_connect(). */
struct connect {
    aloop_future future;
    aloop_stream **ret_stream; /* Written only by a success. */
    /* NULL unless the name is being resolved. */
    struct aloop__resolve *resolve;
    struct aloop__race race;
    char *peer; /* "host:port", for reports; NULL if out of memory. */
    size_t peer_room;
};

/* ops->cancel: settles immediately.  A thread may still be in the resolver, but
 * does not use this operation.  A race that has not started is stopped too: its
 * list of attempts is empty. */
static void connect_cancel(aloop_future *future)
{
    struct connect *connect = CONTAINER_OF(future, struct connect, future);

    if (connect->resolve != NULL)
        aloop__resolve_cancel(connect->resolve);
    aloop__race_stop(&connect->race);
    aloop__future_settle(future, ALOOP_ECANCELED);
}

/* ops->fini: reports may describe a future until it is freed, so that the text
 * is freed no earlier. */
static void connect_fini(aloop_future *future)
{
    struct connect *connect = CONTAINER_OF(future, struct connect, future);

    aloop__slab_put(&future->loop->slab, connect->peer, connect->peer_room);
}

/* ops->describe: "connect to HOST:PORT".  The text is valid until the next call
 * on this thread; loops of other threads may do the same simultaneously. */
static const char *connect_describe(const aloop_future *future)
{
    static _Thread_local char text[PEER_SIZE + 16];
    const struct connect *connect =
        CONTAINER_OF(future, struct connect, future);

    snprintf(text, sizeof text, "connect to %s",
             connect->peer != NULL ? connect->peer : "?");
    return text;
}

/* Keeps a text for reports.  A failure is ignored, because nothing else needs
 * the text.  An address with colons gets brackets, so that the port can be
 * distinguished.  A longer text is cut off. */
static void remember_peer(struct connect *connect, const char *host,
                          const char *port)
{
    const char *open = strchr(host, ':') != NULL ? "[" : "";
    size_t room = strlen(host) + strlen(port) + 2 * strlen(open) + 2;

    connect->peer_room = room < PEER_SIZE ? room : PEER_SIZE;
    connect->peer =
        aloop__slab_take(&connect->future.loop->slab, connect->peer_room);
    if (connect->peer != NULL)
        snprintf(connect->peer, connect->peer_room, "%s%s%s:%s", open, host,
                 *open != '\0' ? "]" : "", port);
}

static const struct aloop__future_ops connect_ops = {
    .name = "connect",
    .size = sizeof(struct connect),
    .cancel = connect_cancel,
    .fini = connect_fini,
    .describe = connect_describe,
    .is_live = true,
};

/* race->ended: `result` is a connected descriptor or an error.  If no stream
 * can be made of the descriptor, aloop__stream_new() closes it. */
static void connect_ended(struct aloop__race *race, int result)
{
    struct connect *connect = CONTAINER_OF(race, struct connect, race);
    aloop_stream *stream;
    int error = result;

    if (result >= 0)
        error = aloop__stream_new(race->loop, result, &aloop__carrier_socket,
                                  &stream);
    if (error == 0)
        *connect->ret_stream = stream;
    aloop__future_settle(&connect->future, error);
}

/* Called by the resolver in a later phase or turn, never inside
 * aloop__resolve_start(), so that the application has the future by then.  The
 * pointer is reset first: the race may settle the future, and a cancel must not
 * reach a look-up that has ended. */
static void connect_resolved(void *arg, const struct sys_address *addresses,
                             int count)
{
    struct connect *connect = arg;

    connect->resolve = NULL;
    if (count < 0)
        aloop__future_settle(&connect->future, count);
    else
        aloop__race_start(&connect->race, addresses, (size_t) count);
}

/* Returns NULL if out of memory.  The race is initialised even if there is a
 * look-up before it, because a cancel stops it in either case. */
static struct connect *connect_new(aloop *loop, aloop_stream **ret_stream)
{
    struct connect *connect = aloop__future_new(loop, &connect_ops);

    if (connect == NULL)
        return NULL;
    connect->ret_stream = ret_stream;
    aloop__race_init(&connect->race, loop, connect_ended);
    return connect;
}

/* A numeric address needs no resolver and no thread: its attempt starts in
 * here, and may settle the future before it is returned.  `local` may be NULL.
 *
 * A look-up that cannot start fails the future instead of the call, because the
 * functions of this file report all errors but a lack of memory by a future. */
static aloop_future *connect_to(aloop *loop, const char *host, const char *port,
                                const aloop_address *local,
                                aloop_stream **ret_stream)
{
    struct sys_address address;
    struct connect *connect;
    int error;

    if (host == NULL || port == NULL || ret_stream == NULL)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    connect = connect_new(loop, ret_stream);
    if (connect == NULL)
        return NULL;
    if (local != NULL)
        aloop__sys_address_import(local, &connect->race.local);
    remember_peer(connect, host, port);
    if (aloop__sys_address_parse(host, port, &address) == 0) {
        aloop__race_start(&connect->race, &address, 1);
        return &connect->future;
    }
    error = aloop__resolve_start(loop, host, port, SYS_FAMILY_NONE,
                                 connect_resolved, connect, &connect->resolve);
    if (error < 0)
        aloop__future_settle(&connect->future, error);
    return &connect->future;
}

aloop_future *aloop_tcp_connect(aloop *loop, const char *host, const char *port,
                                aloop_stream **ret_stream)
{
    int error = aloop__check_loop(loop, __func__);

    return error < 0 ? aloop__future_refused(error)
                     : connect_to(loop, host, port, NULL, ret_stream);
}

/* In the order of the struct; see base/options.h. */
static const struct options_field connect_option_fields[] = {
    OPTIONS_FIELD(aloop_tcp_connect_options, size),
    OPTIONS_FIELD(aloop_tcp_connect_options, local),
};
OPTIONS_LAST(aloop_tcp_connect_options, local);

static const struct options_kind connect_option_kind = {
    sizeof(aloop_tcp_connect_options),
    connect_option_fields,
    sizeof connect_option_fields / sizeof connect_option_fields[0],
};

/* A local address of zeros means none.  One whose family is neither zero nor
 * known is an error, because to ignore it would connect from another address
 * than the application wants. */
aloop_future *aloop_tcp_connect_with(aloop *loop, const char *host,
                                     const char *port,
                                     const aloop_tcp_connect_options *options,
                                     aloop_stream **ret_stream)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_tcp_connect_options taken;
    bool is_valid, has_local;

    if (error < 0)
        return aloop__future_refused(error);
    is_valid = aloop__options_take(&connect_option_kind, options, &taken);
    has_local = aloop_address_family(&taken.local) != ALOOP_FAMILY_NONE;
    if (!is_valid || (taken.local.family != 0 && !has_local))
        return aloop__future_failed(loop, ALOOP_EINVAL);
    return connect_to(loop, host, port, has_local ? &taken.local : NULL,
                      ret_stream);
}

/* A race of one address, so that timeouts of the attempt, a connect to itself
 * and a fork are treated as for names. */
aloop_future *aloop_tcp_connect_address(aloop *loop,
                                        const aloop_address *address,
                                        aloop_stream **ret_stream)
{
    int error = aloop__check_loop(loop, __func__);
    struct sys_address imported;
    struct connect *connect;
    char host[96], port[8];

    if (error < 0)
        return aloop__future_refused(error);
    if (aloop_address_family(address) == ALOOP_FAMILY_NONE ||
        ret_stream == NULL)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    connect = connect_new(loop, ret_stream);
    if (connect == NULL)
        return NULL;
    if (aloop_address_format_host(address, host, sizeof host) > 0) {
        snprintf(port, sizeof port, "%d", aloop_address_port(address));
        remember_peer(connect, host, port);
    }
    aloop__sys_address_import(address, &imported);
    aloop__race_start(&connect->race, &imported, 1);
    return &connect->future;
}
