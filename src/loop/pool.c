/* The thread pool.  One monitor protects all data that the threads share.  A
 * finished job returns through the done list, which a wake-up makes the loop
 * read.  This allocates nothing, so that no result can get lost.
 *
 * A job that is running cannot be stopped, and may run for a long time.  The
 * loop can leave it to its thread:
 *
 *     QUEUED --> RUNNING --> FINISHED --> done() and drop(), on the loop
 *                   |  leave
 *                   +-------> LEFT --> drop(), on the thread
 *
 * The thread of such a job does not count towards the limit on threads, and is
 * left behind when the pool is closed.  The pool has its memory from the
 * default allocator, not from a loop, and is freed by the last holder of a
 * reference to it.  Once closing has begun, no thread accesses the loop. */

#include "loop/pool.h"

#include "loop/wake.h"
#include "os/sys.h"

enum { THREADS_MAX = 64 };

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_LEFT, JOB_FINISHED };

/* One thread, or a free place for one. */
struct worker {
    struct aloop__pool *pool;
    struct sys_thread *thread; /* NULL if none was started, or after a join. */
    /* Protected by the monitor: */
    struct aloop__job *job; /* The job that it runs, or NULL. */
    bool has_ended;         /* The thread has finished; it can be joined. */
    bool is_left_behind;    /* It is detached and has a reference. */
};

struct aloop__pool {
    aloop *loop;
    struct aloop__wake_hook hook;
    struct sys_monitor *monitor;
    unsigned threads_max;
    struct aloop__node known; /* Jobs not done or left; the loop's own. */
    atomic_uint has_finished; /* Whether `done` has jobs; a hint. */
    /* Protected by the monitor: */
    unsigned refs; /* One of the loop and of each thread left behind. */
    unsigned live; /* Threads, except those whose job was left. */
    unsigned idle; /* Threads that are waiting for a job. */
    bool is_closing;
    struct aloop__node queue;
    struct aloop__node done;
    struct worker workers[THREADS_MAX];
};

/* Waits for the next job.  Returns NULL when the thread has to end.  Called
 * inside the monitor. */
static struct aloop__job *next_job(struct aloop__pool *pool)
{
    struct aloop__node *node = NULL;
    struct aloop__job *job;

    while (!pool->is_closing && pool->live <= pool->threads_max &&
           (node = list_pop(&pool->queue)) == NULL) {
        int error;

        pool->idle++;
        error = aloop__sys_monitor_wait(pool->monitor);
        pool->idle--;
        if (error < 0)
            return NULL;
    }
    if (node == NULL)
        return NULL;
    job = CONTAINER_OF(node, struct aloop__job, node);
    job->state = JOB_RUNNING;
    return job;
}

/* Returns a job to the loop, or drops it if it was left.  Called inside the
 * monitor. */
static void hand_over(struct aloop__pool *pool, struct aloop__job *job)
{
    if (job->state == JOB_LEFT) {
        aloop__sys_monitor_leave(pool->monitor);
        job->drop(job);
        aloop__sys_monitor_enter(pool->monitor);
        pool->live++; /* Counts again, maybe beyond the limit. */
        return;
    }
    job->state = JOB_FINISHED;
    list_push(&pool->done, &job->node);
    atomic_store(&pool->has_finished, true);
    aloop_wake(pool->loop);
}

static void destroy_pool(struct aloop__pool *pool)
{
    aloop__sys_monitor_close(pool->monitor);
    aloop__alloc_free(&aloop__alloc_default, pool, sizeof *pool);
}

static void worker_run(void *arg)
{
    struct worker *worker = arg;
    struct aloop__pool *pool = worker->pool;
    struct aloop__job *job;
    bool is_last;

    aloop__sys_monitor_enter(pool->monitor);
    while ((job = next_job(pool)) != NULL) {
        worker->job = job;
        aloop__sys_monitor_leave(pool->monitor);
        job->work(job);
        aloop__sys_monitor_enter(pool->monitor);
        worker->job = NULL;
        hand_over(pool, job);
    }
    pool->live--;
    worker->has_ended = true;
    is_last = worker->is_left_behind && --pool->refs == 0;
    aloop__sys_monitor_leave(pool->monitor);
    if (is_last)
        destroy_pool(pool);
}

