/* Whole programs: a loop and a root task in one call. */

#ifndef ALOOP_MAIN_H
#define ALOOP_MAIN_H

#include "aloop/base.h"
#include "aloop/options.h"
#include "aloop/task.h"

ALOOP_BEGIN

/**
 * Runs a whole program: makes a loop and runs fn(loop, arg) as a task.
 *
 * When `fn` has returned, what still runs is cancelled and awaited, closed
 * streams send what they still have, and everything is freed.
 *
 * Status:  the result of `fn`, ALOOP_ECANCELED included, or the error that kept
 *          the loop from waiting.
 * Errors:  ALOOP_EINVAL: `fn` is NULL;
 *          ALOOP_ENOMEM: memory or descriptors are exhausted;
 *          ALOOP_EDEADLK: the caller is a callback or a task of some loop, and
 *          `fn` has not run.
 * Context: outside of every loop.
 */
ALOOP_API ssize_t aloop_main(aloop_task_fn fn, void *arg);

/**
 * Runs a whole program in a loop that is made with `options`.
 *
 * Otherwise it does what aloop_main() does.  `options` may be NULL.
 *
 * With options->cancel_on_interrupt, SIGINT and SIGTERM end the program:
 *
 *     signal                        effect
 *     the first one                 cancels the task of `fn`, which cleans up
 *                                   and returns; a function that computes or
 *                                   blocks is not interrupted, because the loop
 *                                   has to run for the cancel
 *     the second one                has the effect that it had before the call:
 *                                   it usually ends the program
 *     one that was ignored at       stays ignored
 *     the call
 *
 * Before the function returns, the signals' dispositions are restored.
 *
 * Status:  the result of `fn`, ALOOP_ECANCELED included, or the error that kept
 *          the loop from waiting.
 * Errors:  ALOOP_EINVAL: `fn` is NULL, or the options are refused because of
 *          their size;
 *          ALOOP_ENOMEM: memory or descriptors are exhausted;
 *          ALOOP_EDEADLK: the caller is a callback or a task of some loop;
 *          others: what aloop_signal_start() failed with.  On all of these
 *          errors `fn` has not run.
 * Context: outside of every loop.
 */
ALOOP_API ssize_t aloop_main_with(aloop_task_fn fn, void *arg,
                                  const aloop_options *options);

ALOOP_END

#endif
