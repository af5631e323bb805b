/* Shared by the tests of the simulated system: a new world for each test, and a
 * reactor in it. */

#ifndef SIM_FIXTURE_H
#define SIM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "os/reactor.h"
#include "simulator/sim.h"

enum { EVENTS = 8 };

static const int64_t SECOND = 1000000000;

/* Counts and results of a test; zeroed before each test. */
static struct {
    struct aloop__reactor *reactor;
    struct aloop__event events[EVENTS];
    int ran;        /* Number of calls of a callback, or a signal number. */
    int64_t ran_ns; /* Time of the last call. */
    uintptr_t self; /* Thread of the last call. */
    struct sys_mutex *mutex;
    struct sys_condition *condition;
} f;

static inline int set_up(void **state)
{
    (void) state;
    sim_reset(1);
    memset(&f, 0, sizeof f);
    return aloop__reactor_open(&aloop__alloc_default, &f.reactor);
}

static inline int tear_down(void **state)
{
    (void) state;
    aloop__reactor_close(f.reactor);
    sim_end();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static inline int wait_ns(int64_t timeout_ns)
{
    return aloop__reactor_wait(f.reactor, timeout_ns, f.events, EVENTS);
}

static inline void watch(int fd, unsigned bits)
{
    assert_int_equal(aloop__reactor_set(f.reactor, fd, 7, 0, bits), 0);
}

static inline void unwatch(int fd)
{
    assert_int_equal(aloop__reactor_set(f.reactor, fd, 7, REACTOR_READ, 0), 0);
}

#endif
