/* Mistakes of the application, which loops with options.debug look for.
 *
 * Public functions ask here before they use what they were given.  Outside of
 * debug loops that is one comparison of loop->debug with NULL.  In a debug loop
 * a mistake is reported once, as ALOOP_EMISUSE, when the turn ends, and the
 * function that was called has no effect. */

#ifndef ALOOP_LOOP_DEBUG_H
#define ALOOP_LOOP_DEBUG_H

#include "loop/future.h"
#include "loop/handle.h"
#include "os/tools.h"

enum aloop__mistake {
    MISTAKE_THREAD,   /* A call on another thread than the loop's. */
    MISTAKE_FUTURE,   /* A future without references. */
    MISTAKE_WAITED,   /* One that only those that wait for it refer to. */
    MISTAKE_CLOSED,   /* A handle that was closed. */
    MISTAKE_NULL,     /* NULL instead of a handle. */
    MISTAKE_CALLBACK, /* An await in a callback. */
    MISTAKE_YIELD,    /* A yield in one. */
    MISTAKE_CIRCLE,   /* An await of what waits for the caller. */
    MISTAKE_LOOP,     /* An await of a future of another loop. */
    MISTAKE_DROPPED,  /* A task that ends because its future was dropped. */
    MISTAKE_HELD      /* A callback or a task that has held the loop. */
};

/* What a function is about to do with a future. */
enum aloop__use {
    USE_LOOK, /* Nothing that needs a reference while it is pending. */
    USE_MORE, /* To add a reference: somewhere there has to be one. */
    USE_UP    /* To take over the caller's reference. */
};

/* loop->debug, in loops with that option.  ALOOP_ENOMEM. */
int aloop__debug_open(aloop *loop);
/* Gives back what is kept, too. */
void aloop__debug_close(aloop *loop);

/* Reports a mistake unless the same was reported before: the same function, by
 * the same task, about the same subject, which may be "".
 * Can be called on any thread. */
COLD void aloop__debug_report(aloop *loop, enum aloop__mistake mistake,
                              const char *function, const char *subject);
/* The same about a future that exists. */
COLD void aloop__debug_report_future(enum aloop__mistake mistake,
                                     const char *function,
                                     const aloop_future *future);
/* Calls the application's hook for what was reported; the end of every turn. */
COLD void aloop__debug_deliver(aloop *loop);

/* A callback has returned: `subject` is what to name if it has taken long. */
COLD void aloop__debug_called(aloop *loop, const char *subject);
COLD void aloop__debug_called_task(const aloop_future *task);

/* The calling thread runs the loop from now on. */
COLD void aloop__debug_enter(aloop *loop);
COLD void aloop__debug_leave(aloop *loop);

/* The questions, for debug loops only. */
COLD int aloop__debug_check_loop(aloop *loop, const char *function);
COLD int aloop__debug_check_handle(const void *handle,
                                   const char *function);
COLD int aloop__debug_check_future(const aloop_future *future,
                                   const char *function,
                                   enum aloop__use use);

/* These read what may be freed and unreadable. */
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

DEBUG_READS bool
aloop__is_checked_future(const aloop_future *future)
{
    return future->loop != NULL && future->loop->debug != NULL;
}

/* Whether a public function may go on: 0; ALOOP_EINVAL for NULL, and for what
 * is closed or gone; ALOOP_EPERM on the wrong thread. */

static inline int aloop__check_loop(aloop *loop, const char *function)
{
    if (loop == NULL)
        return ALOOP_EINVAL;
    return loop->debug == NULL ? 0 : aloop__debug_check_loop(loop, function);
}

/* `handle` begins with a struct aloop__handle. */
static inline int aloop__check_handle(const void *handle,
                                      const char *function)
{
    if (handle != NULL && !aloop__is_checked_handle(handle))
        return 0;
    return aloop__debug_check_handle(handle, function);
}

/* NULL, and what misuse without a loop gives, are futures like any other. */
static inline int aloop__check_future(const aloop_future *future,
                                      const char *function,
                                      enum aloop__use use)
{
    if (future == NULL || !aloop__is_checked_future(future))
        return 0;
    return aloop__debug_check_future(future, function, use);
}

/* A callback of this kind, or a task, has returned. */
static inline void aloop__called(aloop *loop, const char *kind)
{
    if (loop->debug != NULL)
        aloop__debug_called(loop, kind);
}

/* The calling thread no longer runs the loop. */
static inline void aloop__leave(aloop *loop)
{
    if (loop->debug != NULL)
        aloop__debug_leave(loop);
}

#endif
