/* Tests of connections whose system calls or allocations fail. */

#include "support/stream_fixture.h"

#include <string.h>

static aloop_stream *accepted;

static void keep(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) arg;
    accepted = stream;
    aloop_listener_close(listener);
}

static ssize_t read_line(aloop_stream *stream)
{
    char line[64];

    return aloop_await(aloop_timeout(
        aloop_stream_read_until(stream, line, sizeof line, "\n", 1),
        ALOOP_SEC(1)));
}

/* Listens, connects, sends a line each way, and closes.  Returns 0 or the first
 * error. */
static ssize_t talk(void)
{
    aloop_listener *listener = NULL;
    aloop_stream *stream = NULL;
    ssize_t error;

    accepted = NULL;
    error = aloop_tcp_listen(t.loop, "127.0.0.1", "7", keep, NULL, &listener);
    if (error < 0)
        return error;
    error = aloop_await(aloop_timeout(
        aloop_tcp_connect(t.loop, "localhost", "7", &stream), ALOOP_SEC(1)));
    for (int i = 0; i < 200 && error == 0 && accepted == NULL; i++)
        error = aloop_await(aloop_sleep(t.loop, MS));
    if (error == 0 && accepted == NULL)
        error = ALOOP_ETIMEDOUT;
    if (accepted == NULL)
        aloop_listener_close(listener);
    if (error == 0)
        error = aloop_stream_put(stream, "hello\n", 6);
    if (error == 0)
        error = read_line(accepted);
    if (error > 0)
        error = aloop_await(aloop_stream_write(accepted, "you\n", 4));
    if (error > 0)
        error = read_line(stream);
    if (error > 0)
        error = aloop_await(aloop_stream_shutdown(stream));
    aloop_stream_close(stream);
    aloop_stream_close(accepted);
    return error < 0 ? error : 0;
}

static const char *const localhost[] = {"::1", "127.0.0.1", NULL};

static void settled_futures_kept_until_the_loop_ends_leak_nothing(void **state)
{
    aloop_stream *stream;
    char buffer[4];

    (void) state;
    assert_true(renew(1));
    sim_host("localhost", localhost);
    sim_listen("127.0.0.1", 7, 1);
    aloop_future *connect =
        aloop_tcp_connect(t.loop, "localhost", "7", &stream);
    aloop_run(t.loop);
    assert_int_equal(aloop_future_status(connect), 0);
    assert_non_null(aloop_stream_read(stream, buffer, sizeof buffer));
    assert_non_null(aloop_stream_write(stream, "bye", 3));
    assert_non_null(aloop_stream_shutdown(stream));
    aloop_stream_close(stream);

    leave();
}

static void a_failing_allocation_ends_in_an_error_and_leaks_nothing(
    void **state)
{
    ssize_t error = -1;
    unsigned failures = 0;

    (void) state;
    for (unsigned n = 1; error < 0 || memory.calls >= memory.fails_at; n++) {
        memory.calls = 0;
        memory.fails_at = n;
        error = -1;
        if (renew(1)) {
            sim_host("localhost", localhost);
            error = talk();
        }
        failures += error < 0;
        leave();
        assert_true(n < 1000);
    }
    memory.fails_at = 0;
    assert_true(failures > 10);
}

static void a_failing_call_ends_in_an_error_or_success_and_leaks_nothing(
    void **state)
{
    static const int errors[] = {ALOOP_ENOMEM, ALOOP_EMFILE, ALOOP_EAGAIN,
                                 ALOOP_ECONNRESET, -EIO};
    unsigned pending, failures = 0, n;

    (void) state;
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++)
        for (n = 1, pending = 0; pending == 0; n++) {
            assert_true(renew(1));
            sim_host("localhost", localhost);
            sim_fail(NULL, n, errors[e]);
            failures += talk() < 0;
            aloop_step(t.loop, 0);
            pending = sim_faults_pending();
            leave();
            assert_true(n < 1000);
        }
    assert_true(failures > 10);
}

/* The functions of the seam that can fail. */
static const char *const calls[] = {
#define FAILS(function, lasting, passing) "aloop__" #function,
#include "support/sys_calls.def"
};

static void every_call_that_a_connection_makes_may_fail(void **state)
{
    enum { MADE_MIN = 19 };
    unsigned made = 0;

    (void) state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_true(renew(1));
        sim_host("localhost", localhost);
        sim_fail(calls[i], 1, -EIO);
        talk();
        made += sim_faults_pending() == 0;
        leave();
    }
    assert_true(made >= MADE_MIN);
}

/* A failed read returns its bytes to the stream.  If there is no memory for
 * them, they are lost, and later reads must not continue as if they were
 * not. */
static void a_read_that_cannot_give_its_bytes_back_leaves_no_gap(void **state)
{
    bool has_failed = true;

    (void) state;
    for (unsigned n = 1; has_failed; n++) {
        aloop_stream *stream;
        char buffer[4];
        ssize_t status;

        assert_true(renew(1));
        stream = connected();
        send_text("abcdefgh");
        memory.fails_at = memory.calls + n;
        aloop_await(aloop_stream_read_until(stream, buffer, 4, "\n", 1));
        has_failed = memory.calls >= memory.fails_at;
        memory.fails_at = 0;
        status = aloop_await(aloop_stream_read(stream, buffer, 4));

        if (status != ALOOP_ENOMEM || !has_failed) {
            assert_int_equal(status, 4);
            assert_memory_equal(buffer, "abcd", 4);
        }
        aloop_stream_close(stream);
        leave();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(settled_futures_kept_until_the_loop_ends_leak_nothing),
        TEST(a_failing_allocation_ends_in_an_error_and_leaks_nothing),
        TEST(a_failing_call_ends_in_an_error_or_success_and_leaks_nothing),
        TEST(every_call_that_a_connection_makes_may_fail),
        TEST(a_read_that_cannot_give_its_bytes_back_leaves_no_gap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
