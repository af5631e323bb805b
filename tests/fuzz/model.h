/* The model: what libaloop promises, as a small machine of its own.
 *
 * It is told of every call in the order in which the library gets them, and
 * says what the call returns and which callback comes next.  Objects are
 * numbers, memory is a few arrays, and nothing is shared with the library but
 * the names of errors.  Its claims:
 *
 *   - Work runs in the order in which it became due: in each turn the timers
 *     that have passed when it begins, by deadline and then by start; then what
 *     was queued before the turn, first in, first out; then posts, and after
 *     the wait those that came meanwhile; then reports of errors that nobody
 *     looked at.  What any of them queues is the next turn's.
 *   - A future settles once.  Settling queues its waiters in the order in which
 *     they came and runs nothing.  The last reference to go cancels.
 *   - A task's await ends with what the future came to, or early, with why:
 *     its cancellation, a deadline, shields put aside.
 *   - What stands in line is served in order, and nobody overtakes.
 *   - The loop is alive while any of this is left to do, and waits exactly as
 *     long as the next deadline is away.
 *
 * The driver asks model_next() for what the user's code sees next, each time
 * that its code is called, and at the end of turns, when it has to be nothing.
 * What lies between is the model's own affair: it catches up when asked.
 *
 * After a failure that the driver brought about (no memory) it tells the model
 * what failed instead; the rest is claimed as ever. */

#ifndef MODEL_H
#define MODEL_H

#include "aloop.h"
#include "fuzz.h"

enum {
    M_FUTURES = 128,  /* Ever, in one execution. */
    M_ROOM = 16,      /* Of these, what one call may need at most. */
    M_WAITERS = 24,   /* Of one future. */
    M_WORK = 1024,    /* Queued at once. */
    M_TIMEDS = 160,   /* Timers, sleeps, limits and deadlines, ever. */
    M_CALLS = 256,    /* Continuations, ever. */
    M_MEMBERS = 4,    /* Of one composite. */
    M_OBJECTS = 24,   /* Channels, locks ..., ever. */
    M_LINE = 128,     /* Futures that stand in one line. */
    M_ITEMS = 4       /* In a channel. */
};

/* Not futures, and taken for one: NULL, and what misuse without a loop gives.
 * They have settled. */
enum { M_NULL = -1, M_MISUSE = -2 };

enum m_kind {
    M_DONE,
    M_PROMISE,
    M_SLEEP,
    M_TASK,
    M_GATHER, /* The four composites, in this order. */
    M_SETTLED,
    M_ANY,
    M_RACE,
    M_TIMEOUT,
    M_SEND,
    M_RECEIVE,
    M_PERMIT,
    M_PLAIN,  /* Waits in line and is served nothing: event, barrier, ... */
    M_RELOCK, /* The mutex, after the wait for a condition. */
    M_WAIT    /* For a group. */
};

/* Something queued. */
enum m_what {
    M_CALL,   /* A continuation; who: its number. */
    M_RESUME, /* A task. */
    M_MEMBER, /* Composite `who` hears of its member `place`. */
    M_JOINED, /* Group `who` hears of its member, the task `place`. */
    M_LIMIT,  /* A timeout hears of its target. */
    M_DEFER,  /* who: as the driver said. */
    M_OUTSIDE /* The await outside of tasks. */
};

struct m_work {
    enum m_what what;
    int who;
    int place;
};

struct m_queue {
    struct m_work work[M_WORK];
    int first, end;
};

struct m_line {
    int futures[M_LINE];
    int count;
};

/* What only tasks have. */
struct m_task {
    bool has_started, has_ended;
    bool is_waiting;   /* In an await or a yield. */
    bool is_yielding;  /* It is a yield. */
    bool was_cancelled;
    bool has_let_go;   /* The await ends while its future goes on. */
    int shields;
    int passed;        /* Deadlines that have. */
    int streak;        /* Awaits in a row without waiting. */
    int awaiting;      /* A future, or M_NULL. */
    int awaited;       /* The same, also after letting go of it. */
    int interrupt;     /* Why the await ends early, or 0. */
    int permit;        /* Of a wait for a condition, its M_RELOCK; M_NULL. */
    bool is_relocking; /* And it has come to that. */
    ssize_t notified;  /* And how the first half ended. */
};

/* What only composites, timeouts among them, have. */
struct m_whole {
    int members[M_MEMBERS];
    bool has_ended[M_MEMBERS];
    ssize_t statuses[M_MEMBERS];
    int count, left;
    bool is_decided, has_lost;
    ssize_t outcome;
    int winner;       /* Its place, or -1. */
    int grants[M_MEMBERS]; /* Members that settled with one, */
    int grant_count;       /* until it is gone itself. */
    ssize_t reason;   /* Why a timeout cancelled its target, or 0. */
};

