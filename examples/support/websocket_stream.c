/* A WebSocket connection over a stream, for tasks.
 *
 * The timer runs once for each period, not for each read: a read only notes
 * that bytes have arrived. */

#include "websocket_stream.h"

#include <string.h>

enum { MASKED_PART = 4096 };

/* The peer has been silent for too long. */
static void give_up(struct websocket_stream *socket)
{
    socket->is_silent = true;
    if (*socket->reading != NULL)
        aloop_cancel(*socket->reading);
}

/* Puts a frame.  A part of it in the queue would make the rest unreadable, so
 * that nothing can be sent after an error.  Returns as aloop_stream_put(). */
static int put(struct websocket_stream *socket, enum websocket_opcode opcode,
               bool is_last, const void *data, size_t size)
{
    unsigned char head[WEBSOCKET_HEAD_MAX], key[4], part[MASKED_PART];
    bool is_masked = socket->fill_random != NULL;
    int result = is_masked ? socket->fill_random(key, sizeof key) : 0;
    size_t head_size =
        websocket_head(opcode, is_last, size, is_masked ? key : NULL, head);
    size_t step;

    if (socket->is_broken)
        return ALOOP_EPIPE;
    if (result >= 0)
        result = aloop_stream_put(socket->stream, head, head_size);
    if (result >= 0 && size > 0 && !is_masked)
        result = aloop_stream_put(socket->stream, data, size);
    for (size_t i = 0; i < size && result >= 0 && is_masked; i += step) {
        step = size - i < MASKED_PART ? size - i : MASKED_PART;
        memcpy(part, (const char *) data + i, step);
        websocket_mask(part, step, key, 0);
        result = aloop_stream_put(socket->stream, part, step);
    }
    socket->put_size += (int64_t) (head_size + size);
    socket->is_broken = result < 0;
    return result;
}

/* Waits while more than the high-water mark of bytes are queued. */
static int wait_after(struct websocket_stream *socket, int result)
{
    if (result == 1)
        result = (int) aloop_await(aloop_timeout(
            aloop_stream_drain(socket->stream), socket->options.stall_ns));
    return result;
}

/* Returns whether the peer has received bytes since the last call.  If the
 * queue was empty, bytes that left it may only be in the buffers of the system.
 */
static bool has_received(struct websocket_stream *socket)
{
    int64_t queued = (int64_t) aloop_stream_queued(socket->stream);
    int64_t sent = socket->put_size - queued;
    bool has_sent = socket->was_full && sent > socket->sent_size;

    socket->was_full = queued > 0;
    socket->sent_size = sent;
    return has_sent;
}

static void websocket_due(aloop_timer *timer, void *arg)
{
    struct websocket_stream *socket = arg;
    bool is_receiving = has_received(socket);
    bool is_idle = !socket->is_alive && !is_receiving &&
                   *socket->reading != NULL;
    int64_t delay_ns = socket->options.ping_ns;

    if (socket->has_closed || (is_idle && socket->has_pinged)) {
        give_up(socket);
        return;
    }
    socket->has_pinged = is_idle;
    socket->is_alive = false;
    if (is_idle) {
        delay_ns = socket->options.answer_ns;
        (void) put(socket, WEBSOCKET_OP_PING, true, NULL, 0);
    }
    if (aloop_timer_restart(timer, delay_ns) < 0)
        give_up(socket); /* Nothing would end the connection. */
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value != 0 ? value : fallback;
}

int websocket_begin(aloop *loop, const struct websocket_options *options,
                    struct websocket_stream *socket)
{
    socket->options = *options;
    if (options->message_max == 0)
        socket->options.message_max = (uint64_t) 1024 * 1024;
    socket->options.ping_ns = or_default(options->ping_ns, ALOOP_SEC(20));
    socket->options.answer_ns = or_default(options->answer_ns, ALOOP_SEC(20));
    socket->options.stall_ns = or_default(options->stall_ns, ALOOP_SEC(30));
    socket->frames.message_max = socket->options.message_max;
    socket->frames.is_client = socket->fill_random != NULL;
    socket->code = WEBSOCKET_NO_CLOSE;
    if (socket->reading == NULL)
        socket->reading = &socket->own_read;
    socket->timer = aloop_timer_new(loop, websocket_due, socket);
    if (socket->timer == NULL)
        return ALOOP_ENOMEM;
    /* The stream keeps the loop alive. */
    aloop_timer_unref(socket->timer);
    if (socket->options.ping_ns < 0 ||
        aloop_timer_restart(socket->timer, socket->options.ping_ns) == 0)
        return 0;
    aloop_timer_close(socket->timer);
    return ALOOP_ENOMEM;
}

