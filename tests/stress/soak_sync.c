/* Channels and locks.  Producers number their items, and the consumer checks
 * the numbers.  State that a lock protects is never seen half changed. */

#include "soak.h"

enum { PRODUCERS = 3, BATCH = 200, LOCKERS = 4 };

struct item {
    int producer;
    int number;
};

static struct line {
    aloop_channel *channel;
    int sent[PRODUCERS];
    int received[PRODUCERS];
} line;

/* Awaits `future`, sometimes with a timeout, which must neither lose nor
 * duplicate an item. */
static ssize_t await_or_time_out(aloop_future *future)
{
    if (soak_random(3) > 0)
        return aloop_await(future);
    return aloop_await(aloop_timeout(future, (int64_t) soak_random(20000)));
}

static ssize_t produce(aloop *loop, void *arg)
{
    int *sent = arg;
    struct item item = {(int) (sent - line.sent), 0};

    while (item.number < BATCH) {
        ssize_t status =
            await_or_time_out(aloop_channel_send(line.channel, &item));

        CHECK(status == 0 || status == ALOOP_ETIMEDOUT);
        item.number += status == 0;
        if (soak_random(32) == 0)
            aloop_yield(loop);
    }
    *sent = item.number;
    return 0;
}

static ssize_t consume(aloop *loop, void *arg)
{
    struct item item;
    ssize_t status;

    (void) loop;
    (void) arg;
    do {
        status = await_or_time_out(aloop_channel_receive(line.channel, &item));
        CHECK(status == 0 || status == ALOOP_ETIMEDOUT ||
              status == ALOOP_ECLOSED);
        if (status == 0) {
            CHECK(item.number == line.received[item.producer]);
            line.received[item.producer]++;
            soak.counts[SOAK_ITEMS]++;
        }
    } while (status != ALOOP_ECLOSED);
    return 0;
}

/* Uses a channel from its first item to its close. */
static void run_line(aloop *loop)
{
    aloop_future *consumer, *producers[PRODUCERS];

    line = (struct line){.channel = aloop_channel_new(loop, sizeof(struct item),
                                                      (size_t) soak_random(8))};
    CHECK(line.channel != NULL);
    consumer = aloop_spawn(loop, consume, NULL);
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = aloop_spawn(loop, produce, &line.sent[i]);
    CHECK(aloop_await(aloop_gather_array(loop, PRODUCERS, producers)) == 0);
    CHECK(aloop_channel_close(line.channel) == 0);
    CHECK(aloop_await(consumer) == 0);
    for (int i = 0; i < PRODUCERS; i++)
        CHECK(line.sent[i] == BATCH && line.received[i] == BATCH);
    aloop_channel_free(line.channel);
}

static ssize_t run_lines(aloop *loop, void *arg)
{
    (void) arg;
    while (soak_continues())
        run_line(loop);
    return 0;
}

static struct {
    aloop_mutex *mutex;
    aloop_semaphore *semaphore;
    aloop_barrier *barrier;
    int inside;    /* Tasks that hold the mutex. */
    int permitted; /* Tasks that hold a permit. */
    int waits;     /* Waits for the barrier, in total. */
} locks;

static ssize_t use_locks(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < 10; i++) {
        ssize_t status = await_or_time_out(aloop_mutex_lock(locks.mutex));

        CHECK(status == 0 || status == ALOOP_ETIMEDOUT);
        if (status == 0) {
            CHECK(locks.inside++ == 0);
            aloop_yield(loop);
            CHECK(--locks.inside == 0);
            CHECK(aloop_mutex_unlock(locks.mutex) == 0);
        }
        status = await_or_time_out(aloop_semaphore_acquire(locks.semaphore, 1));
        if (status == 0) {
            CHECK(++locks.permitted <= 2);
            aloop_yield(loop);
            locks.permitted--;
            CHECK(aloop_semaphore_release(locks.semaphore, 1) == 0);
        }
        locks.waits++;
        CHECK(aloop_await(aloop_barrier_wait(locks.barrier)) >= 0);
        CHECK(locks.waits >= (i + 1) * LOCKERS);
        soak.counts[SOAK_ITEMS]++;
    }
    return 0;
}

static ssize_t run_locks(aloop *loop, void *arg)
{
    (void) arg;
    while (soak_continues()) {
        aloop_future *lockers[LOCKERS];

        locks.waits = 0;
        locks.mutex = aloop_mutex_new(loop);
        locks.semaphore = aloop_semaphore_new(loop, 2);
        locks.barrier = aloop_barrier_new(loop, LOCKERS);
        for (int i = 0; i < LOCKERS; i++)
            lockers[i] = aloop_spawn(loop, use_locks, NULL);
        CHECK(aloop_await(aloop_gather_array(loop, LOCKERS, lockers)) == 0);
        CHECK(!aloop_mutex_is_locked(locks.mutex));
        CHECK(aloop_semaphore_count(locks.semaphore) == 2);
        CHECK(aloop_barrier_waiting(locks.barrier) == 0);
        aloop_mutex_free(locks.mutex);
        aloop_semaphore_free(locks.semaphore);
        aloop_barrier_free(locks.barrier);
        CHECK(aloop_await(aloop_sleep(loop, ALOOP_MS(1))) == 0);
    }
    return 0;
}

void soak_sync_start(aloop_group *group)
{
    soak_spawn(group, run_lines, NULL);
    soak_spawn(group, run_locks, NULL);
}
