/* The host loop, if there is one: it waits for aloop_fd(), and its wait ends
 * when a turn has something to do.
 *
 * Events make aloop_fd() readable by themselves.  Everything else that a turn
 * would do has no descriptor: queued work, deadlines, limits of prepares and
 * trimming.  For these an embedded loop sets the alarm of the reactor.  Every
 * function that changes them calls aloop__host_update() if `is_embedded`; while
 * a turn runs this does nothing, because it is done once, when the loop returns
 * to its caller.  A loop that is not embedded pays only for the test of
 * `is_embedded`. */

#include "loop/host.h"

#include "loop/clock.h"
#include "loop/live.h"
#include "loop/prepare.h"
#include "loop/timed.h"
#include "loop/trim.h"
#include "os/reactor.h"

/* Converts a time of the loop's clock, which may be the application's, to the
 * system's clock.  A time that has passed becomes INT64_MIN. */
static int64_t by_system(aloop *loop, int64_t when_ns)
{
    int64_t left_ns;

    if (when_ns == INT64_MAX || !loop->has_own_clock)
        return when_ns;
    left_ns = aloop__until(aloop__now(loop), when_ns);
    return left_ns == 0 ? INT64_MIN
                        : aloop__after(aloop__sys_clock_ns(), left_ns);
}

/* Returns from when on a turn has something to do, by the system's clock:
 * INT64_MIN if it is queued, INT64_MAX if only an event can cause that.  The
 * result is the minimum of the next deadline, the next limit of a prepare, and
 * the next step of trimming. */
static int64_t due_ns(aloop *loop)
{
    int64_t when_ns, trim_ns;

    if (aloop__has_work(loop) || !list_is_empty(&loop->closed) ||
        !list_is_empty(&loop->timers.due))
        return INT64_MIN;
    when_ns = aloop__deadline_next(loop);
    if (!list_is_empty(&loop->prepares)) {
        int64_t limit_ns = aloop__prepares_next(loop);

        when_ns = limit_ns < when_ns ? limit_ns : when_ns;
    }
    when_ns = by_system(loop, when_ns);
    trim_ns = aloop__trim_next(loop);
    return trim_ns < when_ns ? trim_ns : when_ns;
}

bool aloop__host_is_due(aloop *loop)
{
    int64_t when_ns = due_ns(loop);

    return when_ns == INT64_MIN ||
           (when_ns != INT64_MAX && when_ns <= aloop__sys_clock_ns());
}

/* In a forked child the reactor is still the parent's, and its alarm, too. */
NOINLINE void aloop__host_update(aloop *loop)
{
    if (!loop->is_running && !aloop__is_foreign(loop))
        aloop__reactor_alarm(loop->reactor, due_ns(loop));
}

void aloop__timed_clear(aloop *loop, struct aloop__timed *timed)
{
    aloop__timed_stop(&loop->timers, timed);
    if (loop->is_embedded)
        aloop__host_update(loop);
}
