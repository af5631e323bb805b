/* Groups: tasks that run and end together.
 *
 * Tasks are spawned into a group, any number at any time, also by its own
 * members.  The first one that fails makes the group fail: the others are
 * cancelled.  aloop_group_wait() returns a future like any other, so that
 * aloop_timeout(aloop_group_wait(group), ns) gives the whole group a time
 * limit. */

#ifndef ALOOP_GROUP_H
#define ALOOP_GROUP_H

#include "aloop/base.h"
#include "aloop/future.h"
#include "aloop/task.h"

ALOOP_BEGIN

/**
 * Makes a group without members.
 *
 * Returns: the group, or NULL if out of memory or `loop` is NULL.
 * Memory:  the library owns the group, until aloop_group_free() or
 *          aloop_free().
 */
ALOOP_API aloop_group *aloop_group_new(aloop *loop);

/**
 * Cancels the members of a group and frees the group.
 *
 * The members end by themselves, in later turns, and futures of
 * aloop_group_wait() settle when they have.  To know that they have ended, wait
 * first.  An error of the group that no wait has returned is reported to
 * on_unhandled.  NULL is allowed.
 */
ALOOP_API void aloop_group_free(aloop_group *group);

/**
 * Adds a task to a group.
 *
 * It will run fn(loop, arg), from the next turn on.  The arguments have the
 * same meaning as those of aloop_spawn_at().  Programs in C use
 * aloop_group_spawn() and aloop_group_spawn_with(), which add the name of the
 * function and the place.
 *
 * Returns: 0.
 * Errors:  ALOOP_ECANCELED: the group has failed or was cancelled;
 *          ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_ENOMEM: out of memory.
 * Memory:  the group owns the task.  On an error `fn` never runs, and what
 *          `arg` owns stays the caller's.  A member without memory for its
 *          stack fails later, with ALOOP_ENOMEM, and `fn` does not run.
 */
ALOOP_API int aloop_group_spawn_at(aloop_group *group, aloop_task_fn fn,
                                   void *arg, const aloop_task_options *options,
                                   const char *name, const char *where);

/**
 * Adds a task with the default options; see aloop_group_spawn_at().
 *
 * Example: aloop_group_spawn(group, crawl, &site);
 */
#define aloop_group_spawn(group, fn, arg) \
    aloop_group_spawn_at((group), (fn), (arg), NULL, #fn, ALOOP_HERE)

/**
 * Adds a task with the given options; see aloop_group_spawn_at().
 *
 * They are written as for aloop_spawn_with().
 *
 * Example: aloop_group_spawn_with(group, crawl, &site, .stack_size = 1 << 20);
 */
#ifdef __cplusplus
#define aloop_group_spawn_with(group, fn, arg, options) \
    aloop_group_spawn_at((group), (fn), (arg), (options), #fn, ALOOP_HERE)
#else
#define aloop_group_spawn_with(group, fn, arg, ...) \
    aloop_group_spawn_at((group), (fn), (arg), \
                         ALOOP_TASK_OPTIONS_(__VA_ARGS__), #fn, ALOOP_HERE)
#endif

/**
 * Waits until every member of a group has ended.
 *
 * This includes members that are spawned while the wait is pending.  Without
 * members it settles immediately.  Any number of waits may be pending.
 * Cancelling one, or dropping its last reference, cancels the group, and it
 * settles when the members have ended.
 *
 *     a member                         the group
 *     returns 0 or more                continues
 *     fails                            fails with the first such error; the
 *                                      other members are cancelled
 *     was cancelled by a cancel of     continues: this is not a failure
 *     its future, and returns
 *     ALOOP_ECANCELED
 *     returns ALOOP_ECANCELED, but     fails with ALOOP_EABORTED
 *     was not cancelled
 *
 * A group that did not fail and was not cancelled may be used again.  Of any
 * other group, each further wait has the same result.
 *
 * Status:  0.
 * Errors:  ALOOP_ECANCELED: the group was cancelled, a member ended because of
 *          that, and no member failed.  An await returns ALOOP_EABORTED instead
 *          if the caller was not cancelled;
 *          ALOOP_EABORTED: as in the table;
 *          ALOOP_EDEADLK: from an await, the caller is a member, and the group
 *          is cancelled because the await drops the wait;
 *          ALOOP_EINVAL: `group` is NULL;
 *          others: the first error of a member.
 * Memory:  the result is NULL, which is ALOOP_ENOMEM, only if the group has no
 *          members.  If there is no memory for one more wait, the result is a
 *          reference to a pending one; dropping it cancels the group.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_group_wait(aloop_group *group);

/**
 * Cancels every member of a group, and refuses new ones.
 *
 * The caller is cancelled as well if it is a member.  The function does not
 * wait, and a second call has no effect.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `group` is NULL.
 */
ALOOP_API int aloop_group_cancel(aloop_group *group);

/** Returns how many members have not ended; 0 for NULL. */
ALOOP_API size_t aloop_group_count(const aloop_group *group);

ALOOP_END

#endif
