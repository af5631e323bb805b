/* aloop_main: a whole program around one task. */

#include "aloop/task.h"
#include "loop/future.h"

struct program {
    aloop_task_fn fn;
    void *arg;
    bool was_cancelled; /* `fn` returned ALOOP_ECANCELED. */
};

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

/* The root task.  Its result is kept here, because an await reports a task that
 * ended with ALOOP_ECANCELED as one that something else cancelled. */
static ssize_t run_root(aloop *loop, void *arg)
{
    struct program *program = arg;
    ssize_t status = program->fn(loop, program->arg);

    program->was_cancelled = status == ALOOP_ECANCELED;
    return status;
}

static ssize_t run(aloop *loop, struct program *program)
{
    ssize_t status = aloop_await(aloop_spawn_at(loop, run_root, program, NULL,
                                                "main", "aloop_main"));

    return program->was_cancelled ? ALOOP_ECANCELED : status;
}

ssize_t aloop_main(aloop_task_fn fn, void *arg)
{
    struct program program = {.fn = fn, .arg = arg};
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
    status = run(loop, &program);
    error = finish(loop);
    aloop_free(loop);
    return error < 0 && status >= 0 ? error : status;
}
