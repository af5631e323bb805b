/* Work with many members, whose instructions growth.sh counts for each number,
 * and whose CPU time members.sh measures.
 *
 *     aloop_growth WORKLOAD COUNT
 *     aloop_growth --list
 *
 * It does one kind of work with `COUNT` members, in one process, and prints the
 * CPU nanoseconds of each member.  The cost of each member must not depend on
 * how many there are. */

#include "growth.h"

#include <string.h>

static aloop_future **sleeps_new(aloop *loop, size_t count)
{
    aloop_future **sleeps = futures_new(count);

    for (size_t i = 0; i < count; i++)
        sleeps[i] = aloop_sleep(loop, ALOOP_SEC(3600));
    return sleeps;
}

/* Compositions. */

static ssize_t nothing(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 0;
}

/* The last item fails, and the others are cancelled. */
static ssize_t sleep_or_fail(aloop *loop, void *arg)
{
    return *(char *) arg ? -1 : aloop_await(aloop_sleep(loop, ALOOP_SEC(3600)));
}

static void run_map(aloop *loop, size_t count)
{
    char *items = array_new(count, 1);

    check(aloop_await(aloop_map(loop, nothing, items, count, 1, 64)) == 0,
          "a map");
    free(items);
}

static void run_map_fail(aloop *loop, size_t count)
{
    char *items = array_new(count, 1);

    items[count - 1] = 1;
    check(aloop_await(aloop_map(loop, sleep_or_fail, items, count, 1, 0)) == -1,
          "a map that fails");
    free(items);
}

static void run_gather(aloop *loop, size_t count)
{
    aloop_future **tasks = futures_new(count);

    for (size_t i = 0; i < count; i++)
        tasks[i] = aloop_spawn(loop, nothing, NULL);
    check(aloop_await(aloop_gather_array(loop, count, tasks)) == 0, "gather");
    free(tasks);
}

/* A member is a promise that settles, and the others are cancelled. */
static void compose_end(aloop *loop, size_t count, ssize_t status,
                        aloop_future *(*compose)(aloop *, size_t,
                                                 aloop_future **) )
{
    aloop_future **members = sleeps_new(loop, count);
    aloop_future *promise = aloop_future_new(loop), *all;

    aloop_future_unref(members[count / 2]);
    members[count / 2] = aloop_future_ref(promise);
    all = compose(loop, count, members);
    aloop_future_resolve(promise, status);
    aloop_future_unref(promise);
    check(aloop_await(all) == status, "the status of a composition");
    free(members);
}

static void run_gather_fail(aloop *loop, size_t count)
{
    compose_end(loop, count, -1, aloop_gather_array);
}

static aloop_future *race(aloop *loop, size_t count, aloop_future **members)
{
    return aloop_race_array(loop, count, members, NULL);
}

static void run_race(aloop *loop, size_t count)
{
    compose_end(loop, count, 1, race);
}

static void run_race_fail(aloop *loop, size_t count)
{
    compose_end(loop, count, -1, race);
}

static aloop_future *any(aloop *loop, size_t count, aloop_future **members)
{
    return aloop_any_array(loop, count, members, NULL);
}

static void run_any(aloop *loop, size_t count)
{
    compose_end(loop, count, 1, any);
}

/* Each member but the first fails, in a turn of 16; then the first succeeds. */
static void run_any_fail(aloop *loop, size_t count)
{
    aloop_future **promises = promises_new(loop, count), *first;
    aloop_future **members = futures_new(count);

    for (size_t i = 0; i < count; i++)
        members[i] = aloop_future_ref(promises[i]);
    first = any(loop, count, members);
    for (size_t i = count; i-- > 0;) {
        aloop_future_resolve(promises[i], i == 0 ? 1 : -1);
        aloop_future_unref(promises[i]);
        if (i % 16 == 0)
            aloop_step(loop, 0);
    }
    check(aloop_await(first) == 1, "any");
    free(promises);
    free(members);
}

