/* aloop_gather, aloop_gather_settled, aloop_any and aloop_race: one kind of
 * future with four rules.
 *
 * A group registers with all of its members and settles when the last one has
 * ended.  The rules differ in which statuses decide the outcome.  Once it is
 * decided, the remaining members are cancelled, and the group still waits for
 * them. */

#include "aloop/compose.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"

enum rule { GATHER, SETTLED, ANY, RACE };

static const char *const functions[] = {
    [GATHER] = "aloop_gather_array",
    [SETTLED] = "aloop_gather_settled",
    [ANY] = "aloop_any_array",
    [RACE] = "aloop_race_array"};

struct member {
    struct aloop__wait wait; /* For `future`. */
    struct group *group;
    aloop_future *future; /* Holds a reference; NULL: out of memory. */
    bool has_ended;
};

struct group {
    aloop_future future;
    enum rule rule;
    struct member *members;
    size_t count;
    size_t left;      /* Members that have not ended. */
    bool is_decided;  /* `outcome` is final. */
    ssize_t outcome;
    bool has_lost;    /* A member ended with ALOOP_ECANCELED. */
    ssize_t *ret_statuses;
    size_t *ret_index;
    struct aloop__node grants; /* Members that settled with a grant. */
    struct aloop__tie tie;
};

static struct group *group_of(aloop_future *future)
{
    return CONTAINER_OF(future, struct group, future);
}

static void cancel_members(struct group *group)
{
    /* No member runs its waiter in here: waiters go through the ready queue.
     * The array therefore does not change during the loop. */
    for (size_t i = 0; i < group->count; i++)
        if (!group->members[i].has_ended)
            aloop_cancel(group->members[i].future);
}

static void group_cancel(aloop_future *future)
{
    cancel_members(group_of(future));
}

static void free_members(struct group *group)
{
    aloop__alloc_free(&group->future.loop->alloc, group->members,
                      group->count * sizeof *group->members);
    group->members = NULL;
}

/* Whether the group's status shows the caller which members have succeeded. */
static bool tells_of_successes(const struct group *group)
{
    ssize_t status = group->future.status;

    if (group->rule == SETTLED)
        return group->ret_statuses != NULL ||
               status == (ssize_t) group->count;
    return status >= 0;
}

static void group_fini(aloop_future *future)
{
    struct group *group = group_of(future);

    free_members(group);
    aloop__grants_drop(&group->grants,
                       future->is_taken && tells_of_successes(group));
}

static aloop_future *group_next(aloop_future *future, const void **cursor)
{
    struct group *group = group_of(future);
    const struct member *member = *cursor;
    const struct member *end = group->members + group->count;

    member = member == NULL ? group->members : member + 1;
    while (member < end && (member->has_ended || member->future == NULL))
        member++;
    *cursor = member;
    return member < end ? member->future : NULL;
}

static aloop_future *member_owner(const struct aloop__wait *wait,
                                  aloop_future *last)
{
    struct member *member = CONTAINER_OF(wait, struct member, wait);

    return last == NULL ? &member->group->future : NULL;
}

static const struct aloop__future_ops group_ops = {
    .name = "group",
    .size = sizeof(struct group),
    .tie = offsetof(struct group, tie),
    .cancel = group_cancel,
    .next = group_next,
    .fini = group_fini};

/* Translates a member's status for the group.  ALOOP_ECANCELED would mean that
 * the group itself was cancelled. */
static ssize_t as_outcome(const struct group *group, ssize_t status)
{
    return status == ALOOP_ECANCELED && !group->future.cancelling
               ? ALOOP_EABORTED
               : status;
}

/* Whether `status` decides the outcome. */
static bool decides(const struct group *group, ssize_t status)
{
    static const bool on_success[] = {false, false, true, true};
    static const bool on_failure[] = {true, false, false, true};

    return status < 0 ? on_failure[group->rule] : on_success[group->rule];
}

static void note(struct group *group, size_t i, ssize_t status)
{
    if (group->ret_statuses != NULL)
        group->ret_statuses[i] = status;
    group->has_lost = group->has_lost || status == ALOOP_ECANCELED;
    if (group->is_decided)
        return;
    if (group->rule == SETTLED) {
        group->outcome += status >= 0;
    } else if (decides(group, status)) {
        group->is_decided = true;
        group->outcome = as_outcome(group, status);
        if (group->ret_index != NULL)
            *group->ret_index = i;
        cancel_members(group);
    } else if (group->rule == ANY && group->outcome == 0) {
        group->outcome = as_outcome(group, status); /* The first error. */
    }
}

