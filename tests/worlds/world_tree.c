/* A tree of tasks.  Each task waits for others in one of many ways, with
 * deadlines, timeouts, gathers, cancels and shields.
 *
 * Waiting tasks keep the state of their children on their stacks, so one
 * counter shows whether a child still runs after the wait has returned.
 * Timeouts never fire early, a shield blocks every cancel, and each spawned
 * body runs once, to its end. */

#include "world.h"

#include <string.h>

enum {
    DEPTH = 4,
    CHILDREN = 4,
    ROOTS = 6,
    TASKS_MAX = 400,
    OWN_ERROR = -4000 /* An error that only bodies return. */
};

/* State shared by the children of a task, on its stack. */
struct family {
    unsigned depth;
    unsigned running;
};

static struct {
    unsigned spawned, started, ended;
    unsigned roots_left;
    aloop_future *tasks[TASKS_MAX]; /* Borrowed; tasks that run now. */
    size_t running;
    aloop_timer *cancels; /* Cancels a random task now and then. */
} w;

static ssize_t run_body(aloop *loop, void *arg);

static aloop_future *spawn(aloop *loop, struct family *family)
{
    aloop_future *task = NULL;

    if (w.spawned < TASKS_MAX)
        task = aloop_spawn(loop, run_body, family);
    w.spawned += task != NULL;
    return task != NULL ? task : aloop_future_new_settled(loop, 0);
}

/* Checks that `status` is a possible result of a wait in this run. */
static void check_status(ssize_t status)
{
    if (status >= 0 || status == OWN_ERROR)
        return;
    if (status == ALOOP_ECANCELED) {
        CHECK(aloop_is_cancelled() || run.is_freeing);
        return;
    }
    CHECK(status == ALOOP_ETIMEDOUT || status == ALOOP_EABORTED ||
          (status == ALOOP_ENOMEM && run.weather == STARVED));
}

static ssize_t nap(aloop *loop, struct family *family)
{
    int64_t ns = any_delay_ns(ALOOP_SEC(30));
    int64_t start_ns = aloop_now(loop);
    ssize_t result = aloop_await(aloop_sleep(loop, ns));

    (void) family;
    CHECK(result < 0 || aloop_now(loop) - start_ns >= ns);
    CHECK(result < 0 || run.has_jumps || aloop_now(loop) - start_ns == ns);
    return result;
}

static ssize_t pause_once(aloop *loop, struct family *family)
{
    (void) family;
    return aloop_yield(loop);
}

static size_t spawn_some(aloop *loop, struct family *family,
                         aloop_future **futures)
{
    size_t count = between(1, CHILDREN);

    for (size_t i = 0; i < count; i++)
        futures[i] = chance(80) ? spawn(loop, family)
                                : aloop_sleep(loop, any_delay_ns(ALOOP_SEC(9)));
    return count;
}

static ssize_t gather(aloop *loop, struct family *family)
{
    aloop_future *futures[CHILDREN];
    size_t count = spawn_some(loop, family, futures);

    return aloop_await(aloop_gather_array(loop, count, futures));
}

static ssize_t gather_settled(aloop *loop, struct family *family)
{
    aloop_future *futures[CHILDREN];
    ssize_t statuses[CHILDREN];
    size_t count = spawn_some(loop, family, futures), succeeded = 0;
    ssize_t result;

    for (size_t i = 0; i < count; i++)
        statuses[i] = ALOOP_PENDING;
    result = aloop_await(aloop_gather_settled(loop, count, futures, statuses));
    for (size_t i = 0; i < count && result >= 0; i++) {
        CHECK(statuses[i] != ALOOP_PENDING);
        succeeded += statuses[i] >= 0;
    }
    CHECK(result < 0 || (size_t) result == succeeded);
    return result;
}

static ssize_t one_of(aloop *loop, struct family *family,
                      aloop_future *(*array)(aloop *, size_t, aloop_future **,
                                             size_t *) )
{
    aloop_future *futures[CHILDREN];
    size_t count = spawn_some(loop, family, futures), winner = CHILDREN;
    ssize_t result = aloop_await(array(loop, count, futures, &winner));

    CHECK(result < 0 || winner < count);
    return result;
}

static ssize_t any(aloop *loop, struct family *family)
{
    return one_of(loop, family, aloop_any_array);
}

static ssize_t race(aloop *loop, struct family *family)
{
    return one_of(loop, family, aloop_race_array);
}

static ssize_t limit(aloop *loop, struct family *family)
{
    int64_t ns = any_delay_ns(ALOOP_SEC(20));
    int64_t start_ns = aloop_now(loop);
    ssize_t result =
        aloop_await(aloop_timeout(aloop_sleep(loop, ALOOP_SEC(25)), ns));

    (void) family;
    CHECK(result != 0 || run.has_jumps);
    CHECK(result != ALOOP_ETIMEDOUT || family->depth != 0 ||
          aloop_now(loop) - start_ns >= ns);
    return result;
}

static ssize_t limit_child(aloop *loop, struct family *family)
{
    return aloop_await(
        aloop_timeout(spawn(loop, family), any_delay_ns(ALOOP_SEC(20))));
}

/* Sets a deadline for several waits, and checks that it reports correctly
 * whether it has expired. */
