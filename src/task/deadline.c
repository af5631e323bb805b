/* Deadline scopes: time limits for a part of a task's code.
 *
 * A scope is a timer that interrupts its task (interrupt.c).  While its
 * deadline has passed, it counts in task->passed, and each await of the task
 * ends early.  Restarting or ending the scope takes that back.
 *
 * Scopes nest, and the innermost one ends first.  The public contract reports
 * at most one scope as the reason for the awaits that ended early: the first
 * whose deadline passed.  Therefore deadlines that pass are numbered in that
 * order.  A deadline that passes after the task was cancelled has no effect at
 * all. */

#include "task/deadline.h"

#include "aloop/deadline.h"
#include "loop/clock.h"
#include "loop/host.h"
#include "task/interrupt.h"

struct aloop_deadline {
    struct aloop__node node; /* In task->deadlines. */
    struct aloop__timed timed;
    struct aloop__task *task;
    /* 0 if the deadline has not passed.  Otherwise it is counted in
     * task->passed, and deadlines of the task that pass later have greater
     * numbers. */
    unsigned order;
};

/* Takes back the effect of a deadline that has passed.  The numbers begin again
 * when none is in use, so that they do not overflow. */
static void clear_passed(aloop_deadline *deadline)
{
    struct aloop__task *task = deadline->task;

    if (deadline->order == 0)
        return;
    deadline->order = 0;
    if (--task->passed == 0)
        task->passings = 0;
}

/* timed->fire.  No task runs in this phase of a turn.  The task may be
 * suspended, queued, or shielded; in the latter case the mark has its effect
 * later. */
static void deadline_due(struct aloop__timed *timed)
{
    aloop_deadline *deadline = CONTAINER_OF(timed, aloop_deadline, timed);

    struct aloop__task *task = deadline->task;

    if (task->is_cancelled)
        return; /* The task already ends. */
    task->passed++;
    task->future.loop->was_interrupted = true;
    deadline->order = ++task->passings;
    aloop__task_interrupt(task);
}

/* Returns whether this deadline passed, and before all others of the task that
 * passed and whose scopes have not ended. */
static bool has_passed_first(const aloop_deadline *deadline)
{
    const struct aloop__node *list = &deadline->task->deadlines;
    const struct aloop__node *node = list->next;

    if (deadline->order == 0)
        return false;
    for (; node != list; node = node->next) {
        const aloop_deadline *other = CONTAINER_OF(node, aloop_deadline, node);

        if (other->order > 0 && other->order < deadline->order)
            return false;
    }
    return true;
}

/* The scope joins the task's list after its timer was started, so that a
 * failure has nothing to take back. */
aloop_deadline *aloop_deadline_begin(aloop *loop, int64_t delay_ns)
{
    struct aloop__task *task = aloop__task_current();
    aloop_deadline *deadline;

    if (task == NULL || task->future.loop != loop)
        return NULL;
    deadline = aloop__slab_get(&loop->slab, sizeof *deadline);
    if (deadline == NULL)
        return NULL;
    list_init(&deadline->node);
    aloop__timed_init(&deadline->timed, deadline_due);
    deadline->task = task;
    if (aloop_deadline_restart(deadline, delay_ns) < 0) {
        aloop__slab_put(&loop->slab, deadline, sizeof *deadline);
        return NULL;
    }
    list_push(&task->deadlines, &deadline->node);
    return deadline;
}

/* Starting the timer can fail only if it has fired: otherwise its entry is in
 * the heap and is only moved. */
int aloop_deadline_restart(aloop_deadline *deadline, int64_t delay_ns)
{
    aloop *loop;
    int error;

    if (deadline == NULL)
        return ALOOP_EINVAL;
    loop = deadline->task->future.loop;
    error = aloop__timed_set(loop, &deadline->timed,
                             aloop__after(aloop__now(loop), delay_ns));
    if (error == 0)
        clear_passed(deadline);
    return error;
}

static void end_scope(aloop_deadline *deadline)
{
    aloop *loop = deadline->task->future.loop;

    clear_passed(deadline);
    aloop__timed_clear(loop, &deadline->timed);
    list_remove(&deadline->node);
    aloop__slab_put(&loop->slab, deadline, sizeof *deadline);
}

/* The result is computed before end_scope() takes back the effect of the
 * deadline. */
int aloop_deadline_end(aloop_deadline *deadline)
{
    bool is_reason;

    if (deadline == NULL || deadline->task->deadlines.prev != &deadline->node)
        return ALOOP_EINVAL;
    is_reason = has_passed_first(deadline);
    end_scope(deadline);
    return is_reason;
}

/* Called by end_task() before the future of the task settles, because the
 * timers point to the task. */
void aloop__deadlines_end_open(struct aloop__task *task)
{
    while (!list_is_empty(&task->deadlines))
        end_scope(CONTAINER_OF(task->deadlines.prev, aloop_deadline, node));
}
