/* What both kinds of context switch share: telling the sanitizers, and keeping
 * what belongs to a flow but is not in a register (errno, C++ exceptions).
 *
 * A flow's errno and exception state lie on its own stack while it waits.
 * Included by the one implementation that is linked in. */

#ifndef ALOOP_OS_CONTEXT_HOOKS_H
#define ALOOP_OS_CONTEXT_HOOKS_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "os/context.h"
#include "os/tools.h"
#include "os/unwind.h"

/* For the functions around a switch.  TSan counts the calls and returns of
 * each fiber: those that enter on one and return on another, or never, must
 * not be counted.  Clang needs a stronger word than no_sanitize for that, but
 * MSan must not see it, for want of shadows for the arguments. */
#if WITH_TSAN && defined(__clang__)
#define UNINSTRUMENTED                                                         \
    __attribute__((no_sanitize("thread"), disable_sanitizer_instrumentation))
#elif defined(__clang__)
#define UNINSTRUMENTED __attribute__((no_sanitize("address", "memory")))
#else
#define UNINSTRUMENTED __attribute__((no_sanitize_address, no_sanitize_thread))
#endif

#define HOOK static inline __attribute__((always_inline)) UNINSTRUMENTED

#if WITH_ASAN
/* Who left for the flow that now arrives: ASan tells the bounds of its stack,
 * which nobody else knows where it is a thread's own. */
static _Thread_local struct aloop__context *asan_left;

/* On the present thread: a flow may arrive on another one than it left. */
__attribute__((noinline)) UNINSTRUMENTED static struct aloop__context *
hook_who_left(void)
{
    __asm__ volatile("" : : : "memory");
    return asan_left;
}
#endif

/* A TSan fiber is made anew for each flow.  Reusing one would save 0.4 ms with
 * gcc 12, but each flow leaves calls behind that never return, and TSan's own
 * record of them would overflow in the end. */
HOOK void hook_init(struct aloop__context *context)
{
#if WITH_TSAN
    context->sanitizer = __tsan_create_fiber(0);
#else
    context->sanitizer = NULL;
#endif
}

HOOK void hook_fini(struct aloop__context *context)
{
#if WITH_TSAN
    if (context->sanitizer != NULL)
        __tsan_destroy_fiber(context->sanitizer);
#endif
    context->sanitizer = NULL;
}

/* Right before the switch; nothing instrumented may come between. */
HOOK void hook_leave(struct aloop__context *from, struct aloop__context *to,
                     bool is_last)
{
    (void) from;
    (void) to;
    (void) is_last;
#if WITH_ASAN
    asan_left = from;
    __sanitizer_start_switch_fiber(is_last ? NULL : &from->sanitizer, to->low,
                                   to->size);
#elif WITH_TSAN
    from->sanitizer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->sanitizer, 0);
#endif
}

/* First thing after it, in the flow that was switched to. */
HOOK void hook_arrive(struct aloop__context *self)
{
    (void) self;
#if WITH_ASAN
    struct aloop__context *left;
    const void *low;
    size_t size;

    __sanitizer_finish_switch_fiber(self->sanitizer, &low, &size);
    left = hook_who_left();
    left->low = (void *) low;
    left->size = size;
#endif
}

/* A compiler takes it that these cannot change within a function, so both are
 * asked for where it does not look: a flow may arrive on another thread than it
 * left, because its loop changes threads. */
__attribute__((noinline)) UNINSTRUMENTED static int *hook_errno_here(void)
{
    __asm__ volatile("" : : : "memory");
    return &errno;
}

/* What tells threads apart, and leads to errno.  The thread pointer is read
 * without a call, and there glibc has errno at the same distance from it in all
 * threads.  Elsewhere it is the address of errno itself. */
#if defined(__GLIBC__) && !defined(__ILP32__) &&                               \
    (defined(__x86_64__) || defined(__aarch64__))

static _Atomic uintptr_t hook_errno_distance;

HOOK uintptr_t hook_thread_here(void)
{
    uintptr_t thread;

#if defined(__x86_64__)
    __asm__ volatile("movq %%fs:0, %0" : "=r"(thread));
#else
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(thread));
#endif
    return thread;
}

HOOK void hook_find_errno(void)
{
    atomic_store_explicit(&hook_errno_distance,
                          (uintptr_t) hook_errno_here() - hook_thread_here(),
                          memory_order_relaxed);
}

HOOK int *hook_errno_of(uintptr_t thread)
{
    return (int *) (thread + atomic_load_explicit(&hook_errno_distance,
                                                  memory_order_relaxed));
}

#else

HOOK uintptr_t hook_thread_here(void)
{
    return (uintptr_t) hook_errno_here();
}

HOOK void hook_find_errno(void)
{
}

HOOK int *hook_errno_of(uintptr_t thread)
{
    return (int *) thread;
}

#endif

/* What a flow keeps on its stack while it waits, and where a thread has it. */
struct hook_kept {
    struct aloop__exceptions *home;
    struct aloop__exceptions exceptions;
    uintptr_t thread;
    int error;
};

HOOK void hook_keep(struct hook_kept *kept)
{
    kept->thread = hook_thread_here();
    kept->error = *hook_errno_of(kept->thread);
    kept->home = aloop__exceptions_here();
    if (kept->home != NULL)
        kept->exceptions = *kept->home;
}

/* The flow has arrived on another thread than it left.  Apart, so that a switch
 * keeps nothing of this in registers. */
__attribute__((noinline, cold)) UNINSTRUMENTED static void
hook_find_home(struct hook_kept *kept)
{
    if (kept->home == NULL) /* C++ may have been loaded since then. */
        memset(&kept->exceptions, 0, sizeof kept->exceptions);
    kept->home = aloop__exceptions_here();
}

HOOK void hook_restore(struct hook_kept *kept)
{
    uintptr_t thread = hook_thread_here();

    /* It is read from the stack again: nothing of it was in registers, which
     * would have had to be saved for that. */
    __asm__ volatile("" : "+m"(*kept));
    if (kept->thread != thread)
        hook_find_home(kept);
    *hook_errno_of(thread) = kept->error;
    if (kept->home != NULL)
        *kept->home = kept->exceptions;
}

/* The start of a new flow, on its own stack. */
HOOK void hook_enter(struct aloop__context *self)
{
    struct aloop__exceptions *home;

    hook_arrive(self);
    errno = 0;
    home = aloop__exceptions_here();
    if (home != NULL)
        memset(home, 0, sizeof *home);
}

#endif
