/* Acts on futures that wait in line: channels, locks and similar objects,
 * groups. */

#include "machine.h"

static void *make(unsigned kind, size_t count)
{
    switch (kind) {
    case CHANNEL:
    case RENDEZVOUS:
        return aloop_channel_new(w.loop, sizeof(int), count);
    case SEMAPHORE:
        return aloop_semaphore_new(w.loop, count);
    case MUTEX:
        return aloop_mutex_new(w.loop);
    case EVENT:
        return aloop_event_new(w.loop);
    case BARRIER:
        return aloop_barrier_new(w.loop, count);
    case CONDITION:
        return aloop_condition_new(w.loop);
    default:
        return aloop_group_new(w.loop);
    }
}

static void make_object(unsigned kind)
{
    static const enum m_object_kind kinds[] = {
        M_CHANNEL, M_CHANNEL, M_SEMAPHORE, M_SEMAPHORE,
        M_EVENT,   M_BARRIER, M_CONDITION, M_GROUP,
    };
    static const unsigned least[] = {1, 0, 0, 1, 0, 1, 0, 0};
    static const unsigned choices[] = {3, 1, 3, 1, 1, 3, 1, 1};
    struct object *object = &w.objects[kind];
    size_t count = least[kind];

    if (choices[kind] > 1)
        count += any_below(choices[kind]);
    object->it = make(kind, count);
    FUZZ_CHECK(object->it != NULL);
    object->id = model_object(kinds[kind], count);
}

struct object *any_object(unsigned kind)
{
    if (w.objects[kind].id < 0)
        make_object(kind);
    return &w.objects[kind];
}

static void free_object(unsigned kind)
{
    struct object *object = &w.objects[kind];

    if (object->it == NULL)
        return;
    switch (kind) {
    case CHANNEL:
    case RENDEZVOUS:
        aloop_channel_free(object->it);
        break;
    case SEMAPHORE:
        aloop_semaphore_free(object->it);
        break;
    case MUTEX:
        aloop_mutex_free(object->it);
        break;
    case EVENT:
        aloop_event_free(object->it);
        break;
    case BARRIER:
        aloop_barrier_free(object->it);
        break;
    case CONDITION:
        aloop_condition_free(object->it);
        break;
    default:
        aloop_group_free(object->it);
        break;
    }
    object->it = NULL;
    model_object_free(object->id);
}

void free_objects(void)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        free_object(i);
}

/* Frees an object, or makes it again. */
static void renew(void)
{
    unsigned kind = any_below(OBJECTS);

    say("renew object %u", kind);
    if (w.objects[kind].it == NULL)
        make_object(kind);
    else
        free_object(kind);
}

/* Calls for a freed object fail, without a loop. */
static void check_refused(const aloop_future *future)
{
    FUZZ_CHECK(future != NULL && aloop_future_is_settled(future));
    keep((aloop_future *) (uintptr_t) future, M_MISUSE);
}

/* Channels. */

static struct object *any_channel(void)
{
    return any_object(any_bit() ? RENDEZVOUS : CHANNEL);
}

static void send(void)
{
    struct object *channel = any_channel();
    int *item = &w.items[m.future_count];
    aloop_future *future;

    *item = ++w.item;
    say("send %d", *item);
    arm();
    future = aloop_channel_send(channel->it, item);
    if (!is_made(future, disarm()))
        return;
    if (channel->it == NULL)
        check_refused(future);
    else
        keep(future, model_send(channel->id, *item));
}

static void receive(void)
{
    struct object *channel = any_channel();
    int *item = &w.items[m.future_count];
    aloop_future *future;

    *item = -1;
    say("receive");
    arm();
    future = aloop_channel_receive(channel->it, item);
    if (!is_made(future, disarm()))
        return;
    if (channel->it == NULL)
        check_refused(future);
    else
        keep(future, model_receive(channel->id));
}

static void try_send(void)
{
    struct object *channel = any_channel();
    int item = ++w.item;
    int expected = channel->it == NULL ? ALOOP_EINVAL
                                       : model_try_send(channel->id, item);

    say("try to send %d", item);
    FUZZ_CHECK(aloop_channel_try_send(channel->it, &item) == expected);
}

static void try_receive(void)
{
    struct object *channel = any_channel();
    int item = -1, expected_item = -1;
    int expected = channel->it == NULL
                       ? ALOOP_EINVAL
                       : model_try_receive(channel->id, &expected_item);

    say("try to receive");
    FUZZ_CHECK(aloop_channel_try_receive(channel->it, &item) == expected);
    FUZZ_CHECK(item == expected_item);
}

static void close_channel(void)
{
    struct object *channel = any_channel();

    say("close channel");
    FUZZ_CHECK(aloop_channel_close(channel->it) ==
               (channel->it == NULL ? ALOOP_EINVAL : 0));
    if (channel->it != NULL)
        model_channel_close(channel->id);
}

