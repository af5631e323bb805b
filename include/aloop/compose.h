/* Compositions: one future for several others.
 *
 * Each of these takes over the caller's references, and settles only when every
 * future given to it has ended, so that nothing is left running.  They are
 * futures themselves, so they compose.
 *
 *     event                  gather       settled     any          race
 *     a member succeeds      -            -           decides      decides
 *     a member fails         decides      -           -            decides
 *     decided                the members that have not ended are cancelled, and
 *                            awaited; their statuses no longer matter
 *
 *     what happened          gather       settled     any          race
 *     all succeed            0            count       the first's  the first's
 *     some fail              first error  how many    the first    the first to
 *                                         succeeded   success      settle
 *     all fail               first error  0           first error  first error
 *     no members             0            0           EINVAL       EINVAL
 *     NULL member            has failed with ALOOP_ENOMEM
 *     a member that was      an error: ALOOP_EABORTED; settled stores
 *     cancelled by others    ALOOP_ECANCELED in ret_statuses
 *     the composition is     the members are cancelled; the rows above hold for
 *     cancelled, or its      their statuses, and ALOOP_ECANCELED of a member
 *     last reference is      stays ALOOP_ECANCELED; settled has that status if
 *     dropped                any member has
 *
 * A map is a gather of the tasks that it spawns.
 *
 * A lock or a permit that a member was granted belongs to the caller when the
 * status of the composition is read, by an await, a continuation or
 * aloop_future_status(), and that status reports the member's success: it is
 * the winner's, or the success of all, or in ret_statuses.  Otherwise the lock
 * is given back, as for the future of a lock that is dropped.
 *
 * Out of memory, the members are cancelled, and the result fails with
 * ALOOP_ENOMEM, but not before they have ended: it is NULL only if none is
 * running any more.  Results are then not written.  A member that has another
 * owner is left to that owner. */

#ifndef ALOOP_COMPOSE_H
#define ALOOP_COMPOSE_H

#include "aloop/base.h"
#include "aloop/future.h"
#include "aloop/task.h"

ALOOP_BEGIN

/**
 * Waits for all of `count` futures, or for the first error.
 *
 * On the first error the other futures are cancelled and awaited.  The array is
 * only read during the call.  A future may be in it several times, with one
 * reference for each.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_EABORTED: the first error is that of a member that was
 *          cancelled by others;
 *          ALOOP_ECANCELED: this future was cancelled;
 *          others: the first error of a member.
 * Memory:  takes over the caller's references to the members.
 * See:     aloop_gather().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_gather_array(aloop *loop, size_t count,
                                           aloop_future **futures);

/**
 * Waits for all of `count` futures and reports every status.
 *
 * No member is cancelled because of another one.  `ret_statuses[i]` becomes the
 * status of `futures[i]`, also if this future is cancelled or limited by
 * aloop_timeout(): those that had succeeded before show it.  `ret_statuses` may
 * be NULL.
 *
 * Status:  how many members succeeded.
 * Errors:  ALOOP_ECANCELED: this future was cancelled, and so was a member;
 *          ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_ENOMEM: out of memory, and the members were cancelled.
 * Memory:  takes over the caller's references to the members, and borrows
 *          `ret_statuses` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_gather_settled(aloop *loop, size_t count,
                                             aloop_future **futures,
                                             ssize_t *ret_statuses);

/**
 * Waits for the first success among `count` futures.
 *
 * Then the other futures are cancelled and awaited.  `ret_index`, unless it is
 * NULL, receives the place of the winner.  Another member may have succeeded
 * before it could be cancelled: what it wrote belongs to the caller.
 *
 * Status:  that of the winner.
 * Errors:  ALOOP_EINVAL: there are no members;
 *          ALOOP_EABORTED: all failed, and the first of them because it was
 *          cancelled by others;
 *          ALOOP_ECANCELED: this future was cancelled;
 *          others: all failed, and this is the first error.
 * Memory:  takes over the caller's references to the members, and borrows
 *          `ret_index` until the future settles.
 * See:     aloop_any().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_any_array(aloop *loop, size_t count,
                                        aloop_future **futures,
                                        size_t *ret_index);

/**
 * Waits for the first of `count` futures to settle, with any status.
 *
 * Then the other futures are cancelled and awaited.  `ret_index`, unless it is
 * NULL, receives the place of the first one.  Another member may have succeeded
 * before it could be cancelled: what it wrote belongs to the caller.
 *
 * Status:  that of the first one.
 * Errors:  ALOOP_EINVAL: there are no members;
 *          ALOOP_EABORTED: the first one was cancelled by others;
 *          ALOOP_ECANCELED: this future was cancelled;
 *          others: the error of the first one.
 * Memory:  takes over the caller's references to the members, and borrows
 *          `ret_index` until the future settles.
 * See:     aloop_race().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_race_array(aloop *loop, size_t count,
                                         aloop_future **futures,
                                         size_t *ret_index);

/**
 * Runs `fn` as a task for each of `count` items.
 *
 * The argument of `fn` is the address of the item, items + i * item_size.  With
 * an `item_size` of 0 it is `items` for each of them.  The tasks start in
 * order, and at most `limit` run simultaneously; 0 is no limit.  On the first
 * error the other tasks are cancelled and awaited, and no further task starts.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_EABORTED: the first error is that of a task that was cancelled
 *          by others;
 *          ALOOP_ECANCELED: this future was cancelled;
 *          others: the first error of a task.
 * Memory:  borrows `items` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_map(aloop *loop, aloop_task_fn fn, void *items,
                                  size_t count, size_t item_size, size_t limit);

ALOOP_END

/**
 * Waits for all of the futures given, or for the first error.
 *
 * Example: aloop_await(aloop_gather(loop, first, second, third));
 * See:     aloop_gather_array().
 */
