/* Whether a loop is alive, and whether it has work to do.
 *
 * aloop_run() returns when the loop is not alive; a turn does not sleep while
 * there is work.  Work includes what wakes the loop by a descriptor that may be
 * late: the posts of other threads and signals. */

#include "loop/live.h"

/* Timers are not asked: what they belong to counts in loop->live, unless it is
 * unreferenced. */
bool aloop__is_alive(const aloop *loop)
{
    return loop->live > 0 || loop->lingering > 0 || aloop__has_work(loop);
}
