/* Work of aloop_growth with timers, calls and streams, and what aloop_free()
 * ends. */

#include "growth.h"

/* Timers and calls. */

static size_t fired;

static void on_expire(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    fired++;
}

static aloop_timer **timers_new(aloop *loop, size_t count)
{
    aloop_timer **timers = array_new(count, sizeof(aloop_timer *));

    for (size_t i = 0; i < count; i++) {
        timers[i] = aloop_timer_new(loop, on_expire, NULL);
        check(timers[i] != NULL, "a timer");
        aloop_timer_restart(timers[i],
                            ALOOP_SEC(10 + (int64_t) scattered(i, count)));
    }
    return timers;
}

/* Stopped entries stay in the heap until they reach its top. */
void run_stop_marks(aloop *loop, size_t count)
{
    aloop_timer **timers = timers_new(loop, count);

    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < count; i++)
            aloop_timer_stop(timers[i]);
        for (size_t i = 0; i < count; i += 4)
            aloop_step(loop, 0);
        for (size_t i = 0; i < count; i++)
            aloop_timer_restart(timers[i], ALOOP_SEC(10 + (int64_t) i));
        for (size_t i = 0; i < count; i += 4)
            aloop_step(loop, 0);
    }
    for (size_t i = 0; i < count; i++)
        aloop_timer_close(timers[i]);
    free(timers);
}

/* Each is moved to a later time, and to an earlier one, and expires. */
void run_expiries(aloop *loop, size_t count)
{
    aloop_timer **timers = timers_new(loop, count);

    for (size_t i = 0; i < count; i++)
        aloop_timer_restart(timers[i], ALOOP_SEC(1000000 + (int64_t) i));
    for (size_t i = 0; i < count; i++)
        aloop_timer_restart(timers[scattered(i, count)], 1 + (int64_t) i);
    while (fired < count)
        aloop_step(loop, 0);
    for (size_t i = 0; i < count; i++)
        aloop_timer_close(timers[i]);
    free(timers);
}

static void count_call(aloop *loop, void *arg)
{
    (void) loop;
    ++*(size_t *) arg;
}

void run_defer(aloop *loop, size_t count)
{
    size_t calls = 0;

    for (size_t i = 0; i < count; i++)
        aloop_defer(loop, count_call, &calls);
    run_turns(loop);
    check(calls == count, "deferred calls");
}

void run_post(aloop *loop, size_t count)
{
    size_t calls = 0;

    for (size_t i = 0; i < count; i++)
        aloop_post(loop, count_call, &calls);
    run_turns(loop);
    check(calls == count, "posts");
}

/* Unused objects are given back while the loop sleeps. */
void run_sweep(aloop *loop, size_t count)
{
    aloop_timer **timers = timers_new(loop, count);

    for (size_t i = 0; i < count; i++)
        aloop_timer_close(timers[scattered(i, count)]);
    free(timers);
    (void) aloop_await(aloop_sleep(loop, ALOOP_SEC(3)));
}

/* Streams. */

/* Many drains wait while the peer takes what was put in small parts. */
void run_drains(aloop *loop, size_t count)
{
    enum { PART = 64 * 1024, PARTS = 16 };
    static char part[PART];
    aloop_future **drains = futures_new(count);
    aloop_stream *from, *to;

    check(aloop_stream_pair(loop, &from, &to) == 0, "a pair");
    aloop_stream_set_watermarks(from, 0, PART);
    for (size_t i = 0; i < PARTS + count / 64; i++)
        aloop_stream_put(from, part, PART);
    for (size_t i = 0; i < count; i++)
        drains[i] = aloop_stream_drain(from);
    for (size_t i = 0; i < PARTS + count / 64; i++)
        check(aloop_await(aloop_stream_read_exactly(to, part, PART)) == PART,
              "reading");
    await_all(drains, count, 0);
    aloop_stream_close(from);
    aloop_stream_close(to);
}

/* What aloop_free() ends. */

static ssize_t sleep_long(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(3600)));
}

void leave_tasks(aloop *loop, size_t count)
{
    for (size_t i = 0; i < count; i++)
        aloop_detach(aloop_spawn(loop, sleep_long, NULL));
    run_turns(loop);
}

/* A fifth are timers, sleeps, locks, posts and deferred calls. */
void leave_objects(aloop *loop, size_t count)
{
    static size_t calls;
    aloop_mutex *mutex = aloop_mutex_new(loop);

    free(timers_new(loop, count / 5));
    for (size_t i = 0; i < count / 5; i++) {
        aloop_detach(aloop_sleep(loop, ALOOP_SEC(3600)));
        aloop_detach(aloop_mutex_lock(mutex));
        aloop_post(loop, count_call, &calls);
        aloop_defer(loop, count_call, &calls);
    }
}
