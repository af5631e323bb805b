/* The pool of threads, as the loop sees it; pool.h has the contract,
 * pool_state.h the data, pool_thread.c what the threads do, and pool_end.c the
 * end.
 *
 *     submit()          job -> lane->given        no lock
 *     pool_flush_due()  given -> lane->queues     one lock for a whole turn
 *     a thread          queues -> pool->finished  calls work() in between
 *     pool_woken()      finished -> done()        no lock
 *
 * lane->known has every job from the submission until it is done, taken back or
 * left.  Only the loop uses it, so that the loop finds its jobs without the
 * mutex.
 *
 * The thread of a job that was left does not count towards the limit on
 * threads.  pool_end.c describes what becomes of it when the loop ends.
 *
 * A forked child has none of the threads, and one of them may have held the
 * mutex.  Functions that the child may call do not use it there. */

#include "loop/pool_state.h"

#include "loop/clock.h"
#include "loop/host.h"
#include "os/sys.h"

enum { THREADS_MAX = 64, WORK_THREADS_MAX = 1024, KIB = 1024 };
static const int64_t retry_ns = 10000000;

/* Only the work lane runs code of the application, which may need any size of
 * stack. */
static const struct {
    size_t stack_size; /* 0: the system's default. */
    unsigned threads_all;
} lane_kinds[LANE_COUNT] = {
    [LANE_FILE] = {(size_t) 128 * KIB, THREADS_MAX},
    [LANE_RESOLVER] = {(size_t) 256 * KIB, THREADS_MAX},
    [LANE_WORK] = {0, WORK_THREADS_MAX},
};

unsigned aloop__pool_threads_max(const aloop *loop, enum aloop__lane lane)
{
    const unsigned chosen[LANE_COUNT] = {
        [LANE_FILE] = loop->options.file_threads,
        [LANE_RESOLVER] = loop->options.resolver_threads,
        [LANE_WORK] = loop->options.work_threads,
    };
    unsigned count = chosen[lane] > 0 ? chosen[lane] : aloop__sys_processors();

    return count < lane_kinds[lane].threads_all ? count
                                                : lane_kinds[lane].threads_all;
}

void aloop__pool_remove_job(struct aloop__pool *pool, struct aloop__job *job)
{
    list_remove(&job->known);
    pool->lanes[job->lane].known_count--;
    pool->loop->live--;
}

/* done() may free the job, unless that has a drop(). */
void aloop__pool_end_job(struct aloop__job *job, int error)
{
    void (*drop)(struct aloop__job * job) = job->drop;

    job->done(job, error);
    if (drop != NULL)
        drop(job);
}

static struct aloop__job *job_of(struct aloop__node *node)
{
    return CONTAINER_OF(node, struct aloop__job, node);
}

/* Ends all jobs in the queues of a lane that has no thread. */
static void fail_jobs(struct aloop__pool *pool, struct aloop__pool_lane *lane,
                      int error)
{
    struct aloop__node jobs, *node;

    list_init(&jobs);
    aloop__sys_mutex_lock(pool->mutex);
    list_append(&jobs, &lane->queues[URGENT]);
    list_append(&jobs, &lane->queues[NORMAL]);
    aloop__sys_mutex_unlock(pool->mutex);
    while ((node = list_pop(&jobs)) != NULL) {
        aloop__pool_remove_job(pool, job_of(node));
        aloop__pool_end_job(job_of(node), error);
    }
}

/* The threads that exist may be blocked for long.  Without memory for the
 * deadline, the next submission tries it again. */
static void retry_if_short(struct aloop__pool *pool,
                           const struct aloop__pool_lane *lane)
{
    aloop *loop = pool->loop;

    if (lane->is_short)
        (void) aloop__timed_set(loop, &pool->retry,
                                aloop__now(loop) + retry_ns);
}

/* pool->retry.  The loop is the only one that starts threads, so that it may
 * read is_short without the mutex. */
static void retry_due(struct aloop__timed *timed)
{
    struct aloop__pool *pool = CONTAINER_OF(timed, struct aloop__pool, retry);

    for (int i = 0; i < LANE_COUNT && !aloop__is_foreign_by_pid(pool->loop);
         i++) {
        struct aloop__pool_lane *lane = &pool->lanes[i];

        if (!lane->is_short)
            continue;
        aloop__sys_mutex_lock(pool->mutex);
        (void) aloop__workers_start(pool, lane);
        aloop__sys_mutex_unlock(pool->mutex);
        retry_if_short(pool, lane);
    }
}

/* Gives the jobs since the last flush to the threads.  One thread is woken,
 * after the mutex was unlocked, so that it does not wait for that; it wakes
 * others. */
