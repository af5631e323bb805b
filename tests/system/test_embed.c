/* A loop inside the loop of a host, which polls one descriptor without a
 * timeout.  The time limit of the host is reached only in a failing test. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "aloop.h"
#include "support/patient.h"

enum { GIVE_UP_MS = 10000 };

static struct {
    aloop *loop;
    struct pollfd host;
    aloop_stream *client, *server;
    int calls;
    ssize_t status;
    int steps;
} f;

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.loop = aloop_new(NULL);
    if (f.loop == NULL)
        return -1;
    f.host = (struct pollfd){.fd = aloop_fd(f.loop), .events = POLLIN};
    return f.host.fd < 0;
}

static int tear_down(void **state)
{
    (void) state;
    return aloop_free(f.loop);
}

static bool is_readable(void)
{
    return patient_poll(&f.host, 1, 0) == 1;
}

/* Runs the host's loop until `calls` callbacks have run. */
static void host_until(int calls)
{
    while (f.calls < calls) {
        assert_int_equal(patient_poll(&f.host, 1, patient_limit(GIVE_UP_MS)),
                         1);
        assert_true(aloop_step(f.loop, 0) >= 0);
        f.steps++;
    }
}

static void assert_idle(void)
{
    for (int i = 0; i < 10 && is_readable(); i++)
        aloop_step(f.loop, 0); /* Run what is left over. */
    assert_false(is_readable());
}

static void the_descriptor_stays_the_same(void **state)
{
    (void) state;
    assert_int_equal(aloop_fd(f.loop), f.host.fd);
    assert_int_equal(aloop_fd(NULL), ALOOP_EINVAL);
}

static void an_idle_loop_is_not_readable(void **state)
{
    (void) state;
    assert_false(is_readable());
    aloop_step(f.loop, 0);
    assert_false(is_readable());
}

static void on_timer(aloop_timer *timer, void *arg)
{
    (void) arg;
    f.calls++;
    if (f.calls == 3)
        aloop_timer_close(timer);
}

static void a_timer_makes_the_descriptor_readable_only_when_due(void **state)
{
    int64_t begin = aloop_now(f.loop);
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(f.loop, ALOOP_MS(20), ALOOP_MS(20), on_timer, NULL,
                      &timer);
    host_until(1);
    assert_true(aloop_now(f.loop) - begin >= ALOOP_MS(20));
    host_until(3);

    assert_true(aloop_now(f.loop) - begin >= ALOOP_MS(60));
    assert_true(f.steps <= 6); /* There are few spurious wake-ups. */
    assert_idle();
}

static void a_stopped_timer_leaves_the_descriptor_unreadable(void **state)
{
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(f.loop, 0, 0, on_timer, NULL, &timer);
    assert_true(is_readable());
    aloop_timer_close(timer);

    assert_idle();
    assert_int_equal(f.calls, 0);
}

static void note_status(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) arg;
    f.status = status;
    f.calls++;
}

static void a_timeout_set_outside_a_turn_expires(void **state)
{
    (void) state;
    aloop_then(aloop_timeout(aloop_sleep(f.loop, ALOOP_SEC(1000)), ALOOP_MS(5)),
               note_status, NULL);

    host_until(1);

    assert_int_equal(f.status, ALOOP_ETIMEDOUT);
    assert_idle();
}

static void on_call(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    f.calls++;
}

static void *post(void *arg)
{
    aloop_post(arg, on_call, NULL);
    return NULL;
}

static void a_post_from_a_thread_makes_the_descriptor_readable(void **state)
{
    pthread_t thread;

    (void) state;
    for (int i = 1; i <= 100; i++) {
        pthread_create(&thread, NULL, post, f.loop);
        host_until(i);
        pthread_join(thread, NULL);
    }
    assert_idle();
}

static ssize_t task(aloop *loop, void *arg)
{
    (void) arg;
    f.calls++;
    return aloop_yield(loop);
}

static void queued_work_makes_the_descriptor_readable(void **state)
{
    aloop_future *promise;

    (void) state;
    aloop_defer(f.loop, on_call, NULL);
    host_until(1);
    assert_idle();
    promise = aloop_future_new(f.loop);
    aloop_then(aloop_future_ref(promise), note_status, NULL);
    assert_idle();
    aloop_future_resolve(promise, 7);
    host_until(2);
    assert_int_equal(f.status, 7);
    aloop_future_unref(promise);
    aloop_detach(aloop_spawn(f.loop, task, NULL));
    host_until(3);

    assert_idle();
    assert_false(aloop_alive(f.loop));
}

static int64_t limit_to_20_ms(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    f.calls++;
    return ALOOP_MS(20);
}

static int64_t no_limit(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    return -1;
}

static void a_limit_of_a_prepare_makes_the_descriptor_readable(void **state)
{
    int64_t begin = aloop_now(f.loop);
    aloop_prepare *prepare;

    (void) state;
    aloop_prepare_start(f.loop, limit_to_20_ms, NULL, &prepare);
    host_until(1); /* It is called before the host waits. */
    assert_false(is_readable());
    host_until(3);
    assert_true(aloop_now(f.loop) - begin >= ALOOP_MS(40));
    assert_true(f.steps <= 6);
    aloop_prepare_close(prepare);
    assert_idle();
    aloop_prepare_start(f.loop, no_limit, NULL, &prepare);
    assert_idle();
    aloop_defer(f.loop, on_call, NULL);
    host_until(4);
    assert_idle();
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) arg;
    f.server = stream;
    f.calls++;
    aloop_listener_close(listener);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    if (size > 0 && stream == f.server)
        aloop_stream_put(stream, data, (size_t) size);
    f.calls += stream == f.client;
}

static void streams_work_in_a_hosts_loop(void **state)
{
    aloop_listener *listener;
    char port[8];

    (void) state;
    aloop_tcp_listen(f.loop, "127.0.0.1", "0", on_stream, NULL, &listener);
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    aloop_then(aloop_tcp_connect(f.loop, "127.0.0.1", port, &f.client),
               note_status, NULL);
    host_until(2);
    assert_int_equal(f.status, 0);
    aloop_stream_start(f.client, on_data, NULL);
    aloop_stream_start(f.server, on_data, NULL);
    assert_idle();

    for (int i = 3; i < 103; i++) {
        aloop_stream_put(f.client, "ping", 4); /* Put outside any turn. */
        host_until(i);
    }

    assert_idle();
    assert_true(f.steps < 1000);
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
    assert_idle();
    assert_false(aloop_alive(f.loop));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_descriptor_stays_the_same),
        TEST(an_idle_loop_is_not_readable),
        TEST(a_timer_makes_the_descriptor_readable_only_when_due),
        TEST(a_stopped_timer_leaves_the_descriptor_unreadable),
        TEST(a_timeout_set_outside_a_turn_expires),
        TEST(a_post_from_a_thread_makes_the_descriptor_readable),
        TEST(queued_work_makes_the_descriptor_readable),
        TEST(a_limit_of_a_prepare_makes_the_descriptor_readable),
        TEST(streams_work_in_a_hosts_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
