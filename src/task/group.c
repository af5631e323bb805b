/* Groups of tasks.
 *
 *     members of a group --awaiter of each--> group_member_ended()
 *                                                  |  the last one has ended
 *     futures of aloop_group_wait()  <--settles----+
 *
 * A group waits for each of its members, whether or not a wait is pending.  It
 * is no future itself: any number of waits may be pending, and it may be used
 * again after them.
 *
 * The first member that fails is kept, settled, until the group is freed.  Its
 * error is either delivered to a wait or, like any unhandled error, reported
 * when the reference is dropped.
 *
 * A task never ends inside aloop_cancel(), and nothing here calls the
 * application.  The list of members therefore does not change while all of them
 * are cancelled.
 *
 * A group that is freed with members lives on until the last of them has
 * ended. */

#include "aloop/group.h"

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/wait_queue.h"
#include "task/cycle.h"
#include "task/group.h"
#include "task/task_state.h"

struct aloop_group {
    struct aloop__wait_queue waits;
    /* Of struct membership: the tasks that have not ended, or whose end the
     * group has not seen yet. */
    struct aloop__node members;
    /* Number of `members`. */
    size_t count;
    ssize_t error;        /* Of the first member that failed, or 0. */
    aloop_future *failed; /* That member, with a reference; or NULL. */
    bool is_ending;       /* All were cancelled; new ones are refused. */
    bool was_cancelled;   /* aloop_group_cancel() was called. */
    bool has_lost;        /* A member ended because of that call. */
    bool was_freed;       /* The last member frees the group. */
    /* Of aloop__group_own(); NULL if the group has no owner. */
    aloop__group_member_fn ended;
    void *owner;
    /* Reserved memory for one wait, or NULL.  While there are members, there is
     * either this memory or a pending wait, so that aloop_group_wait() cannot
     * run out of memory. */
    void *spare;
};

/* A task in a group.  Its awaiter has no owner, because not one future waits
 * for the task but all waits of the group; see aloop__group_next_wait(). */
struct membership {
    struct aloop__awaiter task;
    struct aloop__node node; /* In group->members. */
    aloop_group *group;
};

/* The future of aloop_group_wait(). */
struct group_wait {
    struct aloop__waiter waiter; /* In group->waits. */
    struct aloop__tie tie;
};

aloop_group *aloop_group_new(aloop *loop)
{
    aloop_group *group;

    if (loop == NULL)
        return NULL;
    if (aloop__check_loop(loop, __func__) < 0)
        return NULL;
    group = aloop__slab_get(&loop->slab, sizeof *group);
    if (group == NULL)
        return NULL;
    aloop__wait_queue_init(&group->waits, loop);
    list_init(&group->members);
    return group;
}

/* Cancels all members, on the first call only: the first failure or cancel of a
 * group is final, and a second one would find the same members. */
static void end_all(aloop_group *group)
{
    struct aloop__node *node = group->members.next;

    if (group->is_ending)
        return;
    group->is_ending = true;
    for (; node != &group->members; node = node->next)
        aloop__future_cancel_checked(
            CONTAINER_OF(node, struct membership, node)->task.future);
}

/* Frees the group.  If no wait has delivered the error of the failed member,
 * the drop of its last reference reports it. */
static void group_release(aloop_group *group)
{
    aloop__future_unref_checked(group->failed);
    aloop__slab_put(&group->waits.loop->slab, group->spare,
                    sizeof(struct group_wait));
    aloop__slab_put(&group->waits.loop->slab, group, sizeof *group);
}

/* Returns the status of a wait, after all members have ended. */
static ssize_t group_outcome(aloop_group *group)
{
    if (group->error < 0) {
        aloop__future_include(group->failed);
        return group->error;
    }
    return group->has_lost ? ALOOP_ECANCELED : 0;
}

