/* Servers, made of a listener and a group of tasks.
 *
 *     the listener --server_accepted()--> a member of the group for each stream
 *         is paused while there are connections_max members
 *     a member ends --connection_ended()--> the listener continues
 *     aloop_server_stop(): closes the listener, waits for the group
 *         server_due(): the time is over, and the group is cancelled
 *         stop_ended(): the last member has ended, and the server is freed
 *
 * A stop needs memory for its future and a place in the heap of timers.  Both
 * are reserved when the server begins, so that a server can always be ended. */

#include "aloop/server.h"

#include "aloop/group.h"
#include "aloop/stream.h"
#include "base/options.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/report.h"
#include "loop/timed.h"
#include "stream/listener.h"
#include "task/group.h"

struct aloop_server {
    aloop *loop;
    aloop_listener *listener; /* NULL while the server is being stopped. */
    aloop_group *group;
    aloop_server_fn fn;
    void *arg;
    size_t connections_max; /* SIZE_MAX: no limit. */
    size_t stack_size;
    /* Of struct connection: streams that were accepted when the listener was
     * closed, and are more than connections_max. */
    struct aloop__node waiting;
    struct aloop__timed grace; /* Due when the time of a stop is over. */
    struct server_stop *stop;  /* Reserved memory, or the pending future. */
    size_t cut;                /* Connections that a stop has cancelled. */
    bool is_stopping;
    bool has_reported; /* The present lack of memory was reported. */
};

/* The argument of a member, or an item of `waiting`. */
struct connection {
    struct aloop__node node;
    aloop_server *server;
    aloop_stream *stream; /* NULL when its function has it. */
};

/* The future of aloop_server_stop(). */
struct server_stop {
    aloop_future future;
    struct aloop__awaiter members; /* Awaits the group. */
    struct aloop__tie tie;
    aloop_server *server;
};

/* The function of a member.  The stream belongs to the function of the
 * application from here on, so that free_connection() does not abort it. */
static ssize_t serve_connection(aloop *loop, void *arg)
{
    struct connection *connection = arg;
    aloop_stream *stream = connection->stream;

    connection->stream = NULL;
    return connection->server->fn(loop, stream, connection->server->arg);
}

/* Frees a connection.  A stream that has not been served is reset. */
static void free_connection(struct connection *connection)
{
    aloop *loop = connection->server->loop;

    aloop_stream_abort(connection->stream);
    aloop__slab_put(&loop->slab, connection, sizeof *connection);
}

/* Reports a lack of memory, once until a connection is served. */
static void report_refusal(aloop_server *server, int error)
{
    if (!server->has_reported && error != ALOOP_ECANCELED)
        aloop__unhandled(server->loop, error, "connection of a server");
    server->has_reported = true;
}

/* Makes a member of the group.  If there is no memory, the peer sees a reset
 * and the server continues: other connections may end and free theirs. */
static void begin_connection(struct connection *connection)
{
    aloop_server *server = connection->server;
    aloop_task_options options = {.size = sizeof options,
                                  .stack_size = server->stack_size};
    int error = aloop_group_spawn_at(server->group, serve_connection,
                                     connection, &options, "connection",
                                     "of a server");

    if (error < 0) {
        report_refusal(server, error);
        free_connection(connection);
    }
}

/* The group counts members until they have ended, and not until they are
 * cancelled, so that a cancel makes no room. */
static bool server_is_full(const aloop_server *server)
{
    return aloop_group_count(server->group) >= server->connections_max;
}

/* on_stream of the listener.  It is called for a full server only while the
 * listener is being closed: the system has given these connections to this
 * socket alone, and they wait for a member to end.  A full server does not
 * accept.  Its peers wait in the backlog, which costs the process nothing. */
static void server_accepted(aloop_listener *listener, aloop_stream *stream,
                            void *arg)
{
    aloop_server *server = arg;
    struct connection *connection =
        aloop__slab_get(&server->loop->slab, sizeof *connection);

    if (connection == NULL) {
        report_refusal(server, ALOOP_ENOMEM);
        aloop_stream_abort(stream);
        return;
    }
    list_init(&connection->node);
    connection->server = server;
    connection->stream = stream;
    if (server_is_full(server)) {
        list_push(&server->waiting, &connection->node);
        return;
    }
    begin_connection(connection);
    if (server_is_full(server) && !server->is_stopping)
        aloop__listener_pause(listener, true);
}