static void hand_over(struct aloop__pool *pool, struct aloop__pool_lane *lane)
{
    struct aloop__worker *idle;
    int error;

    aloop__sys_mutex_lock(pool->mutex);
    for (int order = 0; order < ORDERS; order++)
        list_append(&lane->queues[order], &lane->given[order]);
    error = aloop__workers_start(pool, lane);
    idle = aloop__worker_wake(lane);
    aloop__sys_mutex_unlock(pool->mutex);
    if (idle != NULL)
        aloop__sys_condition_notify(idle->condition);
    if (error < 0)
        fail_jobs(pool, lane, error);
    else
        retry_if_short(pool, lane);
}

/* ready->run of pool->flush, in the flush of the turn. */
static void pool_flush_due(struct aloop__ready *ready)
{
    struct aloop__pool *pool = CONTAINER_OF(ready, struct aloop__pool, flush);

    for (int i = 0; i < LANE_COUNT && !aloop__is_foreign_by_pid(pool->loop);
         i++)
        if (!list_is_empty(&pool->lanes[i].given[URGENT]) ||
            !list_is_empty(&pool->lanes[i].given[NORMAL]))
            hand_over(pool, &pool->lanes[i]);
}

/* The whole list is taken with one exchange.  Jobs that finish meanwhile wake
 * the loop again. */
void aloop__pool_collect(struct aloop__pool *pool)
{
    struct aloop__job *job = atomic_exchange(&pool->finished, NULL);
    struct aloop__job *oldest = NULL;

    while (job != NULL) {
        struct aloop__job *next = job->next_finished;

        job->next_finished = oldest;
        oldest = job;
        job = next;
    }
    while ((job = oldest) != NULL) {
        oldest = job->next_finished;
        if (job->is_left) {
            job->drop(job);
            continue;
        }
        pool->lanes[job->lane].collected++;
        aloop__pool_remove_job(pool, job);
        aloop__pool_end_job(job, 0);
    }
}

/* The wake hook of the pool.  It reads the list without an order of memory: the
 * exchange that follows has one, and a job that is missed wakes the loop. */
static void pool_woken(struct aloop__wake_hook *hook)
{
    struct aloop__pool *pool = CONTAINER_OF(hook, struct aloop__pool, hook);

    if (atomic_load_explicit(&pool->finished, memory_order_relaxed) != NULL)
        aloop__pool_collect(pool);
}

static void init_lane(aloop *loop, struct aloop__pool *pool,
                      enum aloop__lane kind)
{
    struct aloop__pool_lane *lane = &pool->lanes[kind];

    lane->threads_all = lane_kinds[kind].threads_all;
    lane->threads_max = aloop__pool_threads_max(loop, kind);
    lane->stack_size = lane_kinds[kind].stack_size;
    list_init(&lane->known);
    list_init(&lane->idle);
    list_init(&lane->unused);
    for (int order = 0; order < ORDERS; order++) {
        list_init(&lane->given[order]);
        list_init(&lane->queues[order]);
    }
}

/* Creates the pool, for the first job of the loop.  No thread starts yet. */
static int open_pool(aloop *loop)
{
    struct aloop__pool *pool =
        aloop__alloc_zero(&aloop__alloc_default, sizeof *pool);
    int error;

    if (pool == NULL)
        return ALOOP_ENOMEM;
    error = aloop__sys_mutex_open(&pool->mutex);
    if (error < 0) {
        aloop__alloc_free(&aloop__alloc_default, pool, sizeof *pool);
        return error;
    }
    pool->loop = loop;
    pool->refs = 1;
    aloop__timed_init(&pool->retry, retry_due);
    list_init(&pool->flush.node);
    pool->flush.run = pool_flush_due;
    for (enum aloop__lane lane = 0; lane < LANE_COUNT; lane++)
        init_lane(loop, pool, lane);
    list_init(&pool->hook.node);
    pool->hook.run = pool_woken;
    aloop__wake_hook_add(loop, &pool->hook);
    loop->pool = pool;
    return 0;
}

