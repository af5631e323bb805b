/* The requests of a connection of HTTP/2: their way from the caller to a
 * stream, and to their end.
 *
 * Those that wait are in a ring of their own, and not in the session, so that a
 * cancel finds them immediately. */

#include "http2_request.h"

#include <stdlib.h>
#include <string.h>

#include "http2_submit.h"

int http2_new_connection(const http2_options *options, http2 **ret)
{
    const char *authority = options != NULL ? options->authority : NULL;
    size_t size = authority != NULL ? strlen(authority) : 0;

    if (size == 0 ||
        !nghttp2_check_authority((const uint8_t *) authority, size))
        return ALOOP_EINVAL;
    *ret = calloc(1, sizeof **ret + size + 1);
    if (*ret == NULL)
        return ALOOP_ENOMEM;
    memcpy((*ret)->authority, authority, size);
    return 0;
}

static void ring_add(struct http2_answer **ring, struct http2_answer *answer)
{
    if (*ring == NULL)
        *ring = answer->next = answer->previous = answer;
    answer->next = *ring;
    answer->previous = (*ring)->previous;
    answer->next->previous = answer->previous->next = answer;
}

static void ring_remove(struct http2_answer **ring, struct http2_answer *answer)
{
    answer->next->previous = answer->previous;
    answer->previous->next = answer->next;
    if (*ring == answer)
        *ring = answer->next == answer ? NULL : answer->next;
}

void http2_settle(struct http2_answer *answer, ssize_t status, int64_t code)
{
    http2 *connection = answer->connection;
    nghttp2_session *session = connection->session;
    int32_t id = answer->stream_id;

    ring_remove(id > 0 ? &connection->active : &connection->waiting, answer);
    aloop_operation_settle(answer->operation, status);
    if (id == 0)
        return;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (code >= 0 && nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id,
                                               (uint32_t) code) < 0)
        http2_end(connection, ALOOP_ENOMEM);
}

void http2_end(http2 *connection, int error)
{
    if (connection->error != 0)
        return;
    connection->error = error;
    if (connection->is_ending && connection->end_code != NGHTTP2_NO_ERROR &&
        error == ALOOP_EOF)
        connection->error = error = HTTP2_ERESET;
    (void) aloop_stream_stop(connection->stream);
    while (connection->active != NULL) {
        connection->active->reset_code = connection->end_code;
        http2_settle(connection->active, error, -1);
    }
    while (connection->waiting != NULL)
        http2_settle(connection->waiting,
                     error == HTTP2_ECLOSED ? error : HTTP2_EREFUSED, -1);
}

bool http2_open_stream(http2 *connection)
{
    struct http2_answer *answer = connection->waiting;
    size_t limit = nghttp2_session_get_remote_settings(
        connection->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    int32_t id;

    if (limit > connection->streams_max)
        limit = connection->streams_max;
    if (answer == NULL || connection->streams >= limit)
        return false;
    id = http2_submit(answer);
    if (id < 0) {
        http2_settle(answer, id, -1);
        return true;
    }
    ring_remove(&connection->waiting, answer);
    ring_add(&connection->active, answer);
    answer->stream_id = id;
    connection->streams++;
    return true;
}

static void request_cancel(aloop_future *operation, void *arg)
{
    struct http2_answer *answer = arg;
    http2 *connection = answer->connection;

    (void) operation;
    http2_settle(answer, ALOOP_ECANCELED, NGHTTP2_CANCEL);
    http2_run(connection);
}

aloop_future *http2_request(http2 *connection,
                            const struct http2_request *request,
                            struct http2_answer *answer)
{
    aloop_future *operation;

    if (answer != NULL)
        *answer =
            (struct http2_answer){.connection = connection, .request = request};
    if (connection == NULL)
        return NULL;
    if (request == NULL || answer == NULL || !http2_is_valid(request))
        return aloop_future_new_settled(connection->loop, ALOOP_EINVAL);
    if (http2_status(connection) < 0)
        return aloop_future_new_settled(connection->loop, HTTP2_EREFUSED);
    operation = aloop_operation_new(connection->loop, request_cancel, answer);
    if (operation == NULL)
        return NULL;
    answer->operation = operation;
    ring_add(&connection->waiting, answer);
    http2_run(connection);
    return operation;
}

void http2_consume(struct http2_answer *answer, size_t size)
{
    http2 *connection = answer->connection;

    if (nghttp2_session_consume_stream(connection->session, answer->stream_id,
                                       size) < 0)
        http2_end(connection, ALOOP_ENOMEM);
    http2_run(connection);
}
