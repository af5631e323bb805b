/* Tasks and futures: spawned, cancelled, awaited with a deadline, gathered,
 * raced, mapped and grouped.  Each has a known result, or one of two results
 * that race. */

#include "soak.h"

enum { WORKERS = 12, MEMBERS = 5, ITEMS = 9 };

static int64_t some_ns(void)
{
    return (int64_t) soak_random(ALOOP_MS(2));
}

/* Sleeps and returns its number, or ends cancelled. */
static ssize_t give(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, some_ns()));

    soak.counts[SOAK_TASKS]++;
    if (status < 0)
        return status;
    return *(const int *) arg;
}

static ssize_t fail(aloop *loop, void *arg)
{
    (void) arg;
    soak.counts[SOAK_TASKS]++;
    aloop_await(aloop_sleep(loop, some_ns() / 8));
    return ALOOP_ENOENT;
}

/* Sleeps until it is cancelled, and then a little longer in a shield. */
static ssize_t outlast(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1000)));

    (void) arg;
    soak.counts[SOAK_TASKS]++;
    CHECK(aloop_shield_begin() == 0);
    CHECK(aloop_await(aloop_sleep(loop, some_ns() / 4)) == 0);
    CHECK(aloop_shield_end() == 0);
    CHECK(aloop_await(aloop_sleep(loop, ALOOP_SEC(1000))) == ALOOP_ECANCELED);
    return status;
}

static void gather_them(aloop *loop)
{
    int numbers[3] = {1, 2, 3};

    CHECK(aloop_await(aloop_gather(loop, aloop_spawn(loop, give, &numbers[0]),
                                   aloop_spawn(loop, give, &numbers[1]),
                                   aloop_sleep(loop, some_ns()),
                                   aloop_spawn(loop, give, &numbers[2]))) == 0);
}

static void gather_with_a_failure(aloop *loop)
{
    CHECK(aloop_await(aloop_gather(loop, aloop_spawn(loop, outlast, NULL),
                                   aloop_spawn(loop, fail, NULL),
                                   aloop_spawn(loop, outlast, NULL))) ==
          ALOOP_ENOENT);
}

static void gather_settled(aloop *loop)
{
    static int number = 4;
    aloop_future *futures[4];
    ssize_t statuses[4];

    futures[0] = aloop_spawn(loop, give, &number);
    futures[1] = aloop_spawn(loop, fail, NULL);
    futures[2] = aloop_future_new_settled(loop, 7);
    futures[3] = aloop_timeout(aloop_spawn(loop, outlast, NULL), some_ns());
    CHECK(aloop_await(aloop_gather_settled(loop, 4, futures, statuses)) == 2);
    CHECK(statuses[0] == 4 && statuses[1] == ALOOP_ENOENT);
    CHECK(statuses[2] == 7 && statuses[3] == ALOOP_ETIMEDOUT);
}

static void race_them(aloop *loop)
{
    int numbers[2] = {10, 11};
    aloop_future *futures[3];
    size_t index = 3;
    ssize_t status;

    futures[0] = aloop_spawn(loop, give, &numbers[0]);
    futures[1] = aloop_spawn(loop, give, &numbers[1]);
    futures[2] = aloop_spawn(loop, outlast, NULL);
    if (soak_random(2) == 0)
        status = aloop_await(aloop_any_array(loop, 3, futures, &index));
    else
        status = aloop_await(aloop_race_array(loop, 3, futures, &index));
    CHECK(index < 2 && status == numbers[index]);
}

static void cancel_one(aloop *loop)
{
    int number = 5;
    aloop_future *task = aloop_spawn(loop, give, &number);
    ssize_t status;

    if (soak_random(2) == 0)
        CHECK(aloop_await(aloop_sleep(loop, some_ns())) == 0);
    aloop_cancel(task);
    status = aloop_await(task);
    CHECK(status == 5 || status == ALOOP_EABORTED);
}

static void drop_one(aloop *loop)
{
    aloop_future_unref(aloop_sleep(loop, some_ns()));
    aloop_detach(aloop_sleep(loop, some_ns()));
}

static void meet_a_deadline(aloop *loop)
{
    int64_t limit_ns = some_ns(), sleep_ns = some_ns();
    aloop_deadline *outer = aloop_deadline_begin(loop, ALOOP_SEC(100));
    aloop_deadline *inner = aloop_deadline_begin(loop, limit_ns);
    ssize_t status = aloop_await(aloop_sleep(loop, sleep_ns));

    CHECK(status == 0 || status == ALOOP_ETIMEDOUT);
    if (status == ALOOP_ETIMEDOUT) {
        CHECK(aloop_await(aloop_sleep(loop, ALOOP_SEC(9))) == ALOOP_ETIMEDOUT);
        CHECK(aloop_deadline_restart(inner, ALOOP_SEC(100)) == 0);
        CHECK(aloop_await(aloop_sleep(loop, 0)) == 0);
        CHECK(aloop_deadline_restart(inner, 0) == 0);
        CHECK(aloop_await(aloop_sleep(loop, ALOOP_SEC(9))) == ALOOP_ETIMEDOUT);
        CHECK(aloop_deadline_end(inner) == 1);
    } else {
        aloop_deadline_end(inner);
    }
    CHECK(aloop_deadline_end(outer) == 0);
}