/* Each settles in a turn of 16. */
static void run_gather_settled(aloop *loop, size_t count)
{
    aloop_future **promises = promises_new(loop, count), *all;
    aloop_future **members = futures_new(count);

    for (size_t i = 0; i < count; i++)
        members[i] = aloop_future_ref(promises[i]);
    all = aloop_gather_settled(loop, count, members, NULL);
    for (size_t i = 0; i < count; i++) {
        size_t at = scattered(i, count);

        aloop_future_resolve(promises[at], at % 2 ? -1 : 0);
        aloop_future_unref(promises[at]);
        if (i % 16 == 0)
            aloop_step(loop, 0);
    }
    check(aloop_await(all) >= 0, "gather_settled");
    free(promises);
    free(members);
}

/* A half of the targets settles in time. */
static void run_timeout(aloop *loop, size_t count)
{
    aloop_future **promises = promises_new(loop, count);
    aloop_future **limited = futures_new(count);

    for (size_t i = 0; i < count; i++)
        limited[i] = aloop_timeout(aloop_future_ref(promises[i]),
                                   ALOOP_SEC(1 + (int64_t) i));
    for (size_t i = 0; i < count; i++) {
        size_t at = scattered(i, count);

        if (i % 2 == 0)
            aloop_future_resolve(promises[at], 0);
        else
            aloop_cancel(limited[at]);
    }
    for (size_t i = 0; i < count; i++) {
        (void) aloop_await(limited[i]);
        aloop_future_unref(promises[i]);
    }
    free(promises);
    free(limited);
}

static void settled(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) status;
    ++*(size_t *) arg;
}

/* Many continuations of one future. */
static void run_then(aloop *loop, size_t count)
{
    aloop_future *promise = aloop_future_new(loop);
    size_t calls = 0;

    for (size_t i = 0; i < count; i++)
        check(aloop_then(aloop_future_ref(promise), settled, &calls) == 0,
              "then");
    aloop_future_resolve(promise, 0);
    aloop_future_unref(promise);
    run_turns(loop);
    check(calls == count, "continuations");
}

/* Tasks. */

/* A half of them is detached. */
static void run_spawn(aloop *loop, size_t count)
{
    aloop_future **tasks = futures_new(count);

    for (size_t i = 0; i < count; i++)
        tasks[i] = aloop_spawn(loop, nothing, NULL);
    for (size_t i = 0; i < count; i++)
        if (i % 2 == 0)
            aloop_detach(tasks[scattered(i, count)]);
        else
            check(aloop_await(tasks[scattered(i, count)]) == 0, "a task");
    free(tasks);
}

static aloop_future *gate; /* What the tasks below await. */

static ssize_t wait_at_gate(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return aloop_await(aloop_future_ref(gate));
}

static void group_fill(aloop *loop, aloop_group *group, size_t count)
{
    gate = aloop_future_new(loop);
    for (size_t i = 0; i < count; i++)
        check(aloop_group_spawn(group, wait_at_gate, NULL) == 0, "a spawn");
    run_turns(loop);
}

/* The unused stacks and objects are given back while the loop sleeps. */
static void run_group_cancel(aloop *loop, size_t count)
{
    aloop_group *group = aloop_group_new(loop);

    group_fill(loop, group, count);
    aloop_group_cancel(group);
    (void) aloop_await(aloop_group_wait(group));
    aloop_group_free(group);
    aloop_future_unref(gate);
    (void) aloop_await(aloop_sleep(loop, ALOOP_SEC(3)));
}

