/* The clock of a loop. */

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

int64_t aloop__until(int64_t now_ns, int64_t when_ns)
{
    if (when_ns <= now_ns)
        return 0;
    if (now_ns < 0 && when_ns > INT64_MAX + now_ns)
        return INT64_MAX;
    return when_ns - now_ns;
}
