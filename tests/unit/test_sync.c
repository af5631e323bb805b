/* Mutex, semaphore, event, condition, barrier: order, and nothing lost. */

#include "support/fixture.h"

enum { WORKERS_MAX = 8 };

/* What a test's tasks share. */
static struct shared {
    aloop_mutex *mutex;
    aloop_semaphore *semaphore;
    aloop_event *event;
    aloop_condition *condition;
    aloop_barrier *barrier;
    bool is_ready;
    int inside; /* Tasks that hold the mutex now. */
    struct worker {
        int id;
        aloop_future *task;
        ssize_t status; /* Of what it waited for. */
    } workers[WORKERS_MAX];
} shared;

/* A fresh one, with all there is, and this many tasks. */
static void prepare(aloop_task_fn fn, int count)
{
    shared = (struct shared){0};
    shared.mutex = aloop_mutex_new(t.loop);
    shared.semaphore = aloop_semaphore_new(t.loop, 0);
    shared.event = aloop_event_new(t.loop);
    shared.condition = aloop_condition_new(t.loop);
    shared.barrier = aloop_barrier_new(t.loop, 3);
    for (int i = 0; i < count; i++) {
        shared.workers[i].id = i;
        shared.workers[i].status = ALOOP_PENDING;
        shared.workers[i].task = aloop_spawn(t.loop, fn, &shared.workers[i]);
    }
}

static void turns(int count)
{
    while (count-- > 0)
        aloop_step(t.loop, 0);
}

static ssize_t join(int i)
{
    return aloop_await(shared.workers[i].task);
}

static ssize_t lock_note_unlock(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status = aloop_await(aloop_mutex_lock(shared.mutex));
    if (worker->status < 0)
        return worker->status;
    note(worker->id);
    return aloop_mutex_unlock(shared.mutex);
}

static void a_free_mutex_is_locked_at_once(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *lock = aloop_mutex_lock(mutex);

    (void) state;
    assert_int_equal(aloop_future_status(lock), 0);
    assert_true(aloop_mutex_is_locked(mutex));
    assert_int_equal(aloop_mutex_try_lock(mutex), ALOOP_EAGAIN);
    aloop_future_unref(lock);

    assert_int_equal(aloop_mutex_unlock(mutex), 0);
    assert_false(aloop_mutex_is_locked(mutex));
    assert_int_equal(aloop_mutex_try_lock(mutex), 0);
    assert_true(aloop_mutex_is_locked(mutex));
}

static void a_mutex_that_is_not_locked_cannot_be_unlocked(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    assert_int_equal(aloop_mutex_unlock(mutex), ALOOP_EPERM);
    assert_int_equal(aloop_mutex_try_lock(mutex), 0);
    assert_int_equal(aloop_mutex_unlock(mutex), 0);
    assert_int_equal(aloop_mutex_unlock(mutex), ALOOP_EPERM);
}

