/* A channel and a semaphore, and tasks that are cancelled at random while they
 * wait for them.
 *
 * Each item whose send succeeded is received exactly once.  At most as many
 * permits are acquired as there are, and in the end all of them are free. */

#include "world.h"

#include <string.h>

enum { ITEMS_MAX = 400, TASKS_MAX = 36, USES = 20 };

static struct {
    aloop_channel *channel;
    int items, next; /* How many there are, and the next one to send. */
    bool is_sent[ITEMS_MAX];
    int times_received[ITEMS_MAX];
    aloop_semaphore *semaphore;
    size_t permits, acquired;
    aloop_timer *heart;
    aloop_future *tasks[TASKS_MAX];
    size_t tasks_count;
} w;

static void pause_some(void)
{
    if (chance(25))
        aloop_await(aloop_sleep(run.loop, any_delay_ns(ALOOP_US(50))));
}

static void check_status(ssize_t status)
{
    CHECK(status == 0 || status == ALOOP_ECANCELED || status == ALOOP_ECLOSED ||
          (status == ALOOP_ENOMEM && run.weather == STARVED));
}

static ssize_t sell(aloop *loop, void *arg)
{
    ssize_t status = 0;

    (void) loop;
    (void) arg;
    while (w.next < w.items && status == 0) {
        int item = w.next++;

        status = aloop_await(aloop_channel_send(w.channel, &item));
        check_status(status);
        w.is_sent[item] = status == 0;
        pause_some();
    }
    return 0;
}

static ssize_t buy(aloop *loop, void *arg)
{
    ssize_t status = 0;
    int item;

    (void) loop;
    (void) arg;
    while (status == 0) {
        status = aloop_await(aloop_channel_receive(w.channel, &item));
        check_status(status);
        if (status == 0)
            w.times_received[item]++;
        pause_some();
    }
    return 0;
}

static ssize_t use(aloop *loop, void *arg)
{
    size_t count = between(1, w.permits);

    (void) arg;
    for (int i = 0; i < USES; i++) {
        ssize_t status =
            aloop_await(aloop_semaphore_acquire(w.semaphore, count));

        check_status(status);
        if (status < 0)
            break;
        w.acquired += count;
        CHECK(w.acquired <= w.permits);
        aloop_await(aloop_sleep(loop, any_delay_ns(ALOOP_US(50))));
        w.acquired -= count;
        CHECK(aloop_semaphore_release(w.semaphore, count) == 0);
    }
    return 0;
}

static aloop_future *spawn(size_t place)
{
    static const aloop_task_fn fns[] = {sell, buy, use};

    return aloop_spawn(run.loop, fns[place % 3], NULL);
}

/* Replaces a task, and acquires a permit that is never used. */
static void on_heart(aloop_timer *timer, void *arg)
{
    size_t place = (size_t) sim_random(w.tasks_count);

    (void) timer;
    (void) arg;
    if (chance(30)) {
        aloop_cancel(w.tasks[place]);
        aloop_detach(w.tasks[place]);
        w.tasks[place] = spawn(place);
    }
    if (chance(20))
        aloop_future_unref(aloop_semaphore_acquire(w.semaphore, 1));
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    w.items = (int) between(1, ITEMS_MAX);
    w.channel = aloop_channel_new(run.loop, sizeof(int), between(0, 3));
    w.permits = between(1, 3);
    w.semaphore = aloop_semaphore_new(run.loop, w.permits);
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_US(between(1, 100)), on_heart,
                            NULL, &w.heart) == 0);
    w.tasks_count = between(3, TASKS_MAX); /* At least one of each kind. */
    for (size_t i = 0; i < w.tasks_count; i++)
        w.tasks[i] = spawn(i);
}

/* Posts may come for seconds, so the heart stops with the last item. */
static bool is_done(void)
{
    if (w.next < w.items)
        return false;
    aloop_timer_close(w.heart);
    w.heart = NULL;
    return true;
}

/* Sellers and buyers end with the channel, and the others after their uses. */
static void close_world(void)
{
    aloop_timer_close(w.heart);
    CHECK(aloop_channel_close(w.channel) == 0);
    for (size_t i = 0; i < w.tasks_count; i++)
        aloop_detach(w.tasks[i]);
}

/* Items stay in the channel if all buyers were cancelled. */
static void check(void)
{
    int item;

    while (aloop_channel_try_receive(w.channel, &item) == 0)
        w.times_received[item]++;
    for (item = 0; item < w.items; item++)
        CHECK(w.times_received[item] == w.is_sent[item]);
    CHECK(w.acquired == 0);
    CHECK(aloop_semaphore_count(w.semaphore) == w.permits);
    if (chance(50)) /* Otherwise the loop frees them. */
        return;
    aloop_channel_free(w.channel);
    aloop_semaphore_free(w.semaphore);
}

const struct world world_sync = {"sync",      start, is_done,
                                 close_world, check, NULL};
