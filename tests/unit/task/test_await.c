/* Tests of aloop_await(): outside of tasks, in callbacks, and when a cancel or
 * a stop ends it early. */

#include "aloop/fork.h"
#include "aloop/work.h"
#include "os/sys.h"
#include "support/memory_fixture.h"
#include <errno.h>

static void yield_in_a_callback(aloop_timer *timer, void *arg)
{
    aloop_future *failed = aloop_future_new_settled(t.loop, -EIO);

    (void) arg;
    assert_int_equal(aloop_yield(t.loop), ALOOP_EDEADLK);
    assert_int_equal(aloop_await(failed), ALOOP_EDEADLK);
    assert_false(aloop_is_cancelled());
    note(1);
    aloop_timer_close(timer);
}

/* The await returned EDEADLK to the caller, so that the EIO of the refused
 * future must not be reported as well. */
static void a_callback_can_neither_yield_nor_await(void **state)
{
    aloop_timer *timer;

    (void) state;
    assert_int_equal(
        aloop_timer_start(t.loop, 0, 0, yield_in_a_callback, NULL, &timer), 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1);
    assert_int_equal(t.unhandled, 0);
}

static void outside_of_tasks_a_yield_is_a_turn(void **state)
{
    ssize_t result = 3;
    aloop_future *task = aloop_spawn(t.loop, just_return, &result);

    (void) state;
    assert_int_equal(aloop_yield(t.loop), 0);

    assert_noted(9);
    assert_int_equal(aloop_future_status(task), 3);
    aloop_future_unref(task);
    assert_false(aloop_is_cancelled());
}

struct waiter {
    aloop_future *future;
    const bool *is_running;
    ssize_t status;
    int64_t end_ns;
};

/* Awaits a future, and notes whether the task behind it still runs then. */
static ssize_t await_and_note(aloop *loop, void *arg)
{
    struct waiter *waiter = arg;

    waiter->status = aloop_await(aloop_future_ref(waiter->future));
    waiter->end_ns = aloop_now(loop);
    if (waiter->is_running != NULL)
        note(*waiter->is_running);
    return waiter->status;
}

static void the_last_cancelled_waiter_waits_for_the_end(void **state)
{
    bool is_running = false;
    int64_t begin = aloop_now(t.loop);
    aloop_future *shared = aloop_spawn(t.loop, ends_after_10_ms, &is_running);
    struct waiter first = {shared, &is_running, 1, 0}, second = first;
    aloop_future *tasks[] = {aloop_spawn(t.loop, await_and_note, &first),
                             aloop_spawn(t.loop, await_and_note, &second)};

    (void) state;
    aloop_step(t.loop, 0);
    aloop_future_unref(shared);
    aloop_cancel(tasks[0]);
    aloop_cancel(tasks[1]);
    assert_int_equal(aloop_run(t.loop), 0);

    /* The first did not wait, because the second still owned the future. */
    assert_noted(1, 0);
    assert_int_equal(first.status, ALOOP_ECANCELED);
    assert_int_equal(second.status, ALOOP_ECANCELED);
    assert_true(first.end_ns == begin);
    assert_true(second.end_ns == begin + 10 * MS);
    aloop_future_unref(tasks[0]);
    aloop_future_unref(tasks[1]);
}

static void a_cancelled_waiter_that_becomes_the_only_owner_waits(void **state)
{
    bool is_running = false;
    int64_t begin = aloop_now(t.loop);
    aloop_future *shared = aloop_spawn(t.loop, ends_after_10_ms, &is_running);
    struct waiter waiter = {shared, &is_running, 1, 0};
    aloop_future *task = aloop_spawn(t.loop, await_and_note, &waiter);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    aloop_future_unref(shared); /* Before the cancelled task can resume. */
    assert_int_equal(aloop_run(t.loop), 0);

    assert_noted(0);
    assert_int_equal(waiter.status, ALOOP_ECANCELED);
    assert_true(waiter.end_ns == begin + 10 * MS);
    aloop_future_unref(task);
}

