/* The soak: a loop under mixed load, that rests at every sample.
 *
 * The load consists of workers that do one operation after the other.  At a
 * rest they finish what they are at and begin nothing, so that what is then
 * still in use is what somebody forgot: each rest can be compared with the one
 * before to the last descriptor. */

#ifndef SOAK_H
#define SOAK_H

#include "stress.h"

enum soak_kind {
    SOAK_CONNECTIONS,
    SOAK_MESSAGES,
    SOAK_LOOK_UPS,
    SOAK_TIMERS,
    SOAK_TASKS,
    SOAK_ITEMS,
    SOAK_POSTS,
    SOAK_SIGNALS,
    SOAK_LOOPS,
    SOAK_KINDS
};

extern struct soak {
    aloop *loop;
    aloop_event *go;     /* Set while the workers may begin something. */
    unsigned busy;       /* Workers that have not come to rest. */
    unsigned served;     /* Connections that the server has open. */
    unsigned attached;   /* Callbacks of aloop_then that have still to come. */
    bool is_resting;
    bool is_over;        /* The workers shall end. */
    uint64_t random;
    uint64_t counts[SOAK_KINDS]; /* Operations that were completed. */
    char port[8];        /* Of the server. */
} soak;

/* For a worker, between its operations: waits while the load rests.  False
 * once it shall end. */
bool soak_goes_on(void);
/* A worker of the loop. */
void soak_spawn(aloop_group *group, aloop_task_fn fn, void *arg);
uint64_t soak_random(uint64_t bound);

/* Each starts its part of the load, with its tasks in `group`. */
void soak_net_start(aloop_group *group);
void soak_tasks_start(aloop_group *group);
void soak_sync_start(aloop_group *group);
void soak_timers_start(void);
void soak_threads_start(void);

/* Whether the threads have come to rest, too. */
bool soak_threads_rest(void);
/* They go on; and end, after which their counts are complete. */
void soak_threads_go(void);
void soak_threads_end(void);
void soak_net_end(void);
void soak_timers_end(void);

/* soak_samples.c: what the process needed at each rest. */
void soak_sample(int64_t now_ns);
/* Prints them; whether what is needed does not grow. */
bool soak_samples_judge(double seconds, bool is_whole);

#endif
