/* aloop_work_map: runs a function for each item of an array, on threads of the
 * pool.
 *
 * The map has as many jobs, the runners, as items may run simultaneously.  Each
 * takes the next item from a counter that all of them share, so that short
 * items cost no way through the loop.  After STRETCH_NS a runner returns to the
 * loop, which submits it again behind other work.
 *
 * The first failure, or a cancel, decides the status.  It moves the counter to
 * the end, so that no further item begins.  The map settles when the pool has
 * none of its runners any more: then no thread uses `items` or the map
 * itself. */

#include "aloop/work.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/pool.h"
#include "os/sys.h"

/* A runner is not interrupted in an item; this limits how many short ones it
 * runs. */
enum { STRETCH_NS = 1000000 };

struct work_map;

/* A job that runs one item after another. */
struct runner {
    struct aloop__job job;
    struct work_map *map;
    bool is_submitted;
};

struct work_map {
    aloop_future future;
    aloop_work_fn fn;
    char *items;
    size_t item_size;
    size_t count;
    struct runner *runners;
    size_t runner_count;
    size_t submitted; /* Runners that the pool has. */
    struct aloop__tie tie;
    /* Shared by the threads: */
    atomic_size_t next;     /* The first item that has not begun. */
    atomic_uint is_decided; /* By its first setter, which writes `error`. */
    ssize_t error;          /* The status, or 0. */
    size_t failed;          /* The item that has decided, or `count`. */
};

static struct runner *runner_of(struct aloop__job *job)
{
    return CONTAINER_OF(job, struct runner, job);
}

static struct work_map *work_map_of(aloop_future *future)
{
    return CONTAINER_OF(future, struct work_map, future);
}

/* Lets no further item begin.  `item` is the one that has failed, or `count`.
 * The exchange lets one thread write `error` and `failed`; the loop's thread
 * reads them after all runners have returned, which orders the accesses. */
static void decide(struct work_map *map, ssize_t error, size_t item)
{
    if (!atomic_exchange(&map->is_decided, true)) {
        map->error = error;
        map->failed = item;
    }
    atomic_store(&map->next, map->count);
}

/* Returns whether an item has not begun. */
static bool has_items(struct work_map *map)
{
    return atomic_load(&map->next) < map->count;
}

/* Takes the next item.  Returns false if there is none.  The counter is never
 * moved beyond `count`, so that it cannot overflow, and decide() is not
 * undone. */
static bool take_item(struct work_map *map, size_t *ret_item)
{
    *ret_item = atomic_load(&map->next);
    do
        if (*ret_item >= map->count)
            return false;
    while (!atomic_compare_exchange_weak(&map->next, ret_item, *ret_item + 1));
    return true;
}

/* job->work, on a thread.  ALOOP_PENDING is not a status. */
static void runner_run(struct aloop__job *job)
{
    struct work_map *map = runner_of(job)->map;
    int64_t end_ns = aloop__sys_clock_ns() + STRETCH_NS;
    size_t item;

    while (take_item(map, &item)) {
        ssize_t status = map->fn(map->items + item * map->item_size);

        if (status < 0)
            decide(map, status == ALOOP_PENDING ? ALOOP_EINVAL : status, item);
        if (aloop__sys_clock_ns() >= end_ns)
            return;
    }
}

/* ops->fini; also called when the map settles. */
static void work_map_fini(aloop_future *future)
{
    struct work_map *map = work_map_of(future);

    aloop__alloc_free(&future->loop->alloc, map->runners,
                      map->runner_count * sizeof *map->runners);
    map->runners = NULL;
}

static void settle_if_ended(struct work_map *map)
{
    if (map->submitted > 0)
        return;
    work_map_fini(&map->future); /* The settled future may be kept for long. */
    aloop__future_settle(&map->future, map->error);
}

