/* The loop that runs on this thread.
 *
 * A turn sets it (turn_begin() in turn.c), and so do the calls of on_cancel
 * (operation.c); both restore the previous value.  It distinguishes calls from
 * inside a loop from those outside, which decides for example what an await
 * does.  It is a variable of the thread, because each thread may run a loop of
 * its own.  A callback of one loop may run a turn of another loop on the same
 * thread; the value is then that inner loop. */

#include "loop/running.h"

#include "aloop/loop.h"

_Thread_local aloop *aloop__running_loop;

aloop *aloop__running_set(aloop *loop)
{
    aloop *outer = aloop__running_loop;

    aloop__running_loop = loop;
    return outer;
}

aloop *aloop_current(void)
{
    return aloop__running_loop;
}
