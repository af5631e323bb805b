/* The queue of jobs on Redis and its workers, beside a real server: memory that
 * runs out, a cancel and the end of the loop at each step, and workers that are
 * late.  Afterwards each job has one result. */

#define _POSIX_C_SOURCE 200809L

#include "bridges/redis_take.h"
#include "bridges/redis_worker.h"
#include "redis_fixture.h"
#include "support/refused_memory.h"

enum { JOBS = 3, LIMIT_MS = 20000 };

static struct {
    aloop_future *worker;
    int64_t drain_ns;
    unsigned running, ended, reported, unstarted, connections_lost;
} w;

/* Permits cannot be acquired on request. */
aloop_future *__real_aloop_semaphore_acquire(aloop_semaphore *semaphore,
                                             size_t count);
aloop_future *__wrap_aloop_semaphore_acquire(aloop_semaphore *semaphore,
                                             size_t count);
static bool is_acquire_refused;

aloop_future *__wrap_aloop_semaphore_acquire(aloop_semaphore *semaphore,
                                             size_t count)
{
    return is_acquire_refused
               ? NULL
               : __real_aloop_semaphore_acquire(semaphore, count);
}

/* A loop that can have no memory. */

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) context;
    (void) old_size;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_size);
}

static void ignore_unhandled(aloop *loop, int error, const char *what,
                             void *arg)
{
    (void) loop;
    (void) error;
    (void) what;
    (void) arg;
}

static void make_loop(void)
{
    aloop_options options = {.size = sizeof options,
                             .resize = resize,
                             .on_unhandled = ignore_unhandled};

    f.loop = aloop_new(&options);
    assert_non_null(f.loop);
}

static void free_loop(void)
{
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    f.loop = NULL;
}

/* Queues. */

static struct redis_queue queue_of(const char *worker, int64_t claim_ns)
{
    return (struct redis_queue){.host = "127.0.0.1",
                                .port = port(),
                                .key = "jobs",
                                .worker = worker,
                                .claim_ns = claim_ns};
}

static void open_queue(struct redis_queue *queue)
{
    assert_true(redis_queue_open(f.loop, queue, true) > 0);
}

static void add_jobs(int count)
{
    f.admin = connected();
    assert_true(ADMIN("DEL jobs jobs:done jobs:failed") >= 0);
    for (int i = 0; i < count; i++)
        assert_true(ADMIN("XADD jobs * type step argument %d", i) > 0);
    redis_close(f.admin);
    f.admin = NULL;
}

/* Ends the jobs that a worker has left, as another worker that waits for none
 * of them. */
static void inherit_jobs(void)
{
    /* Less than a millisecond: also jobs that were kept just now. */
    struct redis_queue queue = queue_of("heir", ALOOP_US(500));

    open_queue(&queue);
    /* The limit of the test ends this. */
    while (aloop_await(redis_command(queue.redis, NULL, "XLEN jobs")) > 0) {
        struct redis_job job;

        queue.claim_at_ns = 0;
        if (redis_queue_take(&queue, ALOOP_MS(1), &job) < 1)
            continue;
        assert_int_equal(redis_queue_end(&queue, &job, false, "inherited"), 1);
        freeReplyObject(job.reply);
    }
    redis_queue_close(&queue);
}

static const char *result_of(const redisReply *entry, const char *name)
{
    const redisReply *fields = entry->element[1];

    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (strcmp(fields->element[i]->str, name) == 0)
            return fields->element[i + 1]->str;
    return "";
}

/* Expects one result for each of the jobs. */
static void assert_one_result_each(int count)
{
    bool has_result[JOBS] = {false};

    f.redis = connected();
    assert_int_equal(COMMAND("XRANGE jobs:done - +"), count);
    for (int i = 0; i < count; i++) {
        int job = atoi(result_of(f.reply->element[i], "argument"));

        assert_in_range(job, 0, count - 1);
        assert_false(has_result[job]);
        has_result[job] = true;
    }
    assert_int_equal(COMMAND("XLEN jobs:failed"), 0);
    assert_int_equal(COMMAND("XPENDING jobs workers - + 10"), 0);
    freeReplyObject(f.reply);
    f.reply = NULL;
    redis_close(f.redis);
    f.redis = NULL;
}

