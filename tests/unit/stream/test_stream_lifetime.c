/* Tests of streams that are closed by callbacks, that lose their descriptors,
 * and that are open when their loop is freed. */

#include "support/stream_fixture.h"
#include "os/sys.h"

#include <string.h>

static void count_and_note_size(aloop_stream *stream, const void *data,
                                ssize_t size, void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    t.calls++;
    note((int) size);
}

/* Closing from callbacks. */

static void answer_and_close(aloop_stream *stream, const void *data,
                             ssize_t size, void *arg)
{
    (void) arg;
    count_and_note_size(stream, data, size, arg);
    aloop_stream_put(stream, "answer", 6);
    aloop_stream_close(stream);
}

/* Failure class 4: a callback closes its own handle, and the code that called
 * it continues to use the handle. */
static void a_stream_closed_in_its_callback_sends_and_calls_back_no_more(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, answer_and_close, NULL);
    sim_peer_send(c.peer, "1", 1);
    run_for(MS);
    sim_peer_send(c.peer, "2", 1);
    run_for(MS);

    assert_noted(1);
    assert_int_equal(sim_peer_receive(c.peer, c.in, sizeof c.in), 6);
}

static void close_on_error(aloop_stream *stream, const void *data, ssize_t size,
                           void *arg)
{
    count_and_note_size(stream, data, size, arg);
    if (size <= 0)
        aloop_stream_close(stream);
}

static void a_stream_can_be_closed_in_the_callback_of_its_reset(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, close_on_error, NULL);
    aloop_stream_put(stream, "x", 1);
    run_for(MS);
    sim_peer_reset(c.peer);
    run_for(MS);

    assert_noted(ALOOP_ECONNRESET);
}

static aloop_stream *pair[2];

static void close_in_error_hook(aloop *loop, int error, const char *what,
                                void *arg)
{
    (void) loop;
    (void) what;
    (void) arg;
    note(error);
    aloop_stream_abort(pair[0]);
    pair[0] = NULL;
}

static void a_stream_may_be_closed_by_the_error_hook(void **state)
{
    /* More than the connection holds after the reset. */
    static const char big[2 * BUFFER];
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = close_in_error_hook};

    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    pair[0] = connected();
    fill(pair[0]);
    aloop_detach(aloop_stream_write(pair[0], big, sizeof big));
    aloop_detach(aloop_stream_write(pair[0], big, sizeof big));
    aloop_detach(aloop_stream_shutdown(pair[0]));
    run_for(MS);
    sim_peer_reset(c.peer);
    run_for(MS);

    assert_true(t.noted >= 1);
    assert_int_equal(t.order[0], ALOOP_ECONNRESET);
    assert_null(pair[0]);
}

static void close_the_other(aloop_stream *stream, const void *data,
                            ssize_t size, void *arg)
{
    int me = stream == pair[1];

    count_and_note_size(stream, data, size, arg);
    aloop_stream_close(pair[!me]);
    pair[!me] = NULL;
}

/* Failure class 6: a handle is closed by another one of the same batch. */
static void a_stream_closed_by_another_of_its_batch_is_not_called_back(
    void **state)
{
    (void) state;
    pair[0] = connected();
    pair[1] = connected();
    aloop_stream_start(pair[0], close_the_other, NULL);
    aloop_stream_start(pair[1], close_the_other, NULL);
    sim_peer_send(c.peer, "a", 1);
    sim_peer_send(c.other_peer, "b", 1);
    run_for(MS);

    assert_noted(1);
    aloop_stream_close(pair[0]);
    aloop_stream_close(pair[1]);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    aloop_stream_start(stream, count_and_note_size, NULL);
    pair[1] = stream;
}

static aloop_future *connecting;

static void close_and_reuse(aloop_stream *stream, const void *data,
                            ssize_t size, void *arg)
{
    int number = aloop_stream_fd(pair[1]), fds[2];

    (void) stream;
    (void) data;
    (void) size;
    (void) arg;
    t.calls++;
    aloop_stream_close(pair[1]); /* It is ready in this batch as well. */
    assert_int_equal(sim_pair(fds), 0);
    assert_int_equal(fds[0], number);
    aloop__sys_close(fds[0]);
    aloop__sys_close(fds[1]);
    connecting = aloop_tcp_connect(t.loop, "10.0.0.9", "81", &pair[1]);
}

