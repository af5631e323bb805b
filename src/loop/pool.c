/* The pool of threads.  What threads share is under one monitor; a finished job
 * comes back through the done list, which a wake-up makes the loop look at (no
 * memory is needed for that, so a result cannot get lost). */

#include "loop/pool.h"

#include "os/sys.h"

enum { THREADS_MAX = 64 };

/* One thread, or the place for one. */
struct worker {
    struct aloop__pool *pool;
    struct sys_thread *thread; /* NULL: none was started, or it was joined. */
    bool ended;                /* Under the monitor: it only waits for join. */
};

struct aloop__pool {
    aloop *loop;
    struct sys_monitor *monitor;
    unsigned threads_max;
    struct aloop__node known; /* Jobs that are not done; the loop's own. */
    /* Under the monitor: */
    unsigned idle; /* Threads that wait for a job. */
    bool closing;
    atomic_uint finished; /* The done list is not empty; a hint. */
    struct aloop__node queue;
    struct aloop__node done;
    struct worker workers[THREADS_MAX];
};

/* The next job, or NULL when the thread is to end; inside the monitor. */
static struct aloop__job *next_job(struct aloop__pool *pool)
{
    struct aloop__node *node;
    struct aloop__job *job;

    while ((node = list_pop(&pool->queue)) == NULL) {
        int error;

        if (pool->closing)
            return NULL;
        pool->idle++;
        error = sys_monitor_wait(pool->monitor);
        pool->idle--;
        if (error < 0)
            return NULL;
    }
    job = CONTAINER_OF(node, struct aloop__job, node);
    job->begun = true;
    return job;
}

static void work(void *arg)
{
    struct worker *worker = arg;
    struct aloop__pool *pool = worker->pool;
    struct aloop__job *job;

    sys_monitor_enter(pool->monitor);
    while ((job = next_job(pool)) != NULL) {
        sys_monitor_leave(pool->monitor);
        job->work(job);
        sys_monitor_enter(pool->monitor);
        list_push(&pool->done, &job->node);
        atomic_store(&pool->finished, true);
        aloop_wake(pool->loop);
    }
    worker->ended = true;
    sys_monitor_leave(pool->monitor);
}

int aloop__pool_open(aloop *loop, unsigned threads, struct aloop__pool **ret)
{
    struct aloop__pool *pool = aloop__alloc_zero(&loop->alloc, sizeof *pool);
    int error;

    if (pool == NULL)
        return ALOOP_ENOMEM;
    error = sys_monitor_open(&pool->monitor);
    if (error < 0) {
        aloop__alloc_free(&loop->alloc, pool, sizeof *pool);
        return error;
    }
    pool->loop = loop;
    pool->threads_max = threads < THREADS_MAX ? threads : THREADS_MAX;
    list_init(&pool->known);
    list_init(&pool->queue);
    list_init(&pool->done);
    *ret = pool;
    return 0;
}

static void finish(struct aloop__pool *pool, struct aloop__job *job, int error)
{
    list_remove(&job->known);
    pool->loop->live--;
    job->done(job, error);
}

void aloop__pool_collect(struct aloop__pool *pool)
{
    struct aloop__node list, *node;

    if (!atomic_exchange(&pool->finished, false))
        return;
    list_init(&list);
    sys_monitor_enter(pool->monitor);
    list_append(&list, &pool->done);
    sys_monitor_leave(pool->monitor);
    while ((node = list_pop(&list)) != NULL)
        finish(pool, CONTAINER_OF(node, struct aloop__job, node), 0);
}

/* Joins a thread that has ended; its place is then free. */
static void reap(struct worker *worker)
{
    sys_thread_join(worker->thread);
    worker->thread = NULL;
    worker->ended = false;
}

/* One more thread if there may be one.  How many there are now, or the error
 * that kept the first one from starting. */
static int add_thread(struct aloop__pool *pool)
{
    unsigned running = 0;

    for (unsigned i = 0; i < pool->threads_max; i++) {
        struct worker *worker = &pool->workers[i];
        bool ended;
        int error;

        sys_monitor_enter(pool->monitor);
        ended = worker->ended;
        sys_monitor_leave(pool->monitor);
        if (worker->thread != NULL && !ended) {
            running++;
            continue;
        }
        if (ended)
            reap(worker);
        worker->pool = pool;
        error = sys_thread_start(work, worker, &worker->thread);
        return error == 0 || running > 0 ? 0 : error;
    }
    return 0;
}

int aloop__pool_submit(struct aloop__pool *pool, struct aloop__job *job)
{
    bool is_busy;
    int error = 0;

    sys_monitor_enter(pool->monitor);
    is_busy = pool->idle == 0 || !list_empty(&pool->queue);
    sys_monitor_leave(pool->monitor);
    if (is_busy)
        error = add_thread(pool);
    if (error < 0)
        return error;
    list_init(&job->node);
    list_init(&job->known);
    list_push(&pool->known, &job->known);
    job->begun = false;
    pool->loop->live++;
    sys_monitor_enter(pool->monitor);
    list_push(&pool->queue, &job->node);
    sys_monitor_notify(pool->monitor);
    sys_monitor_leave(pool->monitor);
    return 0;
}

bool aloop__pool_withdraw(struct aloop__pool *pool, struct aloop__job *job)
{
    bool is_ours;

    sys_monitor_enter(pool->monitor);
    is_ours = !job->begun;
    if (is_ours)
        list_remove(&job->node);
    sys_monitor_leave(pool->monitor);
    if (is_ours)
        finish(pool, job, ALOOP_ECANCELED);
    return is_ours;
}

/* Done with ECANCELED, all that the loop still knows of. */
static void cancel_known(struct aloop__pool *pool)
{
    struct aloop__node *node;

    while ((node = list_pop(&pool->known)) != NULL)
        finish(pool, CONTAINER_OF(node, struct aloop__job, known),
               ALOOP_ECANCELED);
}

void aloop__pool_close(struct aloop__pool *pool)
{
    sys_monitor_enter(pool->monitor);
    pool->closing = true;
    while (list_pop(&pool->queue) != NULL)
        ;
    sys_monitor_notify_all(pool->monitor);
    sys_monitor_leave(pool->monitor);
    for (unsigned i = 0; i < pool->threads_max; i++)
        if (pool->workers[i].thread != NULL)
            reap(&pool->workers[i]);
    while (list_pop(&pool->done) != NULL)
        ;
    cancel_known(pool);
    sys_monitor_close(pool->monitor);
    aloop__alloc_free(&pool->loop->alloc, pool, sizeof *pool);
}

/* The monitor is not closed: a thread of the parent may have been inside, and
 * destroying a condition that has waiters may wait for them. */
void aloop__pool_abandon(struct aloop__pool *pool)
{
    cancel_known(pool);
    for (unsigned i = 0; i < pool->threads_max; i++)
        if (pool->workers[i].thread != NULL)
            sys_thread_forget(pool->workers[i].thread);
    sys_monitor_forget(pool->monitor);
    aloop__alloc_free(&pool->loop->alloc, pool, sizeof *pool);
}
