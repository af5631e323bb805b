/* aloop_main: a whole program around one task. */

#include "aloop/task.h"
#include "loop/future.h"

/* Cancels what is left, and what that starts, until nothing is; then lets
 * closed streams send what they still have. */
static int finish(aloop *loop)
{
    int error = 0;

    while (error == 0 && !list_empty(&loop->pending)) {
        aloop__futures_cancel_all(loop, false);
        error = aloop__turn(loop, -1, true);
    }
    while (error == 0 && loop->lingering > 0)
        error = aloop__turn(loop, -1, true);
    return error;
}

ssize_t aloop_main(aloop_task_fn fn, void *arg)
{
    aloop *loop;
    ssize_t status;
    int error;

    if (fn == NULL)
        return ALOOP_EINVAL;
    if (aloop__running() != NULL)
        return ALOOP_EDEADLK;
    loop = aloop_new(NULL);
    if (loop == NULL)
        return ALOOP_ENOMEM;
    status = aloop_await(
        aloop_spawn_at(loop, fn, arg, NULL, "main", "aloop_main"));
    error = finish(loop);
    aloop_free(loop);
    return error < 0 && status >= 0 ? error : status;
}
