/* What the tests of mutexes, semaphores, events, conditions and barriers share:
 * one object of each kind, and tasks that use them. */

#ifndef SYNC_FIXTURE_H
#define SYNC_FIXTURE_H

#include "support/fixture.h"

enum { WORKERS_MAX = 8 };

/* What a test's tasks share. */
static struct shared {
    aloop_mutex *mutex;
    aloop_semaphore *semaphore;
    aloop_event *event;
    aloop_condition *condition;
    aloop_barrier *barrier;
    bool is_ready;
    int inside; /* Tasks that hold the mutex now. */
    struct worker {
        int id;
        aloop_future *task;
        ssize_t status; /* Of what it waited for. */
    } workers[WORKERS_MAX];
} shared;

/* A fresh one, with all there is, and this many tasks. */
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
