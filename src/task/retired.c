/* Stacks of tasks that have ended, in loops with options.debug.
 *
 * A pointer to a local variable must not be used after its task has ended.  To
 * detect such a use, the stacks of the tasks that ended last are made
 * inaccessible and are not reused.  An access faults, and overrun.c reports the
 * name of the task.
 *
 * Under AddressSanitizer they are poisoned instead, because its leak checker
 * reads all stacks.  It reports an access itself. */

#include "task/retired.h"

#include <stdio.h>

#include "os/sys.h"
#include "os/tools.h"

enum { RETIRED_MAX = 32 };

/* A ring; an entry without a stack is vacant. */
struct aloop__retired {
    struct aloop__retired_task tasks[RETIRED_MAX];
    unsigned next; /* The next one to be replaced, which is the oldest. */
};

void aloop__retired_open(aloop *loop)
{
    loop->retired = aloop__alloc_zero(&loop->alloc, sizeof *loop->retired);
}

void aloop__retired_close(aloop *loop)
{
    aloop__alloc_free(&loop->alloc, loop->retired, sizeof *loop->retired);
    loop->retired = NULL;
}

static int set_access(const struct aloop__stack *stack, bool is_denied)
{
    if (!WITH_ASAN)
        return aloop__sys_pages_protect(stack->low, stack->size, is_denied);
    if (is_denied)
        tools_slot_put(stack->low, stack->size);
    return 0;
}

/* If the system refuses access to the stack again, the pool does without it
 * until it is closed. */
static void release_retired(aloop *loop, struct aloop__retired_task *at)
{
    if (at->stack.low != NULL && set_access(&at->stack, false) == 0)
        aloop__stack_put(loop->stacks, &at->stack);
    at->stack.low = NULL;
}

bool aloop__retired_put(struct aloop__task *task)
{
    aloop *loop = task->future.loop;
    struct aloop__retired *retired = loop->retired;
    struct aloop__retired_task *at;

    if (retired == NULL || loop->is_dying)
        return false;
    at = &retired->tasks[retired->next];
    release_retired(loop, at);
    if (set_access(&task->stack, true) < 0)
        return false;
    at->stack = task->stack;
    at->where = task->where;
    snprintf(at->name, sizeof at->name, "%s", task->name);
    retired->next = (retired->next + 1) % RETIRED_MAX;
    return true;
}

const struct aloop__retired_task *aloop__retired_find(const aloop *loop,
                                                      const void *address)
{
    for (int i = 0; loop->retired != NULL && i < RETIRED_MAX; i++) {
        const struct aloop__retired_task *at = &loop->retired->tasks[i];
        uintptr_t low = (uintptr_t) at->stack.low;

        if (low != 0 && (uintptr_t) address - low < at->stack.size)
            return at;
    }
    return NULL;
}