/* Frees the memory borrowed by an await immediately, so that checkers detect a
 * later access. */
static void await_borrowed(void)
{
    struct object *channel = any_channel();
    bool is_send = any_bit();
    int *item = malloc(sizeof *item);
    ssize_t status;
    struct ref ref;

    if (item == NULL)
        abort();
    *item = is_send ? ++w.item : -1;
    say("await a %s", is_send ? "send" : "receive");
    ref.future = is_send ? aloop_channel_send(channel->it, item)
                         : aloop_channel_receive(channel->it, item);
    if (channel->it == NULL)
        ref.id = M_MISUSE;
    else
        ref.id = is_send ? model_send(channel->id, *item)
                         : model_receive(channel->id);
    status = await_ref(ref);
    if (!is_send && !w.is_freeing && w.task >= 0)
        FUZZ_CHECK((*item != -1) == (status == 0 && ref.id >= 0));
    free(item);
}

/* Semaphores and mutexes. */

static void acquire(void)
{
    struct object *semaphore = any_object(SEMAPHORE);
    size_t count = any_below(4);
    aloop_future *future;

    say("acquire %zu", count);
    arm();
    future = aloop_semaphore_acquire(semaphore->it, count);
    if (!is_made(future, disarm()))
        return;
    if (semaphore->it == NULL)
        check_refused(future);
    else if (count == 0)
        keep(future, model_done(ALOOP_EINVAL));
    else
        keep(future, model_acquire(semaphore->id, count));
}

static void try_acquire(void)
{
    struct object *semaphore = any_object(SEMAPHORE);
    size_t count = any_below(4);
    int expected = semaphore->it == NULL || count == 0
                       ? ALOOP_EINVAL
                       : model_try_acquire(semaphore->id, count);

    say("try to acquire %zu", count);
    FUZZ_CHECK(aloop_semaphore_try_acquire(semaphore->it, count) == expected);
}

static void release(void)
{
    struct object *semaphore = any_object(SEMAPHORE);
    size_t count = any_below(4);
    bool is_valid = semaphore->it != NULL && count > 0;

    say("release %zu", count);
    FUZZ_CHECK(aloop_semaphore_release(semaphore->it, count) ==
               (is_valid ? 0 : ALOOP_EINVAL));
    if (is_valid)
        model_release(semaphore->id, count);
    FUZZ_CHECK(semaphore->it == NULL || aloop_semaphore_count(semaphore->it) ==
                                            m.objects[semaphore->id].count);
}

static void lock(void)
{
    struct object *mutex = any_object(MUTEX);
    aloop_future *future;

    say("lock");
    arm();
    future = aloop_mutex_lock(mutex->it);
    if (!is_made(future, disarm()))
        return;
    if (mutex->it == NULL)
        check_refused(future);
    else
        keep(future, model_acquire(mutex->id, 1));
}

static void try_lock(void)
{
    struct object *mutex = any_object(MUTEX);
    int expected = mutex->it == NULL ? ALOOP_EINVAL
                                     : model_try_acquire(mutex->id, 1);

    say("try to lock");
    FUZZ_CHECK(aloop_mutex_try_lock(mutex->it) == expected);
}

static void unlock(void)
{
    struct object *mutex = any_object(MUTEX);
    int expected = mutex->it == NULL ? ALOOP_EINVAL : model_unlock(mutex->id);

    say("unlock");
    FUZZ_CHECK(aloop_mutex_unlock(mutex->it) == expected);
    FUZZ_CHECK(aloop_mutex_is_locked(mutex->it) ==
               (mutex->it != NULL && m.objects[mutex->id].count == 0));
}

/* Executes a critical section, from lock to unlock. */
static void hold_lock(void)
{
    struct object *mutex = any_object(MUTEX);
    int id = mutex->id;
    struct ref ref = {NULL, M_NULL};

    if (w.task < 0 || mutex->it == NULL)
        return;
    say("lock, act, unlock");
    ref.future = aloop_mutex_lock(mutex->it);
    ref.id = model_acquire(mutex->id, 1);
    if (await_ref(ref) != 0)
        return;
    act();
    if (w.is_freeing || mutex->it == NULL || mutex->id != id)
        return;
    unlock();
}

static void wait_condition(void)
{
    struct object *condition = any_object(CONDITION);
    struct object *mutex = any_object(MUTEX);
    int id = w.task;
    ssize_t expected = ALOOP_EINVAL, status;
    bool is_at_once = true;

    if (id >= 0 && condition->it != NULL && mutex->it != NULL)
        is_at_once =
            model_condition_wait(id, condition->id, mutex->id, &expected);
    say("wait for the condition");
    if (!is_at_once) {
        w.task = M_NULL;
        w.is_inside = false;
    }
    status = aloop_condition_wait(condition->it, mutex->it);
    if (!is_at_once)
        expected = see(M_SEE_TASK, id).status;
    w.task = id;
    w.is_inside = w.is_inside || id >= 0;
    say("  returns %zd", status);
    FUZZ_CHECK(w.is_freeing || status == expected);
}

