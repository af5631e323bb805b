/* Handles of all kinds: what their callbacks may do to them. */

#include "support/stream_fixture.h"
#include <signal.h>

/* The object that `arg` points to: the owner of a handle.  The callback of the
 * handle frees it. */
struct owner {
    aloop_timer *timer;
    aloop_stream *stream;
    aloop_signal *signal;
    aloop_listener *listener;
};

/* Closes the handles of `owner`, and frees it. */
static void free_owner(struct owner *owner)
{
    aloop_timer_close(owner->timer);
    aloop_stream_close(owner->stream);
    aloop_signal_close(owner->signal);
    aloop_listener_close(owner->listener);
    memset(owner, 0xa5, sizeof *owner); /* A later use would be noticed. */
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

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
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

/* Failure class 7: a handle is used after its own callback has freed it.
 * Another event is pending each time, and must not be called back. */
static void every_owner_may_be_freed_in_its_callback(void **state)
{
    struct owner *timer = new_owner(), *stream = new_owner();
    struct owner *signal = new_owner(), *listener = new_owner();
    int port;

    (void) state;
    assert_int_equal(
        aloop_timer_start(t.loop, 1, 1, on_timer, timer, &timer->timer), 0);
    stream->stream = connected();
    aloop_stream_start(stream->stream, on_data, stream);
    assert_int_equal(
        aloop_signal_start(t.loop, SIGUSR1, on_signal, signal, &signal->signal),
        0);
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "0", on_stream,
                                      listener, &listener->listener),
                     0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_owner_may_be_freed_in_its_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