/* A worker. */

/* A cancel does not end it immediately. */
static ssize_t step(aloop *loop, const char *argument, char *result,
                    size_t size)
{
    ssize_t status;

    w.running++;
    snprintf(result, size, "result of %s", argument);
    status = aloop_await(aloop_sleep(loop, 0));
    aloop_shield_begin();
    for (int i = 0; i < 5; i++)
        (void) aloop_await(aloop_sleep(loop, ALOOP_US(50)));
    aloop_shield_end();
    w.running--;
    return status;
}

static void note_event(const struct redis_job *job, ssize_t status,
                       const char *words)
{
    assert_true(words[0] != '\0');
    w.connections_lost += job == NULL;
    w.ended += job != NULL && status >= 0;
    w.reported += job != NULL && status < 0;
    w.unstarted += job != NULL && status == ALOOP_ENOMEM;
    if (job == NULL || w.ended + w.reported == JOBS)
        aloop_cancel(w.worker);
}

static const struct redis_job_type types[] = {{"step", step}, {NULL, NULL}};

static ssize_t work(aloop *loop, void *arg)
{
    struct redis_worker_options options = {
        .queue = queue_of("worker", ALOOP_SEC(1000)),
        .types = types,
        .jobs_max = 2,
        .attempts_max = 1000,
        .drain_ns = w.drain_ns,
        .on_event = note_event};

    (void) arg;
    return redis_worker_run(loop, &options);
}

static void start_worker(void)
{
    w.running = w.ended = w.reported = w.unstarted = w.connections_lost = 0;
    w.worker = aloop_spawn(f.loop, work, NULL);
}

/* A job that is neither run nor reported would be missing for 1,000 s. */
static ssize_t end_worker(void)
{
    int64_t end_ms = patient_now_ms() + patient_limit(LIMIT_MS);

    while (!aloop_future_is_settled(w.worker)) {
        assert_true(aloop_step(f.loop, ALOOP_MS(10)) >= 0);
        assert_true(patient_now_ms() < end_ms);
    }
    return aloop_await(w.worker);
}

/* Lets the nth allocation fail, from the start of a worker or from a cancel
 * while it runs jobs.  Returns whether there was one. */
static bool fail_allocation(int nth, bool is_cancelled)
{
    ssize_t status;
    bool has_failed;

    make_loop();
    add_jobs(JOBS);
    refuse_memory(is_cancelled ? 0 : nth);
    start_worker();
    while (is_cancelled && w.running == 0)
        assert_true(aloop_step(f.loop, ALOOP_MS(1)) >= 0);
    if (is_cancelled) {
        refuse_memory(nth);
        aloop_cancel(w.worker);
    }
    status = end_worker();
    has_failed = refuse_memory(0) != 0;

    assert_true(status == ALOOP_EABORTED || status == ALOOP_ENOMEM ||
                status == REDIS_ELOST);
    assert_int_equal(w.running, 0);
    assert_true(has_failed || is_cancelled || w.ended == JOBS);
    inherit_jobs();
    assert_one_result_each(JOBS);
    free_loop();
    return has_failed;
}

static void each_allocation_of_a_worker_may_fail(void **state)
{
    unsigned reported = 0, unstarted = 0, connections_lost = 0;

    (void) state;
    for (int at = 1; fail_allocation(at, false); at++) {
        reported += w.reported;
        unstarted += w.unstarted;
        connections_lost += w.connections_lost;
    }

    assert_true(unstarted > 1 && reported >= unstarted);
    assert_true(connections_lost > 20);
}

static void each_allocation_of_a_cancelled_worker_may_fail(void **state)
{
    int at = 1;

    (void) state;
    w.drain_ns = 0;
    while (fail_allocation(at, true))
        at++;

    assert_true(at > 20);
}

