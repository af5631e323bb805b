/* The pool of threads, on the simulated system, where a thread runs to its end
 * inside a wait of the loop. */

#include "support/fixture.h"

#include <stdlib.h>

#include "loop/pool.h"
#include "os/sys.h"

enum { JOBS = 6 };

static struct {
    struct aloop__pool *pool;
    bool is_slow;
    struct {
        struct aloop__job job;
        bool is_done;
        bool is_dropped;
        int error;
    } jobs[JOBS];
    int worked, returned, dropped;
    uintptr_t worker; /* The thread of the latest job. */
} p;

static int index_of(struct aloop__job *job)
{
    for (int i = 0; i < JOBS; i++)
        if (job == &p.jobs[i].job)
            return i;
    abort();
}

static void work(struct aloop__job *job)
{
    (void) index_of(job);
    p.worked++;
    p.worker = aloop__sys_thread_self();
}

static void done(struct aloop__job *job, int error)
{
    int i = index_of(job);

    assert_false(p.jobs[i].is_done);
    p.jobs[i].is_done = true;
    p.jobs[i].error = error;
    note(i);
}

static void drop(struct aloop__job *job)
{
    int i = index_of(job);

    assert_false(p.jobs[i].is_dropped);
    p.jobs[i].is_dropped = true;
    p.dropped++;
}

/* Waits until the look-up has an answer; see sim_host_delay(). */
static void work_slowly(struct aloop__job *job)
{
    struct sys_address *found;

    work(job);
    (void) aloop__sys_resolve("slow", "80", &found);
    aloop__sys_resolve_free(found);
    p.returned++;
}

/* Does the same for jobs that are not in the table. */
static void work_elsewhere(struct aloop__job *job)
{
    struct sys_address *found;

    (void) job;
    (void) aloop__sys_resolve("slow", "80", &found);
    aloop__sys_resolve_free(found);
}

static void count_drop(struct aloop__job *job)
{
    (void) job;
    p.dropped++;
}

static void open_pool(unsigned threads)
{
    for (size_t i = 0; i < sizeof p; i++)
        ((char *) &p)[i] = 0;
    assert_int_equal(aloop__pool_open(t.loop, threads, &p.pool), 0);
    /* Wake-ups now collect the finished jobs, and aloop_free() closes the
     * pool. */
    t.loop->resolver = p.pool;
}

static int submit(int i)
{
    p.jobs[i].job.work = p.is_slow ? work_slowly : work;
    p.jobs[i].job.done = done;
    p.jobs[i].job.drop = drop;
    return aloop__pool_submit(p.pool, &p.jobs[i].job);
}

/* Makes each job take a second from now on. */
static void make_slow(void)
{
    p.is_slow = true;
    sim_host_delay("slow", ALOOP_SEC(1));
}

static void jobs_run_on_threads_and_are_done_on_the_loop(void **state)
{
    (void) state;
    open_pool(2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(submit(i), 0);
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
    open_pool(2);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(submit(i), 0);
    assert_int_equal(sim_threads_open(), 2);

    aloop_run(t.loop);

    assert_int_equal(p.worked, JOBS);
}

static void threads_that_have_ended_are_joined_and_replaced(void **state)
{
    (void) state;
    open_pool(2);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(submit(round), 0);
        aloop_run(t.loop);
        assert_true(p.jobs[round].is_done);
        assert_true(sim_threads_open() <= 2);
    }
}

static void submit_the_next(struct aloop__job *job, int error)
{
    int i = index_of(job);

    done(job, error);
    if (i + 1 < JOBS) {
        p.jobs[i + 1].job.work = work;
        p.jobs[i + 1].job.done = submit_the_next;
        p.jobs[i + 1].job.drop = drop;
        assert_int_equal(aloop__pool_submit(p.pool, &p.jobs[i + 1].job), 0);
    }
}

static void a_job_may_be_submitted_as_another_is_done(void **state)
{
    (void) state;
    open_pool(1);
    p.jobs[0].job.work = work;
    p.jobs[0].job.done = submit_the_next;
    p.jobs[0].job.drop = drop;
    assert_int_equal(aloop__pool_submit(p.pool, &p.jobs[0].job), 0);

    aloop_run(t.loop);

    assert_noted(0, 1, 2, 3, 4, 5);
}

/* Failure class 44: a job is cancelled in each of its states. */
static void a_job_that_has_not_started_is_dropped_immediately(void **state)
{
    (void) state;
    open_pool(1);
    for (int i = 0; i < 3; i++)
        submit(i);

    aloop__pool_leave(p.pool, &p.jobs[1].job);
    assert_true(p.jobs[1].is_dropped);
    aloop_run(t.loop);

    assert_int_equal(p.worked, 2);
    assert_noted(0, 2);
    assert_int_equal(p.dropped, 3);
}