/* Removes a job from the loop's list. */
static void forget_job(struct aloop__pool *pool, struct aloop__job *job)
{
    list_remove(&job->known);
    pool->loop->live--;
}

/* Calls done() and drop() for all finished jobs. */
static void pool_woken(struct aloop__wake_hook *hook)
{
    struct aloop__pool *pool = CONTAINER_OF(hook, struct aloop__pool, hook);
    struct aloop__node list, *node;

    if (!atomic_exchange(&pool->has_finished, false))
        return;
    list_init(&list);
    aloop__sys_monitor_enter(pool->monitor);
    list_append(&list, &pool->done);
    aloop__sys_monitor_leave(pool->monitor);
    while ((node = list_pop(&list)) != NULL) {
        struct aloop__job *job = CONTAINER_OF(node, struct aloop__job, node);

        forget_job(pool, job);
        job->done(job, 0);
        job->drop(job);
    }
}

int aloop__pool_open(aloop *loop, unsigned threads, struct aloop__pool **ret)
{
    struct aloop__pool *pool =
        aloop__alloc_zero(&aloop__alloc_default, sizeof *pool);
    int error;

    if (pool == NULL)
        return ALOOP_ENOMEM;
    error = aloop__sys_monitor_open(&pool->monitor);
    if (error < 0) {
        aloop__alloc_free(&aloop__alloc_default, pool, sizeof *pool);
        return error;
    }
    pool->loop = loop;
    list_init(&pool->hook.node);
    pool->hook.run = pool_woken;
    aloop__wake_hook_add(loop, &pool->hook);
    pool->refs = 1;
    pool->threads_max = threads < THREADS_MAX ? threads : THREADS_MAX;
    list_init(&pool->known);
    list_init(&pool->queue);
    list_init(&pool->done);
    *ret = pool;
    return 0;
}

/* Returns a place for a new thread, or NULL.  Joins threads that have ended, to
 * use their places. */
static struct worker *find_place(struct aloop__pool *pool)
{
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct worker *worker = &pool->workers[i];
        bool has_ended;

        aloop__sys_monitor_enter(pool->monitor);
        has_ended = worker->has_ended;
        aloop__sys_monitor_leave(pool->monitor);
        if (has_ended)
            aloop__sys_thread_join(worker->thread);
        if (has_ended || worker->thread == NULL) {
            *worker = (struct worker){.pool = pool};
            return worker;
        }
    }
    return NULL;
}

/* Adds `change` to the number of threads that count.  Returns the number before
 * that. */
static unsigned count_live(struct aloop__pool *pool, int change)
{
    unsigned before;

    aloop__sys_monitor_enter(pool->monitor);
    before = pool->live;
    pool->live = (unsigned) ((int) before + change);
    aloop__sys_monitor_leave(pool->monitor);
    return before;
}

/* Starts a thread unless the limit is reached.  Returns an error only if no
 * thread is left that takes jobs.  It is ALOOP_EAGAIN if too many threads were
 * left to their jobs. */
static int add_thread(struct aloop__pool *pool)
{
    unsigned live = count_live(pool, 0);
    struct worker *worker;
    int error = ALOOP_EAGAIN;

    if (live >= pool->threads_max)
        return 0;
    worker = find_place(pool);
    if (worker != NULL) {
        count_live(pool, 1);
        error = aloop__sys_thread_start(worker_run, worker, &worker->thread);
        if (error < 0)
            count_live(pool, -1);
    }
    return live > 0 ? 0 : error;
}

int aloop__pool_submit(struct aloop__pool *pool, struct aloop__job *job)
{
    bool is_busy;
    int error = 0;

    aloop__sys_monitor_enter(pool->monitor);
    is_busy = pool->idle == 0 || !list_empty(&pool->queue);
    aloop__sys_monitor_leave(pool->monitor);
    if (is_busy)
        error = add_thread(pool);
    if (error < 0)
        return error;
    list_init(&job->node);
    list_init(&job->known);
    list_push(&pool->known, &job->known);
    job->state = JOB_QUEUED;
    pool->loop->live++;
    aloop__sys_monitor_enter(pool->monitor);
    list_push(&pool->queue, &job->node);
    aloop__sys_monitor_notify(pool->monitor);
    aloop__sys_monitor_leave(pool->monitor);
    return 0;
}