/* Failure class 1: an event of a closed stream reaches the new owner of its
 * descriptor, which would take the event for the end of its connect. */
static void a_descriptor_reused_in_a_batch_gets_no_event_of_its_old_owner(
    void **state)
{
    aloop_stream *stream = connected();
    int first_peer = c.peer;

    (void) state;
    sim_blackhole("10.0.0.9");
    pair[1] = connected();
    aloop_stream_start(stream, close_and_reuse, NULL);
    aloop_stream_start(pair[1], count_and_note_size, NULL);
    sim_peer_send(first_peer, "a", 1);
    sim_peer_send(c.peer, "b", 1);
    run_for(MS);

    assert_int_equal(t.calls, 1);
    assert_int_equal(aloop_future_status(connecting), ALOOP_PENDING);
    aloop_future_unref(connecting);
    aloop_stream_close(stream);
}

/* Descriptors that are changed outside the loop's control. */

/* Failure class 2: the kernel continues to report a closed descriptor, because
 * another process holds a duplicate. */
static void a_closed_stream_with_a_duplicate_does_not_spin(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, count_and_note_size, NULL);
    sim_keep_open(aloop_stream_fd(stream));
    aloop_stream_close(stream);
    sim_peer_send(c.peer, "a", 1);

    assert_quiet_for_a_second();
    assert_int_equal(t.calls, 0);
}

/* Failure class 13: the application closes the descriptor.  Here a duplicate
 * keeps it in the kernel's set, from which it can no longer be removed. */
static void a_descriptor_closed_by_the_application_fails_without_a_spin(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, count_and_note_size, NULL);
    sim_keep_open(aloop_stream_fd(stream));
    aloop__sys_close(aloop_stream_fd(stream));
    sim_peer_send(c.peer, "a", 1);

    assert_quiet_for_a_second();
    assert_noted(ALOOP_EBADF);
    assert_quiet_for_a_second(); /* The duplicate is still ready. */
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(sim_descriptors_open(), 0);
    sim_reset(1); /* The bad use and the bad close were this test's. */
}

static void a_lost_descriptor_is_not_closed_for_its_new_owner(void **state)
{
    aloop_stream *stream = connected();
    int fd = aloop_stream_fd(stream), fds[2];
    char byte;

    (void) state;
    aloop__sys_close(fd);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "x", 1)),
                     ALOOP_EBADF);
    assert_int_equal(sim_pair(fds), 0);
    assert_int_equal(fds[0], fd);
    aloop_stream_close(stream);
    run_for(MS);

    assert_int_equal(aloop__sys_send(fds[1], "y", 1), 1);
    run_for(MS);
    assert_int_equal(aloop__sys_recv(fds[0], &byte, 1), 1);
    assert_int_equal(sim_bad_closes(), 0);
    aloop__sys_close(fds[0]);
    aloop__sys_close(fds[1]);
    aloop_free(t.loop);
    t.loop = NULL;
    sim_reset(1); /* This test caused the bad use. */
}

/* Failure class 3: a descriptor is reused while the stream that had it still
 * exists. */
static void a_stream_is_notified_that_its_descriptor_was_reused(void **state)
{
    aloop_stream *old = connected(), *new;
    aloop_address address;
    char buffer[4];
    int fd = aloop_stream_fd(old);

    (void) state;
    aloop_then(aloop_stream_read(old, buffer, 4), note_status, NULL);
    run_for(MS);
    aloop__sys_close(fd);
    new = connected();
    assert_int_equal(aloop_stream_fd(new), fd);
    run_for(MS);
    assert_noted(ALOOP_EBADF);
    assert_int_equal(aloop_stream_fd(old), ALOOP_EBADF);
    assert_int_equal(aloop_stream_put(old, "x", 1), ALOOP_EBADF);
    assert_int_equal(aloop_stream_peer(old, c.in, sizeof c.in), ALOOP_EBADF);
    assert_int_equal(aloop_stream_peer_address(old, &address), ALOOP_EBADF);
    assert_int_equal(aloop_stream_local(old, c.in, sizeof c.in), ALOOP_EBADF);
    assert_int_equal(aloop_tcp_set_nodelay(old, true), ALOOP_EBADF);
    assert_int_equal(aloop_tcp_set_buffers(old, 1, 1), ALOOP_EBADF);

    /* Failure class 9: the close of the old stream closes the descriptor of the
     * new owner. */
    aloop_stream_close(old);
    sim_peer_send(c.peer, "to the new one", 4);
    assert_int_equal(aloop_await(aloop_stream_read(new, buffer, 4)), 4);
    aloop_stream_close(new);
}