/* Events, barriers, notifications. */

static void wait_event(void)
{
    struct object *event = any_object(EVENT);
    aloop_future *future;

    say("wait for the event");
    arm();
    future = aloop_event_wait(event->it);
    if (!is_made(future, disarm()))
        return;
    if (event->it == NULL)
        check_refused(future);
    else
        keep(future, model_event_wait(event->id));
}

static void wait_barrier(void)
{
    struct object *barrier = any_object(BARRIER);
    aloop_future *future;

    say("wait at the barrier");
    arm();
    future = aloop_barrier_wait(barrier->it);
    if (!is_made(future, disarm()))
        return;
    if (barrier->it == NULL)
        check_refused(future);
    else
        keep(future, model_barrier_wait(barrier->id));
}

static void set_event(void)
{
    struct object *event = any_object(EVENT);
    bool is_set = any_bit();
    int expected = event->it == NULL ? ALOOP_EINVAL : 0;

    say("%s the event", is_set ? "set" : "clear");
    FUZZ_CHECK((is_set ? aloop_event_set(event->it)
                       : aloop_event_clear(event->it)) == expected);
    if (event->it != NULL && is_set)
        model_event_set(event->id);
    else if (event->it != NULL)
        m.objects[event->id].is_on = false;
}

static void notify(void)
{
    struct object *condition = any_object(CONDITION);
    bool is_all = any_bit();
    int expected = ALOOP_EINVAL;

    say("notify %s", is_all ? "all" : "one");
    if (condition->it != NULL && is_all) {
        model_notify_all(condition->id);
        expected = 0;
    } else if (condition->it != NULL) {
        expected = model_notify(condition->id);
    }
    FUZZ_CHECK((is_all ? aloop_condition_notify_all(condition->it)
                       : aloop_condition_notify(condition->it)) == expected);
}

/* Groups. */

static void spawn_member(void)
{
    struct object *group = any_object(GROUP);
    int *arg = &w.tasks[m.future_count];
    int result;
    bool has_failed;

    *arg = m.future_count;
    w.has_body_run[*arg] = false;
    say("spawn #%d into the group", *arg);
    arm();
    result = aloop_group_spawn(group->it, body, arg);
    has_failed = disarm();
    if (group->it == NULL)
        FUZZ_CHECK(result == ALOOP_EINVAL);
    else if (result == ALOOP_ENOMEM)
        FUZZ_CHECK(has_failed);
    else
        FUZZ_CHECK(result ==
                   (model_group_spawn(group->id) < 0 ? ALOOP_ECANCELED : 0));
}

static void wait_group(void)
{
    static aloop_future *waits[M_FUTURES];
    struct object *group = any_object(GROUP);
    const struct m_line *line = &m.objects[group->id].line;
    aloop_future *future;
    int id;

    say("wait for the group");
    arm();
    future = aloop_group_wait(group->it);
    if (!is_made(future, disarm())) {
        FUZZ_CHECK(aloop_group_count(group->it) == 0);
        return;
    }
    if (group->it == NULL) {
        check_refused(future);
        return;
    }
    if (line->count > 0 && waits[line->futures[0]] == future) {
        /* Without memory, the first wait is shared. */
        keep(future, model_group_share(group->id));
        return;
    }
    id = model_group_wait(group->id);
    waits[id] = future;
    keep(future, id);
}

static void cancel_group(void)
{
    struct object *group = any_object(GROUP);

    say("cancel the group");
    FUZZ_CHECK(aloop_group_cancel(group->it) ==
               (group->it == NULL ? ALOOP_EINVAL : 0));
    if (group->it != NULL)
        model_group_cancel(group->id);
    FUZZ_CHECK(
        aloop_group_count(group->it) ==
        (group->it == NULL ? 0 : (size_t) m.objects[group->id].members.count));
}

const struct act line_acts[] = {
    {"renew", renew},
    {"send", send},
    {"receive", receive},
    {"try to send", try_send},
    {"try to receive", try_receive},
    {"close channel", close_channel},
    {"await borrowed", await_borrowed},
    {"acquire", acquire},
    {"try to acquire", try_acquire},
    {"release", release},
    {"lock", lock},
    {"try to lock", try_lock},
    {"unlock", unlock},
    {"hold lock", hold_lock},
    {"wait condition", wait_condition},
    {"notify", notify},
    {"wait event", wait_event},
    {"set event", set_event},
    {"wait barrier", wait_barrier},
    {"spawn member", spawn_member},
    {"wait group", wait_group},
    {"cancel group", cancel_group},
};

const size_t line_act_count = sizeof line_acts / sizeof line_acts[0];
