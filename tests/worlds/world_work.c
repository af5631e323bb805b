/* Functions on threads, maps, operations of the application and polls, with
 * cancels and drops at random.
 *
 * A function runs once, or never if it was cancelled before; functions begin in
 * order, and no more of them run simultaneously than there are threads.  A map
 * runs each item once at most, no more than its limit simultaneously, and none
 * after it has settled.  An operation is asked to end once at most, and settles
 * with the status of its maker.  All bytes that are sent arrive through polls
 * that pause, change and are closed.  Prepares limit waits, and calls are
 * deferred and taken back. */

#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/sys_file.h"

enum {
    JOBS_MAX = 60,
    ITEMS_MAX = 12,
    POLLS = 3,
    PREPARES = 2,
    BYTES_MAX = 200,
    THREADS = 2 /* The processors of the simulated system. */
};

enum kind { JOB, MAP, OPERATION };

struct job {
    enum kind kind;
    aloop_future *future; /* A reference; NULL: dropped, or not made. */
    unsigned number;
    bool has_ended;  /* The program has seen its status. */
    bool was_asked;  /* It was cancelled, or dropped. */
    bool is_settled; /* Operation: by its maker. */
    unsigned runs;   /* Job: how often it has run. */
    ssize_t result;
    struct item {
        struct job *map;
        unsigned runs;
        ssize_t result;
    } items[ITEMS_MAX];
    size_t count, limit;
    unsigned inside; /* Items that run. */
};

static struct {
    struct job *jobs[JOBS_MAX];
    unsigned count, wanted;
    unsigned last;   /* Number of the job that began last. */
    unsigned inside; /* Functions that run. */
    aloop_timer *heart;
    int fds[2];
    aloop_poll *polls[POLLS];
    unsigned sent, received, bytes;
    bool is_broken; /* The connection of the polls is. */
    aloop_prepare *prepares[PREPARES];
    unsigned deferred; /* Calls that have not run. */
} w;

/* Takes some time. */
static void pause_thread(void)
{
    if (run.weather >= CHAOS)
        (void) aloop__sys_accessat(SYS_CWD, "/", 0);
}

static ssize_t run_job(void *arg)
{
    struct job *job = arg;

    CHECK(job->number > w.last && job->runs == 0);
    w.last = job->number;
    job->runs++;
    CHECK(++w.inside <= THREADS);
    pause_thread();
    w.inside--;
    return job->result;
}

static ssize_t run_item(void *arg)
{
    struct item *item = arg;
    struct job *map = item->map;

    CHECK(!map->has_ended && item->runs == 0);
    item->runs++;
    map->inside++;
    CHECK(map->limit == 0 || map->inside <= map->limit);
    CHECK(++w.inside <= THREADS);
    pause_thread();
    w.inside--;
    map->inside--;
    return item->result;
}

static bool is_out_of_threads(ssize_t status)
{
    return may_break() && (status == ALOOP_EAGAIN || status == ALOOP_ENOMEM);
}

static void end_job(const struct job *job, ssize_t status)
{
    if (job->runs > 0)
        CHECK(status == job->result);
    else
        CHECK((status == ALOOP_ECANCELED && job->was_asked) ||
              is_out_of_threads(status));
}

static void end_map(const struct job *job, ssize_t status)
{
    bool is_error_of_item = false;

    CHECK(job->inside == 0);
    for (size_t i = 0; i < job->count; i++) {
        CHECK(job->items[i].runs == 1 || status < 0);
        if (job->items[i].runs > 0 && job->items[i].result < 0)
            is_error_of_item = true;
    }
    if (status < 0)
        CHECK(is_error_of_item || is_out_of_threads(status) ||
              (status == ALOOP_ECANCELED && job->was_asked));
    else
        CHECK(status == 0 && !is_error_of_item);
}

static void end_operation(const struct job *job, ssize_t status)
{
    CHECK((job->is_settled && status == job->result) ||
          (status == ALOOP_ENOMEM && run.weather == STARVED));
}

static void end_jobs(void)
{
    static void (*const ends[])(const struct job *job, ssize_t status) = {
        end_job, end_map, end_operation};

    for (unsigned i = 0; i < w.count; i++) {
        struct job *job = w.jobs[i];
        aloop_future *future = job->future;

        if (job->has_ended || future == NULL ||
            !aloop_future_is_settled(future))
            continue;
        job->has_ended = true;
        ends[job->kind](job, aloop_future_status(future));
        job->future = NULL;
        aloop_future_unref(future);
    }
}

/* Operations. */

static void settle(struct job *job, ssize_t status)
{
    job->is_settled = true;
    job->result = status;
    CHECK(aloop_operation_settle(job->future, status) == 0);
}

static void settle_later(aloop *loop, void *arg)
{
    struct job *job = arg;

    (void) loop;
    if (!job->is_settled)
        settle(job, chance(50) ? ALOOP_ECANCELED : 7);
}

