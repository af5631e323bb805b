/* Detection of the application's mistakes in loops with options.debug.
 *
 * Public functions check their arguments here before they use them.  In other
 * loops this costs one comparison of loop->debug with NULL.  In a debug loop a
 * mistake is reported once, as ALOOP_EMISUSE, when the turn ends.  A call that
 * a check refuses has no effect. */

#ifndef ALOOP_LOOP_DEBUG_H
#define ALOOP_LOOP_DEBUG_H

#include "loop/future.h"
#include "loop/handle.h"
#include "os/tools.h"

enum aloop__mistake {
    MISTAKE_THREAD,   /* A call on a thread that does not run the loop. */
    MISTAKE_FUTURE,   /* A future that has no references. */
    MISTAKE_WAITED,   /* A future that only its waiters refer to. */
    MISTAKE_CLOSED,   /* A handle that was closed. */
    MISTAKE_NULL,     /* NULL instead of a handle. */
    MISTAKE_INSIDE,   /* A stream, in a function of its filter. */
    MISTAKE_CALLBACK, /* An await in a callback. */
    MISTAKE_YIELD,    /* A yield in a callback. */
    MISTAKE_CIRCLE,   /* An await of a future that waits for the task. */
    MISTAKE_LOOP,     /* An await of a future of another loop. */
    /* A task was cancelled because its last reference was dropped. */
    MISTAKE_DROPPED,
    MISTAKE_SETTLED, /* An operation was settled again. */
    MISTAKE_BLOCKED  /* A callback or task has run for too long. */
};

/* How a function is about to use a future. */
enum aloop__use {
    USE_LOOK, /* Needs no reference while it is pending. */
    USE_MORE, /* Adds a reference; one must exist already. */
    USE_UP    /* Takes over the caller's reference. */
};

/* Creates loop->debug, which only loops with options.debug have.  Returns
 * ALOOP_ENOMEM. */
int aloop__debug_open(aloop *loop);
/* Frees loop->debug and the objects in the quarantine. */
void aloop__debug_close(aloop *loop);

/* Reports a mistake unless an equal one was reported before.  Two reports are
 * equal if the mistake, the function, the caller and the subject are the same.
 * `subject` may be "".  Can be called on any thread. */
COLD void aloop__debug_report(aloop *loop, enum aloop__mistake mistake,
                              const char *function, const char *subject);
/* Like aloop__debug_report(), with an existing future as the subject. */
COLD void aloop__debug_report_future(enum aloop__mistake mistake,
                                     const char *function,
                                     const aloop_future *future);
/* Calls the application's hook for each new report.  Every turn of a debug loop
 * ends with this. */
COLD void aloop__debug_deliver(aloop *loop);

/* Must be called when a callback has returned.  Reports `subject` if the
 * callback has run for too long. */
COLD void aloop__debug_called(aloop *loop, const char *subject);
COLD void aloop__debug_called_task(const aloop_future *task);

/* Note that the calling thread begins or stops running the loop. */
COLD void aloop__debug_enter(aloop *loop);
COLD void aloop__debug_leave(aloop *loop);

/* The checks, for debug loops only. */
COLD int aloop__debug_check_loop(aloop *loop, const char *function);
COLD int aloop__debug_check_handle(const void *handle, const char *function,
                                   bool may_be_inside);
COLD int aloop__debug_check_future(const aloop_future *future,
                                   const char *function, enum aloop__use use);

/* For functions that read memory that may have been freed and that
 * AddressSanitizer may have made unreadable. */
#if WITH_ASAN
#define DEBUG_READS \
    __attribute__((no_sanitize("address"), noinline, unused)) static
#else
#define DEBUG_READS static inline
#endif

DEBUG_READS bool aloop__is_checked_handle(const void *handle)
{
    return ((const struct aloop__handle *) handle)->loop->debug != NULL;
}

DEBUG_READS bool aloop__is_checked_future(const aloop_future *future)
{
    return future->loop != NULL && future->loop->debug != NULL;
}

/* Return 0 if a public function may continue.  Return ALOOP_EINVAL for NULL,
 * for objects that are closed or have no references left, and for streams in a
 * function of their filter.  Return ALOOP_EPERM on the wrong thread. */

static inline int aloop__check_loop(aloop *loop, const char *function)
{
    if (loop == NULL)
        return ALOOP_EINVAL;
    return loop->debug == NULL ? 0 : aloop__debug_check_loop(loop, function);
}

/* `handle` points to an object whose first member is a struct aloop__handle. */
static inline int aloop__check_handle(const void *handle, const char *function)
{
    if (handle != NULL && !aloop__is_checked_handle(handle))
        return 0;
    return aloop__debug_check_handle(handle, function, false);
}

/* The same for a function that may also be called inside. */
static inline int aloop__check_handle_inside(const void *handle,
                                             const char *function)
{
    if (handle != NULL && !aloop__is_checked_handle(handle))
        return 0;
    return aloop__debug_check_handle(handle, function, true);
}

/* NULL and the constants that misuse returns are valid futures. */
static inline int aloop__check_future(const aloop_future *future,
                                      const char *function, enum aloop__use use)
{
    if (future == NULL || !aloop__is_checked_future(future))
        return 0;
    return aloop__debug_check_future(future, function, use);
}

/* Must be called when a callback of this kind, or a task, has returned. */
static inline void aloop__called(aloop *loop, const char *kind)
{
    if (loop->debug != NULL)
        aloop__debug_called(loop, kind);
}

/* Notes that the calling thread no longer runs the loop. */
static inline void aloop__leave(aloop *loop)
{
    if (loop->debug != NULL)
        aloop__debug_leave(loop);
}

#endif
