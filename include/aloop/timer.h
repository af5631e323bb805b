/* Timers, and sleeping. */

#ifndef ALOOP_TIMER_H
#define ALOOP_TIMER_H

#include "aloop/base.h"

ALOOP_BEGIN

typedef void (*aloop_timer_cb)(aloop_timer *timer, void *arg);

/**
 * Starts a timer: `on_expire` runs once `delay_ns` have passed, never earlier,
 * and then every `period_ns` if that is more than 0.
 *
 * Timers with equal deadlines run in the order they were started.  A delay of 0
 * or less is the next turn.  A periodic timer does not drift: it expires at
 * start + delay + n * period; if the loop was busy for several periods it runs
 * once and then keeps to its grid.  A delay beyond the end of time never ends.
 * A one-shot timer that has expired stays, stopped, until it is closed.
 *
 * Memory:  the library owns the timer, until aloop_timer_close().
 * Errors:  ALOOP_EINVAL (loop, on_expire or ret_timer NULL, period_ns < 0),
 *          ALOOP_ENOMEM.
 */
ALOOP_API int aloop_timer_start(aloop *loop, int64_t delay_ns,
                                int64_t period_ns, aloop_timer_cb on_expire,
                                void *arg, aloop_timer **ret_timer);

/**
 * Sets a timer, running or stopped, to expire in `delay_ns` from now; the
 * earlier expiry is forgotten.  As a start, it goes behind equal deadlines.
 */
ALOOP_API int aloop_timer_restart(aloop_timer *timer, int64_t delay_ns);

/**
 * The same with a point on the loop's clock, aloop_now() plus something: reads
 * no clock, and so is the cheapest way to push a deadline on.
 */
ALOOP_API int aloop_timer_restart_at(aloop_timer *timer, int64_t when_ns);

/** A period from the next expiry on; 0 makes it a one-shot. */
ALOOP_API int aloop_timer_set_period(aloop_timer *timer, int64_t period_ns);

/** Stops it; aloop_timer_restart() restarts it.  Idempotent. */
ALOOP_API int aloop_timer_stop(aloop_timer *timer);

/** Whether it will expire. */
ALOOP_API bool aloop_timer_is_active(const aloop_timer *timer);

/** Nanoseconds until it is due, 0 if it is; -1 if it is stopped or NULL. */
ALOOP_API int64_t aloop_timer_due_ns(const aloop_timer *timer);

/** An active timer keeps the loop alive unless unreferenced.  Idempotent. */
ALOOP_API void aloop_timer_ref(aloop_timer *timer);
ALOOP_API void aloop_timer_unref(aloop_timer *timer); /**< See ref. */

/**
 * Final at once: its callback does not run any more and `timer` is gone.  May
 * be called from its own callback.  NULL is allowed.
 */
ALOOP_API void aloop_timer_close(aloop_timer *timer);

/**
 * A future that settles with 0 once `delay_ns` have passed; 0 or less is the
 * next turn.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_sleep(aloop *loop, int64_t delay_ns);

/** The same, until a point on the loop's clock. */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_sleep_until(aloop *loop, int64_t when_ns);

ALOOP_END

#endif