static void a_cancelled_worker_waits_for_its_jobs_without_permits(void **state)
{
    (void) state;
    w.drain_ns = 0;
    make_loop();
    add_jobs(JOBS);
    start_worker();
    while (w.running == 0)
        assert_true(aloop_step(f.loop, ALOOP_MS(1)) >= 0);

    is_acquire_refused = true;
    aloop_cancel(w.worker);
    assert_int_equal(end_worker(), ALOOP_EABORTED);
    is_acquire_refused = false;

    assert_int_equal(w.running, 0);
    inherit_jobs();
    assert_one_result_each(JOBS);
    free_loop();
}

/* Ends a worker after each number of turns, until it is faster. */
static void end_at_each_step(bool is_loop_freed)
{
    bool has_ended = false;

    for (int turns = 0; !has_ended; turns++) {
        make_loop();
        add_jobs(JOBS);
        start_worker();
        for (int i = 0; i < turns && !has_ended; i++) {
            assert_true(aloop_step(f.loop, ALOOP_MS(1)) >= 0);
            has_ended = w.ended == JOBS;
        }
        assert_int_equal(w.reported + w.connections_lost, 0);
        if (is_loop_freed) {
            aloop_detach(w.worker);
            free_loop();
            make_loop();
        } else {
            aloop_cancel(w.worker);
            assert_int_equal(end_worker(), ALOOP_EABORTED);
        }
        assert_int_equal(w.running, 0);
        assert_int_equal(w.connections_lost, 0);
        inherit_jobs();
        assert_one_result_each(JOBS);
        free_loop();
    }
}

static void a_worker_can_be_cancelled_at_each_step(void **state)
{
    (void) state;
    end_at_each_step(false);
}

static void the_loop_can_be_freed_at_each_step_of_a_worker(void **state)
{
    (void) state;
    end_at_each_step(true);
}

/* Two workers, of which one was stopped until the other has taken its job. */

static struct {
    struct redis_queue queue;
    struct redis_job job;
} late, heir;

static int set_up_late(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    make_loop();
    add_jobs(1);
    late.queue = queue_of("late", ALOOP_MS(1));
    heir.queue = queue_of("heir", ALOOP_MS(1));
    open_queue(&late.queue);
    open_queue(&heir.queue);
    assert_int_equal(redis_queue_take(&late.queue, ALOOP_MS(1), &late.job), 1);
    do
        heir.queue.claim_at_ns = 0;
    while (redis_queue_take(&heir.queue, ALOOP_MS(1), &heir.job) == 0);
    assert_string_equal(heir.job.id, late.job.id);
    assert_int_equal(heir.job.attempt, 2);
    return 0;
}

static int tear_down_late(void **state)
{
    (void) state;
    freeReplyObject(late.job.reply);
    freeReplyObject(heir.job.reply);
    redis_queue_close(&late.queue);
    redis_queue_close(&heir.queue);
    assert_one_result_each(1);
    free_loop();
    return 0;
}

static void the_first_result_counts(void **state)
{
    (void) state;
    assert_int_equal(redis_queue_end(&late.queue, &late.job, false, "x"), 1);

    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, false, "y"), 0);
    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, true, "z"), 0);
    assert_int_equal(redis_queue_end(&late.queue, &late.job, false, "x"), 0);
}

static void a_late_error_does_not_count(void **state)
{
    (void) state;
    assert_int_equal(redis_queue_end(&late.queue, &late.job, true, "x"), 0);

    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, false, "y"), 1);
}

static void a_late_worker_learns_that_it_has_lost_the_job(void **state)
{
    redisReply *lost;

    (void) state;
    assert_int_equal(redis_queue_keep(&late.queue, 1, &late.job.id, 0, &lost),
                     1);
    assert_string_equal(lost->element[0]->str, late.job.id);
    freeReplyObject(lost);

    assert_int_equal(redis_queue_keep(&heir.queue, 1, &heir.job.id, 0, &lost),
                     0);
    freeReplyObject(lost);
    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, false, "y"), 1);
}

