/* Descriptors that the loop watches: closed, renewed, reused. */

#include "loop/io.h"
#include "support/stream_fixture.h"

/* The descriptor is closed outside the control of the stream. */
static void a_renewal_detects_a_closed_descriptor(void **state)
{
    aloop_stream *lost = connected(), *kept;
    aloop_future *read, *other;
    char bytes[4];

    (void) state;
    kept = connected();
    read = aloop_stream_read(lost, bytes, sizeof bytes);
    other = aloop_stream_read(kept, bytes, sizeof bytes);
    aloop__sys_close(aloop_stream_fd(lost));

    assert_int_equal(aloop__io_renew(t.loop), 0);

    assert_int_equal(aloop_await(read), ALOOP_EBADF);
    assert_int_equal(aloop_stream_fd(lost), ALOOP_EBADF);
    assert_int_equal(sim_peer_send(c.peer, "here", 4), 4);
    assert_int_equal(aloop_await(other), 4);
    aloop_stream_close(lost);
    aloop_stream_close(kept);
}

enum { NEIGHBOURS = 8, NEWCOMERS = 200 };

static struct {
    aloop_stream *streams[NEIGHBOURS];
    aloop_stream *newcomers[NEWCOMERS];
} n;

static aloop_stream *first, *second;
static aloop_listener *newcomer;

static void replace_the_other(aloop_stream *stream, const void *data,
                              ssize_t size, void *arg)
{
    aloop_stream *other = stream == first ? second : first;
    int fd = aloop_stream_fd(other);

    (void) data;
    (void) size;
    (void) arg;
    aloop_stream_close(other);
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "81",
                                      count_and_close, NULL, &newcomer), 0);
    assert_int_equal(aloop_listener_fd(newcomer), fd);
    if (stream == first)
        second = NULL;
    else
        first = NULL;
}

/* Failure class 1: a stale event is delivered to the new owner of the number.
 * It may be harmless, but it would cause a system call. */
static void a_stale_event_makes_no_call_for_the_new_owner(void **state)
{
    unsigned accepts = sim_calls("aloop__sys_accept");

    (void) state;
    first = connected();
    second = connected();
    aloop_stream_start(first, replace_the_other, NULL);
    aloop_stream_start(second, replace_the_other, NULL);
    sim_peer_send(c.peer, "x", 1);
    sim_peer_send(c.other_peer, "x", 1);
    run_for(MS);

    assert_true((first == NULL) != (second == NULL));
    assert_int_equal(sim_calls("aloop__sys_accept"), accepts);
    aloop_stream_close(first);
    aloop_stream_close(second);
    aloop_listener_close(newcomer);
}

static void close_all_and_open_many(aloop_stream *stream, const void *data,
                                    ssize_t size, void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    (void) arg;
    t.calls++;
    for (int i = 0; i < NEIGHBOURS; i++)
        aloop_stream_close(n.streams[i]); /* This includes `stream`. */
    for (int i = 0; i < NEWCOMERS; i++)
        aloop_detach(aloop_tcp_connect(t.loop, "127.0.0.1", "81",
                                       &n.newcomers[i]));
}

/* Failure class 6: streams are closed while their events are dispatched, and
 * the tables grow. */
static void a_callback_may_close_every_neighbour_and_open_many(void **state)
{
    int peers[NEIGHBOURS], listener;

    (void) state;
    listener = sim_listen("127.0.0.1", 81, NEWCOMERS);
    for (int i = 0; i < NEIGHBOURS; i++) {
        n.streams[i] = connected_to(&peers[i]);
        aloop_stream_start(n.streams[i], close_all_and_open_many, NULL);
    }
    for (int i = 0; i < NEIGHBOURS; i++)
        assert_int_equal(sim_peer_send(peers[i], "x", 1), 1);
    run_for(MS);

    assert_int_equal(t.calls, 1);
    for (int i = 0; i < NEWCOMERS; i++) {
        assert_non_null(n.newcomers[i]);
        aloop_stream_close(n.newcomers[i]);
    }
    sim_peer_close(listener);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_renewal_detects_a_closed_descriptor),
        TEST(a_stale_event_makes_no_call_for_the_new_owner),
        TEST(a_callback_may_close_every_neighbour_and_open_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
