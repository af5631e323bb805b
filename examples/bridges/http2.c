/* A client of HTTP/2: a connection.
 *
 *     stream --> connection_data --> nghttp2_session_mem_recv --> streams
 *     stream <-- http2_run <-- nghttp2_session_mem_send <-- streams
 *
 * The session must not be entered again from its own callbacks, which call the
 * application.  Then `is_inside` is set, and the outermost function of this
 * file continues with what they have caused. */

#include "http2.h"

#include <stdlib.h>

#include "http2_request.h"
#include "http2_session.h"

static void connection_drained(aloop_future *drain, ssize_t status, void *arg);

/* Sends what the session has, until 64 KiB are queued.  Returns an error. */
static int send_frames(http2 *connection)
{
    const uint8_t *data;
    ssize_t status = 0;

    while (connection->drain == NULL) {
        bool is_opened = connection->error == 0 &&
                         http2_open_stream(connection);
        ssize_t size = nghttp2_session_mem_send(connection->session, &data);

        if (size == 0 && !is_opened)
            return 0;
        if (size < 0)
            return size == NGHTTP2_ERR_NOMEM ? ALOOP_ENOMEM : ALOOP_EPROTO;
        if (size > 0)
            status = aloop_stream_put(connection->stream, data, (size_t) size);
        if (status < 0)
            return (int) status;
        if (status == 0)
            continue;
        connection->drain = aloop_stream_drain(connection->stream);
        if (connection->drain == NULL ||
            aloop_then(aloop_future_ref(connection->drain), connection_drained,
                       connection) < 0)
            return ALOOP_ENOMEM;
    }
    return 0;
}

static void destroy(http2 *connection)
{
    nghttp2_session *session = connection->session;

    if (connection->error == HTTP2_ECLOSED && connection->drain == NULL &&
        nghttp2_session_terminate_session(session, NGHTTP2_NO_ERROR) == 0)
        (void) send_frames(connection);
    if (connection->drain != NULL) {
        (void) aloop_unthen(connection->drain, connection_drained, connection);
        (void) aloop_future_status(connection->drain); /* It may have failed. */
        aloop_future_unref(connection->drain);
        aloop_stream_abort(connection->stream);
    } else {
        aloop_stream_close(connection->stream);
    }
    nghttp2_session_del(session);
    free(connection);
}

void http2_run(http2 *connection)
{
    nghttp2_session *session = connection->session;
    int error;

    if (connection->is_inside)
        return;
    connection->is_inside = true;
    error = connection->error == 0 ? send_frames(connection) : 0;
    connection->is_inside = false;
    if (error < 0)
        http2_end(connection, error);
    else if (!nghttp2_session_want_read(session) &&
             !nghttp2_session_want_write(session))
        http2_end(connection,
                  connection->active != NULL ? ALOOP_EPROTO : HTTP2_EREFUSED);
    if (connection->is_freed)
        destroy(connection);
}

static void connection_drained(aloop_future *drain, ssize_t status, void *arg)
{
    http2 *connection = arg;

    connection->drain = NULL;
    aloop_future_unref(drain);
    if (status < 0)
        http2_end(connection, (int) status);
    http2_run(connection);
}

/* Reading never pauses.  What the server causes by that is bounded by nghttp2,
 * which fails if more than 1,000 answers to PING and SETTINGS wait. */
static void connection_data(aloop_stream *stream, const void *data,
                            ssize_t size, void *arg)
{
    http2 *connection = arg;
    nghttp2_session *session = connection->session;
    ssize_t used = 0;

    (void) stream;
    if (size <= 0) {
        http2_end(connection, size == 0 ? ALOOP_EOF : (int) size);
        return;
    }
    connection->is_inside = true;
    used = nghttp2_session_mem_recv(session, data, (size_t) size);
    connection->is_inside = false;
    if (used < 0)
        http2_end(connection,
                  used == NGHTTP2_ERR_NOMEM ? ALOOP_ENOMEM : ALOOP_EPROTO);
    http2_run(connection);
}

int http2_start(aloop *loop, aloop_stream *stream, const http2_options *options,
                http2 **ret)
{
    http2 *connection;
    int error = loop == NULL || stream == NULL || ret == NULL ? ALOOP_EINVAL
                                                              : 0;

    if (ret != NULL)
        *ret = NULL;
    if (error == 0)
        error = http2_new_connection(options, &connection);
    if (error < 0) {
        aloop_stream_abort(stream);
        return error;
    }
    connection->loop = loop;
    connection->stream = stream;
    connection->is_secure = options->is_secure;
    connection->streams_max = options->streams_max > 0 ? options->streams_max
                                                       : HTTP2_STREAMS_MAX;
    error = http2_new_session(connection);
    if (error == 0) /* Its limit would count the output of requests, too. */
        error = aloop_stream_set_auto_pause(stream, false);
    if (error == 0)
        error = aloop_stream_start(stream, connection_data, connection);
    if (error == 0)
        error = send_frames(connection);
    if (error < 0) {
        connection->error = error;
        destroy(connection);
        return error;
    }
    aloop_stream_unref(stream);
    *ret = connection;
    return 0;
}

int http2_status(const http2 *connection)
{
    if (connection == NULL)
        return ALOOP_EINVAL;
    if (connection->error == 0 && connection->is_ending)
        return HTTP2_EREFUSED;
    return connection->error;
}

void http2_close(http2 *connection)
{
    if (connection == NULL)
        return;
    http2_end(connection, HTTP2_ECLOSED);
    if (connection->is_inside)
        connection->is_freed = true;
    else
        destroy(connection);
}