/* Enters the status of a member into the state of the group.  A member that was
 * cancelled and ended because of it is no failure.  One that returned
 * ALOOP_ECANCELED without a cancel is: its waiter would misread it as its
 * own. */
static void group_note(aloop_group *group, aloop_future *task)
{
    if (task->status >= 0)
        return;
    if (task->status == ALOOP_ECANCELED && task->is_cancelling) {
        group->has_lost = group->has_lost || group->was_cancelled;
        return;
    }
    if (group->failed != NULL)
        return;
    group->error = task->status == ALOOP_ECANCELED ? ALOOP_EABORTED
                                                   : task->status;
    group->failed = aloop_future_ref(task);
    end_all(group);
}

void aloop__group_own(aloop_group *group, aloop__group_member_fn ended,
                      void *owner)
{
    group->ended = ended;
    group->owner = owner;
}

/* ready->run of the members, in the turn after the task has settled.
 *
 * The member leaves the list first, because a failure cancels all that are in
 * it, and because the owner of the group may spawn another one.  The group is
 * freed last, and settling the waits calls no code that could free it. */
static void group_member_ended(struct aloop__ready *ready)
{
    struct membership *member =
        CONTAINER_OF(ready, struct membership, task.ready);
    aloop_group *group = member->group;
    aloop_future *task = member->task.future;

    list_remove(&member->node);
    group->count--;
    aloop__slab_put(&group->waits.loop->slab, member, sizeof *member);
    if (group->ended != NULL)
        group->ended(group->owner, aloop__task_of(task)->arg, task->status);
    else
        group_note(group, task);
    /* If there are other references to the failed member, their holders handle
     * its error.  If the group has the only ones, which are two, the error
     * stays unhandled until a wait delivers it. */
    if (task != group->failed || task->refs > 2)
        aloop__future_include(task);
    else
        task->is_handled = false;
    aloop__future_unref_checked(task);
    if (group->count > 0)
        return;
    if (group->waits.count > 0)
        aloop__wait_queue_settle(&group->waits, group_outcome(group));
    if (group->was_freed)
        group_release(group);
}

/* The edges upwards of a member, for the search for cycles: all waits of its
 * group wait for it.  Those downwards are wait_next(). */
aloop_future *aloop__group_next_wait(const struct aloop__awaiter *awaiter,
                                     aloop_future *last)
{
    struct membership *member = CONTAINER_OF(awaiter, struct membership, task);

    if (awaiter->ready.run != group_member_ended)
        return NULL;
    return aloop__wait_queue_next(&member->group->waits, last);
}

/* Makes the task a member.  Takes over the reference to it, and cannot fail: a
 * task that was spawned just now is pending. */
static void group_join(aloop_group *group, struct membership *member,
                       aloop_future *task)
{
    list_init(&member->node);
    aloop__awaiter_init(&member->task, group_member_ended, NULL);
    member->group = group;
    task->is_in_group = true;
    list_push(&group->members, &member->node);
    group->count++;
    aloop__awaiter_add(&member->task, task);
}

/* Reserves the memory for a wait, unless there is a pending one to share.
 * Returns false if out of memory. */
static bool reserve_wait(aloop_group *group)
{
    if (group->spare == NULL)
        group->spare = aloop__slab_take(&group->waits.loop->slab,
                                        sizeof(struct group_wait));
    return group->spare != NULL || group->waits.count > 0;
}

/* Memory is reserved before the task exists, because a task cannot be taken
 * back: a function that has been spawned is called. */
int aloop_group_spawn_at(aloop_group *group, aloop_task_fn fn, void *arg,
                         const aloop_task_options *options, const char *name,
                         const char *where)
{
    struct membership *member;
    aloop_future *task;
    aloop *loop;

    if (group == NULL || fn == NULL)
        return ALOOP_EINVAL;
    if (group->is_ending)
        return ALOOP_ECANCELED;
    loop = group->waits.loop;
    if (!reserve_wait(group))
        return ALOOP_ENOMEM;
    member = aloop__slab_get(&loop->slab, sizeof *member);
    if (member == NULL)
        return ALOOP_ENOMEM;
    task = aloop_spawn_at(loop, fn, arg, options, name, where);
    if (task != NULL && !aloop_future_is_settled(task)) {
        group_join(group, member, task);
        return 0;
    }
    aloop__slab_put(&loop->slab, member, sizeof *member);
    return task == NULL ? ALOOP_ENOMEM : (int) aloop__future_take(task);
}

