/* A listener whose callback keeps the streams. */

#ifndef LISTENER_FIXTURE_H
#define LISTENER_FIXTURE_H

#include "support/stream_fixture.h"

#include <errno.h>
#include <string.h>

enum { STREAMS_MAX = 256 };

static struct {
    aloop_listener *listener;
    uint16_t port;
    aloop_stream *streams[STREAMS_MAX];
    int count;
    int close_at; /* The listener closes itself at this count. */
} l;

static inline void on_stream(aloop_listener *listener, aloop_stream *stream,
                             void *arg)
{
    assert_ptr_equal(arg, &l);
    l.streams[l.count++] = stream;
    if (l.count == l.close_at)
        aloop_listener_close(listener);
}

static inline int listen_on(const char *host, const char *port)
{
    int error;

    memset(&l, 0, sizeof l);
    error = aloop_tcp_listen(t.loop, host, port, on_stream, &l, &l.listener);
    if (error == 0)
        l.port = (uint16_t) aloop_listener_port(l.listener);
    return error;
}

static inline void close_streams(void)
{
    while (l.count > 0)
        aloop_stream_close(l.streams[--l.count]);
}

#endif