/* The owner of the group is notified of each member that has ended.  A task
 * without memory for its stack has not run, and still has its stream.
 *
 * Only a server that is being stopped has connections that wait, and it has no
 * listener any more. */
static void connection_ended(void *owner, void *arg, ssize_t status)
{
    aloop_server *server = owner;
    struct connection *connection = arg;
    struct aloop__node *node;

    if (connection->stream != NULL)
        report_refusal(server, (int) status);
    else if (status < 0 && status != ALOOP_ECANCELED)
        aloop__unhandled(server->loop, (int) status, "connection of a server");
    if (connection->stream == NULL)
        server->has_reported = false;
    free_connection(connection);
    while (!server_is_full(server) &&
           (node = list_pop(&server->waiting)) != NULL)
        begin_connection(CONTAINER_OF(node, struct connection, node));
    if (server->listener != NULL)
        aloop__listener_pause(server->listener, false);
}

/* Frees what a server has.  It has no members.  The listener has ended before,
 * or was never the server's. */
static void free_server(aloop_server *server)
{
    aloop *loop = server->loop;

    aloop__timed_clear(loop, &server->grace);
    aloop_group_free(server->group);
    aloop__slab_put(&loop->slab, server->stop, sizeof *server->stop);
    aloop__slab_put(&loop->slab, server, sizeof *server);
}

/* Ends the time of the connections.  The stop reports how many there were,
 * unless it is cancelled itself, which makes a second call of this. */
static void cancel_connections(aloop_server *server)
{
    server->cut = aloop_group_count(server->group);
    aloop_group_cancel(server->group);
}

/* timed->fire: the grace of a stop is over. */
static void server_due(struct aloop__timed *timed)
{
    cancel_connections(CONTAINER_OF(timed, aloop_server, grace));
}

/* ops->cancel: the future settles when the connections have ended. */
static void stop_cancel(aloop_future *future)
{
    cancel_connections(
        CONTAINER_OF(future, struct server_stop, future)->server);
}

static const struct aloop__future_ops stop_ops = {
    .name = "stop of a server",
    .size = sizeof(struct server_stop),
    .tie = offsetof(struct server_stop, tie),
    .awaiter = offsetof(struct server_stop, members),
    .cancel = stop_cancel,
    .is_live = true,
};

/* Settles the future of a stop, which has its memory now.  The server is freed
 * first, so that code that awaits the stop finds nothing left of it. */
static void finish_stop(struct server_stop *stop)
{
    aloop_server *server = stop->server;
    ssize_t status = stop->future.is_cancelling ? ALOOP_ECANCELED
                                                : (ssize_t) server->cut;

    server->stop = NULL;
    free_server(server);
    aloop__future_settle(&stop->future, status);
}

/* ready->run of the awaiter: the group has no members any more. */
static void stop_ended(struct aloop__ready *ready)
{
    struct server_stop *stop =
        CONTAINER_OF(ready, struct server_stop, members.ready);
    aloop_future *wait = stop->members.future;

    stop->members.future = NULL;
    aloop__future_include(wait);
    aloop__future_unref_checked(wait);
    finish_stop(stop);
}

static const struct options_field server_option_fields[] = {
    OPTIONS_FIELD(aloop_server_options, size),
    OPTIONS_FIELD(aloop_server_options, connections_max),
    OPTIONS_FIELD(aloop_server_options, stack_size),
    OPTIONS_FIELD(aloop_server_options, listen),
};
OPTIONS_LAST(aloop_server_options, listen);

static const struct options_kind server_option_kind = {
    sizeof(aloop_server_options),
    server_option_fields,
    sizeof server_option_fields / sizeof server_option_fields[0],
};

