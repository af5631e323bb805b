/* aloop_gather, aloop_gather_settled, aloop_any and aloop_race: one kind of
 * future with four rules.
 *
 * A gather waits for each of its members by an awaiter, and settles when the
 * last of them has ended.  The rules differ only in which status decides the
 * outcome:
 *
 *     rule       decides              cancels the others    status otherwise
 *     GATHER     the first failure    yes                   0
 *     SETTLED    none                 no                    number of successes
 *     ANY        the first success    yes                   the first failure
 *     RACE       the first status     yes
 *
 * Once it is decided, the remaining members are cancelled, and the gather still
 * waits for them: their memory may be on the stack of the caller.
 *
 * A member ends in two steps.  It settles, which queues its awaiter; and in the
 * next turn gather_member_ended() reads its status.  Between the two steps it
 * counts as not ended, and a cancel of the gather does not change its status.
 *
 * A member may have succeeded with a grant, such as a permit of a semaphore.
 * `grants` keeps these members until it is known whether the caller has
 * received the status of the gather.  If not, they are freed without having
 * been taken, and the permits are given back. */

#include "aloop/compose.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"

enum rule { GATHER, SETTLED, ANY, RACE };

static const char *const gather_functions[] = {
    [GATHER] = "aloop_gather_array",
    [SETTLED] = "aloop_gather_settled",
    [ANY] = "aloop_any_array",
    [RACE] = "aloop_race_array",
};

/* For reports. */
static const char *const gather_names[] = {
    [GATHER] = "gather",
    [SETTLED] = "gather_settled",
    [ANY] = "any",
    [RACE] = "race",
};

struct gather {
    aloop_future future;
    enum rule rule;
    /* The awaiters of the members.  A member that has ended, or that is NULL
     * because its constructor was out of memory, has no future. */
    struct aloop__awaiter *members;
    size_t count;
    size_t left;     /* Members that have not ended. */
    bool is_decided; /* `outcome` is final. */
    ssize_t outcome;
    bool has_lost; /* A member ended with ALOOP_ECANCELED. */
    ssize_t *ret_statuses;
    size_t *ret_index;
    struct aloop__node grants; /* Members that settled with a grant. */
    struct aloop__tie tie;
};

static struct gather *gather_of(aloop_future *future)
{
    return CONTAINER_OF(future, struct gather, future);
}

/* Members that have ended, or are no real futures, are skipped by the
 * callee. */
static void cancel_members(struct gather *gather)
{
    /* No member runs its waiter in here: waiters go through the ready queue.
     * The array therefore does not change during the loop. */
    for (size_t i = 0; i < gather->count; i++)
        aloop__future_cancel_checked(gather->members[i].future);
}

/* ops->cancel.  The gather settles through its members: when the last has
 * ended. */
static void gather_cancel(aloop_future *future)
{
    cancel_members(gather_of(future));
}

/* Few members, as is usual, come from the slab.  Returns NULL if out of
 * memory. */
static struct aloop__awaiter *new_members(aloop *loop, size_t count)
{
    size_t size = count * sizeof(struct aloop__awaiter);

    return size <= SLAB_MAX ? aloop__slab_take(&loop->slab, size)
                            : aloop__alloc_new(&loop->alloc, size);
}

static void free_members(struct gather *gather)
{
    aloop *loop = gather->future.loop;
    size_t size = gather->count * sizeof *gather->members;

    if (gather->members == NULL)
        return;
    if (size <= SLAB_MAX)
        aloop__slab_put_inline(&loop->slab, gather->members, size);
    else
        aloop__alloc_free(&loop->alloc, gather->members, size);
    gather->members = NULL;
}

/* Returns whether the status shows the caller which members have succeeded, so
 * that the caller knows which grants it has received. */
static bool shows_successes(const struct gather *gather)
{
    ssize_t status = gather->future.status;

    if (gather->rule == SETTLED)
        return gather->ret_statuses != NULL ||
               status == (ssize_t) gather->count;
    return status >= 0;
}