static int submit_runner(struct runner *runner)
{
    int error =
        aloop__pool_submit(runner->map->future.loop, LANE_WORK, &runner->job);

    runner->is_submitted = error == 0;
    runner->map->submitted += error == 0;
    return error;
}

/* job->done, on the loop's thread.  The runner is submitted again if there are
 * items left.  An error of one runner matters only if no other is left for the
 * items. */
static void runner_done(struct aloop__job *job, int error)
{
    struct runner *runner = runner_of(job);
    struct work_map *map = runner->map;

    runner->is_submitted = false;
    map->submitted--;
    if (error == 0 && has_items(map))
        error = submit_runner(runner);
    if (error < 0 && map->submitted == 0 && has_items(map))
        decide(map, error, map->count);
    settle_if_ended(map);
}

/* ops->cancel: takes back the runners that no thread has begun.  The items of
 * the others run to their end.  If no item was left, the cancel has no
 * effect. */
static void work_map_cancel(aloop_future *future)
{
    struct work_map *map = work_map_of(future);

    if (has_items(map))
        decide(map, ALOOP_ECANCELED, map->count);
    for (size_t i = 0; i < map->runner_count; i++) {
        struct runner *runner = &map->runners[i];

        if (runner->is_submitted &&
            aloop__pool_take_back(future->loop, &runner->job)) {
            runner->is_submitted = false;
            map->submitted--;
        }
    }
    settle_if_ended(map);
}

static const char *work_map_describe(const aloop_future *future)
{
    const struct work_map *map = CONTAINER_OF(future, struct work_map, future);

    return aloop__future_item_name(future, map->failed, map->count);
}

static const struct aloop__future_ops work_map_ops = {
    .name = "work map",
    .describe = work_map_describe,
    .size = sizeof(struct work_map),
    .tie = offsetof(struct work_map, tie),
    .cancel = work_map_cancel,
    .fini = work_map_fini,
};

/* Allocates the runners: as many as the lane has threads, or fewer if the limit
 * or the number of items is smaller.  Returns false if out of memory. */
static bool make_runners(struct work_map *map, size_t limit)
{
    aloop *loop = map->future.loop;
    size_t count = aloop__pool_threads_max(loop, LANE_WORK);

    if (limit > 0 && limit < count)
        count = limit;
    if (map->count < count)
        count = map->count;
    map->runners =
        aloop__alloc_zero(&loop->alloc, count * sizeof *map->runners);
    if (map->runners == NULL)
        return false;
    map->runner_count = count;
    for (size_t i = 0; i < count; i++) {
        map->runners[i].map = map;
        map->runners[i].job.work = runner_run;
        map->runners[i].job.done = runner_done;
    }
    return true;
}

/* Submits the runners.  One is enough to run all items, so that an error
 * matters only if it was that of the first one. */
static void start_runners(struct work_map *map)
{
    int error = 0;

    for (size_t i = 0; i < map->runner_count && error == 0; i++)
        error = submit_runner(&map->runners[i]);
    if (error < 0 && map->submitted == 0)
        decide(map, error, map->count);
    settle_if_ended(map);
}

aloop_future *aloop_work_map(aloop *loop, aloop_work_fn fn, void *items,
                             size_t count, size_t item_size, size_t limit)
{
    int error = aloop__check_loop(loop, __func__);
    struct work_map *map;

    if (error < 0)
        return aloop__future_refused(error);
    if (fn == NULL || (items == NULL && count > 0) ||
        (item_size > 0 && count > PTRDIFF_MAX / item_size))
        return aloop__future_failed(loop, ALOOP_EINVAL);
    if (count == 0)
        return aloop_future_new_settled(loop, 0);
    map = aloop__future_new(loop, &work_map_ops);
    if (map == NULL)
        return NULL;
    map->fn = fn;
    map->items = items;
    map->item_size = item_size;
    map->count = map->failed = count;
    if (!make_runners(map, limit))
        return aloop__future_drop_new(&map->future);
    start_runners(map);
    return &map->future;
}
