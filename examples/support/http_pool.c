/* The connections of an HTTP session.
 *
 * Each origin has a semaphore with a permit for each connection.  A request
 * holds a permit from before it has a connection until it gives that back, so
 * that requests wait in their order, and a cancelled one loses no permit.  Idle
 * connections have no permit: one with a permit takes an idle connection before
 * it opens another, and so there are never more than permits.
 *
 * An idle connection is watched.  If the server closes it, or sends anything,
 * it is closed.  The same holds for one that a request is about to take. */

#define _POSIX_C_SOURCE 200809L

#include "http_pool.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct http_origin {
    http_session *session;
    struct http_origin *next;
    struct http_connection *idle; /* The latest first. */
    aloop_semaphore *permits;
    size_t users; /* Requests that wait for a permit or have one. */
    bool is_secure;
    char port[sizeof((struct url *) NULL)->port];
    char host[]; /* As in the URL. */
};

http_session *http_session_new(aloop *loop,
                               const struct http_session_options *options)
{
    http_session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return NULL;
    if (options != NULL)
        session->options = *options;
    session->loop = loop;
    if (session->options.connections_max == 0)
        session->options.connections_max = 6;
    if (session->options.head_max == 0)
        session->options.head_max = (size_t) 64 * 1024;
    if (session->options.idle_ns == 0)
        session->options.idle_ns = ALOOP_SEC(15);
    if (session->options.idle_max == 0)
        session->options.idle_max = session->options.connections_max > 100
                                        ? session->options.connections_max
                                        : 100;
    if (session->options.agent == NULL)
        session->options.agent = "libaloop";
    return session;
}

/* Frees an origin that nothing uses. */
static void free_if_unused(struct http_origin *origin)
{
    struct http_origin **link = &origin->session->origins;

    if (origin->users > 0 || origin->idle != NULL)
        return;
    while (*link != origin)
        link = &(*link)->next;
    *link = origin->next;
    aloop_semaphore_free(origin->permits);
    free(origin);
}

static void free_connection(struct http_connection *connection, bool is_broken)
{
    http_input_close(&connection->input);
    if (is_broken)
        aloop_stream_abort(connection->stream);
    else
        aloop_stream_close(connection->stream);
    http_head_free(&connection->head);
    free(connection);
}

/* Removes an idle connection from the list in which *link is. */
static struct http_connection *unlink_idle(struct http_connection **link)
{
    struct http_connection *connection = *link;

    *link = connection->next;
    connection->origin->session->idle_count--;
    return connection;
}

/* Closes the idle connections of an origin that are so since `until_ns` or
 * longer.  The oldest ones are at the end of the list. */
static void close_idle(struct http_origin *origin, int64_t until_ns)
{
    struct http_connection **link = &origin->idle;

    while (*link != NULL && (*link)->idle_since_ns > until_ns)
        link = &(*link)->next;
    while (*link != NULL)
        free_connection(unlink_idle(link), false);
}

static void close_all_idle(http_session *session, int64_t until_ns)
{
    struct http_origin *next;

    for (struct http_origin *origin = session->origins; origin != NULL;
         origin = next) {
        next = origin->next;
        close_idle(origin, until_ns);
        free_if_unused(origin);
    }
}

void http_pool_leave(http_session *session)
{
    if (session->is_closed && session->users == 0)
        free(session);
}

void http_session_free(http_session *session)
{
    if (session == NULL)
        return;
    session->is_closed = true;
    aloop_timer_close(session->sweep);
    session->sweep = NULL;
    close_all_idle(session, INT64_MAX);
    http_pool_leave(session);
}

/* Closes the connection that is idle for longest, of any origin.  Without a
 * limit a program that visits many origins would have no descriptors left. */
static void close_oldest(http_session *session)
{
    struct http_connection **oldest = NULL;
    struct http_origin *owner;

    for (struct http_origin *origin = session->origins; origin != NULL;
         origin = origin->next) {
        struct http_connection **link = &origin->idle;

        while (*link != NULL && (*link)->next != NULL)
            link = &(*link)->next;
        if (*link != NULL && (oldest == NULL || (*link)->idle_since_ns <
                                                    (*oldest)->idle_since_ns))
            oldest = link;
    }
    if (oldest == NULL)
        return;
    owner = (*oldest)->origin;
    free_connection(unlink_idle(oldest), false);
    free_if_unused(owner);
}

/* The sweep runs once for each idle time, so that a connection is kept for at
 * most twice as long. */
static void on_sweep(aloop_timer *timer, void *arg)
{
    http_session *session = arg;

    close_all_idle(session,
                   aloop_now(session->loop) - session->options.idle_ns);
    if (session->idle_count == 0 ||
        aloop_timer_restart(timer, session->options.idle_ns) < 0) {
        aloop_timer_close(timer);
        session->sweep = NULL;
        close_all_idle(session, INT64_MAX);
    }
}

/* Data or the end of a connection on which nothing is expected.  `arg` is the
 * connection. */
static void on_unexpected(aloop_stream *stream, const void *data, ssize_t size,
                          void *arg)
{
    struct http_connection *connection = arg;
    struct http_origin *origin = connection->origin;
    struct http_connection **link = &origin->idle;

    (void) stream;
    (void) data;
    (void) size;
    while (*link != connection)
        link = &(*link)->next;
    free_connection(unlink_idle(link), false);
    free_if_unused(origin);
}

