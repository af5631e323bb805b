/* The soak test: a loop under mixed load, which pauses at every sample.
 *
 * The load consists of workers, which execute one operation after the other.
 * At a rest they finish their operations and begin no others.  All resources
 * that are still in use then are leaks, so each rest can be compared with the
 * one before. */

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
    SOAK_FILES,
    SOAK_DATAGRAMS,
    SOAK_KINDS
};

extern struct soak {
    aloop *loop;
    aloop_event *go;   /* Set while workers may begin an operation. */
    unsigned busy;     /* Workers that are not at rest. */
    unsigned served;   /* Connections that are open in the server. */
    unsigned attached; /* Callbacks of aloop_then() that are pending. */
    bool is_resting;
    bool is_over; /* Workers must end. */
    uint64_t random;
    uint64_t counts[SOAK_KINDS]; /* Completed operations. */
    char port[8];                /* Port of the server. */
} soak;

/* Called by a worker between operations: waits during a rest.  Returns false if
 * the worker must end. */
bool soak_continues(void);
/* Starts a worker of the loop. */
void soak_spawn(aloop_group *group, aloop_task_fn fn, void *arg);
uint64_t soak_random(uint64_t bound);

/* Each of these starts a part of the load, with its tasks in `group`. */
void soak_net_start(aloop_group *group);
void soak_udp_start(aloop_group *group);
void soak_tasks_start(aloop_group *group);
void soak_sync_start(aloop_group *group);
void soak_files_start(aloop_group *group);
void soak_timers_start(void);
void soak_threads_start(void);

/* Returns whether the threads are at rest, too. */
bool soak_threads_rest(void);
/* Resumes the threads, and ends them.  Their counts are complete after that. */
void soak_threads_resume(void);
void soak_threads_end(void);
void soak_net_end(void);
void soak_udp_end(void);
void soak_timers_end(void);
void soak_files_end(void);

/* Executes `count` operations on files in loops of their own, with random
 * cancels, and prints what the process needs before and after.  Ends the
 * program if a descriptor, a thread or a byte is left.  Returns whether the
 * process does not grow. */
bool soak_files_alone(uint64_t count);

/* Records the resources in use at a rest (soak_samples.c). */
void soak_sample(int64_t now_ns);
/* Prints the samples.  Returns whether they do not grow. */
bool soak_samples_judge(double seconds, bool is_whole);

#endif
