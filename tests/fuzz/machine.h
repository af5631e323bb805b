/* The state machine's driver: one loop on the simulated system, whose callbacks
 * and tasks do what the input's bytes say, each call checked with the model.
 *
 * An act is one call, or a few that belong together: it takes its arguments
 * from the input, makes the call, tells the model, and compares.  Acts are
 * taken from one table by the flow outside of the loop, by callbacks and by
 * tasks alike.  Every reference that the driver holds is in one array. */

#ifndef MACHINE_H
#define MACHINE_H

#include "model.h"
#include "simulator/sim.h"

enum {
    REFS_MAX = 12,
    TIMERS = 4,
    OBJECTS = 8,
    ACTS_MAX = 160,
    SIGHTS_MAX = 400 /* After which no timer goes on. */
};

/* A reference to a future; the future may be NULL, its number says so. */
struct ref {
    aloop_future *future;
    int id;
};

/* One opening of a timer; lives longer than it. */
struct timer {
    aloop_timer *timer; /* NULL: closed. */
    int id;
};

/* A continuation; lives longer than it. */
struct call {
    int id;
    aloop_future *future; /* Which it keeps until it has run. */
    bool has_run;         /* Or was taken back. */
};

/* A channel, a lock or the like: NULL when it was freed. */
struct object {
    void *it;
    int id; /* -1: it was never there. */
};

enum { CHANNEL, RENDEZVOUS, SEMAPHORE, MUTEX, EVENT, BARRIER, CONDITION,
       GROUP };

struct machine {
    struct fuzz_input input;
    aloop *loop;
    int host_fd;      /* As for an embedding host, or -1. */
    int task;         /* Whose flow this is, or M_NULL. */
    bool is_inside;   /* A callback or a task: the loop runs. */
    bool is_freeing;  /* Inside aloop_free(): the model knows no more. */
    bool is_over;
    unsigned acts, sights, bodies;
    unsigned wakes;   /* sim_wakes() as the turn began. */

    size_t bytes;     /* Of the library's memory that are out. */
    unsigned starve;  /* Which allocation of the next call fails; 0: none. */
    unsigned fail_in;
    bool has_failed;

    struct ref refs[REFS_MAX];
    unsigned ref_count;
    struct timer *timers[TIMERS];
    struct object objects[OBJECTS];
    struct timer timer_notes[M_TIMEDS];
    struct call calls[M_CALLS];
    int tasks[M_FUTURES];       /* What a task is given: its number. */
    bool has_body_run[M_FUTURES];
    int numbers[M_CALLS];       /* What a deferred call is given. */
    unsigned number_count;
    int items[M_FUTURES];       /* What futures send and receive. */
    ssize_t statuses[M_FUTURES][M_MEMBERS];
    size_t winners[M_FUTURES];
    int item;                   /* The last one sent. */
};

extern struct machine w;

/* machine.c */

unsigned any_below(unsigned bound);
int64_t any_delay_ns(void);
bool any_bit(void);
/* For a person who reads along: one line. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Around one call that needs memory; the second says whether it was denied. */
void arm(void);
bool disarm(void);
void act(void);
void act_some(void);
/* The user's code is called: is it what had to come next? */
struct m_sight see(enum m_sight_kind kind, int who);
void check_alive(void);
void check_time(void);

/* References. */

struct ref null_ref(void);
void keep(aloop_future *future, int id); /* Another may have to go. */
struct ref borrow(void);                 /* One of them, left where it is. */
struct ref give(void);                   /* One of them, to be given away. */
/* A call that makes futures has returned this one; false: for want of memory,
 * and nothing has been made. */
bool is_made(const aloop_future *future, bool has_failed);

/* machine_turn.c: the flow outside. */

void end_orderly(void);

/* The acts. */

struct act {
    const char *name;
    void (*run)(void);
};

extern const struct act future_acts[], timer_acts[], task_acts[], line_acts[],
    turn_acts[], stream_acts[], scope_acts[], pipe_acts[];
extern const size_t future_act_count, timer_act_count, task_act_count,
    line_act_count, turn_act_count, stream_act_count, scope_act_count,
    pipe_act_count;

void close_timers(void);
void free_objects(void);
struct object *any_object(unsigned kind); /* Made if it never was there. */
ssize_t await_ref(struct ref ref);
void streams_begin(void);
void streams_close(void);
void streams_check(void); /* After all has been freed. */
void stream_connected(ssize_t status);
/* A task that acts. */
ssize_t body(aloop *loop, void *arg);

#endif
