/* What a host loop that watches aloop_fd() is told. */

#ifndef ALOOP_LOOP_HOST_H
#define ALOOP_LOOP_HOST_H

#include "loop/state.h"

/* What the loop has to do has changed while a host may be waiting. */
void aloop__touch(aloop *loop);
/* aloop__timed_start and aloop__timed_stop, and the host is told. */
int aloop__timed_set(aloop *loop, struct aloop__timed *timed,
                     int64_t when_ns);
void aloop__timed_clear(aloop *loop, struct aloop__timed *timed);
static inline void aloop__ready_push(aloop *loop, struct aloop__ready *ready)
{
    list_push(&loop->ready, &ready->node);
    if (loop->embedded)
        aloop__touch(loop);
}

#endif
