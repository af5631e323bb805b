/* aloop_main: runs a whole program as one task of a new loop.
 *
 * The program passes through four stages, in this order:
 *
 *     run_program()    the root task runs until its function has returned
 *     finish_loop()    what is left is cancelled and awaited, and closed
 *                      streams send what they have queued
 *     unwatch()        the signals get their earlier effect again
 *     aloop_free()     frees the loop
 *
 * The first SIGINT or SIGTERM cancels the root task.  All watches end with it,
 * so that the second one ends the program even if the task does not react. */

#include "aloop/main.h"
#include "handle/signal.h"
#include "loop/future.h"
#include "loop/loop_options.h"
#include "loop/running.h"
#include "loop/turn.h"
#include "os/sys.h"
#include "os/unwind.h"

/* The state of aloop_main_with(), on its stack. */
struct program {
    aloop_task_fn fn;
    void *arg;
    bool was_cancelled; /* `fn` returned ALOOP_ECANCELED. */
    aloop_future *root; /* Without a reference; NULL while it is not awaited. */
    aloop_signal *watches[SYS_INTERRUPTS];
};

/* May be called again. */
static void unwatch(struct program *program)
{
    for (int i = 0; i < SYS_INTERRUPTS; i++) {
        aloop_signal_close(program->watches[i]);
        program->watches[i] = NULL;
    }
}

/* The callback of all watches.  aloop__signal_pair() has ended them inside the
 * handler already, and this frees them. */
static void program_interrupted(aloop_signal *watch, int number, void *arg)
{
    struct program *program = arg;

    (void) watch;
    (void) number;
    unwatch(program);
    aloop__future_cancel_checked(program->root);
}

/* Watches the signals that would end the program, except those that are
 * ignored.  The watches are unreferenced: they do not keep the loop alive.
 * After an error the caller ends the watches that have begun. */
static int watch_interrupts(aloop *loop, struct program *program)
{
    int numbers[SYS_INTERRUPTS];
    int count = aloop__sys_signal_interrupts(numbers), error = 0;

    for (int i = 0; i < count && error == 0; i++) {
        error = aloop_signal_start(loop, numbers[i], program_interrupted,
                                   program, &program->watches[i]);
        aloop_signal_unref(program->watches[i]);
    }
    if (count > 0 && error == 0)
        aloop__signal_pair(program->watches[0], program->watches[count - 1]);
    return error;
}

/* Cancels all pending futures, and those that they start, until none is left.
 * Then runs the loop until closed streams have sent their queued data. */
static int finish_loop(aloop *loop)
{
    int cancellation = aloop__cancel_disable(), error = 0;

    /* A task that ends may leave the future that it awaited to this loop, which
     * has to cancel it.  With is_finishing, a turn that has run a task, or that
     * has ended the last future, returns without sleeping. */
    loop->is_finishing = true;
    while (error == 0 && aloop__futures_are_pending(loop)) {
        aloop__futures_cancel_all(loop, false);
        loop->called = 0;
        error = aloop__turn(loop, -1, true);
    }
    loop->is_finishing = false;
    while (error == 0 && loop->lingering > 0)
        error = aloop__turn(loop, -1, true);
    aloop__cancel_restore(cancellation);
    return error;
}

/* The root task.  Its result is stored in `program`, because an await returns
 * ALOOP_EABORTED for a task that returned ALOOP_ECANCELED without having been
 * cancelled. */
static ssize_t run_root(aloop *loop, void *arg)
{
    struct program *program = arg;
    ssize_t status = program->fn(loop, program->arg);

    program->was_cancelled = status == ALOOP_ECANCELED;
    return status;
}

/* Runs the root task to its end, and returns the status of the program. */
static ssize_t run_program(aloop *loop, struct program *program)
{
    ssize_t status = 0;

    if (loop->options.cancel_on_interrupt)
        status = watch_interrupts(loop, program);
    if (status < 0)
        return status;
    program->root =
        aloop_spawn_at(loop, run_root, program, NULL, "main", "aloop_main");
    status = aloop_await(program->root);
    program->root = NULL;
    return program->was_cancelled && status == ALOOP_EABORTED ? ALOOP_ECANCELED
                                                              : status;
}

/* An error of the loop replaces the status only if the program has
 * succeeded. */
ssize_t aloop_main_with(aloop_task_fn fn, void *arg,
                        const aloop_options *options)
{
    struct program program = {.fn = fn, .arg = arg};
    aloop *loop;
    ssize_t status;
    int error;

    if (fn == NULL || !aloop__options_are_valid(options))
        return ALOOP_EINVAL;
    if (aloop__running() != NULL)
        return ALOOP_EDEADLK;
    loop = aloop_new(options);
    if (loop == NULL)
        return ALOOP_ENOMEM;
    status = run_program(loop, &program);
    error = finish_loop(loop);
    unwatch(&program);
    aloop_free(loop);
    return error < 0 && status >= 0 ? error : status;
}

ssize_t aloop_main(aloop_task_fn fn, void *arg)
{
    return aloop_main_with(fn, arg, NULL);
}
