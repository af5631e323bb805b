/* Turns of the loop; see turn.c. */

#ifndef ALOOP_LOOP_TURN_H
#define ALOOP_LOOP_TURN_H

#include "loop/state.h"

/* One turn, with a wait of at most max_wait_ns (< 0: for ever).  `lazy` allows
 * it to leave the reactor alone while there is other work, for a while. */
int aloop__turn(aloop *loop, int64_t max_wait_ns, bool lazy);

#endif
