/* The clock of a loop, and saturating arithmetic on times. */

#ifndef ALOOP_LOOP_CLOCK_H
#define ALOOP_LOOP_CLOCK_H

#include "loop/state.h"

/* Returns the time of the loop's clock.  It never goes back. */
int64_t aloop__now(aloop *loop);
/* Returns now_ns + delay_ns, at most INT64_MAX.  A negative delay counts as
 * 0. */
int64_t aloop__after(int64_t now_ns, int64_t delay_ns);
/* Returns the time from now_ns to when_ns, at most INT64_MAX, or 0 if when_ns
 * has passed. */
int64_t aloop__until(int64_t now_ns, int64_t when_ns);

/* Returns until when a wait may last for the sake of the next deadline:
 * INT64_MAX if there is none. */
int64_t aloop__deadline_next(aloop *loop);

#endif