/* The end of the loop. */

static void a_loop_is_freed_with_everything_open(void **state)
{
    static char buffers[3][8];
    aloop_listener *listener;
    aloop_stream *stream;

    (void) state;
    for (int i = 0; i < 3; i++) {
        stream = connected();
        fill(stream);
        aloop_detach(aloop_stream_write(stream, "queued", 6));
        aloop_stream_put(stream, "more", 4);
        aloop_detach(aloop_stream_drain(stream));
        aloop_detach(aloop_stream_shutdown(stream));
        aloop_detach(aloop_stream_read(stream, buffers[i], 8));
        if (i == 1)
            aloop_stream_close(stream); /* It still has bytes to send. */
    }
    stream = connected();
    aloop_stream_start(stream, count_and_note_size, NULL);
    aloop_tcp_listen(t.loop, "::1", "0", on_stream, NULL, &listener);
    aloop_detach(aloop_tcp_connect(t.loop, "10.0.0.9", "9", pair));

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_string_equal(sim_mess(), "");
    assert_int_equal(t.calls, 0);
}

static void referencing_a_stream_is_idempotent(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, ignore, NULL);
    assert_true(aloop_alive(t.loop));
    aloop_stream_unref(stream);
    aloop_stream_unref(stream);
    assert_false(aloop_alive(t.loop));
    aloop_stream_ref(stream);
    aloop_stream_ref(stream);
    aloop_stream_unref(stream);
    assert_false(aloop_alive(t.loop));
    aloop_stream_close(stream);
}

static void a_closed_descriptor_with_a_duplicate_is_reported_once(void **state)
{
    aloop_stream *stream;
    int64_t begin;
    unsigned before;
    int fd, peer;

    (void) state;
    stream = connected_to(&peer);
    aloop_stream_start(stream, note_size, NULL);
    run_for(MS);
    fd = aloop_stream_fd(stream);
    sim_keep_open(fd);
    aloop__sys_close(fd);
    sim_peer_send(peer, "x", 1);
    before = sim_wakes();
    begin = aloop_now(t.loop);
    sim_fail("aloop__reactor_wait", 50, ALOOP_EACCES);
    run_for(10 * MS);

    assert_noted(ALOOP_EBADF);
    assert_true(aloop_now(t.loop) == begin + 10 * MS);
    assert_true(sim_wakes() - before <= 4);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(sim_descriptors_open(), 0);
    sim_reset(1); /* The bad use and the bad close were this test's. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_closed_in_its_callback_sends_and_calls_back_no_more),
        TEST(a_stream_can_be_closed_in_the_callback_of_its_reset),
        TEST(a_stream_may_be_closed_by_the_error_hook),
        TEST(a_stream_closed_by_another_of_its_batch_is_not_called_back),
        PLAIN_TEST(
            a_descriptor_reused_in_a_batch_gets_no_event_of_its_old_owner),
        TEST(a_closed_stream_with_a_duplicate_does_not_spin),
        TEST(a_descriptor_closed_by_the_application_fails_without_a_spin),
        TEST(a_lost_descriptor_is_not_closed_for_its_new_owner),
        TEST(a_stream_is_notified_that_its_descriptor_was_reused),
        TEST(a_loop_is_freed_with_everything_open),
        PLAIN_TEST(referencing_a_stream_is_idempotent),
        TEST(a_closed_descriptor_with_a_duplicate_is_reported_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