static ssize_t under_deadline(aloop *loop, struct family *family)
{
    int64_t ns = any_delay_ns(ALOOP_SEC(20));
    int64_t start_ns = aloop_now(loop);
    aloop_deadline *deadline = aloop_deadline_begin(loop, ns);
    ssize_t result = 0;
    int has_passed;

    for (size_t i = 0; i < 3 && result >= 0; i++)
        result = chance(50) ? nap(loop, family)
                            : aloop_await(spawn(loop, family));
    has_passed = aloop_deadline_end(deadline);
    CHECK(deadline != NULL || run.weather == STARVED || run.is_freeing);
    CHECK(has_passed != 1 || aloop_now(loop) - start_ns >= ns);
    return result;
}

/* Blocks cancels and deadlines. */
static ssize_t shield(aloop *loop, struct family *family)
{
    ssize_t result;

    CHECK(aloop_shield_begin() == 0);
    result = nap(loop, family);
    CHECK(result == 0 || run.weather == STARVED || run.is_freeing);
    CHECK(aloop_shield_end() == 0);
    return 0;
}

static ssize_t in_group(aloop *loop, struct family *family)
{
    aloop_group *group = aloop_group_new(loop);
    ssize_t result;

    for (size_t i = between(0, 3); i > 0 && w.spawned < TASKS_MAX; i--)
        w.spawned += aloop_group_spawn(group, run_body, family) == 0;
    if (chance(10))
        aloop_group_cancel(group);
    result = aloop_await(aloop_group_wait(group));
    CHECK(aloop_group_count(group) == 0 || result == ALOOP_ENOMEM);
    /* Without memory there was no wait, and the members continue. */
    while (aloop_group_count(group) > 0) {
        aloop_group_cancel(group);
        aloop_yield(loop); /* A yield works without memory, too. */
        shield(loop, family);
    }
    aloop_group_free(group);
    return group != NULL ? result : ALOOP_ENOMEM;
}

/* Waits for a child that was cancelled. */
static ssize_t cancel_child(aloop *loop, struct family *family)
{
    aloop_future *child = spawn(loop, family);

    if (chance(50))
        nap(loop, family);
    aloop_cancel(child);
    return aloop_await(child);
}

static ssize_t cancel_self(aloop *loop, struct family *family)
{
    (void) family;
    CHECK(aloop_cancel(aloop_current_task()) == 1);
    CHECK(aloop_is_cancelled());
    CHECK(aloop_await(aloop_sleep(loop, ALOOP_SEC(1))) < 0);
    return ALOOP_ECANCELED;
}

static void enter(struct family *family)
{
    family->running++;
    w.started++;
    w.tasks[w.running++] = aloop_current_task();
}

static void leave(struct family *family)
{
    size_t i = 0;

    while (w.tasks[i] != aloop_current_task())
        i++;
    w.tasks[i] = w.tasks[--w.running];
    CHECK(family->running > 0);
    family->running--;
    w.ended++;
}

/* Returns the state to use for the children.  Without memory for a wait, a
 * child is cancelled and not awaited, so it may outlive its parent's stack. */
static struct family *keep_family(struct family *own)
{
    return run.weather == STARVED ? keep(sizeof *own) : own;
}

static ssize_t run_body(aloop *loop, void *arg)
{
    static ssize_t (*const ways[])(aloop * loop, struct family * family) = {
        nap,         pause_once,     shield, limit,        under_deadline,
        limit_child, gather,         any,    race,         gather_settled,
        in_group,    under_deadline, gather, cancel_child, cancel_self,
    };
    enum { WAYS = sizeof ways / sizeof ways[0], LEAVES = 4 };
    struct family *parent = arg;
    struct family own = {0};
    struct family *family = keep_family(&own);
    size_t choices;
    ssize_t result = 0;

    CHECK(!run.is_over);
    enter(parent);
    family->depth = parent->depth + 1;
    choices = family->depth < DEPTH ? WAYS : LEAVES;
    for (size_t i = between(1, 4); i > 0 && result >= 0; i--) {
        result = ways[sim_random(choices)](loop, family);
        CHECK(family->running == 0 || run.weather == STARVED);
        check_status(result);
    }
    leave(parent);
    if (result < 0)
        return chance(50) ? result : 0;
    return chance(10) ? OWN_ERROR : (ssize_t) sim_random(9);
}

static void cancel_random_task(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    if (w.running > 0 && chance(40))
        aloop_cancel(w.tasks[sim_random(w.running)]);
}

static void on_root(struct follow *follow, ssize_t status)
{
    struct family *family = follow->arg;

    (void) status;
    CHECK(family->running == 0 || run.weather == STARVED);
    if (--w.roots_left == 0)
        aloop_wake(run.loop);
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_SEC(1) + 1, cancel_random_task,
                            NULL, &w.cancels) == 0);
    w.roots_left = (unsigned) between(1, ROOTS);
    for (unsigned i = w.roots_left; i > 0; i--) {
        struct family *family = keep(sizeof *family);

        follow(spawn(run.loop, family), on_root, family);
    }
}

static bool is_done(void)
{
    CHECK(w.started <= w.spawned && w.ended <= w.started);
    return w.roots_left == 0;
}

static void close_world(void)
{
    aloop_timer_close(w.cancels);
}

static void check(void)
{
    CHECK(w.started == w.ended);
    /* Without memory for its stack, a task ends without having started. */
    CHECK(w.started == w.spawned || run.weather == STARVED);
    CHECK(w.running == 0);
}

const struct world world_tree = {"tree",      start, is_done,
                                 close_world, check, NULL};
