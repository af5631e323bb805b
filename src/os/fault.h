/* Faults of memory, such as the overrun of a stack: a report of them before
 * they take their course.
 *
 * Only for loops that ask for it: SIGSEGV and SIGBUS get a handler of the
 * library while there is such a loop.  What was there before is called after
 * it, and put back in the end. */

#ifndef ALOOP_OS_FAULT_H
#define ALOOP_OS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* Reports a fault of this thread at `address`, if it knows anything about that.
 * Called in a signal handler. */
typedef void (*aloop__fault_fn)(const void *address);

/* Counted; `report` is the same each time.  Thread-safe. */
int aloop__fault_watch(aloop__fault_fn report);
void aloop__fault_unwatch(void);

/* As a fault at `address`, which is reported: ends the process, unless a
 * handler that was there before prevents that. */
void aloop__fault_raise(const void *address);

/* What handlers run on while a thread runs a loop: the stack of a task that
 * has overrun it is of no use to them. */
struct aloop__fault_stack {
    void *pages; /* NULL where there was no memory. */
    size_t size;
    bool is_set;
};

void aloop__fault_stack_open(struct aloop__fault_stack *stack);
void aloop__fault_stack_close(struct aloop__fault_stack *stack);
/* For the calling thread, unless it has one already. */
void aloop__fault_stack_enter(struct aloop__fault_stack *stack);
void aloop__fault_stack_leave(struct aloop__fault_stack *stack);

#endif
