/* A pool of threads and a table of jobs for it. */

#ifndef POOL_FIXTURE_H
#define POOL_FIXTURE_H

#include "support/fixture.h"

#include <stdlib.h>

#include "aloop/fork.h"
#include "loop/pool.h"
#include "os/sys.h"

enum { JOBS = 6 };

static struct {
    enum aloop__lane lane; /* Of the next jobs. */
    bool is_slow;
    struct {
        struct aloop__job job;
        bool is_done;
        bool is_dropped;
        int error;
    } jobs[JOBS];
    int worked, returned, dropped;
    uintptr_t worker; /* The thread of the latest job. */
    uintptr_t workers[JOBS];
} p;

static inline int index_of(struct aloop__job *job)
{
    for (int i = 0; i < JOBS; i++)
        if (job == &p.jobs[i].job)
            return i;
    abort();
}

static inline void work(struct aloop__job *job)
{
    p.worked++;
    p.worker = p.workers[index_of(job)] = aloop__sys_thread_self();
}

static inline void done(struct aloop__job *job, int error)
{
    int i = index_of(job);

    assert_false(p.jobs[i].is_done);
    p.jobs[i].is_done = true;
    p.jobs[i].error = error;
    note(i);
}

static inline void drop(struct aloop__job *job)
{
    int i = index_of(job);

    assert_false(p.jobs[i].is_dropped);
    p.jobs[i].is_dropped = true;
    p.dropped++;
}

/* Waits until the look-up has an answer; see sim_host_delay(). */
static inline void work_slowly(struct aloop__job *job)
{
    struct sys_address *found;

    work(job);
    (void) aloop__sys_resolve("slow", "80", SYS_FAMILY_NONE, &found);
    aloop__sys_resolve_free(found);
    p.returned++;
}

/* Makes the loop again, with this limit for all lanes. */
static inline void limit(unsigned threads)
{
    aloop_options options = {.size = sizeof options,
                             .file_threads = threads,
                             .resolver_threads = threads,
                             .work_threads = threads};

    for (size_t i = 0; i < sizeof p; i++)
        ((char *) &p)[i] = 0;
    p.lane = LANE_RESOLVER;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    assert_non_null(t.loop);
}

static inline struct aloop__job *prepare(int i)
{
    struct aloop__job *job = &p.jobs[i].job;

    job->work = p.is_slow ? work_slowly : work;
    job->done = done;
    job->drop = p.lane == LANE_RESOLVER ? drop : NULL;
    p.jobs[i].is_done = p.jobs[i].is_dropped = false;
    return job;
}

static inline void submit(int i)
{
    assert_int_equal(aloop__pool_submit(t.loop, p.lane, prepare(i)), 0);
}

static inline void submit_many(int count)
{
    for (int i = 0; i < count; i++)
        submit(i);
}

/* Hands over what was submitted, and lets threads run. */
static inline void turn(void)
{
    assert_true(aloop_step(t.loop, 0) >= 0);
}

/* Makes each job take a second from now on. */
static inline void make_slow(void)
{
    p.is_slow = true;
    sim_host_delay("slow", ALOOP_SEC(1));
}

#endif
