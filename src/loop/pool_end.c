/* The end of the pool: with its loop, or in a forked child.
 *
 * The thread of a job that was left is left behind.  It is inside work() or
 * drop() then, and afterwards accesses only the pool, of which it has a
 * reference.  Every other thread is joined before the loop is freed, so that it
 * may wake the loop.
 *
 * In a forked child there are no threads to be joined, and the mutex is not
 * used, because a thread of the parent may have held it. */

#include "loop/pool_state.h"

#include "os/sys.h"

/* Ends the jobs for which the pool does not wait.  Each one is put back into
 * its list first, from which take_back() or leave() removes it. */
static void cancel_known(aloop *loop, struct aloop__pool_lane *lane)
{
    struct aloop__node known, *node;

    list_init(&known);
    list_append(&known, &lane->known);
    while ((node = list_pop(&known)) != NULL) {
        struct aloop__job *job = CONTAINER_OF(node, struct aloop__job, known);

        list_push(&lane->known, node);
        if (job->drop != NULL) {
            job->done(job, ALOOP_ECANCELED);
            aloop__pool_leave(loop, job);
        } else if (aloop__pool_take_back(loop, job)) {
            job->done(job, ALOOP_ECANCELED);
        }
    }
}

/* Makes all threads end.  Returns one that is to be joined, or NULL: the pool
 * does not wait for those in a job that was left. */
static struct sys_thread *next_to_join(struct aloop__pool *pool)
{
    struct sys_thread *thread = NULL;

    aloop__sys_mutex_lock(pool->mutex);
    for (struct aloop__worker *worker = pool->workers;
         worker != NULL && thread == NULL; worker = worker->next) {
        if (worker->left != NULL && worker->thread != NULL) {
            worker->is_left_behind = true;
            pool->refs++;
            aloop__sys_thread_detach(worker->thread);
        } else {
            thread = worker->thread;
        }
        worker->thread = NULL;
    }
    aloop__sys_mutex_unlock(pool->mutex);
    return thread;
}

/* Makes the threads see that the pool is closing; new ones do not start. */
static void wake_all(struct aloop__pool *pool)
{
    struct aloop__worker *worker;

    aloop__sys_mutex_lock(pool->mutex);
    pool->is_closing = true;
    for (int i = 0; i < LANE_COUNT; i++)
        while ((worker = aloop__worker_wake(&pool->lanes[i])) != NULL)
            aloop__sys_condition_notify(worker->condition);
    aloop__sys_mutex_unlock(pool->mutex);
}

/* The hook is removed first: jobs that finish from now on are collected here,
 * after their threads were joined. */
void aloop__pool_close(aloop *loop)
{
    struct aloop__pool *pool = loop->pool;
    struct sys_thread *thread;
    bool is_last;

    if (pool == NULL)
        return;
    pool->is_closed = true;
    aloop__timed_stop(&loop->timers, &pool->retry);
    aloop__wake_hook_remove(&pool->hook);
    list_remove(&pool->flush.node);
    for (int i = 0; i < LANE_COUNT; i++)
        cancel_known(loop, &pool->lanes[i]);
    wake_all(pool);
    while ((thread = next_to_join(pool)) != NULL)
        aloop__sys_thread_join(thread);
    aloop__pool_collect(pool);
    loop->pool = NULL;
    aloop__sys_mutex_lock(pool->mutex);
    is_last = --pool->refs == 0;
    aloop__sys_mutex_unlock(pool->mutex);
    if (is_last)
        aloop__workers_close(pool);
}

/* Frees the places.  A thread of the parent may have held the mutex, and
 * destroying a condition that has waiters may wait for them.  Therefore neither
 * is used nor closed. */
static void forget_workers(struct aloop__pool *pool)
{
    struct aloop__worker *worker;

    while ((worker = pool->workers) != NULL) {
        pool->workers = worker->next;
        if (worker->left != NULL)
            worker->left->drop(worker->left);
        if (worker->thread != NULL)
            aloop__sys_thread_forget(worker->thread);
        aloop__sys_condition_forget(worker->condition);
        aloop__alloc_free(&aloop__alloc_default, worker, sizeof *worker);
    }
    aloop__sys_mutex_forget(pool->mutex);
}

/* A job of the resolver that has ended would connect next. */
static void forget_job(struct aloop__pool *pool, struct aloop__job *job)
{
    bool has_ended = atomic_load(&job->state) == JOB_FINISHED;

    aloop__pool_remove_job(pool, job);
    aloop__pool_end_job(job,
                        has_ended && job->drop == NULL ? 0 : ALOOP_ECANCELED);
}

void aloop__pool_forget(aloop *loop)
{
    struct aloop__pool *pool = loop->pool;
    struct aloop__job *job, *next;

    if (pool == NULL)
        return;
    pool->is_closed = true;
    aloop__timed_stop(&loop->timers, &pool->retry);
    aloop__wake_hook_remove(&pool->hook);
    list_remove(&pool->flush.node);
    for (job = atomic_load(&pool->finished); job != NULL; job = next) {
        next = job->next_finished;
        if (job->is_left)
            job->drop(job);
    }
    for (int i = 0; i < LANE_COUNT; i++)
        while (!list_is_empty(&pool->lanes[i].known))
            forget_job(pool, CONTAINER_OF(pool->lanes[i].known.next,
                                          struct aloop__job, known));
    forget_workers(pool);
    loop->pool = NULL;
    aloop__alloc_free(&aloop__alloc_default, pool, sizeof *pool);
}
