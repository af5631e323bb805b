/* Tests of groups, whose members are awaited and cancelled together. */

#include "support/memory_fixture.h"

/* The input and the results of a member. */
struct job {
    aloop_group *group;
    int id;
    int64_t delay_ns;
    ssize_t result;           /* Returned after the delay. */
    ssize_t cancelled_result; /* Returned if cancelled; 0: ALOOP_ECANCELED. */
    struct job *child;        /* Spawned after the delay. */
    aloop_future *self;       /* Set when the member runs; borrowed. */
    ssize_t seen;             /* Status of its sleep. */
};

static ssize_t work(aloop *loop, void *arg)
{
    struct job *job = arg;

    job->self = aloop_current_task();
    job->seen = aloop_await(aloop_sleep(loop, job->delay_ns));
    note(job->id);
    if (job->seen < 0)
        return job->cancelled_result != 0 ? job->cancelled_result : job->seen;
    if (job->child != NULL)
        assert_int_equal(aloop_group_spawn(job->group, work, job->child), 0);
    return job->result;
}

static int start(aloop_group *group, struct job *job)
{
    job->group = group;
    job->seen = ALOOP_PENDING;
    return aloop_group_spawn(group, work, job);
}

static void an_empty_group_has_ended(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    aloop_future *wait = aloop_group_wait(group);

    (void) state;
    assert_int_equal(aloop_future_status(wait), 0);
    assert_int_equal(aloop_group_count(group), 0);
    aloop_future_unref(wait);
    aloop_group_free(group);
}

static void a_wait_settles_when_all_members_have_ended(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job jobs[] = {{.id = 1, .delay_ns = ALOOP_MS(3), .result = 7},
                         {.id = 2, .delay_ns = ALOOP_MS(1), .result = 8},
                         {.id = 3, .delay_ns = ALOOP_MS(2)}};

    (void) state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(start(group, &jobs[i]), 0);
    assert_int_equal(aloop_group_count(group), 3);

    assert_int_equal(aloop_await(aloop_group_wait(group)), 0);
    assert_noted(2, 3, 1);
    assert_int_equal(aloop_group_count(group), 0);
    aloop_group_free(group);
}

static void a_wait_includes_members_that_are_spawned_later(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job grandchild = {.id = 3, .delay_ns = ALOOP_MS(1)};
    struct job child = {
        .id = 2,
        .group = group,
        .delay_ns = 1,
        .child = &grandchild,
    };
    struct job job = {.id = 1, .child = &child};

    (void) state;
    start(group, &job);
    assert_int_equal(aloop_await(aloop_group_wait(group)), 0);

    assert_noted(1, 2, 3);
    aloop_group_free(group);
}

static void the_first_error_cancels_the_others(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job jobs[] = {
        {.id = 1, .delay_ns = ALOOP_SEC(100)},
        {.id = 2, .delay_ns = ALOOP_MS(1), .result = ALOOP_EPIPE},
        {.id = 3, .delay_ns = ALOOP_SEC(100), .cancelled_result = ALOOP_EBADF},
    };
    int64_t start_ns = aloop_now(t.loop);

    (void) state;
    for (int i = 0; i < 3; i++)
        start(group, &jobs[i]);

    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EPIPE);
    assert_noted(2, 1, 3);
    assert_int_equal(jobs[0].seen, ALOOP_ECANCELED);
    assert_true(aloop_now(t.loop) - start_ns < ALOOP_SEC(1));
    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EPIPE);
    aloop_group_free(group);
    assert_int_equal(t.unhandled, 0);
}

static void a_failed_group_refuses_new_members(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job bad = {.id = 1, .result = ALOOP_EPIPE};
    struct job late = {.id = 2};

    (void) state;
    start(group, &bad);
    aloop_await(aloop_group_wait(group));

    assert_int_equal(start(group, &late), ALOOP_ECANCELED);
    assert_int_equal(aloop_group_count(group), 0);
    turns(3);
    assert_noted(1);
    aloop_group_free(group);
}

static ssize_t cancel_and_spawn(aloop *loop, void *arg)
{
    struct job *job = arg;

    (void) loop;
    aloop_group_cancel(job->group);
    return aloop_group_spawn(job->group, work, job->child);
}

