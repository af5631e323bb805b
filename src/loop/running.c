/* The loop that runs on this thread. */

#include "loop/running.h"

#include "aloop/loop.h"

static _Thread_local aloop *running;

aloop *aloop__running(void)
{
    return running;
}

aloop *aloop__running_set(aloop *loop)
{
    aloop *outer = running;

    running = loop;
    return outer;
}

aloop *aloop_current(void)
{
    return running;
}
