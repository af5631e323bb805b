/* Groups: tasks that live and end together.
 *
 * Tasks are spawned into a group, any number at any time, also by its own
 * members.  The first one that fails makes the group fail: the others are
 * cancelled.  aloop_group_wait() is a future like any other, so that
 * aloop_timeout(aloop_group_wait(group), ns) gives the whole group a time
 * limit. */

#ifndef ALOOP_GROUP_H
#define ALOOP_GROUP_H

#include "aloop/base.h"
#include "aloop/future.h"
#include "aloop/task.h"

ALOOP_BEGIN

/**
 * A group without members.
 *
 * Memory:  the library owns it, until aloop_group_free() or aloop_free().
 *          NULL when there is no memory, or `loop` is NULL; the calls below
 *          take that and say ALOOP_EINVAL.
 */
ALOOP_API aloop_group *aloop_group_new(aloop *loop);

/**
 * Lets go of a group.  Members that still run are cancelled and end by
 * themselves, in turns to come; a future of aloop_group_wait() settles when
 * they have.  To know that they have ended, wait first.  An error of the group
 * that no wait has given is reported to the unhandled-error hook.  NULL is
 * allowed.
 */
ALOOP_API void aloop_group_free(aloop_group *group);

/**
 * A new member that will run fn(loop, arg) from the next turn on, as
 * aloop_spawn() does; the group holds it.
 *
 * aloop_group_spawn(group, fn, arg) and aloop_group_spawn_with(group, fn, arg,
 * options) are the ways to call it: they add the function's name and the place.
 *
 * Errors:  ALOOP_ECANCELED when the group has failed or was cancelled;
 *          ALOOP_EINVAL, ALOOP_ENOMEM.  `fn` then does not run, and what `arg`
 *          owns stays the caller's.  As for any task, a member without memory
 *          for its stack fails later, with ALOOP_ENOMEM, and `fn` does not run.
 */
ALOOP_API int aloop_group_spawn_at(aloop_group *group, aloop_task_fn fn,
                                   void *arg,
                                   const aloop_task_options *options,
                                   const char *name, const char *where);

#define aloop_group_spawn(group, fn, arg) \
    aloop_group_spawn_at((group), (fn), (arg), NULL, #fn, ALOOP_HERE)
#ifndef __cplusplus
#define aloop_group_spawn_with(group, fn, arg, ...)           \
    aloop_group_spawn_at((group), (fn), (arg),                \
                         ALOOP_TASK_OPTIONS_(__VA_ARGS__), #fn, ALOOP_HERE)
#endif

/**
 * Settles once every member has ended, those included that are spawned while
 * it is pending; at once when there is none.  Any number of waits may be
 * pending.  Cancelling one, or dropping its last reference, cancels the group,
 * and it settles when the members have ended.  A member that awaits its own
 * group gets ALOOP_EDEADLK.
 *
 * A member that somebody cancelled and that says so (ALOOP_ECANCELED) is no
 * failure.  A group that did not fail and was not cancelled may be used again.
 *
 * Status:  0; the first error of a member, ALOOP_EABORTED if it is a member's
 *          ALOOP_ECANCELED that nobody cancelled; if there is no error,
 *          ALOOP_ECANCELED when the group was cancelled and a member ended by
 *          that.
 * Memory:  a group with members can always be waited for: NULL, which is
 *          ALOOP_ENOMEM, only if it has none.  Where there is no memory for
 *          one more wait, the result is a pending one once more; dropping it
 *          cancels the group as dropping a wait of its own does.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_group_wait(aloop_group *group);

/**
 * Cancels every member, the caller included if it is one, and lets no more in.
 * Does not wait.  Idempotent.
 *
 * Errors:  ALOOP_EINVAL for NULL.
 */
ALOOP_API int aloop_group_cancel(aloop_group *group);

/** How many members have not ended; 0 for NULL. */
ALOOP_API size_t aloop_group_count(const aloop_group *group);

ALOOP_END

#endif
