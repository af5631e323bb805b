/* Groups, channels and synchronization objects. */

#include "torture.h"

enum { ITEMS = 12, WAITERS = 3 };

static int live; /* Members that have begun and not ended. */

static ssize_t member(aloop *loop, void *arg)
{
    int delay = *(const int *) arg;
    ssize_t status;

    live++;
    status = torture_pass(loop, delay * MS);
    live--;
    return status == 0 && delay == 3 ? ALOOP_EPERM : status;
}

static int delays[] = {1, 2, 5, 3, 50};

/* A member that spawns another member. */
static ssize_t spawn_member(aloop *loop, void *arg)
{
    aloop_group *group = arg;
    ssize_t status = torture_pass(loop, MS);

    return status < 0 ? status : aloop_group_spawn(group, member, &delays[1]);
}

ssize_t torture_group(aloop *loop)
{
    aloop_group *group = aloop_group_new(loop);
    ssize_t error = group == NULL ? ALOOP_ENOMEM : 0, status;

    for (int i = 0; i < 3; i++)
        torture_keep(&error, aloop_group_spawn(group, member, &delays[i]));
    torture_keep(&error, aloop_group_spawn(group, spawn_member, group));
    status = torture_await(aloop_group_wait(group), 5);
    torture_keep(&error, status);
    torture_expect(status < 0 || live == 0,
                   "a member still runs after the wait");
    /* One member fails and ends the others. */
    torture_keep(&error, aloop_group_spawn(group, member, &delays[3]));
    torture_keep(&error, aloop_group_spawn_with(group, member, &delays[4],
                                                .name = "last"));
    status = torture_await(aloop_group_wait(group), 5);
    torture_keep(&error, status == ALOOP_EPERM ? 0 : status);
    torture_expect(status != ALOOP_EPERM || live == 0,
                   "a member still runs after the wait");
    aloop_group_free(group);
    /* The group is freed while it has a member. */
    group = aloop_group_new(loop);
    torture_keep(&error, aloop_group_spawn(group, member, &delays[4]));
    torture_keep(&error, torture_pass(loop, 10 * MS));
    aloop_group_free(group);
    status = aloop_run(loop);
    torture_keep(&error, status);
    torture_expect(status < 0 || live == 0, "a member outlives its group");
    return error;
}

static aloop_channel *channel;
static int sent, received;

static ssize_t produce(aloop *loop, void *arg)
{
    ssize_t status = 0;

    (void) arg;
    for (int i = 0; i < ITEMS && status >= 0; i++) {
        status = i % 4 == 3 ? torture_pass(loop, MS) : 0;
        if (status >= 0)
            status = torture_await(aloop_channel_send(channel, &i), 5);
        sent += status >= 0;
        torture_expect(channel == NULL || aloop_channel_count(channel) <= 2,
                       "a channel has more items than its capacity");
    }
    aloop_channel_close(channel);
    torture_expect(channel == NULL || aloop_channel_is_closed(channel),
                   "a close has no effect");
    return status;
}

static ssize_t consume(aloop *loop, void *arg)
{
    ssize_t status = 0;
    int item;

    (void) loop;
    (void) arg;
    for (;;) {
        item = -1;
        status = torture_await(aloop_channel_receive(channel, &item), 5);
        if (status < 0)
            break;
        torture_expect(item == received, "items are lost or out of order");
        received++;
    }
    aloop_channel_close(channel);
    return status == ALOOP_ECLOSED ? 0 : status;
}

