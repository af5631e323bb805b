/* Notifications to a host loop, which watches aloop_fd(). */

#ifndef ALOOP_LOOP_HOST_H
#define ALOOP_LOOP_HOST_H

#include "loop/state.h"

/* Must be called when the work of an embedded loop has changed outside of a
 * turn.  Updates the time at which the host is woken. */
void aloop__touch(aloop *loop);
/* Like aloop__timed_start() and aloop__timed_stop(), and notify the host. */
int aloop__timed_set(aloop *loop, struct aloop__timed *timed, int64_t when_ns);
void aloop__timed_clear(aloop *loop, struct aloop__timed *timed);
static inline void aloop__ready_push(aloop *loop, struct aloop__ready *ready)
{
    list_push(&loop->ready, &ready->node);
    if (loop->is_embedded)
        aloop__touch(loop);
}

#endif