/* ops->fini: the last reference was dropped, and with it the last chance to
 * read the status. */
static void gather_fini(aloop_future *future)
{
    struct gather *gather = gather_of(future);

    free_members(gather);
    aloop__grants_drop(&gather->grants,
                       future->is_taken && shows_successes(gather));
}

/* ops->next, for the search for cycles; the cursor is the member returned
 * last. */
static aloop_future *gather_next(aloop_future *future, const void **cursor)
{
    struct gather *gather = gather_of(future);
    const struct aloop__awaiter *member = *cursor;
    const struct aloop__awaiter *end = gather->members + gather->count;

    member = member == NULL ? gather->members : member + 1;
    while (member < end && member->future == NULL)
        member++;
    *cursor = member;
    return member < end ? member->future : NULL;
}

/* ops->describe */
static const char *gather_describe(const aloop_future *future)
{
    return gather_names[CONTAINER_OF(future, const struct gather, future)
                            ->rule];
}

static const struct aloop__future_ops gather_ops = {
    .name = "gather",
    .size = sizeof(struct gather),
    .tie = offsetof(struct gather, tie),
    .cancel = gather_cancel,
    .next = gather_next,
    .fini = gather_fini,
    .describe = gather_describe,
};

/* Translates a member's status for the gather.  ALOOP_ECANCELED would mean that
 * the gather itself was cancelled. */
static ssize_t as_outcome(const struct gather *gather, ssize_t status)
{
    return status == ALOOP_ECANCELED && !gather->future.is_cancelling
               ? ALOOP_EABORTED
               : status;
}

/* Returns whether `status` decides the outcome. */
static bool is_final_status(const struct gather *gather, ssize_t status)
{
    static const bool is_final_success[] = {false, false, true, true};
    static const bool is_final_failure[] = {true, false, false, true};

    return status < 0 ? is_final_failure[gather->rule]
                      : is_final_success[gather->rule];
}

/* Enters the status of one member into the results.  This may decide the
 * outcome, and then cancels the members that are left. */
static void gather_note(struct gather *gather, size_t i, ssize_t status)
{
    if (gather->ret_statuses != NULL)
        gather->ret_statuses[i] = status;
    gather->has_lost = gather->has_lost || status == ALOOP_ECANCELED;
    if (gather->is_decided)
        return;
    if (gather->rule == SETTLED) {
        gather->outcome += status >= 0;
    } else if (is_final_status(gather, status)) {
        gather->is_decided = true;
        gather->outcome = as_outcome(gather, status);
        if (gather->ret_index != NULL)
            *gather->ret_index = i;
        cancel_members(gather);
    } else if (gather->rule == ANY && gather->outcome == 0) {
        gather->outcome = as_outcome(gather, status); /* The first error. */
    }
}

/* Settles the gather after its last member has ended.  With SETTLED, a cancel
 * counts only if it made a member end early; otherwise the results are
 * complete.  The grants of a gather that has failed are given back, because its
 * status does not show them. */
static void gather_finish(struct gather *gather)
{
    if (gather->rule == SETTLED && gather->future.is_cancelling &&
        gather->has_lost)
        gather->outcome = ALOOP_ECANCELED;
    free_members(gather); /* The settled gather may be kept for long. */
    if (gather->rule != SETTLED && gather->outcome < 0)
        aloop__grants_drop(&gather->grants, false);
    gather->future.is_grant = !list_is_empty(&gather->grants);
    aloop__future_settle(&gather->future, gather->outcome);
}

/* ready->run of the members, in the turn after the member has settled.  Takes
 * over the gather's reference to it. */