static void a_running_job_is_left_to_its_thread(void **state)
{
    (void) state;
    open_pool(1);
    make_slow();
    submit(0);
    sim_pass(1);
    assert_int_equal(p.worked, 1);

    aloop__pool_leave(p.pool, &p.jobs[0].job);
    assert_false(aloop_alive(t.loop));
    assert_false(p.jobs[0].is_dropped);
    sim_pass(ALOOP_SEC(2));

    assert_true(p.jobs[0].is_dropped);
    assert_int_equal(t.noted, 0); /* The callback `done` never runs. */
}

static void a_job_that_has_run_but_was_not_collected_is_dropped(void **state)
{
    (void) state;
    open_pool(1);
    submit(0);
    sim_pass(1); /* The thread runs, but the loop does not. */
    assert_int_equal(p.worked, 1);

    aloop__pool_leave(p.pool, &p.jobs[0].job);
    assert_true(p.jobs[0].is_dropped);
    aloop_run(t.loop);

    assert_int_equal(t.noted, 0);
    assert_int_equal(p.dropped, 1);
}

static void leave_the_next(struct aloop__job *job, int error)
{
    done(job, error);
    aloop__pool_leave(p.pool, &p.jobs[1].job);
}

static void a_job_may_be_left_as_another_is_done(void **state)
{
    (void) state;
    open_pool(1);
    submit(0);
    p.jobs[0].job.done = leave_the_next;
    submit(1);
    submit(2);

    aloop_run(t.loop);

    assert_int_equal(p.worked, 3);
    assert_noted(0, 2);
    assert_int_equal(p.dropped, 3);
}

static void a_thread_whose_job_was_left_is_replaced(void **state)
{
    (void) state;
    open_pool(2);
    make_slow();
    submit(0);
    submit(1);
    sim_pass(1);
    assert_int_equal(p.worked, 2);
    p.is_slow = false;
    submit(2);
    submit(3);
    sim_pass(1);
    assert_int_equal(p.worked, 2); /* Both threads are busy. */

    aloop__pool_leave(p.pool, &p.jobs[0].job);
    assert_int_equal(sim_threads_open(), 3);
    sim_pass(1);

    assert_int_equal(p.worked, 4);
    aloop_run(t.loop);
    assert_int_equal(t.noted, 3);
}

static void a_thread_that_returns_takes_a_job_or_ends(void **state)
{
    (void) state;
    open_pool(1);
    make_slow();
    submit(0);
    sim_pass(1);
    aloop__pool_leave(p.pool, &p.jobs[0].job);
    sim_pass(ALOOP_MS(500));
    submit(1); /* Another thread replaces the first one. */
    sim_pass(1);
    p.is_slow = false;
    submit(2);
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
    open_pool(2);
    make_slow();
    for (int i = 0; i < SLOW; i++) {
        jobs[i] = (struct aloop__job){
            .work = work_elsewhere,
            .done = done,
            .drop = count_drop,
        };
        assert_int_equal(aloop__pool_submit(p.pool, &jobs[i]), 0);
        sim_pass(1);
        aloop__pool_leave(p.pool, &jobs[i]);
    }
    assert_int_equal(sim_threads_open(), 64);

    assert_int_equal(submit(0), ALOOP_EAGAIN);
    assert_false(aloop_alive(t.loop));
    sim_pass(ALOOP_SEC(2));
    assert_int_equal(p.dropped, SLOW);
    p.is_slow = false;
    assert_int_equal(submit(0), 0);
    aloop_run(t.loop);
    assert_noted(0);
}

static void without_any_thread_a_submit_fails(void **state)
{
    (void) state;
    open_pool(2);
    sim_fail("aloop__sys_thread_start", 1, ALOOP_EAGAIN);
    assert_int_equal(submit(0), ALOOP_EAGAIN);
    assert_false(aloop_alive(t.loop));

    assert_int_equal(submit(0), 0);
    aloop_run(t.loop);
    assert_noted(0);
}

static void one_thread_is_enough_if_a_second_cannot_start(void **state)
{
    (void) state;
    open_pool(4);
    submit(0);
    sim_fail("aloop__sys_thread_start", 1, ALOOP_EAGAIN);

    assert_int_equal(submit(1), 0);
    aloop_run(t.loop);

    assert_noted(0, 1);
}

