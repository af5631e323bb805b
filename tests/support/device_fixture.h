/* Shared by the tests of files that are opened and read on the loop's own
 * thread, on the simulated system. */

#ifndef DEVICE_FIXTURE_H
#define DEVICE_FIXTURE_H

#include "support/memory_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os/sys_file.h"
#include "simulator/sim_file.h"

static inline int set_up_device(void **state)
{
    int error = set_up_memory(state);

    sim_file_put("/a", "0123456789", 10);
    return error;
}

/* The same, but the type of the file system is that of a local disk. */
static inline int set_up_local(void **state)
{
    int error = set_up_device(state);

    sim_device("/")->is_local = true;
    return error;
}

static inline int tear_down_device(void **state)
{
    unsigned calls = sim_file_blocking_calls();
    int error = tear_down_memory(state);

    assert_int_equal(calls, 0);
    return error;
}

/* Returns whether the file was open when the function returned. */
static inline bool opens_now(const char *path, int flags)
{
    aloop_file *file = NULL;
    aloop_future *open = aloop_file_open(t.loop, path, flags, 0600, &file);
    bool is_now = aloop_future_is_settled(open);

    assert_int_equal(aloop_await(open), 0);
    aloop_file_close(file);
    aloop_run(t.loop);
    return is_now;
}

#endif
