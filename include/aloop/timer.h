/* Timers, and sleeping. */

#ifndef ALOOP_TIMER_H
#define ALOOP_TIMER_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Runs when a timer expires.
 *
 * Context: a turn of the loop.  The callback may close or restart the timer.
 */
typedef void (*aloop_timer_cb)(aloop_timer *timer, void *arg);

/**
 * Starts a timer: expires after `delay_ns`, then each `period_ns`.
 *
 *     value                  effect
 *     delay of 0 or less     expires in the next turn
 *     delay beyond the       never expires
 *     range of the clock
 *     period of 0            expires once; the timer then stays, stopped, until
 *                            it is closed
 *     period of more         expires at start + delay + n * period, without
 *                            drift; if the loop was busy for several periods,
 *                            expires once and then continues on the same grid
 *
 * A timer never expires early.  Timers with equal deadlines expire in the order
 * in which they were started.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop`, `on_expire` or `ret_timer` is NULL, or
 *          `period_ns` is negative;
 *          ALOOP_ENOMEM: out of memory.
 * Memory:  the library owns the timer, until aloop_timer_close().
 */
ALOOP_API int aloop_timer_start(aloop *loop, int64_t delay_ns,
                                int64_t period_ns, aloop_timer_cb on_expire,
                                void *arg, aloop_timer **ret_timer);

/**
 * Makes a timer that is stopped, until aloop_timer_restart().
 *
 * It has no period; see aloop_timer_set_period().  A stopped timer does not
 * keep the loop alive.
 *
 * Returns: the timer, or NULL if out of memory, or if `loop` or `on_expire` is
 *          NULL.
 * Memory:  the library owns the timer, until aloop_timer_close().
 */
ALOOP_API aloop_timer *aloop_timer_new(aloop *loop, aloop_timer_cb on_expire,
                                       void *arg);

/**
 * Makes a timer, running or stopped, expire `delay_ns` from now.
 *
 * The delay has the meaning that aloop_timer_start() describes.  The previous
 * expiry is cancelled.  Among equal deadlines this one is the last, as after a
 * start.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `timer` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_API int aloop_timer_restart(aloop_timer *timer, int64_t delay_ns);

/**
 * Makes a timer expire at a time on the loop's clock.
 *
 * The timer may be running or stopped; its previous expiry is cancelled.
 * `when_ns` is a sum with aloop_now().  This function does not read the clock,
 * so it is the cheapest way to postpone a deadline.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `timer` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_API int aloop_timer_restart_at(aloop_timer *timer, int64_t when_ns);

/**
 * Sets the period of a timer, from its next expiry on.
 *
 * With 0 the timer expires once more and then stops.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `timer` is NULL or `period_ns` is negative.
 */
ALOOP_API int aloop_timer_set_period(aloop_timer *timer, int64_t period_ns);

/**
 * Stops a timer, until aloop_timer_restart().
 *
 * A second call has no effect.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `timer` is NULL.
 */
ALOOP_API int aloop_timer_stop(aloop_timer *timer);

/** Returns whether a timer is running, not stopped; false for NULL. */
ALOOP_API bool aloop_timer_is_active(const aloop_timer *timer);

/**
 * Returns the nanoseconds until a timer expires.
 *
 * The result is 0 if the timer is due, and -1 if it is stopped or NULL.
 */
ALOOP_API int64_t aloop_timer_due_ns(const aloop_timer *timer);

/**
 * Makes an active timer keep the loop alive, as it does initially.
 *
 * A second call has no effect.
 */
ALOOP_API void aloop_timer_ref(aloop_timer *timer);

/**
 * Stops a timer from keeping the loop alive.
 *
 * The timer itself continues.  A second call has no effect.
 */
ALOOP_API void aloop_timer_unref(aloop_timer *timer);

/**
 * Stops a timer and frees it.
 *
 * It takes effect immediately: the callback does not run after this returns.
 * The timer's own callback may call it.  NULL is allowed.
 */
ALOOP_API void aloop_timer_close(aloop_timer *timer);

/**
 * Waits for `delay_ns`.
 *
 * With 0 or less the future settles in the next turn.  A delay beyond the range
 * of the clock, such as INT64_MAX, has no end: only a cancel settles the
 * future.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `loop` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_sleep(aloop *loop, int64_t delay_ns);

/**
 * Waits until a time on the loop's clock.
 *
 * `when_ns` is a sum with aloop_now().  If that time has passed, the future
 * settles in the next turn.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `loop` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_sleep_until(aloop *loop, int64_t when_ns);

ALOOP_END

#endif
