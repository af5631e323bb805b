/* Forwards of the kernel's sockets and pipes, which splice large transfers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "aloop.h"
#include "support/child.h"

enum { TRANSFER = 6 * 1024 * 1024, FDS_MAX = 64 };

/* A transfer: bytes --> source[0]...source[1] --forward--> target[0]...
 * target[1] --> got. */
static struct {
    aloop *loop;
    aloop_stream *source[2], *target[2];
    char *bytes, *got;
    int fds_before, fds_most;
} f;

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.loop = aloop_new(NULL);
    f.bytes = malloc(TRANSFER);
    f.got = malloc(TRANSFER);
    if (f.loop == NULL || f.bytes == NULL || f.got == NULL)
        return 1;
    for (size_t i = 0; i < TRANSFER; i++)
        f.bytes[i] = (char) (i * 7 + i / 251);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    free(f.bytes);
    free(f.got);
    return aloop_free(f.loop);
}

/* Stores the end that is written to first. */
static void open_unix(aloop_stream *ends[2])
{
    assert_int_equal(aloop_stream_pair(f.loop, &ends[0], &ends[1]), 0);
}

static void open_pipe(aloop_stream *ends[2])
{
    assert_int_equal(aloop_pipe_open(f.loop, &ends[1], &ends[0]), 0);
}

static void open_tcp(aloop_stream *ends[2])
{
    aloop_listener *listener = NULL;
    aloop_future *connect;
    char port[8];

    assert_int_equal(
        aloop_tcp_listen(f.loop, "127.0.0.1", "0", NULL, NULL, &listener), 0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    connect = aloop_tcp_connect(f.loop, "127.0.0.1", port, &ends[0]);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &ends[1])), 0);
    assert_int_equal(aloop_await(connect), 0);
    aloop_listener_close(listener);
}

static void close_ends(aloop_stream *ends[2])
{
    aloop_stream_close(ends[0]);
    aloop_stream_close(ends[1]);
}

/* A pipe of a forward is two descriptors more. */
static void count_descriptors(aloop *loop, void *arg)
{
    int now = open_descriptors(FDS_MAX);

    (void) arg;
    if (now > f.fds_most)
        f.fds_most = now;
    if (f.fds_most < f.fds_before + 2)
        aloop_defer(loop, count_descriptors, NULL);
}

static void forward_all(void)
{
    aloop_future *forward, *write, *read;

    f.fds_before = open_descriptors(FDS_MAX);
    forward = aloop_stream_forward(f.source[1], f.target[0]);
    write = aloop_stream_write(f.source[0], f.bytes, TRANSFER);
    read = aloop_stream_read_exactly(f.target[1], f.got, TRANSFER);
    aloop_defer(f.loop, count_descriptors, NULL);
    assert_int_equal(aloop_await(read), TRANSFER);
    assert_int_equal(aloop_await(write), TRANSFER);
    assert_memory_equal(f.got, f.bytes, TRANSFER);
    assert_int_equal(aloop_await(aloop_stream_shutdown(f.source[0])), 0);
    assert_int_equal(aloop_await(forward), TRANSFER);
    assert_int_equal(aloop_await(aloop_stream_read(f.target[1], f.got, 1)), 0);
}

static void a_large_transfer_between_all_kinds_is_spliced(void **state)
{
    static void (*const kinds[])(aloop_stream *
                                 ends[2]) = {open_unix, open_pipe, open_tcp};
    const size_t count = sizeof kinds / sizeof kinds[0];

    (void) state;
    for (size_t i = 0; i < count; i++) {
        f.fds_most = 0;
        kinds[i](f.source);
        kinds[(i + 1) % count](f.target);
        forward_all();
#ifdef __linux__
        assert_int_equal(f.fds_most, f.fds_before + 2);
#endif
        close_ends(f.source);
        close_ends(f.target);
        aloop_step(f.loop, 0);
    }
}

/* SIGPIPE would end the test. */
static void a_target_that_closes_during_a_splice_ends_the_forward(void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        aloop_future *forward, *write;
        ssize_t status;

        open_unix(f.source);
        (i == 0 ? open_pipe : open_tcp)(f.target);
        forward = aloop_stream_forward(f.source[1], f.target[0]);
        write = aloop_stream_write(f.source[0], f.bytes, TRANSFER);
        assert_int_equal(aloop_await(aloop_stream_read_exactly(
                             f.target[1], f.got, TRANSFER / 2)),
                         TRANSFER / 2);
        aloop_stream_abort(f.target[1]);
        status = aloop_await(forward);
        assert_true(status == ALOOP_EPIPE || status == ALOOP_ECONNRESET);
        assert_int_equal(aloop_cancel(write), 1);
        aloop_future_unref(write);
        close_ends(f.source);
        aloop_stream_close(f.target[0]);
    }
}

/* Waits for the forward, for a limited time. */
static ssize_t end_of(aloop_future *forward)
{
    return aloop_await(aloop_timeout(forward, ALOOP_SEC(20)));
}

/* Nothing arrives that the forward could fail to send. */
static void a_target_that_is_closed_ends_an_idle_forward(void **state)
{
    static void (*const kinds[])(aloop_stream *
                                 ends[2]) = {open_unix, open_pipe, open_tcp};

    (void) state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        aloop_future *forward;
        ssize_t status;

        open_unix(f.source);
        kinds[i](f.target);
        forward = aloop_stream_forward(f.source[1], f.target[0]);
        aloop_await(aloop_sleep(f.loop, 0));
        aloop_stream_abort(f.target[1]);
        status = end_of(forward);
        assert_true(status == ALOOP_EPIPE || status == ALOOP_ECONNRESET);
        assert_int_equal(aloop_stream_put(f.target[0], "x", 1), status);
        close_ends(f.source);
        aloop_stream_close(f.target[0]);
    }
}

/* The target takes nothing. */
static void a_source_that_is_reset_ends_a_forward_that_waits(void **state)
{
    aloop_future *forward, *write;
    size_t queued;

    (void) state;
    open_tcp(f.source);
    open_pipe(f.target);
    assert_int_equal(aloop_stream_set_watermarks(f.target[0], 0, 1), 0);
    forward = aloop_stream_forward(f.source[1], f.target[0]);
    write = aloop_stream_write(f.source[0], f.bytes, TRANSFER);
    while (aloop_stream_queued(f.target[0]) == 0)
        aloop_step(f.loop, ALOOP_SEC(1));
    queued = aloop_stream_queued(f.target[0]);
    assert_false(aloop_future_is_settled(forward));
    aloop_stream_abort(f.source[0]);
    assert_true(aloop_await(write) < 0);
    assert_int_equal(end_of(forward), ALOOP_ECONNRESET);
    assert_true(aloop_stream_queued(f.target[0]) >= queued);
    aloop_stream_close(f.source[1]);
    aloop_stream_abort(f.target[0]);
    aloop_stream_close(f.target[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_large_transfer_between_all_kinds_is_spliced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_target_that_closes_during_a_splice_ends_the_forward, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            a_target_that_is_closed_ends_an_idle_forward, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_source_that_is_reset_ends_a_forward_that_waits, set_up,
            tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
