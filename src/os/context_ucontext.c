/* The context switch for processors without assembly here: ucontext.
 *
 * A suspended context keeps its ucontext_t on its own stack, and context->sp
 * points to it.  A new context has it at the very top of the stack.  Each
 * switch costs a system call, because ucontext also saves the signal mask. */

#define _GNU_SOURCE
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/context.h"

#include <stdint.h>
#include <ucontext.h>

#include "os/context_hooks.h"

#if defined(__APPLE__)
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
#endif

void aloop__context_init_thread(struct aloop__context *context)
{
    memset(context, 0, sizeof *context);
    hook_find_errno();
}

void aloop__context_fini_thread(struct aloop__context *context)
{
    (void) context;
}

/* The first function of a context.  makecontext() passes only ints, so that the
 * pointer is split into two. */
UNINSTRUMENTED static void aloop__context_boot(unsigned high, unsigned low)
{
    uintptr_t bits = (uintptr_t) ((uint64_t) high << 32 | low);

    hook_run((const struct hook_start *) bits);
}

/* The ucontext_t is at the top of the new stack, below the start, where nothing
 * overwrites it before the first switch has loaded it. */
void aloop__context_init(struct aloop__context *context, void *low, size_t size,
                         void (*run)(void *arg), void *arg)
{
    uintptr_t end = ((uintptr_t) low + size - sizeof(struct hook_start)) &
                    ~(uintptr_t) 15;
    uintptr_t top = (end - sizeof(ucontext_t)) & ~(uintptr_t) 63;
    struct hook_start *start = (struct hook_start *) end;
    ucontext_t *fresh = (ucontext_t *) top;
    uint64_t bits = end;

    start->self = context;
    start->run = run;
    start->arg = arg;
    memset(context, 0, sizeof *context);
    context->sp = fresh;
    hook_init(context, low, size);
    (void) getcontext(fresh); /* It cannot fail with a valid argument. */
    fresh->uc_link = NULL;
    fresh->uc_stack.ss_sp = low;
    fresh->uc_stack.ss_size = top - (uintptr_t) low;
    makecontext(fresh, (void (*)(void)) aloop__context_boot, 2,
                (unsigned) (bits >> 32), (unsigned) bits);
}

/* `here` stays valid while this context is suspended, because its stack
 * does. */
UNINSTRUMENTED void aloop__context_switch(struct aloop__context *from,
                                          struct aloop__context *to)
{
    struct hook_kept kept;
    ucontext_t here;

    /* swapcontext() does not write these fields, but ASan reads them. */
    here.uc_link = NULL;
    here.uc_stack.ss_sp = NULL;
    here.uc_stack.ss_size = 0;
    from->sp = &here;
    hook_keep(&kept);
    hook_leave(from, to, false);
    (void) swapcontext(&here, to->sp);
    hook_arrive(from);
    hook_restore(&kept);
}

UNINSTRUMENTED _Noreturn void aloop__context_switch_last(
    struct aloop__context *from, struct aloop__context *to)
{
    hook_leave(from, to, true);
    (void) setcontext(to->sp);
    __builtin_unreachable();
}

/* What getcontext() saves cannot be compared. */
bool aloop__context_is_like(const struct aloop__context *home)
{
    (void) home;
    return false;
}

UNINSTRUMENTED void aloop__context_renew(void)
{
    hook_renew();
}

bool aloop__context_can_call(void)
{
    return false;
}

void aloop__context_call(struct aloop__context *from, void *low, size_t size,
                         struct aloop__context *(*run)(void *arg), void *arg)
{
    (void) from;
    (void) low;
    (void) size;
    (void) run;
    (void) arg;
}

void aloop__context_fini(struct aloop__context *context)
{
    hook_fini(context);
}
