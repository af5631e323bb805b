/* Ten thousand simultaneous connections, half of which are reset in the middle
 * of an exchange.  The server runs in this process, the clients run in a
 * child. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aloop.h"
#include "support/child.h"
#include "support/patient.h"

enum {
    WANTED = 10000,
    SLOW = 500,     /* If every instruction is many times slower. */
    POLLED = 2000,  /* If every wait scans all connections. */
    SPARE = 100,    /* Descriptors for other purposes. */
    STARTING = 500, /* Connects in progress at a time. */
    MESSAGE = 16
};

/* Memory that a loop has allocated: now, and at most. */
static size_t bytes, bytes_most;

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) context;
    bytes += new_size;
    bytes -= old_size;
    bytes_most = bytes > bytes_most ? bytes : bytes_most;
    if (new_size > 0)
        return realloc(old, new_size);
    free(old);
    return NULL;
}

static bool is_slow(void)
{
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND)
        return true;
#endif
    return WITH_ASAN || WITH_TSAN;
}

/* Returns the number of connections: as many as wanted, within the system's
 * limits. */
static int connections(void)
{
    struct rlimit limit;
    int count = is_slow() ? SLOW : WANTED;

    if (count > POLLED && strcmp(aloop_reactor(), "poll") == 0)
        count = POLLED;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < (rlim_t) count + SPARE)
        count = (int) limit.rlim_max - SPARE;
    limit.rlim_cur = (rlim_t) count + SPARE;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return count;
}

/* The clients. */

struct client {
    aloop_stream *stream;
    int got;
};

static struct {
    aloop *loop;
    const char *port;
    struct client *all;
    int count;
    int started, ready, done;
} c;

static void start_next(void);

static void reset_odd_clients(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    for (int i = 1; i < c.count; i += 2)
        aloop_stream_abort(c.all[i].stream);
}

/* Called when all clients are connected.  Each of them sends once more, and the
 * odd ones reset their connections before they can have read an answer. */
static void send_again(void)
{
    char message[MESSAGE] = "and once again\n";

    for (int i = 0; i < c.count; i++)
        CHECK(aloop_stream_put(c.all[i].stream, message, MESSAGE) == 0);
    CHECK(aloop_defer(c.loop, reset_odd_clients, NULL) == 0);
}

static void on_answer(aloop_stream *stream, const void *data, ssize_t size,
                      void *arg)
{
    struct client *client = arg;

    (void) data;
    CHECK(size > 0);
    client->got += (int) size;
    if (client->got == MESSAGE && ++c.ready == c.count)
        send_again();
    if (client->got == 2 * MESSAGE) {
        c.done++;
        aloop_stream_close(stream);
    }
}

static void on_connected(aloop_future *future, ssize_t status, void *arg)
{
    struct client *client = arg;
    char message[MESSAGE] = "how do you do?\n";

    (void) future;
    CHECK(status == 0);
    CHECK(aloop_stream_start(client->stream, on_answer, client) == 0);
    CHECK(aloop_stream_put(client->stream, message, MESSAGE) == 0);
    start_next();
}

static void start_next(void)
{
    struct client *client = &c.all[c.started];

    if (c.started == c.count)
        return;
    c.started++;
    CHECK(aloop_then(
              aloop_tcp_connect(c.loop, "127.0.0.1", c.port, &client->stream),
              on_connected, client) == 0);
}

static _Noreturn void run_clients(const char *port, int count)
{
    c.loop = aloop_new(NULL);
    c.port = port;
    c.count = count;
    c.all = calloc((size_t) count, sizeof *c.all);
    CHECK(c.loop != NULL && c.all != NULL);
    for (int i = 0; i < STARTING; i++)
        start_next();
    CHECK(aloop_run(c.loop) == 0);
    CHECK(c.done == (count + 1) / 2);
    CHECK(aloop_free(c.loop) == 0);
    free(c.all);
    _exit(0);
}

/* The server. */

static struct {
    aloop *loop;
    aloop_listener *listener;
    pid_t child;
    int status; /* Exit status of the child, once it has ended. */
    int open, most, ended, resets, total;
    int ended_before;       /* At the last tick of the timer. */
    aloop_stream **streams; /* In the order of accepting; NULL: closed. */
    int accepted;
} s;

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    if (size > 0) {
        aloop_stream_put(stream, data, (size_t) size);
        return;
    }
    *(aloop_stream **) arg = NULL;
    s.resets += size < 0;
    s.open--;
    aloop_stream_close(stream);
    if (++s.ended == s.total)
        aloop_listener_close(s.listener);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    s.open++;
    s.most = s.open > s.most ? s.open : s.most;
    s.streams[s.accepted] = stream;
    aloop_stream_start(stream, on_data, &s.streams[s.accepted++]);
}

/* A reset is sent only once, and a busy kernel may drop packets even between
 * its own processes.  Data sent to a connection that no longer exists is
 * answered with another reset. */
static void ask_for_lost_resets(void)
{
    for (int i = 0; i < s.accepted; i++)
        if (s.streams[i] != NULL)
            aloop_stream_put(s.streams[i], "?", 1);
}

/* A failing child must not leave the server waiting for it.  Once the child has
 * ended and no connection has ended between two ticks, the server asks for lost
 * resets.  It must not ask earlier: the end of a connection may still be
 * queued, and the answer to such data would turn that end into a reset. */
static void check_child(aloop_timer *timer, void *arg)
{
    (void) arg;
    if (s.child > 0 &&
        patient_waitpid(s.child, &s.status, WNOHANG) == s.child) {
        s.child = 0;
        if (s.status != 0)
            aloop_stop(s.loop);
    }
    if (s.ended == s.total)
        aloop_timer_close(timer);
    else if (s.child == 0 && s.ended == s.ended_before)
        ask_for_lost_resets();
    s.ended_before = s.ended;
}

static void serve(int count)
{
    aloop_options options = {.size = sizeof options, .resize = resize};
    aloop_timer *timer;
    char port[8];

    s.total = count;
    s.streams = calloc((size_t) count, sizeof *s.streams);
    assert_non_null(s.streams);
    s.loop = aloop_new(&options);
    assert_int_equal(aloop_tcp_listen(s.loop, "127.0.0.1", "0", on_stream, NULL,
                                      &s.listener),
                     0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(s.listener));
    s.child = fork();
    assert_true(s.child >= 0);
    if (s.child == 0) {
        CHECK(aloop_after_fork(s.loop) == 0);
        CHECK(aloop_free(s.loop) == 0);
        run_clients(port, count);
    }
    aloop_timer_start(s.loop, ALOOP_MS(50), ALOOP_MS(50), check_child, NULL,
                      &timer);
    assert_int_equal(aloop_run(s.loop), 0);
}

static void half_of_ten_thousand_connections_are_reset(void **state)
{
    int count = connections();
    int before = open_descriptors(count + SPARE);

    (void) state;
    serve(count);

    assert_int_equal(s.status, 0);
    assert_int_equal(s.most, count);
    assert_int_equal(s.ended, count);
    assert_int_equal(s.open, 0);
    assert_true(s.resets > 0 && s.resets <= count / 2);
    assert_int_equal(aloop_free(s.loop), 0);
    free(s.streams);
    assert_int_equal(bytes, 0);
    assert_int_equal(open_descriptors(count + SPARE), before);
    print_message("%d simultaneous connections, %d reset, %zu bytes each\n",
                  count, s.resets, bytes_most / (size_t) count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_of_ten_thousand_connections_are_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
