/* The session of nghttp2, and what it reports about the streams.
 *
 * A stream whose request has settled has no answer: that is NULL. */

#include "http2_session.h"

#include "http2_request.h"

/* Data of all streams together are consumed when they arrive; only the limit of
 * each stream bounds what is in memory. */
enum { CONNECTION_WINDOW = 16 << 20 };

/* Pushes are turned off.  nghttp2 would reset each one, without a bound, until
 * the server has acknowledged that. */
static int frame_begun(nghttp2_session *session, const nghttp2_frame_hd *head,
                       void *arg)
{
    (void) session;
    (void) arg;
    return head->type == NGHTTP2_PUSH_PROMISE ? NGHTTP2_ERR_CALLBACK_FAILURE
                                              : 0;
}

static int stream_field(nghttp2_session *session, const nghttp2_frame *frame,
                        const uint8_t *name, size_t name_size,
                        const uint8_t *value, size_t value_size, uint8_t flags,
                        void *arg)
{
    struct http2_answer *answer =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    int error;

    (void) flags;
    (void) arg;
    if (answer == NULL)
        return 0;
    error = http2_answer_add(answer, (const char *) name, name_size,
                             (const char *) value, value_size);
    if (error < 0) {
        answer->reset_code = error == HTTP2_ERESET ? NGHTTP2_PROTOCOL_ERROR
                                                   : NGHTTP2_CANCEL;
        http2_settle(answer, error, answer->reset_code);
    }
    return 0;
}

/* The window of the connection is opened immediately, so that a request that
 * consumes nothing does not hold up the others. */
static int stream_data(nghttp2_session *session, uint8_t flags, int32_t id,
                       const uint8_t *data, size_t size, void *arg)
{
    struct http2_answer *answer =
        nghttp2_session_get_stream_user_data(session, id);
    const struct http2_request *request;
    ssize_t consumed;

    (void) flags;
    if (nghttp2_session_consume_connection(session, size) < 0)
        http2_end(arg, ALOOP_ENOMEM); /* This settles the request. */
    if (nghttp2_session_get_stream_user_data(session, id) == NULL)
        return 0;
    request = answer->request;
    if (request->on_body != NULL)
        consumed = request->on_body(answer, data, size, request->arg);
    else
        consumed = http2_bytes_add(&answer->body, data, size,
                                   request->body_max > 0 ? request->body_max
                                                         : HTTP2_BODY_MAX);
    if (nghttp2_session_get_stream_user_data(session, id) != answer)
        return 0; /* The callback has ended the request. */
    if (consumed < 0)
        http2_settle(answer, consumed, NGHTTP2_CANCEL);
    else if (nghttp2_session_consume_stream(
                 session, id,
                 request->on_body != NULL ? (size_t) consumed : size) < 0)
        http2_end(arg, ALOOP_ENOMEM);
    return 0;
}

/* An answer may be complete before the request was sent. */
static int stream_frame(nghttp2_session *session, const nghttp2_frame *frame,
                        void *arg)
{
    int32_t id = frame->hd.stream_id;
    struct http2_answer *answer =
        nghttp2_session_get_stream_user_data(session, id);
    http2 *connection = arg;

    if (frame->hd.type == NGHTTP2_GOAWAY) {
        connection->is_ending = true;
        connection->end_code = frame->goaway.error_code;
        while (connection->waiting != NULL)
            http2_settle(connection->waiting, HTTP2_EREFUSED, -1);
    }
    if (answer != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
        http2_settle(answer, answer->status,
                     nghttp2_session_get_stream_local_close(session, id) == 0
                         ? NGHTTP2_NO_ERROR
                         : -1);
    return 0;
}

/* A stream that ends with its answer is of no request any more. */
static int stream_close(nghttp2_session *session, int32_t id, uint32_t code,
                        void *arg)
{
    struct http2_answer *answer =
        nghttp2_session_get_stream_user_data(session, id);
    http2 *connection = arg;

    connection->streams--;
    if (answer == NULL)
        return 0;
    answer->reset_code = code;
    http2_settle(answer,
                 code == NGHTTP2_REFUSED_STREAM ? HTTP2_EREFUSED : HTTP2_ERESET,
                 -1);
    return 0;
}

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks,
                                                          frame_begun);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, stream_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              stream_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
                                                         stream_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                           stream_close);
}

int http2_new_session(http2 *connection)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEAD_MAX}};
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int error = nghttp2_session_callbacks_new(&callbacks);

    if (error == 0)
        error = nghttp2_option_new(&option);
    if (error == 0) {
        set_callbacks(callbacks);
        nghttp2_option_set_no_auto_window_update(option, 1);
        error = nghttp2_session_client_new2(&connection->session, callbacks,
                                            connection, option);
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (error == 0)
        error = nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE,
                                        settings,
                                        sizeof settings / sizeof settings[0]);
    if (error == 0)
        error = nghttp2_session_set_local_window_size(
            connection->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
    return error == 0 ? 0 : ALOOP_ENOMEM;
}