/* Many wait for one group. */
static void run_group_waits(aloop *loop, size_t count)
{
    aloop_group *group = aloop_group_new(loop);
    aloop_future **waits = futures_new(count);

    group_fill(loop, group, 16);
    for (size_t i = 0; i < count; i++)
        waits[i] = aloop_group_wait(group);
    for (size_t i = 0; i < count; i += 2)
        aloop_cancel(waits[scattered(i, count)]);
    aloop_future_resolve(gate, 0);
    aloop_future_unref(gate);
    for (size_t i = 0; i < count; i++)
        (void) aloop_await(waits[i]);
    aloop_group_free(group);
    free(waits);
}

/* Each task awaits the next one.  A cancel goes down to the last. */
static ssize_t await_next(aloop *loop, void *arg)
{
    size_t *left = arg;

    if (--*left == 0)
        return aloop_await(aloop_future_ref(gate));
    return aloop_await(aloop_spawn(loop, await_next, left));
}

static void run_chain(aloop *loop, size_t count)
{
    size_t left = count;
    aloop_future *first;

    gate = aloop_future_new(loop);
    first = aloop_spawn(loop, await_next, &left);
    while (left > 0)
        aloop_step(loop, 0);
    aloop_cancel(first);
    check(aloop_await(first) < 0, "a chain that was cancelled");
    aloop_future_unref(gate);
}

/* Objects of src/sync. */

static void run_mutex(aloop *loop, size_t count)
{
    aloop_mutex *mutex = aloop_mutex_new(loop);
    aloop_future **locks = futures_new(count);

    for (size_t i = 0; i < count; i++)
        locks[i] = aloop_mutex_lock(mutex);
    for (size_t i = 1; i < count; i += 2)
        aloop_cancel(locks[count - i]);
    for (size_t i = 0; i < count; i++)
        if (aloop_await(locks[i]) == 0)
            aloop_mutex_unlock(mutex);
    aloop_mutex_free(mutex);
    free(locks);
}

static aloop_mutex *meeting;
static aloop_condition *notice;

static ssize_t wait_for_notice(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_mutex_lock(meeting));

    (void) loop;
    (void) arg;
    check(status == 0, "a lock");
    status = aloop_condition_wait(notice, meeting);
    aloop_mutex_unlock(meeting);
    return status;
}

/* A half of the waits is cancelled. */
static void run_condition(aloop *loop, size_t count)
{
    aloop_future **tasks = futures_new(count);

    meeting = aloop_mutex_new(loop);
    notice = aloop_condition_new(loop);
    for (size_t i = 0; i < count; i++)
        tasks[i] = aloop_spawn(loop, wait_for_notice, NULL);
    run_turns(loop);
    for (size_t i = 0; i < count; i += 2)
        aloop_cancel(tasks[scattered(i, count)]);
    run_turns(loop);
    aloop_condition_notify_all(notice);
    for (size_t i = 0; i < count; i++)
        check(aloop_await(tasks[scattered(i, count)]) ==
                  (i % 2 == 0 ? ALOOP_EABORTED : 0),
              "a wait for a condition");
    aloop_condition_free(notice);
    aloop_mutex_free(meeting);
    free(tasks);
}

/* A third of the waits is for each object. */
static void run_waits(aloop *loop, size_t count)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(loop, 0);
    aloop_event *event = aloop_event_new(loop);
    aloop_barrier *barrier = aloop_barrier_new(loop, count / 3);
    aloop_future **waits = futures_new(count);
    size_t third = count / 3;

    for (size_t i = 0; i < third; i++) {
        waits[i] = aloop_semaphore_acquire(semaphore, 1 + i % 3);
        waits[third + i] = aloop_event_wait(event);
        waits[2 * third + i] = aloop_barrier_wait(barrier);
    }
    aloop_event_set(event);
    for (size_t i = 0; i < third; i++)
        aloop_semaphore_release(semaphore, 1 + i % 3);
    for (size_t i = 0; i < 3 * third; i++)
        check(aloop_await(waits[i]) >= 0, "a wait");
    aloop_semaphore_free(semaphore);
    aloop_event_free(event);
    aloop_barrier_free(barrier);
    free(waits);
}

