/* Shared by the tests of streams: a connection whose peer is controlled by the
 * test, and the data that each end has received. */

#ifndef STREAM_FIXTURE_H
#define STREAM_FIXTURE_H

#include "support/filter_fixture.h"
#include "support/memory_fixture.h"

#ifdef FILTER_TLS
#include "support/tls_fixture.h"
#endif

#include <stdlib.h>
#include <string.h>

enum { BUFFER = 65536 }; /* Capacity of one direction of a connection. */

/* So many bytes, in one put, fill it. */
#ifdef FILTER_TLS
enum { FULL = BUFFER - 4 * TLS_OVERHEAD };
#else
enum { FULL = BUFFER };
#endif

/* The latest connection that connected() made. */
static struct {
    int peer;            /* The peer's end. */
    int other_peer;      /* The peer of the previous connection. */
    char got[8192];      /* The data that collect() was called with. */
    size_t got_size;     /* Bytes of it. */
    char in[4 * BUFFER]; /* The data that receive() took. */
    size_t in_size;      /* Bytes of it. */
} c;

static inline void run_for(int64_t ns)
{
    assert_int_equal(aloop_await(aloop_sleep(t.loop, ns)), 0);
}

/* The suite also runs through filters: with FILTER_STEP, each stream has one
 * that takes and gives at most so many bytes in one call.  If that is 0, the
 * filter is TLS. */
#ifdef FILTER_STEP
static inline void does_not_concern_filters(void **state)
{
    (void) state;
    skip();
}

/* A test of what is different with a filter: numbers of calls, memory, bytes
 * inside the filter, the wait for the peer in a close. */
#define PLAIN_TEST(name) \
    { \
        ((void) (name), #name), does_not_concern_filters, NULL, NULL, NULL \
    }

static inline void put_filter_on(aloop_stream *stream, int peer)
{
#ifdef FILTER_TLS
    put_tls_on(stream, peer);
#else
    aloop_filter filter = passing_filter;

    (void) peer;
    if (FILTER_STEP == 1)
        filter.is_idle = NULL;
    assert_int_equal(
        aloop_await(aloop_stream_filter(
            stream, &filter, new_passing(PASSING_ROOM, FILTER_STEP))),
        0);
#endif
}
#else
#define PLAIN_TEST(name) TEST(name)

static inline void put_filter_on(aloop_stream *stream, int peer)
{
    (void) stream;
    (void) peer;
}
#endif

/* A test of what is different with TLS: numbers of calls and of bytes in a
 * connection, bytes that TLS holds in records, and ends without a close. */
#ifdef FILTER_TLS
#define WIRE_TEST(name) PLAIN_TEST(name)
#else
#define WIRE_TEST(name) TEST(name)
#endif

/* The ways to make a connection.  Each returns the stream, and the peer in
 * *ret_peer. */

static inline aloop_stream *open_tcp(int *ret_peer)
{
    aloop_stream *stream = NULL;
    int listener = sim_listen("127.0.0.1", 80, 8);

    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "127.0.0.1", "80", &stream)), 0);
    *ret_peer = sim_accept(listener);
    sim_peer_close(listener);
    return stream;
}

static inline aloop_stream *open_unix(int *ret_peer)
{
    aloop_stream *stream = NULL;
    int listener = sim_listen_unix("@peer", 8);

    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, "@peer", &stream)),
                     0);
    *ret_peer = sim_accept(listener);
    sim_peer_close(listener);
    return stream;
}

/* A test program runs once for each name, which the environment variable
 * STREAM_OVER has (tests/CMakeLists.txt).  The first one is the default. */
static const struct {
    const char *name;
    aloop_stream *(*open)(int *ret_peer);
} stream_ways[] = {
    {"tcp", open_tcp},
    {"unix", open_unix},
};

static inline const char *stream_over(void)
{
    const char *name = getenv("STREAM_OVER");

    return name != NULL ? name : stream_ways[0].name;
}

/* For what depends on the carrier. */
static inline bool is_over(const char *name)
{
    return strcmp(stream_over(), name) == 0;
}

/* Returns whether a peer is notified that queued bytes were dropped.  The peer
 * of a Unix socket gets an end. */
static inline bool has_resets(void)
{
    return !is_over("unix");
}

/* Makes a connection.  Returns its stream, and its peer in *ret_peer. */
static inline aloop_stream *connected_to(int *ret_peer)
{
    aloop_stream *stream = NULL;

    *ret_peer = -1;
    for (size_t i = 0; i < sizeof stream_ways / sizeof stream_ways[0]; i++)
        if (is_over(stream_ways[i].name))
            stream = stream_ways[i].open(ret_peer);
    assert_non_null(stream);
    assert_true(*ret_peer >= 0);
    put_filter_on(stream, *ret_peer);
    return stream;
}

