/* Interrupts, which end the awaits of a task early; see interrupt.c. */

#ifndef ALOOP_TASK_INTERRUPT_H
#define ALOOP_TASK_INTERRUPT_H

#include "task/task_state.h"

/* Returns the reason why awaits of this task should end early now:
 * ALOOP_ECANCELED, ALOOP_ETIMEDOUT, or 0 if there is none. */
int aloop__task_reason(const struct aloop__task *task);
/* Ends the present await early if there is a reason.  Called when a reason may
 * have arisen. */
void aloop__task_interrupt(struct aloop__task *task);

#endif
