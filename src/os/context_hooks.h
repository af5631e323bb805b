/* Code that both kinds of context switch share: notifying the sanitizers, and
 * saving state that belongs to a context but is in no register (errno and C++
 * exceptions).
 *
 * A suspended context keeps its errno and its exception state on its own stack.
 * Included only by the implementation that is linked in. */

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

/* For the functions around a switch.  TSan counts the calls and returns of each
 * fiber.  A function that is entered on one fiber and returns on another, or
 * never, must not be counted.  Clang needs a stronger attribute than
 * no_sanitize for that.  MSan must not see that attribute, because the shadows
 * of the arguments would be missing. */
#if WITH_TSAN && defined(__clang__)
#define UNINSTRUMENTED \
    __attribute__((no_sanitize("thread"), disable_sanitizer_instrumentation))
#elif defined(__clang__)
#define UNINSTRUMENTED __attribute__((no_sanitize("address", "memory")))
#else
#define UNINSTRUMENTED __attribute__((no_sanitize_address, no_sanitize_thread))
#endif

#define HOOK static inline __attribute__((always_inline)) UNINSTRUMENTED

#if WITH_TSAN
#include <signal.h>

/* The signal mask of this thread while it switches. */
static _Thread_local sigset_t tsan_mask;

/* Returns the variable of the current thread; see hook_who_left(). */
__attribute__((noinline)) UNINSTRUMENTED static sigset_t *hook_mask_here(void)
{
    __asm__ volatile("" : : : "memory");
    return &tsan_mask;
}

/* TSan defers the handler of a signal to the next function that it intercepts,
 * and keeps deferred signals for each fiber.  A fiber that is left with such a
 * signal would delay it until it runs again, or lose it if it has ended.
 * Therefore the thread blocks its signals while it switches, and while TSan
 * switches inside a function.  pthread_sigmask() is intercepted, so that the
 * handlers of deferred signals run inside it. */
HOOK void hook_block_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, hook_mask_here());
}

HOOK void hook_unblock_signals(void)
{
    pthread_sigmask(SIG_SETMASK, hook_mask_here(), NULL);
}
#endif

#if WITH_ASAN
/* The context that was left last.  ASan reports the bounds of its stack, which
 * are not known otherwise if it is a thread's own stack. */
static _Thread_local struct aloop__context *asan_left;

/* Reads the variable of the current thread.  A context may be resumed on
 * another thread than the one that it was suspended on. */
__attribute__((noinline)) UNINSTRUMENTED static struct aloop__context *
hook_who_left(void)
{
    __asm__ volatile("" : : : "memory");
    return asan_left;
}
#endif

/* Each context gets a new TSan fiber.  Reusing one would save 0.4 ms with gcc
 * 12.  But each context leaves calls behind that never return, so that TSan's
 * record of the fiber would eventually overflow. */
HOOK void hook_init(struct aloop__context *context, void *low, size_t size)
{
#if WITH_ASAN || WITH_TSAN
    context->low = low;
    context->size = size;
    context->sanitizer = NULL;
#endif
#if WITH_TSAN
    hook_block_signals();
    context->sanitizer = __tsan_create_fiber(0);
    hook_unblock_signals();
#endif
    (void) context;
    (void) low;
    (void) size;
}

HOOK void hook_fini(struct aloop__context *context)
{
#if WITH_TSAN
    if (context->sanitizer != NULL) {
        hook_block_signals();
        __tsan_destroy_fiber(context->sanitizer);
        hook_unblock_signals();
    }
#endif
#if WITH_ASAN || WITH_TSAN
    context->sanitizer = NULL;
#endif
    (void) context;
}

/* Called right before the switch.  No instrumented code may run in between. */
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
    hook_block_signals();
    from->sanitizer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->sanitizer, 0);
#endif
}

/* Called first after the switch, in the context that was resumed. */
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
#elif WITH_TSAN
    hook_unblock_signals();
#endif
}

/* Compilers assume that the address of errno and the thread pointer do not
 * change within a function.  They can change at a switch, because a loop may
 * move to another thread.  Therefore both are read in a way that the compiler
 * cannot see through. */
__attribute__((noinline)) UNINSTRUMENTED static int *hook_errno_here(void)
{
    __asm__ volatile("" : : : "memory");
    return &errno;
}

/* Functions that identify the current thread and find its errno.  With glibc,
 * errno has the same distance from the thread pointer in all threads, and the
 * thread pointer is read without a call.  Elsewhere the address of errno
 * identifies the thread. */
#if defined(__GLIBC__) && !defined(__ILP32__) && \
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

/* State that a suspended context keeps on its stack, and where the thread has
 * it. */
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

/* Called if a context is resumed on another thread.  It is a function of its
 * own, so that a switch needs no registers for this. */
__attribute__((noinline, cold)) UNINSTRUMENTED static void hook_find_home(
    struct hook_kept *kept)
{
    if (kept->home == NULL) /* C++ may have been loaded in between. */
        memset(&kept->exceptions, 0, sizeof kept->exceptions);
    kept->home = aloop__exceptions_here();
}

HOOK void hook_restore(struct hook_kept *kept)
{
    uintptr_t thread = hook_thread_here();

    /* Reads `kept` from the stack again.  Otherwise its values would be kept in
     * callee-saved registers, which would have to be saved for that. */
    __asm__ volatile("" : "+m"(*kept));
    if (kept->thread != thread)
        hook_find_home(kept);
    *hook_errno_of(thread) = kept->error;
    if (kept->home != NULL)
        *kept->home = kept->exceptions;
}

/* Gives the running context the errno and the exception state of a new one. */
HOOK void hook_renew(void)
{
    struct aloop__exceptions *home = aloop__exceptions_here();

    *hook_errno_of(hook_thread_here()) = 0;
    if (home != NULL)
        memset(home, 0, sizeof *home);
}

/* What a new context runs.  It is at the very top of its stack. */
struct hook_start {
    struct aloop__context *self;
    void (*run)(void *arg);
    void *arg;
};

/* Begins a new context, on its own stack. */
HOOK void hook_run(const struct hook_start *start)
{
    hook_arrive(start->self);
    hook_renew();
    start->run(start->arg);
    __builtin_trap();
}

#endif
