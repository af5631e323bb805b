/* Turns of the loop; see turn.c. */

#ifndef ALOOP_LOOP_TURN_H
#define ALOOP_LOOP_TURN_H

#include "loop/state.h"

/* Runs one turn, with a wait of at most max_wait_ns, or without a limit if that
 * is negative.  `is_lazy` allows the turn to skip the reactor for a short time
 * while there is other work.  Returns ALOOP_EPERM if the loop is foreign, or
 * the error of the wait. */
int aloop__turn(aloop *loop, int64_t max_wait_ns, bool is_lazy);

#endif
