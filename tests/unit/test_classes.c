/* Failure classes that no other test looks at; tests/tools/classes.txt lists
 * all. */

#include "support/stream_fixture.h"

#include <errno.h>
#include <signal.h>

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

/* Failure class 1: a stale event is taken for one of the new owner of the
 * number.  It might do no harm, but it would make a call. */
static void a_stale_event_makes_no_call_for_the_new_owner(void **state)
{
    unsigned accepts = sim_calls("sys_accept");

    (void) state;
    first = connected();
    second = connected();
    aloop_stream_start(first, replace_the_other, NULL);
    aloop_stream_start(second, replace_the_other, NULL);
    sim_peer_send(c.peer, "x", 1);
    sim_peer_send(c.other_peer, "x", 1);
    run_for(MS);

    assert_true((first == NULL) != (second == NULL));
    assert_int_equal(sim_calls("sys_accept"), accepts);
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
        aloop_stream_close(n.streams[i]); /* Itself too, in the middle. */
    for (int i = 0; i < NEWCOMERS; i++)
        aloop_detach(aloop_tcp_connect(t.loop, "127.0.0.1", "81",
                                       &n.newcomers[i]));
}

/* Failure class 6: what is being dispatched goes, and the tables grow. */
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

/* What `arg` points to: the owner of a handle, freed in its callback. */
struct owner {
    aloop_timer *timer;
    aloop_stream *stream;
    aloop_signal *signal;
    aloop_listener *listener;
};

/* Closes whatever there is. */
static void free_owner(struct owner *owner)
{
    aloop_timer_close(owner->timer);
    aloop_stream_close(owner->stream);
    aloop_signal_close(owner->signal);
    aloop_listener_close(owner->listener);
    memset(owner, 0xa5, sizeof *owner); /* A use of it would show. */
    free(owner);
    t.calls++;
}

static void on_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    free_owner(arg);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    free_owner(arg);
}

static void on_signal(aloop_signal *signal, int number, void *arg)
{
    (void) signal;
    (void) number;
    free_owner(arg);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream,
                      void *arg)
{
    (void) listener;
    aloop_stream_close(stream);
    free_owner(arg);
}

static struct owner *new_owner(void)
{
    struct owner *owner = calloc(1, sizeof *owner);

    assert_non_null(owner);
    return owner;
}

/* Failure class 7: a handle is used after its own callback has freed it.  More
 * of the same is pending each time, and must not be called back. */
static void every_owner_may_be_freed_in_its_callback(void **state)
{
    struct owner *timer = new_owner(), *stream = new_owner();
    struct owner *signal = new_owner(), *listener = new_owner();
    int port;

    (void) state;
    assert_int_equal(aloop_timer_start(t.loop, 1, 1, on_timer, timer,
                                       &timer->timer), 0);
    stream->stream = connected();
    aloop_stream_start(stream->stream, on_data, stream);
    assert_int_equal(aloop_signal_start(t.loop, SIGUSR1, on_signal, signal,
                                        &signal->signal), 0);
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "0", on_stream,
                                      listener, &listener->listener), 0);
    port = aloop_listener_port(listener->listener);
    assert_true(sim_connect((uint16_t) port) >= 0);
    assert_true(sim_connect((uint16_t) port) >= 0);
    assert_true(sim_raise(SIGUSR1));
    assert_true(sim_raise(SIGUSR1));
    sim_peer_send(c.peer, "x", 1);
    sim_peer_reset(c.peer);
    run_for(MS);

    assert_int_equal(t.calls, 4);
}

/* Failure class 19: several processes wake for one connection, and here the
 * others were faster. */
static void a_connection_that_another_process_took_is_no_error(void **state)
{
    aloop_listener *listener;

    (void) state;
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "80",
                                      count_and_close, NULL, &listener), 0);
    assert_true(sim_connect(80) >= 0);
    sim_fail("sys_accept", 1, -EAGAIN);
    assert_int_equal(aloop_step(t.loop, -1), 1);
    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(t.calls, 0);
    run_for(MS);

    assert_int_equal(t.calls, 1); /* Still listening, and at once. */
    assert_int_equal(t.unhandled, 0);
    aloop_listener_close(listener);
}

/* Failure class 28: a close that a signal interrupted has closed all the same,
 * and a second one would hit whoever has the number by then. */
static void an_interrupted_close_is_not_repeated(void **state)
{
    aloop_stream *stream = connected();
    unsigned closes = sim_calls("sys_close");
    unsigned open = sim_descriptors_open();

    (void) state;
    sim_fail("sys_close", 1, -EINTR);
    aloop_stream_abort(stream);
    run_for(MS);

    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(sim_calls("sys_close"), closes + 1);
    assert_int_equal(sim_descriptors_open(), open - 1);
}

static void note_due(aloop_timer *timer, void *arg)
{
    int64_t *due_ns = arg;

    (void) timer;
    assert_true(aloop_now(t.loop) >= *due_ns);
    t.calls++;
}

/* Failure class 32: deadlines are cut to whole milliseconds, and the loop
 * fires early or spins through the last one. */
static void a_fraction_of_a_millisecond_neither_spins_nor_fires_early(
    void **state)
{
    static const int64_t delays_ns[] = {
        1, 999, 500000, 999999, 1000001, 1500000, 1999999, 1000000001,
    };
    enum { COUNT = sizeof delays_ns / sizeof delays_ns[0] };

    (void) state;
    for (int i = 0; i < COUNT; i++) {
        unsigned wakes = sim_wakes();
        aloop_timer *timer;
        int64_t due_ns = aloop_now(t.loop) + delays_ns[i];

        assert_int_equal(aloop_timer_start(t.loop, delays_ns[i], 0, note_due,
                                           &due_ns, &timer), 0);
        assert_int_equal(aloop_run(t.loop), 0);
        assert_int_equal(t.calls, i + 1);
        assert_true(sim_wakes() - wakes <= 2);
        aloop_timer_close(timer);
    }
}

/* Failure class 47: names are rewritten before they are looked up. */
static void a_name_that_is_not_ascii_is_looked_up_as_it_is(void **state)
{
    static const char name[] = "b\xc3\xbc" "cher.xn--\xff.example";
    const char *const addresses[] = {"127.0.0.1", NULL};
    aloop_stream *stream = NULL;

    (void) state;
    sim_host(name, addresses);
    sim_listen("127.0.0.1", 80, 1);

    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, name, "80", &stream)), 0);
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stale_event_makes_no_call_for_the_new_owner),
        TEST(a_callback_may_close_every_neighbour_and_open_many),
        TEST(every_owner_may_be_freed_in_its_callback),
        TEST(a_connection_that_another_process_took_is_no_error),
        TEST(an_interrupted_close_is_not_repeated),
        TEST(a_fraction_of_a_millisecond_neither_spins_nor_fires_early),
        TEST(a_name_that_is_not_ascii_is_looked_up_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