/* Leaves a job to its thread, or drops it if it is not running.  Returns
 * whether jobs are waiting for a thread. */
static bool leave_job(struct aloop__pool *pool, struct aloop__job *job)
{
    bool is_running, is_wanted;

    forget_job(pool, job);
    aloop__sys_monitor_enter(pool->monitor);
    is_running = job->state == JOB_RUNNING;
    if (is_running) {
        job->state = JOB_LEFT;
        pool->live--;
    } else {
        list_remove(&job->node);
    }
    is_wanted = !list_empty(&pool->queue);
    aloop__sys_monitor_leave(pool->monitor);
    if (!is_running)
        job->drop(job);
    return is_wanted;
}

/* Does the same as leave_job() in a forked child.  It does not enter the
 * monitor, because a thread of the parent may have been inside, and it starts
 * no thread. */
static void leave_in_child(struct aloop__pool *pool, struct aloop__job *job)
{
    forget_job(pool, job);
    if (job->state == JOB_RUNNING) {
        job->state = JOB_LEFT; /* The pool drops it. */
        return;
    }
    list_remove(&job->node);
    job->drop(job);
}

void aloop__pool_leave(struct aloop__pool *pool, struct aloop__job *job)
{
    if (aloop__is_foreign(pool->loop)) {
        leave_in_child(pool, job);
        return;
    }
    /* If no thread can be started, the one whose job was left will take jobs
     * again when it has finished that. */
    if (leave_job(pool, job))
        (void) add_thread(pool);
}

/* Cancels all jobs that the loop has not received yet. */
static void cancel_known(struct aloop__pool *pool)
{
    while (!list_empty(&pool->known)) {
        struct aloop__job *job =
            CONTAINER_OF(pool->known.next, struct aloop__job, known);

        job->done(job, ALOOP_ECANCELED);
        leave_job(pool, job);
    }
}

/* Chooses the threads that the pool does not wait for: those that are running a
 * job.  All of these jobs were left by now. */
static void leave_behind(struct aloop__pool *pool)
{
    aloop__sys_monitor_enter(pool->monitor);
    for (unsigned i = 0; i < THREADS_MAX; i++)
        if (pool->workers[i].job != NULL) {
            pool->workers[i].is_left_behind = true;
            pool->refs++;
        }
    aloop__sys_monitor_notify_all(pool->monitor);
    aloop__sys_monitor_leave(pool->monitor);
}

void aloop__pool_close(struct aloop__pool *pool)
{
    bool is_last;

    aloop__sys_monitor_enter(pool->monitor);
    pool->is_closing = true;
    aloop__sys_monitor_leave(pool->monitor);
    aloop__wake_hook_remove(&pool->hook);
    cancel_known(pool);
    leave_behind(pool);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct worker *worker = &pool->workers[i];

        if (worker->thread != NULL && worker->is_left_behind)
            aloop__sys_thread_detach(worker->thread);
        else if (worker->thread != NULL)
            aloop__sys_thread_join(worker->thread);
    }
    aloop__sys_monitor_enter(pool->monitor);
    is_last = --pool->refs == 0;
    aloop__sys_monitor_leave(pool->monitor);
    if (is_last)
        destroy_pool(pool);
}

/* This neither enters nor closes the monitor.  A thread of the parent may have
 * been inside, and destroying a condition variable that has waiters may wait
 * for them. */
void aloop__pool_forget(struct aloop__pool *pool)
{
    struct aloop__node *node;

    aloop__wake_hook_remove(&pool->hook);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct worker *worker = &pool->workers[i];

        if (worker->job != NULL && worker->job->state == JOB_LEFT)
            worker->job->drop(worker->job);
        if (worker->thread != NULL)
            aloop__sys_thread_forget(worker->thread);
    }
    while ((node = list_pop(&pool->known)) != NULL) {
        struct aloop__job *job = CONTAINER_OF(node, struct aloop__job, known);

        pool->loop->live--;
        job->done(job, ALOOP_ECANCELED);
        job->drop(job);
    }
    aloop__sys_monitor_forget(pool->monitor);
    aloop__alloc_free(&aloop__alloc_default, pool, sizeof *pool);
}