static void tasks_get_the_mutex_in_the_order_they_asked(void **state)
{
    (void) state;
    prepare(lock_note_unlock, 4);
    aloop_mutex_try_lock(shared.mutex);
    turns(3);
    assert_int_equal(t.noted, 0);

    aloop_mutex_unlock(shared.mutex);
    for (int i = 0; i < 4; i++)
        assert_int_equal(join(i), 0);

    assert_noted(0, 1, 2, 3);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void an_unlocked_mutex_belongs_to_the_first_in_line(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *first, *second;

    (void) state;
    aloop_mutex_try_lock(mutex);
    first = aloop_mutex_lock(mutex);
    second = aloop_mutex_lock(mutex);
    aloop_mutex_unlock(mutex);

    assert_true(aloop_mutex_is_locked(mutex));
    assert_int_equal(aloop_mutex_try_lock(mutex), ALOOP_EAGAIN);
    assert_int_equal(aloop_future_status(first), 0);
    assert_int_equal(aloop_future_status(second), ALOOP_PENDING);
    aloop_future_unref(first);
    aloop_future_unref(second);
}

static void a_cancelled_waiter_does_not_keep_the_mutex_from_the_next(
    void **state)
{
    (void) state;
    prepare(lock_note_unlock, 2);
    aloop_mutex_try_lock(shared.mutex);
    turns(2);

    aloop_cancel(shared.workers[0].task);
    aloop_mutex_unlock(shared.mutex);

    assert_int_equal(join(1), 0);
    assert_int_equal(shared.workers[0].status, ALOOP_ECANCELED);
    assert_noted(1);
    assert_int_equal(join(0), ALOOP_EABORTED);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void a_task_cancelled_after_it_was_given_the_mutex_has_it(void **state)
{
    (void) state;
    prepare(lock_note_unlock, 2);
    aloop_mutex_try_lock(shared.mutex);
    turns(2);

    aloop_mutex_unlock(shared.mutex);
    aloop_cancel(shared.workers[0].task);

    assert_int_equal(join(0), 0);
    assert_int_equal(join(1), 0);
    assert_noted(0, 1);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void a_lock_that_nobody_received_goes_to_the_next(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *first = aloop_mutex_lock(mutex);
    aloop_future *second = aloop_mutex_lock(mutex);

    (void) state;
    aloop_future_unref(first);
    assert_true(aloop_future_is_settled(second));
    assert_true(aloop_mutex_is_locked(mutex));

    aloop_future_unref(second);
    assert_false(aloop_mutex_is_locked(mutex));
}

static void a_lock_that_was_received_outlives_its_future(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_mutex_lock(mutex)), 0);

    assert_true(aloop_mutex_is_locked(mutex));
}

static void detached_locks_are_passed_over_however_many(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    aloop_mutex_try_lock(mutex);
    for (int i = 0; i < 200000; i++)
        aloop_detach(aloop_mutex_lock(mutex));
    aloop_future *last = aloop_mutex_lock(mutex);
    aloop_mutex_unlock(mutex);

    assert_int_equal(aloop_future_status(last), 0);
    assert_true(aloop_mutex_is_locked(mutex));
    aloop_future_unref(last);
}

static void dropping_a_lock_leaves_the_line(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    aloop_mutex_try_lock(mutex);
    aloop_future_unref(aloop_mutex_lock(mutex));
    aloop_mutex_unlock(mutex);

    assert_false(aloop_mutex_is_locked(mutex));
    assert_int_equal(t.unhandled, 0);
}

static void on_lock(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    t.calls++;
    note((int) status);
    aloop_mutex_unlock(arg);
}

static void a_callback_receives_a_lock(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    aloop_then(aloop_mutex_lock(mutex), on_lock, mutex);
    aloop_then(aloop_mutex_lock(mutex), on_lock, mutex);
    assert_int_equal(aloop_run(t.loop), 0);

    assert_noted(0, 0);
    assert_false(aloop_mutex_is_locked(mutex));
}

static void a_timeout_gives_the_place_in_line_up(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *limited, *next;

    (void) state;
    aloop_mutex_try_lock(mutex);
    limited = aloop_timeout(aloop_mutex_lock(mutex), ALOOP_MS(10));
    next = aloop_mutex_lock(mutex);
    assert_int_equal(aloop_await(aloop_sleep(t.loop, ALOOP_MS(20))), 0);
    assert_int_equal(aloop_await(limited), ALOOP_ETIMEDOUT);

    aloop_mutex_unlock(mutex);
    assert_int_equal(aloop_future_status(next), 0);
    aloop_future_unref(next);
}

static void freeing_a_mutex_ends_the_waits_for_it(void **state)
{
    aloop_future *held;

    (void) state;
    prepare(lock_note_unlock, 2);
    held = aloop_mutex_lock(shared.mutex);
    turns(2);

    aloop_mutex_free(shared.mutex);

    assert_int_equal(join(0), ALOOP_ECLOSED);
    assert_int_equal(join(1), ALOOP_ECLOSED);
    aloop_future_unref(held); /* Nobody has received it; too late. */
}

static void a_lone_wait_keeps_no_loop_alive(void **state)
{
    (void) state;
    prepare(NULL, 0);
    aloop_mutex_try_lock(shared.mutex);
    aloop_then(aloop_mutex_lock(shared.mutex), on_lock, shared.mutex);
    aloop_then(aloop_event_wait(shared.event), on_lock, shared.mutex);
    aloop_then(aloop_barrier_wait(shared.barrier), on_lock, shared.mutex);

    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 0);
    assert_int_equal(aloop_await(aloop_event_wait(shared.event)),
                     ALOOP_EDEADLK);
}

