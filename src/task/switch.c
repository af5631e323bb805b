/* How tasks start, are suspended, continue and end.
 *
 * The batch of a turn calls aloop__task_resumed(), which switches from the
 * loop's stack to that of the task.  When this task waits or ends, the thread
 * goes straight to what the loop would run next, if that is a task:
 *
 *     the next item of the batch         the task that waits    that ends
 *     this very task                     continues              -
 *     another task that is suspended     switches to it         the same
 *     a task that has not begun          switches to it         runs it here
 *     anything else, or nothing          switches to the loop   the same
 *
 * aloop__turn_next() finds that item.  So tasks run in the order of the ready
 * queue, as if each had returned to the loop, and callbacks run on the
 * thread's own stack.  In a debug loop every task goes back, because the loop
 * checks the task's stack there.  A task that has changed the floating-point
 * control words goes back before a new one begins, which has those of the loop.
 *
 * A task gets its stack when it first runs, so that a series of short tasks
 * reuses one that is still in the cache.  A task that ends on its own stack
 * cannot give it back.  It leaves the stack in loop->switching, where the next
 * task on it finds it.  One of the usual size is kept there, with its first
 * frame: the next task that begins resumes that frame.  Any other is given back
 * by what runs next. */

#include "task/switch.h"

#include <errno.h>

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/quarantine.h"
#include "loop/turn.h"
#include "task/deadline.h"
#include "task/overrun.h"
#include "task/retired.h"

enum { AHEAD = 3 }; /* See fetch_following(). */

struct aloop__switching {
    struct aloop__context home; /* Of the loop, while a task runs. */
    /* What the last task that has ended ran on.  `stack.low` is NULL if there
     * is nothing to give back. */
    struct aloop__context left;
    struct aloop__stack stack;
    bool is_kept; /* `left` waits in end_and_go_on() for a new task. */
    bool can_keep;
};

int aloop__switching_open(aloop *loop)
{
    loop->switching = aloop__alloc_zero(&loop->alloc, sizeof *loop->switching);
    if (loop->switching == NULL)
        return ALOOP_ENOMEM;
    aloop__context_init_thread(&loop->switching->home);
    loop->switching->can_keep = aloop__context_can_repeat();
    return 0;
}

void aloop__switching_close(aloop *loop)
{
    if (loop->stacks != NULL)
        aloop__stacks_close(loop->stacks);
    aloop__context_fini_thread(&loop->switching->home);
    aloop__alloc_free(&loop->alloc, loop->switching, sizeof *loop->switching);
}

/* A debug loop makes the stack inaccessible for a while, if it can.  Otherwise
 * it fills the stack with a pattern: code that has outlived the task, and still
 * points there, then reads no values that look right. */
void aloop__task_stack_give(struct aloop__task *task)
{
    aloop *loop = task->future.loop;

    aloop__context_fini(&task->context);
    if (loop->debug == NULL || !aloop__retired_put(task)) {
        if (loop->debug != NULL)
            aloop__quarantine_fill(task->stack.low, task->stack.size);
        aloop__stack_put(loop->stacks, &task->stack);
    }
    task->stack.low = NULL;
}

/* The same for the stack that an ended task has left.  The task that continues
 * has its errno already, which the allocator of the application may change. */
NOINLINE static void give_left_stack(aloop *loop)
{
    struct aloop__switching *switching = loop->switching;
    int error = errno;

    aloop__context_fini(&switching->left);
    aloop__stack_put(loop->stacks, &switching->stack);
    switching->stack.low = NULL;
    switching->is_kept = false;
    errno = error;
}

/* Called on any other stack. */
static void put_left_stack(aloop *loop)
{
    if (loop->switching->stack.low != NULL && !loop->switching->is_kept)
        give_left_stack(loop);
}

/* Settles a task whose function has returned, or could not start.  The order
 * matters: the timers of open deadlines point to the task, and settling the
 * future may free the task. */
static void end_task(struct aloop__task *task, ssize_t result)
{
    task->future.loop->task_ends++;
    aloop__deadlines_end(task);
    aloop__task_stack_put(task);
    if (result == ALOOP_PENDING)
        result = ALOOP_EINVAL; /* It is not a status. */
    aloop__future_settle(&task->future, result);
}

/* Returns the task that the loop would run next, or NULL. */
static inline struct aloop__task *next_task(aloop *loop)
{
    struct aloop__ready *ready = aloop__turn_next(loop);

    return ready != NULL && ready->run == aloop__task_resumed
               ? CONTAINER_OF(ready, struct aloop__task, awaiter.ready)
               : NULL;
}

/* Begins to load what later switches will read, if the item of the batch that
 * is AHEAD switches away belongs to a suspended task: the frames of that task,
 * and the item behind it.  With many tasks, none of this is in the cache any
 * more, and loading it takes longer than one switch.  The items before it were
 * loaded in this way by earlier switches.  gcc would leave out calls of a
 * function that only loads. */
static inline __attribute__((always_inline)) void fetch_following(
    const aloop *loop, const struct aloop__node *node)
{
    const struct aloop__ready *ready;
    const struct aloop__task *task;

    for (int i = 0; i < AHEAD; i++) {
        node = node->next;
        if (node == &loop->batch)
            return;
    }
    ready = CONTAINER_OF(node, struct aloop__ready, node);
    task = CONTAINER_OF(ready, struct aloop__task, awaiter.ready);
    if (ready->run != aloop__task_resumed || task->state != TASK_WAITING)
        return;
    aloop__context_fetch(&task->context);
    __builtin_prefetch(node->next);
}

