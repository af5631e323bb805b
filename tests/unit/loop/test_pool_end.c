/* The end of the pool of threads: when the loop is freed, and in a forked
 * child. */

#include "support/pool_fixture.h"

#include "aloop/poll.h"

static void closing_cancels_jobs_that_have_not_run(void **state)
{
    (void) state;
    limit(1);
    make_slow();
    submit_many(3);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(p.worked, 1);
    assert_int_equal(t.noted, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(p.jobs[i].error, ALOOP_ECANCELED);
    assert_int_equal(p.dropped, 2);
    assert_int_equal(sim_threads_open(), 0);
    sim_pass(ALOOP_SEC(2));
}

static void freeing_the_loop_joins_idle_threads(void **state)
{
    (void) state;
    limit(3);
    make_slow();
    submit_many(JOBS);
    aloop_run(t.loop);
    assert_int_equal(sim_threads_open(), 3);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(sim_threads_open(), 0);
    assert_int_equal(p.dropped, JOBS);
}

static void freeing_the_loop_does_not_wait_for_look_ups(void **state)
{
    int64_t before_ns;

    (void) state;
    limit(3);
    make_slow();
    submit_many(JOBS);
    turn();
    aloop__pool_leave(t.loop, &p.jobs[0].job);
    before_ns = aloop__sys_clock_ns();

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(aloop__sys_clock_ns(), before_ns);
    assert_int_equal(sim_threads_open(), 0);
    assert_int_equal(t.noted, JOBS - 1);
    for (int i = 1; i < JOBS; i++)
        assert_int_equal(p.jobs[i].error, ALOOP_ECANCELED);
    /* Three threads worked, and a fourth one replaced the first. */
    assert_int_equal(p.worked, 4);
    assert_int_equal(p.dropped, JOBS - 4);
    sim_pass(ALOOP_SEC(2)); /* The remaining threads end, and free the rest. */
    assert_int_equal(p.returned, 4);
    assert_int_equal(p.dropped, JOBS);
}

static void freeing_the_loop_waits_for_jobs_that_use_its_memory(void **state)
{
    int64_t before_ns;

    (void) state;
    limit(3);
    p.lane = LANE_FILE;
    make_slow();
    submit_many(JOBS);
    turn();
    before_ns = aloop__sys_clock_ns();

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(aloop__sys_clock_ns(), before_ns + ALOOP_SEC(2));
    assert_int_equal(p.returned, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(p.jobs[i].error, 0);
    assert_int_equal(sim_threads_open(), 0);
}

static void on_ready(aloop_poll *poll, unsigned events, void *arg)
{
    (void) poll;
    (void) events;
    (void) arg;
    t.calls++;
}

static void a_ready_poll_does_not_end_the_wait_for_jobs(void **state)
{
    aloop_poll *poll;
    int fds[2];
    unsigned before;

    (void) state;
    limit(1);
    p.lane = LANE_FILE;
    make_slow();
    submit_many(1);
    assert_int_equal(sim_pair(fds), 0);
    assert_int_equal(aloop_poll_start(t.loop, fds[0], ALOOP_POLL_READABLE,
                                      on_ready, NULL, &poll),
                     0);
    turn();
    assert_int_equal(aloop__sys_send(fds[1], "x", 1), 1);
    before = sim_wakes();

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_in_range(sim_wakes() - before, 1, 4);
    assert_int_equal(t.calls, 0);
    aloop__sys_close(fds[0]);
    aloop__sys_close(fds[1]);
}

/* Without its reactor the loop cannot be woken. */
static void a_loop_that_cannot_wait_still_waits_for_jobs_when_freed(
    void **state)
{
    (void) state;
    limit(2);
    p.lane = LANE_WORK;
    make_slow();
    submit_many(3);
    turn();
    sim_fail_from("aloop__reactor_wait", 1, ALOOP_ENOMEM);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(p.returned, 2);
    assert_int_equal(t.noted, 3);
    assert_int_equal(p.jobs[2].error, ALOOP_ECANCELED);
    assert_int_equal(p.jobs[0].error, 0);
}

static int submitted;

static void submit_again(struct aloop__job *job, int error)
{
    done(job, error);
    submitted = aloop__pool_submit(t.loop, p.lane, prepare(3));
}

static void a_job_is_refused_while_the_pool_closes(void **state)
{
    (void) state;
    limit(2);
    make_slow();
    submit(0);
    p.jobs[0].job.done = submit_again;
    submitted = 0;

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(p.jobs[0].error, ALOOP_ECANCELED);
    assert_int_equal(submitted, ALOOP_ECANCELED);
    sim_pass(ALOOP_SEC(2));
}

/* A forked child does this, because the threads do not exist there. */
static void forgetting_cancels_jobs_without_using_threads(void **state)
{
    unsigned joins, locks;

    (void) state;
    limit(1);
    make_slow();
    submit_many(2);
    turn();
    submit(2);
    joins = sim_calls("aloop__sys_thread_join");
    locks = sim_calls("aloop__sys_mutex_lock");

    aloop__pool_forget(t.loop);

    assert_int_equal(sim_calls("aloop__sys_thread_join"), joins);
    assert_int_equal(sim_calls("aloop__sys_mutex_lock"), locks);
    assert_noted(0, 1, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(p.jobs[i].error, ALOOP_ECANCELED);
    assert_int_equal(p.worked, 1);
    assert_int_equal(p.dropped, 3);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(sim_threads_open(), 0); /* Their memory is freed. */
}

static void forgetting_drops_jobs_that_were_left_to_threads(void **state)
{
    (void) state;
    limit(3);
    make_slow();
    submit_many(2);
    turn();
    aloop__pool_leave(t.loop, &p.jobs[0].job);
    p.is_slow = false;
    submit(2);
    turn();
    submit(3);
    p.is_slow = false;
    turn();

    aloop__pool_forget(t.loop);

    assert_int_equal(p.dropped, 4);
    assert_int_equal(p.jobs[1].error, ALOOP_ECANCELED);
    sim_pass(ALOOP_SEC(2));
    assert_int_equal(p.returned, 0); /* The threads do not exist any more. */
}

static void a_child_keeps_what_the_work_of_a_file_has_done(void **state)
{
    (void) state;
    limit(1);
    p.lane = LANE_FILE;
    make_slow();
    submit_many(2);
    turn();
    sim_pass(ALOOP_SEC(1)); /* Job 0 has ended, and is not collected. */
    sim_fork();
    assert_true(aloop__pool_take_back(t.loop, &p.jobs[1].job) || p.worked == 2);

    assert_int_equal(aloop_after_fork(t.loop), 0);

    assert_true(p.jobs[0].is_done);
    assert_int_equal(p.jobs[0].error, 0);
    p.is_slow = false;
    submit(3);
    aloop_run(t.loop);
    assert_int_equal(p.jobs[3].error, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closing_cancels_jobs_that_have_not_run),
        TEST(freeing_the_loop_joins_idle_threads),
        TEST(freeing_the_loop_does_not_wait_for_look_ups),
        TEST(freeing_the_loop_waits_for_jobs_that_use_its_memory),
        TEST(a_ready_poll_does_not_end_the_wait_for_jobs),
        TEST(a_loop_that_cannot_wait_still_waits_for_jobs_when_freed),
        TEST(a_job_is_refused_while_the_pool_closes),
        TEST(forgetting_cancels_jobs_without_using_threads),
        TEST(forgetting_drops_jobs_that_were_left_to_threads),
        TEST(a_child_keeps_what_the_work_of_a_file_has_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
