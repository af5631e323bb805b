/* Shared by the tests of mutexes, semaphores, events, conditions and barriers:
 * one object of each kind, and tasks that use them. */

#ifndef SYNC_FIXTURE_H
#define SYNC_FIXTURE_H

#include "support/fixture.h"

enum { WORKERS_MAX = 8 };

/* Objects that the tasks of a test share. */
static struct shared {
    aloop_mutex *mutex;
    aloop_semaphore *semaphore;
    aloop_event *event;
    aloop_condition *condition;
    aloop_barrier *barrier;
    bool is_ready;
    int inside; /* Number of tasks that hold the mutex. */
    struct worker {
        int id;
        aloop_future *task;
        ssize_t status; /* Status of its await. */
    } workers[WORKERS_MAX];
} shared;

/* Makes new objects of each kind, and `count` tasks. */
static inline void prepare(aloop_task_fn fn, int count)
{
    shared = (struct shared){0};
    shared.mutex = aloop_mutex_new(t.loop);
    shared.semaphore = aloop_semaphore_new(t.loop, 0);
    shared.event = aloop_event_new(t.loop);
    shared.condition = aloop_condition_new(t.loop);
    shared.barrier = aloop_barrier_new(t.loop, 3);
    for (int i = 0; i < count; i++) {
        shared.workers[i].id = i;
        shared.workers[i].status = ALOOP_PENDING;
        shared.workers[i].task = aloop_spawn(t.loop, fn, &shared.workers[i]);
    }
}

static inline ssize_t join(int i)
{
    return aloop_await(shared.workers[i].task);
}

#endif
