/* Deadline scopes: a time after which a stretch of a task's code is to end. */

#include "task/task.h"

struct aloop_deadline {
    struct aloop__node node; /* In task->deadlines. */
    struct aloop__timed timed;
    struct aloop__task *task;
    bool has_passed; /* Counted in task->passed. */
};

static void set_passed(aloop_deadline *deadline, bool has_passed)
{
    deadline->task->passed += has_passed;
    deadline->task->passed -= deadline->has_passed;
    deadline->has_passed = has_passed;
}

static void on_due(struct aloop__timed *timed)
{
    aloop_deadline *deadline = CONTAINER_OF(timed, aloop_deadline, timed);

    set_passed(deadline, true);
    aloop__task_interrupt(deadline->task);
}

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
    aloop__timed_init(&deadline->timed, on_due);
    deadline->task = task;
    if (aloop_deadline_move(deadline, delay_ns) < 0) {
        aloop__slab_put(&loop->slab, deadline, sizeof *deadline);
        return NULL;
    }
    list_push(&task->deadlines, &deadline->node);
    return deadline;
}

int aloop_deadline_move(aloop_deadline *deadline, int64_t delay_ns)
{
    aloop *loop;
    int error;

    if (deadline == NULL)
        return ALOOP_EINVAL;
    loop = deadline->task->future.loop;
    error = aloop__timed_set(loop, &deadline->timed,
                             aloop__after(aloop__now(loop), delay_ns));
    if (error == 0)
        set_passed(deadline, false);
    return error;
}

int aloop_deadline_end(aloop_deadline *deadline)
{
    aloop *loop;
    bool has_passed;

    if (deadline == NULL)
        return ALOOP_EINVAL;
    loop = deadline->task->future.loop;
    has_passed = deadline->has_passed;
    set_passed(deadline, false);
    aloop__timed_clear(loop, &deadline->timed);
    list_remove(&deadline->node);
    aloop__slab_put(&loop->slab, deadline, sizeof *deadline);
    return has_passed;
}

void aloop__deadlines_end(struct aloop__task *task)
{
    while (!list_empty(&task->deadlines))
        aloop_deadline_end(
            CONTAINER_OF(task->deadlines.next, aloop_deadline, node));
}