static void finish(struct group *group)
{
    if (group->rule == SETTLED && group->future.cancelling && group->has_lost)
        group->outcome = ALOOP_ECANCELED;
    free_members(group); /* The settled group may be kept for long. */
    if (group->rule != SETTLED && group->outcome < 0)
        aloop__grants_drop(&group->grants, false);
    group->future.is_grant = !list_empty(&group->grants);
    aloop__future_settle(&group->future, group->outcome);
}

static void on_member(struct aloop__ready *ready)
{
    struct member *member = CONTAINER_OF(ready, struct member, wait.ready);
    struct group *group = member->group;
    aloop_future *future = member->future;
    ssize_t status = future == NULL ? ALOOP_ENOMEM : future->status;
    bool has_future = future != NULL && future->loop != NULL;
    bool is_late = group->is_decided;

    member->has_ended = true;
    group->left--;
    note(group, (size_t) (member - group->members), status);
    if (has_future)
        aloop__future_tell(future);
    /* A grant that arrives after the decision is given back, because the caller
     * is not notified of it. */
    if (has_future && !is_late)
        aloop__grants_keep(&group->grants, future);
    else
        aloop_future_unref(future);
    if (group->left == 0)
        finish(group);
}

/* Registers with a member.  A future of another loop, or one that a debug loop
 * refuses, counts as a member that failed with ALOOP_EINVAL. */
static void join(struct group *group, struct member *member,
                 aloop_future *future)
{
    aloop *loop = group->future.loop;

    if (aloop__check_future(future, functions[group->rule], USE_UP) < 0)
        future = aloop__future_failed(NULL, ALOOP_EINVAL);
    if (future != NULL && future->loop != NULL && future->loop != loop) {
        aloop_future_unref(future);
        future = aloop__future_failed(NULL, ALOOP_EINVAL);
    }
    list_init(&member->wait.ready.node);
    member->wait.ready.run = on_member;
    member->wait.owner = member_owner;
    member->group = group;
    member->future = future;
    member->has_ended = false;
    if (future == NULL || future->loop == NULL)
        aloop__ready_push(loop, &member->wait.ready);
    else
        aloop__future_wait(future, &member->wait);
}

static aloop_future *new_group(aloop *loop, enum rule rule, size_t count,
                               aloop_future **futures,
                               ssize_t *ret_statuses, size_t *ret_index)
{
    struct group *group;

    if (loop != NULL && aloop__check_loop(loop, functions[rule]) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    if ((futures == NULL && count > 0) ||
        count > SIZE_MAX / sizeof(struct member))
        return aloop__future_failed(loop, ALOOP_EINVAL);
    if (loop == NULL) {
        for (size_t i = 0; i < count; i++)
            aloop_future_unref(futures[i]);
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    }
    if (count == 0)
        return aloop_future_new_settled(loop, rule >= ANY ? ALOOP_EINVAL : 0);
    group = aloop__future_new(loop, &group_ops);
    if (group == NULL)
        return aloop__futures_tie(loop, count, futures);
    list_init(&group->grants);
    group->members = aloop__alloc_new(&loop->alloc,
                                      count * sizeof *group->members);
    if (group->members == NULL) {
        aloop__future_discard(&group->future);
        return aloop__futures_tie(loop, count, futures);
    }
    group->rule = rule;
    group->count = count;
    group->left = count;
    group->ret_statuses = ret_statuses;
    group->ret_index = ret_index;
    for (size_t i = 0; i < count; i++)
        join(group, &group->members[i], futures[i]);
    return &group->future;
}

aloop_future *aloop_gather_array(aloop *loop, size_t count,
                                 aloop_future **futures)
{
    return new_group(loop, GATHER, count, futures, NULL, NULL);
}

aloop_future *aloop_gather_settled(aloop *loop, size_t count,
                                   aloop_future **futures,
                                   ssize_t *ret_statuses)
{
    return new_group(loop, SETTLED, count, futures, ret_statuses, NULL);
}

aloop_future *aloop_any_array(aloop *loop, size_t count,
                              aloop_future **futures, size_t *ret_index)
{
    return new_group(loop, ANY, count, futures, NULL, ret_index);
}

aloop_future *aloop_race_array(aloop *loop, size_t count,
                               aloop_future **futures, size_t *ret_index)
{
    return new_group(loop, RACE, count, futures, NULL, ret_index);
}