static void operation_cancelled(aloop_future *operation, void *arg)
{
    struct job *job = arg;

    CHECK(operation == job->future && !job->is_settled);
    CHECK(job->was_asked || run.is_freeing);
    if (run.is_freeing || chance(50) ||
        aloop_defer(run.loop, settle_later, job) < 0)
        settle(job, ALOOP_ECANCELED);
}

/* Acts. */

static void act_start(void)
{
    struct job *job;

    if (w.count == w.wanted)
        return;
    job = keep(sizeof *job);
    w.jobs[w.count++] = job;
    *job = (struct job){.kind = (enum kind) sim_random(3),
                        .number = w.count,
                        .result = chance(20) ? ALOOP_EIO
                                             : (ssize_t) sim_random(100),
                        .count = between(0, ITEMS_MAX),
                        .limit = between(0, 3)};
    for (size_t i = 0; i < job->count; i++)
        job->items[i] =
            (struct item){job, 0, chance(5) ? ALOOP_EIO : (ssize_t) i};
    if (job->kind == JOB)
        job->future = aloop_work(run.loop, run_job, job);
    else if (job->kind == MAP)
        job->future = aloop_work_map(run.loop, run_item, job->items, job->count,
                                     sizeof job->items[0], job->limit);
    else
        job->future = aloop_operation_new(run.loop, operation_cancelled, job);
    job->has_ended = job->future == NULL;
    CHECK(!job->has_ended || run.weather == STARVED);
}

static struct job *any_pending(void)
{
    struct job *job;

    if (w.count == 0)
        return NULL;
    job = w.jobs[w.count - 1 - sim_random(w.count < 6 ? w.count : 6)];
    return job->future == NULL || aloop_future_is_settled(job->future) ? NULL
                                                                       : job;
}

static void act_cancel(void)
{
    struct job *job = any_pending();

    if (job == NULL)
        return;
    job->was_asked = true;
    CHECK(aloop_cancel(job->future));
}

/* Operations have no owner then, and their makers' pointers remain valid. */
static void act_drop(void)
{
    struct job *job = any_pending();
    aloop_future *future;

    if (job == NULL || job->kind == OPERATION)
        return;
    future = job->future;
    job->was_asked = true;
    job->future = NULL;
    aloop_future_unref(future);
}

static void act_settle(void)
{
    struct job *job = any_pending();

    if (job != NULL && job->kind == OPERATION && !job->is_settled)
        settle(job, (ssize_t) sim_random(100));
}

/* Polls. */

static void on_ready(aloop_poll *poll, unsigned events, void *arg)
{
    unsigned char byte;
    ssize_t result;

    CHECK(*(aloop_poll **) arg == poll && events != 0);
    CHECK(aloop_poll_fd(poll) == w.fds[0]);
    if (chance(30))
        return; /* It is called again. */
    result = aloop__sys_recv(w.fds[0], &byte, 1);
    if (result != 1 && result != -EAGAIN) { /* It would be ready always. */
        w.is_broken = true;
        (void) aloop_poll_set_events(poll, 0);
    }
    if (result != 1)
        return;
    CHECK(byte == text_byte(1, w.received));
    w.received++;
}

static void start_poll(size_t i)
{
    int result = aloop_poll_start(run.loop, w.fds[0], ALOOP_POLL_READABLE,
                                  on_ready, &w.polls[i], &w.polls[i]);

    CHECK(result == 0 || (result == ALOOP_ENOMEM && run.weather == STARVED));
}

static void act_poll(void)
{
    size_t i = (size_t) sim_random(POLLS);

    if (w.polls[i] == NULL && !w.is_broken)
        start_poll(i);
    else if (w.polls[i] != NULL && !w.is_broken && chance(50)) {
        (void) aloop_poll_set_events(w.polls[i],
                                     chance(50) ? ALOOP_POLL_READABLE : 0);
    } else {
        aloop_poll_close(w.polls[i]);
        w.polls[i] = NULL;
    }
}

/* A poll that does not keep the loop alive has its callbacks like others. */
static void act_refer(void)
{
    aloop_poll *poll = w.polls[sim_random(POLLS)];

    if (poll == NULL)
        return;
    if (chance(50))
        aloop_poll_ref(poll);
    else
        aloop_poll_unref(poll);
}

/* Prepares and deferred calls. */

static int64_t on_prepare(aloop_prepare *prepare, void *arg)
{
    aloop_prepare **slot = arg;

    CHECK(*slot == prepare && !run.is_over);
    if (chance(5)) {
        aloop_prepare_close(prepare);
        *slot = NULL;
    }
    return chance(50) ? -1 : any_delay_ns(ALOOP_MS(1));
}

