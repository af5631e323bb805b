/* Memory faults, such as a stack overflow: they are reported before they have
 * their usual effect.
 *
 * Only for loops whose options ask for it.  While there is such a loop, SIGSEGV
 * and SIGBUS have a handler of the library.  It calls the handler that was
 * installed before, which is restored in the end. */

#ifndef ALOOP_OS_FAULT_H
#define ALOOP_OS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* Reports a fault of the calling thread at `address`, if it can be explained.
 * Called in a signal handler. */
typedef void (*aloop__fault_fn)(const void *address);

/* Installs the handler for the first caller and counts the later ones.
 * `report` is the same each time.  Thread-safe.  Returns 0 or a negated
 * errno. */
int aloop__fault_watch(aloop__fault_fn report);
/* Undoes one call of aloop__fault_watch(). */
void aloop__fault_unwatch(void);

/* Reports a fault at `address` and raises SIGSEGV.  This ends the process,
 * unless a handler that was installed before prevents it. */
void aloop__fault_raise(const void *address);

/* The alternate signal stack of a thread that runs a loop.  A handler cannot
 * run on the stack of a task that has overflowed it. */
struct aloop__fault_stack {
    void *pages; /* NULL if out of memory. */
    size_t size;
    bool is_set;
};

void aloop__fault_stack_open(struct aloop__fault_stack *stack);
void aloop__fault_stack_close(struct aloop__fault_stack *stack);
/* Sets the stack for the calling thread, unless the thread has an alternate
 * signal stack already. */
void aloop__fault_stack_enter(struct aloop__fault_stack *stack);
/* Removes the stack, if aloop__fault_stack_enter() has set it. */
void aloop__fault_stack_leave(struct aloop__fault_stack *stack);

#endif
