/* The loop that runs on a thread. */

#include "loop/running.h"

#include "aloop/task.h"

static _Thread_local aloop *running;

aloop *aloop__running(void)
{
    return running;
}

void aloop__running_set(aloop *loop)
{
    running = loop;
}

aloop *aloop_current(void)
{
    return running;
}