static void act_prepare(void)
{
    aloop_prepare **slot = &w.prepares[sim_random(PREPARES)];
    int result;

    if (*slot != NULL && chance(50)) {
        aloop_prepare_close(*slot);
        *slot = NULL;
    } else if (*slot != NULL) {
        aloop_prepare_ref(*slot);
        aloop_prepare_unref(*slot);
    } else {
        result = aloop_prepare_start(run.loop, on_prepare, slot, slot);
        CHECK(result == 0 ||
              (result == ALOOP_ENOMEM && run.weather == STARVED));
    }
}

static void on_deferred(aloop *loop, void *arg)
{
    CHECK(loop == run.loop && arg == &w && w.deferred > 0);
    w.deferred--;
}

static void act_defer(void)
{
    bool is_queued;

    if (chance(60)) {
        is_queued = aloop_defer(run.loop, on_deferred, &w) == 0;
        CHECK(is_queued || run.weather == STARVED);
        w.deferred += is_queued;
        return;
    }
    is_queued = w.deferred > 0;
    w.deferred -= is_queued;
    CHECK(aloop_defer_cancel(run.loop, on_deferred, &w) == is_queued);
}

/* Nothing else keeps the loop alive. */
static void check_references(void)
{
    CHECK(!aloop_alive(run.loop));
    start_poll(0);
    if (w.polls[0] == NULL)
        return;
    CHECK_REFERENCES(w.polls[0], aloop_poll_ref, aloop_poll_unref);
    aloop_poll_close(w.polls[0]);
    CHECK(!aloop_alive(run.loop));
}

/* The state of the lane includes all functions that have not ended. */
static void check_lane(void)
{
    aloop_pool_info info = {.size = sizeof info};
    size_t pending = 0;

    for (unsigned i = 0; i < w.count; i++)
        pending += w.jobs[i]->kind == JOB && w.jobs[i]->future != NULL &&
                   !aloop_future_is_settled(w.jobs[i]->future);
    CHECK(aloop_pool_info_get(run.loop, ALOOP_LANE_WORK, &info) == 0);
    CHECK(info.threads <= THREADS && info.idle <= info.threads);
    CHECK(w.inside <= info.threads && w.inside <= info.running);
    CHECK(info.queued + info.running >= pending);
    CHECK(info.oldest_ns == 0 || info.queued + info.running > 0);
}

static void act_send(void)
{
    unsigned char byte = text_byte(1, w.sent);

    if (w.sent < w.bytes && aloop__sys_send(w.fds[1], &byte, 1) == 1)
        w.sent++;
}

static void on_heart(aloop_timer *timer, void *arg)
{
    static void (*const acts[])(void) = {
        act_start, act_start, act_cancel, act_drop, act_settle,  act_settle,
        act_poll,  act_refer, act_send,   act_send, act_prepare, act_defer};

    (void) timer;
    (void) arg;
    end_jobs();
    check_lane();
    for (size_t i = between(1, 5); i > 0; i--)
        acts[sim_random(sizeof acts / sizeof acts[0])]();
}

/* The world. */

static void start(void)
{
    memset(&w, 0, sizeof w);
    w.wanted = (unsigned) between(1, chance(20) ? JOBS_MAX : 12);
    w.bytes = (unsigned) between(0, chance(20) ? BYTES_MAX : 20);
    CHECK(sim_pair(w.fds) == 0);
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_US(between(1, 2000)), on_heart,
                            NULL, &w.heart) == 0);
}

/* The connection of the polls may break. */
static bool is_done(void)
{
    end_jobs();
    if (w.count < w.wanted ||
        (!may_break() && (w.sent < w.bytes || w.received < w.sent)))
        return false;
    for (unsigned i = 0; i < w.count; i++)
        if (w.jobs[i]->kind != OPERATION && w.jobs[i]->future != NULL)
            return false;
    aloop_timer_close(w.heart);
    w.heart = NULL;
    return true;
}

static void close_world(void)
{
    aloop_timer_close(w.heart);
    for (size_t i = 0; i < POLLS; i++) {
        aloop_poll_close(w.polls[i]);
        w.polls[i] = NULL;
    }
    for (size_t i = 0; i < PREPARES; i++) {
        aloop_prepare_close(w.prepares[i]);
        w.prepares[i] = NULL;
    }
    for (unsigned i = 0; i < w.count; i++) {
        struct job *job = w.jobs[i];

        job->was_asked = true;
        if (job->future != NULL && !aloop_future_is_settled(job->future))
            aloop_cancel(job->future);
    }
}

static void check(void)
{
    end_jobs();
    for (unsigned i = 0; i < w.count; i++)
        CHECK(w.jobs[i]->future == NULL);
    CHECK(w.inside == 0);
    check_references();
}

static void outlive(void)
{
    CHECK(w.inside == 0 && w.deferred == 0);
    for (int i = 0; i < 2; i++)
        (void) aloop__sys_close(w.fds[i]);
}

const struct world world_work = {"work",      start, is_done,
                                 close_world, check, outlive};
