/* Shared by the tests of fork(): a loop on the real system, a connection within
 * it, and a thread that posts. */

#ifndef FORK_FIXTURE_H
#define FORK_FIXTURE_H

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

/* Counts and results of a test; zeroed before each test. */
static struct {
    aloop *loop;
    aloop_stream *client, *server;
    struct pollfd host;
    int posts, signals, timers, bytes;
    char text[16];
    bool is_child;
} f;

static inline int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.loop = aloop_new(NULL);
    return f.loop == NULL;
}

static inline int tear_down(void **state)
{
    (void) state;
    return aloop_free(f.loop);
}

static inline void keep(aloop_listener *listener, aloop_stream *stream,
                        void *arg)
{
    (void) arg;
    f.server = stream;
    aloop_listener_close(listener);
}

static inline void connect_both(void)
{
    aloop_listener *listener;
    char port[8];

    assert_int_equal(
        aloop_tcp_listen(f.loop, "127.0.0.1", "0", keep, NULL, &listener), 0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    assert_int_equal(
        aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", port, &f.client)),
        0);
    while (f.server == NULL)
        assert_true(aloop_step(f.loop, -1) >= 0);
}

static inline void on_post(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    f.posts++;
}

/* The function of a thread, which ends after the post. */
static inline void *post(void *arg)
{
    aloop_post(f.loop, on_post, arg);
    return NULL;
}

static inline void on_signal(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) number;
    (void) arg;
    f.signals++;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
