/* Shared by the tests of compositions: tasks that sleep and then end as the
 * test has chosen. */

#ifndef COMPOSE_FIXTURE_H
#define COMPOSE_FIXTURE_H

#include "support/memory_fixture.h"

struct job {
    int64_t delay_ns;
    ssize_t result;
    ssize_t seen; /* Status of its await. */
    bool has_ended;
};

static inline ssize_t work(aloop *loop, void *arg)
{
    struct job *job = arg;

    job->seen = aloop_await(aloop_sleep(loop, job->delay_ns));
    job->has_ended = true;
    return job->seen < 0 ? job->seen : job->result;
}

/* Needs another 5 ms to end, even if it is cancelled. */
static inline ssize_t ends_slowly(aloop *loop, void *arg)
{
    struct job *job = arg;

    job->seen = aloop_await(aloop_sleep(loop, job->delay_ns));
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 5 * MS));
    aloop_shield_end();
    job->has_ended = true;
    return job->seen < 0 ? job->seen : job->result;
}

static inline aloop_future *spawn(struct job *job)
{
    return aloop_spawn(t.loop, work, job);
}

#endif
