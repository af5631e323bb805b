/* The pool of threads, on the simulated system, where threads run inside a wait
 * of the loop. */

#include "support/pool_fixture.h"

/* Does the same for jobs that are not in the table. */
static void work_elsewhere(struct aloop__job *job)
{
    struct sys_address *found;

    (void) job;
    (void) aloop__sys_resolve("slow", "80", SYS_FAMILY_NONE, &found);
    aloop__sys_resolve_free(found);
}

static void count_drop(struct aloop__job *job)
{
    (void) job;
    p.dropped++;
}

static struct aloop__pool_figures look(void)
{
    struct aloop__pool_figures figures;

    aloop__pool_look(t.loop, p.lane, &figures);
    return figures;
}

static void jobs_run_on_threads_and_are_done_on_the_loop(void **state)
{
    (void) state;
    limit(2);
    submit_many(3);
    assert_int_equal(p.worked, 0);
    assert_true(aloop_alive(t.loop));

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(p.worked, 3);
    assert_int_not_equal(p.worker, aloop__sys_thread_self());
    assert_noted(0, 1, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(p.jobs[i].error, 0);
    assert_int_equal(p.dropped, 3);
}

static void there_are_never_more_threads_than_allowed(void **state)
{
    (void) state;
    limit(2);
    make_slow();
    submit_many(JOBS);
    turn();
    assert_int_equal(sim_threads_open(), 2);
    assert_int_equal(p.worked, 2);

    aloop_run(t.loop);

    assert_int_equal(p.worked, JOBS);
    assert_int_equal(sim_threads_open(), 2);
}

static void an_idle_thread_is_used_again(void **state)
{
    (void) state;
    limit(2);
    for (int round = 0; round < 5; round++) {
        submit(round);
        aloop_run(t.loop);
        assert_true(p.jobs[round].is_done);
        assert_int_equal(sim_threads_open(), 1);
    }
}

static void the_thread_that_was_idle_last_is_used_first(void **state)
{
    (void) state;
    limit(3);
    make_slow();
    submit_many(3);
    turn();
    sim_pass(ALOOP_SEC(2)); /* The third thread is the last to be idle. */
    aloop_run(t.loop);
    p.is_slow = false;

    submit(3);
    aloop_run(t.loop);
    submit(4);
    aloop_run(t.loop);

    assert_int_equal(p.workers[3], p.workers[2]);
    assert_int_equal(p.workers[4], p.workers[2]);
}

static void the_jobs_of_a_turn_cost_one_wake_up_of_each_side(void **state)
{
    unsigned notifies, locks, signals;

    (void) state;
    limit(1);
    submit(0);
    aloop_run(t.loop);
    notifies = sim_calls("aloop__sys_condition_notify");
    locks = sim_calls("aloop__sys_mutex_lock");
    signals = sim_calls("aloop__sys_wake_signal");

    submit_many(JOBS);
    assert_int_equal(sim_calls("aloop__sys_mutex_lock"), locks);
    aloop_run(t.loop);

    assert_noted(0, 0, 1, 2, 3, 4, 5);
    assert_int_equal(sim_calls("aloop__sys_condition_notify"), notifies + 1);
    assert_int_equal(sim_calls("aloop__sys_wake_signal"), signals + 1);
}

static void submit_to(enum aloop__lane lane, int i)
{
    p.lane = lane;
    submit(i);
}

static void each_lane_is_woken_once_in_a_turn(void **state)
{
    unsigned notifies;

    (void) state;
    limit(1);
    submit_to(LANE_FILE, 0);
    submit_to(LANE_WORK, 1);
    aloop_run(t.loop);
    notifies = sim_calls("aloop__sys_condition_notify");

    for (int i = 0; i < JOBS; i++)
        submit_to(i % 2 == 0 ? LANE_FILE : LANE_WORK, i);
    aloop_run(t.loop);

    assert_int_equal(p.worked, 2 + JOBS);
    assert_int_equal(sim_calls("aloop__sys_condition_notify"), notifies + 2);
}

static void a_thread_that_takes_one_of_several_jobs_wakes_the_next(void **state)
{
    (void) state;
    limit(3);
    make_slow();
    submit_many(3);
    aloop_run(t.loop);
    assert_int_equal(look().idle, 3);

    submit_many(3);
    turn();

    assert_int_equal(look().idle, 0);
    assert_int_equal(p.worked, 6);
    aloop_run(t.loop);
}

static void threads_end_after_ten_seconds_without_work_except_one(void **state)
{
    (void) state;
    limit(4);
    make_slow();
    submit_many(4);
    aloop_run(t.loop);
    assert_int_equal(look().threads, 4);

    sim_pass(ALOOP_SEC(10) - 1);
    assert_int_equal(look().threads, 4);
    sim_pass(1);

    assert_int_equal(look().threads, 1);
    assert_int_equal(look().idle, 1);
    assert_true(sim_threads_open() <= 2); /* One waits to be joined. */
    sim_pass(ALOOP_SEC(100));
    assert_int_equal(look().threads, 1);
    submit_many(4);
    aloop_run(t.loop);
    assert_int_equal(p.worked, 8);
    assert_int_equal(look().threads, 4);
}

static void a_thread_that_works_every_few_seconds_does_not_end(void **state)
{
    (void) state;
    limit(2);
    make_slow();
    submit_many(2);
    aloop_run(t.loop);
    p.is_slow = false;
    for (int i = 0; i < 5; i++) {
        sim_pass(ALOOP_SEC(9));
        submit(0);
        aloop_run(t.loop);
    }
    assert_int_equal(look().threads, 1);
    assert_int_equal(p.worker, p.workers[0]);
    submit(1);
    aloop_run(t.loop);
    assert_int_equal(p.workers[1], p.workers[0]);
}

static void a_lane_that_is_full_does_not_delay_another(void **state)
{
    (void) state;
    limit(1);
    make_slow();
    submit_many(3);
    turn();
    p.is_slow = false;
    p.lane = LANE_FILE;
    submit(3);
    p.lane = LANE_WORK;
    submit(4);
    turn();
    turn();

    assert_noted(3, 4);
    aloop_run(t.loop);
    assert_noted(3, 4, 0, 1, 2);
}

static void a_job_that_is_submitted_first_overtakes_those_that_wait(
    void **state)
{
    (void) state;
    limit(1);
    p.lane = LANE_FILE;
    make_slow();
    submit_many(2);
    turn(); /* Job 0 runs, and job 1 waits. */
    submit(2);
    assert_int_equal(aloop__pool_submit_first(t.loop, p.lane, prepare(3)), 0);
    assert_int_equal(aloop__pool_submit_first(t.loop, p.lane, prepare(4)), 0);

    aloop_run(t.loop);

    assert_noted(0, 3, 4, 1, 2);
}

static void submit_the_next(struct aloop__job *job, int error)
{
    int i = index_of(job);

    done(job, error);
    if (i + 1 < JOBS) {
        submit(i + 1);
        p.jobs[i + 1].job.done = submit_the_next;
    }
}

static void a_job_may_be_submitted_as_another_is_done(void **state)
{
    (void) state;
    limit(1);
    submit(0);
    p.jobs[0].job.done = submit_the_next;

    aloop_run(t.loop);

    assert_noted(0, 1, 2, 3, 4, 5);
}

static void a_job_is_taken_back_only_before_it_has_begun(void **state)
{
    (void) state;
    limit(1);
    p.lane = LANE_FILE;
    make_slow();
    submit_many(4);
    assert_true(aloop__pool_take_back(t.loop, &p.jobs[3].job));
    turn();
    assert_int_equal(p.worked, 1);

    assert_true(aloop__pool_take_back(t.loop, &p.jobs[1].job));
    assert_false(aloop__pool_take_back(t.loop, &p.jobs[0].job));
    sim_pass(ALOOP_SEC(1)); /* Its work has ended, and it is not done. */
    assert_false(aloop__pool_take_back(t.loop, &p.jobs[0].job));
    aloop_run(t.loop);

    assert_noted(0, 2);
    assert_int_equal(p.worked, 2);
}

static void the_jobs_of_a_lane_are_counted(void **state)
{
    (void) state;
    limit(2);
    p.lane = LANE_FILE;
    assert_int_equal(look().threads, 0);
    make_slow();
    submit_many(5);
    assert_int_equal(look().queued, 5);
    assert_int_equal(look().running, 0);
    sim_pass(ALOOP_MS(10));
    assert_int_equal(look().oldest_ns, ALOOP_MS(10));
    turn();
    assert_int_equal(look().threads, 2);
    assert_int_equal(look().idle, 0);
    assert_int_equal(look().queued, 3);
    assert_int_equal(look().running, 2);
    aloop__pool_take_back(t.loop, &p.jobs[4].job);
    assert_int_equal(look().queued, 2);

    aloop_run(t.loop);

    assert_int_equal(look().queued, 0);
    assert_int_equal(look().running, 0);
    assert_int_equal(look().oldest_ns, 0);
    assert_int_equal(look().idle, 2);
}

static void a_job_that_was_left_is_not_counted(void **state)
{
    (void) state;
    limit(2);
    make_slow();
    submit_many(2);
    turn();
    aloop__pool_leave(t.loop, &p.jobs[0].job);

    assert_int_equal(look().running, 1);
    assert_int_equal(look().threads, 1);
    aloop_run(t.loop);
    assert_int_equal(look().running, 0);
    assert_int_equal(look().threads, 2);
}

/* Failure class 44: a job is cancelled in each of its states. */
static void a_job_that_has_not_started_is_dropped_immediately(void **state)
{
    (void) state;
    limit(1);
    submit_many(3);

    aloop__pool_leave(t.loop, &p.jobs[1].job);
    assert_true(p.jobs[1].is_dropped);
    aloop_run(t.loop);

    assert_int_equal(p.worked, 2);
    assert_noted(0, 2);
    assert_int_equal(p.dropped, 3);
}

static void a_running_job_is_left_to_its_thread(void **state)
{
    (void) state;
    limit(1);
    make_slow();
    submit(0);
    turn();
    assert_int_equal(p.worked, 1);

    aloop__pool_leave(t.loop, &p.jobs[0].job);
    assert_false(aloop_alive(t.loop));
    assert_false(p.jobs[0].is_dropped);
    sim_pass(ALOOP_SEC(2));

    assert_true(p.jobs[0].is_dropped);
    assert_int_equal(t.noted, 0); /* The callback `done` never runs. */
}

static void a_job_that_has_run_but_was_not_collected_is_dropped(void **state)
{
    (void) state;
    limit(1);
    make_slow();
    submit(0);
    turn();
    sim_pass(ALOOP_SEC(1)); /* The thread runs, but the loop does not. */
    assert_int_equal(p.returned, 1);

    aloop__pool_leave(t.loop, &p.jobs[0].job);
    assert_false(aloop_alive(t.loop));
    turn();

    assert_int_equal(t.noted, 0);
    assert_int_equal(p.dropped, 1);
}

static void leave_the_next(struct aloop__job *job, int error)
{
    done(job, error);
    aloop__pool_leave(t.loop, &p.jobs[1].job);
}

static void a_job_may_be_left_as_another_is_done(void **state)
{
    (void) state;
    limit(1);
    submit_many(3);
    p.jobs[0].job.done = leave_the_next;

    aloop_run(t.loop);

    assert_int_equal(p.worked, 3);
    assert_noted(0, 2);
    assert_int_equal(p.dropped, 3);
}

static void a_thread_whose_job_was_left_is_replaced(void **state)
{
    (void) state;
    limit(2);
    make_slow();
    submit_many(2);
    turn();
    assert_int_equal(p.worked, 2);
    p.is_slow = false;
    submit(2);
    submit(3);
    turn();
    assert_int_equal(p.worked, 2); /* Both threads are busy. */

    aloop__pool_leave(t.loop, &p.jobs[0].job);
    assert_int_equal(sim_threads_open(), 3);
    sim_pass(1);

    assert_int_equal(p.worked, 4);
    aloop_run(t.loop);
    assert_int_equal(t.noted, 3);
}

static void a_thread_that_returns_takes_a_job_or_ends(void **state)
{
    (void) state;
    limit(1);
    make_slow();
    submit(0);
    turn();
    aloop__pool_leave(t.loop, &p.jobs[0].job);
    sim_pass(ALOOP_MS(500));
    submit(1); /* Another thread replaces the first one. */
    turn();
    p.is_slow = false;
    submit(2);
    turn();
    /* The first one returns and ends, because another one works. */
    sim_pass(ALOOP_MS(500));
    assert_int_equal(p.returned, 1);
    assert_int_equal(p.worked, 2);

    aloop_run(t.loop);

    assert_noted(1, 2);
    assert_int_equal(p.dropped, 3);
}

static void there_are_at_most_64_threads_including_those_left(void **state)
{
    enum { SLOW = 64 };
    static struct aloop__job jobs[SLOW];

    (void) state;
    limit(2);
    make_slow();
    for (int i = 0; i < SLOW; i++) {
        jobs[i] = (struct aloop__job){
            .work = work_elsewhere,
            .done = done,
            .drop = count_drop,
        };
        assert_int_equal(aloop__pool_submit(t.loop, LANE_RESOLVER, &jobs[i]),
                         0);
        turn();
        aloop__pool_leave(t.loop, &jobs[i]);
    }
    assert_int_equal(sim_threads_open(), 64);

    p.is_slow = false;
    submit(0);
    assert_false(p.jobs[0].is_done);
    turn();
    assert_int_equal(p.jobs[0].error, ALOOP_EAGAIN);
    assert_false(aloop_alive(t.loop));
    sim_pass(ALOOP_SEC(2));
    assert_int_equal(p.dropped, SLOW + 1);
    submit(0);
    aloop_run(t.loop);
    assert_noted(0, 0);
    assert_int_equal(p.jobs[0].error, 0);
}

static void without_any_thread_a_job_fails_in_the_flush(void **state)
{
    (void) state;
    limit(2);
    sim_fail("aloop__sys_thread_start", 1, ALOOP_EAGAIN);
    submit(0);
    assert_false(p.jobs[0].is_done);
    turn();
    assert_int_equal(p.jobs[0].error, ALOOP_EAGAIN);
    assert_int_equal(p.worked, 0);
    assert_false(aloop_alive(t.loop));

    submit(1);
    aloop_run(t.loop);
    assert_noted(0, 1);
    assert_int_equal(p.jobs[1].error, 0);
}

static void one_thread_is_enough_if_a_second_cannot_start(void **state)
{
    (void) state;
    limit(4);
    sim_fail("aloop__sys_thread_start", 2, ALOOP_EAGAIN);
    submit_many(2);

    aloop_run(t.loop);

    assert_noted(0, 1);
    assert_int_equal(p.worked, 2);
    assert_int_equal(look().threads, 1);
}

/* The only thread is blocked.  A job that has no thread yet gets one soon,
 * although nothing else is submitted. */
static void a_thread_that_cannot_start_is_tried_again(void **state)
{
    (void) state;
    limit(4);
    make_slow();
    submit(0);
    turn();
    p.is_slow = false;
    sim_fail("aloop__sys_thread_start", 1, ALOOP_EAGAIN);
    submit(1);
    turn();
    assert_false(p.jobs[1].is_done);

    for (int i = 0; i < 20 && !p.jobs[1].is_done; i++)
        aloop_await(aloop_sleep(t.loop, ALOOP_MS(5)));

    assert_true(p.jobs[1].is_done);
    assert_false(p.jobs[0].is_done);
    aloop_run(t.loop);
    assert_noted(1, 0);
}

static void a_pool_that_cannot_be_opened_leaves_nothing(void **state)
{
    (void) state;
    limit(1);
    sim_fail("aloop__sys_mutex_open", 1, ALOOP_ENOMEM);
    assert_int_equal(aloop__pool_submit(t.loop, LANE_FILE, prepare(0)),
                     ALOOP_ENOMEM);
    assert_false(aloop_alive(t.loop));
    sim_fail("aloop__sys_condition_open", 1, ALOOP_ENOMEM);
    submit(0);
    turn();
    assert_int_equal(p.jobs[0].error, ALOOP_ENOMEM);
}

static void the_default_numbers_are_4_4_and_the_processors(void **state)
{
    aloop *loop = aloop_new(NULL);

    (void) state;
    assert_int_equal(aloop__pool_threads_max(loop, LANE_FILE), 4);
    assert_int_equal(aloop__pool_threads_max(loop, LANE_RESOLVER), 4);
    assert_int_equal(aloop__pool_threads_max(loop, LANE_WORK),
                     aloop__sys_processors());
    assert_int_equal(aloop_free(loop), 0);
}

static void the_number_of_resolver_threads_can_be_set(void **state)
{
    static const char *const here[] = {"127.0.0.1", NULL};
    aloop_options options = {.size = sizeof options, .resolver_threads = 1};
    aloop *loop = aloop_new(&options);
    aloop_future *connects[3];
    aloop_stream *streams[3];
    size_t most = 0;

    (void) state;
    sim_host("name", here);
    for (int i = 0; i < 3; i++)
        connects[i] = aloop_tcp_connect(loop, "name", "1", &streams[i]);
    while (aloop_alive(loop)) {
        most = most < sim_threads_open() ? sim_threads_open() : most;
        assert_true(aloop_step(loop, -1) >= 0);
    }

    assert_int_equal(most, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(aloop_future_status(connects[i]), ALOOP_ECONNREFUSED);
        aloop_future_unref(connects[i]);
    }
    assert_int_equal(aloop_free(loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_run_on_threads_and_are_done_on_the_loop),
        TEST(there_are_never_more_threads_than_allowed),
        TEST(an_idle_thread_is_used_again),
        TEST(the_thread_that_was_idle_last_is_used_first),
        TEST(the_jobs_of_a_turn_cost_one_wake_up_of_each_side),
        TEST(each_lane_is_woken_once_in_a_turn),
        TEST(a_thread_that_takes_one_of_several_jobs_wakes_the_next),
        TEST(threads_end_after_ten_seconds_without_work_except_one),
        TEST(a_thread_that_works_every_few_seconds_does_not_end),
        TEST(a_lane_that_is_full_does_not_delay_another),
        TEST(a_job_that_is_submitted_first_overtakes_those_that_wait),
        TEST(a_job_may_be_submitted_as_another_is_done),
        TEST(a_job_is_taken_back_only_before_it_has_begun),
        TEST(the_jobs_of_a_lane_are_counted),
        TEST(a_job_that_was_left_is_not_counted),
        TEST(a_job_that_has_not_started_is_dropped_immediately),
        TEST(a_running_job_is_left_to_its_thread),
        TEST(a_job_that_has_run_but_was_not_collected_is_dropped),
        TEST(a_job_may_be_left_as_another_is_done),
        TEST(a_thread_whose_job_was_left_is_replaced),
        TEST(a_thread_that_returns_takes_a_job_or_ends),
        TEST(there_are_at_most_64_threads_including_those_left),
        TEST(without_any_thread_a_job_fails_in_the_flush),
        TEST(one_thread_is_enough_if_a_second_cannot_start),
        TEST(a_thread_that_cannot_start_is_tried_again),
        TEST(a_pool_that_cannot_be_opened_leaves_nothing),
        TEST(the_default_numbers_are_4_4_and_the_processors),
        TEST(the_number_of_resolver_threads_can_be_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
