/* TCP of the kernel: echoes, ends of streams, addresses. */

#define _XOPEN_SOURCE 700 /* For setitimer(). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aloop.h"
#include "support/storm.h"

enum { TOTAL = 4 * 1024 * 1024, CHUNK = 100000 };

static struct {
    aloop *loop;
    aloop_listener *listener;
    char port[8];
    aloop_stream *client, *server;
    size_t bytes; /* Allocated by the loop. */
    int calls;
    ssize_t last;
} f;

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) context;
    f.bytes += new_size;
    f.bytes -= old_size;
    if (new_size > 0)
        return realloc(old, new_size);
    free(old);
    return NULL;
}

static int set_up(void **state)
{
    aloop_options options = {.size = sizeof options, .resize = resize};

    (void) state;
    memset(&f, 0, sizeof f);
    f.loop = aloop_new(&options);
    return f.loop == NULL;
}

static int tear_down(void **state)
{
    (void) state;
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(f.bytes, 0);
    return 0;
}

static void keep(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) arg;
    f.server = stream;
    aloop_listener_close(listener);
    f.listener = NULL;
}

static int listen_on(const char *host, aloop_listener_cb on_stream)
{
    int error =
        aloop_tcp_listen(f.loop, host, "0", on_stream, NULL, &f.listener);

    if (error == 0)
        snprintf(f.port, sizeof f.port, "%d", aloop_listener_port(f.listener));
    return error;
}

/* Connects two streams of one loop. */
static void connect_both(const char *host)
{
    assert_int_equal(listen_on(host, keep), 0);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(f.loop, host, f.port, &f.client)), 0);
    while (f.server == NULL)
        assert_true(aloop_step(f.loop, -1) >= 0);
}

static void close_both(void)
{
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
}

/* Checks a kqueue that consumes the error when it reports the event, and
 * others. */
static void a_refused_connect_returns_the_error_on_each_kqueue(void **state)
{
    static const char name[] = "KQUEUE_STANDIN_TAKES_ERRORS";

    (void) state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(listen_on("127.0.0.1", keep), 0);
        aloop_listener_close(f.listener);
        if (i == 0)
            setenv(name, "1", 1);
        assert_int_equal(aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1",
                                                       f.port, &f.client)),
                         ALOOP_ECONNREFUSED);
        unsetenv(name);
    }
}

static char byte_at(size_t place)
{
    return (char) (place * 31 + place / 251 + place / 65521);
}

static ssize_t serve(aloop *loop, void *arg)
{
    static char bytes[CHUNK];
    ssize_t n;

    (void) loop;
    while ((n = aloop_await(aloop_stream_read(arg, bytes, CHUNK))) > 0) {
        n = aloop_await(aloop_stream_write(arg, bytes, (size_t) n));
        if (n < 0)
            break;
    }
    aloop_stream_close(arg);
    return n;
}

static ssize_t send_all(aloop *loop, void *arg)
{
    static char bytes[CHUNK];
    size_t size;

    (void) loop;
    for (size_t place = 0; place < TOTAL; place += size) {
        size = 1 + place % CHUNK;
        if (size > TOTAL - place)
            size = TOTAL - place;
        for (size_t i = 0; i < size; i++)
            bytes[i] = byte_at(place + i);
        assert_int_equal(aloop_await(aloop_stream_write(arg, bytes, size)),
                         (ssize_t) size);
    }
    return aloop_await(aloop_stream_shutdown(arg));
}

static void an_echo_of_megabytes_by_tasks_is_unaltered(void **state)
{
    static char bytes[CHUNK];
    aloop_future *server, *sender;
    size_t total = 0;
    ssize_t n;

    (void) state;
    connect_both("127.0.0.1");
    server = aloop_spawn(f.loop, serve, f.server);
    sender = aloop_spawn(f.loop, send_all, f.client);
    while ((n = aloop_await(aloop_stream_read(f.client, bytes, CHUNK))) > 0)
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(bytes[i], byte_at(total++));

    assert_int_equal(n, 0);
    assert_int_equal(total, TOTAL);
    assert_int_equal(aloop_await(sender), 0);
    assert_int_equal(aloop_await(server), 0);
    aloop_stream_close(f.client);
}

static void echo(aloop_stream *stream, const void *data, ssize_t size,
                 void *arg)
{
    (void) arg;
    if (size > 0)
        aloop_stream_put(stream, data, (size_t) size);
    else
        aloop_stream_close(stream);
}

static void an_echo_of_megabytes_by_callback_is_unaltered(void **state)
{
    static char bytes[CHUNK];
    aloop_future *sender;
    size_t total = 0;
    ssize_t n;

    (void) state;
    connect_both("127.0.0.1");
    aloop_stream_start(f.server, echo, NULL);
    sender = aloop_spawn(f.loop, send_all, f.client);
    while ((n = aloop_await(aloop_stream_read(f.client, bytes, CHUNK))) > 0)
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(bytes[i], byte_at(total++));

    assert_int_equal(total, TOTAL);
    assert_int_equal(aloop_await(sender), 0);
    aloop_stream_close(f.client);
}

