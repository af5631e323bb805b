/* The threads of the pool.
 *
 * Each idle thread waits on a condition of its own, and the one that was idle
 * last is woken first, because its stack and data are still in the caches.  The
 * loop wakes one thread for all the jobs of a turn.  A thread that takes a job
 * while there are more of them wakes the next one.
 *
 * A finished job returns to the loop through a lock-free list.  This allocates
 * nothing, so that no result can get lost.  From that moment on the thread does
 * not use the job, because the loop may free it.
 *
 * A woken thread is no longer in lane->idle.  This, and not the notification,
 * is what wait_for_jobs() tests: a condition may wake a thread without a
 * reason, and a notification may reach a thread that uses the place later. */

#include "loop/pool_state.h"

#include <errno.h>

#include "os/sys.h"

static const int64_t idle_ns = 10000000000;

/* Takes the next job of the lane, or returns NULL.  Called with the mutex
 * locked. */
static struct aloop__node *pop_job(struct aloop__pool_lane *lane)
{
    struct aloop__node *node = list_pop(&lane->queues[URGENT]);

    return node != NULL ? node : list_pop(&lane->queues[NORMAL]);
}

static bool has_jobs(const struct aloop__pool_lane *lane)
{
    return !list_is_empty(&lane->queues[URGENT]) ||
           !list_is_empty(&lane->queues[NORMAL]);
}

/* Returns whether the thread may take another job.  There are too many threads
 * when one has returned from a job that was left, whose place another one has
 * taken. */
static bool may_continue(const struct aloop__worker *worker)
{
    return !worker->pool->is_closing &&
           worker->lane->live <= worker->lane->threads_max;
}

/* Waits until it is woken.  Returns false if the thread has to end instead,
 * because it has been idle for too long.  The last thread of a lane waits
 * indefinitely.  Called with the mutex locked. */
static bool wait_for_jobs(struct aloop__worker *worker)
{
    struct aloop__pool_lane *lane = worker->lane;
    int64_t timeout_ns = lane->live > 1 ? idle_ns : -1;
    int error = 0;

    /* Before the first one: last in, first out. */
    list_push(lane->idle.next, &worker->node);
    lane->idle_count++;
    while (error == 0 && !list_is_empty(&worker->node))
        error = aloop__sys_condition_wait(worker->condition,
                                          worker->pool->mutex, timeout_ns);
    if (list_is_empty(&worker->node))
        return true;
    list_remove(&worker->node);
    lane->idle_count--;
    return error == -ETIMEDOUT && (lane->live == 1 || has_jobs(lane));
}

struct aloop__worker *aloop__worker_wake(struct aloop__pool_lane *lane)
{
    struct aloop__node *node = list_pop(&lane->idle);

    if (node == NULL)
        return NULL;
    lane->idle_count--;
    return CONTAINER_OF(node, struct aloop__worker, node);
}

/* Waits for the next job, and unlocks the mutex.  Returns NULL, with the mutex
 * locked, when the thread has to end.  The next thread is notified after the
 * mutex was unlocked, so that it does not wait for it. */
static struct aloop__job *take_job(struct aloop__worker *worker)
{
    struct aloop__pool_lane *lane = worker->lane;
    struct aloop__node *node = NULL;
    struct aloop__worker *next;
    struct aloop__job *job;

    while (may_continue(worker) && (node = pop_job(lane)) == NULL)
        if (!wait_for_jobs(worker))
            return NULL;
    if (node == NULL)
        return NULL;
    job = CONTAINER_OF(node, struct aloop__job, node);
    atomic_store_explicit(&job->state, JOB_RUNNING, memory_order_relaxed);
    job->worker = worker;
    lane->begun++;
    next = has_jobs(lane) ? aloop__worker_wake(lane) : NULL;
    aloop__sys_mutex_unlock(worker->pool->mutex);
    if (next != NULL)
        aloop__sys_condition_notify(next->condition);
    return job;
}

/* Drops a job that was left.  The thread counts again after that, maybe beyond
 * the limit. */
static void drop_left(struct aloop__worker *worker, struct aloop__job *job)
{
    aloop__sys_mutex_lock(worker->pool->mutex);
    worker->left = NULL;
    aloop__sys_mutex_unlock(worker->pool->mutex);
    job->drop(job);
    aloop__sys_mutex_lock(worker->pool->mutex);
    worker->lane->left--;
    worker->lane->live++;
}

/* Returns a job to the loop, which may free it immediately, or drops it if it
 * was left.  Locks the mutex. */
static void return_job(struct aloop__worker *worker, struct aloop__job *job)
{
    struct aloop__pool *pool = worker->pool;
    unsigned running = JOB_RUNNING;
    struct aloop__job *first;

    if (!atomic_compare_exchange_strong(&job->state, &running, JOB_FINISHED)) {
        drop_left(worker, job);
        return;
    }
    atomic_fetch_add(&worker->lane->ended_jobs, 1);
    first = atomic_load_explicit(&pool->finished, memory_order_relaxed);
    do
        job->next_finished = first;
    while (!atomic_compare_exchange_weak(&pool->finished, &first, job));
    /* The thread that finds the list empty wakes the loop; the loop takes the
     * whole list. */
    if (first == NULL)
        aloop_wake(pool->loop);
    aloop__sys_mutex_lock(pool->mutex);
}