/* Makes it the one that runs.  The caller switches to it. */
static void task_runs(aloop *loop, struct aloop__task *task)
{
    struct aloop__node *node = &task->awaiter.ready.node;

    fetch_following(loop, node);
    list_remove(node);
    aloop__calling(loop);
    task->state = TASK_RUNNING;
    loop->current = task;
}

/* Ends a task on its own stack, and leaves that stack to what runs next.
 * Returns the next task that is to run on the same stack, if there is one. */
static struct aloop__task *end_and_go_on(struct aloop__task *task)
{
    aloop *loop = task->future.loop;
    struct aloop__switching *switching = loop->switching;
    struct aloop__context *to = &switching->home;
    size_t stack_size = task->stack_size;
    bool may_go_on = false;

    loop->current = NULL;
    if (switching->is_kept)
        give_left_stack(loop);
    switching->left = task->context;
    switching->stack = task->stack;
    task->stack.low = NULL;
    end_task(task, task->result);
    task = next_task(loop);
    if (task != NULL && task->state == TASK_WAITING) {
        task_runs(loop, task);
        to = &task->context;
    } else if (task != NULL && task->stack_size == stack_size &&
               aloop__context_is_like(&switching->home)) {
        task_runs(loop, task);
        may_go_on = true;
    }
    if (!may_go_on) {
        switching->is_kept = switching->can_keep && stack_size == 0;
        if (!switching->is_kept)
            aloop__context_switch_last(&switching->left, to);
        aloop__context_switch(&switching->left, to);
    }
    aloop__context_renew();
    task = loop->current;
    task->context = switching->left;
    task->stack = switching->stack;
    switching->stack.low = NULL;
    switching->is_kept = false;
    return task;
}

/* The first frame of every task, and of those that run on the same stack later.
 * It does not return, because there is no frame to return to. */
static void task_boot(void *arg)
{
    struct aloop__task *task = arg;
    aloop *loop = task->future.loop;

    for (;;) {
        task->result = task->fn(loop, task->arg);
        task->state = TASK_ENDED;
        if (loop->debug != NULL) /* aloop__task_resumed() sees the state. */
            aloop__context_switch_last(&task->context, &loop->switching->home);
        task = end_and_go_on(task);
    }
}

/* Gives a task its stack and prepares its first frame, just before its first
 * run.  The pool of stacks is created for the first task of the loop.  Without
 * a stack, after an error, `stack.low` remains NULL. */
static int start_task(struct aloop__task *task)
{
    aloop *loop = task->future.loop;
    int error = 0;

    if (loop->stacks == NULL)
        error = aloop__stacks_open(&loop->alloc, loop->options.stack_size,
                                   &loop->stacks);
    if (error == 0)
        error = aloop__stack_get(loop->stacks, task->stack_size, &task->stack);
    if (error == 0)
        aloop__context_init(&task->context, task->stack.low, task->stack.size,
                            task_boot, task);
    return error;
}

/* The same while another task may be suspended, whose errno may not change. */
NOINLINE static int start_apart(struct aloop__task *task)
{
    int error = errno, result = start_task(task);

    errno = error;
    return result;
}

/* Returns the context in which a new task begins, which is the one that was
 * kept or one of its own.  Returns NULL if there is no memory for it. */
static struct aloop__context *begin_context(struct aloop__task *task)
{
    struct aloop__switching *switching = task->future.loop->switching;

    if (!switching->is_kept || task->stack_size > 0)
        return start_apart(task) < 0 ? NULL : &task->context;
    aloop__context_repeat(&switching->left);
    return &switching->left;
}

/* The checks of a debug loop come while the task is still loop->current and has
 * its stack.  An overrun ends the process, and the report names the current
 * task.  In other loops, the task may have been freed when the switch returns,
 * and the last of several tasks has switched back. */
void aloop__task_resumed(struct aloop__ready *ready)
{
    struct aloop__task *task =
        CONTAINER_OF(ready, struct aloop__task, awaiter.ready);
    aloop *loop = task->future.loop;
    struct aloop__context *to = task->state == TASK_NEW ? begin_context(task)
                                                        : &task->context;

    if (to == NULL) {
        task->state = TASK_ENDED;
        end_task(task, ALOOP_ENOMEM); /* As the contract states. */
        return;
    }
    task_runs(loop, task);
    aloop__context_switch(&loop->switching->home, to);
    if (loop->debug != NULL) {
        aloop__overrun_check(task);
        aloop__debug_called_task(&task->future);
    }
    loop->current = NULL;
    put_left_stack(loop);
    if (loop->debug != NULL && task->state == TASK_ENDED)
        end_task(task, task->result);
}

/* Returns the context that continues while the running task waits. */
static struct aloop__context *context_after(aloop *loop)
{
    struct aloop__context *home = &loop->switching->home, *to;
    struct aloop__task *next = next_task(loop);

    if (next == NULL)
        return home;
    to = &next->context;
    if (next->state == TASK_NEW)
        to = aloop__context_is_like(home) ? begin_context(next) : NULL;
    if (to == NULL) /* If it cannot start, the loop tries again, and ends it. */
        return home;
    task_runs(loop, next);
    return to;
}

void aloop__task_suspend(aloop *loop)
{
    struct aloop__task *task = loop->current;
    struct aloop__context *to;

    task->state = TASK_WAITING;
    task->streak = 0;
    to = context_after(loop);
    if (to != &task->context)
        aloop__context_switch(&task->context, to);
    put_left_stack(loop);
}