/* Senders wait for receivers, and then receivers for senders. */
static void run_channel(aloop *loop, size_t count)
{
    aloop_channel *channel = aloop_channel_new(loop, sizeof(int), 1);
    aloop_future **waits = futures_new(count);
    int item = 0;

    for (size_t i = 0; i < count; i++)
        waits[i] = aloop_channel_send(channel, &item);
    for (size_t i = 0; i < count; i++)
        check(aloop_channel_try_receive(channel, &item) == 0, "receiving");
    for (size_t i = 0; i < count; i++) {
        check(aloop_await(waits[i]) == 0, "sending");
        waits[i] = aloop_channel_receive(channel, &item);
    }
    for (size_t i = 0; i < count; i++)
        check(aloop_channel_try_send(channel, &item) == 0, "sending");
    await_all(waits, count, 0);
    aloop_channel_free(channel);
}

/* All are cancelled, or see the end of the channel. */
static void run_channel_end(aloop *loop, size_t count)
{
    aloop_channel *channel = aloop_channel_new(loop, sizeof(int), 1);
    aloop_future **waits = futures_new(count);
    int item = 0;

    for (size_t i = 0; i < count; i++)
        waits[i] = aloop_channel_receive(channel, &item);
    for (size_t i = 0; i < count; i += 2)
        aloop_cancel(waits[scattered(i, count)]);
    aloop_channel_close(channel);
    for (size_t i = 0; i < count; i++)
        check(aloop_await(waits[i]) < 0, "a receive without an item");
    aloop_channel_free(channel);
    free(waits);
}

static const struct {
    const char *name;
    void (*run)(aloop *loop, size_t count);
} workloads[] = {
    {"any", run_any},
    {"any-fail", run_any_fail},
    {"chain-cancel", run_chain},
    {"channel", run_channel},
    {"channel-end", run_channel_end},
    {"condition", run_condition},
    {"defer", run_defer},
    {"drains", run_drains},
    {"file-reads", run_file_reads},
    {"files", run_files},
    {"fork", run_fork},
    {"free-objects", leave_objects},
    {"free-others", leave_others},
    {"free-tasks", leave_tasks},
    {"gather", run_gather},
    {"gather-fail", run_gather_fail},
    {"gather-settled", run_gather_settled},
    {"group-cancel", run_group_cancel},
    {"group-waits", run_group_waits},
    {"look-ups", run_look_ups},
    {"map", run_map},
    {"map-fail", run_map_fail},
    {"mutex", run_mutex},
    {"polls", run_polls},
    {"post", run_post},
    {"prepares", run_prepares},
    {"race", run_race},
    {"race-fail", run_race_fail},
    {"signals", run_signals},
    {"spawn", run_spawn},
    {"sweep", run_sweep},
    {"then", run_then},
    {"timeout", run_timeout},
    {"timer-expire", run_expiries},
    {"timer-stop", run_stop_marks},
    {"waits", run_waits},
    {"work", run_work},
    {"writes", run_writes},
};

clock_t growth_begin;

int main(int argc, char **argv)
{
    bool is_list = argc == 2 && strcmp(argv[1], "--list") == 0;

    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        aloop *loop;
        size_t count;

        if (is_list)
            printf("%s\n", workloads[i].name);
        if (argc != 3 || strcmp(workloads[i].name, argv[1]) != 0)
            continue;
        count = strtoul(argv[2], NULL, 10);
        growth_begin = clock();
        loop = aloop_new(NULL);
        check(loop != NULL && count > 0, "a loop and members");
        workloads[i].run(loop, count);
        aloop_free(loop);
        printf("%.1f\n", 1e9 / CLOCKS_PER_SEC *
                             (double) (clock() - growth_begin) /
                             (double) count);
        return 0;
    }
    if (is_list)
        return 0;
    fprintf(stderr, "usage: aloop_growth WORKLOAD COUNT\n");
    return 2;
}