static void an_error_whose_waiter_was_cancelled_is_reported(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);
    struct waiter waiter = {promise, NULL, 1, 0};
    aloop_future *task = aloop_spawn(t.loop, await_and_note, &waiter);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    aloop_run(t.loop);
    assert_int_equal(waiter.status, ALOOP_ECANCELED);
    aloop_future_resolve(promise, ALOOP_EPIPE);
    aloop_future_unref(promise);
    aloop_run(t.loop);

    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
    aloop_future_unref(task);
}

static void an_error_that_a_continuation_received_is_not_reported(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);
    struct waiter waiter = {promise, NULL, 1, 0};
    aloop_future *task = aloop_spawn(t.loop, await_and_note, &waiter);

    (void) state;
    aloop_then(aloop_future_ref(promise), note_status, NULL);
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    aloop_run(t.loop);
    assert_int_equal(waiter.status, ALOOP_ECANCELED);
    aloop_future_resolve(promise, ALOOP_EPIPE);
    aloop_future_unref(promise);
    aloop_run(t.loop);

    assert_noted(ALOOP_EPIPE);
    assert_int_equal(t.unhandled, 0);
    aloop_future_unref(task);
}

static void an_error_after_a_refused_await_is_reported(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_future_ref(promise)), ALOOP_EDEADLK);
    aloop_future_resolve(promise, ALOOP_EPIPE);
    aloop_future_unref(promise);
    aloop_run(t.loop);

    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
}

static void a_lock_granted_after_its_waiter_was_cancelled_is_passed_on(
    void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *lock, *next, *task;
    struct waiter waiter = {NULL, NULL, 1, 0};

    (void) state;
    assert_int_equal(aloop_mutex_try_lock(mutex), 0);
    lock = aloop_mutex_lock(mutex);
    next = aloop_mutex_lock(mutex);
    waiter.future = lock;
    task = aloop_spawn(t.loop, await_and_note, &waiter);
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    aloop_run(t.loop);
    assert_int_equal(waiter.status, ALOOP_ECANCELED);

    assert_int_equal(aloop_mutex_unlock(mutex), 0);
    assert_true(aloop_future_is_settled(lock));
    assert_false(aloop_future_is_settled(next));
    aloop_future_unref(lock);
    assert_int_equal(aloop_future_status(next), 0);
    assert_true(aloop_mutex_is_locked(mutex));
    assert_int_equal(aloop_mutex_unlock(mutex), 0);
    assert_false(aloop_mutex_is_locked(mutex));
    aloop_future_unref(next);
    aloop_future_unref(task);
}

/* Two tasks that await each other, one after the other. */
static struct {
    aloop_future *cancelled, *canceller;
    ssize_t cancelled_status, canceller_status;
} pair;

static ssize_t await_canceller(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    pair.cancelled_status = aloop_await(aloop_future_ref(pair.canceller));
    return 7;
}

static ssize_t cancel_and_await(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_sleep(loop, MS));
    aloop_cancel(pair.cancelled);
    pair.canceller_status = aloop_await(aloop_future_ref(pair.cancelled));
    return 0;
}

static void a_cancelled_waiter_can_be_awaited_by_the_task_that_it_awaited(
    void **state)
{
    (void) state;
    pair.canceller = aloop_spawn(t.loop, cancel_and_await, NULL);
    pair.cancelled = aloop_spawn(t.loop, await_canceller, NULL);
    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(pair.canceller_status, 7);
    assert_int_equal(pair.cancelled_status, ALOOP_ECANCELED);
    aloop_future_unref(pair.canceller);
    aloop_future_unref(pair.cancelled);
}

static void a_stop_ends_an_await_outside_of_tasks_like_a_cancel(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    aloop_defer(t.loop, stop_now, NULL);
    assert_int_equal(aloop_await(aloop_sleep(t.loop, 5 * MS)), ALOOP_ECANCELED);

    assert_true(aloop_now(t.loop) == begin);
    aloop_detach(aloop_sleep(t.loop, 5 * MS));
    assert_int_equal(aloop_run(t.loop), 0); /* The stop ended only the await. */
    assert_true(aloop_now(t.loop) == begin + 5 * MS);
}

/* If the await did not block, the loop would reach the 50th wait of the
 * reactor, which fails. */
