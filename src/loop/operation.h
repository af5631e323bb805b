/* Calls of the on_cancel of operations that the application has made. */

#ifndef ALOOP_LOOP_OPERATION_H
#define ALOOP_LOOP_OPERATION_H

#include "loop/state.h"

/* Calls the on_cancel of each operation in loop->notify. */
COLD void aloop__operations_call(aloop *loop);

/* Calls the on_cancel of operations that were cancelled, unless an on_cancel
 * calls this.  For the public functions that cancel a future, directly before
 * they return: the callbacks may change and free anything but the loop.  Other
 * functions leave the operations to the next turn. */
static inline void aloop__operations_notify(aloop *loop)
{
    if (!list_is_empty(&loop->notify) && !loop->is_notifying &&
        !aloop__is_foreign(loop))
        aloop__operations_call(loop);
}

#endif