static void a_member_of_a_cancelled_group_cannot_spawn_another(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job child = {.id = 2};
    struct job job = {.id = 1, .group = group, .child = &child};

    (void) state;
    aloop_group_spawn(group, cancel_and_spawn, &job);

    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EABORTED);
    assert_int_equal(t.noted, 0);
    aloop_group_free(group);
}

static void a_cancel_of_a_single_member_is_no_error_of_the_group(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job jobs[] = {{.id = 1, .delay_ns = ALOOP_MS(5)},
                         {.id = 2, .delay_ns = ALOOP_MS(5)}};

    (void) state;
    start(group, &jobs[0]);
    start(group, &jobs[1]);
    turns(2);
    aloop_cancel(jobs[0].self);

    assert_int_equal(aloop_await(aloop_group_wait(group)), 0);
    assert_int_equal(jobs[0].seen, ALOOP_ECANCELED);
    assert_int_equal(jobs[1].seen, 0);
    assert_int_equal(start(group, &jobs[0]), 0); /* It is still usable. */
    assert_int_equal(aloop_await(aloop_group_wait(group)), 0);
    aloop_group_free(group);
}

static void a_member_that_returns_ecanceled_without_a_cancel_has_failed(
    void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job job = {.result = ALOOP_ECANCELED};

    (void) state;
    start(group, &job);

    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EABORTED);
    aloop_group_free(group);
}

static void cancelling_a_group_ends_its_members(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job jobs[] = {{.delay_ns = ALOOP_SEC(9)}, {.delay_ns = 1}};
    struct job late = {.delay_ns = 1};
    aloop_future *wait;

    (void) state;
    start(group, &jobs[0]);
    turns(2);
    start(group, &jobs[1]); /* It has not started yet. */
    wait = aloop_group_wait(group);
    assert_int_equal(aloop_group_cancel(group), 0);
    assert_int_equal(aloop_group_cancel(group), 0);
    assert_int_equal(aloop_future_status(wait), ALOOP_PENDING);
    assert_int_equal(start(group, &late), ALOOP_ECANCELED);
    turns(6);

    assert_int_equal(aloop_future_status(wait), ALOOP_ECANCELED);
    assert_int_equal(jobs[0].seen, ALOOP_ECANCELED);
    assert_int_equal(jobs[1].seen, ALOOP_ECANCELED);
    assert_int_equal(aloop_await(wait), ALOOP_EABORTED);
    aloop_group_free(group);
}

static void an_error_of_a_member_takes_precedence_over_the_cancel(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job jobs[] = {
        {.delay_ns = ALOOP_SEC(9)},
        {.delay_ns = ALOOP_SEC(9), .cancelled_result = ALOOP_EBADF},
    };

    (void) state;
    start(group, &jobs[0]);
    start(group, &jobs[1]);
    turns(2);
    aloop_group_cancel(group);

    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EBADF);
    aloop_group_free(group);
}

static ssize_t wait_for_group(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_group_wait(arg));

    (void) loop;
    note((int) aloop_group_count(arg));
    return status;
}

static void cancelling_a_waiter_cancels_the_group_and_waits_for_it(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job job = {.id = 9, .delay_ns = ALOOP_SEC(9)};
    aloop_future *waiter, *other;

    (void) state;
    start(group, &job);
    waiter = aloop_spawn(t.loop, wait_for_group, group);
    turns(2);
    other = aloop_group_wait(group);

    aloop_cancel(waiter);
    assert_false(aloop_future_is_settled(waiter));
    turns(6);

    assert_noted(9, 0);
    assert_int_equal(aloop_future_status(waiter), ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(other), ALOOP_ECANCELED);
    aloop_future_unref(waiter);
    aloop_future_unref(other);
    aloop_group_free(group);
}

static void a_timeout_of_a_wait_cancels_the_group(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job job = {.delay_ns = ALOOP_SEC(9)};

    (void) state;
    start(group, &job);

    assert_int_equal(
        aloop_await(aloop_timeout(aloop_group_wait(group), ALOOP_MS(5))),
        ALOOP_ETIMEDOUT);
    assert_int_equal(aloop_group_count(group), 0);
    assert_int_equal(job.seen, ALOOP_ECANCELED);
    aloop_group_free(group);
}

static void a_group_whose_members_succeed_despite_a_cancel_succeeds(
    void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job job = {.delay_ns = ALOOP_SEC(9), .cancelled_result = 5};
    aloop_future *wait;

    (void) state;
    start(group, &job);
    turns(2);
    wait = aloop_group_wait(group);
    aloop_cancel(wait);

    assert_int_equal(aloop_await(wait), 0);
    aloop_group_free(group);
}

