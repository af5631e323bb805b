/* What ends the awaits of a task early. */

#ifndef ALOOP_TASK_INTERRUPT_H
#define ALOOP_TASK_INTERRUPT_H

#include "task/task_state.h"

/* Returns why awaits of this task are to end early now: ALOOP_ECANCELED,
 * ALOOP_ETIMEDOUT, or 0. */
int aloop__task_reason(const struct aloop__task *task);
/* Ends the present await if it has to end, after a change of the reason. */
void aloop__task_interrupt(struct aloop__task *task);

#endif
