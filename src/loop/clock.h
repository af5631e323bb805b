/* The clock of a loop, and arithmetic of times that stops at the ends of the
 * range. */

#ifndef ALOOP_LOOP_CLOCK_H
#define ALOOP_LOOP_CLOCK_H

#include "loop/state.h"

/* The clock, never going back. */
int64_t aloop__now(aloop *loop);
/* now + delay_ns, saturating at the end of time; a negative delay is none. */
int64_t aloop__after(int64_t now_ns, int64_t delay_ns);
/* From now to when_ns, saturating; 0 if that has passed. */
int64_t aloop__until(int64_t now_ns, int64_t when_ns);

#endif
