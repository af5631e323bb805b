/* The driver of the state machine: one loop on the simulated system, whose
 * callbacks and tasks execute the input.  Each call is checked with the model.
 *
 * An act is one call, or a few that belong together.  It takes its arguments
 * from the input, makes the call, informs the model, and compares.  The flow
 * outside of the loop, callbacks and tasks all choose acts from one table.  One
 * array holds every reference of the driver. */

#ifndef MACHINE_H
#define MACHINE_H

#include "model.h"
#include "simulator/sim.h"

enum {
    REFS_MAX = 12,
    TIMERS = 4,
    OBJECTS = 8,
    ACTS_MAX = 160,
    SIGHTS_MAX = 400 /* After which timers are no longer started. */
};

/* A reference to a future.  The future may be NULL; its number distinguishes
 * these. */
struct ref {
    aloop_future *future;
    int id;
};

/* One opening of a timer.  It outlives the timer. */
struct timer {
    aloop_timer *timer; /* NULL: closed. */
    int id;
};

/* A continuation.  This record outlives it. */
struct call {
    int id;
    aloop_future *future; /* Future that it keeps until it has run. */
    bool has_run;         /* Or was removed. */
};

/* A channel, a lock or a similar object; NULL after it was freed. */
struct object {
    void *it;
    int id; /* -1: never made. */
};

enum {
    CHANNEL,
    RENDEZVOUS,
    SEMAPHORE,
    MUTEX,
    EVENT,
    BARRIER,
    CONDITION,
    GROUP
};

struct machine {
    struct fuzz_input input;
    aloop *loop;
    int host_fd;     /* Descriptor for an embedding host, or -1. */
    int task;        /* Task that runs, or M_NULL. */
    bool is_inside;  /* In a callback or a task. */
    bool is_freeing; /* In aloop_free(), which the model does not cover. */
    bool is_over;
    unsigned acts, sights, bodies;
    unsigned wakes; /* sim_wakes() when the turn began. */

    size_t bytes;    /* Allocated by the library. */
    unsigned starve; /* Allocation of the next call that fails; 0: none. */
    unsigned fail_in;
    bool has_failed;

    struct ref refs[REFS_MAX];
    unsigned ref_count;
    struct timer *timers[TIMERS];
    struct object objects[OBJECTS];
    struct timer timer_notes[M_TIMEDS];
    struct call calls[M_CALLS];
    int tasks[M_FUTURES]; /* Arguments of tasks: their numbers. */
    bool has_body_run[M_FUTURES];
    int numbers[M_CALLS]; /* Arguments of deferred calls. */
    unsigned number_count;
    int items[M_FUTURES]; /* Items that futures transfer. */
    ssize_t statuses[M_FUTURES][M_MEMBERS];
    size_t winners[M_FUTURES];
    int item; /* The last item sent. */
};

extern struct machine w;

/* machine.c */

unsigned any_below(unsigned bound);
int64_t any_delay_ns(void);
bool any_bit(void);
/* Prints a line of the trace. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Called before and after a call that needs memory. disarm() returns whether an
 * allocation has failed. */
void arm(void);
bool disarm(void);
void act(void);
void act_some(void);
/* Called when application code runs.  Checks that the model expects it next. */
struct m_sight see(enum m_sight_kind kind, int who);
void check_alive(void);
void check_time(void);

/* References. */

struct ref null_ref(void);
void keep(aloop_future *future, int id); /* May drop another one. */
struct ref borrow(void);                 /* One of them, which is kept. */
struct ref give(void);                   /* One of them, to be given away. */
/* Drops a reference.  A debug loop is woken if it reports this as a mistake. */
void give_back(struct ref ref);
/* Checks the future that a call has returned.  Returns false if the call failed
 * because memory was missing, and has made nothing. */
bool is_made(const aloop_future *future, bool has_failed);

/* machine_turn.c: the flow outside of the loop. */

void end_orderly(void);

/* The acts. */

struct act {
    const char *name;
    void (*run)(void);
};

extern const struct act future_acts[], timer_acts[], task_acts[], line_acts[],
    turn_acts[], stream_acts[], scope_acts[], pipe_acts[], pair_acts[],
    outside_acts[], late_acts[];
extern const size_t future_act_count, timer_act_count, task_act_count,
    line_act_count, turn_act_count, stream_act_count, scope_act_count,
    pipe_act_count, pair_act_count, outside_act_count, late_act_count;

void act_new_timer(void);

void close_timers(void);
void free_objects(void);
struct object *any_object(unsigned kind); /* Made if it never existed. */
ssize_t await_ref(struct ref ref);
void streams_begin(void);
void streams_close(void);
void streams_check(void); /* After everything was freed. */
void stream_connected(ssize_t status);
void stream_accepted(ssize_t status);

/* machine_outside.c; see streams_begin() and so on. */

void outside_begin(void);
void outside_close(void);
void outside_check(void);

/* The body of a task, which executes acts. */
ssize_t body(aloop *loop, void *arg);

#endif