static ssize_t acquire_two(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status =
        aloop_await(aloop_semaphore_acquire(shared.semaphore, 2));
    note(worker->id);
    return worker->status;
}

static void a_semaphore_counts_its_permits(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 3);

    (void) state;
    assert_int_equal(aloop_await(aloop_semaphore_acquire(semaphore, 2)), 0);
    assert_int_equal(aloop_semaphore_count(semaphore), 1);
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, 2), ALOOP_EAGAIN);
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, 1), 0);
    assert_int_equal(aloop_semaphore_release(semaphore, 5), 0);
    assert_int_equal(aloop_semaphore_count(semaphore), 5);
    assert_int_equal(aloop_semaphore_release(semaphore, SIZE_MAX - 4),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_release(semaphore, SIZE_MAX - 5), 0);
}

static void who_wants_many_permits_is_not_overtaken(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 2);
    aloop_future *many = aloop_semaphore_acquire(semaphore, 3);
    aloop_future *one = aloop_semaphore_acquire(semaphore, 1);

    (void) state;
    assert_false(aloop_future_is_settled(one));
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, 1), ALOOP_EAGAIN);

    aloop_semaphore_release(semaphore, 1);
    assert_int_equal(aloop_future_status(many), 0);
    assert_false(aloop_future_is_settled(one));

    aloop_semaphore_release(semaphore, 1);
    assert_int_equal(aloop_future_status(one), 0);
    aloop_future_unref(many);
    aloop_future_unref(one);
    assert_int_equal(aloop_semaphore_count(semaphore), 0);
}

static void who_wanted_many_permits_and_is_cancelled_lets_others_through(
    void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 2);
    aloop_future *many = aloop_semaphore_acquire(semaphore, 3);
    aloop_future *one = aloop_semaphore_acquire(semaphore, 1);
    aloop_future *other = aloop_semaphore_acquire(semaphore, 1);

    (void) state;
    assert_int_equal(aloop_cancel(many), 1);

    assert_int_equal(aloop_future_status(many), ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(one), 0);
    assert_int_equal(aloop_future_status(other), 0);
    aloop_future_unref(many);
    aloop_future_unref(one);
    aloop_future_unref(other);
}

static void one_release_serves_as_many_as_it_can(void **state)
{
    (void) state;
    prepare(acquire_two, 3);
    turns(2);

    aloop_semaphore_release(shared.semaphore, 5);
    assert_int_equal(join(0), 0);
    assert_int_equal(join(1), 0);
    assert_int_equal(aloop_semaphore_count(shared.semaphore), 1);
    assert_int_equal(shared.workers[2].status, ALOOP_PENDING);

    aloop_semaphore_release(shared.semaphore, 1);
    assert_int_equal(join(2), 0);
    assert_noted(0, 1, 2);
}

static void permits_that_nobody_received_come_back(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 5);

    (void) state;
    aloop_future_unref(aloop_semaphore_acquire(semaphore, 4));
    assert_int_equal(aloop_semaphore_count(semaphore), 5);

    aloop_future *given = aloop_semaphore_acquire(semaphore, 5);
    aloop_semaphore_free(semaphore);
    aloop_future_unref(given);
}

static ssize_t wait_for_event(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status = aloop_await(aloop_event_wait(shared.event));
    note(worker->id);
    return worker->status;
}

static void an_event_wakes_each_waiter_once_even_if_cleared_at_once(
    void **state)
{
    (void) state;
    prepare(wait_for_event, 3);
    turns(2);

    aloop_event_set(shared.event);
    aloop_event_clear(shared.event);
    aloop_event_set(shared.event);
    aloop_event_clear(shared.event);

    for (int i = 0; i < 3; i++)
        assert_int_equal(join(i), 0);
    assert_noted(0, 1, 2);
    assert_false(aloop_event_is_set(shared.event));
    assert_int_equal(aloop_await(aloop_event_wait(shared.event)),
                     ALOOP_EDEADLK);
}

