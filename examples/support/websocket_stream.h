/* A WebSocket connection over a stream, for tasks.
 *
 * Messages are received and sent in parts, as they arrive, so a connection has
 * bounded memory whatever the size of a message is: the buffer of its reads,
 * and the bytes that wait to be sent, up to the stream's high-water mark and
 * one part.  Sending waits while the peer is slower.  Pings of the peer are
 * answered, and a silent peer is pinged, while the connection is received from.
 *
 * Functions return an error of the library (ALOOP_E...) where they fail.  After
 * an error the stream is to be aborted, unless websocket_end() returns 0. */

#ifndef EXAMPLES_WEBSOCKET_STREAM_H
#define EXAMPLES_WEBSOCKET_STREAM_H

#include <aloop.h>

#include "websocket.h"

/* Zero means the default, which is in brackets. */
struct websocket_options {
    uint64_t message_max; /* Bytes of a message that is received [1 MiB]. */
    int64_t ping_ns;      /* After this time without bytes the peer is pinged
                             [20 s]; less than 0: never.  One that receives
                             what is queued is not. */
    int64_t answer_ns;    /* Then it has this time to send something; and to
                             answer a close [20 s]. */
    int64_t stall_ns;     /* For the queued bytes to fall to the low-water mark
                             while a send waits [30 s]. */
};

struct websocket_stream {
    struct websocket frames;
    struct websocket_options options;
    aloop_stream *stream;
    char *buffer;
    size_t room, begin, end;
    aloop_timer *timer;
    aloop_future **reading;  /* Where the read is kept that is awaited. */
    aloop_future *own_read;  /* The default for it. */
    const bool *is_stopping; /* See httpd_upgrade.h; or NULL. */
    /* Makes keys for masks, for a client; NULL: a server.  Returns 0 or an
     * error. */
    int (*fill_random)(void *data, size_t size);
    bool is_alive;     /* Bytes have arrived since the timer was started. */
    bool has_pinged;   /* And not received anything since. */
    bool was_full;     /* Bytes were queued when the timer was started. */
    int64_t put_size;  /* Bytes that were put. */
    int64_t sent_size; /* Bytes of them that were not queued any more then. */
    bool is_silent;    /* The peer's time is over. */
    bool is_sending;   /* A message of which the last part was not sent. */
    bool has_closed;   /* A close was sent. */
    bool is_broken;    /* A frame could not be sent as a whole. */
    int code;          /* Of the close that was received, or is to be sent. */
    size_t reason_size;
    char reason[WEBSOCKET_CONTROL_MAX]; /* Of the peer's close. */
};

/* Prepares a connection whose handshake is complete.
 *
 * Set `stream`, `buffer`, `room`, and `end` if there are bytes in the buffer;
 * also `fill_random` for a client, and `reading` and `is_stopping` if there are
 * such.  The rest is 0.  Returns 0 or ALOOP_ENOMEM. */
int websocket_begin(aloop *loop, const struct websocket_options *options,
                    struct websocket_stream *socket);

/* Receives the next part of a message: ret->kind is WEBSOCKET_DATA.  Pings are
 * answered, and pongs are dropped.
 *
 *     result             meaning
 *     1                  *ret is a part, and is valid until the next call
 *     0                  the peer has closed; socket->code, socket->reason
 *     ALOOP_EOF          the connection ended without a close
 *     ALOOP_EPROTO       the peer is wrong; socket->code is to be sent
 *     ALOOP_ETIMEDOUT    the peer was silent, or has received too slowly
 *     ALOOP_EABORTED     the server is stopping, or the read was cancelled
 *     others             errors of the stream, ALOOP_ECANCELED
 *
 * Context: one task at a time. */
ssize_t websocket_receive(struct websocket_stream *socket,
                          struct websocket_event *ret);

/* Sends a part of a message as a frame, and waits while the peer is slower.
 *
 * `is_text` is that of the first part.  Returns 0; ALOOP_EPIPE: a close was
 * sent; ALOOP_ETIMEDOUT: the peer does not receive; others: as for
 * aloop_stream_put(). */
int websocket_send(struct websocket_stream *socket, bool is_text,
                   const void *data, size_t size, bool is_last);

/* Sends a ping with up to 125 bytes.  Returns as websocket_send(). */
int websocket_ping(struct websocket_stream *socket, const void *data,
                   size_t size);

/* Sends a close.  The caller continues to receive until the peer has closed,
 * for which that has options.answer_ns, but nothing can be sent any more.
 * Returns as aloop_stream_put(), or ALOOP_EPIPE if a close was sent. */
int websocket_close(struct websocket_stream *socket, int code,
                    const char *reason);

/* Ends a connection whose websocket_receive() has returned `status`, or 1 if
 * this end closes first.
 *
 *     status            what is sent                     waits for the peer's
 *     1                 `code` and `reason`              close
 *     0                 the code that was received       -
 *     ALOOP_EPROTO      the code of the error            -
 *     ALOOP_EABORTED    1001                             close
 *     other             nothing                          -
 *
 * Returns 0 if the stream may be closed, or an error after which it has to be
 * aborted.  It has to be called once websocket_begin() has succeeded. */
ssize_t websocket_end(struct websocket_stream *socket, ssize_t status, int code,
                      const char *reason);

#endif