/* Failure class 28: EINTR.  The handler is installed without SA_RESTART, so
 * that a signal interrupts every call that can be interrupted. */
static void an_echo_works_despite_interruptions(void **state)
{
    atomic_store(&signals, 0);
    storm(1000);
    while (atomic_load(&signals) < 20) {
        an_echo_of_megabytes_by_tasks_is_unaltered(state);
        f.server = NULL;
    }
    storm(0);
}

static void addresses_are_returned_as_text(void **state)
{
    char local[96], peer[96], small[4] = "abc";

    (void) state;
    connect_both("127.0.0.1");

    assert_true(aloop_stream_peer(f.client, peer, sizeof peer) > 0);
    assert_memory_equal(peer, "127.0.0.1:", 10);
    assert_string_equal(peer + 10, f.port);
    assert_true(aloop_stream_local(f.client, local, sizeof local) > 0);
    aloop_stream_peer(f.server, peer, sizeof peer);
    assert_string_equal(peer, local);
    assert_int_equal(aloop_stream_peer(f.client, small, 4), -ENOSPC);
    assert_string_equal(small, "abc"); /* Nothing was written. */
    assert_int_equal(aloop_tcp_set_nodelay(f.client, false), 0);
    close_both();
}

static void ipv6_works_if_available(void **state)
{
    char peer[96];

    (void) state;
    if (listen_on("::1", keep) < 0)
        skip();
    aloop_listener_close(f.listener);
    connect_both("::1");

    assert_true(aloop_stream_peer(f.client, peer, sizeof peer) > 0);
    assert_memory_equal(peer, "[::1]:", 6);
    close_both();
}

static void a_null_host_listens_on_every_local_address(void **state)
{
    (void) state;
    assert_int_equal(listen_on(NULL, keep), 0);

    assert_int_equal(
        aloop_await(aloop_tcp_connect(f.loop, "localhost", f.port, &f.client)),
        0);
    while (f.server == NULL)
        aloop_step(f.loop, -1);
    close_both();
}

static void a_port_in_use_is_refused_until_its_listener_is_closed(void **state)
{
    aloop_listener *second = NULL;

    (void) state;
    assert_int_equal(listen_on("127.0.0.1", keep), 0);
    assert_int_equal(
        aloop_tcp_listen(f.loop, "127.0.0.1", f.port, keep, NULL, &second),
        ALOOP_EADDRINUSE);
    aloop_listener_close(f.listener);

    assert_int_equal(
        aloop_tcp_listen(f.loop, "127.0.0.1", f.port, keep, NULL, &second), 0);
    aloop_listener_close(second);
}

static void a_closed_port_refuses(void **state)
{
    (void) state;
    assert_int_equal(listen_on("127.0.0.1", keep), 0);
    aloop_listener_close(f.listener);

    assert_int_equal(
        aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", f.port, &f.client)),
        ALOOP_ECONNREFUSED);
    assert_null(f.client);
}

static void a_half_closed_connection_still_carries_the_answer(void **state)
{
    char text[16];

    (void) state;
    connect_both("127.0.0.1");
    aloop_stream_put(f.client, "question", 8);
    assert_int_equal(aloop_await(aloop_stream_shutdown(f.client)), 0);
    assert_int_equal(
        aloop_await(aloop_stream_read_to_end(f.server, text, sizeof text)), 8);
    aloop_stream_put(f.server, "answer", 6);
    aloop_stream_close(f.server);

    assert_int_equal(
        aloop_await(aloop_stream_read_to_end(f.client, text, sizeof text)), 6);
    aloop_stream_close(f.client);
}

static void note_end(aloop_stream *stream, const void *data, ssize_t size,
                     void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    if (size <= 0) {
        f.calls++;
        f.last = size;
    }
}

static void an_abort_is_a_reset_to_the_other_end(void **state)
{
    (void) state;
    connect_both("127.0.0.1");
    aloop_stream_start(f.client, note_end, NULL);
    aloop_stream_abort(f.server);

    assert_int_equal(aloop_run(f.loop), 0);

    assert_int_equal(f.calls, 1);
    assert_int_equal(f.last, ALOOP_ECONNRESET);
    aloop_stream_close(f.client);
}

/* Failure class 27: SIGPIPE kills the process. */
static void writing_to_a_reset_connection_gives_an_error_and_no_signal(
    void **state)
{
    char byte;
    ssize_t status;

    (void) state;
    connect_both("127.0.0.1");
    aloop_stream_abort(f.server);
    assert_int_equal(aloop_await(aloop_stream_read(f.client, &byte, 1)),
                     ALOOP_ECONNRESET);

    status = aloop_await(aloop_stream_write(f.client, "x", 1));
    assert_true(status == ALOOP_EPIPE || status == ALOOP_ECONNRESET);
    assert_true(aloop_await(aloop_stream_write(f.client, "x", 1)) < 0);
    assert_true(aloop_stream_put(f.client, "x", 1) < 0);
    assert_int_equal(aloop_stream_queued(f.client), 0);
    aloop_stream_close(f.client);
}