ssize_t torture_channel(aloop *loop)
{
    static char item[40];
    aloop_channel *other = aloop_channel_new(loop, sizeof item, 0);
    aloop_future *waiting;
    ssize_t error = 0;
    int ran;

    channel = aloop_channel_new(loop, sizeof(int), 2);
    if (channel == NULL || other == NULL)
        error = ALOOP_ENOMEM;
    torture_expect(channel == NULL || aloop_channel_capacity(channel) == 2,
                   "a channel has another capacity");
    torture_keep(
        &error, aloop_await(aloop_gather(loop, aloop_spawn(loop, produce, NULL),
                                         aloop_spawn(loop, consume, NULL))));
    ran = aloop_run(loop);
    torture_keep(&error, ran);
    if (ran < 0) { /* Tasks may still use the channel. */
        torture_leave_objects();
        return error;
    }
    torture_expect(received <= sent + 1, "more items arrive than were sent");
    torture_expect(error < 0 || received == ITEMS, "items are missing");
    aloop_channel_free(channel);
    /* Sends are waiting when the channel is freed. */
    waiting = aloop_channel_send(other, item);
    aloop_future_unref(aloop_channel_send(other, item));
    aloop_detach(aloop_channel_send(other, item));
    if (waiting == NULL)
        torture_keep(&error, ALOOP_ENOMEM);
    aloop_channel_free(other);
    ssize_t status = aloop_await(waiting);
    torture_expect(status < 0, "a send to a freed channel succeeds");
    torture_keep(&error, status == ALOOP_ECLOSED ? 0 : status);
    return error;
}

static aloop_mutex *mutex;
static aloop_condition *condition;
static aloop_semaphore *semaphore;
static aloop_event *event;
static aloop_barrier *barrier;
static int holders;
static bool is_go;

static ssize_t use_condition(void)
{
    ssize_t status = torture_await(aloop_mutex_lock(mutex), 5);

    if (status < 0)
        return status;
    torture_expect(++holders == 1, "a mutex is held twice");
    while (!is_go && status >= 0) {
        holders--;
        status = aloop_condition_wait(condition, mutex);
        if (status == ALOOP_ECLOSED)
            return status;
        torture_expect(++holders == 1, "a mutex is held twice");
    }
    holders--;
    torture_keep(&status, aloop_mutex_unlock(mutex));
    return status;
}

static ssize_t waiter(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, ALOOP_SEC(5));
    ssize_t status;

    (void) arg;
    if (deadline == NULL)
        return ALOOP_ENOMEM;
    status = use_condition();
    if (status >= 0)
        status = aloop_await(aloop_semaphore_acquire(semaphore, 1));
    if (status >= 0) {
        status = torture_pass(loop, MS);
        aloop_semaphore_release(semaphore, 1);
    }
    if (status >= 0)
        status = aloop_await(aloop_event_wait(event));
    if (status >= 0)
        status = aloop_await(aloop_barrier_wait(barrier));
    aloop_deadline_end(deadline);
    return status;
}

static ssize_t start_waiters(aloop *loop, void *arg)
{
    ssize_t status = torture_pass(loop, 5 * MS);

    (void) arg;
    if (status < 0)
        return status;
    status = torture_await(aloop_mutex_lock(mutex), 5);
    if (status < 0)
        return status;
    is_go = true;
    torture_keep(&status, aloop_condition_notify_all(condition));
    torture_keep(&status, aloop_mutex_unlock(mutex));
    torture_keep(&status, torture_pass(loop, 5 * MS));
    torture_keep(&status, aloop_event_set(event));
    torture_expect(event == NULL || aloop_event_is_set(event),
                   "a set has no effect");
    return status;
}

ssize_t torture_sync(aloop *loop)
{
    aloop_future *tasks[WAITERS + 1];
    ssize_t error;

    mutex = aloop_mutex_new(loop);
    condition = aloop_condition_new(loop);
    semaphore = aloop_semaphore_new(loop, 2);
    event = aloop_event_new(loop);
    barrier = aloop_barrier_new(loop, WAITERS);
    for (int i = 0; i < WAITERS; i++)
        tasks[i] = aloop_spawn(loop, waiter, NULL);
    tasks[WAITERS] = aloop_spawn(loop, start_waiters, NULL);
    error = aloop_await(aloop_gather_array(loop, WAITERS + 1, tasks));
    int status = aloop_run(loop);
    torture_keep(&error, status);
    if (status < 0) { /* Tasks may still use the objects below. */
        torture_leave_objects();
        return error;
    }
    torture_expect(barrier == NULL || aloop_barrier_waiting(barrier) == 0,
                   "a barrier counts waits that have ended");
    aloop_barrier_free(barrier);
    aloop_event_free(event);
    aloop_semaphore_free(semaphore);
    aloop_condition_free(condition);
    aloop_mutex_free(mutex);
    return error;
}
