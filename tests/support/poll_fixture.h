/* Polls of one of two connected sockets. */

#ifndef POLL_FIXTURE_H
#define POLL_FIXTURE_H

#include "aloop/poll.h"

#include <errno.h>

#include "loop/io.h"
#include "loop/state.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "support/memory_fixture.h"

enum {
    READABLE = ALOOP_POLL_READABLE,
    WRITABLE = ALOOP_POLL_WRITABLE,
    PRIORITY = ALOOP_POLL_PRIORITY,
    HANGUP = ALOOP_POLL_HANGUP,
    ERROR = ALOOP_POLL_ERROR,
    POLLS = 4
};

/* A poll, what was reported to it, and what it is to do in its callback. */
struct watched {
    aloop_poll *poll;
    int calls;
    unsigned events; /* Of the last call. */
    bool is_reading, is_pausing, is_closing;
    struct watched *closes_other, *starts_other;
};

static struct watched p[POLLS];
static int fds[2]; /* Two connected sockets; -1 when closed. */

static inline void start(struct watched *w, int fd, unsigned events);

static inline void on_ready(aloop_poll *poll, unsigned events, void *arg)
{
    struct watched *w = arg;
    char byte;

    assert_ptr_equal(poll, w->poll);
    w->calls++;
    w->events = events;
    if (w->is_reading && (events & READABLE) != 0)
        assert_true(aloop__sys_recv(aloop_poll_fd(poll), &byte, 1) >= 0);
    if (w->is_pausing)
        assert_int_equal(aloop_poll_set_events(poll, 0), 0);
    if (w->is_closing)
        aloop_poll_close(poll);
    if (w->closes_other != NULL)
        aloop_poll_close(w->closes_other->poll);
    if (w->starts_other != NULL)
        start(w->starts_other, fds[0], READABLE);
    w->starts_other = NULL;
}

static inline void start(struct watched *w, int fd, unsigned events)
{
    assert_int_equal(
        aloop_poll_start(t.loop, fd, events, on_ready, w, &w->poll), 0);
    assert_non_null(w->poll);
}

static inline int begin(void **state)
{
    int error = set_up(state);

    for (int i = 0; i < POLLS; i++)
        p[i] = (struct watched){0};
    return error == 0 ? sim_pair(fds) : error;
}

static inline void close_end(int i)
{
    if (fds[i] >= 0)
        aloop__sys_close(fds[i]);
    fds[i] = -1;
}

/* The loop ends first, and must leave the descriptors open. */
static inline int end(void **state)
{
    aloop_free(t.loop);
    t.loop = NULL;
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            assert_int_equal(aloop__sys_close(fds[i]), 0);
    return tear_down(state);
}

#define POLL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static inline void send_bytes(int i, int count)
{
    while (count-- > 0)
        assert_int_equal(aloop__sys_send(fds[i], "x", 1), 1);
    assert_true(sim_poll(fds[1 - i], -1));
}

#endif