static void a_stopped_await_waits_until_the_task_has_ended(void **state)
{
    int64_t begin = aloop_now(t.loop);
    unsigned before = sim_wakes();

    (void) state;
    sim_fail("aloop__reactor_wait", 50, ALOOP_EBADF);
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, stops_and_cleans_up, NULL)), 7);
    assert_true(aloop_now(t.loop) == begin + 5 * MS);
    assert_true(sim_wakes() - before < 50);
    assert_int_equal(aloop_run(t.loop), 0);
}

/* Takes a second. */
static ssize_t slow_work(void *arg)
{
    struct sys_address *found;

    (void) aloop__sys_resolve("slow", "80", SYS_FAMILY_NONE, &found);
    aloop__sys_resolve_free(found);
    *(bool *) arg = true;
    return 7;
}

static ssize_t awaits_slow_work(aloop *loop, void *arg)
{
    return aloop_await(aloop_work(loop, slow_work, arg));
}

/* The function has begun when the wait fails, and uses the caller's memory. */
static void an_await_whose_wait_fails_still_waits_for_threads(void **state)
{
    aloop_future *task;
    bool has_ended = false;

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(1));
    task = aloop_spawn(t.loop, awaits_slow_work, &has_ended);
    aloop_step(t.loop, 0);
    sim_fail("aloop__reactor_wait", 1, ALOOP_ENOMEM);

    assert_int_equal(aloop_await(aloop_timeout(task, ALOOP_SEC(9))), 7);

    assert_true(has_ended);
    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(aloop_run(t.loop), 0);
}

static void an_await_that_can_never_wait_still_waits_for_threads(void **state)
{
    aloop_future *task;
    bool has_ended = false;

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(1));
    task = aloop_spawn(t.loop, awaits_slow_work, &has_ended);
    aloop_step(t.loop, 0);
    sim_fail_from("aloop__reactor_wait", 1, ALOOP_EBADF);

    assert_int_equal(aloop_await(aloop_timeout(task, ALOOP_SEC(9))), 7);

    assert_true(has_ended);
    sim_forgive();
    assert_int_equal(aloop_run(t.loop), 0);
}

struct works {
    int begun, ended;
};

static ssize_t slow_counted_work(void *arg)
{
    struct works *works = arg;
    bool has_ended = false;

    works->begun++;
    (void) slow_work(&has_ended);
    works->ended++;
    return 7;
}

/* A cancel does not reach the second function. */
static ssize_t awaits_two_slow_works(aloop *loop, void *arg)
{
    ssize_t status;

    aloop_shield_begin();
    (void) aloop_await(aloop_work(loop, slow_counted_work, arg));
    status = aloop_await(aloop_work(loop, slow_counted_work, arg));
    aloop_shield_end();
    return status;
}

static void an_await_that_can_never_wait_waits_for_later_threads(void **state)
{
    struct works works = {0, 0};
    aloop_future *task;
    int ended;

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(1));
    task = aloop_spawn(t.loop, awaits_two_slow_works, &works);
    aloop_step(t.loop, 0);
    sim_fail_from("aloop__reactor_wait", 1, ALOOP_EBADF);

    (void) aloop_await(task);

    ended = works.ended;
    sim_forgive();
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(works.begun, ended);
}

static void use_unmarked_system(void)
{
    aloop_free(t.loop);
    sim_unmark();
    t.loop = aloop_new(NULL);
}

static ssize_t works_and_forks(aloop *loop, void *arg)
{
    aloop_future *work = aloop_work(loop, slow_counted_work, arg);

    (void) aloop_await(aloop_sleep(loop, MS));
    sim_fork();
    return aloop_await(work);
}

/* The thread is the parent's, and would never end. */
static void an_await_that_has_forked_waits_for_no_thread(void **state)
{
    struct works works = {0, 0};

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(1));
    use_unmarked_system();

    assert_int_equal(aloop_await(aloop_spawn(t.loop, works_and_forks, &works)),
                     ALOOP_EPERM);

    assert_int_equal(works.ended, 0);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(sim_harms(), 0);
}

static ssize_t forks_when_cancelled(aloop *loop, void *arg)
{
    (void) aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
    sim_fork();
    *(bool *) arg = true;
    return 0;
}

