/* Tasks as futures: spawn, cancel, names, and the end of their memory.
 *
 *     NEW --first run--> RUNNING <--suspend/resume--> WAITING
 *                           |
 *                         ENDED --> the future settles, the stack is given back
 *
 * A task is a future that has a stack.  Its awaiter is the item by which it
 * runs: aloop_spawn_at() adds the awaiter to the ready queue, later the
 * settling of an awaited future does (await.c).  switch.c runs what the batch
 * of a turn has.
 *
 * The task itself holds no reference to its future.  Settling the future may
 * free the task, and is therefore the last thing that happens to it. */

#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/quarantine.h"
#include "loop/running.h"
#include "os/sys.h"
#include "task/deadline.h"
#include "task/interrupt.h"
#include "task/overrun.h"
#include "task/switch.h"
#include "task/task_state.h"

enum { NAME_MAX_SIZE = 64 };

/* ops->cancel: marks the task and interrupts its present await.  The mark is
 * never removed, so that later awaits end early as well.  The function of a
 * task that has not begun is called nevertheless, because only this function
 * can free what `arg` owns. */
static void task_cancel(aloop_future *future)
{
    struct aloop__task *task = aloop__task_of(future);

    task->is_cancelled = true;
    future->loop->was_interrupted = true;
    aloop__task_interrupt(task);
}

/* The stack is still there only if the loop was freed before the task ended. */
static void task_fini(aloop_future *future)
{
    struct aloop__task *task = aloop__task_of(future);

    aloop__task_stack_put(task);
    if (task->name_room > 0)
        aloop__slab_put(&future->loop->slab, task->name, task->name_room);
}

/* ops->release. */
static void task_release(aloop_future *future)
{
    task_fini(future);
    aloop__slab_put_inline(&future->loop->slab, future,
                           sizeof(struct aloop__task));
}

/* ops->describe.  The text is copied by the caller or used immediately; the
 * buffer belongs to the thread, because several loops may report
 * simultaneously. */
static const char *task_describe(const aloop_future *future)
{
    static _Thread_local char text[160];
    const struct aloop__task *task = aloop__task_of(future);

    snprintf(text, sizeof text, "task %s (%s)", task->name, task->where);
    return text;
}

static const struct aloop__future_ops task_ops = {
    .name = "task",
    .size = sizeof(struct aloop__task),
    .tie = offsetof(struct aloop__task, tie),
    .awaiter = offsetof(struct aloop__task, awaiter),
    .cancel = task_cancel,
    .fini = task_fini,
    .release = task_release,
    .describe = task_describe,
    .is_live = true,
    .is_task = true,
    .is_leaf = true,
};

static bool is_task(const aloop_future *future)
{
    return future->ops == &task_ops;
}

/* loop->fini_tasks.  It is called after all futures were freed, so that no task
 * has a stack. */
static void fini_tasks(aloop *loop)
{
    aloop__overrun_unwatch(loop);
    aloop__switching_close(loop);
}

/* loop->is_interrupted, by which lower layers ask whether an await of the
 * running task would end early. */
static bool task_is_interrupted(const struct aloop__task *task)
{
    return aloop__task_reason(task) != 0;
}

/* Prepares the loop for its first task, and sets the hooks through which lower
 * layers reach this one.  A loop without tasks has none of this. */
static int prepare_loop(aloop *loop)
{
    int error;

    if (loop->switching != NULL)
        return 0;
    error = aloop__switching_open(loop);
    if (error < 0)
        return error;
    loop->fini_tasks = fini_tasks;
    loop->is_interrupted = task_is_interrupted;
    aloop__overrun_watch(loop);
    return 0;
}

/* Copies a name of the caller's that may not outlive the call.  A longer name
 * is cut, so that a name from outside cannot take much memory.  Returns false
 * if out of memory. */
static bool copy_name(struct aloop__task *task, const char *name)
{
    size_t length = strlen(name);
    size_t room = (length < NAME_MAX_SIZE ? length : NAME_MAX_SIZE) + 1;

    task->name = aloop__slab_get(&task->future.loop->slab, room);
    if (task->name == NULL)
        return false;
    memcpy(task->name, name, room - 1); /* The slab's memory is zeroed. */
    task->name_room = (uint8_t) room;
    return true;
}

