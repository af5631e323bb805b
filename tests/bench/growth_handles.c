/* Work of aloop_growth with timers, calls, jobs and streams, and what
 * aloop_free() ends. */

#define _POSIX_C_SOURCE 200809L

#include "growth.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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

static size_t caught;

static void on_signal(aloop_signal *signal, int number, void *arg)
{
    (void) signal;
    (void) number;
    (void) arg;
    caught++;
}

void run_signals(aloop *loop, size_t count)
{
    aloop_signal **watches = array_new(count, sizeof(aloop_signal *));

    for (size_t i = 0; i < count; i++)
        check(aloop_signal_start(loop, SIGUSR1, on_signal, NULL, &watches[i]) ==
                  0,
              "a watch of a signal");
    raise(SIGUSR1);
    while (caught < count)
        aloop_step(loop, 0);
    for (size_t i = 0; i < count; i++)
        aloop_signal_close(watches[scattered(i, count)]);
    free(watches);
}

static int64_t wait_as_before(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    return -1;
}

void run_prepares(aloop *loop, size_t count)
{
    aloop_prepare **prepares = array_new(count, sizeof(aloop_prepare *));

    for (size_t i = 0; i < count; i++)
        check(aloop_prepare_start(loop, wait_as_before, NULL, &prepares[i]) ==
                  0,
              "a prepare");
    run_turns(loop);
    for (size_t i = 0; i < count; i++)
        aloop_prepare_close(prepares[scattered(i, count)]);
    free(prepares);
}

static void on_ready(aloop_poll *poll, unsigned events, void *arg)
{
    (void) poll;
    (void) events;
    (void) arg;
}

/* Many polls of one descriptor.  A third of them wants each kind of event. */
void run_polls(aloop *loop, size_t count)
{
    aloop_poll **polls = array_new(count, sizeof(aloop_poll *));
    int ends[2];

    check(pipe(ends) == 0, "a pipe");
    for (size_t i = 0; i < count; i++)
        check(aloop_poll_start(loop, ends[0], (unsigned) (3 * i / count),
                               on_ready, NULL, &polls[i]) == 0,
              "a poll");
    run_turns(loop);
    for (size_t i = 0; i < count; i++)
        check(aloop_poll_set_events(polls[count - 1 - i],
                                    (unsigned) (3 * i / count)) == 0,
              "a change");
    for (size_t i = 0; i < count; i++)
        aloop_poll_close(polls[scattered(i, count)]);
    free(polls);
    close(ends[0]);
    close(ends[1]);
}

/* Jobs of the pool. */

static ssize_t no_work(void *arg)
{
    (void) arg;
    return 0;
}

static aloop_future *start_work(aloop *loop)
{
    return aloop_work(loop, no_work, NULL);
}

static aloop_future *start_unlink(aloop *loop)
{
    return aloop_fs_unlink(loop, "/nowhere/nothing");
}

static aloop_future *start_look_up(aloop *loop)
{
    static aloop_address *addresses; /* Not written, because none begins. */

    return aloop_resolve(loop, "localhost", NULL, ALOOP_FAMILY_ANY, &addresses);
}

/* Those that are not kept are cancelled, a half of them before the pool has
 * them.  If none is kept, the pool gets none. */
static void run_jobs(aloop *loop, size_t count, size_t kept,
                     aloop_future *(*start)(aloop *loop))
{
    aloop_future **jobs = futures_new(count);

    for (size_t i = 0; i < count; i++)
        jobs[i] = start(loop);
    for (size_t i = kept; i < count; i++) {
        if (kept > 0 && i == kept + (count - kept) / 2)
            aloop_step(loop, 0);
        aloop_cancel(jobs[scattered(i, count)]);
    }
    for (size_t i = 0; i < count; i++)
        (void) aloop_await(jobs[i]);
    free(jobs);
}

void run_work(aloop *loop, size_t count)
{
    run_jobs(loop, count, count / 2, start_work);
}

void run_files(aloop *loop, size_t count)
{
    run_jobs(loop, count, count / 2, start_unlink);
}

/* Many reads of cached bytes: a turn does 64 of them. */
void run_file_reads(aloop *loop, size_t count)
{
    enum { SIZE = 4096 };
    static char bytes[SIZE];
    aloop_future **reads = futures_new(count);
    aloop_file *file;

    check(aloop_await(aloop_file_open(loop, "/bin/sh", O_RDONLY, 0, &file)) ==
              0,
          "opening");
    for (size_t i = 0; i < count; i++)
        reads[i] = aloop_file_read_at(file, bytes, SIZE, 0);
    await_all(reads, count, SIZE);
    aloop_file_close(file);
}

/* A look-up that a thread has begun would take an unknown number of
 * instructions. */
void run_look_ups(aloop *loop, size_t count)
{
    run_jobs(loop, count, 0, start_look_up);
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

/* A half of the writes is cancelled while they are queued. */
void run_writes(aloop *loop, size_t count)
{
    static char bytes[1024 * 1024]; /* More than the system takes. */
    aloop_future **writes = futures_new(count);
    aloop_stream *from, *to;

    check(aloop_stream_pair(loop, &from, &to) == 0, "a pair");
    aloop_stream_put(from, bytes, sizeof bytes);
    for (size_t i = 0; i < count; i++)
        writes[i] = aloop_stream_write(from, bytes, 1);
    run_turns(loop);
    for (size_t i = 0; i < count; i += 2)
        aloop_cancel(writes[scattered(i, count)]);
    aloop_stream_close(from);
    while (aloop_await(aloop_stream_read(to, bytes, sizeof bytes)) > 0)
        continue;
    for (size_t i = 0; i < count; i++)
        check(aloop_await(writes[scattered(i, count)]) ==
                  (i % 2 == 0 ? ALOOP_EABORTED : 1),
              "a write");
    aloop_stream_close(to);
    free(writes);
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

static void note_end(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) status;
    ++*(size_t *) arg;
}

/* A sixth of each of these. */
void leave_others(aloop *loop, size_t count)
{
    static size_t calls;

    for (size_t i = 0; i < count / 6; i++) {
        aloop_signal *watch;
        aloop_prepare *prepare;

        check(aloop_then(aloop_future_new(loop), note_end, &calls) == 0 &&
                  aloop_signal_start(loop, SIGUSR1, on_signal, NULL, &watch) ==
                      0 &&
                  aloop_prepare_start(loop, wait_as_before, NULL, &prepare) ==
                      0,
              "an object");
        aloop_detach(start_work(loop));
        aloop_detach(start_unlink(loop));
    }
    aloop_step(loop, 0);
    for (size_t i = 0; i < count / 6; i++)
        aloop_detach(start_look_up(loop));
}

/* Only what the child does is counted: the program that the parent becomes runs
 * without valgrind. */
void run_fork(aloop *loop, size_t count)
{
    int status;
    pid_t pid;

    leave_objects(loop, count);
    pid = fork();
    if (pid == 0) {
        growth_begin = clock();
        check(aloop_after_fork(loop) == 0, "a child");
        run_turns(loop);
        return;
    }
    check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "a fork");
    execlp("true", "true", (char *) NULL);
    check(false, "exec");
}
