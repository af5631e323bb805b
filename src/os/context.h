/* Flows of control with a stack of their own, and the switch between them.
 *
 * One implementation is linked in: assembly for x86-64, aarch64 and riscv64, or
 * ucontext.  Both tell the sanitizers and valgrind about every switch. */

#ifndef ALOOP_OS_CONTEXT_H
#define ALOOP_OS_CONTEXT_H

#include <stddef.h>

/* A flow that is not running now.  The fields are the implementation's. */
struct aloop__context {
    void *sp;             /* Where its registers were pushed. */
    void *low;            /* Its stack: lowest usable byte ... */
    size_t size;          /* ... and bytes from there. */
    void *sanitizer;      /* ASan's fake stack, or TSan's fiber. */
    void (*run)(void *arg);
    void *arg;
};

/* The thread's own flow, whatever stack it is on; for the loop. */
void aloop__context_init_thread(struct aloop__context *context);
void aloop__context_fini_thread(struct aloop__context *context);

/* A new flow on [low, low + size): its first switch calls run(arg), which must
 * never return: its last act is aloop__context_switch_last.  The floating
 * point control words are inherited from the caller. */
void aloop__context_init(struct aloop__context *context, void *low,
                         size_t size, void (*run)(void *arg), void *arg);

/* Stops `from`, which is running, and goes on with `to`; returns when somebody
 * switches back.  errno, the floating point control words and the C++
 * exception state belong to the flow. */
void aloop__context_switch(struct aloop__context *from,
                           struct aloop__context *to);

/* The same for a flow that will never be switched to again. */
_Noreturn void aloop__context_switch_last(struct aloop__context *from,
                                          struct aloop__context *to);

/* Frees what a flow that has ended, or never ran, or is given up while it
 * waits, still holds besides its stack.  Called from another flow. */
void aloop__context_fini(struct aloop__context *context);

#endif
