/* The clock of a loop.
 *
 * The application may supply the clock, which then may be wrong.  What the
 * library relies on is ensured here: the time never goes back, and no time is
 * INT64_MAX, which stands for "never" in the queue of deadlines.  The
 * arithmetic saturates, so that any delay of an application is valid. */

#include "loop/clock.h"

int64_t aloop__now(aloop *loop)
{
    int64_t now_ns = loop->options.clock_ns(loop->options.clock_context);

    if (now_ns > loop->floor_ns) /* INT64_MAX means "never". */
        loop->floor_ns = now_ns < INT64_MAX ? now_ns : INT64_MAX - 1;
    return loop->floor_ns;
}

int64_t aloop__after(int64_t now_ns, int64_t delay_ns)
{
    if (delay_ns <= 0)
        return now_ns;
    return now_ns > INT64_MAX - delay_ns ? INT64_MAX : now_ns + delay_ns;
}

/* The difference of two times may not fit if the first one is negative. */
int64_t aloop__until(int64_t now_ns, int64_t when_ns)
{
    if (when_ns <= now_ns)
        return 0;
    if (now_ns < 0 && when_ns > INT64_MAX + now_ns)
        return INT64_MAX;
    return when_ns - now_ns;
}

/* A deadline that has passed is not delayed by the slack. */
int64_t aloop__deadline_next(aloop *loop)
{
    int64_t when_ns = aloop__timers_next(&loop->timers);
    int64_t slack_ns = loop->options.timer_slack_ns;

    if (slack_ns <= 0 || when_ns <= aloop__now(loop))
        return when_ns;
    return aloop__after(when_ns, slack_ns);
}
