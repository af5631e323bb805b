/* A time limit for one future; for a stretch of code, see deadline.h. */

#ifndef ALOOP_TIMEOUT_H
#define ALOOP_TIMEOUT_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Waits for `future`, and cancels it once `delay_ns` have passed.
 *
 * With 0 or less the limit passes in the next turn.
 *
 * The result settles when `future` has ended:
 *
 *     what cancelled `future` first    `future` ends with    status
 *     anything, or nothing             0 or more             the same
 *     anything, or nothing             an error that is      the same
 *                                      not ALOOP_ECANCELED
 *     this limit                       ALOOP_ECANCELED       ALOOP_ETIMEDOUT
 *     a cancel of the timeout itself   ALOOP_ECANCELED       ALOOP_ECANCELED
 *     another cancel, or nothing       ALOOP_ECANCELED       ALOOP_EABORTED
 *
 * So a future that succeeds in spite of the limit has succeeded, an error of
 * its clean-up is not lost, and a limit that passes while the future already
 * ends for another reason changes nothing.  In the last row a timeout that is
 * cancelled, too, ends with ALOOP_ECANCELED.
 *
 * Status:  as in the table.
 * Memory:  takes over the caller's reference.  Out of memory, the result is
 *          `future` itself, cancelled: nothing continues without its limit.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_timeout(aloop_future *future, int64_t delay_ns);

ALOOP_END

#endif