/* Failure class 15: a hang-up while only writability is watched. */
static void a_reset_ends_a_waiting_write(void **state)
{
    static char big[32 * 1024 * 1024];
    aloop_future *write;
    ssize_t status;

    (void) state;
    connect_both("127.0.0.1");
    write = aloop_stream_write(f.client, big, sizeof big);
    for (int i = 0; i < 10; i++)
        aloop_step(f.loop, 0);
    assert_false(aloop_future_is_settled(write));
    aloop_stream_abort(f.server);

    status = aloop_await(write);
    assert_true(status == ALOOP_EPIPE || status == ALOOP_ECONNRESET);
    assert_int_equal(aloop_await(aloop_stream_read(f.client, big, 1)),
                     ALOOP_ECONNRESET);
    aloop_stream_close(f.client);
}

static void check_reset_is_not_an_end(bool is_read_meanwhile)
{
    static char big[32 * 1024 * 1024];
    char got[8];
    aloop_future *read = NULL, *write;

    connect_both("127.0.0.1");
    assert_int_equal(aloop_await(aloop_stream_write(f.server, "half", 4)), 4);
    if (is_read_meanwhile)
        read = aloop_stream_read_to_end(f.client, got, sizeof got);
    write = aloop_stream_write(f.client, big, sizeof big);
    for (int i = 0; i < 10; i++)
        aloop_step(f.loop, 0);
    aloop_stream_abort(f.server);
    assert_true(aloop_await(write) < 0);

    if (!is_read_meanwhile)
        read = aloop_stream_read_to_end(f.client, got, sizeof got);
    assert_int_equal(aloop_await(read), ALOOP_ECONNRESET);
    assert_int_equal(aloop_await(aloop_stream_read(f.client, got, 8)), 4);
    aloop_stream_close(f.client);
}

/* Holds for each call that the kernel may report the reset to. */
static void a_reset_is_not_read_as_an_end_of_stream(void **state)
{
    static const char name[] = "KQUEUE_STANDIN_TAKES_ERRORS";

    (void) state;
    for (int i = 0; i < 4; i++) {
        if (i >= 2)
            setenv(name, "1", 1);
        check_reset_is_not_an_end(i % 2 == 0);
        unsetenv(name);
    }
}

static void data_put_before_the_close_arrives_completely(void **state)
{
    static char sent[3000000], got[3000001];

    (void) state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = byte_at(i);
    connect_both("127.0.0.1");
    aloop_stream_put(f.server, sent, sizeof sent);
    aloop_stream_close(f.server);

    assert_int_equal(
        aloop_await(aloop_stream_read_to_end(f.client, got, sizeof got)),
        (ssize_t) sizeof sent);
    assert_memory_equal(got, sent, sizeof sent);
    aloop_stream_close(f.client);
}

static ssize_t read_until_cancelled(aloop *loop, aloop_stream *stream,
                                    void *arg)
{
    char byte;

    (void) loop;
    (void) arg;
    f.calls++;
    f.last = aloop_await(aloop_stream_read(stream, &byte, 1));
    aloop_stream_close(stream);
    return f.last;
}

static void a_stopped_server_cancels_what_is_open_after_the_time(void **state)
{
    aloop_server *server;
    char byte;

    (void) state;
    assert_int_equal(aloop_tcp_serve(f.loop, "127.0.0.1", "0",
                                     read_until_cancelled, NULL, NULL, &server),
                     0);
    snprintf(f.port, sizeof f.port, "%d",
             aloop_listener_port(aloop_server_listener(server)));
    assert_int_equal(
        aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", f.port, &f.client)),
        0);
    while (f.calls == 0)
        assert_true(aloop_step(f.loop, -1) >= 0);
    assert_int_equal(aloop_await(aloop_server_stop(server, ALOOP_MS(20))), 1);
    assert_int_equal(f.last, ALOOP_ECANCELED);
    assert_int_equal(aloop_await(aloop_stream_read(f.client, &byte, 1)), 0);
    aloop_stream_close(f.client);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", f.port, &f.client)),
        ALOOP_ECONNREFUSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_echo_of_megabytes_by_tasks_is_unaltered),
        TEST(an_echo_of_megabytes_by_callback_is_unaltered),
        TEST(an_echo_works_despite_interruptions),
        TEST(addresses_are_returned_as_text),
        TEST(ipv6_works_if_available),
        TEST(a_null_host_listens_on_every_local_address),
        TEST(a_refused_connect_returns_the_error_on_each_kqueue),
        TEST(a_port_in_use_is_refused_until_its_listener_is_closed),
        TEST(a_closed_port_refuses),
        TEST(a_half_closed_connection_still_carries_the_answer),
        TEST(an_abort_is_a_reset_to_the_other_end),
        TEST(writing_to_a_reset_connection_gives_an_error_and_no_signal),
        TEST(a_reset_ends_a_waiting_write),
        TEST(a_reset_is_not_read_as_an_end_of_stream),
        TEST(data_put_before_the_close_arrives_completely),
        TEST(a_stopped_server_cancels_what_is_open_after_the_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