static void a_set_event_is_waited_for_no_time(void **state)
{
    aloop_event *event = aloop_event_new(t.loop);

    (void) state;
    assert_false(aloop_event_is_set(event));
    assert_int_equal(aloop_event_set(event), 0);
    assert_int_equal(aloop_event_set(event), 0);
    assert_true(aloop_event_is_set(event));

    assert_int_equal(aloop_await(aloop_event_wait(event)), 0);
    assert_int_equal(aloop_await(aloop_event_wait(event)), 0);
}

static void a_cancelled_wait_for_an_event_ends_alone(void **state)
{
    (void) state;
    prepare(wait_for_event, 2);
    turns(2);
    aloop_cancel(shared.workers[0].task);
    turns(2);
    assert_int_equal(shared.workers[0].status, ALOOP_ECANCELED);
    assert_int_equal(shared.workers[1].status, ALOOP_PENDING);

    aloop_event_set(shared.event);
    assert_int_equal(join(1), 0);
    assert_int_equal(join(0), ALOOP_EABORTED);
}

static ssize_t wait_until_ready(aloop *loop, void *arg)
{
    struct worker *worker = arg;
    ssize_t status = aloop_await(aloop_mutex_lock(shared.mutex));

    while (status == 0 && !shared.is_ready)
        status = aloop_condition_wait(shared.condition, shared.mutex);
    worker->status = status;
    note(worker->id);
    if (++shared.inside == 1)
        t.calls++; /* Alone with the mutex. */
    aloop_yield(loop);
    shared.inside--;
    aloop_mutex_unlock(shared.mutex);
    return status;
}

/* As above, but content with any notification. */
static ssize_t wait_once(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    aloop_await(aloop_mutex_lock(shared.mutex));
    worker->status = aloop_condition_wait(shared.condition, shared.mutex);
    note(worker->id);
    if (aloop_mutex_is_locked(shared.mutex))
        t.calls++;
    aloop_mutex_unlock(shared.mutex);
    return worker->status;
}

static void a_condition_lets_go_of_the_mutex_while_it_waits(void **state)
{
    (void) state;
    prepare(wait_until_ready, 3);
    turns(5);
    assert_int_equal(aloop_mutex_try_lock(shared.mutex), 0);

    shared.is_ready = true;
    assert_int_equal(aloop_condition_notify_all(shared.condition), 0);
    turns(5);
    assert_int_equal(t.noted, 0); /* We have the mutex. */
    aloop_mutex_unlock(shared.mutex);
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(i), 0);

    assert_noted(0, 1, 2);
    assert_int_equal(t.calls, 3);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void a_notification_wakes_the_first_in_line(void **state)
{
    (void) state;
    prepare(wait_once, 3);
    assert_int_equal(aloop_condition_notify(shared.condition), 0);
    turns(5);
    assert_int_equal(t.noted, 0);

    assert_int_equal(aloop_condition_notify(shared.condition), 1);
    turns(5);
    assert_noted(0);
    assert_int_equal(aloop_condition_notify(shared.condition), 1);
    assert_int_equal(aloop_condition_notify(shared.condition), 1);
    assert_int_equal(aloop_condition_notify(shared.condition), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(i), 0);
    assert_noted(0, 1, 2);
}

static void a_notification_passes_by_who_was_cancelled(void **state)
{
    (void) state;
    prepare(wait_once, 2);
    turns(5);

    aloop_cancel(shared.workers[0].task);
    assert_int_equal(aloop_condition_notify(shared.condition), 1);

    assert_int_equal(join(1), 0);
    assert_int_equal(join(0), ALOOP_EABORTED);
    assert_int_equal(shared.workers[0].status, ALOOP_ECANCELED);
    assert_int_equal(t.calls, 2);
}

static void a_notification_before_the_cancel_is_delivered(void **state)
{
    (void) state;
    prepare(wait_once, 2);
    turns(5);

    assert_int_equal(aloop_condition_notify(shared.condition), 1);
    aloop_cancel(shared.workers[0].task);

    assert_int_equal(join(0), 0);
    assert_int_equal(shared.workers[1].status, ALOOP_PENDING);
    aloop_condition_notify(shared.condition);
    assert_int_equal(join(1), 0);
}