/* Reads more bytes.  Returns their number, or an error. */
static ssize_t fill(struct websocket_stream *socket)
{
    ssize_t n;

    if (socket->is_silent)
        return ALOOP_ETIMEDOUT;
    if (socket->is_stopping != NULL && *socket->is_stopping &&
        !socket->has_closed)
        return ALOOP_EABORTED;
    socket->begin = socket->end = 0;
    *socket->reading =
        aloop_stream_read(socket->stream, socket->buffer, socket->room);
    n = aloop_await(*socket->reading);
    *socket->reading = NULL;
    if (n == 0)
        return ALOOP_EOF;
    if (n < 0)
        return socket->is_silent ? ALOOP_ETIMEDOUT : n;
    socket->is_alive = true;
    socket->end = (size_t) n;
    return n;
}

/* Handles what is no part of a message.  Returns 1 to continue, or a result of
 * websocket_receive(). */
static ssize_t handle(struct websocket_stream *socket,
                      const struct websocket_event *event)
{
    int result = 0;

    if (event->kind == WEBSOCKET_PING && !socket->has_closed)
        result = wait_after(socket, put(socket, WEBSOCKET_OP_PONG, true,
                                        event->data, event->size));
    if (event->kind == WEBSOCKET_CLOSE || event->kind == WEBSOCKET_ERROR) {
        socket->code = event->code;
        socket->reason_size = event->size;
        if (event->size > 0)
            memcpy(socket->reason, event->data, event->size);
        return event->kind == WEBSOCKET_CLOSE ? 0 : ALOOP_EPROTO;
    }
    return result < 0 ? result : 1;
}

ssize_t websocket_receive(struct websocket_stream *socket,
                          struct websocket_event *ret)
{
    ssize_t status = 1;

    while (status > 0) {
        if (socket->begin == socket->end) {
            status = fill(socket);
            if (status < 0)
                return status;
        }
        socket->begin += websocket_read(&socket->frames,
                                        socket->buffer + socket->begin,
                                        socket->end - socket->begin, ret);
        if (ret->kind == WEBSOCKET_DATA)
            return 1;
        status = handle(socket, ret);
    }
    return status;
}

int websocket_send(struct websocket_stream *socket, bool is_text,
                   const void *data, size_t size, bool is_last)
{
    enum websocket_opcode opcode = is_text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;

    if (socket->has_closed)
        return ALOOP_EPIPE;
    if (socket->is_sending)
        opcode = WEBSOCKET_CONTINUATION;
    socket->is_sending = !is_last;
    return wait_after(socket, put(socket, opcode, is_last, data, size));
}

int websocket_ping(struct websocket_stream *socket, const void *data,
                   size_t size)
{
    if (size > WEBSOCKET_CONTROL_MAX)
        return ALOOP_EINVAL;
    if (socket->has_closed)
        return ALOOP_EPIPE;
    return wait_after(socket, put(socket, WEBSOCKET_OP_PING, true, data, size));
}

/* Sends a close, after which nothing is sent. */
static int put_close(struct websocket_stream *socket, int code,
                     const char *reason)
{
    unsigned char payload[WEBSOCKET_CONTROL_MAX];
    size_t size = websocket_close_payload(code, reason, payload);
    int result = put(socket, WEBSOCKET_OP_CLOSE, true, payload, size);

    socket->has_closed = true;
    return result < 0 ? result : 0;
}

int websocket_close(struct websocket_stream *socket, int code,
                    const char *reason)
{
    int result = socket->has_closed ? ALOOP_EPIPE
                                    : put_close(socket, code, reason);

    if (result == 0)
        result = aloop_timer_restart(socket->timer, socket->options.answer_ns);
    return result;
}

/* Drops what arrives before the close of the peer. */
static ssize_t wait_for_close(struct websocket_stream *socket)
{
    struct websocket_event event;
    ssize_t status;

    do
        status = websocket_receive(socket, &event);
    while (status > 0 || (status == ALOOP_EABORTED && !socket->is_silent));
    return status == ALOOP_EPROTO || status == ALOOP_EOF ? 0 : status;
}

ssize_t websocket_end(struct websocket_stream *socket, ssize_t status, int code,
                      const char *reason)
{
    ssize_t result = status;

    if (status == ALOOP_EABORTED) {
        code = WEBSOCKET_GOING_AWAY;
        reason = "";
    }
    if (socket->has_closed)
        result = status == 1 ? 0 : status;
    else if (status == 0 || status == ALOOP_EPROTO)
        result = put_close(socket, socket->code, "");
    else if (status == 1 || status == ALOOP_EABORTED)
        result = websocket_close(socket, code, reason);
    else if (status == ALOOP_EOF)
        result = 0;
    if (result == 0 && (status == 1 || status == ALOOP_EABORTED))
        result = wait_for_close(socket);
    aloop_timer_close(socket->timer);
    return result;
}