static inline aloop_stream *connected(void)
{
    c.other_peer = c.peer;
    c.got_size = 0;
    c.in_size = 0;
    return connected_to(&c.peer);
}

/* Data from the peer to the stream. */

static inline void send_bytes(const char *bytes, size_t size)
{
    assert_int_equal(sim_peer_send(c.peer, bytes, size), (ssize_t) size);
    run_for(MS);
}

static inline void send_text(const char *text)
{
    send_bytes(text, strlen(text));
}

/* Callbacks of a started stream. */

static inline void collect(aloop_stream *stream, const void *data, ssize_t size,
                           void *arg)
{
    (void) stream;
    (void) arg;
    t.calls++;
    if (size <= 0) {
        note((int) size);
        return;
    }
    assert_true(c.got_size + (size_t) size <= sizeof c.got);
    memcpy(c.got + c.got_size, data, (size_t) size);
    c.got_size += (size_t) size;
}

static inline void ignore(aloop_stream *stream, const void *data, ssize_t size,
                          void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    t.calls += size > 0;
}

static inline void note_size(aloop_stream *stream, const void *data,
                             ssize_t size, void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    note((int) size);
}

/* Callbacks of listeners. */

static inline void close_accepted(aloop_listener *listener,
                                  aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    aloop_stream_close(stream);
}

static inline void count_and_close(aloop_listener *listener,
                                   aloop_stream *stream, void *arg)
{
    t.calls++;
    close_accepted(listener, stream, arg);
}

/* Data from the stream to the peer. */

/* Fills the connection, so that the next byte has to wait. */
static inline void fill(aloop_stream *stream)
{
    static const char full[BUFFER];

    assert_true(aloop_stream_put(stream, full, FULL) >= 0);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 0);
}

/* Queues more than the connection holds.  The peer receives nothing. */
static inline void overfill(aloop_stream *stream)
{
    static const char more[100000];

    assert_int_equal(aloop_stream_put(stream, more, sizeof more), 1);
    run_for(MS);
    assert_true(aloop_stream_queued(stream) > sizeof more / 2);
}

/* Receives, as the peer, at most `size` bytes of the data that has arrived. */
static inline void receive(size_t size)
{
    ssize_t n = 1;

    while (size > 0 && n > 0) {
        size_t room = sizeof c.in - c.in_size;

        n = sim_peer_receive(c.peer, c.in + c.in_size,
                             size < room ? size : room);
        assert_true(n >= 0);
        c.in_size += (size_t) n;
        size -= (size_t) n;
    }
}

static inline void receive_all(void)
{
    run_for(MS);
    receive(SIZE_MAX);
}

/* Asserts that the peer was notified, as far as the carrier can do that, that
 * bytes were dropped. */
static inline void assert_reset(int peer)
{
    static char dropped[4 * BUFFER];

    if (has_resets()) {
        assert_int_equal(sim_peer_error(peer), ALOOP_ECONNRESET);
        return;
    }
    assert_true(sim_peer_receive(peer, dropped, sizeof dropped) >= 0);
    assert_true(sim_peer_eof(peer));
}

static inline void assert_received(const char *text)
{
    receive_all();
    assert_int_equal(c.in_size, strlen(text));
    assert_memory_equal(c.in, text, c.in_size);
}

/* The loop. */

/* Asserts that the loop sleeps for a second instead of waking up again and
 * again. */
static inline void assert_quiet_for_a_second(void)
{
    unsigned before = sim_wakes();
    aloop_future *second = aloop_sleep(t.loop, ALOOP_SEC(1));

    while (!aloop_future_is_settled(second) && sim_wakes() - before <= 5)
        aloop_step(t.loop, ALOOP_SEC(1));
    assert_true(sim_wakes() - before <= 5);
    aloop_future_unref(second);
}

/* Makes a new world and a loop in it.  Returns false if there was no memory for
 * the loop. */
static inline bool renew(uint64_t seed)
{
    aloop_free(t.loop);
    assert_int_equal(memory.bytes, 0);
    assert_string_equal(sim_mess(), "");
    sim_reset(seed);
    t.loop = memory_loop(memory.fails_at);
    return t.loop != NULL;
}

static inline void leave(void)
{
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(memory.bytes, 0);
    assert_string_equal(sim_mess(), "");
}

#endif
