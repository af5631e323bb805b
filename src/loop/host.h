/* Notifications to a host loop, which watches aloop_fd(). */

#ifndef ALOOP_LOOP_HOST_H
#define ALOOP_LOOP_HOST_H

#include "loop/state.h"

/* Updates the time at which an embedded loop wakes its host.  Must be called
 * when the work of the loop has changed outside of a turn. */
void aloop__host_update(aloop *loop);
/* Returns whether a turn has something to do now, apart from events. */
bool aloop__host_is_due(aloop *loop);

/* Like aloop__timed_stop(), _start() and _pause(), and notify the host.  Layers
 * above use these instead of the others, which know no loop. */
void aloop__timed_clear(aloop *loop, struct aloop__timed *timed);
static inline int aloop__timed_set(aloop *loop, struct aloop__timed *timed,
                                   int64_t when_ns)
{
    int error = aloop__timed_start(&loop->timers, timed, when_ns);

    if (loop->is_embedded)
        aloop__host_update(loop);
    return error;
}
static inline void aloop__timed_suspend(aloop *loop, struct aloop__timed *timed)
{
    aloop__timed_pause(timed);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

static inline void aloop__ready_push(aloop *loop, struct aloop__ready *ready)
{
    list_push(&loop->ready, &ready->node);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

#endif
