/* Waiting for several futures at once.
 *
 * Each of these takes over the caller's references, and settles only when every
 * future given to it has ended: nothing is left running behind it.  They are
 * futures themselves, so they compose.  Cancelling one cancels its members,
 * and dropping its last reference does too.
 *
 * A lock or permit that a member was given is the caller's when the status of
 * the composition is taken, by an await, a continuation or
 * aloop_future_status(), and that status tells of the member's success: it is
 * the winner's, or the success of all, or in `ret_statuses`.  Else it goes
 * back, as that of a lock's future that is dropped does.
 *
 * Memory: where there is none, the members are cancelled, and the result fails
 * with ALOOP_ENOMEM, but still not before they have ended: it is NULL only if
 * none is running any more.  Places for results are then left as they were.  A
 * member that has another owner is left to that owner. */

#ifndef ALOOP_COMPOSE_H
#define ALOOP_COMPOSE_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Waits for all of `count` futures.  On the first error the others are
 * cancelled, awaited, and that first error is the status.  `futures` itself is
 * only read during the call.  Members may repeat (each with its reference);
 * none at all settle at once.  A NULL member is one that failed.
 *
 * Status:  0, or the first error; ALOOP_EABORTED if that was a member being
 *          cancelled by somebody else.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_gather_array(aloop *loop, size_t count,
                                           aloop_future **futures);

/**
 * Waits for all and cancels none.  `ret_statuses[i]`, borrowed until the future
 * settles, becomes the status of futures[i]; NULL if nobody wants them.
 *
 * Status:  how many succeeded.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_gather_settled(aloop *loop, size_t count,
                                             aloop_future **futures,
                                             ssize_t *ret_statuses);

/**
 * Waits for the first success; then the others are cancelled and awaited.
 * `ret_index`, unless NULL, becomes the winner's place.  A loser may have
 * succeeded all the same before it could be cancelled: what it wrote through
 * its own results is the caller's.
 *
 * Status:  the winner's; if all fail, the first error; ALOOP_EINVAL for none.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_any_array(aloop *loop, size_t count,
                                        aloop_future **futures,
                                        size_t *ret_index);

/**
 * Waits for the first to settle, whether well or not; otherwise as any, and
 * `ret_index` becomes that one's place in either case.
 *
 * Status:  that one's; ALOOP_EABORTED if somebody else cancelled it.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_race_array(aloop *loop, size_t count,
                                         aloop_future **futures,
                                         size_t *ret_index);

/**
 * Runs fn(loop, items + i * item_size) as a task for each of `count` items, at
 * most `limit` at a time (0: no limit), in order; a gather of them.  `items`
 * is borrowed until the future settles.
 *
 * Status:  as aloop_gather_array().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_map(aloop *loop,
                                  ssize_t (*fn)(aloop *loop, void *item),
                                  void *items, size_t count, size_t item_size,
                                  size_t limit);

/**
 * `future`, but cancelled once `delay_ns` have passed; settles when it has
 * ended.  The status reports what happened first:
 *
 *     what cancelled `future` first    `future` ends with    status
 *     anything, or nothing             0 or more             the same
 *     anything, or nothing             an error that is      the same
 *                                      not ALOOP_ECANCELED
 *     this limit                       ALOOP_ECANCELED       ALOOP_ETIMEDOUT
 *     a cancel of the timeout itself   ALOOP_ECANCELED       ALOOP_ECANCELED
 *     another cancel, or nothing       ALOOP_ECANCELED       ALOOP_EABORTED
 *
 * So a target that succeeds in spite of the limit has succeeded, an error of
 * its clean-up is not lost, and a limit that passes while the target already
 * ends for another reason changes nothing.  In the last row a timeout that is
 * cancelled, too, ends with ALOOP_ECANCELED.
 *
 * Status:  as in the table.
 * Memory:  where there is none, the result is `future` itself, cancelled:
 *          nothing goes on without its limit.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_timeout(aloop_future *future, int64_t delay_ns);

ALOOP_END

/* The same for futures written out: aloop_gather(loop, a, b, c). */
#ifdef __cplusplus
template <typename... T>
ALOOP_MUST_USE aloop_future *aloop_gather(aloop *loop, T... futures)
{
    aloop_future *all[] = {futures..., NULL}; /* Never of no size. */
    return aloop_gather_array(loop, sizeof...(futures), all);
}
template <typename... T>
ALOOP_MUST_USE aloop_future *aloop_any(aloop *loop, T... futures)
{
    aloop_future *all[] = {futures..., NULL}; /* Never of no size. */
    return aloop_any_array(loop, sizeof...(futures), all, NULL);
}
template <typename... T>
ALOOP_MUST_USE aloop_future *aloop_race(aloop *loop, T... futures)
{
    aloop_future *all[] = {futures..., NULL}; /* Never of no size. */
    return aloop_race_array(loop, sizeof...(futures), all, NULL);
}
#else
#define ALOOP_LIST_(...) (aloop_future *[]){__VA_ARGS__}
#define ALOOP_COUNT_(...) \
    (sizeof(ALOOP_LIST_(__VA_ARGS__)) / sizeof(aloop_future *))
#define aloop_gather(loop, ...)                          \
    aloop_gather_array((loop), ALOOP_COUNT_(__VA_ARGS__), \
                       ALOOP_LIST_(__VA_ARGS__))
#define aloop_any(loop, ...)                           \
    aloop_any_array((loop), ALOOP_COUNT_(__VA_ARGS__), \
                    ALOOP_LIST_(__VA_ARGS__), NULL)
#define aloop_race(loop, ...)                           \
    aloop_race_array((loop), ALOOP_COUNT_(__VA_ARGS__), \
                     ALOOP_LIST_(__VA_ARGS__), NULL)
#endif

#endif