/* Has the turn call pool_flush_due().  The clock is read once for its jobs. */
static void flush_later(struct aloop__pool *pool)
{
    aloop *loop = pool->loop;

    if (!list_is_empty(&pool->flush.node))
        return;
    pool->now_ns = aloop__sys_clock_ns();
    list_push(&loop->flushing, &pool->flush.node);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

/* Queues a job for the next flush.  Apart from the first call, nothing is
 * allocated and no lock is taken here. */
static int submit(aloop *loop, enum aloop__lane kind, struct aloop__job *job,
                  int order)
{
    struct aloop__pool_lane *lane;
    int error = 0;

    if (aloop__is_foreign_by_pid(loop))
        return ALOOP_EPERM; /* The pool belongs to the parent. */
    if (loop->pool == NULL)
        error = open_pool(loop);
    else if (loop->pool->is_closed)
        error = ALOOP_ECANCELED;
    if (error < 0)
        return error;
    flush_later(loop->pool);
    lane = &loop->pool->lanes[kind];
    list_init(&job->node);
    list_init(&job->known);
    job->lane = kind;
    job->is_left = false;
    job->since_ns = loop->pool->now_ns;
    atomic_store_explicit(&job->state, JOB_QUEUED, memory_order_relaxed);
    list_push(&lane->given[order], &job->node);
    list_push(&lane->known, &job->known);
    lane->known_count++;
    loop->live++;
    return 0;
}

int aloop__pool_submit(aloop *loop, enum aloop__lane lane,
                       struct aloop__job *job)
{
    return submit(loop, lane, job, NORMAL);
}

int aloop__pool_submit_first(aloop *loop, enum aloop__lane lane,
                             struct aloop__job *job)
{
    return submit(loop, lane, job, URGENT);
}

/* In a forked child, a thread of the parent may have held the mutex. */
static void lock_unless_foreign(struct aloop__pool *pool)
{
    if (!aloop__is_foreign_by_pid(pool->loop))
        aloop__sys_mutex_lock(pool->mutex);
}

static void unlock_unless_foreign(struct aloop__pool *pool)
{
    if (!aloop__is_foreign_by_pid(pool->loop))
        aloop__sys_mutex_unlock(pool->mutex);
}

/* The mutex decides between this and take_job().  In a forked child no thread
 * can take the job any more. */
bool aloop__pool_take_back(aloop *loop, struct aloop__job *job)
{
    struct aloop__pool *pool = loop->pool;
    bool is_queued;

    lock_unless_foreign(pool);
    is_queued = atomic_load_explicit(&job->state, memory_order_relaxed) ==
                JOB_QUEUED;
    if (is_queued)
        list_remove(&job->node);
    unlock_unless_foreign(pool);
    if (is_queued)
        aloop__pool_remove_job(pool, job);
    return is_queued;
}

/* Leaves a job that has begun.  Another thread may take its place.  The
 * exchange decides between this and return_job(): if the thread is first, the
 * job is in pool->finished, and aloop__pool_collect() drops it because of
 * `is_left`. */
static void leave_running(struct aloop__pool *pool, struct aloop__job *job)
{
    struct aloop__pool_lane *lane = &pool->lanes[job->lane];
    unsigned running = JOB_RUNNING;

    job->is_left = true;
    lane->collected++;
    lock_unless_foreign(pool);
    if (atomic_compare_exchange_strong(&job->state, &running, JOB_LEFT)) {
        job->worker->left = job;
        lane->left++;
        atomic_fetch_add(&lane->ended_jobs, 1);
        lane->live--;
        if (!aloop__is_foreign_by_pid(pool->loop) && !pool->is_closing)
            (void) aloop__workers_start(pool, lane);
    }
    unlock_unless_foreign(pool);
    if (!pool->is_closed)
        retry_if_short(pool, lane);
}

void aloop__pool_leave(aloop *loop, struct aloop__job *job)
{
    if (aloop__pool_take_back(loop, job)) {
        job->drop(job);
        return;
    }
    aloop__pool_remove_job(loop->pool, job);
    leave_running(loop->pool, job);
}

bool aloop__pool_is_working(const aloop *loop)
{
    const struct aloop__pool *pool = loop->pool;

    return pool != NULL && (pool->lanes[LANE_FILE].known_count > 0 ||
                            pool->lanes[LANE_WORK].known_count > 0);
}

/* `begun` counts jobs that threads have taken, and `collected` those of them
 * that the loop knows no more: the difference is what runs or has not been
 * collected. */
void aloop__pool_look(aloop *loop, enum aloop__lane kind,
                      struct aloop__pool_figures *ret)
{
    struct aloop__pool *pool = loop->pool;
    struct aloop__pool_lane *lane;

    *ret = (struct aloop__pool_figures){0};
    if (pool == NULL)
        return;
    lane = &pool->lanes[kind];
    lock_unless_foreign(pool);
    ret->threads = lane->live;
    ret->idle = lane->idle_count;
    ret->running = lane->begun - lane->collected;
    unlock_unless_foreign(pool);
    ret->queued = lane->known_count - ret->running;
    if (lane->known_count > 0)
        ret->oldest_ns =
            aloop__sys_clock_ns() -
            CONTAINER_OF(lane->known.next, struct aloop__job, known)->since_ns;
}
