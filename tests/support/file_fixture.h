/* For tests of files on the simulated system, beside fixture.h. */

#ifndef FILE_FIXTURE_H
#define FILE_FIXTURE_H

#include "support/fixture.h"

#include "simulator/sim_file.h"

/* Every call that can block has to run on a thread. */
static inline int file_tear_down(void **state)
{
    unsigned calls = sim_file_blocking_calls();
    int error = tear_down(state);

    assert_int_equal(calls, 0);
    return error;
}

/* Makes calls on threads last, so that a test can act meanwhile. */
static inline void slow_down(void)
{
    sim_options()->file_delay_max_ns = ALOOP_SEC(1);
}

/* Has a thread begin what was submitted. */
static inline void begin(void)
{
    turns(2);
    sim_pass(1);
}

#endif