static void freeing_a_group_cancels_its_members_and_ends_its_waits(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job job = {.id = 1, .delay_ns = ALOOP_SEC(9)};
    aloop_future *wait;

    (void) state;
    start(group, &job);
    turns(2);
    wait = aloop_group_wait(group);
    aloop_group_free(group);
    assert_int_equal(t.noted, 0);

    assert_int_equal(aloop_await(wait), ALOOP_EABORTED);
    assert_noted(1);
    aloop_group_free(NULL);
}

static void an_error_that_no_wait_returned_is_reported(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job jobs[] = {{.result = ALOOP_EPIPE}, {.result = ALOOP_EBADF}};

    (void) state;
    start(group, &jobs[0]);
    start(group, &jobs[1]);
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 0);

    aloop_group_free(group);
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
    t.unhandled_what[9] = '\0';
    assert_string_equal(t.unhandled_what, "task work");
}

static void an_error_of_a_freed_group_is_reported(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job job = {.delay_ns = ALOOP_SEC(9),
                      .cancelled_result = ALOOP_EBADF};

    (void) state;
    start(group, &job);
    turns(2);
    aloop_group_free(group);
    aloop_run(t.loop);

    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EBADF);
}

static void dropping_a_wait_cancels_the_group(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job job = {.delay_ns = ALOOP_SEC(9)};

    (void) state;
    start(group, &job);
    turns(2);
    aloop_future_unref(aloop_group_wait(group));
    turns(5);

    assert_int_equal(job.seen, ALOOP_ECANCELED);
    assert_int_equal(t.unhandled, 0);
    aloop_group_free(group);
}

/* Runs a group inside a member of another group. */
static ssize_t nest(aloop *loop, void *arg)
{
    struct job *job = arg;
    aloop_group *group = aloop_group_new(loop);
    ssize_t status;

    job->child->group = group;
    aloop_group_spawn(group, work, job->child);
    status = aloop_await(aloop_group_wait(group));
    note((int) aloop_group_count(group));
    aloop_group_free(group);
    return status;
}

static void a_cancel_reaches_nested_groups(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job inner = {.id = 8, .delay_ns = ALOOP_SEC(9)};
    struct job outer = {.child = &inner};

    (void) state;
    aloop_group_spawn(group, nest, &outer);
    turns(3);
    aloop_group_cancel(group);

    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EABORTED);
    assert_noted(8, 0);
    aloop_group_free(group);
}

static ssize_t cancel_own_group(aloop *loop, void *arg)
{
    aloop_group_cancel(arg);
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
}

static void a_member_that_cancels_its_group_is_cancelled_too(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);

    (void) state;
    aloop_group_spawn(group, cancel_own_group, group);

    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EABORTED);
    assert_true(aloop_group_count(group) == 0);
    aloop_group_free(group);
}

static void a_group_that_was_not_freed_ends_with_the_loop(void **state)
{
    static struct job job = {.delay_ns = ALOOP_SEC(9)};
    aloop_group *group = aloop_group_new(t.loop);

    (void) state;
    start(group, &job);
    turns(2);
    aloop_detach(aloop_group_wait(group));
}