struct m_future {
    enum m_kind kind;
    ssize_t status;
    int refs;    /* The user's and the waiters'. */
    int observers; /* How many of these only observe. */
    int waiting;   /* How many of these only wait. */
    bool is_cancelling, is_detached;
    bool is_seen; /* Somebody has looked, or will. */
    int lead;      /* Settles only after it; or -1. */
    int followers; /* How many it leads, without memory to compose them. */
    bool is_lead, has_ended;
    bool is_common; /* Each of its owners is like the only one. */
    bool is_taken; /* Its status was given to the user, */
    bool is_told;  /* or to a composite or group. */
    bool is_gone;
    struct m_work waiters[M_WAITERS];
    int waiter_count;
    int timed;      /* Its deadline, or -1. */
    int line;       /* The object in whose line it stands, or -1. */
    int giver;      /* The semaphore whose permits it holds, or -1. */
    bool is_given;  /* And it does. */
    bool is_grant;  /* It has got permits, or members that have. */
    bool is_kept;   /* Among the grants of a composite. */
    size_t permits; /* How many. */
    int item;       /* What it sends or has received. */
    struct m_task task;
    struct m_whole whole;
};

enum m_timed_kind { M_TIMER, M_SLEEPING, M_LIMITING, M_DEADLINE };

/* Something with a deadline. */
struct m_timed {
    enum m_timed_kind kind;
    int who;         /* The future; a deadline's task; else unused. */
    int64_t when_ns;
    unsigned order;  /* Of its start, among equals. */
    bool is_set;
    bool is_due;     /* Of the present turn. */
    int64_t period_ns;
    bool is_unreferenced, is_closed;
    unsigned passed_as; /* A deadline that counts in its task's `passed`: the
                         * number of this event; else 0. */
};

enum m_object_kind {
    M_CHANNEL,
    M_SEMAPHORE, /* And the mutex, with one permit. */
    M_EVENT,
    M_CONDITION,
    M_BARRIER,
    M_GROUP
};

struct m_object {
    enum m_object_kind kind;
    bool is_freed;
    struct m_line line;      /* Who waits; a channel's receivers. */
    struct m_line senders;
    int items[M_ITEMS];      /* A channel's, oldest first. */
    size_t count, capacity;  /* Items; free permits; a barrier's size. */
    bool is_on;              /* Closed; set. */
    int last_given;          /* A mutex's, or -1. */
    struct m_line members;   /* A group's, and the rest too. */
    ssize_t error;
    int failed;
    bool is_ending, was_cancelled, has_lost;
};

/* What the user's code sees. */
enum m_sight_kind {
    M_NOTHING,
    M_SEE_TIMER,
    M_SEE_CALL,
    M_SEE_TASK, /* Starts, or its await ends with `status`. */
    M_SEE_DEFER,
    M_SEE_POST,
    M_SEE_REPORT /* Of the error `status`. */
};

struct m_sight {
    enum m_sight_kind kind;
    int who;
    ssize_t status;
};

enum m_phase { M_OUT, M_BATCH, M_POSTS, M_DISPATCH, M_REPORTING };

struct model {
    int64_t now_ns;
    enum m_phase phase;
    bool is_exact;    /* Nothing is there that the model does not know. */
    bool is_running;  /* Inside aloop_run or an await outside. */
    bool is_stepping; /* Inside aloop_step, which calls back and returns. */
    bool has_called;  /* And it has called back. */
    bool is_stopping; /* In this turn, */
    bool stops_next;  /* or before the next run. */
    bool has_left;    /* The await outside has, by a stop; */
    int interrupt;    /* which is what it returns. */
    bool is_stuck;    /* The wait can never end. */
    int64_t max_wait_ns;
    int outside;      /* What is awaited there, or M_NULL. */
    int holds, live;  /* `live` without timers. */
    bool is_woken;
    bool has_closed;  /* Handles that the turn's end frees. */

    struct m_queue ready, batch;
    int posts[M_CALLS], post_first, post_end;
    int posts_taken;  /* Those before are a turn's already. */
    struct m_line unread, reporting;

    struct m_future futures[M_FUTURES];
    int future_count;
    struct m_timed timeds[M_TIMEDS];
    int timed_count;
    unsigned passings; /* Deadlines that have passed so far. */
    unsigned starts;
    int calls[M_CALLS]; /* Continuations: their futures. */
    int call_count;
    struct m_object objects[M_OBJECTS];
    int object_count;
};

extern struct model m;

/* model.c: futures. */