static const struct options_field task_option_fields[] = {
    OPTIONS_FIELD(aloop_task_options, size),
    OPTIONS_FIELD(aloop_task_options, defaults),
    OPTIONS_FIELD(aloop_task_options, name),
    OPTIONS_FIELD(aloop_task_options, stack_size),
};
OPTIONS_LAST(aloop_task_options, stack_size);

static const struct options_kind task_option_kind = {
    sizeof(aloop_task_options),
    task_option_fields,
    sizeof task_option_fields / sizeof task_option_fields[0],
};

/* Merges the options of one spawn with the defaults that they refer to: a field
 * that is not set takes the value of the default.  The defaults of defaults are
 * ignored.  Returns false if the size of the options or of their defaults is
 * invalid. */
static bool take_options(aloop_task_options *options,
                         const aloop_task_options *given)
{
    aloop_task_options defaults;

    if (!aloop__options_take(&task_option_kind, given, options))
        return false;
    if (options->defaults == NULL)
        return true;
    if (!aloop__options_take(&task_option_kind, options->defaults, &defaults))
        return false;
    if (options->name == NULL)
        options->name = defaults.name;
    if (options->stack_size == 0)
        options->stack_size = defaults.stack_size;
    return true;
}

/* Returns a new task that is not queued yet, or NULL if out of memory.  The
 * name and the place are literals of a macro and are not copied. */
static inline struct aloop__task *new_task(aloop *loop, aloop_task_fn fn,
                                           void *arg, const char *name,
                                           const char *where)
{
    struct aloop__task *task;

    if (prepare_loop(loop) < 0)
        return NULL;
    task = aloop__future_new_inline(loop, &task_ops);
    if (task == NULL)
        return NULL;
    aloop__awaiter_init(&task->awaiter, aloop__task_resumed, &task->future);
    list_init(&task->deadlines);
    task->state = TASK_NEW;
    task->is_cancelled = task->is_leaving = false;
    task->streak = task->name_room = 0;
    task->interrupt = 0;
    task->stack.low = NULL;
    task->stack_size = 0;
    task->shields = task->passed = task->passings = 0;
    task->fn = fn;
    task->arg = arg;
    task->name = (char *) (uintptr_t) (name != NULL ? name : "?");
    task->where = where != NULL ? where : "?";
    task->tie = (struct aloop__tie){0};
    return task;
}

/* The name is copied only if it was given as an option.  When that copy fails,
 * the task is not in the ready queue yet, so that dropping its future frees all
 * of it. */
NOINLINE static aloop_future *spawn_with(aloop *loop, aloop_task_fn fn,
                                         void *arg,
                                         const aloop_task_options *options,
                                         const char *name, const char *where)
{
    aloop_task_options chosen;
    struct aloop__task *task;

    if (!take_options(&chosen, options))
        return aloop__future_failed(loop, ALOOP_EINVAL);
    task = new_task(loop, fn, arg, name, where);
    if (task == NULL)
        return NULL;
    task->stack_size = chosen.stack_size;
    if (chosen.name != NULL && !copy_name(task, chosen.name))
        return aloop__future_drop_new(&task->future);
    aloop__ready_push(loop, &task->awaiter.ready);
    return &task->future;
}

aloop_future *aloop_spawn_at(aloop *loop, aloop_task_fn fn, void *arg,
                             const aloop_task_options *options,
                             const char *name, const char *where)
{
    int error = aloop__check_loop(loop, "aloop_spawn");
    struct aloop__task *task;

    if (error == ALOOP_EPERM)
        return aloop__future_refused(error);
    if (loop == NULL || fn == NULL)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    if (options != NULL)
        return spawn_with(loop, fn, arg, options, name, where);
    task = new_task(loop, fn, arg, name, where);
    if (task == NULL)
        return NULL;
    aloop__ready_push(loop, &task->awaiter.ready);
    return &task->future;
}

/* The caller gets a pointer without a reference.  `is_lent` informs the checks
 * of a debug loop that this pointer may be used although its user owns
 * nothing. */
aloop_future *aloop_current_task(void)
{
    struct aloop__task *task = aloop__task_current();

    if (task == NULL)
        return NULL;
    task->future.is_lent = true;
    return &task->future;
}

const char *aloop_task_name(const aloop_future *task)
{
    if (aloop__check_future(task, __func__, USE_LOOK) < 0 || task == NULL ||
        task->loop == NULL || !is_task(task))
        return NULL;
    return aloop__task_of(task)->name;
}