/* The group of a pending wait. */
static aloop_group *group_of_wait(aloop_future *wait)
{
    return CONTAINER_OF(aloop__waiter_of(wait)->queue, aloop_group, waits);
}

/* ops->cancel of a wait, which cancels the group, as its contract states.  The
 * wait settles when the members have ended. */
static void wait_cancel(aloop_future *future)
{
    aloop_group_cancel(group_of_wait(future));
}

/* ops->next of a wait: the cursor is the node of the member returned last. */
static aloop_future *wait_next(aloop_future *future, const void **cursor)
{
    aloop_group *group = group_of_wait(future);
    const struct aloop__node *last = *cursor;
    struct aloop__node *node = last == NULL ? group->members.next : last->next;

    *cursor = node;
    return node == &group->members
               ? NULL
               : CONTAINER_OF(node, struct membership, node)->task.future;
}

static const struct aloop__future_ops wait_ops = {
    .name = "group wait",
    .size = sizeof(struct group_wait),
    .tie = offsetof(struct group_wait, tie),
    .cancel = wait_cancel,
    .next = wait_next,
};

/* Makes a pending wait.  It uses the reserved memory only if there is no other,
 * so that the reserve is left for a wait that needs it more. */
static struct group_wait *new_wait(aloop_group *group)
{
    aloop *loop = group->waits.loop;
    void *memory = aloop__slab_take(&loop->slab, sizeof(struct group_wait));
    struct group_wait *wait;

    if (memory == NULL) {
        memory = group->spare;
        group->spare = NULL;
    }
    if (memory == NULL)
        return NULL;
    wait = aloop__future_new_in(loop, &wait_ops, memory);
    list_init(&wait->waiter.node);
    return wait;
}

/* Returns another reference to the oldest pending wait, because there is no
 * memory for a new one.  Returns NULL if no wait is pending, which means that
 * the group has no members. */
static aloop_future *share_wait(aloop_group *group)
{
    struct aloop__waiter *first = aloop__wait_queue_first(&group->waits);

    if (first == NULL)
        return NULL;
    first->future.is_common = true;
    return aloop_future_ref(&first->future);
}

/* A wait of a group without members settles here, through the queue like any
 * other. */
aloop_future *aloop_group_wait(aloop_group *group)
{
    struct group_wait *wait;
    struct aloop__waiter *waiter;

    if (group == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    if (aloop__check_loop(group->waits.loop, __func__) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    wait = new_wait(group);
    if (wait == NULL)
        return share_wait(group);
    waiter = &wait->waiter;
    aloop__wait_queue_push(&group->waits, waiter);
    if (group->count == 0)
        aloop__waiter_settle(waiter, group_outcome(group));
    return &waiter->future;
}

/* `was_cancelled` distinguishes this from the cancel after a failure: then a
 * wait returns the failure. */
int aloop_group_cancel(aloop_group *group)
{
    if (group == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(group->waits.loop, __func__) < 0)
        return ALOOP_EPERM;
    group->was_cancelled = true;
    end_all(group);
    return 0;
}

/* Without members it is freed immediately. */
void aloop_group_free(aloop_group *group)
{
    if (group == NULL || aloop_group_cancel(group) < 0)
        return;
    group->was_freed = true;
    if (group->count == 0)
        group_release(group);
}

size_t aloop_group_count(const aloop_group *group)
{
    return group == NULL ? 0 : group->count;
}