static void a_member_has_its_name_and_options(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    struct job job = {.delay_ns = 1};
    aloop_task_options options = {.size = 1};

    (void) state;
    assert_int_equal(aloop_group_spawn_with(group, work, &job, .name = "miner"),
                     0);
    turns(2);
    assert_string_equal(aloop_task_name(job.self), "miner");
    aloop_await(aloop_group_wait(group));

    assert_int_equal(
        aloop_group_spawn_at(group, work, &job, &options, "work", ALOOP_HERE),
        ALOOP_EINVAL);
    assert_int_equal(aloop_group_count(group), 0);
    aloop_group_free(group);
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);

    (void) state;
    assert_null(aloop_group_new(NULL));
    assert_int_equal(aloop_group_spawn(NULL, work, NULL), ALOOP_EINVAL);
    assert_int_equal(
        aloop_group_spawn_at(group, NULL, NULL, NULL, "none", "nowhere"),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_group_wait(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_group_cancel(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_group_count(NULL), 0);
    aloop_group_free(group);
}

/* One object of each kind that a member can wait for. */
struct kit {
    aloop_mutex *mutex;
    aloop_semaphore *semaphore;
    aloop_event *event;
    aloop_condition *condition;
    aloop_barrier *barrier;
    aloop_channel *channel;
    int sent;
    int received;
};

static ssize_t use_all(aloop *loop, void *arg)
{
    struct kit *kit = arg;
    int item = 1;

    (void) loop;
    if (aloop_await(aloop_mutex_lock(kit->mutex)) == 0) {
        aloop_condition_notify(kit->condition);
        if (aloop_condition_wait(kit->condition, kit->mutex) != ALOOP_EINVAL)
            assert_true(aloop_mutex_is_locked(kit->mutex));
        aloop_mutex_unlock(kit->mutex);
    }
    aloop_await(aloop_semaphore_acquire(kit->semaphore, 1));
    aloop_semaphore_release(kit->semaphore, 1);
    kit->sent += aloop_await(aloop_channel_send(kit->channel, &item)) == 0;
    item = 0;
    if (aloop_await(aloop_channel_receive(kit->channel, &item)) == 0)
        kit->received++;
    else
        assert_int_equal(item, 0);
    aloop_event_set(kit->event);
    aloop_await(aloop_event_wait(kit->event));
    return aloop_await(aloop_barrier_wait(kit->barrier));
}

static void use_group_and_free_loop(aloop *loop)
{
    struct kit kit = {.mutex = aloop_mutex_new(loop),
                      .semaphore = aloop_semaphore_new(loop, 2),
                      .event = aloop_event_new(loop),
                      .condition = aloop_condition_new(loop),
                      .barrier = aloop_barrier_new(loop, 3),
                      .channel = aloop_channel_new(loop, sizeof(int), 2)};
    aloop_group *group = aloop_group_new(loop);
    aloop_future *wait;
    int item;

    for (int i = 0; i < 4; i++)
        aloop_group_spawn(group, use_all, &kit);
    wait = aloop_group_wait(group);
    for (int i = 0; i < 20; i++)
        aloop_step(loop, 0);
    aloop_condition_notify_all(kit.condition);
    for (int i = 0; i < 20; i++)
        aloop_step(loop, 0);
    aloop_group_cancel(group);
    for (int i = 0; i < 20; i++)
        aloop_step(loop, 0);
    assert_true(wait == NULL || loop == NULL || aloop_future_is_settled(wait));
    aloop_future_unref(wait);
    while (aloop_channel_try_receive(kit.channel, &item) == 0)
        kit.received++;
    assert_int_equal(kit.received, kit.sent);
    aloop_group_free(group);
    aloop_free(loop);
}

static void a_group_survives_every_allocation_failure(void **state)
{
    unsigned n = 0;

    (void) state;
    do {
        use_group_and_free_loop(memory_loop(++n));
        assert_int_equal(memory.bytes, 0);
    } while (memory.calls >= n);
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_group_has_ended),
        TEST(a_wait_settles_when_all_members_have_ended),
        TEST(a_wait_includes_members_that_are_spawned_later),
        TEST(the_first_error_cancels_the_others),
        TEST(a_failed_group_refuses_new_members),
        TEST(a_member_of_a_cancelled_group_cannot_spawn_another),
        TEST(a_cancel_of_a_single_member_is_no_error_of_the_group),
        TEST(a_member_that_returns_ecanceled_without_a_cancel_has_failed),
        TEST(cancelling_a_group_ends_its_members),
        TEST(an_error_of_a_member_takes_precedence_over_the_cancel),
        TEST(cancelling_a_waiter_cancels_the_group_and_waits_for_it),
        TEST(a_timeout_of_a_wait_cancels_the_group),
        TEST(a_group_whose_members_succeed_despite_a_cancel_succeeds),
        TEST(freeing_a_group_cancels_its_members_and_ends_its_waits),
        TEST(an_error_that_no_wait_returned_is_reported),
        TEST(an_error_of_a_freed_group_is_reported),
        TEST(dropping_a_wait_cancels_the_group),
        TEST(a_cancel_reaches_nested_groups),
        TEST(a_member_that_cancels_its_group_is_cancelled_too),
        TEST(a_group_that_was_not_freed_ends_with_the_loop),
        TEST(a_member_has_its_name_and_options),
        TEST(a_group_survives_every_allocation_failure),
        TEST(invalid_arguments_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