static void a_cancelled_condition_wait_returns_with_the_mutex(void **state)
{
    (void) state;
    prepare(wait_once, 1);
    turns(5);
    assert_int_equal(aloop_mutex_try_lock(shared.mutex), 0);

    aloop_cancel(shared.workers[0].task);
    turns(5);
    assert_int_equal(shared.workers[0].status, ALOOP_PENDING);
    aloop_mutex_unlock(shared.mutex);

    assert_int_equal(join(0), ALOOP_EABORTED);
    assert_int_equal(shared.workers[0].status, ALOOP_ECANCELED);
    assert_int_equal(t.calls, 1);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static ssize_t wait_with_deadline(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, ALOOP_MS(5));
    ssize_t status = wait_once(loop, arg);

    assert_int_equal(aloop_deadline_end(deadline), 1);
    return status;
}

static void a_deadline_ends_a_condition_wait_with_the_mutex(void **state)
{
    (void) state;
    prepare(wait_with_deadline, 1);

    assert_int_equal(join(0), ALOOP_ETIMEDOUT);
    assert_int_equal(t.calls, 1);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void freeing_a_condition_returns_its_waits_with_the_mutex(void **state)
{
    (void) state;
    prepare(wait_once, 2);
    turns(5);

    aloop_condition_free(shared.condition);

    assert_int_equal(join(0), ALOOP_ECLOSED);
    assert_int_equal(join(1), ALOOP_ECLOSED);
    assert_int_equal(t.calls, 2);
}

static ssize_t wait_for_freed_mutex(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    aloop_await(aloop_mutex_lock(shared.mutex));
    worker->status = aloop_condition_wait(shared.condition,
                                          shared.mutex);
    return worker->status;
}

static void a_mutex_freed_during_a_condition_wait_is_noticed(void **state)
{
    (void) state;
    prepare(wait_for_freed_mutex, 2);
    turns(5);

    aloop_mutex_free(shared.mutex);
    aloop_condition_notify(shared.condition);
    aloop_cancel(shared.workers[1].task);

    assert_int_equal(join(0), ALOOP_ECLOSED);
    assert_int_equal(join(1), ALOOP_ECLOSED);
}

static void a_mutex_freed_while_a_notified_task_wants_it_is_noticed(
    void **state)
{
    (void) state;
    prepare(wait_for_freed_mutex, 1);
    turns(5);
    aloop_mutex_try_lock(shared.mutex);
    aloop_condition_notify(shared.condition);
    turns(5);

    aloop_mutex_free(shared.mutex);

    assert_int_equal(join(0), ALOOP_ECLOSED);
}

static ssize_t misuse_condition(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    assert_int_equal(aloop_condition_wait(shared.condition, shared.mutex),
                     ALOOP_EPERM);
    assert_int_equal(aloop_condition_wait(NULL, shared.mutex), ALOOP_EINVAL);
    assert_int_equal(aloop_condition_wait(shared.condition, NULL),
                     ALOOP_EINVAL);
    return 0;
}

static void a_condition_is_waited_for_in_a_task_with_the_mutex(void **state)
{
    (void) state;
    prepare(misuse_condition, 1);
    assert_int_equal(join(0), 0);

    aloop_mutex_try_lock(shared.mutex);
    assert_int_equal(aloop_condition_wait(shared.condition, shared.mutex),
                     ALOOP_EINVAL);
    assert_true(aloop_mutex_is_locked(shared.mutex));
}

static void a_freed_loop_ends_condition_waits_with_the_mutex(void **state)
{

    prepare(wait_once, 3);
    turns(5);

    aloop_free(t.loop);

    for (int i = 0; i < 3; i++)
        assert_int_equal(shared.workers[i].status, ALOOP_ECANCELED);
    assert_int_equal(t.calls, 3);
    set_up(state);
}

static ssize_t wait_at_barrier(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status = aloop_await(aloop_barrier_wait(shared.barrier));
    return worker->status;
}

static void a_barrier_lets_a_full_round_through(void **state)
{
    (void) state;
    prepare(wait_at_barrier, 7);
    turns(5);

    assert_int_equal(aloop_barrier_waiting(shared.barrier), 1);
    for (int i = 0; i < 6; i++)
        assert_int_equal(shared.workers[i].status, i % 3);
    assert_int_equal(shared.workers[6].status, ALOOP_PENDING);
    for (int i = 0; i < 7; i++)
        aloop_future_unref(shared.workers[i].task);
}

static void who_is_cancelled_leaves_the_barrier(void **state)
{
    (void) state;
    prepare(wait_at_barrier, 2);
    turns(2);
    assert_int_equal(aloop_barrier_waiting(shared.barrier), 2);

    aloop_cancel(shared.workers[0].task);
    assert_int_equal(aloop_barrier_waiting(shared.barrier), 1);
    assert_int_equal(aloop_future_is_settled(shared.workers[1].task), false);

    aloop_future *second = aloop_barrier_wait(shared.barrier);
    assert_int_equal(aloop_future_status(second), ALOOP_PENDING);
    aloop_future *third = aloop_barrier_wait(shared.barrier);
    assert_int_equal(join(1), 0);
    assert_int_equal(aloop_await(second), 1);
    assert_int_equal(aloop_await(third), 2);
    assert_int_equal(join(0), ALOOP_EABORTED);
}

static void a_barrier_of_one_stops_nobody(void **state)
{
    aloop_barrier *barrier = aloop_barrier_new(t.loop, 1);

    (void) state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_await(aloop_barrier_wait(barrier)), 0);
}

