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
 * So does a task that ends before a new one with a stack of another size.
 *
 * A task gets its stack when it first runs, so that a series of short tasks
 * reuses one that is still in the cache.  A task that ends on its own stack
 * cannot give it back.  It leaves the stack in loop->switching.  One of the
 * usual size is kept there for the next task that begins.  Any other is given
 * back by what runs next.
 *
 * A new task is called on its stack by what waits, and returns to what runs
 * next (aloop__context_call).  A task that is awaited and does not wait itself
 * thus costs little more than a call. */

#include "task/switch.h"

#include <errno.h>

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/quarantine.h"
#include "loop/skip.h"
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
    bool is_kept;  /* `stack` waits for a new task. */
    bool can_call; /* New contexts are called; see aloop__context_call(). */
    /* How much the turn of the task that begins counts when it ends. */
    uint8_t turns;
};

int aloop__switching_open(aloop *loop)
{
    loop->switching = aloop__alloc_zero(&loop->alloc, sizeof *loop->switching);
    if (loop->switching == NULL)
        return ALOOP_ENOMEM;
    aloop__context_init_thread(&loop->switching->home);
    loop->switching->can_call = loop->debug == NULL &&
                                aloop__context_can_call();
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
static inline struct aloop__task *next_task(aloop *loop, unsigned turns)
{
    struct aloop__ready *ready = aloop__turn_next(loop, turns);

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
static void task_runs(aloop *loop, struct aloop__task *task,
                      enum aloop__task_state state)
{
    struct aloop__node *node = &task->awaiter.ready.node;

    fetch_following(loop, node);
    list_remove(node);
    aloop__calling(loop);
    task->state = (uint8_t) state;
    loop->current = task;
}

/* Leaves the stack of a task that has ended to what runs next. */
static void leave_stack(aloop *loop, const struct aloop__stack *stack,
                        bool may_keep)
{
    struct aloop__switching *switching = loop->switching;

    if (switching->is_kept)
        give_left_stack(loop);
    switching->stack = *stack;
    switching->is_kept = may_keep && switching->can_call;
}

/* Ends a task on its own stack.  Returns the next task that is to run on the
 * same stack.  If there is none, leaves the stack and returns NULL; then
 * loop->current is the task that continues, or NULL.
 * `turns` is how much this turn counts. */
static struct aloop__task *end_and_go_on(struct aloop__task *task,
                                         unsigned turns)
{
    aloop *loop = task->future.loop;
    struct aloop__switching *switching = loop->switching;
    struct aloop__stack stack = task->stack;
    size_t stack_size = task->stack_size;

    loop->current = NULL;
    if (!switching->can_call)
        switching->left = task->context;
    task->stack.low = NULL;
    end_task(task, task->result);
    task = next_task(loop, turns);
    if (task != NULL && task->state == TASK_NEW &&
        task->stack_size == stack_size &&
        aloop__context_is_like(&switching->home)) {
        task_runs(loop, task, TASK_BEGUN);
        task->stack = stack;
        if (!switching->can_call)
            task->context = switching->left;
        return task;
    }
    if (task != NULL && task->state == TASK_WAITING)
        task_runs(loop, task, TASK_RUNNING);
    leave_stack(loop, &stack, stack_size == 0);
    return NULL;
}

/* Runs a task and those that follow on the same stack.  Returns the context
 * that continues then, or switches to it if one of them has waited: the return
 * would then be predicted wrong, and load the frame of the caller, which is not
 * in the cache any more if there are many tasks.
 *
 * If the first one began with a turn that was counted, and ends without a wait,
 * that turn does not count again: otherwise a task that awaits one short task
 * after the other would ask the reactor after each sixteenth. */
static struct aloop__context *run_tasks(void *arg)
{
    struct aloop__task *task = arg;
    aloop *loop = task->future.loop;
    struct aloop__context *to;
    unsigned turns = loop->switching->turns;
    bool has_waited = false;

    do {
        aloop__context_renew();
        task->result = task->fn(loop, task->arg);
        if (task->state != TASK_BEGUN) {
            has_waited = true;
            turns = 1;
        }
        task->state = TASK_ENDED;
        if (loop->debug != NULL) /* aloop__task_resumed() sees the state. */
            return &loop->switching->home;
        task = end_and_go_on(task, turns);
        turns = 1;
    } while (task != NULL);
    to = loop->current != NULL ? &loop->current->context
                               : &loop->switching->home;
    if (has_waited)
        aloop__context_switch_last(&loop->switching->left, to);
    return to;
}

/* The first frame of a context that was not called.  It does not return,
 * because there is no frame to return to. */
static void task_boot(void *arg)
{
    struct aloop__task *task = arg;
    aloop *loop = task->future.loop;
    struct aloop__context *to = run_tasks(arg);

    aloop__context_switch_last(loop->debug != NULL ? &loop->current->context
                                                   : &loop->switching->left,
                               to);
}

/* Gives a task its stack and, unless it is called, its first frame, just before
 * its first run.  The pool of stacks is created for the first task of the loop.
 * Another task may be suspended, whose errno may not change.  Without a stack,
 * after an error, `stack.low` remains NULL. */
NOINLINE static int take_stack(struct aloop__task *task)
{
    aloop *loop = task->future.loop;
    int error = errno, result = 0;

    if (loop->stacks == NULL)
        result = aloop__stacks_open(&loop->alloc, loop->options.stack_size,
                                    &loop->stacks);
    if (result == 0)
        result = aloop__stack_get(loop->stacks, task->stack_size, &task->stack);
    if (result == 0 && !loop->switching->can_call)
        aloop__context_init(&task->context, task->stack.low, task->stack.size,
                            task_boot, task);
    errno = error;
    return result;
}

/* Suspends `from` and begins a new task, on the stack that was kept or on one
 * of its own.  Returns false if there is no memory for it; otherwise true when
 * `from` is resumed. */
static bool begin_task(struct aloop__context *from, struct aloop__task *task)
{
    aloop *loop = task->future.loop;
    struct aloop__switching *switching = loop->switching;

    if (switching->is_kept && task->stack_size == 0) {
        task->stack = switching->stack;
        switching->stack.low = NULL;
        switching->is_kept = false;
    } else if (take_stack(task) < 0) {
        return false;
    }
    task_runs(loop, task, TASK_BEGUN);
    switching->turns = aloop__turn_was_counted(loop, &task->awaiter.ready) ? 0
                                                                           : 1;
    if (switching->can_call) {
        aloop__context_call(from, task->stack.low, task->stack.size, run_tasks,
                            task);
    } else {
        aloop__context_switch(from, &task->context);
    }
    return true;
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

    if (task->state == TASK_NEW) {
        if (!begin_task(&loop->switching->home, task)) {
            task->state = TASK_ENDED;
            end_task(task, ALOOP_ENOMEM); /* As the contract states. */
            return;
        }
    } else {
        task_runs(loop, task, TASK_RUNNING);
        aloop__context_switch(&loop->switching->home, &task->context);
    }
    if (loop->debug != NULL) {
        aloop__overrun_check(task);
        aloop__debug_called_task(&task->future);
    }
    loop->current = NULL;
    put_left_stack(loop);
    if (loop->debug != NULL && task->state == TASK_ENDED)
        end_task(task, task->result);
}

/* Runs a task while another one waits, which may be the same.  Returns false if
 * the next one is new and cannot start here: the loop tries again, and ends
 * it. */
static inline bool run_next(struct aloop__task *task, struct aloop__task *next)
{
    if (next->state == TASK_NEW)
        return aloop__context_is_like(&task->future.loop->switching->home) &&
               begin_task(&task->context, next);
    task_runs(task->future.loop, next, TASK_RUNNING);
    if (next != task)
        aloop__context_switch(&task->context, &next->context);
    return true;
}

void aloop__task_suspend(aloop *loop)
{
    struct aloop__task *task = loop->current, *next;

    task->state = TASK_WAITING;
    task->streak = 0;
    next = next_task(loop, 1);
    if (next == NULL || !run_next(task, next))
        aloop__context_switch(&task->context, &loop->switching->home);
    put_left_stack(loop);
}