static void gather_member_ended(struct aloop__ready *ready)
{
    struct aloop__awaiter *member = aloop__awaiter_of(ready);
    struct gather *gather = gather_of(member->owner);
    aloop_future *future = member->future;
    ssize_t status = future == NULL ? ALOOP_ENOMEM : future->status;
    bool has_future = future != NULL && future->loop != NULL;
    bool is_late = gather->is_decided;

    member->future = NULL;
    gather->left--;
    gather_note(gather, (size_t) (member - gather->members), status);
    if (has_future)
        aloop__future_include(future);
    /* A grant that arrives after the decision is given back, because the caller
     * is not notified of it. */
    if (has_future && !is_late)
        aloop__grants_keep(&gather->grants, future);
    else
        aloop__future_unref_checked(future);
    if (gather->left == 0)
        gather_finish(gather);
}

/* Begins to wait for a member, and takes over the reference to it.  A future of
 * another loop, or one that a debug loop refuses, counts as a member that
 * failed with ALOOP_EINVAL.  A member without a loop has failed already; its
 * awaiter is queued directly, so that it is handled like the others. */
static void gather_join(struct gather *gather, struct aloop__awaiter *member,
                        aloop_future *future)
{
    aloop *loop = gather->future.loop;

    if (aloop__check_future(future, gather_functions[gather->rule], USE_UP) < 0)
        future = aloop__future_failed(NULL, ALOOP_EINVAL);
    if (future != NULL && future->loop != NULL && future->loop != loop) {
        aloop__future_unref_checked(future);
        future = aloop__future_failed(NULL, ALOOP_EINVAL);
    }
    aloop__awaiter_init(member, gather_member_ended, &gather->future);
    if (future != NULL && future->loop != NULL) {
        aloop__awaiter_add(member, future);
        return;
    }
    member->future = future;
    aloop__ready_push(loop, &member->ready);
}

/* Makes a gather with any rule.  The references are taken over on every path.
 * If out of memory, the members are tied instead, so that the caller still
 * waits until all have ended (tie.c). */
static aloop_future *gather_new(aloop *loop, enum rule rule, size_t count,
                                aloop_future **futures, ssize_t *ret_statuses,
                                size_t *ret_index)
{
    struct gather *gather;

    if (loop != NULL && aloop__check_loop(loop, gather_functions[rule]) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    if ((futures == NULL && count > 0) ||
        count > SIZE_MAX / sizeof(struct aloop__awaiter))
        return aloop__future_failed(loop, ALOOP_EINVAL);
    if (loop == NULL) {
        for (size_t i = 0; i < count; i++)
            aloop__future_unref_checked(futures[i]);
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    }
    if (count == 0)
        return aloop_future_new_settled(loop, rule >= ANY ? ALOOP_EINVAL : 0);
    gather = aloop__future_new_inline(loop, &gather_ops);
    if (gather == NULL)
        return aloop__futures_tie(loop, count, futures);
    list_init(&gather->grants);
    gather->tie = (struct aloop__tie){0};
    gather->is_decided = gather->has_lost = false;
    gather->outcome = 0;
    gather->rule = rule;
    gather->count = count;
    gather->left = count;
    gather->ret_statuses = ret_statuses;
    gather->ret_index = ret_index;
    gather->members = new_members(loop, count);
    if (gather->members == NULL) {
        aloop__future_drop_new(&gather->future);
        return aloop__futures_tie(loop, count, futures);
    }
    for (size_t i = 0; i < count; i++)
        gather_join(gather, &gather->members[i], futures[i]);
    return &gather->future;
}

aloop_future *aloop_gather_array(aloop *loop, size_t count,
                                 aloop_future **futures)
{
    return gather_new(loop, GATHER, count, futures, NULL, NULL);
}

aloop_future *aloop_gather_settled(aloop *loop, size_t count,
                                   aloop_future **futures,
                                   ssize_t *ret_statuses)
{
    return gather_new(loop, SETTLED, count, futures, ret_statuses, NULL);
}

aloop_future *aloop_any_array(aloop *loop, size_t count, aloop_future **futures,
                              size_t *ret_index)
{
    return gather_new(loop, ANY, count, futures, NULL, ret_index);
}

aloop_future *aloop_race_array(aloop *loop, size_t count,
                               aloop_future **futures, size_t *ret_index)
{
    return gather_new(loop, RACE, count, futures, NULL, ret_index);
}