static void freeing_ends_waits_for_all_kinds(void **state)
{
    aloop_future *waits[3];

    (void) state;
    prepare(NULL, 0);
    waits[0] = aloop_semaphore_acquire(shared.semaphore, 1);
    waits[1] = aloop_event_wait(shared.event);
    waits[2] = aloop_barrier_wait(shared.barrier);

    aloop_semaphore_free(shared.semaphore);
    aloop_event_free(shared.event);
    aloop_barrier_free(shared.barrier);

    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_await(waits[i]), ALOOP_ECLOSED);
}

static void nonsense_is_refused(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 1);

    (void) state;
    assert_null(aloop_mutex_new(NULL));
    assert_null(aloop_semaphore_new(NULL, 1));
    assert_null(aloop_event_new(NULL));
    assert_null(aloop_condition_new(NULL));
    assert_null(aloop_barrier_new(NULL, 1));
    assert_null(aloop_barrier_new(t.loop, 0));
    assert_null(aloop_barrier_new(t.loop, SIZE_MAX));
    aloop_mutex_free(NULL);
    aloop_semaphore_free(NULL);
    aloop_event_free(NULL);
    aloop_condition_free(NULL);
    aloop_barrier_free(NULL);
    assert_int_equal(aloop_await(aloop_mutex_lock(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_mutex_try_lock(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_mutex_unlock(NULL), ALOOP_EINVAL);
    assert_false(aloop_mutex_is_locked(NULL));
    assert_int_equal(aloop_await(aloop_semaphore_acquire(NULL, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_semaphore_acquire(semaphore, 0)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_try_acquire(NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_release(NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_release(semaphore, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_count(NULL), 0);
    assert_int_equal(aloop_await(aloop_event_wait(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_event_set(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_event_clear(NULL), ALOOP_EINVAL);
    assert_false(aloop_event_is_set(NULL));
    assert_int_equal(aloop_condition_notify(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_condition_notify_all(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_barrier_wait(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_barrier_waiting(NULL), 0);
}

/* Many tasks that take up to three of three permits, and are cancelled at
 * random: at no time are more out than there are, and all come back. */
struct crowd {
    aloop_semaphore *semaphore;
    size_t out;
    size_t served;
};

static ssize_t take_some(aloop *loop, void *arg)
{
    struct crowd *crowd = arg;
    size_t count = 1 + (size_t) sim_random(3);

    for (int i = 0; i < 20; i++) {
        ssize_t status =
            aloop_await(aloop_semaphore_acquire(crowd->semaphore, count));
        if (status < 0)
            return status;
        crowd->out += count;
        crowd->served++;
        assert_true(crowd->out <= 3);
        aloop_await(aloop_sleep(loop, (int64_t) sim_random(1000)));
        crowd->out -= count;
        aloop_semaphore_release(crowd->semaphore, count);
    }
    return 0;
}

static void permits_survive_a_crowd_that_is_cancelled_at_random(void **state)
{
    enum { TASKS = 40 };
    struct crowd crowd = {.semaphore = aloop_semaphore_new(t.loop, 3)};
    aloop_future *tasks[TASKS];

    (void) state;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = aloop_spawn(t.loop, take_some, &crowd);
    for (int i = 0; i < 600; i++) {
        turns(1);
        sim_advance(100);
        if (sim_random(20) == 0)
            aloop_cancel(tasks[sim_random(TASKS)]);
        if (sim_random(5) == 0)
            aloop_future_unref(aloop_semaphore_acquire(crowd.semaphore, 1));
    }
    for (int i = 0; i < TASKS; i++)
        aloop_await(tasks[i]);

    assert_true(crowd.served > TASKS);
    assert_int_equal(crowd.out, 0);
    assert_int_equal(aloop_semaphore_count(crowd.semaphore), 3);
}

static void an_unlock_takes_the_grant_of_an_unread_future_with_it(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *lock = aloop_mutex_lock(mutex);

    (void) state;
    assert_true(aloop_future_is_settled(lock));
    assert_int_equal(aloop_mutex_unlock(mutex), 0);
    aloop_future_unref(lock); /* Has nothing left to give back. */
    assert_int_equal(aloop_mutex_try_lock(mutex), 0);
    assert_int_equal(aloop_mutex_try_lock(mutex), ALOOP_EAGAIN);
    aloop_mutex_free(mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_free_mutex_is_locked_at_once),
        TEST(a_mutex_that_is_not_locked_cannot_be_unlocked),
        TEST(tasks_get_the_mutex_in_the_order_they_asked),
        TEST(an_unlocked_mutex_belongs_to_the_first_in_line),
        TEST(a_cancelled_waiter_does_not_keep_the_mutex_from_the_next),
        TEST(a_task_cancelled_after_it_was_given_the_mutex_has_it),
        TEST(a_lock_that_nobody_received_goes_to_the_next),
        TEST(a_lock_that_was_received_outlives_its_future),
        TEST(detached_locks_are_passed_over_however_many),
        TEST(dropping_a_lock_leaves_the_line),
        TEST(a_callback_receives_a_lock),
        TEST(a_timeout_gives_the_place_in_line_up),
        TEST(freeing_a_mutex_ends_the_waits_for_it),
        TEST(a_lone_wait_keeps_no_loop_alive),
        TEST(a_semaphore_counts_its_permits),
        TEST(who_wants_many_permits_is_not_overtaken),
        TEST(who_wanted_many_permits_and_is_cancelled_lets_others_through),
        TEST(one_release_serves_as_many_as_it_can),
        TEST(permits_that_nobody_received_come_back),
        TEST(an_event_wakes_each_waiter_once_even_if_cleared_at_once),
        TEST(a_set_event_is_waited_for_no_time),
        TEST(a_cancelled_wait_for_an_event_ends_alone),
        TEST(a_condition_lets_go_of_the_mutex_while_it_waits),
        TEST(a_notification_wakes_the_first_in_line),
        TEST(a_notification_passes_by_who_was_cancelled),
        TEST(a_notification_before_the_cancel_is_delivered),
        TEST(a_cancelled_condition_wait_returns_with_the_mutex),
        TEST(a_deadline_ends_a_condition_wait_with_the_mutex),
        TEST(freeing_a_condition_returns_its_waits_with_the_mutex),
        TEST(a_mutex_freed_during_a_condition_wait_is_noticed),
        TEST(a_mutex_freed_while_a_notified_task_wants_it_is_noticed),
        TEST(a_condition_is_waited_for_in_a_task_with_the_mutex),
        TEST(a_freed_loop_ends_condition_waits_with_the_mutex),
        TEST(a_barrier_lets_a_full_round_through),
        TEST(who_is_cancelled_leaves_the_barrier),
        TEST(a_barrier_of_one_stops_nobody),
        TEST(freeing_ends_waits_for_all_kinds),
        TEST(nonsense_is_refused),
        TEST(an_unlock_takes_the_grant_of_an_unread_future_with_it),
        TEST(permits_survive_a_crowd_that_is_cancelled_at_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
