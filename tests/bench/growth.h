/* What the files of aloop_growth share. */

#ifndef GROWTH_H
#define GROWTH_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <aloop.h>

/* The CPU time of this process when the work began. */
extern clock_t growth_begin;

static inline void check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "aloop_growth: %s\n", what);
    exit(1);
}

static inline void *array_new(size_t count, size_t size)
{
    void *array = calloc(count + 1, size);

    check(array != NULL, "out of memory");
    return array;
}

static inline aloop_future **futures_new(size_t count)
{
    return array_new(count, sizeof(aloop_future *));
}

/* Visits all of them in another order.  71,993 is a prime number. */
static inline size_t scattered(size_t i, size_t count)
{
    return i * 71993 % count;
}

/* Runs what is ready.  The loop leaves nothing that takes more turns. */
static inline void run_turns(aloop *loop)
{
    for (int i = 0; i < 8; i++)
        aloop_step(loop, 0);
}

static inline aloop_future **promises_new(aloop *loop, size_t count)
{
    aloop_future **promises = futures_new(count);

    for (size_t i = 0; i < count; i++) {
        promises[i] = aloop_future_new(loop);
        check(promises[i] != NULL, "out of memory");
    }
    return promises;
}

/* Takes the references over. */
static inline void await_all(aloop_future **futures, size_t count,
                             ssize_t status)
{
    for (size_t i = 0; i < count; i++)
        check(aloop_await(futures[i]) == status, "the status of an await");
    free(futures);
}

/* growth_handles.c */

void run_defer(aloop *loop, size_t count);
void run_drains(aloop *loop, size_t count);
void run_expiries(aloop *loop, size_t count);
void run_files(aloop *loop, size_t count);
void run_file_reads(aloop *loop, size_t count);
void run_fork(aloop *loop, size_t count);
void run_look_ups(aloop *loop, size_t count);
void run_polls(aloop *loop, size_t count);
void run_post(aloop *loop, size_t count);
void run_prepares(aloop *loop, size_t count);
void run_signals(aloop *loop, size_t count);
void run_stop_marks(aloop *loop, size_t count);
void run_sweep(aloop *loop, size_t count);
void run_work(aloop *loop, size_t count);
void run_writes(aloop *loop, size_t count);
/* What aloop_free() ends. */
void leave_objects(aloop *loop, size_t count);
void leave_others(aloop *loop, size_t count);
void leave_tasks(aloop *loop, size_t count);

#endif