static void a_pool_that_cannot_be_opened_leaves_nothing(void **state)
{
    struct aloop__pool *pool = NULL;

    (void) state;
    sim_fail("aloop__sys_monitor_open", 1, ALOOP_ENOMEM);
    assert_int_equal(aloop__pool_open(t.loop, 1, &pool), ALOOP_ENOMEM);
    assert_null(pool);
}

static void closing_cancels_jobs_that_have_not_run(void **state)
{
    (void) state;
    open_pool(1);
    for (int i = 0; i < 3; i++)
        submit(i);
    t.loop->resolver = NULL;

    aloop__pool_close(p.pool);

    assert_int_equal(t.noted, 3);
    for (int i = 0; i < 3; i++)
        assert_true(p.jobs[i].is_done && p.jobs[i].error == ALOOP_ECANCELED);
    assert_int_equal(p.worked, 0);
    assert_int_equal(sim_threads_open(), 0);
    assert_false(aloop_alive(t.loop));
}

static void freeing_the_loop_joins_idle_threads(void **state)
{
    (void) state;
    open_pool(3);
    for (int i = 0; i < JOBS; i++)
        submit(i);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(sim_threads_open(), 0);
    assert_int_equal(t.noted, JOBS);
    assert_int_equal(p.dropped, JOBS);
}

static void freeing_the_loop_does_not_wait_for_running_jobs(void **state)
{
    int64_t before_ns = aloop__sys_clock_ns();

    (void) state;
    open_pool(3);
    make_slow();
    for (int i = 0; i < JOBS; i++)
        submit(i);
    sim_pass(1);
    aloop__pool_leave(p.pool, &p.jobs[0].job);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(aloop__sys_clock_ns(), before_ns + 1);
    assert_int_equal(sim_threads_open(), 0);
    assert_int_equal(t.noted, JOBS - 1);
    /* Three threads worked, and a fourth one replaced the first. */
    assert_int_equal(p.worked, 4);
    assert_int_equal(p.dropped, JOBS - 4);
    sim_pass(ALOOP_SEC(2)); /* The remaining threads end, and free the rest. */
    assert_int_equal(p.returned, 4);
    assert_int_equal(p.dropped, JOBS);
}

/* A forked child does this, because the threads do not exist there. */
static void forgetting_cancels_jobs_without_using_threads(void **state)
{
    unsigned joins, enters;

    (void) state;
    open_pool(2);
    submit(0);
    submit(1);
    t.loop->resolver = NULL;
    joins = sim_calls("aloop__sys_thread_join");
    enters = sim_calls("aloop__sys_monitor_enter");

    aloop__pool_forget(p.pool);

    assert_int_equal(sim_calls("aloop__sys_thread_join"), joins);
    assert_int_equal(sim_calls("aloop__sys_monitor_enter"), enters);
    assert_noted(0, 1);
    assert_int_equal(p.jobs[1].error, ALOOP_ECANCELED);
    assert_int_equal(p.worked, 0);
    assert_int_equal(p.dropped, 2);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(sim_threads_open(), 0); /* Their memory is freed. */
}

static void forgetting_drops_jobs_that_were_left_to_threads(void **state)
{
    (void) state;
    open_pool(2);
    make_slow();
    submit(0);
    submit(1);
    sim_pass(1);
    aloop__pool_leave(p.pool, &p.jobs[0].job);
    t.loop->resolver = NULL;

    aloop__pool_forget(p.pool);

    assert_noted(1);
    assert_int_equal(p.dropped, 2);
    sim_pass(ALOOP_SEC(2));
    assert_int_equal(p.returned, 0); /* The threads do not exist any more. */
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
        TEST(threads_that_have_ended_are_joined_and_replaced),
        TEST(a_job_may_be_submitted_as_another_is_done),
        TEST(a_job_that_has_not_started_is_dropped_immediately),
        TEST(a_running_job_is_left_to_its_thread),
        TEST(a_job_that_has_run_but_was_not_collected_is_dropped),
        TEST(a_job_may_be_left_as_another_is_done),
        TEST(a_thread_whose_job_was_left_is_replaced),
        TEST(a_thread_that_returns_takes_a_job_or_ends),
        TEST(there_are_at_most_64_threads_including_those_left),
        TEST(without_any_thread_a_submit_fails),
        TEST(one_thread_is_enough_if_a_second_cannot_start),
        TEST(a_pool_that_cannot_be_opened_leaves_nothing),
        TEST(closing_cancels_jobs_that_have_not_run),
        TEST(freeing_the_loop_joins_idle_threads),
        TEST(freeing_the_loop_does_not_wait_for_running_jobs),
        TEST(forgetting_cancels_jobs_without_using_threads),
        TEST(forgetting_drops_jobs_that_were_left_to_threads),
        TEST(the_number_of_resolver_threads_can_be_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