/* Returns a server with all that it will need, or NULL if out of memory. */
static aloop_server *new_server(aloop *loop, aloop_server_fn fn, void *arg,
                                const aloop_server_options *options)
{
    aloop_server *server = aloop__slab_get(&loop->slab, sizeof *server);

    if (server == NULL)
        return NULL;
    *server = (aloop_server){
        .loop = loop,
        .group = aloop_group_new(loop),
        .fn = fn,
        .arg = arg,
        .connections_max =
            options->connections_max > 0 ? options->connections_max : SIZE_MAX,
        .stack_size = options->stack_size,
        .stop = aloop__slab_take(&loop->slab, sizeof(struct server_stop)),
    };
    list_init(&server->waiting);
    aloop__timed_init(&server->grace, server_due);
    if (server->group != NULL && server->stop != NULL &&
        aloop__timed_set(loop, &server->grace, INT64_MAX) == 0) {
        aloop__group_own(server->group, connection_ended, server);
        return server;
    }
    free_server(server);
    return NULL;
}

/* Makes a server of a listener.  The arguments were checked.  After an error
 * the listener is unchanged and still the caller's. */
static int serve_listener(aloop_listener *listener, aloop_server_fn fn,
                          void *arg, const aloop_server_options *options,
                          aloop_server **ret_server)
{
    aloop_server *server = new_server(listener->handle.loop, fn, arg, options);
    int error;

    if (server == NULL)
        return ALOOP_ENOMEM;
    error = aloop__listener_deliver_to(listener, server_accepted, server);
    if (error < 0) {
        free_server(server);
        return error;
    }
    server->listener = listener;
    *ret_server = server;
    return 0;
}

int aloop_listener_serve(aloop_listener *listener, aloop_server_fn fn,
                         void *arg, const aloop_server_options *options,
                         aloop_server **ret_server)
{
    int error = aloop__check_handle(listener, __func__);
    aloop_server_options taken;

    if (error < 0)
        return error;
    if (fn == NULL || ret_server == NULL ||
        !aloop__options_take(&server_option_kind, options, &taken) ||
        taken.listen != NULL)
        return ALOOP_EINVAL;
    return serve_listener(listener, fn, arg, &taken, ret_server);
}

int aloop_tcp_serve(aloop *loop, const char *host, const char *port,
                    aloop_server_fn fn, void *arg,
                    const aloop_server_options *options,
                    aloop_server **ret_server)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_server_options taken;
    aloop_listener *listener;

    if (error < 0)
        return error;
    if (fn == NULL || ret_server == NULL ||
        !aloop__options_take(&server_option_kind, options, &taken))
        return ALOOP_EINVAL;
    error = aloop_tcp_listen_with(loop, host, port, NULL, NULL, taken.listen,
                                  &listener);
    if (error == 0)
        error = serve_listener(listener, fn, arg, &taken, ret_server);
    else
        listener = NULL;
    if (error < 0)
        aloop_listener_close(listener);
    return error;
}

aloop_listener *aloop_server_listener(aloop_server *server)
{
    return server != NULL ? server->listener : NULL;
}

size_t aloop_server_count(const aloop_server *server)
{
    return server != NULL ? aloop_group_count(server->group) : 0;
}

/* A paused listener would leave connections that the system resets. */
static void close_listener(aloop_server *server)
{
    aloop_listener *listener = server->listener;

    server->is_stopping = true;
    aloop__listener_pause(listener, false);
    server->listener = NULL;
    aloop__listener_end(listener);
}

/* The timer has its place in the heap, and a wait for members needs no memory.
 * Without members there may be none for a wait. */
aloop_future *aloop_server_stop(aloop_server *server, int64_t grace_ns)
{
    struct server_stop *stop;
    aloop_future *wait;
    int error;

    if (server == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    error = aloop__check_loop(server->loop, __func__);
    if (error < 0)
        return aloop__future_refused(error);
    if (grace_ns < 0 || server->is_stopping)
        return aloop__future_failed(server->loop,
                                    grace_ns < 0 ? ALOOP_EINVAL : ALOOP_EBUSY);
    close_listener(server);
    stop = aloop__future_new_in(server->loop, &stop_ops, server->stop);
    stop->server = server;
    aloop__awaiter_init(&stop->members, stop_ended, &stop->future);
    wait = aloop_group_wait(server->group);
    if (wait == NULL) {
        finish_stop(stop);
        return &stop->future;
    }
    aloop__awaiter_add(&stop->members, wait);
    aloop__timed_set(server->loop, &server->grace,
                     aloop__after(aloop__now(server->loop), grace_ns));
    return &stop->future;
}
