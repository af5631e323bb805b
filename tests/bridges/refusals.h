/* For the tests of bridges that must survive when memory runs out: what they
 * call for memory, of which one call fails.  The linker redirects the calls
 * (--wrap), so that only programs of one file can use it. */

#ifndef REFUSALS_H
#define REFUSALS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "aloop.h"

static struct {
    unsigned calls;    /* Since the test began to count. */
    unsigned fails_at; /* The number of the call that fails, from 1; or 0. */
} refusals;

/* Returns whether the call that should fail did not happen. */
static inline bool refusals_are_over(void)
{
    return refusals.calls < refusals.fails_at;
}

static inline void refuse_call(unsigned fails_at)
{
    refusals.calls = 0;
    refusals.fails_at = fails_at;
}

#ifdef WITH_WRAP

/* Defines the function that replaces `name`. */
#define REFUSABLE(type, name, parameters, arguments, error) \
    type __real_##name parameters; \
    type __wrap_##name parameters; \
    type __wrap_##name parameters \
    { \
        if (++refusals.calls == refusals.fails_at) \
            return error; \
        return __real_##name arguments; \
    }

REFUSABLE(void *, calloc, (size_t count, size_t size), (count, size), NULL)
REFUSABLE(aloop_future *, aloop_operation_new,
          (aloop * loop, aloop_operation_cb on_cancel, void *arg),
          (loop, on_cancel, arg), NULL)
REFUSABLE(int, aloop_poll_start,
          (aloop * loop, int fd, unsigned events, aloop_poll_cb on_ready,
           void *arg, aloop_poll **ret_poll),
          (loop, fd, events, on_ready, arg, ret_poll), ALOOP_ENOMEM)
REFUSABLE(int, aloop_poll_set_events, (aloop_poll * poll, unsigned events),
          (poll, events), ALOOP_ENOMEM)
REFUSABLE(aloop_timer *, aloop_timer_new,
          (aloop * loop, aloop_timer_cb on_expire, void *arg),
          (loop, on_expire, arg), NULL)
REFUSABLE(int, aloop_timer_restart, (aloop_timer * timer, int64_t delay_ns),
          (timer, delay_ns), ALOOP_ENOMEM)

#endif

#endif