static void limit_one(aloop *loop)
{
    int number = 6;
    ssize_t status =
        aloop_await(aloop_timeout(aloop_spawn(loop, give, &number), some_ns()));

    CHECK(status == 6 || status == ALOOP_ETIMEDOUT);
}

static ssize_t mark(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, some_ns() / 4));

    ++*(int *) arg;
    soak.counts[SOAK_TASKS]++;
    return status;
}

static void map_all(aloop *loop)
{
    int items[ITEMS] = {0};

    CHECK(aloop_await(aloop_map(loop, mark, items, ITEMS, sizeof items[0],
                                (size_t) soak_random(ITEMS))) == 0);
    for (int i = 0; i < ITEMS; i++)
        CHECK(items[i] == 1);
}

/* All members succeed, one fails, or all are cancelled. */
static void group_them(aloop *loop)
{
    aloop_group *group = aloop_group_new(loop);
    uint64_t outcome = soak_random(3);
    int ran[MEMBERS] = {0};
    ssize_t status;

    CHECK(group != NULL);
    for (int i = 0; i < MEMBERS; i++)
        CHECK(aloop_group_spawn(group, outcome == 0 ? mark : outlast,
                                &ran[i]) == 0);
    if (outcome == 1)
        CHECK(aloop_group_spawn(group, fail, NULL) == 0);
    if (outcome == 2)
        CHECK(aloop_group_cancel(group) == 0);
    status = aloop_await(aloop_group_wait(group));
    CHECK(aloop_group_count(group) == 0);
    CHECK(outcome != 0 || status == 0);
    CHECK(outcome != 1 || status == ALOOP_ENOENT);
    CHECK(outcome != 2 || status == ALOOP_ECANCELED ||
          status == ALOOP_EABORTED);
    for (int i = 0; i < MEMBERS; i++)
        CHECK(ran[i] == (outcome == 0));
    aloop_group_free(group);
}

/* Each callback must run once, in order, and not before the future has
 * settled. */
struct promise {
    aloop_future *future;
    int calls;
    bool is_settled;
};

static void on_first(aloop_future *future, ssize_t status, void *arg)
{
    struct promise *promise = arg;

    CHECK(future == promise->future && status == 9);
    CHECK(promise->is_settled && promise->calls == 0);
    promise->calls++;
    soak.attached--;
}

static void on_second(aloop_future *future, ssize_t status, void *arg)
{
    struct promise *promise = arg;

    CHECK(future == promise->future && status == 9);
    CHECK(promise->calls == 1);
    promise->calls++;
    soak.attached--;
}

static void resolve_a_promise(aloop *loop)
{
    struct promise promise = {.future = aloop_future_new(loop)};
    aloop_future *future = promise.future;

    CHECK(aloop_then(aloop_future_ref(future), on_first, &promise) == 0);
    CHECK(aloop_then(aloop_future_ref(future), on_second, &promise) == 0);
    soak.attached += 2;
    CHECK(aloop_await(aloop_sleep(loop, some_ns())) == 0);
    CHECK(promise.calls == 0);
    promise.is_settled = true;
    CHECK(aloop_future_resolve(future, 9) == 0);
    CHECK(aloop_future_resolve(future, 8) == ALOOP_EALREADY);
    CHECK(promise.calls == 0);
    CHECK(aloop_await(aloop_sleep(loop, 0)) == 0);
    CHECK(aloop_await(future) == 9 && promise.calls == 2);
}

static void (*const operations[])(aloop *loop) = {
    gather_them,       gather_with_a_failure,
    gather_settled,    race_them,
    cancel_one,        drop_one,
    limit_one,         meet_a_deadline,
    map_all,           group_them,
    resolve_a_promise,
};

enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static ssize_t work(aloop *loop, void *arg)
{
    (void) arg;
    while (soak_continues()) {
        operations[soak_random(OPERATIONS)](loop);
        soak.counts[SOAK_TASKS]++;
    }
    return 0;
}

void soak_tasks_start(aloop_group *group)
{
    for (int i = 0; i < WORKERS; i++)
        soak_spawn(group, work, NULL);
}