static void a_child_of_the_end_of_its_loop_waits_for_no_thread(void **state)
{
    struct works works = {0, 0};
    bool has_forked = false;

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(1));
    use_unmarked_system();
    aloop_detach(aloop_spawn(t.loop, forks_when_cancelled, &has_forked));
    aloop_detach(aloop_work(t.loop, slow_counted_work, &works));
    aloop_step(t.loop, 0);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_true(has_forked);
    assert_int_equal(works.ended, 0);
    assert_int_equal(sim_harms(), 0);
}

static void a_stopped_await_leaves_a_future_with_another_owner(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, 5 * MS);

    (void) state;
    aloop_defer(t.loop, stop_now, NULL);
    assert_int_equal(aloop_await(aloop_future_ref(sleep)), ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(sleep), ALOOP_PENDING);
    assert_int_equal(aloop_await(sleep), 0);
    assert_int_equal(aloop_run(t.loop), 0);
}

static void resolve_and_stop(aloop *loop, void *arg)
{
    aloop_future_resolve(arg, 3);
    aloop_stop(loop);
}

static void an_await_succeeds_if_the_stop_comes_too_late(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_defer(t.loop, resolve_and_stop, promise);
    assert_int_equal(aloop_await(aloop_future_ref(promise)), 3);
    aloop_future_unref(promise);
    aloop_detach(aloop_sleep(t.loop, MS));
    assert_int_equal(aloop_run(t.loop), 0);
}

static ssize_t stops_twice(aloop *loop, void *arg)
{
    (void) arg;
    aloop_stop(loop);
    aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    /* The await has one more turn after this. */
    aloop_stop(loop);
    return 7;
}

static void a_stop_in_an_await_or_a_yield_does_not_end_a_later_await(
    void **state)
{
    aloop_channel *channel = aloop_channel_new(t.loop, sizeof(int), 1);
    int item;

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, stops_twice, NULL)), 7);
    assert_int_equal(aloop_await(aloop_channel_receive(channel, &item)),
                     ALOOP_EDEADLK);

    aloop_defer(t.loop, stop_now, NULL);
    assert_int_equal(aloop_yield(t.loop), 0);
    assert_int_equal(aloop_await(aloop_channel_receive(channel, &item)),
                     ALOOP_EDEADLK);
    aloop_channel_free(channel);
}

static ssize_t sleeps(aloop *loop, void *arg)
{
    ssize_t *status = arg;

    *status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    return *status;
}

static void refuse_in_callback(aloop *loop, void *arg)
{
    (void) loop;
    assert_int_equal(aloop_await(arg), ALOOP_EDEADLK);
}

static void a_refused_await_still_takes_the_reference_over(void **state)
{
    ssize_t status = 0;
    aloop_future *task = aloop_spawn(t.loop, sleeps, &status);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_defer(t.loop, refuse_in_callback, task);
    aloop_run(t.loop);
    assert_int_equal(status, ALOOP_ECANCELED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_callback_can_neither_yield_nor_await),
        TEST(outside_of_tasks_a_yield_is_a_turn),
        TEST(the_last_cancelled_waiter_waits_for_the_end),
        TEST(a_cancelled_waiter_that_becomes_the_only_owner_waits),
        TEST(an_error_whose_waiter_was_cancelled_is_reported),
        TEST(an_error_that_a_continuation_received_is_not_reported),
        TEST(an_error_after_a_refused_await_is_reported),
        TEST(a_lock_granted_after_its_waiter_was_cancelled_is_passed_on),
        TEST(a_cancelled_waiter_can_be_awaited_by_the_task_that_it_awaited),
        TEST(a_stop_ends_an_await_outside_of_tasks_like_a_cancel),
        TEST(a_stopped_await_waits_until_the_task_has_ended),
        TEST(an_await_whose_wait_fails_still_waits_for_threads),
        TEST(an_await_that_can_never_wait_still_waits_for_threads),
        TEST(an_await_that_can_never_wait_waits_for_later_threads),
        TEST(an_await_that_has_forked_waits_for_no_thread),
        TEST(a_child_of_the_end_of_its_loop_waits_for_no_thread),
        TEST(a_stopped_await_leaves_a_future_with_another_owner),
        TEST(an_await_succeeds_if_the_stop_comes_too_late),
        TEST(a_stop_in_an_await_or_a_yield_does_not_end_a_later_await),
        TEST(a_refused_await_still_takes_the_reference_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