/* Ends the thread.  A thread that ended before it is joined here and not by the
 * loop, which may sleep.  Called with the mutex locked. */
static void end_worker(struct aloop__worker *worker)
{
    struct aloop__pool *pool = worker->pool;
    struct aloop__pool_lane *lane = worker->lane;
    struct aloop__worker *before = NULL;
    struct sys_thread *thread = NULL;
    bool is_last = worker->is_left_behind && --pool->refs == 0;

    lane->live--;
    if (!pool->is_closing) {
        before = lane->ended;
        lane->ended = worker;
    }
    if (before != NULL) {
        thread = before->thread;
        before->thread = NULL;
    }
    aloop__sys_mutex_unlock(pool->mutex);
    if (is_last)
        aloop__workers_close(pool);
    if (thread == NULL)
        return;
    aloop__sys_thread_join(thread);
    aloop__sys_mutex_lock(pool->mutex);
    list_push(&lane->unused, &before->node);
    aloop__sys_mutex_unlock(pool->mutex);
}

/* Returns whether the work of a job has forked, and this thread is the only one
 * of the child.  The work of the resolver does not fork, and may outlive the
 * loop. */
static bool has_forked(const struct aloop__worker *worker)
{
    return worker->lane != &worker->pool->lanes[LANE_RESOLVER] &&
           aloop__is_foreign_by_pid(worker->pool->loop);
}

/* The function of every thread.  work() runs without the mutex.  In a child
 * that returns from work() the jobs are not run again, and the mutex may be
 * locked: the thread ends, and the child with it. */
static void worker_run(void *arg)
{
    struct aloop__worker *worker = arg;
    struct aloop__job *job;

    aloop__sys_mutex_lock(worker->pool->mutex);
    while ((job = take_job(worker)) != NULL) {
        job->work(job);
        if (has_forked(worker))
            return;
        return_job(worker, job);
    }
    end_worker(worker);
}

/* Makes an unused place for a thread.  Returns NULL if out of memory. */
static struct aloop__worker *new_worker(struct aloop__pool *pool,
                                        struct aloop__pool_lane *lane)
{
    struct aloop__worker *worker =
        aloop__alloc_zero(&aloop__alloc_default, sizeof *worker);

    if (worker == NULL)
        return NULL;
    if (aloop__sys_condition_open(&worker->condition) < 0) {
        aloop__alloc_free(&aloop__alloc_default, worker, sizeof *worker);
        return NULL;
    }
    worker->pool = pool;
    worker->lane = lane;
    worker->next = pool->workers;
    pool->workers = worker;
    list_init(&worker->node);
    list_push(&lane->unused, &worker->node);
    return worker;
}

/* Starts one thread in an unused place.  The place stays unused after an error.
 * Called with the mutex locked: the thread waits for it before it uses the
 * lane. */
static int start_one(struct aloop__pool *pool, struct aloop__pool_lane *lane)
{
    struct aloop__worker *worker;
    int error;

    if (lane->live + lane->left >= lane->threads_all)
        return ALOOP_EAGAIN;
    if (list_is_empty(&lane->unused) && new_worker(pool, lane) == NULL)
        return ALOOP_ENOMEM;
    worker = CONTAINER_OF(lane->unused.next, struct aloop__worker, node);
    error = aloop__sys_thread_start(worker_run, worker, lane->stack_size,
                                    &worker->thread);
    if (error < 0)
        return error;
    list_remove(&worker->node);
    lane->live++;
    return 0;
}

/* Returns the number of jobs that a thread may take, or `most`. */
static unsigned count_jobs(const struct aloop__pool_lane *lane, unsigned most)
{
    unsigned count = 0;

    for (int order = 0; order < ORDERS; order++) {
        const struct aloop__node *queue = &lane->queues[order];

        for (const struct aloop__node *at = queue->next;
             at != queue && count < most; at = at->next)
            count++;
    }
    return count;
}

/* A thread that has ended its job, and has informed the loop, takes another one
 * soon, as one that was just started does. */
int aloop__workers_start(struct aloop__pool *pool,
                         struct aloop__pool_lane *lane)
{
    size_t busy = lane->begun - atomic_load(&lane->ended_jobs);
    unsigned more =
        lane->live < lane->threads_max ? lane->threads_max - lane->live : 0;
    unsigned ready = lane->live > busy ? lane->live - (unsigned) busy : 0;
    unsigned jobs = count_jobs(lane, ready + more);
    int error = 0;

    for (; jobs > ready && error == 0; jobs--)
        error = start_one(pool, lane);
    lane->is_short = error < 0;
    return lane->live > 0 ? 0 : error;
}

/* The caller has dropped the last reference; no thread uses the pool any
 * more. */
void aloop__workers_close(struct aloop__pool *pool)
{
    struct aloop__worker *worker;

    while ((worker = pool->workers) != NULL) {
        pool->workers = worker->next;
        aloop__sys_condition_close(worker->condition);
        aloop__alloc_free(&aloop__alloc_default, worker, sizeof *worker);
    }
    aloop__sys_mutex_close(pool->mutex);
    aloop__alloc_free(&aloop__alloc_default, pool, sizeof *pool);
}