void model_reset(int64_t now_ns);
bool model_has_room(void); /* And time, for one more call. */
struct m_future *model_at(int id);
bool model_pending(int id);
ssize_t model_peek(int id); /* The status; looks at nothing. */
int model_new(enum m_kind kind);
int model_done(ssize_t status);
void model_settle(int id, ssize_t status);
int model_resolve(int id, ssize_t status);
int model_cancel(int id);
void model_ref(int id);
void model_unref(int id);
void model_detach(int id);
ssize_t model_status(int id);
/* `work` is queued once `id` has settled. */
void model_wait(int id, struct m_work work);
void model_unwait(int id, struct m_work work);
ssize_t model_take(int id); /* A waiter's reference, for the status. */
int model_then(int id, int *ret_call);
void model_called(int call); /* The continuation has returned. */
void model_unthen(int call); /* It is taken back. */
/* Whether the user or waiter who owns a reference is the only owner. */
bool model_is_ours(int id);

/* model_turn.c: time, queues, turns. */

void model_queue(struct m_work work);
void model_unqueue(struct m_work work); /* It is there. */
bool model_has_call(int id); /* A call of a settled one is queued. */
void model_tell(int id); /* Its status has become part of another one's. */
int model_timed(enum m_timed_kind kind, int who);
void model_set(int timed, int64_t when_ns);
void model_clear(int timed);
int64_t model_after(int64_t delay_ns);
int64_t model_due_ns(int timed); /* As aloop_timer_due_ns(). */
int model_sleep(int64_t when_ns);
void model_post(int who);
/* A post comes.  Where streams act in the same dispatch it may be one of
 * theirs, and need not wait for the next turn. */
void model_hear_late(void);
bool model_has_work(void);
bool model_alive(void);
int64_t model_next_ns(void); /* The next deadline; INT64_MAX: none. */

/* One turn by aloop_step(): begin, callbacks, a last model_next(). */
void model_turn_begin(int64_t max_wait_ns);
/* Whether nothing is left to run before what the reactor tells of. */
bool model_in_dispatch(void);
/* Turns by aloop_run() or, for `outside`, an await: begin, callbacks, a last
 * model_next(), end, which says what is returned. */
void model_run_begin(int outside);
ssize_t model_run_end(void);
struct m_sight model_next(void);

/* model_task.c: tasks, deadlines, await. */

int model_spawn(void);
void model_end(int task, ssize_t status); /* The body returns. */
void model_interrupt(int task);
/* Whether it ends at once, and how; else model_next() will say. */
bool model_await(int task, int id, ssize_t *ret_status);
/* Whether the await could never end, and the library does not look so far. */
void model_yield(int task);
/* The task's node has come up; false: it goes on waiting. */
bool model_resume(int task, ssize_t *ret_status);
int model_deadline(int task, int64_t when_ns);
void model_deadline_set(int deadline, int64_t when_ns);
int model_deadline_end(int deadline);
void model_deadline_passes(int deadline);
ssize_t model_outcome(int id, int interrupt);
ssize_t model_refuse(int id, ssize_t error);
bool model_condition_wait(int task, int condition, int mutex,
                          ssize_t *ret_status);

/* model_whole.c: what waits for several. */

int model_compose(enum m_kind kind, int count, const int *members);
void model_member(int whole, int place);
void model_members_cancel(int whole);
int model_timeout(int target, int64_t when_ns);
void model_limit(int timeout);
void model_end_limited(int timeout, ssize_t reason);
int model_group_spawn(int group); /* The task, or M_NULL: not let in. */
int model_group_wait(int group);
int model_group_share(int group); /* The first wait, once more. */
void model_group_cancel(int group);
void model_group_free(int group);
void model_joined(int group, int task);

/* model_line.c: what stands in line. */

int model_object(enum m_object_kind kind, size_t count);
void model_object_free(int object);
int model_try_send(int channel, int item);
int model_try_receive(int channel, int *ret_item);
int model_send(int channel, int item);
int model_receive(int channel);
void model_channel_close(int channel);
int model_try_acquire(int semaphore, size_t count);
int model_acquire(int semaphore, size_t count);
void model_release(int semaphore, size_t count);
int model_unlock(int mutex);
int model_event_wait(int event);
void model_event_set(int event);
int model_barrier_wait(int barrier);
int model_notify(int condition);
void model_notify_all(int condition);
void model_line_push(struct m_line *line, int id);
bool model_line_remove(struct m_line *line, int id);
void model_line_settle(struct m_line *line, ssize_t status);
void model_leave(int id);         /* Cancelled in line. */
void model_permit_gone(int id);   /* Its future is freed. */
/* Composed, but there was no memory for it: which one stands for all. */
int model_tie(int count, const int *members);
void model_grants_drop(int id, bool is_taken); /* model_whole.c */
void model_whole_gone(int id);
void model_link(int id, int semaphore);
void model_unlink(int id);
void model_serve(int semaphore);
void model_give(int semaphore, size_t count);

#endif
