/* What the tests of the simulated system itself share: a fresh world for each
 * test, and a reactor in it. */

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

/* What a test may use and remember; zeroed before each. */
static struct {
    struct aloop__reactor *reactor;
    struct aloop__event events[EVENTS];
    int ran;        /* How often something did, or which signal's. */
    int64_t ran_ns; /* When it last did, ... */
    uintptr_t self; /* ... and on which thread. */
    struct sys_monitor *monitor;
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
    assert_int_equal(aloop__reactor_set(f.reactor, fd, 7, REACTOR_READ, 0),
                     0);
}

#endif
