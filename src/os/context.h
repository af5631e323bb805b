/* Execution contexts with a stack of their own, and the switch between them.
 *
 * One implementation is linked in: assembly for x86-64, aarch64 and riscv64, or
 * ucontext.  Both report every switch to the sanitizers and to valgrind. */

#ifndef ALOOP_OS_CONTEXT_H
#define ALOOP_OS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "os/tools.h"

/* A context that is not running.  Only the implementation accesses the
 * fields. */
struct aloop__context {
    void *sp; /* Address of the saved registers. */
#if WITH_ASAN || WITH_TSAN
    void *low;       /* Lowest usable byte of the stack. */
    size_t size;     /* Usable bytes of the stack. */
    void *sanitizer; /* The fake stack of ASan, or the fiber of TSan. */
#endif
};

/* Initialises the context of the calling thread, on whatever stack it runs.
 * The loop uses it. */
void aloop__context_init_thread(struct aloop__context *context);
void aloop__context_fini_thread(struct aloop__context *context);

/* Initialises a new context on the stack [low, low + size).  The first switch
 * to it calls run(arg).  That function must never return; it ends with
 * aloop__context_switch_last().  The new context inherits the floating-point
 * control words of the caller. */
void aloop__context_init(struct aloop__context *context, void *low, size_t size,
                         void (*run)(void *arg), void *arg);

/* Begins to load the frames of a suspended context into the cache.  They are on
 * several lines, which would otherwise be loaded one after the other.  A switch
 * does it, too; it is useful some time before. */
static inline void aloop__context_fetch(const struct aloop__context *context)
{
    enum { LINES = 6, LINE_SIZE = 64 };

    for (size_t i = 0; i < LINES; i++)
        __builtin_prefetch((const char *) context->sp + i * LINE_SIZE);
}

/* Suspends `from`, which is running, and resumes `to`.  Returns when `from` is
 * resumed.  Each context has its own errno, floating-point control words and
 * C++ exception state. */
void aloop__context_switch(struct aloop__context *from,
                           struct aloop__context *to);

/* Does the same for a context that is never resumed. */
_Noreturn void aloop__context_switch_last(struct aloop__context *from,
                                          struct aloop__context *to);

/* Returns whether the running context has the floating-point control words of
 * `home`, which is suspended.  If that is unknown, it returns false. */
bool aloop__context_is_like(const struct aloop__context *home);

/* Gives the running context the errno and the exception state of a new one.  It
 * is in its first frame. */
void aloop__context_renew(void);

/* Returns whether aloop__context_call() works.  Not where a checker has to see
 * each begin and each end, and not with ucontext. */
bool aloop__context_can_call(void);

/* Suspends `from`, which is running, and calls run(arg) on the stack [low,
 * low + size).  Returns when `from` is resumed.  The function begins a new
 * context, which has the floating-point control words of the caller, and calls
 * aloop__context_renew() first.  By its return the new context ends, and the
 * one that it returns is resumed.  If that is `from`, and the new context was
 * not suspended in between, the processor predicts all returns right. */
void aloop__context_call(struct aloop__context *from, void *low, size_t size,
                         struct aloop__context *(*run)(void *arg), void *arg);

/* Frees what a context holds besides its stack.  The context has ended, was
 * never started, or is freed while it is suspended.  Must be called from
 * another context. */
void aloop__context_fini(struct aloop__context *context);

#endif
