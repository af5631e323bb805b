/* Two connections for a forward, whose peers are the test. */

#ifndef FORWARD_FIXTURE_H
#define FORWARD_FIXTURE_H

#include "loop/future.h"
#include "support/stream_fixture.h"

static aloop_stream *streams[2];
static int accepted;

static inline void on_stream(aloop_listener *listener, aloop_stream *stream,
                             void *arg)
{
    (void) listener;
    (void) arg;
    streams[accepted++] = stream;
}

/* Makes two connections.  peers[i] is the other end of streams[i]. */
static inline void connect_two(int peers[2])
{
    aloop_listener *listener = NULL;

    accepted = 0;
    assert_int_equal(
        aloop_tcp_listen(t.loop, "127.0.0.1", "7", on_stream, NULL, &listener),
        0);
    for (int i = 0; i < 2; i++) {
        peers[i] = sim_connect(7);
        sim_pass(ALOOP_MS(1));
        while (accepted == i)
            aloop_step(t.loop, ALOOP_MS(1));
    }
    aloop_listener_close(listener);
}

static inline void close_all(int peers[2])
{
    for (int i = 0; i < 2; i++) {
        aloop_stream_close(streams[i]);
        sim_peer_close(peers[i]);
    }
}

#endif
