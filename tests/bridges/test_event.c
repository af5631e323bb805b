/* The bridge to libevent: a loop inside an event base. */

#define _POSIX_C_SOURCE 200809L

enum { HOST_ALLOCATES = 1 };

#include "host_tests.h"

#include "bridges/event_host.h"

static struct {
    struct event_base *base;
    event_host *host;
    host_fn timers[16]; /* The functions of those that were started. */
    size_t timer_count;
} e;

static void host_open(void)
{
    e.timer_count = 0;
    e.base = event_base_new();
    assert_non_null(e.base);
}

static void host_close(void)
{
    event_base_free(e.base);
    libevent_global_shutdown();
}

static int host_start(aloop *loop,
                      void (*on_idle)(aloop *loop, int status, void *arg))
{
    return event_host_start(loop, e.base, on_idle, &f, &e.host);
}

static int host_start_without_loop(void)
{
    event_host *host;

    assert_int_equal(event_host_start(f.loop, NULL, NULL, NULL, &host),
                     ALOOP_EINVAL);
    assert_int_equal(event_host_start(f.loop, e.base, NULL, NULL, NULL),
                     ALOOP_EINVAL);
    return event_host_start(NULL, e.base, NULL, NULL, &host);
}

static void host_stop(void)
{
    event_host_stop(e.host);
    e.host = NULL;
}

static void host_run(void)
{
    assert_true(event_base_loop(e.base, EVLOOP_NO_EXIT_ON_EMPTY) >= 0);
}

static void host_end(void)
{
    event_base_loopbreak(e.base);
}

static void timer_due(evutil_socket_t fd, short events, void *arg)
{
    host_fn *fn = arg;

    (void) fd;
    (void) events;
    (*fn)();
}

static void host_after_ms(int delay_ms, host_fn fn)
{
    struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000L};
    host_fn *copy = &e.timers[e.timer_count++];

    assert_true(e.timer_count <= sizeof e.timers / sizeof e.timers[0]);
    *copy = fn;
    assert_int_equal(
        event_base_once(e.base, -1, EV_TIMEOUT, timer_due, copy, &delay), 0);
}

static void host_after_fork(void)
{
    CHECK(event_reinit(e.base) == 0);
}

/* The loop keeps the base alive only by the event. */
static void the_base_ends_when_on_idle_stops(void **state)
{
    (void) state;
    host_stop();
    assert_int_equal(host_start(f.loop, idle), 0);
    aloop_detach(aloop_sleep(f.loop, ALOOP_MS(5)));

    assert_true(event_base_dispatch(e.base) >= 0);

    assert_int_equal(f.idle_calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST_TESTS,
        TEST(the_base_ends_when_on_idle_stops),
    };

    return cmocka_run_group_tests_name("event", tests, host_warm_up, NULL);
}
