/* aloop_map: runs a function for each item of an array, in a limited number of
 * tasks at a time.
 *
 * A map has as many lanes as tasks may run simultaneously.  A lane runs one
 * task after the other: when lane_ended() finds that its task has ended, it
 * starts the next item of the map.  Therefore a slow item delays only its own
 * lane, and the memory of a map depends on the limit and not on the number of
 * items.
 *
 * The first failure decides the outcome and stops the map.  The map settles
 * when the last running task has ended. */

#include "aloop/compose.h"
#include "aloop/task.h"
#include "loop/debug.h"
#include "loop/future.h"

/* A slot in which one task runs after another. */
struct lane {
    struct aloop__awaiter task; /* Of the map; no future: the lane is empty. */
    size_t item;                /* The index of the task's item. */
};

struct map {
    aloop_future future;
    aloop_task_fn fn;
    char *items;
    size_t item_size;
    size_t count;
    size_t next; /* The first item that has not begun. */
    /* Lanes that have a task. */
    size_t running;
    /* 0 until a failure decides it. */
    ssize_t outcome;
    size_t failed; /* The item that decided `outcome`; `count`: none. */
    struct lane *lanes;
    size_t lane_count;
    bool is_stopping; /* All tasks were cancelled, and none begins. */
    struct aloop__tie tie;
};

static struct map *map_of(aloop_future *future)
{
    return CONTAINER_OF(future, struct map, future);
}

/* Cancels all running tasks and starts no more.  It does so only once, because
 * each task that ends by the cancel fails as well. */
static void stop_map(struct map *map)
{
    if (map->is_stopping)
        return;
    map->is_stopping = true;
    map->next = map->count;
    for (size_t i = 0; i < map->lane_count; i++)
        aloop__future_cancel_checked(map->lanes[i].task.future);
}

/* ops->cancel.  The cancel decides the outcome only if it keeps items from
 * being run.  Otherwise the tasks that run now may still succeed, and then all
 * items are complete. */
static void map_cancel(aloop_future *future)
{
    struct map *map = map_of(future);

    if (map->next < map->count)
        map->outcome = ALOOP_ECANCELED;
    stop_map(map);
}

/* ops->fini; also called when the map settles. */
static void map_fini(aloop_future *future)
{
    struct map *map = map_of(future);

    aloop__alloc_free(&future->loop->alloc, map->lanes,
                      map->lane_count * sizeof *map->lanes);
    map->lanes = NULL;
}

/* ops->next; the cursor is the lane whose task was returned last. */
static aloop_future *map_next(aloop_future *future, const void **cursor)
{
    struct map *map = map_of(future);
    const struct lane *lane = *cursor;

    lane = lane == NULL ? map->lanes : lane + 1;
    while (lane < map->lanes + map->lane_count && lane->task.future == NULL)
        lane++;
    *cursor = lane;
    return lane < map->lanes + map->lane_count ? lane->task.future : NULL;
}

static const char *map_describe(const aloop_future *future)
{
    const struct map *map = CONTAINER_OF(future, struct map, future);

    return aloop__future_item_name(future, map->failed, map->count);
}

static const struct aloop__future_ops map_ops = {
    .name = "map",
    .describe = map_describe,
    .size = sizeof(struct map),
    .tie = offsetof(struct map, tie),
    .cancel = map_cancel,
    .next = map_next,
    .fini = map_fini,
};

/* Records the first failure, and stops the map.  ALOOP_ECANCELED would mean
 * that the map itself was cancelled. */
static void fail_map(struct map *map, size_t item, ssize_t status)
{
    if (map->outcome == 0)
        map->failed = item;
    if (map->outcome == 0)
        map->outcome = status == ALOOP_ECANCELED && !map->future.is_cancelling
                           ? ALOOP_EABORTED
                           : status;
    stop_map(map);
}

/* Starts the next item in an empty lane.  If out of memory the item counts as
 * failed, and the lane stays empty. */
static void begin_item(struct lane *lane)
{
    struct map *map = map_of(lane->task.owner);
    void *item = map->items + map->next * map->item_size;
    aloop_future *task;

    lane->item = map->next++;
    task = aloop_spawn_at(map->future.loop, map->fn, item, NULL, "map item",
                          "aloop_map");
    if (task == NULL) {
        fail_map(map, lane->item, ALOOP_ENOMEM);
        return;
    }
    map->running++;
    aloop__awaiter_add(&lane->task, task);
}

/* ready->run of a lane, in the turn after its task has settled.  A failure
 * leaves no item to begin, so that the two conditions exclude each other. */
static void lane_ended(struct aloop__ready *ready)
{
    struct lane *lane = CONTAINER_OF(ready, struct lane, task.ready);
    struct map *map = map_of(lane->task.owner);
    ssize_t status = aloop__awaiter_take(&lane->task);

    map->running--;
    if (status < 0)
        fail_map(map, lane->item, status);
    if (map->next < map->count)
        begin_item(lane);
    if (map->running > 0)
        return;
    map_fini(&map->future); /* The settled future may be kept for long. */
    aloop__future_settle(&map->future, map->outcome);
}

/* Allocates the lanes, all of them empty.  Returns false if out of memory. */
static bool make_lanes(struct map *map, size_t limit)
{
    size_t count = limit == 0 || limit > map->count ? map->count : limit;

    if (count > SIZE_MAX / sizeof *map->lanes)
        return false;
    map->lanes =
        aloop__alloc_new(&map->future.loop->alloc, count * sizeof *map->lanes);
    if (map->lanes == NULL)
        return false;
    map->lane_count = count;
    for (size_t i = 0; i < count; i++)
        aloop__awaiter_init(&map->lanes[i].task, lane_ended, &map->future);
    return true;
}

/* If not even the first task could be made, the result is NULL and `fn` never
 * runs.  If only a later one could not, the map fails when the first ones have
 * ended. */
aloop_future *aloop_map(aloop *loop, aloop_task_fn fn, void *items,
                        size_t count, size_t item_size, size_t limit)
{
    int error = aloop__check_loop(loop, __func__);
    struct map *map;

    if (error < 0)
        return aloop__future_refused(error);
    if (fn == NULL || (items == NULL && count > 0))
        return aloop__future_failed(loop, ALOOP_EINVAL);
    if (count == 0)
        return aloop_future_new_settled(loop, 0);
    map = aloop__future_new(loop, &map_ops);
    if (map == NULL)
        return NULL;
    map->fn = fn;
    map->items = items;
    map->count = map->failed = count;
    map->item_size = item_size;
    if (make_lanes(map, limit))
        for (size_t i = 0; i < map->lane_count && map->next < count; i++)
            begin_item(&map->lanes[i]);
    if (map->running > 0)
        return &map->future;
    return aloop__future_drop_new(&map->future);
}