/* Returns whether the connection is kept: it is idle now. */
static bool keep(struct http_connection *connection)
{
    struct http_origin *origin = connection->origin;
    http_session *session = origin->session;

    if (session->sweep == NULL) {
        if (aloop_timer_start(session->loop, session->options.idle_ns, 0,
                              on_sweep, session, &session->sweep) < 0)
            return false;
        aloop_timer_unref(session->sweep);
    }
    if (aloop_stream_start(connection->stream, on_unexpected, connection) < 0)
        return false;
    aloop_stream_unref(connection->stream);
    if (session->idle_count >= session->options.idle_max)
        close_oldest(session);
    session->idle_count++;
    connection->idle_since_ns = aloop_now(session->loop);
    connection->was_kept = true;
    connection->next = origin->idle;
    origin->idle = connection;
    return true;
}

/* Takes an idle connection on which nothing has arrived.  Data that the server
 * has sent since it became idle would be read as the reply of the next request.
 * The loop has to look for them first, because the connection may have become
 * idle in this same turn.
 *
 * Returns 1, 0 if there is none, or an error.  The read that is pending then
 * gets the reply. */
static ssize_t take_idle(struct http_origin *origin,
                         struct http_connection **ret)
{
    struct http_connection *connection;
    ssize_t status = 0;

    while (status == 0 && origin->idle != NULL) {
        aloop_future *reading;

        connection = unlink_idle(&origin->idle);
        aloop_stream_stop(connection->stream);
        aloop_stream_ref(connection->stream);
        reading = http_input_watch(&connection->input);
        status = aloop_yield(origin->session->loop);
        if (status == 0 && aloop_future_status(reading) == ALOOP_PENDING) {
            *ret = connection;
            return 1;
        }
        free_connection(connection, true);
    }
    return status;
}

/* The buffer of the input is not cleared. */
static struct http_connection *new_connection(struct http_origin *origin,
                                              aloop_stream *stream)
{
    struct http_connection *connection = malloc(sizeof *connection);

    if (connection == NULL)
        return NULL;
    memset(connection, 0, offsetof(struct http_connection, input.data));
    connection->origin = origin;
    connection->stream = stream;
    connection->input.stream = stream;
    return connection;
}

const char *http_pool_words(const http_session *session, const void *tls,
                            ssize_t error)
{
    return tls == NULL || session->options.secure_error == NULL
               ? NULL
               : session->options.secure_error(tls, error);
}

static ssize_t open_connection(struct http_origin *origin,
                               struct http_reply *reply)
{
    http_session *session = origin->session;
    aloop_stream *stream;
    void *tls = NULL;
    ssize_t status;

    reply->step = HTTP_STEP_CONNECT;
    status = aloop_await(
        aloop_tcp_connect(session->loop, origin->host, origin->port, &stream));
    if (status < 0)
        return status;
    if (session->is_closed) { /* The memory of `secure_arg` may be freed. */
        status = HTTP_ECLOSED;
    } else if (origin->is_secure) {
        reply->step = HTTP_STEP_SECURE;
        status = aloop_await(
            session->options.secure(stream, origin->host, origin->port,
                                    session->options.secure_arg, &tls));
    }
    if (status >= 0)
        reply->connection = new_connection(origin, stream);
    else
        reply->words = http_pool_words(session, tls, status);
    if (reply->connection == NULL) {
        aloop_stream_abort(stream);
        return status < 0 ? status : ALOOP_ENOMEM;
    }
    reply->connection->tls = tls;
    return 0;
}

/* Returns the origin of `url`, which is made if there is none, or NULL if out
 * of memory. */
static struct http_origin *get_origin(http_session *session,
                                      const struct url *url)
{
    struct http_origin *origin = session->origins;
    size_t size = strlen(url->host) + 1;

    while (origin != NULL && (origin->is_secure != url->is_secure ||
                              strcmp(origin->port, url->port) != 0 ||
                              strcasecmp(origin->host, url->host) != 0))
        origin = origin->next;
    if (origin != NULL)
        return origin;
    origin = calloc(1, sizeof *origin + size);
    if (origin == NULL)
        return NULL;
    origin->permits =
        aloop_semaphore_new(session->loop, session->options.connections_max);
    if (origin->permits == NULL) {
        free(origin);
        return NULL;
    }
    memcpy(origin->host, url->host, size);
    memcpy(origin->port, url->port, sizeof origin->port);
    origin->is_secure = url->is_secure;
    origin->session = session;
    origin->next = session->origins;
    session->origins = origin;
    return origin;
}

ssize_t http_pool_get(struct http_reply *reply, bool is_new)
{
    struct http_origin *origin = get_origin(reply->session, &reply->url);
    ssize_t status;

    reply->step = HTTP_STEP_WAIT;
    if (origin == NULL)
        return ALOOP_ENOMEM;
    origin->users++;
    status = aloop_semaphore_try_acquire(origin->permits, 1);
    if (status == ALOOP_EAGAIN)
        status = aloop_await(aloop_semaphore_acquire(origin->permits, 1));
    if (status >= 0) {
        if (is_new)
            close_idle(origin, INT64_MAX);
        status = take_idle(origin, &reply->connection);
        if (status == 0)
            status = reply->session->is_closed ? HTTP_ECLOSED
                                               : open_connection(origin, reply);
        if (status >= 0)
            return 0;
        aloop_semaphore_release(origin->permits, 1);
    }
    origin->users--;
    free_if_unused(origin);
    return status;
}

void http_pool_put(struct http_connection *connection, bool is_whole)
{
    struct http_origin *origin = connection->origin;
    const struct http_input *input = &connection->input;
    bool is_reusable = is_whole && connection->head.is_kept &&
                       input->start == input->end && input->reading == NULL &&
                       !origin->session->is_closed;

    if (!is_reusable || !keep(connection))
        free_connection(connection, !is_whole);
    origin->users--;
    aloop_semaphore_release(origin->permits, 1);
    free_if_unused(origin);
}