static void a_job_whose_result_is_refused_does_not_end(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(redis_command(heir.queue.redis, NULL,
                                               "SET jobs:done %s", "text")),
                     2);

    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, false, "y"),
                     REDIS_EREPLY);

    assert_int_equal(
        aloop_await(redis_command(heir.queue.redis, NULL, "DEL jobs:done")), 1);
    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, false, "y"), 1);
}

static void an_attempt_that_was_given_back_does_not_count(void **state)
{
    (void) state;
    assert_int_equal(redis_queue_give_back(&late.queue, &late.job), 0);
    assert_int_equal(redis_queue_give_back(&heir.queue, &heir.job), 1);

    freeReplyObject(late.job.reply);
    late.job.reply = NULL;
    late.queue.claim_at_ns = 0;
    assert_int_equal(redis_queue_take(&late.queue, ALOOP_MS(1), &late.job), 1);

    assert_int_equal(late.job.attempt, 2);
    assert_int_equal(redis_queue_end(&late.queue, &late.job, false, "y"), 1);
}

static int consumers(void)
{
    return (int) aloop_await(
        redis_command(heir.queue.redis, NULL, "XINFO CONSUMERS jobs workers"));
}

static void an_idle_worker_without_jobs_is_removed(void **state)
{
    (void) state;
    assert_int_equal(redis_queue_remove_idle(&heir.queue, ALOOP_SEC(1000)), 0);
    assert_int_equal(consumers(), 2);

    assert_int_equal(redis_queue_remove_idle(&heir.queue, 0), 1);

    assert_int_equal(consumers(), 1);
    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, false, "y"), 1);
}

static void an_idle_worker_with_a_job_stays(void **state)
{
    (void) state;
    assert_int_equal(redis_queue_remove_idle(&late.queue, 0), 0);

    assert_int_equal(consumers(), 2);
    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, false, "y"), 1);
}

static ssize_t take_late(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return redis_queue_take(&late.queue, ALOOP_SEC(1000), &late.job);
}

static void a_worker_that_waits_and_was_removed_receives_a_job(void **state)
{
    aloop_future *take;

    (void) state;
    assert_int_equal(redis_queue_end(&heir.queue, &heir.job, false, "y"), 1);
    freeReplyObject(late.job.reply);
    late.job.reply = NULL;
    late.queue.claim_ns = ALOOP_SEC(1000);
    late.queue.claim_at_ns = aloop_now(f.loop) + ALOOP_SEC(1000);
    take = aloop_spawn(f.loop, take_late, NULL);
    f.admin = heir.queue.redis;
    until_blocked(1);
    assert_int_equal(redis_queue_remove_idle(&heir.queue, 0), 1);

    assert_true(ADMIN("DEL jobs:done") >= 0);
    assert_true(ADMIN("XADD jobs * type step argument 0") > 0);
    f.admin = NULL;

    assert_int_equal(aloop_await(take), 1);
    assert_int_equal(consumers(), 2);
    assert_int_equal(redis_queue_end(&late.queue, &late.job, false, "y"), 1);
}

static int set_up_loop(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    w.drain_ns = ALOOP_SEC(1000);
    f.fds = open_descriptors(FDS_MAX);
    return 0;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup(name, set_up_loop)
#define TEST_LATE(name) \
    cmocka_unit_test_setup_teardown(name, set_up_late, tear_down_late)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_allocation_of_a_worker_may_fail),
        TEST(each_allocation_of_a_cancelled_worker_may_fail),
        TEST(a_cancelled_worker_waits_for_its_jobs_without_permits),
        TEST(a_worker_can_be_cancelled_at_each_step),
        TEST(the_loop_can_be_freed_at_each_step_of_a_worker),
        TEST_LATE(the_first_result_counts),
        TEST_LATE(a_late_error_does_not_count),
        TEST_LATE(a_late_worker_learns_that_it_has_lost_the_job),
        TEST_LATE(a_job_whose_result_is_refused_does_not_end),
        TEST_LATE(an_attempt_that_was_given_back_does_not_count),
        TEST_LATE(an_idle_worker_without_jobs_is_removed),
        TEST_LATE(an_idle_worker_with_a_job_stays),
        TEST_LATE(a_worker_that_waits_and_was_removed_receives_a_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