#ifdef __cplusplus
template <typename... T>
ALOOP_MUST_USE aloop_future *aloop_gather(aloop *loop, T... futures)
{
    aloop_future *all[] = {futures..., NULL}; /* Never of size 0. */
    return aloop_gather_array(loop, sizeof...(futures), all);
}
#else
#define aloop_gather(loop, ...) \
    aloop_gather_array((loop), ALOOP_COUNT_(__VA_ARGS__), \
                       ALOOP_LIST_(__VA_ARGS__))
#define ALOOP_LIST_(...) \
    (aloop_future *[]) \
    { \
        __VA_ARGS__ \
    }
#define ALOOP_COUNT_(...) \
    (sizeof(ALOOP_LIST_(__VA_ARGS__)) / sizeof(aloop_future *))
#endif

/**
 * Waits for the first success among the futures given.
 *
 * Example: aloop_await(aloop_any(loop, mirror_1, mirror_2));
 * See:     aloop_any_array().
 */
#ifdef __cplusplus
template <typename... T>
ALOOP_MUST_USE aloop_future *aloop_any(aloop *loop, T... futures)
{
    aloop_future *all[] = {futures..., NULL}; /* Never of size 0. */
    return aloop_any_array(loop, sizeof...(futures), all, NULL);
}
#else
#define aloop_any(loop, ...) \
    aloop_any_array((loop), ALOOP_COUNT_(__VA_ARGS__), \
                    ALOOP_LIST_(__VA_ARGS__), NULL)
#endif

/**
 * Waits for the first of the futures given to settle, with any status.
 *
 * Example: aloop_await(aloop_race(loop, answer, interrupt));
 * See:     aloop_race_array().
 */
#ifdef __cplusplus
template <typename... T>
ALOOP_MUST_USE aloop_future *aloop_race(aloop *loop, T... futures)
{
    aloop_future *all[] = {futures..., NULL}; /* Never of size 0. */
    return aloop_race_array(loop, sizeof...(futures), all, NULL);
}
#else
#define aloop_race(loop, ...) \
    aloop_race_array((loop), ALOOP_COUNT_(__VA_ARGS__), \
                     ALOOP_LIST_(__VA_ARGS__), NULL)
#endif

#endif
